//! Transactions: their beginning and their ends, savepoints, snapshots of statements.

use std::sync::Arc;

use super::catalog::IndexDef;
use super::id::{Lsn, Slot, TableId, Xid};
use super::lock::LockTag;
use super::proc::{Deferred, Isolation, Level, Notice, Tx, Written};
use super::state::State;
use super::xact::{Snapshot, Status};
use crate::model::database::error::SqlError;
use crate::model::database::error::state::{INVALID_SAVEPOINT, NO_ACTIVE_SQL_TRANSACTION};
use crate::model::footprint::Resource;

impl State {
    /// Begins a transaction.
    pub(super) fn begin(&mut self, slot: Slot, tx: Tx) {
        self.proc_mut(slot).tx = Some(tx);
    }

    /// The snapshot for the next command.
    pub(super) fn take_snapshot(&mut self, slot: Slot) -> Snapshot {
        let tx = self.tx_mut(slot);
        tx.command += 1;
        let command = tx.command;
        if let Some(snapshot) = tx.snapshot {
            return Snapshot { command, ..snapshot };
        }
        let keeps = tx.keeps_snapshot();
        let snapshot = self.xacts.snapshot(command);
        let tx = self.tx_mut(slot);
        if keeps {
            tx.snapshot = Some(snapshot);
        }
        if keeps || tx.oldest.is_none() {
            tx.oldest = Some(snapshot.ends);
        }
        if keeps {
            // What the transaction sees from now on depends on which others have ended.
            self.footprints.read(|| Resource::all("db commits"));
        }
        snapshot
    }

    /// Ends the transaction well: what it did is seen from now on, and its locks are free.
    pub(super) fn finish_commit(&mut self, slot: Slot, lsn: Option<Lsn>) {
        // A crash may have ended it already.
        let Some(tx) = self.proc_mut(slot).tx.take() else { return };
        let xids = tx.xids();
        if !xids.is_empty() {
            self.footprints.write(|| Resource::all("db commits"));
        }
        for written in &tx.written {
            match *written {
                Written::Put(table, row, _) => self.note_entries(slot, table, row),
                Written::Ended(table, row) => {
                    self.note_row_write(table, row);
                    self.table_mut(table).heap.all_mut().for_each(super::heap::Heap::note_stale);
                }
                Written::Catalog => self.catalog_version += 1,
            }
        }
        if !xids.is_empty() {
            self.xacts.finish(xids.iter().copied(), Status::Committed);
        }
        self.ssi_finish(tx.ssi, true);
        self.wal.seen(&tx, lsn, self.xacts.ends());
        self.end_locks(slot, &xids);
        self.deliver(slot, &tx);
        self.end_values(slot, true);
        self.sweep(slot, &tx);
    }

    /// After an error a block can only be rolled back. Without savepoints all of it is undone at once and its locks
    /// are free; else what the innermost one covers.
    pub(super) fn fail(&mut self, slot: Slot) {
        let tx = self.tx(slot);
        let innermost = tx.levels.last().filter(|_| tx.levels.len() > 1).map(|level| level.name.clone());
        if let Some(name) = innermost {
            // The innermost savepoint is there to be found.
            let _ = self.rollback_to(slot, &name);
            self.tx_mut(slot).failed = true;
        } else {
            let failed = Tx { failed: true, ..Tx::new(tx.isolation, tx.read_only, tx.deferrable, true) };
            self.abort(slot);
            self.proc_mut(slot).tx = Some(failed);
        }
    }

    /// Rolls the transaction back.
    pub(super) fn abort(&mut self, slot: Slot) {
        let Some(tx) = self.proc_mut(slot).tx.take() else { return };
        let xids = tx.xids();
        self.undo(slot, &tx.written);
        if !xids.is_empty() {
            self.xacts.finish(xids.iter().copied(), Status::Aborted);
        }
        self.ssi_finish(tx.ssi, false);
        self.wal.forget(tx.top());
        self.end_values(slot, false);
        self.end_locks(slot, &xids);
    }

    fn end_locks(&mut self, slot: Slot, xids: &[Xid]) {
        for xid in xids {
            self.footprints.write(|| Resource::one("db locks", LockTag::Transaction(*xid)));
            self.wake_waiters(*xid);
        }
        if !self.proc(slot).held.is_empty() {
            self.unlock_all(slot, |held| held.level.is_some());
        }
    }

    /// Takes new versions out again. Those that were replaced or deleted are live again by themselves.
    fn undo(&mut self, slot: Slot, written: &[Written]) {
        for written in written.iter().rev() {
            match *written {
                Written::Put(table, row, xid) => {
                    self.note_entries(slot, table, row);
                    self.remove_version(slot, table, row, xid);
                }
                Written::Ended(table, row) => self.note_row_write(table, row),
                Written::Catalog => self.catalog_version += 1,
            }
        }
    }

    fn sweep(&mut self, slot: Slot, tx: &Tx) {
        let mut tables: Vec<TableId> = Vec::new();
        for written in &tx.written {
            if let Written::Ended(table, _) = *written
                && !tables.contains(&table)
                && self.heap(slot, table).is_ok_and(super::heap::Heap::wants_sweep)
            {
                tables.push(table);
            }
        }
        let horizon = self.horizon();
        for id in tables {
            let table = Arc::make_mut(&mut self.tables[id.0 as usize]);
            let defs: Vec<Option<Arc<IndexDef>>> =
                table.indexes.iter().map(|index| index.current(&self.xacts, Xid::NONE).cloned()).collect();
            let defs: Vec<Option<&IndexDef>> = defs.iter().map(Option::as_deref).collect();
            if let Some(heap) = table.heap.current_mut(&self.xacts, Xid::NONE) {
                heap.sweep(&self.xacts, horizon, &defs);
            }
        }
    }

    /// Notifications and subscriptions take effect.
    fn deliver(&mut self, slot: Slot, tx: &Tx) {
        let sender = self.proc(slot).pid;
        let mut sent: Vec<Notice> = Vec::new();
        for deferred in &tx.deferred {
            let listening = &mut self.proc_mut(slot).listening;
            match deferred {
                Deferred::Listen(channel) => {
                    listening.insert(channel.clone());
                }
                Deferred::Unlisten(channel) => {
                    listening.remove(channel);
                }
                Deferred::UnlistenAll => listening.clear(),
                Deferred::Notify { channel, payload } => {
                    let notice = Notice { channel: channel.clone(), payload: payload.clone(), sender };
                    if !sent.contains(&notice) {
                        sent.push(notice);
                    }
                }
            }
        }
        if !tx.deferred.is_empty() {
            self.footprints.write(|| Resource::all("db notify"));
        }
        for proc in self.procs.iter_mut().flatten() {
            let heard = sent.iter().filter(|notice| proc.listening.contains(&notice.channel));
            let before = proc.inbox.len();
            proc.inbox.extend(heard.cloned());
            if proc.inbox.len() > before {
                proc.wake.notify_one();
            }
        }
    }

    /// `SAVEPOINT`.
    pub(super) fn savepoint(&mut self, slot: Slot, name: Arc<str>) {
        let changes = self.wal.changes_of(self.tx(slot).top());
        let tx = self.tx_mut(slot);
        let (written, deferred) = (tx.written.len(), tx.deferred.len());
        tx.levels.push(Level { name, xid: Xid::NONE, released: Vec::new(), written, deferred, changes });
    }

    fn find_savepoint(&self, slot: Slot, name: &str) -> Result<usize, SqlError> {
        let tx = self.proc(slot).tx.as_ref().filter(|tx| tx.explicit);
        let Some(tx) = tx else {
            let message = "savepoints can only be used in transaction blocks";
            return Err(SqlError::new(NO_ACTIVE_SQL_TRANSACTION, message));
        };
        let found = tx.levels.iter().skip(1).rposition(|level| &*level.name == name);
        let missing = || SqlError::new(INVALID_SAVEPOINT, format!("savepoint \"{name}\" does not exist"));
        found.map(|place| place + 1).ok_or_else(missing)
    }

    /// `RELEASE SAVEPOINT`.
    pub(super) fn release(&mut self, slot: Slot, name: &str) -> Result<(), SqlError> {
        let keep = self.find_savepoint(slot, name)?;
        let gone = self.tx_mut(slot).levels.split_off(keep);
        let parent = keep - 1;
        for level in gone {
            for xid in level.released.iter().chain([&level.xid]).filter(|xid| !xid.is_none()) {
                self.tx_mut(slot).levels[parent].released.push(*xid);
                self.xacts.release(*xid);
                self.wake_waiters(*xid);
            }
        }
        for held in &mut self.proc_mut(slot).held {
            held.level = held.level.map(|level| level.min(parent));
        }
        Ok(())
    }

    /// `ROLLBACK TO SAVEPOINT`: the savepoint stays, and what came after it is undone.
    pub(super) fn rollback_to(&mut self, slot: Slot, name: &str) -> Result<(), SqlError> {
        let keep = self.find_savepoint(slot, name)?;
        let gone = self.tx_mut(slot).levels.split_off(keep);
        let first = &gone[0];
        let (name, written, deferred, changes) =
            (first.name.clone(), first.written, first.deferred, first.changes);
        let undone = self.tx_mut(slot).written.split_off(written);
        self.tx_mut(slot).deferred.truncate(deferred);
        self.undo(slot, &undone);
        let top = self.tx(slot).top();
        self.wal.truncate(top, changes);
        let own = gone.iter().flat_map(|level| level.released.iter().copied().chain([level.xid]));
        let xids: Vec<Xid> = own.filter(|xid| !xid.is_none()).collect();
        if !xids.is_empty() {
            self.xacts.finish(xids.iter().copied(), Status::Aborted);
        }
        for xid in xids {
            self.wake_waiters(xid);
        }
        self.unlock_all(slot, |held| held.level.is_some_and(|level| level >= keep));
        let tx = self.tx_mut(slot);
        tx.failed = false;
        tx.levels.push(Level { name, xid: Xid::NONE, released: Vec::new(), written, deferred, changes });
        Ok(())
    }

    /// Whether the transaction is serializable.
    pub(super) fn is_serializable(&self, slot: Slot) -> bool {
        let tx = self.proc(slot).tx.as_ref();
        tx.is_some_and(|tx| tx.isolation == Isolation::Serializable)
    }
}
