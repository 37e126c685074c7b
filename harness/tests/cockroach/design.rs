//! A design with a database alone: counters, each write a serializable transaction.

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
use crosscheck_harness::operation::{Operation, OperationKind, Pauses, Workload};
use crosscheck_harness::port::PortError;
use crosscheck_models::history::{ReadItem, Scalar, Source, WriteItem};
use crosscheck_models::property::Property;

#[derive(Debug)]
pub(crate) struct Counter;

#[async_trait]
impl Design for Counter {
    fn id(&self) -> String {
        "counter".to_owned()
    }

    fn about(&self) -> String {
        "one database, and nothing else".to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, ..Needs::default() }
    }

    fn claims(&self) -> Vec<Property> {
        vec![Property::NoLostUpdate, Property::AckDurability]
    }

    fn layout(&self) -> Layout {
        Layout {
            ddl: vec![
                "CREATE TABLE stock (key text PRIMARY KEY, ver bigint NOT NULL, value bigint NOT NULL)".to_owned(),
                "CREATE TABLE ledger (key text, ver bigint, op_id text NOT NULL UNIQUE, value bigint NOT NULL, \
                 base_ver bigint, delta bigint, PRIMARY KEY (key, ver))"
                    .to_owned(),
                "INSERT INTO stock VALUES ('k0', 0, 0), ('k1', 0, 0), ('k2', 0, 0), ('k3', 0, 0)".to_owned(),
            ],
            source_of_truth: Some("SELECT key, ver, value FROM stock ORDER BY key".to_owned()),
            ledger: Some("SELECT key, ver, op_id, value, base_ver, delta FROM ledger ORDER BY key, ver".to_owned()),
            commit_order_of: Some("ledger".to_owned()),
            ..Layout::default()
        }
    }

    fn workload(&self) -> Workload {
        Workload {
            clients: 4,
            keys: 4,
            rate: Some(200),
            reads_percent: 20,
            writes: OperationKind::Write,
            aborts_percent: 0,
            pauses: Pauses { percent: 25, max_ms: 5 },
        }
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        if operation.f == OperationKind::Read {
            let row = ctx
                .db
                .query_one("SELECT ver, value FROM stock WHERE key = $1", &[(&operation.key).into()])
                .await?;
            return Ok(Done::read(ReadItem {
                key: operation.key.clone().into(),
                ver: Some(row.version("ver")?),
                value: Scalar::Int(row.int("value")?),
                source: Some(Source::Db),
            }));
        }
        loop {
            match write(ctx, operation).await {
                Err(error) if error.is_conflict() => {
                    ctx.db.execute("ROLLBACK", &[]).await?;
                }
                other => return Ok(other?),
            }
        }
    }
}

async fn write(ctx: &mut Ctx, operation: &Operation) -> Result<Done, PortError> {
    ctx.db.execute("BEGIN ISOLATION LEVEL SERIALIZABLE", &[]).await?;
    let row = ctx
        .db
        .query_one(
            "UPDATE stock SET value = $2, ver = ver + 1 WHERE key = $1 RETURNING ver",
            &[(&operation.key).into(), operation.value.into()],
        )
        .await?;
    let ver = row.version("ver")?;
    ctx.point("before_ledger").await?;
    ctx.db
        .execute(
            "INSERT INTO ledger (key, ver, op_id, value) VALUES ($1, $2, $3, $4)",
            &[(&operation.key).into(), ver.into(), (&operation.op_id).into(), operation.value.into()],
        )
        .await?;
    ctx.db.execute("COMMIT", &[]).await?;
    Ok(Done::write(WriteItem {
        key: operation.key.clone().into(),
        value: Scalar::Int(operation.value),
        ver: Some(ver),
        ..WriteItem::default()
    }))
}
