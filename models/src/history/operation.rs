//! Operations: an invocation together with what came of it.

use std::num::NonZeroU64;
use std::slice;

use super::{Event, EventBody, Process, ReadItem, Scalar, Text, Txn, WriteItem};

const NO_COMPLETION: &str = "the history ends before it completed";

/// An operation of a client, from its invocation to its completion.
///
/// `write`, `read` and `txn` all become this. What the completion says goes before what the invocation said.
#[derive(Debug, Clone, PartialEq)]
pub struct Operation {
    /// Who did it.
    pub process: Process,
    /// Which session of the process: an info ends a session, the next invocation begins another.
    pub session: u32,
    /// The index of the invocation.
    pub invoke_index: u64,
    /// When it was invoked.
    pub invoke_time: u64,
    /// The index of the completion, which comes after something, and when it was.
    completion: Option<(NonZeroU64, u64)>,
    /// What is known of its outcome.
    pub outcome: Outcome,
    /// Its unique id; reads have none.
    pub op_id: Option<Text>,
    items: Items,
}

/// What an operation read and wrote. Most read or write one key, and there are millions of them.
#[derive(Debug, Clone, PartialEq)]
enum Items {
    Write(WriteItem),
    Read(ReadItem),
    Txn(Box<Txn>),
}

/// What a client knows of how its operation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It happened.
    Ok,
    /// It did not happen, for this reason.
    Fail(Text),
    /// Nobody knows whether it happened or yet will, for this reason.
    Info(Text),
}

impl Operation {
    /// Whether it is known to have happened.
    pub fn is_ok(&self) -> bool {
        self.outcome == Outcome::Ok
    }

    /// The index of the completion; none if the history ends before.
    pub fn complete_index(&self) -> Option<u64> {
        self.completion.map(|(index, _)| index.get())
    }

    /// When it was completed; none if the history ends before.
    pub fn complete_time(&self) -> Option<u64> {
        self.completion.map(|(_, time)| time)
    }

    /// What it read.
    pub fn reads(&self) -> &[ReadItem] {
        match &self.items {
            Items::Write(_) => &[],
            Items::Read(item) => slice::from_ref(item),
            Items::Txn(txn) => &txn.reads,
        }
    }

    /// What it wrote.
    pub fn writes(&self) -> &[WriteItem] {
        match &self.items {
            Items::Write(item) => slice::from_ref(item),
            Items::Read(_) => &[],
            Items::Txn(txn) => &txn.writes,
        }
    }

    /// The invocation and the completion, by index.
    pub fn event_indexes(&self) -> impl Iterator<Item = u64> {
        [Some(self.invoke_index), self.complete_index()].into_iter().flatten()
    }

    /// The operation that this invocation opens; its outcome is unknown until it completes. `None` for an
    /// observation.
    pub(super) fn invoked(event: &Event, session: u32) -> Option<Operation> {
        let (op_id, items) = match &event.body {
            EventBody::Write(write) => (Some(write.op_id), Items::Write(write.item)),
            EventBody::Read(read) => (None, Items::Read(read.item)),
            EventBody::Txn(txn) => (Some(txn.op_id), Items::Txn(Box::new(txn.clone()))),
            _ => return None,
        };
        Some(Operation {
            process: event.process,
            session,
            invoke_index: event.index,
            invoke_time: event.time,
            completion: None,
            outcome: Outcome::Info(Text::from(NO_COMPLETION)),
            op_id,
            items,
        })
    }

    /// Completes the operation, or says why this completion does not belong to it.
    pub(super) fn complete(&mut self, event: &Event, outcome: Outcome) -> Result<(), String> {
        match (&event.body, &mut self.items) {
            (EventBody::Write(write), Items::Write(item)) => {
                same("op_id", &self.op_id.unwrap_or_default(), &write.op_id)?;
                same("key", &item.key, &write.item.key)?;
                merge_write(item, &write.item);
            }
            (EventBody::Read(read), Items::Read(item)) => {
                same("key", &item.key, &read.item.key)?;
                *item = read.item;
            }
            (EventBody::Txn(completed), Items::Txn(txn)) => {
                same("op_id", &txn.op_id, &completed.op_id)?;
                complete_txn(txn, completed);
            }
            _ => return Err(format!("`{}` does not complete an operation", event.body.f())),
        }
        self.completion = NonZeroU64::new(event.index).map(|index| (index, event.time));
        self.outcome = outcome;
        Ok(())
    }
}

fn complete_txn(txn: &mut Txn, completed: &Txn) {
    if !completed.reads.is_empty() {
        txn.reads.clone_from(&completed.reads);
    }
    for item in &completed.writes {
        match txn.writes.iter_mut().find(|known| known.key == item.key) {
            Some(known) => merge_write(known, item),
            None => txn.writes.push(*item),
        }
    }
}

fn same(what: &str, invoked: &str, completed: &str) -> Result<(), String> {
    if invoked == completed {
        return Ok(());
    }
    Err(format!("completes {what} `{completed}`, but the operation was invoked with {what} `{invoked}`"))
}

fn merge_write(item: &mut WriteItem, completed: &WriteItem) {
    if completed.value != Scalar::Null {
        item.value.clone_from(&completed.value);
    }
    item.delta = completed.delta.or(item.delta);
    item.ver = completed.ver.or(item.ver);
    item.base_ver = completed.base_ver.or(item.base_ver);
}
