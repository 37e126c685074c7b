//! `dual-write-db-then-queue`: commit to the database, then publish the event, both in the application.
//!
//! Between the two lies a gap. A crash in it loses the event; and two writers of one key may publish in
//! another order than they committed, which a consumer that takes the last arrival keeps for ever.
//! `/single-writer` has one writer at a time, so nothing is reordered; what is lost stays lost.

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs, Service};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::property::Property;
use tokio::sync::Mutex;

use crate::parts::consumer::{self, Applies};
use crate::parts::contention::Waits;
use crate::parts::{contention, event, stock};

/// How many may write at once.
#[derive(Debug, Clone, Copy)]
pub enum Writers {
    /// As many as there are clients.
    Many,
    /// One at a time, from the database to the acknowledgement of the broker.
    One,
}

/// The design and its variant.
#[derive(Debug)]
pub struct DualWriteDbThenQueue {
    /// How many may write at once.
    pub writers: Writers,
}

#[async_trait]
impl Design for DualWriteDbThenQueue {
    fn id(&self) -> String {
        match self.writers {
            Writers::Many => "dual-write-db-then-queue".to_owned(),
            Writers::One => "dual-write-db-then-queue/single-writer".to_owned(),
        }
    }

    fn about(&self) -> String {
        match self.writers {
            Writers::Many => "commit to the database, then publish; the consumer keeps the last arrival",
            Writers::One => "commit to the database, then publish, one writer at a time",
        }
        .to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, broker: true, cache: false }
    }

    fn clients_publish(&self) -> bool {
        true
    }

    fn claims(&self) -> Vec<Property> {
        event::claims_of_dual_writes()
    }

    fn faults(&self) -> Vec<&'static str> {
        match self.writers {
            Writers::Many => vec![
                "app-crash@client",
                "app-pause@client",
                "broker-cut@client",
                "broker-refuse@client",
                "broker-reset@client",
            ],
            Writers::One => vec!["app-crash@client", "app-pause@client"],
        }
    }

    fn layout(&self) -> Layout {
        consumer::with_projection(event::with_topic(stock::layout()))
    }

    fn workload(&self) -> Workload {
        crate::parts::stock::workload()
    }

    fn services(&self) -> Vec<Service> {
        vec![consumer::service(Applies::LastArrival)]
    }

    fn schedules(&self) -> Vec<Schedule> {
        let mut schedules = match self.writers {
            Writers::Many => vec![reordered(&self.id()), crash_and_reordered(&self.id())],
            Writers::One => vec![one_after_the_other(&self.id()), crash_in_the_gap(&self.id())],
        };
        schedules.extend(contention::schedules(
            self,
            match self.writers {
                Writers::Many => Waits::ForLock,
                Writers::One => Waits::ForTurn,
            },
        ));
        schedules
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        if operation.f == OperationKind::Read {
            return Ok(stock::read(ctx, &operation.key).await?);
        }
        match self.writers {
            Writers::Many => commit_then_publish(ctx, operation).await,
            Writers::One => {
                let turn = ctx.shared::<Mutex<()>>();
                let _turn = turn.lock().await;
                commit_then_publish(ctx, operation).await
            }
        }
    }
}

async fn commit_then_publish(ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
    let ver = stock::commit(ctx, operation).await?;
    ctx.point("after_db_before_publish").await?;
    let payload = event::encode(&operation.op_id, ver, operation.value);
    ctx.broker.produce(event::TOPIC, &operation.key, &payload).await?;
    Ok(stock::written(operation, ver))
}

const GAP: &str = "after_db_before_publish";

/// Two writers commit one after the other and publish the other way round.
fn reordered(variant: &str) -> Schedule {
    let clients = vec![
        vec![Operation::write("a1", "k1", 11), Operation::write("a2", "k1", 12), Operation::read("a3", "k1")],
        vec![Operation::write("b1", "k1", 21), Operation::read("b2", "k1")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::to_point("client-0", GAP),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
        Move::op("client-0"),
    ];
    let about = "two writers commit one after the other, and publish the other way round";
    Schedule::directed(variant, "reordered", about, Directed { clients, moves })
}

/// A writer crashes in the gap; then two writers publish the other way round.
fn crash_and_reordered(variant: &str) -> Schedule {
    let clients = vec![
        vec![
            Operation::write("a1", "k1", 11),
            Operation::write("a2", "k1", 12),
            Operation::write("a3", "k1", 13),
            Operation::write("a4", "k1", 14),
        ],
        vec![Operation::write("b1", "k1", 21), Operation::read("b2", "k1")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::to_point("client-0", GAP),
        Move::crash("client-0"),
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::to_point("client-0", GAP),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
    ];
    let about = "a writer crashes after its commit; then two writers publish the other way round";
    Schedule::directed(variant, "crash-and-reordered", about, Directed { clients, moves })
}

/// Nothing goes wrong.
fn one_after_the_other(variant: &str) -> Schedule {
    let clients = vec![
        vec![Operation::write("a1", "k1", 11), Operation::write("a2", "k1", 12)],
        vec![Operation::write("b1", "k1", 21), Operation::write("b2", "k2", 22), Operation::read("b3", "k1")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
    ];
    let about = "two clients take turns";
    Schedule::directed(variant, "one-after-the-other", about, Directed { clients, moves })
}

/// The writer crashes in the gap, between two writes of a key and at the last of another.
fn crash_in_the_gap(variant: &str) -> Schedule {
    let clients = vec![
        vec![
            Operation::write("a1", "k1", 11),
            Operation::write("a2", "k1", 12),
            Operation::write("a3", "k1", 13),
            Operation::write("a4", "k2", 14),
        ],
        vec![Operation::read("b1", "k1")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::to_point("client-0", GAP),
        Move::crash("client-0"),
        Move::op("client-0"),
        Move::to_point("client-0", GAP),
        Move::crash("client-0"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
    ];
    let about = "the writer crashes after its commit and before its publish, twice";
    Schedule::directed(variant, "crash-in-the-gap", about, Directed { clients, moves })
}
