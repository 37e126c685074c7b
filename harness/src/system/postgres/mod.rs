//! The database port on PostgreSQL (and what speaks its protocol), by tokio-postgres.
//!
//! One port connection is one session. Statements are prepared once a session and text; transaction control
//! goes by the simple protocol. Every statement takes one round trip, the first use of a text takes two.

mod block;
mod connection;
mod failure;
mod lock;
mod simple;
mod value;

use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;

use crate::database::DatabaseKind;
use crate::port::{Database, DatabaseConnection, PortError};
use connection::PostgresConnection;

pub use lock::{blocking_sessions, waits_for_lock};
pub use simple::PostgresCases;

/// How long opening a session may take, its handshake included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a statement may go unanswered unless [`PostgresDatabase::with_reply_timeout`] says otherwise.
const REPLY_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a database is, and who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PostgresAddress {
    /// The server, or a proxy before it.
    pub addr: SocketAddr,
    /// The role to log in as (trusted by the server: no password is sent).
    pub user: String,
    /// The database.
    pub database: String,
    /// The name that `pg_stat_activity` shows.
    pub application_name: String,
}

/// A PostgreSQL database, or one that speaks its protocol.
#[derive(Debug, Clone)]
pub struct PostgresDatabase {
    address: PostgresAddress,
    reply_timeout: Duration,
    kind: DatabaseKind,
}

impl PostgresDatabase {
    /// A database at that address; nothing is opened yet.
    pub fn new(address: PostgresAddress) -> Self {
        PostgresDatabase { address, reply_timeout: REPLY_TIMEOUT, kind: DatabaseKind::Postgres }
    }

    /// The same database, which is one of this kind.
    #[must_use]
    pub fn of_kind(self, kind: DatabaseKind) -> Self {
        PostgresDatabase { kind, ..self }
    }

    /// The same database, with another limit on how long a statement may go unanswered. Past it the statement
    /// is unknown and the session is closed; the server is not asked to cancel.
    #[must_use]
    pub fn with_reply_timeout(self, reply_timeout: Duration) -> Self {
        PostgresDatabase { reply_timeout, ..self }
    }
}

#[async_trait]
impl Database for PostgresDatabase {
    async fn connect(&self) -> Result<Box<dyn DatabaseConnection>, PortError> {
        let opening = PostgresConnection::open(&self.address, self.reply_timeout, self.kind);
        match tokio::time::timeout(CONNECT_TIMEOUT, opening).await {
            Ok(Ok(connection)) => Ok(Box::new(connection)),
            Ok(Err(error)) => Err(failure::connect(self.address.addr, &error)),
            Err(_elapsed) => Err(failure::connect_timeout(self.address.addr, CONNECT_TIMEOUT)),
        }
    }
}
