//! Errors of the ports: what the system said, and whether the call may have happened all the same.

use std::fmt;

/// A kind of system behind a port.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum System {
    /// The source of truth: PostgreSQL or CockroachDB.
    Db,
    /// The cache (or the job queue): Redis.
    Cache,
    /// The log: Kafka or Redpanda.
    Broker,
    /// The application itself: its points.
    App,
}

impl System {
    /// The word that histories, schedules and fault ids use.
    pub fn id(self) -> &'static str {
        match self {
            System::Db => "db",
            System::Cache => "cache",
            System::Broker => "broker",
            System::App => "app",
        }
    }
}

impl fmt::Display for System {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// A call that did not answer with a result.
///
/// `may_have_happened` is the one thing a design must not guess: it is true unless the system itself said
/// that the call had no effect, or the call was provably never sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{system}: {message}{}", .code.as_ref().map(|code| format!(" [{code}]")).unwrap_or_default())]
pub struct PortError {
    /// Which system.
    pub system: System,
    /// Its own code: the SQLSTATE, the first word of a Redis error, Kafka's error name.
    pub code: Option<String>,
    /// Whether the call may have taken effect.
    pub may_have_happened: bool,
    /// Whether the connection is of no more use.
    pub connection_lost: bool,
    /// What the system or the client said.
    pub message: String,
}

impl PortError {
    /// The system answered that it did not do it.
    pub fn refused(system: System, code: impl Into<String>, message: impl Into<String>) -> Self {
        PortError {
            system,
            code: Some(code.into()),
            may_have_happened: false,
            connection_lost: false,
            message: message.into(),
        }
    }

    /// Nothing was sent: no connection could be made.
    pub fn not_sent(system: System, message: impl Into<String>) -> Self {
        PortError {
            system,
            code: None,
            may_have_happened: false,
            connection_lost: true,
            message: message.into(),
        }
    }

    /// Sent, and no answer came.
    pub fn unknown(system: System, message: impl Into<String>) -> Self {
        PortError {
            system,
            code: None,
            may_have_happened: true,
            connection_lost: true,
            message: message.into(),
        }
    }

    /// The answer has not the shape that the caller reads: a column that is not there, another type.
    pub fn shape(system: System, message: impl Into<String>) -> Self {
        PortError {
            system,
            code: Some("shape".to_owned()),
            may_have_happened: true,
            connection_lost: false,
            message: message.into(),
        }
    }

    /// A conflict that the application is meant to retry: serialization failure or deadlock
    /// (SQLSTATE 40001, 40P01). The transaction was rolled back.
    pub fn is_conflict(&self) -> bool {
        !self.may_have_happened && matches!(self.code.as_deref(), Some("40001" | "40P01"))
    }
}
