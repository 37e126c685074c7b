//! `outbox-wal-relay`: the relay follows the outbox by a logical replication slot, so events come in commit
//! order, and moves the slot forward once the broker has acknowledged a transaction's events.
//!
//! `/ack-before-publish` takes the changes with `pg_logical_slot_get_changes`, which moves the slot before
//! anything is published: a crash between the two loses what was taken.

use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::change::Insert;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::database::Feature;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs, Role, Service};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::port::{PortError, System};
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::property::Property;

use crate::parts::consumer::{self, Applies};
use crate::parts::contention::Waits;
use crate::parts::{contention, event, outbox, stock};

const POLL: Duration = Duration::from_millis(10);

/// When the slot moves forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledges {
    /// Once the broker has acknowledged the events.
    AfterPublish,
    /// With the read: the bug.
    BeforePublish,
}

/// The design and its variant.
#[derive(Debug)]
pub struct OutboxWalRelay {
    /// When the slot moves forward.
    pub acknowledges: Acknowledges,
}

#[async_trait]
impl Design for OutboxWalRelay {
    fn id(&self) -> String {
        match self.acknowledges {
            Acknowledges::AfterPublish => "outbox-wal-relay".to_owned(),
            Acknowledges::BeforePublish => "outbox-wal-relay/ack-before-publish".to_owned(),
        }
    }

    fn about(&self) -> String {
        match self.acknowledges {
            Acknowledges::AfterPublish => {
                "an outbox followed by a logical slot, moved forward after the publish"
            }
            Acknowledges::BeforePublish => "an outbox followed by a logical slot, moved forward by the read",
        }
        .to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, broker: true, cache: false }
    }

    fn database_features(&self) -> Vec<Feature> {
        vec![Feature::LogicalSlots]
    }

    fn claims(&self) -> Vec<Property> {
        let mut claims = outbox::claims();
        // A change is in the stream once it is flushed, and seen by readers a little later: an early event
        // is possible, and this design does not claim otherwise.
        claims.retain(|claim| *claim != Property::NoEarly);
        claims.push(Property::GlobalOrder);
        claims
    }

    fn faults(&self) -> Vec<&'static str> {
        match self.acknowledges {
            Acknowledges::AfterPublish => outbox::FAULTS.to_vec(),
            Acknowledges::BeforePublish => vec!["app-crash", "app-pause"],
        }
    }

    fn layout(&self) -> Layout {
        let mut layout = consumer::with_projection(outbox::with_outbox(event::with_topic(stock::layout())));
        layout.ddl.push(
            "SELECT pg_create_logical_replication_slot('{prefix}outbox', 'test_decoding')::text".to_owned(),
        );
        layout
    }

    fn workload(&self) -> Workload {
        outbox::workload()
    }

    fn services(&self) -> Vec<Service> {
        let relay = match self.acknowledges {
            Acknowledges::AfterPublish => Service::new("relay", Role::Relay, peek_publish_advance),
            Acknowledges::BeforePublish => Service::new("relay", Role::Relay, get_then_publish),
        };
        vec![relay, consumer::service(Applies::NewestVersion)]
    }

    fn schedules(&self) -> Vec<Schedule> {
        let (crash_at, about) = match self.acknowledges {
            Acknowledges::AfterPublish => (
                "after_publish_before_ack",
                "the relay crashes before it moves the slot, and publishes again",
            ),
            Acknowledges::BeforePublish => {
                ("after_read_before_publish", "the relay crashes with changes that the slot has let go")
            }
        };
        let mut schedules = vec![
            outbox::overlapping(&self.id()),
            outbox::relay_crashes_at(&self.id(), crash_at, about),
            flushed_and_not_visible(&self.id()),
        ];
        schedules.push(match self.acknowledges {
            Acknowledges::AfterPublish => outbox::writer_crashes_and_replies_are_lost(&self.id()),
            Acknowledges::BeforePublish => slot_falls_back(&self.id()),
        });
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

async fn peek_publish_advance(mut ctx: Ctx) -> Result<(), PortError> {
    let slot = ctx.unique("outbox");
    loop {
        let changes = ctx
            .db
            .query(
                "SELECT lsn::text AS lsn, data FROM pg_logical_slot_peek_changes($1, NULL, 100)",
                &[slot.as_str().into()],
            )
            .await?;
        for change in &changes {
            let data = change.text("data")?;
            if let Some(insert) = Insert::parse(data) {
                publish(&mut ctx, &insert).await?;
            } else if data.starts_with("COMMIT") {
                ctx.point("after_publish_before_ack").await?;
                // The position of the COMMIT: past this transaction, and before every other that commits
                // later. The position of a row would leave the transaction to come again.
                ctx.db
                    .query(
                        "SELECT pg_replication_slot_advance($1, $2::text::pg_lsn)::text",
                        &[slot.as_str().into(), change.text("lsn")?.into()],
                    )
                    .await?;
            }
        }
        if changes.is_empty() {
            ctx.idle(POLL).await;
        }
    }
}

async fn get_then_publish(mut ctx: Ctx) -> Result<(), PortError> {
    let slot = ctx.unique("outbox");
    loop {
        let changes = ctx
            .db
            .query("SELECT data FROM pg_logical_slot_get_changes($1, NULL, 100)", &[slot.as_str().into()])
            .await?;
        for change in &changes {
            if let Some(insert) = Insert::parse(change.text("data")?) {
                ctx.point("after_read_before_publish").await?;
                publish(&mut ctx, &insert).await?;
            }
        }
        if changes.is_empty() {
            ctx.idle(POLL).await;
        }
    }
}

/// Publishes an outbox row from what the stream says of it. The table is not read: the row may not be
/// visible yet.
async fn publish(ctx: &mut Ctx, insert: &Insert) -> Result<(), PortError> {
    if insert.table != "outbox" {
        return Ok(());
    }
    let text = |column: &str| {
        insert
            .get(column)
            .ok_or_else(|| PortError::shape(System::Db, format!("a change of the outbox has no `{column}`")))
    };
    let number = |column: &str| {
        text(column)?
            .parse::<i64>()
            .map_err(|_| PortError::shape(System::Db, format!("`{column}` of the outbox is no number")))
    };
    let payload = event::encode(text("op_id")?, number("ver")?.unsigned_abs(), number("value")?);
    ctx.broker.produce(event::TOPIC, text("key")?, &payload).await?;
    Ok(())
}

/// With synchronous replication a commit is in the stream before it is visible: the event is early.
fn flushed_and_not_visible(variant: &str) -> Schedule {
    let clients = vec![
        vec![Operation::write("a1", "k1", 11), Operation::write("a2", "k1", 12)],
        vec![Operation::read("b1", "k1"), Operation::read("b2", "k1")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::to_idle("relay"),
        Move::inject("db-sync-wait", None),
        Move::to_block("client-0"),
        Move::to_idle("relay"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
        Move::heal("db-sync-wait", None),
        Move::op("client-0"),
        Move::op("client-1"),
    ];
    let about = "a commit waits for its standby: it is in the stream, and no reader sees it";
    Schedule::directed(variant, "flushed-and-not-visible", about, Directed { clients, moves })
}

/// The place of a slot is on disk as of the last checkpoint: a database that is killed hands out again what
/// was taken since.
fn slot_falls_back(variant: &str) -> Schedule {
    let clients = vec![
        (1..=3).map(|n| Operation::write(&format!("a{n}"), "k1", 10 + n)).collect(),
        vec![Operation::read("b1", "k1")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::to_idle("relay"),
        Move::to_idle("consumer"),
        Move::inject("db-crash", None),
        Move::heal("db-crash", None),
        Move::op("client-0"),
        Move::op("client-0"),
        Move::to_idle("relay"),
        Move::to_idle("consumer"),
        Move::op("client-1"),
    ];
    let about = "the database is killed, and its slot hands out again what the relay has published";
    Schedule::directed(variant, "slot-falls-back", about, Directed { clients, moves })
}
