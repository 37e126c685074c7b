//! Where effects take place: a run's systems, as the harness itself reaches them.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;

use crate::backend::HarnessError;
use crate::port::{Cache, CacheConnection, Database, DatabaseConnection, Row, System};
use crate::schedule::FaultOn;
use crate::system::postgres::PostgresDatabase;
use crate::system::redis::RedisCache;

/// What can be done to servers as a whole.
#[async_trait]
pub(in crate::backend) trait Servers: Send + Sync {
    /// Ends it without warning; returns once it has ended.
    async fn kill(&self, system: System) -> Result<(), HarnessError>;

    /// Ends it in good order.
    async fn stop(&self, system: System) -> Result<(), HarnessError>;

    /// Starts it again with its data and leads its links to it, if it is down; returns once it answers.
    async fn start(&self, system: System) -> Result<(), HarnessError>;

    /// Whether it answers in its own protocol.
    async fn answers(&self, system: System) -> bool;

    /// The ids of its processes.
    fn processes(&self, _system: System) -> Result<Vec<i32>, HarnessError> {
        Err(elsewhere())
    }

    /// Whether [`Servers::start_with`] is possible.
    fn can_start_with_environment(&self, _system: System) -> Result<(), HarnessError> {
        Err(elsewhere())
    }

    /// Like [`Servers::start`], with more environment variables, for this once.
    async fn start_with(
        &self,
        _system: System,
        _environment: Vec<(OsString, OsString)>,
    ) -> Result<(), HarnessError> {
        Err(elsewhere())
    }

    /// Where its data are and where its log is, if it can be moved to a small disk.
    fn disk(&self, _system: System) -> Result<(PathBuf, PathBuf), HarnessError> {
        Err(elsewhere())
    }

    /// Stops it, moves its data to a disk that has so many bytes more than they take, and starts it there.
    async fn move_to_small_disk(&self, _system: System, _room_bytes: u64) -> Result<(), HarnessError> {
        Err(elsewhere())
    }

    /// Stops it, moves its data back to where they were, and starts it.
    async fn move_back(&self, _system: System) -> Result<(), HarnessError> {
        Err(elsewhere())
    }

    /// Whether there can be a second cache.
    fn can_replicate(&self) -> Result<(), HarnessError> {
        Err(elsewhere())
    }

    /// Starts a second, empty cache.
    async fn start_replica(&self) -> Result<SocketAddr, HarnessError> {
        Err(elsewhere())
    }

    /// Ends the second cache.
    async fn stop_replica(&self) -> Result<(), HarnessError> {
        Err(elsewhere())
    }

    /// Leads new connections to the cache there.
    fn lead_cache_to(&self, _addr: SocketAddr) -> Result<(), HarnessError> {
        Err(elsewhere())
    }
}

/// What a fault needs is only done to processes of our own.
fn elsewhere() -> HarnessError {
    HarnessError::Missing {
        what: "the servers of this backend cannot be treated like that".to_owned(),
        advice: "run it on processes of our own (--backend local), or leave the fault out".to_owned(),
    }
}

/// A run's systems.
pub(in crate::backend) struct Site {
    /// A database that is not the run's.
    pub(in crate::backend) admin: Option<PostgresDatabase>,
    /// The run's own database, and its name.
    pub(in crate::backend) database: Option<(PostgresDatabase, String)>,
    /// The same, as the design's clients see it, past their proxy.
    pub(in crate::backend) as_client: Option<PostgresDatabase>,
    /// The tables that the design makes, in its order.
    pub(in crate::backend) tables: Vec<String>,
    pub(in crate::backend) cache: Option<SocketAddr>,
    pub(in crate::backend) broker: Option<SocketAddr>,
    /// What the names of the run's slots, keys and groups begin with.
    pub(in crate::backend) prefix: String,
    /// The run's topics.
    pub(in crate::backend) topics: Vec<String>,
    pub(in crate::backend) servers: Arc<dyn Servers>,
}

impl Site {
    /// The name of the run's database.
    pub(super) fn database_name(&self) -> Result<&str, HarnessError> {
        let (_, name) = self.database.as_ref().ok_or_else(|| lacks("database"))?;
        Ok(name)
    }

    /// A session outside of the run's database.
    pub(super) async fn admin_session(&self) -> Result<Box<dyn DatabaseConnection>, HarnessError> {
        Ok(self.admin.as_ref().ok_or_else(|| lacks("database"))?.connect().await?)
    }

    /// A session in the run's database.
    pub(super) async fn session(&self) -> Result<Box<dyn DatabaseConnection>, HarnessError> {
        let (database, _) = self.database.as_ref().ok_or_else(|| lacks("database"))?;
        Ok(database.connect().await?)
    }

    /// A session with the settings of the design's clients.
    pub(super) async fn client_session(&self) -> Result<Box<dyn DatabaseConnection>, HarnessError> {
        Ok(self.as_client.as_ref().ok_or_else(|| lacks("database"))?.connect().await?)
    }

    /// A connection to the cache.
    pub(super) async fn cache_session(&self) -> Result<Box<dyn CacheConnection>, HarnessError> {
        Ok(RedisCache::new(self.cache_addr()?).connect().await?)
    }

    /// Where the cache is.
    pub(super) fn cache_addr(&self) -> Result<SocketAddr, HarnessError> {
        self.cache.ok_or_else(|| lacks("cache"))
    }

    /// Where the broker is.
    pub(super) fn broker_addr(&self) -> Result<SocketAddr, HarnessError> {
        self.broker.ok_or_else(|| lacks("broker"))
    }

    /// Whether the run has the fault's system, and the fault is of the system as a whole.
    pub(super) fn has(&self, system: System, on: &FaultOn) -> Result<(), HarnessError> {
        if let Some(of) = &on.of {
            return Err(HarnessError::failed(format!(
                "{} is one of the {system} as a whole, and not of the {of}'s link to it",
                on.fault
            )));
        }
        match system {
            System::Db => self.database_name().map(drop),
            System::Cache => self.cache_addr().map(drop),
            System::Broker => self.broker_addr().map(drop),
            System::App => Err(lacks("server for the application")),
        }
    }
}

fn lacks(what: &str) -> HarnessError {
    HarnessError::failed(format!("this run has no {what}"))
}

/// The first row of an answer.
pub(super) fn only(rows: Vec<Row>) -> Result<Row, HarnessError> {
    rows.into_iter().next().ok_or_else(|| HarnessError::failed("PostgreSQL answered with no row"))
}
