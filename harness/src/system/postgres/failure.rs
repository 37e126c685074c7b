//! What an error of the driver says about the statement: refused, unknown, or never run.

use std::error::Error as _;
use std::net::SocketAddr;
use std::time::Duration;

use tokio_postgres::Error;
use tokio_postgres::error::{DbError, Severity};

use crate::port::{PortError, System};

/// How far a statement had come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// It was being parsed: nothing has run, whatever becomes of the session.
    Prepare,
    /// It was sent to be run.
    Run,
}

/// A session could not be opened.
pub(super) fn connect(addr: SocketAddr, error: &Error) -> PortError {
    let message = format!("failed to connect to {addr}: {}", describe(error));
    let code = error.code().map(|code| code.code().to_owned());
    PortError { code, ..PortError::not_sent(System::Db, message) }
}

/// A session could not be opened in time.
pub(super) fn connect_timeout(addr: SocketAddr, limit: Duration) -> PortError {
    let message = format!("failed to connect to {addr}: no answer within {} ms", limit.as_millis());
    PortError::not_sent(System::Db, message)
}

/// The session ended before the statement was answered.
pub(super) fn lost(stage: Stage, message: String) -> PortError {
    match stage {
        Stage::Prepare => PortError::not_sent(System::Db, message),
        Stage::Run => PortError::unknown(System::Db, message),
    }
}

/// The driver returned an error for a statement.
pub(super) fn statement(stage: Stage, error: &Error) -> PortError {
    match error.as_db_error() {
        Some(reported) if leaves_open(reported) => {
            let code = Some(reported.code().code().to_owned());
            PortError { code, ..lost(stage, describe_reported(reported)) }
        }
        Some(reported) => PortError::refused(System::Db, reported.code().code(), describe_reported(reported)),
        None => lost(stage, describe(error)),
    }
}

/// Whether an error that the server reported leaves open what became of the statement: the session ends with
/// it (every `FATAL` and `PANIC`, so 57P01 to 57P03), the connection is in doubt (class 08), or the server
/// says so itself (40003, which CockroachDB answers to an ambiguous commit).
fn leaves_open(error: &DbError) -> bool {
    let ends_session = matches!(error.parsed_severity(), Some(Severity::Fatal | Severity::Panic));
    ends_session || is_open(error.code().code())
}

/// Whether a code leaves it open, with whatever severity it comes. 40001 does not: it says that the transaction was
/// rolled back (PostgreSQL 15 documentation, 13.5; CockroachDB 24.3, page "Transaction Retry Error Reference").
fn is_open(code: &str) -> bool {
    code.starts_with("08") || matches!(code, "57P01" | "57P02" | "57P03" | "40003")
}

fn describe_reported(error: &DbError) -> String {
    match error.detail() {
        Some(detail) => format!("{} ({detail})", error.message()),
        None => error.message().to_owned(),
    }
}

/// The driver's own message with its cause, which it leaves out of its `Display`.
pub(super) fn describe(error: &Error) -> String {
    match (error.as_db_error(), error.source()) {
        (Some(reported), _) => describe_reported(reported),
        (None, Some(cause)) => format!("{error}: {cause}"),
        (None, None) => error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ambiguous_commit_and_a_lost_connection_leave_it_open_and_a_conflict_does_not() {
        let open = ["40003", "08000", "08003", "08006", "57P01", "57P02", "57P03"];
        let settled = ["40001", "40P01", "23505", "25P02", "55P03", "57014", "42601", "0A000"];
        assert!(open.iter().all(|code| is_open(code)));
        assert!(!settled.iter().any(|code| is_open(code)));
    }

    #[test]
    fn what_was_only_parsed_has_not_happened() {
        let parsed = lost(Stage::Prepare, "the session ended".to_owned());
        assert!(!parsed.may_have_happened && parsed.connection_lost);
        assert!(lost(Stage::Run, "the session ended".to_owned()).may_have_happened);
    }
}
