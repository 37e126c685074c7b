//! The local backend: one set of servers on this machine, and a proxy on every link to them.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::servers::LocalServers;
use super::{Finding, KafkaListener, Programs, Server, ServerKind, ServerSet, StartError};
use crate::backend::hosted::broker::BrokerKind;
use crate::backend::hosted::{self, BrokerOfServers, Hosted, HostedServer, Proxies, ServerCases};
use crate::backend::{Arena, Backend, HarnessError};
use crate::conform::Language;
use crate::database::DatabaseKind;
use crate::design::{Layout, Needs, Role};
use crate::port::System;

/// All must be quiet for this long before what is missing counts as lost.
const QUIET_MS: u64 = 300;

/// Servers of ours on this machine, with a fault proxy before each.
#[derive(Debug)]
pub struct LocalBackend {
    hosted: Arc<Hosted>,
    set: Arc<ServerSet>,
}

impl LocalBackend {
    /// Starts the servers that are needed. What dead owners left under `root` is swept first.
    ///
    /// # Errors
    /// Which program is missing or does not start, and what to do about it.
    pub async fn start(needs: Needs, programs: &Programs, root: &Path) -> Result<LocalBackend, HarnessError> {
        LocalBackend::start_on(DatabaseKind::Postgres, needs, programs, root).await
    }

    /// The same, with this database.
    ///
    /// # Errors
    /// As [`LocalBackend::start`].
    pub async fn start_on(
        database: DatabaseKind,
        needs: Needs,
        programs: &Programs,
        root: &Path,
    ) -> Result<LocalBackend, HarnessError> {
        let systems = hosted::wanted(needs);
        let proxies = hosted::bind_links(&systems).await?;
        let (hosted, set) = start(database, &systems, proxies, programs, root).await?;
        hosted::make_roles(&hosted).await?;
        Ok(LocalBackend { hosted: Arc::new(hosted), set })
    }

    /// Whether these servers are enough for a design with such needs.
    pub fn has(&self, needs: Needs) -> bool {
        self.hosted.has(needs)
    }
}

/// Starts the servers that conformance cases in these languages need.
///
/// # Errors
/// Which program is missing or does not start, and what to do about it.
pub async fn start_cases(
    languages: &BTreeSet<Language>,
    programs: &Programs,
    root: &Path,
) -> Result<ServerCases, HarnessError> {
    let systems: Vec<System> = languages.iter().map(|language| hosted::system_of(*language)).collect();
    let (hosted, _set) = start(DatabaseKind::Postgres, &systems, Proxies::new(), programs, root).await?;
    Ok(ServerCases::new(hosted))
}

async fn start(
    database: DatabaseKind,
    systems: &[System],
    proxies: Proxies,
    programs: &Programs,
    root: &Path,
) -> Result<(Hosted, Arc<ServerSet>), HarnessError> {
    let listeners: Vec<KafkaListener> = proxies
        .iter()
        .filter(|((system, _), _)| *system == System::Broker)
        .map(|((_, role), proxy)| KafkaListener { name: role.id().to_owned(), advertised: proxy.addr() })
        .collect();
    let broker = programs.broker()?;
    let kind_of = |system| kind_of(system, database, broker);
    let kinds: Vec<ServerKind> = systems.iter().filter_map(|system| kind_of(*system)).collect();
    let set = ServerSet::start(&kinds, programs, &listeners, root)
        .await
        .map_err(|error| could_not_start(&error, programs))?;
    let set = Arc::new(set);
    let mut servers: BTreeMap<System, Box<dyn HostedServer>> = BTreeMap::new();
    for system in systems {
        if let Some(server) = kind_of(*system).and_then(|kind| set.server(kind)) {
            let one = OfSet { server: server.clone(), _set: set.clone() };
            servers.insert(*system, Box::new(one));
        }
    }
    let feeds = match programs.is_sinkless() {
        true => BrokerOfServers::Unreachable,
        false => BrokerOfServers::RelaysLink,
    };
    let hosted = Hosted::new("local", servers, proxies, BTreeMap::new())
        .with_database(database)
        .with_broker_of_servers(feeds);
    Ok((hosted, set))
}

fn kind_of(system: System, database: DatabaseKind, broker: BrokerKind) -> Option<ServerKind> {
    match system {
        System::Db => Some(match database {
            DatabaseKind::Postgres => ServerKind::Postgres,
            DatabaseKind::Cockroach => ServerKind::Cockroach,
        }),
        System::Cache => Some(ServerKind::RedisCache),
        System::Broker => Some(match broker {
            BrokerKind::Kafka => ServerKind::Kafka,
            BrokerKind::Redpanda => ServerKind::Redpanda,
        }),
        System::App => None,
    }
}

/// A server, and the set that ends it: the last one that is dropped ends them all.
#[derive(Debug)]
struct OfSet {
    server: Server,
    _set: Arc<ServerSet>,
}

#[async_trait]
impl HostedServer for OfSet {
    fn name(&self) -> &'static str {
        self.server.kind().name()
    }

    fn version(&self) -> String {
        self.server.version().to_owned()
    }

    fn addr(&self, role: Option<Role>) -> Option<SocketAddr> {
        match (self.server.kind(), role) {
            (ServerKind::Kafka | ServerKind::Redpanda, Some(role)) => self.server.listener(role.id()),
            _ => Some(self.server.addr()),
        }
    }

    fn log(&self) -> Option<PathBuf> {
        Some(self.server.log_path().to_owned())
    }

    async fn kill(&self) -> Result<(), HarnessError> {
        self.server.kill().await.map_err(failed)
    }

    async fn stop(&self) -> Result<(), HarnessError> {
        self.server.stop().await.map_err(failed)
    }

    async fn pause(&self) -> Result<(), HarnessError> {
        self.server.pause().await.map_err(failed)
    }

    async fn resume(&self) -> Result<(), HarnessError> {
        self.server.resume().await.map_err(failed)
    }

    async fn start(&self) -> Result<(), HarnessError> {
        self.server.start().await.map_err(failed)
    }

    async fn ping(&self, timeout: Duration) -> Result<(), HarnessError> {
        self.server.ping(timeout).await.map_err(failed)
    }
}

fn failed(error: impl std::fmt::Display) -> HarnessError {
    HarnessError::failed(error.to_string())
}

#[async_trait]
impl Backend for LocalBackend {
    fn name(&self) -> &'static str {
        self.hosted.backend()
    }

    fn database(&self) -> DatabaseKind {
        self.hosted.database()
    }

    fn versions(&self) -> BTreeMap<String, String> {
        self.hosted.versions()
    }

    fn logs(&self) -> Vec<(String, PathBuf)> {
        self.hosted.logs()
    }

    async fn open(&self, needs: Needs, layout: &Layout, tag: &str) -> Result<Arena, HarnessError> {
        let servers = LocalServers { set: self.set.clone(), hosted: self.hosted.clone() };
        hosted::open(&self.hosted, Arc::new(servers), needs, layout, tag).await
    }

    fn quiet_ms(&self) -> u64 {
        QUIET_MS
    }
}

/// A program that is not there is missing; one that is named and wrong, or does not start, has failed.
fn could_not_start(error: &StartError, programs: &Programs) -> HarnessError {
    match error {
        StartError::Unavailable(program)
            if !matches!(programs.finding(program.program), Finding::Wrong { .. }) =>
        {
            HarnessError::Missing { what: program.reason.clone(), advice: program.advice.clone() }
        }
        StartError::Unavailable(_)
        | StartError::Ended { .. }
        | StartError::NotReady { .. }
        | StartError::Preparation { .. }
        | StartError::Gone { .. } => HarnessError::failed(error.to_string()),
    }
}
