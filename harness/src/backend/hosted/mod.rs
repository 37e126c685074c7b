//! What the backends with real servers share, whatever the servers run in: the links to them through fault
//! proxies, a run's arena on them, its faults, and conformance cases.

mod arena;
pub(crate) mod broker;
mod cases;
mod feeds;
mod injector;
mod lock_waits;
mod refused;
mod servers;
pub(crate) mod settings;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;

use super::HarnessError;
use crate::database::DatabaseKind;
use crate::design::{Needs, Role};
use crate::port::System;
use crate::proxy::{Protocol, Proxy};

pub(crate) use arena::make_roles;
pub(in crate::backend) use arena::open;
pub use cases::ServerCases;
pub(crate) use cases::system_of;
pub(in crate::backend) use servers::HostedServers;

/// A server as faults and links see it.
#[async_trait]
pub(crate) trait HostedServer: fmt::Debug + Send + Sync {
    /// What it is called in messages: `postgres`.
    fn name(&self) -> &'static str;

    /// Which version runs.
    fn version(&self) -> String;

    /// Where clients of a role are served right now, or the harness itself; after a restart this may be
    /// another port.
    fn addr(&self, role: Option<Role>) -> Option<SocketAddr>;

    /// Where its log is, if it is a file.
    fn log(&self) -> Option<PathBuf>;

    /// Ends it without warning; returns once it has ended.
    async fn kill(&self) -> Result<(), HarnessError>;

    /// Ends it in good order.
    async fn stop(&self) -> Result<(), HarnessError>;

    /// Makes all of it stand still; returns once it does.
    async fn pause(&self) -> Result<(), HarnessError>;

    /// Lets it go on.
    async fn resume(&self) -> Result<(), HarnessError>;

    /// Starts it again with its data, and returns once it answers.
    async fn start(&self) -> Result<(), HarnessError>;

    /// One protocol round trip on a new connection.
    async fn ping(&self, timeout: Duration) -> Result<(), HarnessError>;
}

/// How servers reach the broker among themselves.
#[derive(Debug, Clone)]
pub(crate) enum BrokerOfServers {
    /// By the relay's link, whose part a changefeed plays.
    RelaysLink,
    /// By this address.
    At(String),
    /// Not at all.
    Unreachable,
}

/// The links of roles to systems, each with a proxy of its own.
pub(crate) type Proxies = BTreeMap<(System, Role), Proxy>;

/// Servers that run, at most one of each system, with the links to them.
#[derive(Debug)]
pub(crate) struct Hosted {
    backend: &'static str,
    proxies: Proxies,
    /// The harness's own links where a server's address may change, as a container's does.
    own: BTreeMap<System, Proxy>,
    servers: BTreeMap<System, Box<dyn HostedServer>>,
    database: DatabaseKind,
    /// How the servers themselves reach the broker.
    broker_of_servers: BrokerOfServers,
}

impl Hosted {
    /// Servers behind links that were bound before the servers were started. `own` is for the harness itself;
    /// to a system that it leaves out the harness goes directly.
    pub(crate) fn new(
        backend: &'static str,
        servers: BTreeMap<System, Box<dyn HostedServer>>,
        proxies: Proxies,
        own: BTreeMap<System, Proxy>,
    ) -> Hosted {
        let database = DatabaseKind::default();
        let hosted = Hosted {
            backend,
            proxies,
            own,
            servers,
            database,
            broker_of_servers: BrokerOfServers::RelaysLink,
        };
        hosted.servers.keys().for_each(|system| hosted.route(*system));
        hosted
    }

    /// The same servers, of which the database is one of this kind.
    pub(crate) fn with_database(self, database: DatabaseKind) -> Hosted {
        Hosted { database, ..self }
    }

    /// The same servers, which reach the broker among themselves in this way.
    pub(crate) fn with_broker_of_servers(self, broker_of_servers: BrokerOfServers) -> Hosted {
        Hosted { broker_of_servers, ..self }
    }

    /// Where a changefeed finds the broker, if it can.
    pub(crate) fn broker_of_feeds(&self) -> Option<String> {
        match &self.broker_of_servers {
            BrokerOfServers::RelaysLink => {
                self.link(System::Broker, Role::Relay).map(|addr| addr.to_string())
            }
            BrokerOfServers::At(broker) => Some(broker.clone()),
            BrokerOfServers::Unreachable => None,
        }
    }

    /// Which database it is.
    pub(crate) fn database(&self) -> DatabaseKind {
        self.database
    }

    /// The backend's name.
    pub(crate) fn backend(&self) -> &'static str {
        self.backend
    }

    /// All servers.
    pub(crate) fn servers(&self) -> impl Iterator<Item = &dyn HostedServer> {
        self.servers.values().map(|server| &**server)
    }

    /// The server of a system.
    pub(crate) fn server(&self, system: System) -> Result<&dyn HostedServer, HarnessError> {
        let server = self.servers.get(&system);
        server
            .map(|server| &**server)
            .ok_or_else(|| HarnessError::failed(format!("no server was started as the {system}")))
    }

    /// Where the harness itself reaches a system; no fault touches this way, and it stays the same over a
    /// restart.
    pub(crate) fn direct(&self, system: System) -> Option<SocketAddr> {
        let server = self.servers.get(&system)?;
        self.own.get(&system).map(Proxy::addr).or_else(|| server.addr(None))
    }

    /// Where a role reaches a system.
    pub(crate) fn link(&self, system: System, role: Role) -> Option<SocketAddr> {
        self.proxy(system, role).map(Proxy::addr)
    }

    /// A role's link to a system.
    pub(crate) fn proxy(&self, system: System, role: Role) -> Option<&Proxy> {
        self.proxies.get(&(system, role))
    }

    /// The links.
    pub(crate) fn proxies(&self) -> &Proxies {
        &self.proxies
    }

    /// Leads the links of a system to where its server is now.
    pub(crate) fn route(&self, system: System) {
        let Some(server) = self.servers.get(&system) else { return };
        for ((_, role), proxy) in self.proxies.iter().filter(|((of, _), _)| *of == system) {
            proxy.set_upstream(server.addr(Some(*role)));
        }
        if let Some(proxy) = self.own.get(&system) {
            proxy.set_upstream(server.addr(None));
        }
    }

    /// Starts a server that is down, and leads the links of its system to it.
    pub(crate) async fn start_again(&self, system: System) -> Result<(), HarnessError> {
        self.server(system)?.start().await?;
        self.route(system);
        Ok(())
    }

    /// Whether these servers are enough for a design with such needs.
    pub(crate) fn has(&self, needs: Needs) -> bool {
        wanted(needs).iter().all(|system| self.servers.contains_key(system))
    }

    /// What runs, by the servers' own word.
    pub(crate) fn versions(&self) -> BTreeMap<String, String> {
        self.servers().map(|server| (server.name().to_owned(), server.version())).collect()
    }

    /// The servers' logs.
    pub(crate) fn logs(&self) -> Vec<(String, PathBuf)> {
        self.servers().filter_map(|server| Some((server.name().to_owned(), server.log()?))).collect()
    }
}

/// The systems that a design with such needs runs on.
pub(crate) fn wanted(needs: Needs) -> Vec<System> {
    let all = [(System::Db, needs.db), (System::Cache, needs.cache), (System::Broker, needs.broker)];
    all.into_iter().filter_map(|(system, wanted)| wanted.then_some(system)).collect()
}

/// A proxy for each role's link to each of these systems.
pub(crate) async fn bind_links(systems: &[System]) -> Result<Proxies, HarnessError> {
    let mut proxies = Proxies::new();
    for system in systems {
        for role in Role::ALL {
            let proxy = bind(&format!("{}-{}", role.id(), system.id())).await?;
            match system {
                System::Db => proxy.speaks(Protocol::Postgres),
                System::Cache => proxy.speaks(Protocol::Redis),
                System::Broker => proxy.speaks(Protocol::Kafka),
                System::App => {}
            }
            proxies.insert((*system, role), proxy);
        }
    }
    Ok(proxies)
}

/// A proxy for the harness's own link to each of these systems.
pub(crate) async fn bind_own(systems: &[System]) -> Result<BTreeMap<System, Proxy>, HarnessError> {
    let mut proxies = BTreeMap::new();
    for system in systems {
        proxies.insert(*system, bind(&format!("harness-{}", system.id())).await?);
    }
    Ok(proxies)
}

async fn bind(name: &str) -> Result<Proxy, HarnessError> {
    Proxy::bind(name).await.map_err(|error| HarnessError::failed(error.to_string()))
}
