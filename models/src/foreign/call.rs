//! Invocations and completions in pairs.

use super::ReadError;
use super::op::{Op, OpKind, is_client};
use super::value::{Store, Word};
use crate::hash::HashMap;

/// How a call ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It did not happen.
    Fail,
    /// Nobody knows: it may take effect at any later time, or never.
    Info,
}

/// An operation from its invocation to its completion. Places are those in the list of operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Call {
    /// Where it was invoked, where the history says so.
    pub invoke: Option<u32>,
    /// Where it completed, where it did.
    pub complete: Option<u32>,
    /// It cannot have begun before this place. A completion that stands alone began after the completion before
    /// it of the same process, and nobody knows when.
    pub begin: u32,
    /// It has happened by this place if it ended well; `u32::MAX` where nobody knows.
    pub end: u32,
    /// How it ended.
    pub outcome: Outcome,
}

impl Call {
    /// The operation whose value says most: the completion of what happened, else the invocation.
    pub fn telling_op(&self) -> u32 {
        let told = if self.outcome == Outcome::Ok {
            self.complete.or(self.invoke)
        } else {
            self.invoke.or(self.complete)
        };
        told.unwrap_or(self.begin)
    }
}

/// What is known of a process on the way through the file.
#[derive(Clone, Copy)]
struct Doing {
    /// The call that is open.
    open: Option<u32>,
    /// Just behind the place where its last call completed.
    free: u32,
}

pub(super) fn pair(store: &Store, ops: &[Op]) -> Result<Vec<Call>, ReadError> {
    let mut calls: Vec<Call> = Vec::with_capacity(ops.len() / 2 + 1);
    let mut processes: HashMap<Word, Doing> = HashMap::default();
    for (at, op) in ops.iter().enumerate().filter(|(_, op)| is_client(store, op.process)) {
        let at = at as u32;
        let doing = processes.entry(op.process).or_insert(Doing { open: None, free: 0 });
        match (op.kind, doing.open) {
            (OpKind::Invoke, Some(open)) => {
                let before = calls[open as usize].begin as usize;
                return Err(begins_twice(store, op, &ops[before]));
            }
            (OpKind::Invoke, None) => {
                doing.open = Some(calls.len() as u32);
                let outcome = Outcome::Info;
                calls.push(Call { invoke: Some(at), complete: None, begin: at, end: u32::MAX, outcome });
            }
            (kind, Some(open)) => {
                let call = &mut calls[open as usize];
                call.complete = Some(at);
                (call.outcome, call.end) = ended(kind, at);
                *doing = Doing { open: None, free: at + 1 };
            }
            (kind, None) => {
                let (outcome, end) = ended(kind, at);
                calls.push(Call { invoke: None, complete: Some(at), begin: doing.free, end, outcome });
                doing.free = at + 1;
            }
        }
    }
    Ok(calls)
}

fn ended(kind: OpKind, at: u32) -> (Outcome, u32) {
    match kind {
        OpKind::Ok => (Outcome::Ok, at),
        OpKind::Fail => (Outcome::Fail, at),
        OpKind::Invoke | OpKind::Info => (Outcome::Info, u32::MAX),
    }
}

fn begins_twice(store: &Store, op: &Op, before: &Op) -> ReadError {
    let message = format!(
        "process {} invokes an operation while that of line {} is still open: a process does one at a time",
        store.show(op.process),
        before.line
    );
    ReadError::Malformed { line: op.line, column: 1, message }
}
