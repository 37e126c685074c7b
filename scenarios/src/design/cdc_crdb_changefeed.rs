//! `cdc-crdb-changefeed`: writers change the database alone. CockroachDB publishes the rows that were committed by a
//! changefeed, each with the time of its commit, and a consumer keeps the newest version of each key.
//!
//! `/naive-lww-consumer` keeps what came last: a feed that goes on from a checkpoint sends older versions again.
//!
//! The form of a message is that of CockroachDB 24.3, page "Changefeed Messages": the key is an array, the row stands
//! under `after`, and a message without a key says up to when all is sent.

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::database::Feature;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs, Service};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::port::PortError;
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::history::{Deliver, Scalar};
use crosscheck_models::property::Property;
use serde::Deserialize;

use crate::parts::consumer::{self, Applies};
use crate::parts::contention::Waits;
use crate::parts::{contention, event, outbox, stock};

/// The design and its variant.
#[derive(Debug)]
pub struct CdcCrdbChangefeed {
    /// What the consumer does with a row that is older than what it has.
    pub applies: Applies,
}

#[async_trait]
impl Design for CdcCrdbChangefeed {
    fn id(&self) -> String {
        match self.applies {
            Applies::NewestVersion => "cdc-crdb-changefeed".to_owned(),
            Applies::LastArrival => "cdc-crdb-changefeed/naive-lww-consumer".to_owned(),
        }
    }

    fn about(&self) -> String {
        match self.applies {
            Applies::NewestVersion => {
                "a changefeed of CockroachDB, and a consumer that keeps each key's newest version"
            }
            Applies::LastArrival => "a changefeed of CockroachDB, and a consumer that keeps what came last",
        }
        .to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, broker: true, cache: false }
    }

    fn database_features(&self) -> Vec<Feature> {
        vec![Feature::Changefeeds]
    }

    fn claims(&self) -> Vec<Property> {
        // Rows come again, and rows of different keys come in any order.
        outbox::claims()
    }

    fn faults(&self) -> Vec<&'static str> {
        vec!["app-crash", "app-pause", "db-crash", "db-reset", "db-latency", "broker-crash", PAUSE]
    }

    fn layout(&self) -> Layout {
        let stock = stock::layout();
        // The row says by which operation it was written: an event is nothing but the row.
        let mut ddl = stock.ddl.clone();
        ddl.push("ALTER TABLE stock ADD COLUMN op_id text NOT NULL DEFAULT ''".to_owned());
        consumer::with_projection(Layout {
            ddl,
            topics: vec![(event::TOPIC.to_owned(), 1)],
            changefeeds: vec![("stock".to_owned(), event::TOPIC.to_owned())],
            decode: Some(decode),
            ..stock
        })
    }

    fn workload(&self) -> Workload {
        outbox::workload()
    }

    fn services(&self) -> Vec<Service> {
        vec![consumer::service_of(self.applies, decode)]
    }

    fn schedules(&self) -> Vec<Schedule> {
        let mut schedules = vec![paused(&self.id())];
        schedules.extend(contention::schedules(self, Waits::ForLock));
        schedules
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        match operation.f {
            OperationKind::Read => Ok(stock::read(ctx, &operation.key).await?),
            OperationKind::Write | OperationKind::Add => write(ctx, operation).await,
        }
    }
}

const PAUSE: &str = "db-changefeed-pause";

async fn write(ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
    for _ in 0..stock::TRIES {
        let attempted = attempt(ctx, operation).await;
        if let Some(ver) = stock::settled(ctx, attempted).await? {
            return Ok(stock::written(operation, ver));
        }
    }
    Err(stock::too_many_conflicts())
}

/// The version that was committed; none where the business logic turned it down. A changefeed sends the last state that
/// a transaction gives to a row, so the row is written once.
async fn attempt(ctx: &mut Ctx, operation: &Operation) -> Result<Option<u64>, PortError> {
    ctx.db.execute("BEGIN", &[]).await?;
    let row = ctx
        .db
        .query_one(
            "UPDATE stock SET value = $2, ver = ver + 1, op_id = $3 WHERE key = $1 RETURNING ver",
            &[(&operation.key).into(), operation.value.into(), (&operation.op_id).into()],
        )
        .await?;
    let ver = row.version("ver")?;
    stock::note(ctx, operation, ver).await?;
    ctx.point("before_commit").await?;
    if operation.abort {
        ctx.db.execute("ROLLBACK", &[]).await?;
        return Ok(None);
    }
    ctx.db.execute("COMMIT", &[]).await?;
    Ok(Some(ver))
}

#[derive(Deserialize)]
struct Envelope {
    after: Option<After>,
}

#[derive(Deserialize)]
struct After {
    key: String,
    ver: u64,
    value: i64,
    op_id: String,
}

/// The row that a message carries; none where it says that a row is gone, or how far the feed is.
fn decode(_key: &str, payload: &str) -> Option<Deliver> {
    let after = serde_json::from_str::<Envelope>(payload).ok()?.after?;
    Some(Deliver {
        key: after.key.as_str().into(),
        ver: after.ver,
        value: Scalar::Int(after.value),
        op_id: after.op_id.as_str().into(),
        ..Deliver::default()
    })
}

/// The feed stands still while versions of one key are written, and goes on.
fn paused(variant: &str) -> Schedule {
    let clients = vec![
        vec![
            Operation::write("a1", "k1", 11),
            Operation::write("a2", "k1", 12),
            Operation::write("a3", "k1", 13),
            Operation::write("a4", "k2", 14),
        ],
        vec![Operation::write("b1", "k3", 21), Operation::read("b2", "k1")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::inject(PAUSE, None),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::heal(PAUSE, None),
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
    ];
    let about = "the feed is paused while versions are written, and goes on from its checkpoint";
    Schedule::directed(variant, "changefeed-pause", about, Directed { clients, moves })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_a_row_its_end_or_a_watermark() {
        let row = r#"{"after": {"key": "k1", "op_id": "w7", "value": 42, "ver": 3}, "before": null, "updated": "1718000000000000000.0000000000"}"#;
        let event = decode("[\"k1\"]", row).expect("it is a row");
        assert_eq!((&*event.key, event.ver, &*event.op_id), ("k1", 3, "w7"));
        assert_eq!(event.value, Scalar::Int(42));
        assert_eq!(decode("[\"k1\"]", r#"{"after": null, "updated": "1.0"}"#), None);
        assert_eq!(decode("", r#"{"resolved": "1718000000000000000.0000000000"}"#), None);
        assert_eq!(decode("", "no JSON"), None);
    }
}
