//! Operations: an invocation together with what came of it.

use super::{Event, EventBody, Process, ReadItem, Scalar, Text, Txn, Write, WriteItem};

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
    /// The index of the completion; absent if the history ends before.
    pub complete_index: Option<u64>,
    /// When it was invoked.
    pub invoke_time: u64,
    /// When it was completed; absent if the history ends before.
    pub complete_time: Option<u64>,
    /// What is known of its outcome.
    pub outcome: Outcome,
    /// Its unique id; reads have none.
    pub op_id: Option<Text>,
    /// What it read.
    pub reads: Vec<ReadItem>,
    /// What it wrote.
    pub writes: Vec<WriteItem>,
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

    /// The invocation and the completion, by index.
    pub fn event_indexes(&self) -> impl Iterator<Item = u64> {
        [Some(self.invoke_index), self.complete_index].into_iter().flatten()
    }

    /// The operation that this invocation opens; its outcome is unknown until it completes. `None` for an
    /// observation.
    pub(super) fn invoked(event: &Event, session: u32) -> Option<Operation> {
        let (op_id, reads, writes) = match &event.body {
            EventBody::Write(write) => (Some(write.op_id), Vec::new(), vec![write.item]),
            EventBody::Read(read) => (None, vec![read.item], Vec::new()),
            EventBody::Txn(txn) => (Some(txn.op_id), txn.reads.clone(), txn.writes.clone()),
            _ => return None,
        };
        Some(Operation {
            process: event.process,
            session,
            invoke_index: event.index,
            complete_index: None,
            invoke_time: event.time,
            complete_time: None,
            outcome: Outcome::Info(Text::from(NO_COMPLETION)),
            op_id,
            reads,
            writes,
        })
    }

    /// Completes the operation, or says why this completion does not belong to it.
    pub(super) fn complete(&mut self, event: &Event, outcome: Outcome) -> Result<(), String> {
        match &event.body {
            EventBody::Write(write) => self.complete_write(write)?,
            EventBody::Read(read) => self.complete_read(&read.item)?,
            EventBody::Txn(txn) => self.complete_txn(txn)?,
            _ => return Err(format!("`{}` does not complete an operation", event.body.f())),
        }
        self.complete_index = Some(event.index);
        self.complete_time = Some(event.time);
        self.outcome = outcome;
        Ok(())
    }

    fn complete_write(&mut self, write: &Write) -> Result<(), String> {
        same("op_id", self.op_id.as_deref().unwrap_or_default(), &write.op_id)?;
        let item = &mut self.writes[0];
        same("key", &item.key, &write.item.key)?;
        merge_write(item, &write.item);
        Ok(())
    }

    fn complete_read(&mut self, completed: &ReadItem) -> Result<(), String> {
        let item = &mut self.reads[0];
        same("key", &item.key, &completed.key)?;
        item.clone_from(completed);
        Ok(())
    }

    fn complete_txn(&mut self, txn: &Txn) -> Result<(), String> {
        same("op_id", self.op_id.as_deref().unwrap_or_default(), &txn.op_id)?;
        if !txn.reads.is_empty() {
            self.reads.clone_from(&txn.reads);
        }
        for completed in &txn.writes {
            match self.writes.iter_mut().find(|item| item.key == completed.key) {
                Some(item) => merge_write(item, completed),
                None => self.writes.push(*completed),
            }
        }
        Ok(())
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
