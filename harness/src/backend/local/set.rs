//! A set of servers: started together, in one directory, ended together.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio::sync::Mutex;

use super::error::{ServerError, StartError};
use super::kafka::{self, Kafka, Ports};
use super::process::Launch;
use super::programs::{Program, Programs};
use super::server::{Endpoints, Server, ServerKind, blocking, log_in};
use super::set_dir::SetDir;
use super::{cockroach, port, postgres, redis, redpanda};

const PORT_TRIES: usize = 3;

/// A way by which clients come to Kafka: through a proxy that is already bound.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KafkaListener {
    /// Letters, digits and underscores; `direct` and `controller` are taken.
    pub name: String,
    /// The proxy's address, which the broker tells its clients.
    pub advertised: SocketAddr,
}

/// Servers that run. Dropping the set kills them and removes their directory.
#[derive(Debug)]
pub struct ServerSet {
    servers: BTreeMap<ServerKind, Server>,
    /// A second cache, once one was asked for.
    replica: Mutex<Option<Server>>,
    redis: Option<Recipe>,
    // After the servers, so that the directory outlives them.
    dir: Arc<SetDir>,
}

impl ServerSet {
    /// Sweeps what dead owners left under `root`, then starts the wanted servers side by side and waits until each
    /// answers in its own protocol. Only what is wanted costs anything.
    pub async fn start(
        wants: &[ServerKind],
        programs: &Programs,
        listeners: &[KafkaListener],
        root: &Path,
    ) -> Result<Self, StartError> {
        let wants: BTreeSet<ServerKind> = wants.iter().copied().collect();
        let cache = programs.cache().map_or_else(|| root.join("cache"), Path::to_owned);
        let recipes: Vec<Recipe> =
            wants.iter().map(|kind| Recipe::new(*kind, programs, listeners)).collect::<Result<_, _>>()?;
        let redis = programs.need(Program::Redis).ok().map(|(program, version)| Recipe::RedisReplica {
            program: program.to_owned(),
            version: version.to_owned(),
        });
        let own_root = root.to_owned();
        let doing = format!("make a directory for the servers in {}", root.display());
        let dir = blocking(move || SetDir::create(&own_root)).await.map_err(StartError::preparing(doing))?;
        let dir = Arc::new(dir);
        let started = recipes.into_iter().map(|recipe| start_one(recipe, cache.clone(), Arc::clone(&dir)));
        let servers = try_join_all(started).await?;
        let servers = servers.into_iter().map(|server| (server.kind(), server)).collect();
        Ok(Self { servers, replica: Mutex::default(), redis, dir })
    }

    /// Kills the second cache, if there is one.
    pub(crate) async fn end_replica(&self) -> Result<(), ServerError> {
        match &*self.replica.lock().await {
            Some(server) => server.kill().await,
            None => Ok(()),
        }
    }

    /// A second cache that runs and is empty.
    pub(crate) async fn replica(&self) -> Result<Server, StartError> {
        let mut replica = self.replica.lock().await;
        if let Some(server) = &*replica {
            server.restart().await?;
            return Ok(server.clone());
        }
        let recipe = self.redis.clone().ok_or(StartError::Gone { kind: ServerKind::RedisReplica })?;
        // It keeps nothing on disk, so it has no template either.
        let server = start_one(recipe, self.dir().to_owned(), Arc::clone(&self.dir)).await?;
        Ok(replica.insert(server).clone())
    }

    /// A server of the set, if it was wanted.
    pub fn server(&self, kind: ServerKind) -> Option<&Server> {
        self.servers.get(&kind)
    }

    /// The broker, whichever was wanted.
    pub(crate) fn broker(&self) -> Option<&Server> {
        self.kafka().or_else(|| self.server(ServerKind::Redpanda))
    }

    /// The database, whichever was wanted.
    pub(crate) fn database(&self) -> Option<&Server> {
        self.postgres().or_else(|| self.server(ServerKind::Cockroach))
    }

    /// PostgreSQL, if it was wanted.
    pub fn postgres(&self) -> Option<&Server> {
        self.server(ServerKind::Postgres)
    }

    /// The Redis that may forget, if it was wanted.
    pub fn redis_cache(&self) -> Option<&Server> {
        self.server(ServerKind::RedisCache)
    }

    /// The Redis that must not forget, if it was wanted.
    pub fn redis_queue(&self) -> Option<&Server> {
        self.server(ServerKind::RedisQueue)
    }

    /// Kafka, if it was wanted.
    pub fn kafka(&self) -> Option<&Server> {
        self.server(ServerKind::Kafka)
    }

    /// The directory of the set; it goes when the set goes.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// All servers of the set.
    pub fn servers(&self) -> impl Iterator<Item = &Server> {
        self.servers.values()
    }
}

impl Drop for ServerSet {
    fn drop(&mut self) {
        self.servers.values().for_each(Server::retire);
        self.replica.get_mut().iter().for_each(Server::retire);
    }
}

/// What it takes to start one server: programs that are known to be there.
#[derive(Clone, Debug)]
enum Recipe {
    Postgres { bin: PathBuf, version: String },
    Cockroach { program: PathBuf, version: String },
    RedisCache { program: PathBuf, version: String },
    RedisReplica { program: PathBuf, version: String },
    RedisQueue { program: PathBuf, version: String },
    Kafka { kafka: Kafka, listeners: Vec<KafkaListener> },
    Redpanda { program: PathBuf, version: String, listeners: Vec<KafkaListener> },
}

impl Recipe {
    fn new(kind: ServerKind, programs: &Programs, listeners: &[KafkaListener]) -> Result<Self, StartError> {
        let need = |program| programs.need(program).map(|(at, version)| (at.to_owned(), version.to_owned()));
        Ok(match kind {
            ServerKind::Postgres => {
                let (bin, version) = need(Program::Postgres)?;
                Self::Postgres { bin, version }
            }
            ServerKind::Cockroach => {
                let (program, version) = need(Program::Cockroach)?;
                Self::Cockroach { program, version }
            }
            ServerKind::RedisCache => {
                let (program, version) = need(Program::Redis)?;
                Self::RedisCache { program, version }
            }
            ServerKind::RedisReplica => {
                let (program, version) = need(Program::Redis)?;
                Self::RedisReplica { program, version }
            }
            ServerKind::RedisQueue => {
                let (program, version) = need(Program::Redis)?;
                Self::RedisQueue { program, version }
            }
            ServerKind::Kafka => {
                let (home, version) = need(Program::Kafka)?;
                let (java, _) = need(Program::Java)?;
                Self::Kafka { kafka: Kafka { home, java, version }, listeners: listeners.to_vec() }
            }
            ServerKind::Redpanda => {
                let (program, version) = need(Program::Redpanda)?;
                Self::Redpanda { program, version, listeners: listeners.to_vec() }
            }
        })
    }

    fn kind(&self) -> ServerKind {
        match self {
            Self::Postgres { .. } => ServerKind::Postgres,
            Self::Cockroach { .. } => ServerKind::Cockroach,
            Self::RedisCache { .. } => ServerKind::RedisCache,
            Self::RedisReplica { .. } => ServerKind::RedisReplica,
            Self::RedisQueue { .. } => ServerKind::RedisQueue,
            Self::Kafka { .. } => ServerKind::Kafka,
            Self::Redpanda { .. } => ServerKind::Redpanda,
        }
    }

    fn version(&self) -> &str {
        match self {
            Self::Postgres { version, .. }
            | Self::Cockroach { version, .. }
            | Self::RedisCache { version, .. }
            | Self::RedisReplica { version, .. }
            | Self::RedisQueue { version, .. }
            | Self::Redpanda { version, .. } => version,
            Self::Kafka { kafka, .. } => &kafka.version,
        }
    }

    /// Fills the server's directory with fresh data.
    async fn prepare(self, cache: PathBuf, dir: PathBuf, set: Arc<SetDir>) -> Result<Self, StartError> {
        match self {
            Self::Postgres { bin, version } => {
                blocking(move || {
                    let _set = set;
                    postgres::prepare(&bin, &version, &cache, &dir)?;
                    Ok(Self::Postgres { bin, version })
                })
                .await
            }
            // These make what they store by themselves.
            Self::Cockroach { .. }
            | Self::RedisCache { .. }
            | Self::RedisReplica { .. }
            | Self::RedisQueue { .. }
            | Self::Redpanda { .. } => Ok(self),
            Self::Kafka { kafka, listeners } => {
                blocking(move || {
                    let _set = set;
                    kafka.prepare(&cache, &dir)?;
                    Ok(Self::Kafka { kafka, listeners })
                })
                .await
            }
        }
    }

    /// Chooses ports; gives the command line for them.
    fn launch(&self, dir: &Path) -> std::io::Result<(Endpoints, Launch)> {
        let log = log_in(dir);
        let alone = |addr| Endpoints { addr, listeners: BTreeMap::new() };
        match self {
            Self::Postgres { bin, .. } => {
                let addr = port::free(1)?[0];
                Ok((alone(addr), postgres::launch(bin, dir, &log, addr.port())?))
            }
            Self::Cockroach { program, .. } => {
                let free = port::free(2)?;
                Ok((alone(free[0]), cockroach::launch(program, dir, &log, free[0], free[1])))
            }
            Self::RedisCache { program, .. } | Self::RedisReplica { program, .. } => {
                let addr = port::free(1)?[0];
                Ok((alone(addr), redis::cache(program, dir, &log, addr.port())))
            }
            Self::RedisQueue { program, .. } => {
                let addr = port::free(1)?[0];
                Ok((alone(addr), redis::queue(program, dir, &log, addr.port())))
            }
            Self::Kafka { kafka, listeners, .. } => {
                let free = port::free(2 + listeners.len())?;
                let named = named(listeners, &free[2..]);
                let ports = Ports { controller: free[0], direct: free[1], named };
                Ok((endpoints(ports.direct, &ports.named), kafka.launch(dir, &log, &ports)?))
            }
            Self::Redpanda { program, listeners, .. } => {
                let free = port::free(3 + listeners.len())?;
                let named = named(listeners, &free[3..]);
                let ports = redpanda::Ports { rpc: free[0], admin: free[1], direct: free[2], named };
                let launch = redpanda::launch(program, dir, &log, &ports)?;
                Ok((endpoints(ports.direct, &ports.named), launch))
            }
        }
    }
}

/// Each listener with an address of its own.
fn named(listeners: &[KafkaListener], free: &[SocketAddr]) -> Vec<(KafkaListener, SocketAddr)> {
    listeners.iter().cloned().zip(free.iter().copied()).collect()
}

/// Where a broker with these listeners is reached.
fn endpoints(direct: SocketAddr, named: &[(KafkaListener, SocketAddr)]) -> Endpoints {
    let bound = named.iter().map(|(listener, bind)| (kafka::listener_name(listener), *bind));
    Endpoints { addr: direct, listeners: bound.collect() }
}

async fn start_one(recipe: Recipe, cache: PathBuf, set: Arc<SetDir>) -> Result<Server, StartError> {
    let kind = recipe.kind();
    let doing = || StartError::preparing(format!("prepare {kind}"));
    let dir = set.make_server_dir(kind).map_err(doing())?;
    let recipe = recipe.prepare(cache, dir.clone(), Arc::clone(&set)).await?;
    let mut tries_left = PORT_TRIES;
    loop {
        tries_left -= 1;
        let (endpoints, launch) = recipe.launch(&dir).map_err(doing())?;
        match Server::first_start(kind, endpoints, recipe.version(), launch, Arc::clone(&set)).await {
            // Somebody took the port between our look and the server's bind.
            Err(error) if error.is_port_conflict() && tries_left > 0 => {}
            result => return result,
        }
    }
}
