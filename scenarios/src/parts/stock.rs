//! The source of truth: a stock of sixteen keys, and the ledger that every writing transaction appends to.
//!
//! `ver` is counted by the row itself, under its lock, so it is the order of writes of a key; the ledger
//! tells afterwards which operations committed, whatever their clients heard.

use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Done, Failure, Layout};
use crosscheck_harness::operation::{Operation, OperationKind, Pauses, Workload};
use crosscheck_harness::port::{PortError, Row};
use crosscheck_models::history::{ReadItem, Scalar, Source, WriteItem};

/// How often a transaction is tried that the database rolls back for a conflict (SQLSTATE 40001, 40P01).
pub const TRIES: usize = 20;

/// The tables, with all keys there from the start at version 0.
pub fn layout() -> Layout {
    let rows: Vec<String> = (0..16).map(|i| format!("('k{i}', 0, 0)")).collect();
    Layout {
        ddl: vec![
            "CREATE TABLE stock (key text PRIMARY KEY, ver bigint NOT NULL, value bigint NOT NULL)"
                .to_owned(),
            "CREATE TABLE ledger (key text, ver bigint, op_id text NOT NULL UNIQUE, value bigint NOT NULL, \
             base_ver bigint, delta bigint, PRIMARY KEY (key, ver))"
                .to_owned(),
            format!("INSERT INTO stock VALUES {}", rows.join(", ")),
        ],
        source_of_truth: Some("SELECT key, ver, value FROM stock ORDER BY key".to_owned()),
        ledger: Some(
            "SELECT key, ver, op_id, value, base_ver, delta FROM ledger ORDER BY key, ver".to_owned(),
        ),
        commit_order_of: Some("ledger".to_owned()),
        ..Layout::default()
    }
}

/// The load: six clients on six keys, a third of it reads, some time between calls.
pub fn workload() -> Workload {
    Workload {
        clients: 6,
        keys: 6,
        rate: Some(250),
        reads_percent: 34,
        writes: OperationKind::Write,
        aborts_percent: 0,
        pauses: Pauses { percent: 25, max_ms: 12 },
    }
}

/// Within a transaction: sets the key, notes it in the ledger, returns the version. From here to the end of
/// the transaction the key's row is locked.
///
/// # Errors
/// Those of the database.
pub async fn set(ctx: &mut Ctx, operation: &Operation) -> Result<u64, PortError> {
    let row = ctx
        .db
        .query_one(
            "UPDATE stock SET value = $2, ver = ver + 1 WHERE key = $1 RETURNING ver",
            &[(&operation.key).into(), operation.value.into()],
        )
        .await?;
    let ver = row.version("ver")?;
    note(ctx, operation, ver).await?;
    Ok(ver)
}

/// Within the same transaction: notes in the ledger which operation made the version.
///
/// # Errors
/// Those of the database.
pub async fn note(ctx: &mut Ctx, operation: &Operation, ver: u64) -> Result<(), PortError> {
    ctx.db
        .execute(
            "INSERT INTO ledger (key, ver, op_id, value) VALUES ($1, $2, $3, $4)",
            &[(&operation.key).into(), ver.into(), (&operation.op_id).into(), operation.value.into()],
        )
        .await?;
    Ok(())
}

/// The same as a transaction of its own, tried again where the database rolled it back for a conflict.
///
/// # Errors
/// Unknown, unless it was turned down: `abort` says that the business logic does so before COMMIT.
pub async fn commit(ctx: &mut Ctx, operation: &Operation) -> Result<u64, Failure> {
    for _ in 0..TRIES {
        let attempted = attempt(ctx, operation).await;
        if let Some(ver) = settled(ctx, attempted).await? {
            return Ok(ver);
        }
    }
    Err(too_many_conflicts())
}

async fn attempt(ctx: &mut Ctx, operation: &Operation) -> Result<Option<u64>, PortError> {
    ctx.db.execute("BEGIN", &[]).await?;
    let ver = set(ctx, operation).await?;
    if operation.abort {
        ctx.db.execute("ROLLBACK", &[]).await?;
        return Ok(None);
    }
    ctx.db.execute("COMMIT", &[]).await?;
    Ok(Some(ver))
}

/// What came of an attempt at a transaction: the version that it committed, or nothing where the database rolled it back
/// for a conflict, so that it can be tried again.
///
/// # Errors
/// Unknown, unless the attempt says that the business logic turned it down.
pub async fn settled(
    ctx: &mut Ctx,
    attempted: Result<Option<u64>, PortError>,
) -> Result<Option<u64>, Failure> {
    match attempted {
        Ok(Some(ver)) => Ok(Some(ver)),
        Ok(None) => Err(Failure::Aborted("turned down by the business logic".to_owned())),
        Err(error) if error.is_conflict() => {
            ctx.db.execute("ROLLBACK", &[]).await?;
            Ok(None)
        }
        Err(error) => Err(error.into()),
    }
}

/// No attempt had an effect.
pub fn too_many_conflicts() -> Failure {
    Failure::Aborted(format!("conflicts {TRIES} times in a row"))
}

/// What a write says when it is done.
pub fn written(operation: &Operation, ver: u64) -> Done {
    Done::write(WriteItem {
        key: operation.key.as_str().into(),
        value: Scalar::Int(operation.value),
        ver: Some(ver),
        ..WriteItem::default()
    })
}

/// Reads a key from the source of truth.
///
/// # Errors
/// Those of the database.
pub async fn read(ctx: &mut Ctx, key: &str) -> Result<Done, PortError> {
    let row = ctx.db.query_one("SELECT ver, value FROM stock WHERE key = $1", &[key.into()]).await?;
    Ok(Done::read(read_item(key, &row)?))
}

/// A row of the stock as the history has it.
///
/// # Errors
/// If the row is not one of the stock.
pub fn read_item(key: &str, row: &Row) -> Result<ReadItem, PortError> {
    Ok(ReadItem {
        key: key.into(),
        ver: Some(row.version("ver")?),
        value: Scalar::Int(row.int("value")?),
        source: Some(Source::Db),
    })
}
