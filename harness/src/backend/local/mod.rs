//! Server processes of our own on loopback ports: PostgreSQL, Redis, Kafka, and
//! CockroachDB and Redpanda where their programs are.
//!
//! A [`ServerSet`] starts what a design wants, in one directory, and ends all of it when it is dropped. Whatever
//! a killed owner leaves is removed by the [`sweep`] at the next start, and only that. Each [`Server`] can be
//! killed, stopped, paused and started again on the same port.

mod arena;
mod cockroach;
mod doctor;
mod error;
mod kafka;
mod port;
mod postgres;
mod process;
mod procfs;
mod programs;
mod redis;
mod redpanda;
mod server;
mod servers;
mod set;
mod set_dir;
mod small_disk;
mod template;

pub use arena::{LocalBackend, start_cases};
pub use doctor::{Diagnosis, Doctor};
pub use error::{ServerError, StartError};
pub(crate) use procfs::Identity;
pub use programs::{Finding, Places, Program, Programs, Source, Unavailable};
pub use server::{Server, ServerKind};
pub use set::{KafkaListener, ServerSet};
pub use set_dir::{Swept, default_root, has_sets, shutdown_all, sweep};
