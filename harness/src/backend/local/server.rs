//! One server of a set: its address, and what can be done to its process.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use super::error::{ServerError, StartError, log_len};
use super::process::{Launch, RunAs, ServerProcess};
use super::set_dir::{self, SetDir};
use super::{cockroach, kafka, postgres, redpanda};
use crate::system::ping::{self, PingError};

const PING_TIMEOUT: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);

/// What a set can hold, each at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerKind {
    /// PostgreSQL.
    Postgres,
    /// CockroachDB, one node.
    Cockroach,
    /// Redis that may forget.
    RedisCache,
    /// Redis that may forget, and follows the other one.
    RedisReplica,
    /// Redis that must not.
    RedisQueue,
    /// Kafka, one KRaft node.
    Kafka,
    /// Redpanda, one node.
    Redpanda,
}

impl ServerKind {
    /// The name as it is shown, and of its directory.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Cockroach => "cockroach",
            Self::RedisCache => "redis-cache",
            Self::RedisReplica => "redis-replica",
            Self::RedisQueue => "redis-queue",
            Self::Kafka => "kafka",
            Self::Redpanda => "redpanda",
        }
    }

    fn ready_bound(self) -> Duration {
        match self {
            Self::Postgres | Self::RedisCache | Self::RedisReplica | Self::RedisQueue => {
                Duration::from_secs(30)
            }
            Self::Kafka | Self::Cockroach | Self::Redpanda => Duration::from_secs(60),
        }
    }
}

impl fmt::Display for ServerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// A handle to one server process; clones mean the same server. The set that it is of ends it.
#[derive(Clone, Debug)]
pub struct Server(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    kind: ServerKind,
    addr: SocketAddr,
    version: String,
    listeners: BTreeMap<String, SocketAddr>,
    launch: Launch,
    state: Mutex<State>,
}

#[derive(Debug)]
enum State {
    Up(ServerProcess),
    Down,
    /// Its set has been shut down; it never starts again.
    Gone,
}

/// Where a new server is reached.
#[derive(Clone, Debug)]
pub(crate) struct Endpoints {
    pub(crate) addr: SocketAddr,
    pub(crate) listeners: BTreeMap<String, SocketAddr>,
}

impl Server {
    /// Starts the process for the first time and waits until it answers.
    pub(crate) async fn first_start(
        kind: ServerKind,
        endpoints: Endpoints,
        version: &str,
        launch: Launch,
        set: Arc<SetDir>,
    ) -> Result<Self, StartError> {
        let Endpoints { addr, listeners } = endpoints;
        let (log_from, to_spawn) = (log_len(&launch.log), launch.clone());
        // The directory stays at least until the process is in our hands.
        let process = blocking(move || {
            let _set = set;
            set_dir::spawn(kind, &to_spawn)
        })
        .await?;
        let state = Mutex::new(State::Up(process));
        let inner = Inner { kind, addr, version: version.to_owned(), listeners, launch, state };
        let mut server = Self(Arc::new(inner));
        let answered = server.wait_ready(log_from).await?;
        if let (Some(version), Some(inner)) = (answered, Arc::get_mut(&mut server.0)) {
            inner.version = version;
        }
        Ok(server)
    }

    /// Which server.
    pub fn kind(&self) -> ServerKind {
        self.0.kind
    }

    /// Its own address, without any proxy. It stays the same over a restart.
    pub fn addr(&self) -> SocketAddr {
        self.0.addr
    }

    /// Where a named listener of Kafka is bound: the upstream of the proxy that it advertises.
    pub fn listener(&self, name: &str) -> Option<SocketAddr> {
        self.0.listeners.get(&name.to_ascii_uppercase()).copied()
    }

    /// The version: as PostgreSQL and Redis said themselves, and for Kafka of the jars that run.
    pub fn version(&self) -> &str {
        &self.0.version
    }

    /// The log of all its starts. It goes when the set goes.
    pub fn log_path(&self) -> &Path {
        &self.0.launch.log
    }

    /// Whether its process lives, paused or not.
    pub fn is_running(&self) -> bool {
        match &mut *self.state() {
            State::Up(process) => matches!(process.exited(), Ok(None)),
            State::Down | State::Gone => false,
        }
    }

    /// Whether every process of it is stopped by a signal, as the system sees it.
    pub fn is_paused(&self) -> bool {
        match &*self.state() {
            State::Up(process) => process.is_paused(),
            State::Down | State::Gone => false,
        }
    }

    /// One protocol round trip to its own address, on a new connection.
    pub async fn ping(&self, timeout: Duration) -> Result<(), PingError> {
        answer(self.0.kind, self.0.addr, timeout).await.map(drop)
    }

    /// SIGKILL to every process of it; returns once none is left.
    pub async fn kill(&self) -> Result<(), ServerError> {
        self.end("kill", ServerProcess::kill).await
    }

    /// Asks it to end in good order, and waits.
    pub async fn stop(&self) -> Result<(), ServerError> {
        self.end("stop", ServerProcess::stop).await
    }

    /// SIGSTOP to every process of it; returns once each is seen stopped. Connections to it are still accepted,
    /// by the kernel.
    pub async fn pause(&self) -> Result<(), ServerError> {
        self.with_process("pause", |process| process.pause()).await
    }

    /// SIGCONT to every process of it.
    pub async fn resume(&self) -> Result<(), ServerError> {
        self.with_process("resume", |process| process.resume()).await
    }

    /// Starts it again on the same port and the same data, if it is down, and waits until it answers.
    pub async fn start(&self) -> Result<(), StartError> {
        self.start_with(Vec::new()).await
    }

    /// Like [`Server::start`], with more environment variables.
    pub(crate) async fn start_with(&self, environment: Vec<(OsString, OsString)>) -> Result<(), StartError> {
        let log_from = log_len(&self.0.launch.log);
        let server = self.clone();
        blocking(move || server.spawn_again(environment)).await?;
        self.wait_ready(log_from).await.map(drop)
    }

    /// The ids of its processes.
    pub(crate) fn processes(&self) -> Vec<i32> {
        match &*self.state() {
            State::Up(process) => process.members().iter().map(|member| member.pid).collect(),
            State::Down | State::Gone => Vec::new(),
        }
    }

    /// Where its data are, if it keeps any.
    pub(crate) fn data_dir(&self) -> Option<PathBuf> {
        let dir = &self.0.launch.dir;
        match self.0.kind {
            ServerKind::Postgres => Some(postgres::data_dir(dir)),
            ServerKind::Cockroach => Some(cockroach::data_dir(dir)),
            ServerKind::Kafka => Some(kafka::storage_dir(dir)),
            ServerKind::Redpanda => Some(redpanda::data_dir(dir)),
            ServerKind::RedisCache | ServerKind::RedisReplica | ServerKind::RedisQueue => None,
        }
    }

    /// The user that it runs under, where that is not our own.
    pub(crate) fn run_as(&self) -> Option<RunAs> {
        self.0.launch.run_as
    }

    /// Kills it if it runs, then starts it.
    pub async fn restart(&self) -> Result<(), StartError> {
        match self.kill().await {
            Ok(()) | Err(ServerError::NotRunning { .. }) => self.start().await,
            Err(error @ ServerError::Refused { .. }) => {
                let doing = format!("restart {}", self.0.kind);
                Err(StartError::Preparation { doing, reason: error.to_string() })
            }
        }
    }

    /// Ends it for good.
    pub(crate) fn retire(&self) {
        *self.state() = State::Gone;
    }

    fn spawn_again(&self, environment: Vec<(OsString, OsString)>) -> Result<(), StartError> {
        let kind = self.0.kind;
        let mut state = self.state();
        match &mut *state {
            State::Gone => return Err(StartError::Gone { kind }),
            State::Up(process) => {
                if let Ok(None) = process.exited() {
                    return Ok(());
                }
            }
            State::Down => {}
        }
        // Drops, and so reaps, what ended on its own.
        *state = State::Down;
        let launch = Launch { environment, ..self.0.launch.clone() };
        *state = State::Up(set_dir::spawn(kind, &launch)?);
        Ok(())
    }

    async fn wait_ready(&self, log_from: u64) -> Result<Option<String>, StartError> {
        let (kind, log) = (self.0.kind, &self.0.launch.log);
        let deadline = Instant::now() + kind.ready_bound();
        loop {
            if let Some(status) = self.ended()? {
                return Err(StartError::ended(kind, status, log, log_from));
            }
            match answer(kind, self.0.addr, PING_TIMEOUT).await {
                // Asked once more, lest somebody else answered on a port that ours could not have.
                Ok(version) if self.ended()?.is_none() => return Ok(version),
                Ok(_) => {}
                Err(error) if Instant::now() > deadline => {
                    let waited_s = kind.ready_bound().as_secs();
                    return Err(StartError::not_ready(kind, waited_s, error.to_string(), log, log_from));
                }
                Err(_) => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// How the process ended, if it did so on its own.
    fn ended(&self) -> Result<Option<String>, StartError> {
        let kind = self.0.kind;
        match &mut *self.state() {
            State::Up(process) => {
                let exited = process.exited().map_err(StartError::preparing(format!("wait for {kind}")))?;
                Ok(exited.map(|status| status.to_string()))
            }
            State::Down => Ok(Some("a signal of ours".to_owned())),
            State::Gone => Err(StartError::Gone { kind }),
        }
    }

    async fn end(
        &self,
        doing: &'static str,
        how: impl FnOnce(&mut ServerProcess) -> io::Result<()> + Send + 'static,
    ) -> Result<(), ServerError> {
        self.with_process(doing, how).await?;
        let mut state = self.state();
        if let State::Up(_) = *state {
            *state = State::Down;
        }
        Ok(())
    }

    async fn with_process(
        &self,
        doing: &'static str,
        act: impl FnOnce(&mut ServerProcess) -> io::Result<()> + Send + 'static,
    ) -> Result<(), ServerError> {
        let server = self.clone();
        blocking(move || {
            let kind = server.0.kind;
            match &mut *server.state() {
                State::Up(process) => act(process).map_err(|error| ServerError::Refused {
                    kind,
                    doing,
                    reason: error.to_string(),
                }),
                State::Down | State::Gone => Err(ServerError::NotRunning { kind, doing }),
            }
        })
        .await
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs what blocks away from the threads that serve connections.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // Blocking work is cancelled only when the runtime shuts down, and then nobody awaits it.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The version where the protocol tells it.
async fn answer(kind: ServerKind, addr: SocketAddr, timeout: Duration) -> Result<Option<String>, PingError> {
    match kind {
        ServerKind::Postgres => ping::postgres(addr, timeout).await.map(Some),
        ServerKind::Cockroach => {
            ping::cockroach(addr, timeout).await.map(|version| (!version.is_empty()).then_some(version))
        }
        ServerKind::RedisCache | ServerKind::RedisReplica | ServerKind::RedisQueue => {
            ping::redis(addr, timeout).await.map(Some)
        }
        ServerKind::Kafka | ServerKind::Redpanda => ping::kafka(addr, timeout).await.map(|()| None),
    }
}

/// The log of a server, in its directory.
pub(crate) fn log_in(dir: &Path) -> PathBuf {
    dir.join("log")
}
