//! The database of the model: PostgreSQL's SQL over an engine whose subject is concurrency.
