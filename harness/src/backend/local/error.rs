//! Why a server could not be started, or a fault could not be done to it.

use std::io;
use std::path::Path;

use super::programs::Unavailable;
use super::server::ServerKind;

const TAIL_LINES: usize = 12;

/// Why the servers could not be started, and what to do.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A program is missing, or its variable is wrong.
    #[error(transparent)]
    Unavailable(#[from] Unavailable),
    /// The program ended before it was ready.
    #[error("{kind} ended with {status} before it was ready; its last words:\n{tail}")]
    Ended {
        /// Which server.
        kind: ServerKind,
        /// How it ended.
        status: String,
        /// The last lines of its log.
        tail: String,
        /// Whether it found its port taken.
        address_in_use: bool,
    },
    /// The program runs but does not answer.
    #[error("{kind} was not ready after {waited_s} s ({last}); its last words:\n{tail}")]
    NotReady {
        /// Which server.
        kind: ServerKind,
        /// How long it was given.
        waited_s: u64,
        /// What the last ping met.
        last: String,
        /// The last lines of its log.
        tail: String,
    },
    /// A preparation failed: a directory, a copy, an `initdb`.
    #[error("failed to {doing}: {reason}")]
    Preparation {
        /// What was to be done.
        doing: String,
        /// Why not.
        reason: String,
    },
    /// The set of servers has been shut down.
    #[error("{kind} cannot be started, its set of servers has been shut down")]
    Gone {
        /// Which server.
        kind: ServerKind,
    },
}

impl StartError {
    pub(crate) fn preparing(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |error| Self::Preparation { doing, reason: error.to_string() }
    }

    /// Why a server ended, by the log that it wrote from a position on.
    pub(crate) fn ended(kind: ServerKind, status: String, log: &Path, from: u64) -> Self {
        let text = log_from(log, from);
        // Kafka says it in the middle of a long farewell, a program in Go in lower case.
        let address_in_use = text.contains("ddress already in use");
        Self::Ended { kind, status, tail: tail(&text), address_in_use }
    }

    /// Why a server that runs cannot be used, by the log that it wrote from a position on.
    pub(crate) fn not_ready(kind: ServerKind, waited_s: u64, last: String, log: &Path, from: u64) -> Self {
        Self::NotReady { kind, waited_s, last, tail: tail(&log_from(log, from)) }
    }

    /// Whether another port may help.
    pub(crate) fn is_port_conflict(&self) -> bool {
        match self {
            Self::Ended { address_in_use, .. } => *address_in_use,
            Self::Unavailable(_) | Self::NotReady { .. } | Self::Preparation { .. } | Self::Gone { .. } => {
                false
            }
        }
    }
}

/// Why a kill, stop, pause or resume did not take.
#[derive(Debug, thiserror::Error)]
pub enum ServerError {
    /// There is no process to do it to.
    #[error("failed to {doing} {kind}: it does not run")]
    NotRunning {
        /// Which server.
        kind: ServerKind,
        /// What was to be done.
        doing: &'static str,
    },
    /// The system refused, or the server's processes did not follow.
    #[error("failed to {doing} {kind}: {reason}")]
    Refused {
        /// Which server.
        kind: ServerKind,
        /// What was to be done.
        doing: &'static str,
        /// Why not.
        reason: String,
    },
}

/// How many bytes a log has; what comes later belongs to the next start.
pub(crate) fn log_len(log: &Path) -> u64 {
    std::fs::metadata(log).map(|meta| meta.len()).unwrap_or(0)
}

fn log_from(log: &Path, from: u64) -> String {
    let bytes = std::fs::read(log).unwrap_or_default();
    let start = usize::try_from(from).unwrap_or(usize::MAX).min(bytes.len());
    String::from_utf8_lossy(&bytes[start..]).into_owned()
}

fn tail(text: &str) -> String {
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    if lines.is_empty() {
        return "(it said nothing)".to_owned();
    }
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}
