//! Conformance: the same concurrency cases on the model and on real servers. Where they differ, the model is
//! wrong.
//!
//! Cases of the database are written in the format of PostgreSQL's own concurrency tests (isolationtester:
//! PostgreSQL 15, `src/test/isolation/README`), and what a run prints is what that program prints, to the byte.
//! Cases of the cache and of the broker have the same form, with Redis commands and Kafka operations as the
//! bodies of their steps; their first line says so: `# crosscheck: redis`, `# crosscheck: kafka`.

mod case;
mod conversation;
mod event;
mod kafka;
mod lexer;
mod outcome;
mod parse;
mod permutations;
mod redis;
mod run;
mod session;
mod spec;
mod table;

pub use case::{Case, CaseError, Dates, Language};
pub use event::Event;
pub use kafka::{BrokerCases, Topics};
pub use outcome::Outcome;
pub use redis::CacheCases;
pub use run::{Limits, Transcript, run};
pub use session::{Session, System};
pub use spec::{Blocker, Launch, Permutation, SessionSpec, Spec, SpecError, Step};
