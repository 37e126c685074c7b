//! A session: one connection with its transaction.

use std::sync::Arc;

use tokio::time::Instant;

use super::id::{Lsn, SessionId, Slot, Xid};
use super::lock::{LockMode, LockTag};
use super::proc::{Isolation, Settings, Tx};
use super::state::{Shared, State};
use super::wait::Target;
use super::xact::Snapshot;
use crate::model::database::error::SqlError;
use crate::model::database::error::state::{ADMIN_SHUTDOWN, DUPLICATE_OBJECT, UNDEFINED_OBJECT};

/// One connection. Dropping it disconnects: its transaction is rolled back and its locks are free.
#[derive(Debug)]
pub(crate) struct Session {
    pub(super) shared: Arc<Shared>,
    pub(super) slot: Slot,
    id: SessionId,
}

/// What becomes of a `COMMIT`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    Committed,
    /// The transaction had failed.
    RolledBack,
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, slot: Slot, id: SessionId) -> Self {
        Session { shared, slot, id }
    }

    /// Its process id.
    pub(crate) fn id(&self) -> SessionId {
        self.id
    }

    /// Whether the server has ended it.
    pub(crate) fn is_terminated(&self) -> bool {
        self.shared.lock().proc(self.slot).interrupts.terminate
    }

    /// Its settings.
    pub(crate) fn settings(&self) -> Settings {
        self.shared.lock().proc(self.slot).settings.clone()
    }

    /// Changes its settings.
    pub(crate) fn set(&mut self, change: impl FnOnce(&mut Settings)) {
        change(&mut self.shared.lock().proc_mut(self.slot).settings);
    }

    /// Begins a transaction block.
    pub(crate) fn begin(&mut self, isolation: Isolation, read_only: bool, deferrable: bool) {
        let tx = Tx::new(isolation, read_only, deferrable, true);
        self.shared.lock().begin(self.slot, tx);
    }

    /// Whether a transaction is open, be it around a single statement.
    pub(crate) fn in_transaction(&self) -> bool {
        self.shared.lock().proc(self.slot).tx.is_some()
    }

    /// Whether it is in a transaction block.
    pub(crate) fn in_block(&self) -> bool {
        self.shared.lock().proc(self.slot).tx.as_ref().is_some_and(|tx| tx.explicit)
    }

    /// Whether the block can only be rolled back.
    pub(crate) fn is_failed(&self) -> bool {
        self.shared.lock().proc(self.slot).tx.as_ref().is_some_and(|tx| tx.failed)
    }

    /// The isolation of the open transaction, or of the next.
    pub(crate) fn isolation(&self) -> Isolation {
        let state = self.shared.lock();
        let proc = state.proc(self.slot);
        proc.tx.as_ref().map_or(proc.settings.isolation, |tx| tx.isolation)
    }

    /// Whether the open transaction, or the next, only reads.
    pub(crate) fn is_read_only(&self) -> bool {
        let state = self.shared.lock();
        let proc = state.proc(self.slot);
        proc.tx.as_ref().map_or(proc.settings.read_only, |tx| tx.read_only)
    }

    /// `SET TRANSACTION`: changes a block that has not run a statement yet; false where it has.
    pub(crate) fn set_transaction(
        &mut self,
        isolation: Option<Isolation>,
        read_only: Option<bool>,
        deferrable: Option<bool>,
    ) -> bool {
        let mut state = self.shared.lock();
        let Some(tx) = state.proc_mut(self.slot).tx.as_mut() else { return true };
        let fresh = tx.command == 0 && tx.levels.len() == 1;
        let loosens = read_only == Some(false) && tx.read_only;
        let changes = isolation.is_some_and(|isolation| isolation != tx.isolation);
        if !fresh && (loosens || changes || deferrable.is_some()) {
            return false;
        }
        tx.isolation = isolation.unwrap_or(tx.isolation);
        tx.read_only = read_only.unwrap_or(tx.read_only);
        tx.deferrable = deferrable.unwrap_or(tx.deferrable);
        true
    }

    /// Starts a command that takes no snapshot, in a transaction of its own where none is open.
    pub(crate) fn start(&mut self) -> Result<(), SqlError> {
        let mut state = self.shared.lock();
        self.start_command(&mut state)
    }

    /// Starts a command: takes its snapshot, in a transaction of its own where none is open.
    pub(crate) async fn statement(&mut self) -> Result<Snapshot, SqlError> {
        let safe = {
            let mut state = self.shared.lock();
            self.start_command(&mut state)?;
            let safe = state.ssi_begin(self.slot);
            if safe { Some(state.take_snapshot(self.slot)) } else { None }
        };
        if let Some(snapshot) = safe {
            return Ok(snapshot);
        }
        // A deferrable read-only transaction reads once nothing can go wrong with what it reads.
        loop {
            self.wait_for(Target::SafeSnapshot).await?;
            let mut state = self.shared.lock();
            if state.ssi_begin(self.slot) {
                return Ok(state.take_snapshot(self.slot));
            }
        }
    }

    fn start_command(&self, state: &mut State) -> Result<(), SqlError> {
        let proc = state.proc_mut(self.slot);
        if proc.interrupts.terminate {
            let message = "terminating connection due to administrator command";
            return Err(SqlError::fatal(ADMIN_SHUTDOWN, message));
        }
        proc.interrupts.cancel = false;
        if proc.tx.as_ref().is_some_and(|tx| tx.failed) {
            return Err(SqlError::in_failed_transaction());
        }
        if !proc.active {
            proc.active = true;
            proc.statement_deadline = proc.settings.statement_timeout.map(|timeout| Instant::now() + timeout);
        }
        if proc.tx.is_none() {
            let settings = &proc.settings;
            let tx = Tx::new(settings.isolation, settings.read_only, settings.deferrable, false);
            state.begin(self.slot, tx);
        }
        Ok(())
    }

    /// A snapshot of now for the next command of the same statement, also above read committed (checks of
    /// foreign keys see what is committed).
    pub(crate) fn latest_snapshot(&mut self) -> Snapshot {
        let mut state = self.shared.lock();
        let tx = state.tx_mut(self.slot);
        tx.command += 1;
        let command = tx.command;
        state.xacts.snapshot(command)
    }

    /// The same snapshot, from which the effects of the commands before are seen.
    pub(crate) fn next_command(&mut self, snapshot: &Snapshot) -> Snapshot {
        let mut state = self.shared.lock();
        let tx = state.tx_mut(self.slot);
        tx.command += 1;
        Snapshot { command: tx.command, ..*snapshot }
    }

    /// Ends a command: commits or rolls back a transaction that was only around it, and marks a block as failed.
    pub(crate) async fn end_statement(&mut self, ok: bool) -> Result<(), SqlError> {
        let implicit = {
            let mut state = self.shared.lock();
            let proc = state.proc_mut(self.slot);
            let implicit = proc.tx.as_ref().is_some_and(|tx| !tx.explicit);
            if !implicit {
                proc.active = false;
                proc.statement_deadline = None;
            }
            if let Some(tx) = &mut proc.tx {
                if !tx.keeps_snapshot() {
                    tx.oldest = None;
                }
                if !ok && tx.explicit && !tx.failed {
                    state.fail(self.slot);
                }
            }
            implicit
        };
        if implicit {
            let ended = if ok {
                self.commit().await.map(|_| ())
            } else {
                self.rollback();
                Ok(())
            };
            let mut state = self.shared.lock();
            let proc = state.proc_mut(self.slot);
            proc.active = false;
            proc.statement_deadline = None;
            return ended;
        }
        Ok(())
    }

    /// Commits the transaction; a failed one is rolled back.
    pub(crate) async fn commit(&mut self) -> Result<Ended, SqlError> {
        let lsn = {
            let mut state = self.shared.lock();
            match state.proc(self.slot).tx.as_ref() {
                None => return Ok(Ended::Committed),
                Some(tx) if tx.failed => {
                    state.abort(self.slot);
                    return Ok(Ended::RolledBack);
                }
                Some(_) => {}
            }
            if let Err(error) = state.ssi_precommit(self.slot) {
                state.abort(self.slot);
                return Err(error);
            }
            state.log_commit(self.slot)
        };
        let mut committing = Committing { session: self, lsn, armed: true };
        let cut_short = committing.confirmed().await;
        committing.armed = false;
        drop(committing);
        let mut state = self.shared.lock();
        state.finish_commit(self.slot, lsn);
        if state.proc(self.slot).interrupts.terminate {
            return cut_short.map(|()| Ended::Committed);
        }
        Ok(Ended::Committed)
    }

    /// Rolls the transaction back.
    pub(crate) fn rollback(&mut self) {
        self.shared.lock().abort(self.slot);
    }

    /// `SAVEPOINT`, in a block.
    pub(crate) fn savepoint(&mut self, name: &str) {
        self.shared.lock().savepoint(self.slot, name.into());
    }

    /// `ROLLBACK TO SAVEPOINT`.
    pub(crate) fn rollback_to(&mut self, name: &str) -> Result<(), SqlError> {
        self.shared.lock().rollback_to(self.slot, name)
    }

    /// `RELEASE SAVEPOINT`.
    pub(crate) fn release(&mut self, name: &str) -> Result<(), SqlError> {
        self.shared.lock().release(self.slot, name)
    }

    /// `PREPARE TRANSACTION`: the transaction lives on without the session. A failed one is rolled back.
    pub(crate) fn prepare_transaction(&mut self, name: &str) -> Result<Ended, SqlError> {
        let mut state = self.shared.lock();
        if state.proc(self.slot).tx.as_ref().is_none_or(|tx| tx.failed) {
            state.abort(self.slot);
            return Ok(Ended::RolledBack);
        }
        if state.prepared(name).is_some() {
            state.abort(self.slot);
            let message = format!("transaction identifier \"{name}\" is already in use");
            return Err(SqlError::new(DUPLICATE_OBJECT, message));
        }
        if let Err(error) = state.ssi_precommit(self.slot) {
            state.abort(self.slot);
            return Err(error);
        }
        state.prepare(self.slot, name.into());
        Ok(Ended::Committed)
    }

    /// `COMMIT PREPARED`.
    pub(crate) fn commit_prepared(&mut self, name: &str) -> Result<(), SqlError> {
        let mut state = self.shared.lock();
        let slot = state.prepared(name).ok_or_else(|| no_prepared(name))?;
        let lsn = state.log_commit(slot);
        state.finish_commit(slot, lsn);
        state.remove_proc(slot);
        Ok(())
    }

    /// `ROLLBACK PREPARED`.
    pub(crate) fn rollback_prepared(&mut self, name: &str) -> Result<(), SqlError> {
        let mut state = self.shared.lock();
        let slot = state.prepared(name).ok_or_else(|| no_prepared(name))?;
        state.abort(slot);
        state.remove_proc(slot);
        Ok(())
    }

    /// The id of the transaction, which gets one now where it has none (`pg_current_xact_id`).
    pub(crate) fn transaction_id(&mut self) -> Xid {
        let mut state = self.shared.lock();
        state.xid(self.slot);
        state.proc(self.slot).top()
    }

    /// The id of the transaction, if it has one.
    pub(crate) fn transaction_id_if_assigned(&self) -> Option<Xid> {
        let xid = self.shared.lock().proc(self.slot).top();
        (!xid.is_none()).then_some(xid)
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let mut state = self.shared.lock();
        let current = state.procs.get(self.slot).and_then(Option::as_ref);
        if current.is_some_and(|proc| proc.pid == self.id) {
            state.stop_waiting(self.slot);
            state.abort(self.slot);
            state.unlock_all(self.slot, |_| true);
            state.remove_proc(self.slot);
        }
    }
}

fn no_prepared(name: &str) -> SqlError {
    let message = format!("prepared transaction with identifier \"{name}\" does not exist");
    SqlError::new(UNDEFINED_OBJECT, message)
}

/// A commit that is in the log and not seen yet. It cannot be taken back: when its session goes, it is seen.
struct Committing<'a> {
    session: &'a Session,
    lsn: Option<Lsn>,
    armed: bool,
}

impl Committing<'_> {
    /// Waits until the synchronous standby has it. Being cut short is no failure: the commit is there.
    async fn confirmed(&self) -> Result<(), SqlError> {
        loop {
            let waits = {
                let state = self.session.shared.lock();
                let asks = state.proc(self.session.slot).settings.waits_for_standby;
                let behind = |standby: Lsn| self.lsn.is_some_and(|lsn| lsn > standby);
                asks && state.wal.standby.is_some_and(behind)
            };
            if !waits {
                return Ok(());
            }
            self.session.wait_for(Target::Standby).await?;
        }
    }
}

impl Drop for Committing<'_> {
    fn drop(&mut self) {
        if self.armed {
            let mut state = self.session.shared.lock();
            state.stop_waiting(self.session.slot);
            state.finish_commit(self.session.slot, self.lsn);
        }
    }
}

impl State {
    /// Writes the commit to the log, where there is something to write.
    pub(super) fn log_commit(&mut self, slot: Slot) -> Option<Lsn> {
        let State { wal, procs, .. } = self;
        let proc = procs[slot].as_ref()?;
        let tx = proc.tx.as_ref().filter(|tx| !tx.top().is_none())?;
        Some(wal.commit(tx, proc.settings.synchronous_commit))
    }

    /// The slot of a prepared transaction.
    pub(super) fn prepared(&self, name: &str) -> Option<Slot> {
        let is_named = |proc: &Option<Box<super::proc::Proc>>| {
            proc.as_ref().is_some_and(|proc| proc.prepared.as_deref() == Some(name))
        };
        self.procs.iter().position(is_named)
    }

    /// Hands the transaction with its locks over to an entry of its own.
    fn prepare(&mut self, slot: Slot, name: Arc<str>) {
        let tx = self.proc_mut(slot).tx.take().expect("only a transaction is prepared");
        let to = self.add_proc();
        self.xacts.move_to(tx.top(), to);
        if let Some(ssi) = tx.ssi {
            self.ssi_prepare(ssi, to);
        }
        let (gone, kept) =
            std::mem::take(&mut self.proc_mut(slot).held).into_iter().partition(|held| held.level.is_some());
        self.proc_mut(slot).held = kept;
        for held in &gone {
            let held: &super::proc::Held = held;
            self.locks.hand_over(held.tag, slot, to);
        }
        let prepared = self.proc_mut(to);
        prepared.prepared = Some(name);
        prepared.tx = Some(tx);
        prepared.held = gone;
        self.wal.flush();
    }

    pub(super) fn remove_proc(&mut self, slot: Slot) {
        self.procs[slot] = None;
    }
}

impl Session {
    /// `LOCK TABLE`, and what statements lock by themselves; `wait` false is `NOWAIT`.
    pub(crate) async fn lock_table(
        &mut self,
        table: super::id::TableId,
        mode: LockMode,
        wait: bool,
    ) -> Result<(), SqlError> {
        let tag = LockTag::Table(table);
        self.drive(|state, slot| state.lock_table(slot, tag, mode, wait)).await
    }
}
