//! Containers of PostgreSQL, Redis and Kafka or Redpanda, by testcontainers; CockroachDB beside them.
//!
//! [`DockerBackend`] starts what designs need, each server in a container of its own, and removes them when it is
//! dropped. Everything it makes carries the labels of its run, by which the next start removes what a killed owner
//! has left. A container's published ports are on the loopback address and change whenever it starts, so clients
//! come through proxies, which follow.

mod arena;
mod container;
mod daemon;
mod doctor;
mod image;
mod labels;
mod link;
mod recipe;
mod run;
mod set;

pub use arena::{DockerBackend, start_cases};
pub use container::Container;
pub use daemon::Engine;
pub use doctor::{Doctor, EngineState, ImageState};
pub use image::{ImageKind, Images};
pub use link::ServerLink;
pub use recipe::{Advertised, REDPANDA_ALIAS, REDPANDA_PORT};
pub use run::{has_runs, shutdown_all, sweep};
pub use set::ContainerSet;
