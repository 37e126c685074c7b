//! The servers that the suite runs on.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU32, Ordering};

use crosscheck_harness::port::{Database, DatabaseConnection, PortError};
use crosscheck_harness::system::postgres::{PostgresAddress, PostgresDatabase};

/// Where the servers are.
#[derive(Clone)]
pub(crate) struct Servers {
    pub(crate) postgres: PostgresAddress,
    pub(crate) redis: SocketAddr,
    pub(crate) kafka: SocketAddr,
}

impl Servers {
    /// The database, with no limits of the test's own.
    pub(crate) fn database(&self) -> PostgresDatabase {
        PostgresDatabase::new(self.postgres.clone())
    }

    /// A session.
    pub(crate) async fn session(&self) -> Result<Box<dyn DatabaseConnection>, PortError> {
        self.database().connect().await
    }
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

/// The servers, or why there are none.
pub(crate) fn find() -> Result<Servers, String> {
    let address = |name: &str| {
        let value = std::env::var(name).map_err(|_| format!("{name} is not set"))?;
        value.parse::<SocketAddr>().map_err(|_| format!("{name} is no address: {value}"))
    };
    let addr = address("CROSSCHECK_TEST_POSTGRES")?;
    let (redis, kafka) = (address("CROSSCHECK_TEST_REDIS")?, address("CROSSCHECK_TEST_KAFKA")?);
    let postgres = PostgresAddress {
        addr,
        user: "crosscheck".to_owned(),
        database: "postgres".to_owned(),
        application_name: "crosscheck-ports".to_owned(),
    };
    Ok(Servers { postgres, redis, kafka })
}
