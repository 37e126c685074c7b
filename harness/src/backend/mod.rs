//! Where the systems run. A backend opens an arena for each run: systems of the run's own, the links of each
//! role to them, and the means to disturb both.

pub mod docker;
mod effect;
pub mod hosted;
mod kind;
pub mod local;
pub mod model;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::context::Links;
use crate::database::DatabaseKind;
use crate::design::{Layout, Needs, Role};
use crate::fault::At;
use crate::schedule::FaultOn;

/// A place where systems run.
#[async_trait]
pub trait Backend: Send + Sync {
    /// `model`, `local` or `docker`.
    fn name(&self) -> &'static str;

    /// Which database designs have there.
    fn database(&self) -> DatabaseKind {
        DatabaseKind::Postgres
    }

    /// What runs there, by the servers' own word.
    fn versions(&self) -> BTreeMap<String, String>;

    /// The servers' logs.
    fn logs(&self) -> Vec<(String, std::path::PathBuf)> {
        Vec::new()
    }

    /// Makes a database, topics and a key prefix for one run. `tag` is unique among runs.
    ///
    /// # Errors
    /// What could not be started or made, and what to do about it.
    async fn open(&self, needs: Needs, layout: &Layout, tag: &str) -> Result<Arena, HarnessError>;

    /// How long all must be quiet before what is missing counts as lost.
    fn quiet_ms(&self) -> u64;

    /// Which time passes there.
    fn time(&self) -> Time {
        Time::Real
    }
}

/// Which time passes in a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Time {
    /// That of the wall clock.
    Real,
    /// Virtual time, in which nobody really waits.
    Virtual,
}

/// One run's systems.
pub struct Arena {
    /// Which database it has, if it has one.
    pub database: DatabaseKind,
    /// The links of each role, through the fault proxy.
    pub links: BTreeMap<Role, Links>,
    /// The harness's own links, which no fault touches.
    pub direct: Links,
    /// Disturbs systems and links.
    pub injector: Arc<dyn Injector>,
    /// Has the database publish its changes itself, where it can.
    pub feeds: Option<Arc<dyn Feeds>>,
    /// Sees who waits for a lock.
    pub lock_waits: Arc<dyn LockWaits>,
    /// Gives back what the run used.
    pub closer: Arc<dyn Closer>,
}

impl std::fmt::Debug for Arena {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Arena").field("direct", &self.direct).finish_non_exhaustive()
    }
}

/// The changefeeds of a run: its database publishes what is committed to its broker.
#[async_trait]
pub trait Feeds: Send + Sync {
    /// Follows a table from now on, into a topic.
    ///
    /// # Errors
    /// What the database answered, or what there lacks for the broker to be found.
    async fn follow(&self, table: &str, topic: &str) -> Result<(), HarnessError>;

    /// Waits until all that has been committed up to now is published.
    ///
    /// # Errors
    /// If it is not within `patience`, or the database does not say.
    async fn caught_up(&self, patience: Duration) -> Result<(), HarnessError>;
}

/// Injects the faults of systems and links.
#[async_trait]
pub trait Injector: Send + Sync {
    /// Whether it could inject the fault, asked before a run begins.
    ///
    /// # Errors
    /// What this backend, this machine or this run lacks.
    fn can(&self, on: &FaultOn) -> Result<(), HarnessError>;

    /// Waits until the request at which the fault is to begin ([`At`]) comes to its links. A fault of a link
    /// begins right then; [`Injector::inject`] comes after it all the same, and verifies it.
    ///
    /// # Errors
    /// If this backend cannot see requests, or it did not come within `patience`.
    async fn sight(&self, on: &FaultOn, at: &At, patience: Duration) -> Result<(), HarnessError>;

    /// Begins a fault, and returns once it is in force.
    ///
    /// # Errors
    /// If this backend does not have it, or it did not take.
    async fn inject(&self, on: &FaultOn) -> Result<(), HarnessError>;

    /// Whether a fault that is in force has hit anything yet.
    fn has_hit(&self, on: &FaultOn) -> bool;

    /// Ends a fault, and returns once what it disturbed works again; says what the fault hit.
    ///
    /// # Errors
    /// If what it disturbed does not come back.
    async fn heal(&self, on: &FaultOn) -> Result<Hits, HarnessError>;
}

/// What a fault hit while it lasted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hits {
    /// How many connections, calls or processes.
    pub count: u64,
    /// Of what kind, in words.
    pub detail: String,
}

/// Asks a server what a session waits for.
#[async_trait]
pub trait LockWaits: Send + Sync {
    /// What the session waits for; none where it works, or the server cannot tell.
    async fn waits(&self, session: &str) -> Option<Wait>;
}

/// What a session waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wait {
    /// Locks that these sessions hold.
    ForSessions(Vec<String>),
    /// A standby's word that it has the commit.
    ForStandby,
}

/// Gives back what a run used: its database, its topics, its slots.
#[async_trait]
pub trait Closer: Send + Sync {
    /// Drops it all. What cannot be dropped goes with the servers.
    async fn close(&self);
}

/// Crosscheck could not run: neither a verdict nor a doubt about one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HarnessError {
    /// Something that must be there is not.
    #[error("{what}; {advice}")]
    Missing {
        /// What is missing.
        what: String,
        /// What to do about it.
        advice: String,
    },
    /// A system of ours failed outside of any fault.
    #[error("{0}")]
    Failed(String),
}

impl HarnessError {
    /// Something failed, in a few words.
    pub fn failed(what: impl Into<String>) -> Self {
        HarnessError::Failed(what.into())
    }
}

impl From<crate::port::PortError> for HarnessError {
    fn from(error: crate::port::PortError) -> Self {
        HarnessError::Failed(error.to_string())
    }
}
