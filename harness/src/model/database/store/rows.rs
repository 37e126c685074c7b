//! What a session does with rows.

use super::id::{IndexId, RowId, Slot, TableId};
use super::lock::{LockMode, LockTag};
use super::row_lock::{Attempt, Locked, WaitPolicy};
use super::scan::{Access, Found};
use super::session::Session;
use super::state::State;
use super::version::{Fitness, RowLock};
use super::wait::{Step, Target};
use super::write::{Change, Entered, Entries};
use super::xact::Snapshot;
use crate::model::database::error::SqlError;
use crate::model::database::error::state::{CARDINALITY_VIOLATION, LOCK_NOT_AVAILABLE};
use crate::model::database::value::Tuple;

/// How `INSERT .. ON CONFLICT` went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Inserted {
    New(Found),
    /// There is a row in the way; it is locked if a lock was asked for.
    Conflict(Found),
}

/// How an update or a deletion went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Changed {
    /// Done; the new version of an update.
    Done(Option<Found>),
    /// Another transaction was faster. This is the newest version, and it is locked: whether it still qualifies,
    /// and what becomes of it, is to be seen.
    Newer(Found),
    /// Another transaction has deleted it.
    Gone,
    /// This very command has written it already.
    SelfModified,
}

impl Session {
    /// The rows that the snapshot sees.
    pub(crate) fn scan(
        &mut self,
        snapshot: &Snapshot,
        table: TableId,
        access: &Access,
    ) -> Result<Vec<Found>, SqlError> {
        self.shared.lock().scan(self.slot, snapshot, table, access)
    }

    /// The row with that place, if the snapshot sees it.
    pub(crate) fn row_at(&mut self, snapshot: &Snapshot, table: TableId, row: RowId) -> Option<Found> {
        let state = self.shared.lock();
        let version = state.version(self.slot, table, row)?;
        let visible = state.is_visible(self.slot, version, snapshot);
        state.note_row_read(table, row);
        visible.then(|| Found { table, row, tuple: version.tuple.clone() })
    }

    /// Locks a row as `SELECT .. FOR ..` does.
    pub(crate) async fn lock_row(
        &mut self,
        snapshot: &Snapshot,
        found: &Found,
        lock: RowLock,
        wait: WaitPolicy,
    ) -> Result<Locked, SqlError> {
        let mut attempt = self.shared.lock().attempt(self.slot, found, lock, wait);
        let outcome = self.drive(|state, slot| state.lock_step(slot, snapshot.command, &mut attempt)).await?;
        self.shared.lock().locked(self.slot, found, outcome, false)
    }

    /// Locks a row that is to be written; [`Session::update`] and [`Session::delete`] do it by themselves.
    pub(crate) async fn lock_for_write(
        &mut self,
        snapshot: &Snapshot,
        found: &Found,
        lock: RowLock,
    ) -> Result<Locked, SqlError> {
        let mut attempt = self.shared.lock().attempt(self.slot, found, lock, WaitPolicy::Block);
        attempt.follow = false;
        let outcome = self.drive(|state, slot| state.lock_step(slot, snapshot.command, &mut attempt)).await?;
        self.shared.lock().locked(self.slot, found, outcome, true)
    }

    /// Inserts a row.
    pub(crate) async fn insert(
        &mut self,
        snapshot: &Snapshot,
        table: TableId,
        tuple: Tuple,
    ) -> Result<Found, SqlError> {
        let (found, entries) = {
            let mut state = self.shared.lock();
            let mut entries = state.put(self.slot, snapshot.command, table, tuple.clone(), false)?;
            let found = Found { table, row: entries.row, tuple };
            // In the common case there is nothing to wait for.
            match state.enter_step(self.slot, &mut entries)? {
                Step::Done(_) => return Ok(found),
                Step::Wait(_) => (found, entries),
            }
        };
        self.enter(entries).await?;
        Ok(found)
    }

    async fn enter(&mut self, mut entries: Entries) -> Result<Entered, SqlError> {
        self.drive(|state, slot| state.enter_step(slot, &mut entries)).await
    }

    /// Inserts a row, unless one is in the way in one of the `arbiters` (of all unique indexes, where none is
    /// named). With `lock`, that one is locked, to be updated; without, it is left alone.
    pub(crate) async fn insert_on_conflict(
        &mut self,
        snapshot: &Snapshot,
        table: TableId,
        tuple: Tuple,
        arbiters: &[IndexId],
        lock: Option<RowLock>,
    ) -> Result<Inserted, SqlError> {
        let arbiters = self.shared.lock().arbiters(self.slot, table, arbiters);
        loop {
            let conflict =
                self.drive(|state, slot| state.conflict_step(slot, table, &tuple, &arbiters)).await?;
            if let Some(found) = conflict {
                match self.conflicting(snapshot, found, lock).await? {
                    Some(found) => return Ok(Inserted::Conflict(found)),
                    None => continue,
                }
            }
            if let Some(found) = self.speculate(snapshot, table, &tuple, &arbiters).await? {
                return Ok(Inserted::New(found));
            }
        }
    }

    /// The row in the way, locked where that is asked for; none where it has gone meanwhile.
    async fn conflicting(
        &mut self,
        snapshot: &Snapshot,
        found: Found,
        lock: Option<RowLock>,
    ) -> Result<Option<Found>, SqlError> {
        let Some(lock) = lock else {
            self.shared.lock().check_visible(self.slot, snapshot, &found)?;
            return Ok(Some(found));
        };
        let mut attempt = Attempt::new(found.table, found.row, lock, WaitPolicy::Block);
        let outcome = self.drive(|state, slot| state.lock_step(slot, snapshot.command, &mut attempt)).await?;
        let state = &mut *self.shared.lock();
        match state.locked(self.slot, &found, outcome, true)? {
            Locked::Same(found) => {
                state.check_visible(self.slot, snapshot, &found)?;
                Ok(Some(found))
            }
            Locked::Invisible | Locked::SelfModified => {
                let message = "ON CONFLICT DO UPDATE command cannot affect row a second time";
                Err(SqlError::new(CARDINALITY_VIOLATION, message))
            }
            Locked::Updated(_) | Locked::Deleted | Locked::Skipped => Ok(None),
        }
    }

    /// An insertion that is taken back where another one turns out to have the key.
    async fn speculate(
        &mut self,
        snapshot: &Snapshot,
        table: TableId,
        tuple: &Tuple,
        arbiters: &[IndexId],
    ) -> Result<Option<Found>, SqlError> {
        let (tag, row, entries) = {
            let mut state = self.shared.lock();
            let tag = LockTag::Speculative(state.xid(self.slot));
            let mut entries = state.put(self.slot, snapshot.command, table, tuple.clone(), true)?;
            entries.arbiters = Some(arbiters.to_vec());
            let row = entries.row;
            if let Step::Done(entered) = state.enter_step(self.slot, &mut entries)? {
                let stands = entered == Entered::All;
                state.settle(self.slot, table, row, stands);
                return Ok(stands.then(|| Found { table, row, tuple: tuple.clone() }));
            }
            state.try_lock(self.slot, tag, LockMode::Exclusive, false);
            (tag, row, entries)
        };
        let entered = self.enter(entries).await;
        let mut state = self.shared.lock();
        let stands = matches!(entered, Ok(Entered::All));
        state.settle(self.slot, table, row, stands);
        state.unlock(self.slot, tag, LockMode::Exclusive, false);
        entered?;
        Ok(stands.then(|| Found { table, row, tuple: tuple.clone() }))
    }

    /// Replaces a version. Where another transaction holds it, its end is waited for.
    pub(crate) async fn update(
        &mut self,
        snapshot: &Snapshot,
        found: &Found,
        tuple: Tuple,
    ) -> Result<Changed, SqlError> {
        let lock = self.shared.lock().update_lock(self.slot, found.table, &found.tuple, &tuple);
        self.change(snapshot, found, Change::new(found, Some(tuple), lock)).await
    }

    /// Deletes a version. Where another transaction holds it, its end is waited for.
    pub(crate) async fn delete(&mut self, snapshot: &Snapshot, found: &Found) -> Result<Changed, SqlError> {
        self.change(snapshot, found, Change::new(found, None, RowLock::Update)).await
    }

    async fn change(
        &mut self,
        snapshot: &Snapshot,
        found: &Found,
        mut change: Change,
    ) -> Result<Changed, SqlError> {
        let lock = change.lock;
        let (fitness, entries) =
            self.drive(|state, slot| state.change_step(slot, snapshot.command, &mut change)).await?;
        match fitness {
            Fitness::Fit => {
                let Some(entries) = entries else { return Ok(Changed::Done(None)) };
                let tuple = change.tuple.unwrap_or_else(|| found.tuple.clone());
                let found = Found { table: found.table, row: entries.row, tuple };
                self.enter(entries).await?;
                Ok(Changed::Done(Some(found)))
            }
            Fitness::SelfModified => Ok(Changed::SelfModified),
            Fitness::Updated | Fitness::Deleted if self.shared.lock().tx(self.slot).keeps_snapshot() => {
                let updated = fitness == Fitness::Updated;
                Err(if updated { SqlError::concurrent_update() } else { SqlError::concurrent_delete() })
            }
            Fitness::Updated => Ok(match self.lock_for_write(snapshot, found, lock).await? {
                Locked::Same(found) | Locked::Updated(found) => Changed::Newer(found),
                Locked::SelfModified | Locked::Invisible => Changed::SelfModified,
                Locked::Deleted | Locked::Skipped => Changed::Gone,
            }),
            Fitness::Deleted | Fitness::Invisible | Fitness::Held => Ok(Changed::Gone),
        }
    }
}

impl State {
    /// One step of locking a table.
    pub(super) fn lock_table(
        &mut self,
        slot: Slot,
        tag: LockTag,
        mode: LockMode,
        wait: bool,
    ) -> Result<Step<()>, SqlError> {
        let held = |held: &super::proc::Held| held.tag == tag && held.mode == mode && held.level.is_some();
        if self.proc(slot).held.iter().any(held) || self.try_lock(slot, tag, mode, false) {
            return Ok(Step::Done(()));
        }
        if wait {
            return Ok(Step::Wait(Target::Lock(tag, mode)));
        }
        let name = match tag {
            LockTag::Table(table) => self.def(slot, table)?.name.clone(),
            _ => "".into(),
        };
        let message = format!("could not obtain lock on relation \"{name}\"");
        Err(SqlError::new(LOCK_NOT_AVAILABLE, message))
    }
}
