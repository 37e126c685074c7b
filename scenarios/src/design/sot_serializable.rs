//! `sot-serializable`: no cache and no queue, one database, every operation a SERIALIZABLE transaction. A
//! conflict (SQLSTATE 40001) is tried again; an unanswered COMMIT is not, because it may have happened.

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::port::PortError;
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::property::Property;

use crate::parts::contention::Waits;
use crate::parts::{contention, counter, stock};

/// The design.
#[derive(Debug)]
pub struct SotSerializable;

#[async_trait]
impl Design for SotSerializable {
    fn id(&self) -> String {
        "sot-serializable".to_owned()
    }

    fn about(&self) -> String {
        "one database, every operation a serializable transaction".to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, ..Needs::default() }
    }

    fn claims(&self) -> Vec<Property> {
        counter::claims()
    }

    fn faults(&self) -> Vec<&'static str> {
        vec!["app-crash", "db-crash", "db-cut", "db-cut-replies", "db-refuse", "db-reset", "db-latency"]
    }

    fn layout(&self) -> Layout {
        stock::layout()
    }

    fn workload(&self) -> Workload {
        counter::workload()
    }

    fn staleness_bound_ms(&self) -> Option<u64> {
        Some(0)
    }

    fn schedules(&self) -> Vec<Schedule> {
        let mut schedules =
            vec![counter::both_read_then_both_write(&self.id()), unanswered_commits(&self.id())];
        schedules.extend(contention::schedules(self, Waits::ForLock));
        schedules
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        if operation.f == OperationKind::Read {
            return Ok(stock::read(ctx, &operation.key).await?);
        }
        for _ in 0..stock::TRIES {
            match add(ctx, operation).await {
                Ok(done) => return Ok(done),
                Err(error) if error.is_conflict() => {
                    ctx.db.execute("ROLLBACK", &[]).await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(stock::too_many_conflicts())
    }
}

async fn add(ctx: &mut Ctx, operation: &Operation) -> Result<Done, PortError> {
    ctx.db.execute("BEGIN ISOLATION LEVEL SERIALIZABLE", &[]).await?;
    let done = counter::read_then_write(ctx, operation).await?;
    ctx.db.execute("COMMIT", &[]).await?;
    Ok(done)
}

/// Requests and replies of COMMITs are lost, the application crashes, the database is killed.
fn unanswered_commits(variant: &str) -> Schedule {
    let adds = (1..=6).map(|n| Operation::add(&format!("a{n}"), "k1", n)).collect();
    let clients = vec![
        adds,
        vec![Operation::add("b1", "k1", 7), Operation::read("b2", "k1"), Operation::read("b3", "k1")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::to_call("client-0", "COMMIT"),
        Move::lose_reply("client-0"),
        Move::to_call("client-0", "COMMIT"),
        Move::lose_request("client-0"),
        Move::to_point("client-0", "after_read_before_write"),
        Move::crash("client-0"),
        Move::op("client-1"),
        Move::op("client-1"),
        Move::inject("db-crash", None),
        Move::heal("db-crash", None),
        Move::op("client-0"),
        Move::op("client-0"),
        Move::op("client-1"),
    ];
    let about = "commits are not answered, the application crashes, the database is killed and comes back";
    Schedule::directed(variant, "unanswered-commits", about, Directed { clients, moves })
}
