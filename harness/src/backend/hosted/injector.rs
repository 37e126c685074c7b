//! The faults of real servers: what can be done to each as a whole, faults of the proxies on the links, and what
//! can be asked of the servers themselves.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::{Hosted, HostedServer};
use crate::backend::effect::{Effects, Site};
use crate::backend::kind::Kind;
use crate::backend::{HarnessError, Hits, Injector};
use crate::database::DatabaseKind;
use crate::design::Role;
use crate::fault::At;
use crate::port::{Database, System};
use crate::proxy::{HealMode, NetFault, Proxy, ProxyStats, Sighting};
use crate::schedule::FaultOn;
use crate::system::postgres::PostgresDatabase;

/// How long an answer to a ping is waited for.
const PING: Duration = Duration::from_secs(2);

/// How often a server is asked whether it is back.
const BACK_TRIES: usize = 10;

/// Injects faults into one set of servers.
pub(super) struct ServerInjector {
    hosted: Arc<Hosted>,
    admin: Option<PostgresDatabase>,
    effects: Effects,
    /// What the proxies had counted when a fault of theirs began.
    before: Mutex<BTreeMap<(FaultOn, String), ProxyStats>>,
}

impl ServerInjector {
    pub(super) fn new(hosted: Arc<Hosted>, site: Site) -> Self {
        let (admin, effects) = (site.admin.clone(), Effects::new(site));
        ServerInjector { hosted, admin, effects, before: Mutex::default() }
    }

    fn server(&self, system: System) -> Result<&dyn HostedServer, HarnessError> {
        self.hosted.server(system)
    }

    fn links(&self, system: System, on: &FaultOn) -> Result<Vec<&Proxy>, HarnessError> {
        let links: Vec<&Proxy> = self
            .hosted
            .proxies()
            .iter()
            .filter(|((of, role), _)| {
                *of == system && on.of.as_deref().is_none_or(|name| role_is(*role, name))
            })
            .map(|(_, proxy)| proxy)
            .collect();
        if links.is_empty() {
            let of = on.of.as_deref().unwrap_or("anybody");
            return Err(HarnessError::failed(format!("there is no link of {of} to the {system}")));
        }
        Ok(links)
    }

    async fn cut_link(&self, on: &FaultOn, system: System, fault: NetFault) -> Result<(), HarnessError> {
        for proxy in self.links(system, on)? {
            self.note(on, proxy);
            proxy.inject(fault);
            proxy
                .verify()
                .await
                .map_err(|reason| HarnessError::failed(format!("{}: {reason}", proxy.name())))?;
        }
        Ok(())
    }

    /// What the proxy had counted when the fault began, or began to be waited for.
    fn note(&self, on: &FaultOn, proxy: &Proxy) {
        let mut before = self.before.lock().expect("no code panics while it holds the counters");
        before.entry((on.clone(), proxy.name().to_owned())).or_insert_with(|| proxy.stats());
    }

    fn heal_link(&self, on: &FaultOn, system: System, fault: NetFault) -> Result<Hits, HarnessError> {
        let mut hits = Hits::default();
        let mut details = Vec::new();
        for proxy in self.links(system, on)? {
            // Counted before the heal and after: a heal resets what a cut held.
            proxy
                .heal_only(&fault, HealMode::Reset)
                .map_err(|error| HarnessError::failed(error.to_string()))?;
            let before = self
                .before
                .lock()
                .expect("no code panics while it holds the counters")
                .remove(&(on.clone(), proxy.name().to_owned()))
                .unwrap_or_default();
            let (count, detail) = hits_of(&before, &proxy.stats());
            hits.count += count;
            if count > 0 {
                details.push(format!("{}: {detail}", proxy.name()));
            }
        }
        hits.detail = details.join("; ");
        Ok(hits)
    }

    async fn set_standby(&self, name: &str) -> Result<(), HarnessError> {
        let admin = self.admin.as_ref().ok_or_else(|| HarnessError::failed("this run has no database"))?;
        let mut connection = admin.connect().await?;
        connection.execute(&format!("ALTER SYSTEM SET synchronous_standby_names = '{name}'"), &[]).await?;
        connection.query("SELECT pg_reload_conf()", &[]).await?;
        for _ in 0..200 {
            // Each session takes up the change at its own next command.
            let mut probe = admin.connect().await?;
            let row = probe.query("SHOW synchronous_standby_names", &[]).await?;
            if row.first().map(|row| row.text("synchronous_standby_names")).transpose()? == Some(name) {
                return Ok(());
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Err(HarnessError::failed("PostgreSQL did not take up synchronous_standby_names"))
    }

    async fn back(&self, system: System) -> Result<Hits, HarnessError> {
        let server = self.server(system)?;
        for _ in 0..BACK_TRIES {
            if server.ping(PING).await.is_ok() {
                return Ok(Hits { count: 1, detail: format!("{} is back", server.name()) });
            }
        }
        Err(HarnessError::failed(format!("{} does not come back", server.name())))
    }
}

#[async_trait]
impl Injector for ServerInjector {
    fn can(&self, on: &FaultOn) -> Result<(), HarnessError> {
        if let Some(lacks) = self.hosted.database().lacks_fault(&on.fault) {
            let (name, option) = match self.hosted.database() {
                DatabaseKind::Postgres => ("CockroachDB", "cockroach"),
                DatabaseKind::Cockroach => ("PostgreSQL", "postgres"),
            };
            let advice = format!("leave the fault out, or run it on {name} (--database {option})");
            return Err(HarnessError::Missing { what: lacks.to_owned(), advice });
        }
        match Kind::of(on, self.hosted.backend())? {
            Kind::Link(system, _) => self.links(system, on).map(drop),
            Kind::Crash(system) | Kind::Restart(system) | Kind::Pause(system) => {
                self.server(system).map(drop)
            }
            Kind::SyncWait => self.server(System::Db).map(drop),
            Kind::Flush => self.server(System::Cache).map(drop),
            Kind::Effect(_) => self.effects.can(on),
        }
    }

    async fn sight(&self, on: &FaultOn, at: &At, patience: Duration) -> Result<(), HarnessError> {
        let kind = Kind::of(on, self.hosted.backend())?;
        let (system, fault) = match kind {
            Kind::Link(system, fault) => (system, Some(fault)),
            _ => (kind.system(), None),
        };
        let links = self.links(system, on)?;
        let sighting = Arc::new(Sighting::new(&at.begins, at.nth));
        for link in &links {
            self.note(on, link);
            link.watch(&sighting, fault);
        }
        let came = tokio::time::timeout(patience, sighting.came()).await;
        links.iter().for_each(|link| link.unwatch(&sighting));
        came.map_err(|_| {
            let (seen, begins, nth) = (sighting.seen(), &at.begins, at.nth);
            let waited_s = patience.as_secs();
            HarnessError::failed(format!(
                "its link carried {seen} of {nth} requests that begin with {begins} within {waited_s} s"
            ))
        })
    }

    async fn inject(&self, on: &FaultOn) -> Result<(), HarnessError> {
        match Kind::of(on, self.hosted.backend())? {
            Kind::Link(system, fault) => self.cut_link(on, system, fault).await,
            Kind::Crash(system) => self.server(system)?.kill().await,
            Kind::Restart(system) => self.server(system)?.stop().await,
            Kind::Pause(system) => self.server(system)?.pause().await,
            Kind::SyncWait => self.set_standby("nobody").await,
            Kind::Flush => {
                let addr = self.hosted.direct(System::Cache);
                let addr = addr.ok_or_else(|| HarnessError::failed("this run has no cache"))?;
                let cache = crate::system::redis::RedisCache::new(addr);
                let mut connection = crate::port::Cache::connect(&cache).await?;
                connection.command(&["FLUSHALL"]).await?;
                Ok(())
            }
            Kind::Effect(_) => self.effects.begin(on).await,
        }
    }

    fn has_hit(&self, on: &FaultOn) -> bool {
        let system = match Kind::of(on, self.hosted.backend()) {
            Ok(Kind::Link(system, _)) => system,
            Ok(Kind::Effect(_)) => return self.effects.has_hit(on),
            _ => return true,
        };
        let before = self.before.lock().expect("no code panics while it holds the counters");
        self.links(system, on).is_ok_and(|links| {
            links.iter().any(|proxy| {
                let then = before.get(&(on.clone(), proxy.name().to_owned()));
                then.is_some_and(|then| hits_of(then, &proxy.stats()).0 > 0)
            })
        })
    }

    async fn heal(&self, on: &FaultOn) -> Result<Hits, HarnessError> {
        match Kind::of(on, self.hosted.backend())? {
            Kind::Link(system, fault) => self.heal_link(on, system, fault),
            Kind::Crash(system) | Kind::Restart(system) => {
                self.hosted.start_again(system).await?;
                self.back(system).await
            }
            Kind::Pause(system) => {
                self.server(system)?.resume().await?;
                self.back(system).await
            }
            Kind::SyncWait => {
                self.set_standby("").await?;
                Ok(Hits { count: 1, detail: "commits waited for a standby that is not there".to_owned() })
            }
            Kind::Flush => Ok(Hits { count: 1, detail: "the cache was emptied".to_owned() }),
            Kind::Effect(_) => self.effects.heal(on).await,
        }
    }
}

fn role_is(role: Role, name: &str) -> bool {
    role.id() == name
}

/// What a fault of a link hit: connections that it reset, refused or turned away, bytes that it held, chunks that it
/// made wait.
fn hits_of(before: &ProxyStats, after: &ProxyStats) -> (u64, String) {
    let reset = after.reset_by_fault - before.reset_by_fault;
    let refused = after.refused - before.refused;
    let turned_away = after.without_upstream - before.without_upstream;
    let held = after.requests.held_bytes - before.requests.held_bytes + after.replies.held_bytes
        - before.replies.held_bytes;
    let delayed = after.requests.delayed_chunks - before.requests.delayed_chunks
        + after.replies.delayed_chunks
        - before.replies.delayed_chunks;
    let ends = after.requests.delayed_ends - before.requests.delayed_ends + after.replies.delayed_ends
        - before.replies.delayed_ends;
    let parts: Vec<String> = [
        (reset, "connections reset"),
        (refused, "connections refused"),
        (turned_away, "connections turned away"),
        (held, "bytes held"),
        (delayed, "chunks delayed"),
        (ends, "closes delayed"),
    ]
    .into_iter()
    .filter(|(count, _)| *count > 0)
    .map(|(count, what)| format!("{count} {what}"))
    .collect();
    (reset + refused + turned_away + held + delayed + ends, parts.join(", "))
}
