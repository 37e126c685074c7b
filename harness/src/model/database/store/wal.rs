//! The write-ahead log as far as it can be told from outside: commits in their order, what logical slots decode,
//! and what a crash loses.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::catalog::TableDef;
use super::id::{Lsn, Xid};
use super::proc::{Tx, Written};
use super::slot::ReplicationSlot;
use crate::model::database::value::Tuple;

/// Where the log of a fresh cluster is about when its first user comes.
const FIRST_LSN: Lsn = Lsn(0x0150_0000);
/// How often the log writer flushes what asynchronous commits have left (`wal_writer_delay`).
const WRITER_DELAY: Duration = Duration::from_millis(200);
/// The size of a commit's record, and of a change's without its row.
const RECORD_BYTES: u64 = 48;

/// What happened to a row or a table.
#[derive(Debug, Clone)]
pub(super) enum Action {
    Insert(Tuple),
    Update { old: Tuple, new: Tuple },
    Delete(Tuple),
    Truncate,
}

/// A change in the log.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) lsn: Lsn,
    pub(super) table: Arc<TableDef>,
    /// The columns of the key by which the row is known (the replica identity).
    pub(super) identity: Arc<[usize]>,
    pub(super) action: Action,
}

/// A commit in the log.
#[derive(Debug, Clone)]
pub(super) struct Commit {
    pub(super) lsn: Lsn,
    /// Where its record ends.
    pub(super) end: Lsn,
    pub(super) xid: Xid,
    pub(super) changes: Vec<Change>,
}

/// A commit that is not flushed: a crash takes it back.
#[derive(Debug, Clone)]
pub(super) struct Unflushed {
    pub(super) lsn: Lsn,
    pub(super) xids: Vec<Xid>,
    /// The number of its end.
    pub(super) end: u64,
    at: Instant,
}

/// The log.
#[derive(Debug, Clone)]
pub(super) struct Wal {
    pub(super) end: Lsn,
    pub(super) flushed: Lsn,
    /// Changes of transactions that have not ended, by their topmost ids.
    running: BTreeMap<Xid, Vec<Change>>,
    pub(super) commits: VecDeque<Arc<Commit>>,
    pub(super) slots: BTreeMap<Arc<str>, ReplicationSlot>,
    pub(super) unflushed: Vec<Unflushed>,
    /// How far the synchronous standby has confirmed; none where commits wait for no standby.
    pub(super) standby: Option<Lsn>,
    /// As of the last checkpoint.
    pub(super) checkpoint: Lsn,
}

impl Default for Wal {
    fn default() -> Self {
        Wal {
            end: FIRST_LSN,
            flushed: FIRST_LSN,
            running: BTreeMap::new(),
            commits: VecDeque::new(),
            slots: BTreeMap::new(),
            unflushed: Vec::new(),
            standby: None,
            checkpoint: FIRST_LSN,
        }
    }
}

impl Wal {
    /// Whether somebody decodes the log.
    pub(super) fn is_watched(&self) -> bool {
        !self.slots.is_empty()
    }

    /// Takes a place in the log.
    pub(super) fn write(&mut self, bytes: u64) -> Lsn {
        let lsn = self.end;
        self.end = Lsn(lsn.0 + bytes.next_multiple_of(8));
        lsn
    }

    /// Notes a change of a transaction.
    pub(super) fn record(&mut self, top: Xid, change: Change) {
        self.running.entry(top).or_default().push(change);
    }

    /// A new change of a table.
    pub(super) fn change(&mut self, table: Arc<TableDef>, identity: Arc<[usize]>, action: Action) -> Change {
        let values = match &action {
            Action::Insert(tuple) | Action::Delete(tuple) | Action::Update { new: tuple, .. } => tuple.len(),
            Action::Truncate => 0,
        };
        let lsn = self.write(RECORD_BYTES + 8 * values as u64);
        Change { lsn, table, identity, action }
    }

    /// How many changes of the transaction there are.
    pub(super) fn changes_of(&self, top: Xid) -> usize {
        self.running.get(&top).map_or(0, Vec::len)
    }

    /// Drops a transaction's changes from `changes` on.
    pub(super) fn truncate(&mut self, top: Xid, changes: usize) {
        if let Some(running) = self.running.get_mut(&top) {
            running.truncate(changes);
        }
    }

    /// Drops the changes of a transaction that was rolled back.
    pub(super) fn forget(&mut self, top: Xid) {
        if !self.running.is_empty() {
            self.running.remove(&top);
        }
    }

    /// Writes a commit's record; returns where it ends.
    pub(super) fn commit(&mut self, tx: &Tx, synchronous: bool) -> Lsn {
        let lsn = self.write(RECORD_BYTES);
        let changes = self.running.remove(&tx.top()).unwrap_or_default();
        let is_seen = !changes.is_empty() || tx.written.contains(&Written::Catalog);
        if self.is_watched() && is_seen {
            let (end, xid) = (self.end, tx.top());
            self.commits.push_back(Arc::new(Commit { lsn, end, xid, changes }));
        }
        if synchronous {
            self.flush();
        }
        self.end
    }

    /// All that is written is safe from now on.
    pub(super) fn flush(&mut self) {
        self.flushed = self.end;
        self.unflushed.clear();
    }

    /// Notes that a commit has come to be visible, before it is flushed.
    pub(super) fn seen(&mut self, tx: &Tx, lsn: Option<Lsn>, end: u64) {
        if let Some(lsn) = lsn.filter(|lsn| *lsn > self.flushed) {
            let (xids, at) = (tx.xids(), Instant::now());
            self.unflushed.push(Unflushed { lsn, xids, end, at });
        }
    }

    /// What the log writer has done by now.
    pub(super) fn catch_up(&mut self) {
        if self.unflushed.is_empty() {
            return;
        }
        let now = Instant::now();
        let flushed = self.unflushed.iter().take_while(|commit| commit.at + WRITER_DELAY <= now).count();
        if flushed > 0 {
            self.flushed = self.flushed.max(self.unflushed[flushed - 1].lsn);
            self.unflushed.drain(..flushed);
        }
    }

    /// Versions that ended after this end are kept: a crash could bring them back.
    pub(super) fn horizon(&self) -> u64 {
        self.unflushed.first().map_or(u64::MAX, |commit| commit.end - 1)
    }

    /// Drops commits that no slot will ask for again, not even after a crash.
    pub(super) fn trim(&mut self) {
        let needed = self.slots.values().map(|slot| slot.confirmed.min(slot.saved)).min();
        let needed = needed.unwrap_or(self.end);
        while self.commits.front().is_some_and(|commit| commit.lsn < needed) {
            self.commits.pop_front();
        }
    }
}
