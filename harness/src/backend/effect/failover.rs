//! `cache-failover`: the cache has a replica that lags. The cache is killed, the replica is promoted and the links
//! lead to it: writes that were acknowledged are gone. At the end all goes back, in order and without loss.

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;

use super::evict::info;
use super::{Effect, Lasting, Site, until};
use crate::backend::{HarnessError, Hits};
use crate::port::{Cache as _, CacheConnection, System};
use crate::schedule::FaultOn;
use crate::system::redis::RedisCache;

/// The effect.
pub(super) struct Failover;

/// How far the replica lags: what is written in this time and acknowledged is lost.
const LAG: Duration = Duration::from_millis(150);

struct FailedOver {
    replica: SocketAddr,
    lost_bytes: u64,
}

#[async_trait]
impl Effect for Failover {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(System::Cache, on)?;
        site.servers.can_replicate()
    }

    async fn begin(&self, site: &Site, _on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let primary = site.cache_addr()?;
        let replica = site.servers.start_replica().await?;
        follow(replica, primary).await?;
        // From here on it lags: it hears of nothing more.
        let mut promoted = connect(replica).await?;
        promoted.command(&["REPLICAOF", "NO", "ONE"]).await?;
        let heard = offset(&mut *promoted).await?;
        tokio::time::sleep(LAG).await;
        let mut old = connect(primary).await?;
        let witness = format!("{}acknowledged", site.prefix);
        old.command(&["SET", &witness, "yes"]).await?;
        let lost_bytes = offset(&mut *old).await?.saturating_sub(heard);
        site.servers.kill(System::Cache).await?;
        site.servers.lead_cache_to(replica)?;
        if promoted.command(&["GET", &witness]).await?.into_text()?.is_some() {
            return Err(HarnessError::failed("the replica lost nothing that had been acknowledged"));
        }
        Ok(Box::new(FailedOver { replica, lost_bytes }))
    }
}

async fn connect(addr: SocketAddr) -> Result<Box<dyn CacheConnection>, HarnessError> {
    Ok(RedisCache::new(addr).connect().await?)
}

/// How far the log of writes has come.
async fn offset(cache: &mut dyn CacheConnection) -> Result<u64, HarnessError> {
    info(cache, "replication", "master_repl_offset").await
}

/// Has one follow the other, and waits until it has all.
async fn follow(follower: SocketAddr, leader: SocketAddr) -> Result<(), HarnessError> {
    // By default it waits 5 s for other replicas before it sends all that it has.
    connect(leader).await?.command(&["CONFIG", "SET", "repl-diskless-sync-delay", "0"]).await?;
    let (host, port) = (leader.ip().to_string(), leader.port().to_string());
    connect(follower).await?.command(&["REPLICAOF", &host, &port]).await?;
    until("the replica does not catch up", || async {
        let mut cache = connect(follower).await?;
        let text = cache.command(&["INFO", "replication"]).await?.into_text()?.unwrap_or_default();
        Ok(text.lines().any(|line| line.trim() == "master_link_status:up"))
    })
    .await
}

#[async_trait]
impl Lasting for FailedOver {
    async fn heal(self: Box<Self>, site: &Site) -> Result<Hits, HarnessError> {
        let primary = site.cache_addr()?;
        site.servers.start(System::Cache).await?;
        follow(primary, self.replica).await?;
        let mut from = connect(self.replica).await?;
        // Nobody writes from here on; reads go on.
        from.command(&["CLIENT", "PAUSE", "10000", "WRITE"]).await?;
        let written = offset(&mut *from).await?;
        until("the cache does not catch up with its replica", || async {
            let mut to = connect(primary).await?;
            Ok(info(&mut *to, "replication", "slave_repl_offset").await? >= written)
        })
        .await?;
        connect(primary).await?.command(&["REPLICAOF", "NO", "ONE"]).await?;
        site.servers.lead_cache_to(primary)?;
        // With it go the connections to it, and whoever was paused.
        site.servers.stop_replica().await?;
        let bytes = self.lost_bytes;
        Ok(Hits { count: 1, detail: format!("{bytes} bytes of acknowledged writes were lost") })
    }
}
