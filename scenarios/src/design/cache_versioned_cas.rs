//! `cache-versioned-cas`: every entry carries its version, and the cache itself (a script, so in one step)
//! takes only what is newer. A write leaves a tombstone with its version, so that a reader that is late
//! cannot put back what is older.
//!
//! `/no-tombstone` deletes the entry instead: then there is nothing to compare with.

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::port::{CacheConnection, PortError, Reply};
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::history::{CopyRow, ReadItem, Scalar, Source};
use crosscheck_models::property::Property;

use crate::parts::contention::Waits;
use crate::parts::{contention, entry, stock};

/// How long a tombstone stays: longer than any reader takes from its read to its fill.
const TOMBSTONE_MS: &str = "60000";

/// Fills an entry: if there is none, or an older one, or a tombstone of the same version or an older.
const FILL: &str = "-- fill
     local ver = redis.call('HGET', KEYS[1], 'ver') \
     local dead = redis.call('HGET', KEYS[1], 'dead') \
     if ver and (tonumber(ver) > tonumber(ARGV[1]) or (tonumber(ver) == tonumber(ARGV[1]) and dead ~= '1')) \
     then return 0 end \
     redis.call('DEL', KEYS[1]) \
     redis.call('HSET', KEYS[1], 'ver', ARGV[1], 'value', ARGV[2]) \
     return 1";

/// Leaves a tombstone: unless what is there is newer.
const BURY: &str = "-- bury
     local ver = redis.call('HGET', KEYS[1], 'ver') \
     if ver and tonumber(ver) >= tonumber(ARGV[1]) then return 0 end \
     redis.call('DEL', KEYS[1]) \
     redis.call('HSET', KEYS[1], 'ver', ARGV[1], 'dead', '1') \
     redis.call('PEXPIRE', KEYS[1], ARGV[2]) \
     return 1";

/// What a write leaves in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Leaves {
    /// A tombstone with its version.
    Tombstone,
    /// Nothing: the bug.
    Nothing,
}

/// The design and its variant.
#[derive(Debug)]
pub struct CacheVersionedCas {
    /// What a write leaves in the cache.
    pub leaves: Leaves,
}

#[async_trait]
impl Design for CacheVersionedCas {
    fn id(&self) -> String {
        match self.leaves {
            Leaves::Tombstone => "cache-versioned-cas".to_owned(),
            Leaves::Nothing => "cache-versioned-cas/no-tombstone".to_owned(),
        }
    }

    fn about(&self) -> String {
        match self.leaves {
            Leaves::Tombstone => {
                "a cache that takes only newer versions; a write leaves a tombstone with its own"
            }
            Leaves::Nothing => "a cache that takes only newer versions; a write deletes the entry",
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
        let invalidate = match self.leaves {
            Leaves::Tombstone => "EVAL bury",
            Leaves::Nothing => "DEL",
        };
        let calls = entry::Calls { get: "HMGET", fill: "EVAL fill", invalidate };
        let mut schedules = vec![late_fill(&self.id()), entry::lost_invalidation(&self.id(), &calls)];
        schedules.extend(contention::schedules(self, Waits::ForLock));
        schedules
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        match operation.f {
            OperationKind::Read => read(ctx, &operation.key).await,
            OperationKind::Write | OperationKind::Add => self.write(ctx, operation).await,
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
            let reply = cache.command(&["HMGET", &format!("{prefix}{key}"), "ver", "value"]).await?;
            rows.extend(found(key, reply)?.map(entry::copy_row));
        }
        Ok(rows)
    }
}

impl CacheVersionedCas {
    async fn write(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        let ver = stock::commit(ctx, operation).await?;
        ctx.point("after_commit_before_invalidate").await?;
        let name = ctx.unique(&operation.key);
        let version = ver.to_string();
        // An error of the cache is swallowed: the write is committed.
        let _invalidated = match self.leaves {
            Leaves::Tombstone => ctx.cache.command(&["EVAL", BURY, "1", &name, &version, TOMBSTONE_MS]).await,
            Leaves::Nothing => ctx.cache.command(&["DEL", &name]).await,
        };
        Ok(stock::written(operation, ver))
    }
}

async fn read(ctx: &mut Ctx, key: &str) -> Result<Done, Failure> {
    let name = ctx.unique(key);
    // An error of the cache is a miss.
    let cached = match ctx.cache.command(&["HMGET", &name, "ver", "value"]).await {
        Ok(reply) => found(key, reply).ok().flatten(),
        Err(_) => None,
    };
    if let Some(item) = cached {
        return Ok(Done::read(item));
    }
    let done = stock::read(ctx, key).await?;
    ctx.point("after_read_db_before_set_cache").await?;
    if let [ReadItem { ver: Some(ver), value: Scalar::Int(value), .. }] = done.reads.as_slice() {
        let (ver, value) = (ver.to_string(), value.to_string());
        let _filled = ctx.cache.command(&["EVAL", FILL, "1", &name, &ver, &value]).await;
    }
    Ok(done)
}

/// What an entry holds; a tombstone holds no value.
fn found(key: &str, reply: Reply) -> Result<Option<ReadItem>, PortError> {
    let Reply::Array(parts) = reply else { return Ok(None) };
    let mut texts = Vec::new();
    for part in parts {
        texts.push(part.into_text()?);
    }
    let [Some(ver), Some(value)] = texts.as_slice() else { return Ok(None) };
    let (Ok(ver), Ok(value)) = (ver.parse(), value.parse()) else { return Ok(None) };
    Ok(Some(ReadItem {
        key: key.into(),
        ver: Some(ver),
        value: Scalar::Int(value),
        source: Some(Source::Cache),
    }))
}

/// A reader stands between its read of the database and its fill, while two writes go by.
fn late_fill(variant: &str) -> Schedule {
    let clients = vec![
        vec![Operation::read("a1", "k1")],
        vec![
            Operation::write("b1", "k1", 21),
            Operation::read("b2", "k1"),
            Operation::read("b3", "k1"),
            Operation::read("b4", "k1"),
        ],
        vec![Operation::write("c1", "k1", 31), Operation::read("c2", "k1")],
    ];
    let moves = vec![
        Move::to_point("client-0", "after_read_db_before_set_cache"),
        Move::op("client-1"),
        Move::op("client-1"),
        Move::op("client-2"),
        Move::op("client-0"),
        Move::op("client-1"),
        Move::op("client-2"),
        Move::wait(entry::BOUND_MS + 200),
        Move::op("client-1"),
    ];
    let about = "a reader is late with its fill, and two writes have gone by";
    Schedule::directed(variant, "late-fill", about, Directed { clients, moves })
}
