//! Read-modify-write: read a key, compute in the application, write the result. The ledger notes which
//! version the result was computed from.

use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::Done;
use crosscheck_harness::operation::{Operation, OperationKind, Pauses, Workload};
use crosscheck_harness::port::PortError;
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::history::{Scalar, WriteItem};
use crosscheck_models::property::Property;

/// What one database is expected to do.
pub fn claims() -> Vec<Property> {
    vec![
        Property::Convergence,
        Property::BoundedStaleness,
        Property::MonotonicReads,
        Property::ReadYourWrites,
        Property::NoLostUpdate,
        Property::AckDurability,
        Property::Liveness,
    ]
}

/// The load: increments and reads of few keys.
pub fn workload() -> Workload {
    Workload {
        clients: 6,
        keys: 4,
        rate: Some(300),
        reads_percent: 40,
        writes: OperationKind::Add,
        aborts_percent: 0,
        pauses: Pauses { percent: 25, max_ms: 8 },
    }
}

/// Within a transaction: reads the key, adds, and writes the sum.
///
/// # Errors
/// Those of the database.
pub async fn read_then_write(ctx: &mut Ctx, operation: &Operation) -> Result<Done, PortError> {
    let row =
        ctx.db.query_one("SELECT ver, value FROM stock WHERE key = $1", &[(&operation.key).into()]).await?;
    let base_ver = row.version("ver")?;
    let sum = row.int("value")? + operation.value;
    ctx.point("after_read_before_write").await?;
    let written = ctx
        .db
        .query_one(
            "UPDATE stock SET value = $2, ver = ver + 1 WHERE key = $1 RETURNING ver",
            &[(&operation.key).into(), sum.into()],
        )
        .await?;
    let ver = written.version("ver")?;
    ctx.db
        .execute(
            "INSERT INTO ledger (key, ver, op_id, value, base_ver, delta) VALUES ($1, $2, $3, $4, $5, $6)",
            &[
                (&operation.key).into(),
                ver.into(),
                (&operation.op_id).into(),
                sum.into(),
                base_ver.into(),
                operation.value.into(),
            ],
        )
        .await?;
    Ok(Done::write(WriteItem {
        key: operation.key.as_str().into(),
        value: Scalar::Int(sum),
        delta: Some(operation.value),
        ver: Some(ver),
        base_ver: Some(base_ver),
    }))
}

/// Two increments of one key: both have read before either writes.
pub fn both_read_then_both_write(variant: &str) -> Schedule {
    let clients = vec![
        vec![Operation::add("a1", "k1", 1), Operation::read("a2", "k1")],
        vec![Operation::add("b1", "k1", 2), Operation::read("b2", "k1")],
    ];
    let moves = vec![
        Move::to_point("client-0", "after_read_before_write"),
        Move::to_point("client-1", "after_read_before_write"),
        Move::to_call("client-0", "COMMIT"),
        Move::to_block("client-1"),
        Move::op("client-0"),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::op("client-1"),
    ];
    let about = "two increments of one key read before either writes";
    Schedule::directed(variant, "both-read-then-both-write", about, Directed { clients, moves })
}
