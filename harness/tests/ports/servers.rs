//! The servers that the suite runs on: one set for all cases, started when a case is to run.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use crosscheck_harness::backend::local::{Places, Programs, ServerKind, ServerSet, StartError, default_root};
use crosscheck_harness::port::{Database, DatabaseConnection, PortError};
use crosscheck_harness::system::ping::POSTGRES_USER;
use crosscheck_harness::system::postgres::{PostgresAddress, PostgresDatabase};

/// Where the servers are.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) postgres: PostgresAddress,
    pub(crate) redis: SocketAddr,
    pub(crate) kafka: SocketAddr,
}

impl Servers {
    /// The servers of a set that has all three.
    pub(crate) fn of(set: &ServerSet) -> Self {
        let at = |kind| set.server(kind).expect("the set was asked for it").addr();
        Servers {
            postgres: postgres_address(at(ServerKind::Postgres)),
            redis: at(ServerKind::RedisCache),
            kafka: at(ServerKind::Kafka),
        }
    }

    /// The database, with no limits of the test's own.
    pub(crate) fn database(&self) -> PostgresDatabase {
        PostgresDatabase::new(self.postgres.clone())
    }

    /// A session.
    pub(crate) async fn session(&self) -> Result<Box<dyn DatabaseConnection>, PortError> {
        self.database().connect().await
    }
}

/// The first database of a PostgreSQL at that address.
pub(crate) fn postgres_address(addr: SocketAddr) -> PostgresAddress {
    PostgresAddress {
        addr,
        user: POSTGRES_USER.to_owned(),
        database: "postgres".to_owned(),
        application_name: "crosscheck-ports".to_owned(),
    }
}

/// Starts servers of one's own, for a case that kills them.
pub(crate) async fn start(wants: &[ServerKind]) -> Result<ServerSet, StartError> {
    let environment = |name: &str| std::env::var(name).ok();
    let programs = Programs::find(&environment, &Places::debian());
    let root: PathBuf = default_root(&environment);
    ServerSet::start(wants, &programs, &[], &root).await
}

/// A name that no other case of this or an earlier run has.
pub(crate) fn fresh(what: &str) -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    format!("{what}_{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed))
}

/// Whether missing servers are a failure.
pub(crate) fn required() -> bool {
    let required = std::env::var("CROSSCHECK_REQUIRE").unwrap_or_default();
    required.split(',').any(|backend| backend.trim() == "local")
}
