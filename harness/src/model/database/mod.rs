//! The database of the model: PostgreSQL's SQL over an engine whose subject is concurrency.
#![expect(dead_code, unused_imports, reason = "the statements that use all of it come with the next pieces")]

pub(crate) mod calendar;
pub(crate) mod decimal;
pub(crate) mod error;
mod sql;
pub(crate) mod store;
pub(crate) mod types;
pub(crate) mod value;
