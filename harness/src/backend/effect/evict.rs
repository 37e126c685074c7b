//! `cache-evict`: the cache is full, and throws out any key for any other (`allkeys-random`): entries of the design
//! go one by one, without a trace and long before they expire.

use async_trait::async_trait;
use tokio::task::AbortHandle;

use super::{Effect, Lasting, PROBE_EVERY, Site, until};
use crate::backend::{HarnessError, Hits};
use crate::port::{CacheConnection, System};
use crate::schedule::FaultOn;

/// The effect.
pub(super) struct Evict;

/// Few and large: most keys that could be thrown out are the design's.
const FILLERS: usize = 24;
const FILLER_BYTES: usize = 256 * 1024;

struct Evicting {
    /// What `maxmemory` and `maxmemory-policy` were.
    before: [String; 2],
    evicted: u64,
    filling: Filling,
}

/// The task that keeps the cache full.
struct Filling(AbortHandle);

impl Drop for Filling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

const SETTINGS: [&str; 2] = ["maxmemory", "maxmemory-policy"];

#[async_trait]
impl Effect for Evict {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(System::Cache, on)
    }

    async fn begin(&self, site: &Site, _on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let mut cache = site.cache_session().await?;
        let before = [setting(&mut *cache, SETTINGS[0]).await?, setting(&mut *cache, SETTINGS[1]).await?];
        let evicted = info(&mut *cache, "stats", "evicted_keys").await?;
        for number in 0..FILLERS {
            fill(&mut *cache, &site.prefix, number).await?;
        }
        let used = info(&mut *cache, "memory", "used_memory").await?.to_string();
        cache.command(&["CONFIG", "SET", "maxmemory-policy", "allkeys-random"]).await?;
        cache.command(&["CONFIG", "SET", "maxmemory", &used]).await?;
        let filling = keep_full(site.cache_session().await?, site.prefix.clone());
        let filling = Filling(tokio::spawn(filling).abort_handle());
        let cache = tokio::sync::Mutex::new(cache);
        until("the cache evicted nothing", || async {
            Ok(info(&mut **cache.lock().await, "stats", "evicted_keys").await? > evicted)
        })
        .await?;
        Ok(Box::new(Evicting { before, evicted, filling }))
    }
}

async fn keep_full(mut cache: Box<dyn CacheConnection>, prefix: String) {
    for number in (0..FILLERS).cycle() {
        if fill(&mut *cache, &prefix, number).await.is_err() {
            return;
        }
        tokio::time::sleep(PROBE_EVERY / 4).await;
    }
}

fn filler(prefix: &str, number: usize) -> String {
    format!("{prefix}filler:{number}")
}

async fn fill(cache: &mut dyn CacheConnection, prefix: &str, number: usize) -> Result<(), HarnessError> {
    cache.command(&["SET", &filler(prefix, number), &"x".repeat(FILLER_BYTES)]).await?;
    Ok(())
}

/// A setting of Redis.
async fn setting(cache: &mut dyn CacheConnection, name: &str) -> Result<String, HarnessError> {
    let reply = cache.command(&["CONFIG", "GET", name]).await?;
    let value = match reply {
        crate::port::Reply::Array(mut pair) if pair.len() == 2 => pair.remove(1).into_text()?,
        _ => None,
    };
    value.ok_or_else(|| HarnessError::failed(format!("Redis does not tell its {name}")))
}

/// A number of Redis' own counts.
pub(super) async fn info(
    cache: &mut dyn CacheConnection,
    section: &str,
    name: &str,
) -> Result<u64, HarnessError> {
    let text = cache.command(&["INFO", section]).await?.into_text()?.unwrap_or_default();
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')?.trim().parse().ok());
    value.ok_or_else(|| HarnessError::failed(format!("Redis does not tell its {name}")))
}

#[async_trait]
impl Lasting for Evicting {
    async fn heal(self: Box<Self>, site: &Site) -> Result<Hits, HarnessError> {
        drop(self.filling);
        let mut cache = site.cache_session().await?;
        let count = info(&mut *cache, "stats", "evicted_keys").await?.saturating_sub(self.evicted);
        for (name, value) in SETTINGS.iter().zip(&self.before) {
            cache.command(&["CONFIG", "SET", name, value]).await?;
        }
        for number in 0..FILLERS {
            cache.command(&["UNLINK", &filler(&site.prefix, number)]).await?;
        }
        let after = [setting(&mut *cache, SETTINGS[0]).await?, setting(&mut *cache, SETTINGS[1]).await?];
        if after != self.before {
            return Err(HarnessError::failed("the cache did not take its limits back"));
        }
        Ok(Hits { count, detail: format!("{count} keys evicted") })
    }
}
