//! `dual-write-publish-in-txn`: publish inside the open transaction, then COMMIT.
//!
//! The event is out before anybody knows that the transaction commits. If the business logic turns the
//! operation down, the event is a ghost; a consumer may have it before the database shows the write; and
//! the key's row stays locked for as long as the broker takes to answer.

use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs, Service};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::port::{Acks, PortError, ProducerOptions};
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::property::Property;

use crate::parts::consumer::{self, Applies};
use crate::parts::contention::Waits;
use crate::parts::{contention, event, stock};

/// After this a message that the broker has not acknowledged is given up, and the transaction with it.
const MESSAGE_TIMEOUT: Duration = Duration::from_millis(2600);

/// How often a transaction whose COMMIT was not answered is tried again.
const RETRIES: usize = 1;

/// The design.
#[derive(Debug)]
pub struct DualWritePublishInTxn;

#[async_trait]
impl Design for DualWritePublishInTxn {
    fn id(&self) -> String {
        "dual-write-publish-in-txn".to_owned()
    }

    fn about(&self) -> String {
        "publish inside the open transaction, then commit".to_owned()
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
        vec!["db-cut-replies@client", "db-reset@client", "broker-cut@client"]
    }

    fn layout(&self) -> Layout {
        consumer::with_projection(event::with_topic(stock::layout()))
    }

    fn workload(&self) -> Workload {
        Workload { aborts_percent: 10, ..stock::workload() }
    }

    fn services(&self) -> Vec<Service> {
        vec![consumer::service(Applies::LastArrival)]
    }

    fn schedules(&self) -> Vec<Schedule> {
        let mut schedules = vec![
            turned_down_after_publish(&self.id()),
            lost_connection(&self.id()),
            broker_does_not_answer(&self.id()),
        ];
        schedules.extend(contention::schedules(self, Waits::ForLock));
        schedules
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        if operation.f == OperationKind::Read {
            return Ok(stock::read(ctx, &operation.key).await?);
        }
        ctx.broker.produce_with(ProducerOptions {
            acks: Acks::All,
            idempotence: true,
            message_timeout: MESSAGE_TIMEOUT,
            transactional_id: None,
        });
        for _ in 0..RETRIES {
            match attempt(ctx, operation).await? {
                Attempt::Committed(ver) => return Ok(stock::written(operation, ver)),
                Attempt::TurnedDown => return Err(turned_down()),
                // The whole transaction again, as frameworks do: the event goes out a second time.
                Attempt::Unanswered => {}
            }
        }
        match attempt(ctx, operation).await? {
            Attempt::Committed(ver) => Ok(stock::written(operation, ver)),
            Attempt::TurnedDown => Err(turned_down()),
            Attempt::Unanswered => Err(Failure::Unknown("COMMIT was not answered".to_owned())),
        }
    }
}

fn turned_down() -> Failure {
    Failure::Aborted("turned down by the business logic".to_owned())
}

enum Attempt {
    Committed(u64),
    TurnedDown,
    Unanswered,
}

async fn attempt(ctx: &mut Ctx, operation: &Operation) -> Result<Attempt, PortError> {
    ctx.db.execute("BEGIN", &[]).await?;
    let row = ctx
        .db
        .query_one(
            "UPDATE stock SET value = $2, ver = ver + 1 WHERE key = $1 RETURNING ver",
            &[(&operation.key).into(), operation.value.into()],
        )
        .await?;
    let ver = row.version("ver")?;
    ctx.point("before_publish").await?;
    let payload = event::encode(&operation.op_id, ver, operation.value);
    ctx.broker.produce(event::TOPIC, &operation.key, &payload).await?;
    ctx.point("after_publish_before_commit").await?;
    if operation.abort {
        ctx.db.execute("ROLLBACK", &[]).await?;
        return Ok(Attempt::TurnedDown);
    }
    let noted = ctx
        .db
        .execute(
            "INSERT INTO ledger (key, ver, op_id, value) VALUES ($1, $2, $3, $4)",
            &[(&operation.key).into(), ver.into(), (&operation.op_id).into(), operation.value.into()],
        )
        .await;
    match noted {
        // The attempt before this one committed after all.
        Err(error) if error.code.as_deref() == Some("23505") => {
            ctx.db.execute("ROLLBACK", &[]).await?;
            return Ok(Attempt::Unanswered);
        }
        other => other?,
    };
    match ctx.db.execute("COMMIT", &[]).await {
        Ok(_) => Ok(Attempt::Committed(ver)),
        Err(error) if error.may_have_happened => Ok(Attempt::Unanswered),
        Err(error) => Err(error),
    }
}

/// The business logic turns an operation down once its event is out; another reads what a consumer
/// already knows; and two transactions commit in another order than they published.
fn turned_down_after_publish(variant: &str) -> Schedule {
    let clients = vec![
        vec![
            Operation::write("a1", "k1", 11).aborted(),
            Operation::write("a2", "k1", 12),
            Operation::write("a3", "k2", 13),
            Operation::write("a4", "k1", 14).aborted(),
        ],
        vec![Operation::read("b1", "k1"), Operation::write("b2", "k3", 22), Operation::read("b3", "k1")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::to_point("client-0", "after_publish_before_commit"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
        Move::op("client-0"),
        // a3 publishes before b2 and commits after it.
        Move::to_point("client-0", "after_publish_before_commit"),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
    ];
    let about = "events go out before their transactions are turned down, or commit";
    Schedule::directed(variant, "turned-down-after-publish", about, Directed { clients, moves })
}

/// The connection is reset while a transaction stands before its publish, and what it publishes then comes
/// after what others committed; and the reply of a COMMIT is lost, so its event goes out twice.
fn lost_connection(variant: &str) -> Schedule {
    let clients = vec![
        vec![
            Operation::write("a1", "k1", 11),
            Operation::write("a2", "k1", 12),
            Operation::write("a3", "k2", 13),
            Operation::write("a4", "k4", 14).aborted(),
        ],
        vec![
            Operation::write("b1", "k1", 21),
            Operation::write("b2", "k1", 22),
            Operation::read("b3", "k1"),
            Operation::write("b4", "k5", 23),
            Operation::read("b5", "k4"),
        ],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::to_point("client-0", "before_publish"),
        Move::inject("db-reset", Some("client")),
        Move::heal("db-reset", Some("client")),
        Move::op("client-1"),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
        // a3 publishes before b4 and commits after it, and its reply is lost.
        Move::to_point("client-0", "after_publish_before_commit"),
        Move::op("client-1"),
        Move::to_call("client-0", "COMMIT"),
        Move::lose_reply("client-0"),
        Move::op("client-0"),
        // a4 is out, and not yet turned down.
        Move::to_point("client-0", "after_publish_before_commit"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::to_idle("consumer"),
    ];
    let about = "connections are lost before a publish and during a commit";
    Schedule::directed(variant, "lost-connection", about, Directed { clients, moves })
}

/// The broker does not answer, and the row's lock is held all the while.
fn broker_does_not_answer(variant: &str) -> Schedule {
    let clients = vec![vec![Operation::write("a1", "k1", 11)], vec![Operation::write("b1", "k1", 21)]];
    let moves = vec![
        Move::to_call("client-0", "produce"),
        Move::to_block("client-1"),
        Move::inject("broker-cut", Some("client")),
        Move::op("client-0"),
        Move::heal("broker-cut", Some("client")),
        Move::op("client-1"),
    ];
    let about = "the broker is cut off while a transaction that holds a lock publishes";
    Schedule::directed(variant, "broker-does-not-answer", about, Directed { clients, moves })
}
