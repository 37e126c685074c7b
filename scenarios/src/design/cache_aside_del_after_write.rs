//! `cache-aside-del-after-write`: a read takes the cache's entry, or fills it from the database; a write
//! commits to the database and then deletes the entry. Errors of the cache are swallowed: a cache may be
//! down, and reads then go to the database.
//!
//! A reader that has read the old value and has not yet filled the cache puts it there after the delete.
//! `/global-mutex` lets nobody in while another reads or writes, so only faults break it.

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::port::{CacheConnection, PortError};
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::history::CopyRow;
use crosscheck_models::property::Property;
use tokio::sync::Mutex;

use crate::parts::contention::Waits;
use crate::parts::{contention, entry, stock};

/// How many may use cache and database at once.
#[derive(Debug, Clone, Copy)]
pub enum Access {
    /// As many as there are clients.
    Concurrent,
    /// One at a time, read or write.
    OneAtATime,
}

/// The design and its variant.
#[derive(Debug)]
pub struct CacheAsideDelAfterWrite {
    /// How many may use cache and database at once.
    pub access: Access,
}

#[async_trait]
impl Design for CacheAsideDelAfterWrite {
    fn id(&self) -> String {
        match self.access {
            Access::Concurrent => "cache-aside-del-after-write".to_owned(),
            Access::OneAtATime => "cache-aside-del-after-write/global-mutex".to_owned(),
        }
    }

    fn about(&self) -> String {
        match self.access {
            Access::Concurrent => {
                "reads fill the cache from the database; writes commit, then delete the entry"
            }
            Access::OneAtATime => "a cache filled by reads and deleted by writes, one client at a time",
        }
        .to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, cache: true, broker: false }
    }

    fn claims(&self) -> Vec<Property> {
        entry::claims()
    }

    fn faults(&self) -> Vec<&'static str> {
        entry::FAULTS.to_vec()
    }

    fn layout(&self) -> Layout {
        stock::layout()
    }

    fn workload(&self) -> Workload {
        entry::workload()
    }

    fn staleness_bound_ms(&self) -> Option<u64> {
        Some(entry::BOUND_MS)
    }

    fn schedules(&self) -> Vec<Schedule> {
        let mut schedules = match self.access {
            Access::Concurrent => {
                vec![stale_fill(&self.id()), entry::lost_invalidation(&self.id(), &lost_delete())]
            }
            Access::OneAtATime => {
                vec![
                    entry::one_after_the_other(&self.id()),
                    entry::lost_invalidation(&self.id(), &lost_delete()),
                ]
            }
        };
        schedules.extend(contention::schedules(
            self,
            match self.access {
                Access::Concurrent => Waits::ForLock,
                Access::OneAtATime => Waits::ForTurn,
            },
        ));
        schedules
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        match self.access {
            Access::Concurrent => operate(ctx, operation).await,
            Access::OneAtATime => {
                let turn = ctx.shared::<Mutex<()>>();
                let _turn = turn.lock().await;
                operate(ctx, operation).await
            }
        }
    }

    async fn final_cache(
        &self,
        cache: &mut dyn CacheConnection,
        prefix: &str,
        keys: &[String],
    ) -> Result<Vec<CopyRow>, PortError> {
        let mut rows = Vec::new();
        for key in keys {
            let text = cache.command(&["GET", &format!("{prefix}{key}")]).await?.into_text()?;
            rows.extend(text.and_then(|text| entry::decode(key, &text)).map(entry::copy_row));
        }
        Ok(rows)
    }
}

async fn operate(ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
    match operation.f {
        OperationKind::Read => read(ctx, &operation.key).await,
        OperationKind::Write | OperationKind::Add => write(ctx, operation).await,
    }
}

async fn read(ctx: &mut Ctx, key: &str) -> Result<Done, Failure> {
    let name = ctx.unique(key);
    // An error of the cache is a miss.
    let cached = match ctx.cache.command(&["GET", &name]).await {
        Ok(reply) => reply.into_text().ok().flatten(),
        Err(_) => None,
    };
    if let Some(item) = cached.and_then(|text| entry::decode(key, &text)) {
        return Ok(Done::read(item));
    }
    let done = stock::read(ctx, key).await?;
    ctx.point("after_read_db_before_set_cache").await?;
    if let [item] = done.reads.as_slice() {
        let _filled = ctx.cache.command(&["SET", &name, &entry::encode(item)]).await;
    }
    Ok(done)
}

async fn write(ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
    let ver = stock::commit(ctx, operation).await?;
    ctx.point("after_commit_before_del").await?;
    let _deleted = ctx.cache.command(&["DEL", &ctx.unique(&operation.key)]).await;
    Ok(stock::written(operation, ver))
}

fn lost_delete() -> entry::Calls {
    entry::Calls { get: "GET", fill: "SET", invalidate: "DEL" }
}

/// A reader stands between its read of the database and its fill, while a writer commits and deletes.
fn stale_fill(variant: &str) -> Schedule {
    let clients = vec![
        vec![Operation::read("a1", "k1")],
        vec![
            Operation::write("b1", "k1", 21),
            Operation::read("b2", "k1"),
            Operation::read("b3", "k1"),
            Operation::read("b4", "k1"),
        ],
    ];
    let moves = vec![
        Move::to_point("client-0", "after_read_db_before_set_cache"),
        Move::op("client-1"),
        Move::op("client-1"),
        Move::op("client-0"),
        Move::op("client-1"),
        Move::wait(entry::BOUND_MS + 200),
        Move::op("client-1"),
    ];
    let about = "a reader fills the cache with what it read before a writer committed and deleted the entry";
    Schedule::directed(variant, "stale-fill", about, Directed { clients, moves })
}
