//! Two caches that are sent the same.

use std::fmt;
use std::net::SocketAddr;

use crosscheck_harness::model::cache::ModelCache;
use crosscheck_harness::model::footprint::Footprints;
use crosscheck_harness::port::{Cache, CacheConnection, PortError, Reply};
use crosscheck_harness::system::redis::RedisCache;

/// How many connections each has.
pub(crate) const CONNECTIONS: usize = 2;

/// A command on one of the connections.
#[derive(Debug, Clone)]
pub(crate) struct Line {
    pub(crate) connection: usize,
    pub(crate) words: Vec<String>,
}

impl fmt::Display for Line {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {:?}", self.connection, self.words)
    }
}

/// A real Redis and the model's.
pub(crate) struct Twins {
    redis: RedisCache,
    reset: Box<dyn CacheConnection>,
}

/// Commands that tell a set, in an order that is none.
const UNORDERED: [&str; 6] = ["KEYS", "SMEMBERS", "SINTER", "SUNION", "SDIFF", "SSCAN"];

/// What remains of a key that ends at a given time, and not after one: more than any of the latter.
const FAR_SECONDS: i64 = 1_000_000_000;

impl Twins {
    pub(crate) async fn at(addr: SocketAddr) -> Self {
        let redis = RedisCache::new(addr);
        let mut reset = redis.connect().await.expect("the server is up");
        // The server looks that often whether somebody waited long enough.
        reset.command(&["CONFIG", "SET", "hz", "500"]).await.expect("the server is up");
        Twins { redis, reset }
    }

    /// Sends the lines to both, which are empty at first, and tells the first difference.
    pub(crate) async fn compare(&mut self, lines: &[Line]) -> Option<String> {
        for command in [&["FLUSHALL"][..], &["SCRIPT", "FLUSH"]] {
            self.reset.command(command).await.expect("the server is up");
        }
        let model = ModelCache::new(1, Footprints::default());
        let mut real = connections(&self.redis).await;
        let mut modelled = connections(&model).await;
        for line in lines {
            let words: Vec<&str> = line.words.iter().map(String::as_str).collect();
            let expected = told(&words, real[line.connection].command(&words).await);
            let actual = told(&words, modelled[line.connection].command(&words).await);
            if expected != actual {
                return Some(format!("{line}\n Redis: {expected:?}\n model: {actual:?}"));
            }
        }
        None
    }
}

async fn connections(cache: &dyn Cache) -> Vec<Box<dyn CacheConnection>> {
    let mut connections = Vec::new();
    for _ in 0..CONNECTIONS {
        connections.push(cache.connect().await.expect("the server is up"));
    }
    connections
}

fn told(words: &[&str], reply: Result<Reply, PortError>) -> Result<Reply, PortError> {
    let name = words.first().copied().unwrap_or_default().to_ascii_uppercase();
    reply.map(|reply| match reply {
        // Until a given time, by clocks that differ.
        Reply::Int(FAR_SECONDS..) if name == "TTL" => Reply::Int(FAR_SECONDS),
        reply if UNORDERED.contains(&name.as_str()) => sorted(reply),
        reply => reply,
    })
}

fn sorted(reply: Reply) -> Reply {
    let Reply::Array(all) = reply else { return reply };
    let mut all: Vec<Reply> = all.into_iter().map(sorted).collect();
    all.sort_by_key(|reply| format!("{reply:?}"));
    Reply::Array(all)
}
