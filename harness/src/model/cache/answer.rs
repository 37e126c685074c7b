//! What a command answers, before it becomes what the port carries, and the errors in Redis' own words.

use std::borrow::Cow;

use bytes::Bytes;

use super::blocking::Wait;
use crate::port::{PortError, Reply, System};

/// An answer in the terms of Redis' protocol, version 2.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Answer {
    /// The null bulk string.
    Nil,
    /// The null array, of `EXEC` after a conflict or of a blocking command that waited in vain.
    NilArray,
    /// A whole number.
    Int(i64),
    /// A status.
    Status(Cow<'static, str>),
    /// A bulk string.
    Bulk(Bytes),
    /// Several answers.
    Array(Vec<Answer>),
    /// An error, of one command of a transaction or in the table of a script.
    Error(Cow<'static, str>),
}

/// Why a command has no answer.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Stop {
    /// It is refused: its code and text.
    Error(Cow<'static, str>),
    /// There is nothing to take yet.
    Wait(Wait),
}

/// What a command comes to.
pub(crate) type Outcome = Result<Answer, Stop>;

pub(crate) const OK: Answer = Answer::Status(Cow::Borrowed("OK"));
pub(crate) const WRONG_TYPE: Stop =
    error("WRONGTYPE Operation against a key holding the wrong kind of value");
pub(crate) const SYNTAX: Stop = error("ERR syntax error");
pub(crate) const NOT_AN_INTEGER: Stop = error("ERR value is not an integer or out of range");
pub(crate) const NOT_A_FLOAT: Stop = error("ERR value is not a valid float");
pub(crate) const OVERFLOW: Stop = error("ERR increment or decrement would overflow");

/// A refusal with a constant text.
pub(crate) const fn error(text: &'static str) -> Stop {
    Stop::Error(Cow::Borrowed(text))
}

/// A refusal with a text of its own.
pub(crate) fn refuse(text: String) -> Stop {
    Stop::Error(Cow::Owned(text))
}

/// A part of a command that Redis knows and the model does not, refused as an unknown command is.
pub(crate) fn not_known(what: &str) -> Stop {
    refuse(format!("ERR unknown command '{what}', which the model does not have"))
}

/// The refusal of a number of arguments.
pub(crate) fn arity(name: &str) -> Stop {
    refuse(format!("ERR wrong number of arguments for '{name}' command"))
}

impl Answer {
    pub(crate) fn bulk(bytes: &[u8]) -> Self {
        Answer::Bulk(Bytes::copy_from_slice(bytes))
    }

    pub(crate) fn count(count: usize) -> Self {
        Answer::Int(i64::try_from(count).unwrap_or(i64::MAX))
    }

    pub(crate) fn maybe(bytes: Option<&Bytes>) -> Self {
        bytes.map_or(Answer::Nil, |bytes| Answer::Bulk(bytes.clone()))
    }

    pub(crate) fn bulks<'a>(all: impl IntoIterator<Item = &'a Bytes>) -> Self {
        Answer::Array(all.into_iter().map(|bytes| Answer::Bulk(bytes.clone())).collect())
    }
}

impl From<bool> for Answer {
    fn from(value: bool) -> Self {
        Answer::Int(i64::from(value))
    }
}

/// The answer as the port carries it. An error within an array is the error of the whole, and what stands
/// beside it has been done.
pub(crate) fn carried(answer: Answer) -> Result<Reply, PortError> {
    Ok(match answer {
        Answer::Nil | Answer::NilArray => Reply::Nil,
        Answer::Int(value) => Reply::Int(value),
        Answer::Status(text) => Reply::Text(text.into_owned()),
        Answer::Bulk(bytes) => match std::str::from_utf8(&bytes) {
            Ok(text) => Reply::Text(text.to_owned()),
            Err(_) => return Err(PortError::shape(System::Cache, "the reply is not UTF-8")),
        },
        Answer::Array(all) => Reply::Array(all.into_iter().map(carried).collect::<Result<_, _>>()?),
        Answer::Error(text) => return Err(PortError { may_have_happened: true, ..port_error(&text) }),
    })
}

/// The refusal of a whole command. A script that fails keeps what it wrote before (Redis documentation,
/// "Scripting with Lua"), so only errors from before its start say that nothing happened.
pub(crate) fn refused(command: &str, text: &str) -> PortError {
    let refused = port_error(text);
    let is_script = ["EVAL", "EVALSHA"].iter().any(|script| command.eq_ignore_ascii_case(script));
    let before_start = refused.code.as_deref() == Some("NOSCRIPT");
    PortError { may_have_happened: is_script && !before_start, ..refused }
}

fn port_error(text: &str) -> PortError {
    let (code, detail) = text.split_once(' ').unwrap_or((text, "the server gave no detail"));
    PortError::refused(System::Cache, code, detail)
}
