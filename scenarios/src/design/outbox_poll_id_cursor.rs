//! `outbox-poll-id-cursor`: the relay remembers the largest outbox id that it has published.
//!
//! The bug is the comparison. An id is taken at INSERT and seen at COMMIT: a transaction that took a smaller
//! id and commits later is behind the cursor when it appears, and is never published.

use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs, Role, Service};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::port::PortError;
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::property::Property;

use crate::parts::consumer::{self, Applies};
use crate::parts::contention::Waits;
use crate::parts::{contention, event, outbox, stock};

const POLL: Duration = Duration::from_millis(5);

/// The design.
#[derive(Debug)]
pub struct OutboxPollIdCursor;

#[async_trait]
impl Design for OutboxPollIdCursor {
    fn id(&self) -> String {
        "outbox-poll-id-cursor".to_owned()
    }

    fn about(&self) -> String {
        "an outbox whose relay publishes what has a larger id than the last it published".to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, broker: true, cache: false }
    }

    fn claims(&self) -> Vec<Property> {
        outbox::claims()
    }

    fn faults(&self) -> Vec<&'static str> {
        vec!["app-crash", "app-pause"]
    }

    fn layout(&self) -> Layout {
        let mut layout = consumer::with_projection(outbox::with_outbox(event::with_topic(stock::layout())));
        layout.ddl.extend([
            "CREATE TABLE relay_cursor (last_id bigint NOT NULL)".to_owned(),
            "INSERT INTO relay_cursor VALUES (0)".to_owned(),
        ]);
        layout
    }

    fn workload(&self) -> Workload {
        outbox::workload()
    }

    fn services(&self) -> Vec<Service> {
        vec![Service::new("relay", Role::Relay, relay), consumer::service(Applies::NewestVersion)]
    }

    fn schedules(&self) -> Vec<Schedule> {
        let mut schedules = vec![late_commit(), crash_before_the_cursor_moves()];
        schedules.extend(contention::schedules(self, Waits::ForLock));
        schedules
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        match operation.f {
            OperationKind::Read => Ok(stock::read(ctx, &operation.key).await?),
            OperationKind::Write | OperationKind::Add => outbox::write(ctx, operation).await,
        }
    }
}

async fn relay(mut ctx: Ctx) -> Result<(), PortError> {
    loop {
        let last = ctx.db.query_one("SELECT last_id FROM relay_cursor", &[]).await?.int("last_id")?;
        let rows = ctx
            .db
            .query(
                "SELECT id, key, ver, op_id, value FROM outbox WHERE id > $1 ORDER BY id LIMIT 100",
                &[last.into()],
            )
            .await?;
        for row in &rows {
            outbox::publish(&mut ctx, row).await?;
            ctx.point("after_publish_before_mark").await?;
            ctx.db.execute("UPDATE relay_cursor SET last_id = $1", &[row.int("id")?.into()]).await?;
        }
        if rows.is_empty() {
            ctx.idle(POLL).await;
        }
    }
}

/// Two transactions overlap; the one with the smaller id commits after the relay has passed it.
fn late_commit() -> Schedule {
    let clients = vec![
        vec![
            Operation::write("a1", "k1", 11),
            Operation::write("a2", "k1", 12),
            Operation::write("a3", "k1", 13),
            Operation::write("a4", "k3", 14),
            Operation::write("a5", "k4", 15),
        ],
        vec![
            Operation::write("b1", "k2", 21),
            Operation::write("b2", "k2", 22),
            Operation::write("b3", "k5", 23),
            Operation::read("b4", "k1"),
        ],
    ];
    let passed_by = |client: &str, other: &str| {
        [
            Move::to_point(client, "before_commit"),
            Move::op(other),
            Move::to_idle("relay"),
            Move::op(client),
            Move::to_idle("relay"),
        ]
    };
    let mut moves = vec![Move::op("client-0"), Move::to_idle("relay"), Move::to_idle("consumer")];
    // a2 is lost between a1 and a3.
    moves.extend(passed_by("client-0", "client-1"));
    moves.push(Move::op("client-0"));
    // a4 is lost as the last write of its key.
    moves.extend(passed_by("client-0", "client-1"));
    // a5 takes its id before b3 and commits after it, with no poll between: published in the order of ids.
    moves.extend([
        Move::to_point("client-0", "before_commit"),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::to_idle("relay"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
    ]);
    Schedule::directed(
        "outbox-poll-id-cursor",
        "late-commit",
        "the transaction with the smaller id commits after the relay has published the larger one",
        Directed { clients, moves },
    )
}

/// The same, and the relay crashes between the acknowledgement and the cursor.
fn crash_before_the_cursor_moves() -> Schedule {
    let mut schedule = late_commit();
    schedule.name = "crash-before-the-cursor-moves".to_owned();
    schedule.about =
        "the relay crashes after a publish, and publishes again; then a commit comes late".to_owned();
    if let crosscheck_harness::schedule::Plan::Directed(directed) = &mut schedule.plan {
        directed.moves.splice(
            1..2,
            [
                Move::to_point("relay", "after_publish_before_mark"),
                Move::crash("relay"),
                Move::to_idle("relay"),
            ],
        );
    }
    schedule
}
