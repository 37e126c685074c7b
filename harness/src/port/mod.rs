//! The ports: how a design talks to a database, a cache and a broker.
//!
//! Each port speaks its system's own language (PostgreSQL's SQL as text, Redis commands as such, Kafka's
//! client operations), so that nothing real is hidden and a design reads like the code it stands for. What
//! is behind a port (a server process, a container, the in-process model) is the backend's affair.

mod broker;
mod cache;
mod database;
mod error;

pub use broker::{
    Acks, Broker, Consumer, ConsumerOptions, GroupMetadata, GroupOffset, Isolation, Message, Position,
    Producer, ProducerOptions, StartOffset,
};
pub use cache::{Cache, CacheConnection, Reply};
pub use database::{Database, DatabaseConnection, Notification, Row, SqlValue};
pub use error::{PortError, System};
