//! The systems in process: a database, a cache and a broker behind the same ports as real ones, on one thread
//! and in virtual time. Their subject is concurrency and failure, not completeness: what they do not know they
//! refuse by name.
//!
//! Nothing here reads a wall clock or depends on the order of a hash map: the same calls in the same order give
//! the same answers, to the byte.

pub mod broker;
pub mod cache;
pub mod cases;
pub mod database;
pub mod footprint;
