//! `outbox-poll-flag-single`: one relay publishes the outbox rows that are not marked, in the order of their
//! ids, and marks each once the broker has acknowledged it. An error stops it there; it begins again with
//! the same row.
//!
//! `/mark-before-publish` marks first: a crash between the two loses the event.

use std::time::Duration;

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs, Role, Service};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::port::PortError;
use crosscheck_harness::schedule::Schedule;
use crosscheck_models::property::Property;

use crate::parts::consumer::{self, Applies};
use crate::parts::contention::Waits;
use crate::parts::{contention, event, outbox, stock};

const POLL: Duration = Duration::from_millis(5);

/// When the relay marks a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Marks {
    /// Once the broker has acknowledged it.
    AfterPublish,
    /// Before it is sent: the bug.
    BeforePublish,
}

/// The design and its variant.
#[derive(Debug)]
pub struct OutboxPollFlagSingle {
    /// When the relay marks a row.
    pub marks: Marks,
}

#[async_trait]
impl Design for OutboxPollFlagSingle {
    fn id(&self) -> String {
        match self.marks {
            Marks::AfterPublish => "outbox-poll-flag-single".to_owned(),
            Marks::BeforePublish => "outbox-poll-flag-single/mark-before-publish".to_owned(),
        }
    }

    fn about(&self) -> String {
        match self.marks {
            Marks::AfterPublish => "an outbox whose one relay publishes what is not marked, then marks it",
            Marks::BeforePublish => "an outbox whose relay marks a row as published, then publishes it",
        }
        .to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, broker: true, cache: false }
    }

    fn claims(&self) -> Vec<Property> {
        outbox::claims()
    }

    fn faults(&self) -> Vec<&'static str> {
        match self.marks {
            Marks::AfterPublish => outbox::FAULTS.to_vec(),
            Marks::BeforePublish => vec!["app-crash@relay", "app-crash@client", "app-pause"],
        }
    }

    fn layout(&self) -> Layout {
        consumer::with_projection(outbox::with_outbox(event::with_topic(stock::layout())))
    }

    fn workload(&self) -> Workload {
        outbox::workload()
    }

    fn services(&self) -> Vec<Service> {
        let relay = match self.marks {
            Marks::AfterPublish => Service::new("relay", Role::Relay, publish_then_mark),
            Marks::BeforePublish => Service::new("relay", Role::Relay, mark_then_publish),
        };
        vec![relay, consumer::service(Applies::NewestVersion)]
    }

    fn schedules(&self) -> Vec<Schedule> {
        let (crash_at, about) = match self.marks {
            Marks::AfterPublish => {
                ("after_publish_before_mark", "the relay crashes after a publish, and publishes again")
            }
            Marks::BeforePublish => (
                "after_mark_before_publish",
                "the relay crashes after it has marked what it has not published",
            ),
        };
        let mut schedules =
            vec![outbox::overlapping(&self.id()), outbox::relay_crashes_at(&self.id(), crash_at, about)];
        if self.marks == Marks::AfterPublish {
            schedules.push(outbox::writer_crashes_and_replies_are_lost(&self.id()));
        }
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

const UNPUBLISHED: &str =
    "SELECT id, key, ver, op_id, value FROM outbox WHERE NOT published ORDER BY id LIMIT 100";
const MARK: &str = "UPDATE outbox SET published = true WHERE id = $1";

async fn publish_then_mark(mut ctx: Ctx) -> Result<(), PortError> {
    loop {
        let rows = ctx.db.query(UNPUBLISHED, &[]).await?;
        for row in &rows {
            outbox::publish(&mut ctx, row).await?;
            ctx.point("after_publish_before_mark").await?;
            ctx.db.execute(MARK, &[row.int("id")?.into()]).await?;
        }
        if rows.is_empty() {
            ctx.idle(POLL).await;
        }
    }
}

async fn mark_then_publish(mut ctx: Ctx) -> Result<(), PortError> {
    loop {
        let rows = ctx.db.query(UNPUBLISHED, &[]).await?;
        for row in &rows {
            ctx.db.execute(MARK, &[row.int("id")?.into()]).await?;
            ctx.point("after_mark_before_publish").await?;
            outbox::publish(&mut ctx, row).await?;
        }
        if rows.is_empty() {
            ctx.idle(POLL).await;
        }
    }
}
