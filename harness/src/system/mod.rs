//! The real adapters of the ports: the only place that names a driver (tokio-postgres, redis, rdkafka).
//!
//! An adapter hands a port's calls to its driver and turns the driver's answers into the port's, above all
//! the errors: whether a call that failed may have taken effect is decided here. No adapter retries,
//! reconnects or pools behind the caller's back.

pub mod cockroach;
pub mod kafka;
pub mod ping;
pub mod postgres;
pub mod redis;
pub(crate) mod sinkless;
