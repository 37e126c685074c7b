//! Where the systems are, for a service that has clients of its own.

use std::net::SocketAddr;

/// The systems as plain addresses, through the same fault proxies as the actor's ports.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Addresses {
    /// The database of this run.
    pub database: Option<DatabaseAddress>,
    /// The cache. Keys are shared with other runs: put [`Ctx::unique`](super::Ctx::unique) around them.
    pub cache: Option<SocketAddr>,
    /// The broker. Topics of the layout go by the name that [`Ctx::unique`](super::Ctx::unique) gives.
    pub broker: Option<SocketAddr>,
}

/// A PostgreSQL database that asks for no password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseAddress {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The role to log in as.
    pub user: String,
    /// The database's name.
    pub name: String,
}

impl DatabaseAddress {
    /// As drivers take it.
    ///
    /// ```
    /// use crosscheck_harness::context::DatabaseAddress;
    /// let addr = ([127, 0, 0, 1], 5432).into();
    /// let address = DatabaseAddress { addr, user: "relay".into(), name: "cc_1".into() };
    /// assert_eq!(address.url(), "postgres://relay@127.0.0.1:5432/cc_1");
    /// ```
    pub fn url(&self) -> String {
        format!("postgres://{}@{}/{}", self.user, self.addr, self.name)
    }
}
