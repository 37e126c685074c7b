//! The database of the model: PostgreSQL's SQL over an engine whose subject is concurrency.

pub(crate) mod calendar;
mod cases;
mod connection;
pub(crate) mod decimal;
#[cfg(test)]
mod durability;
pub(crate) mod error;
mod port_value;
mod sql;
pub(crate) mod store;
pub(crate) mod types;
pub(crate) mod value;

use std::sync::Arc;

use async_trait::async_trait;

use super::cases::Planted;
use super::footprint::Footprints;
use crate::backend::Wait;
use crate::backend::model::InProcessDatabase;
use crate::port::{Database, DatabaseConnection, PortError};

pub(crate) use cases::DatabaseCases;
use connection::ModelConnection;
use sql::{Clock, PlanCache, SqlSession};
use store::{SessionId, Store};

/// A database server. A clone is the same one.
#[derive(Debug, Clone)]
pub(crate) struct ModelDatabase {
    store: Store,
    plans: Arc<PlanCache>,
    clock: Clock,
}

impl ModelDatabase {
    /// An empty one.
    pub(crate) fn new(footprints: Footprints) -> Self {
        ModelDatabase { store: Store::new(footprints), plans: Arc::default(), clock: Clock::default() }
    }

    /// An empty one with an error in it, for the test that the cases find it.
    pub(crate) fn with_planted(footprints: Footprints, planted: Planted) -> Self {
        ModelDatabase {
            store: Store::with_planted(footprints, planted),
            plans: Arc::default(),
            clock: Clock::default(),
        }
    }

    fn open(&self) -> SqlSession {
        SqlSession::new(self.store.connect(), Arc::clone(&self.plans), self.clock.clone())
    }
}

impl InProcessDatabase for ModelDatabase {
    fn port(&self, waits_for_standby: bool) -> Arc<dyn Database> {
        Arc::new(Server { database: self.clone(), waits_for_standby })
    }

    fn fork(&self, footprints: Footprints) -> Arc<dyn InProcessDatabase> {
        Arc::new(ModelDatabase {
            store: self.store.fork(footprints),
            plans: Arc::clone(&self.plans),
            clock: self.clock.fork(),
        })
    }

    fn crash(&self) {
        self.store.crash();
    }

    fn checkpoint(&self) {
        self.store.checkpoint();
    }

    fn wait_for_standby(&self, wait: bool) {
        self.store.set_sync_standby(wait);
    }

    fn waits(&self, session: &str) -> Option<Wait> {
        let pid = SessionId(session.parse().ok()?);
        if self.store.is_waiting_for_standby(pid) {
            return Some(Wait::ForStandby);
        }
        let holders = || self.store.blocking_pids(pid).iter().map(ToString::to_string).collect();
        self.store.is_waiting(pid).then(|| Wait::ForSessions(holders()))
    }
}

/// The port to one, for sessions that wait for a standby or do not.
struct Server {
    database: ModelDatabase,
    waits_for_standby: bool,
}

#[async_trait]
impl Database for Server {
    async fn connect(&self) -> Result<Box<dyn DatabaseConnection>, PortError> {
        let mut session = self.database.open();
        if !self.waits_for_standby {
            session.set("synchronous_commit", "local").map_err(error::SqlError::into_port)?;
        }
        Ok(Box::new(ModelConnection::new(session)))
    }
}
