//! Locking a row: PostgreSQL's `heap_lock_tuple`, with the walk to the newest version of `heapam_tuple_lock`.
//!
//! An attempt is taken in steps. After each wait it looks at the version anew, as PostgreSQL does once it finds
//! that something has changed.

use super::id::{RowId, Slot, TableId, Xid};
use super::lock::{LockMode, LockTag};
use super::scan::Found;
use super::state::State;
use super::version::{Dirty, Fitness, Holder, RowLock, Version, Xmax};
use super::wait::{Step, Target};
use super::xact::Snapshot;
use crate::model::database::error::SqlError;
use crate::model::database::error::state::LOCK_NOT_AVAILABLE;

/// What to do about a row that another transaction holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WaitPolicy {
    Block,
    NoWait,
    SkipLocked,
}

/// How an attempt to lock a row ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Locked {
    /// The version that was found is locked.
    Same(Found),
    /// A newer one is locked: whether it still qualifies is to be seen.
    Updated(Found),
    /// It was deleted.
    Deleted,
    /// Somebody else holds it, and it is to be skipped.
    Skipped,
    /// This very command has written it already.
    SelfModified,
    /// This very command has made it.
    Invisible,
}

/// The end of an attempt on versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Locked(RowId),
    Failed(Fitness),
    WouldBlock,
}

/// An attempt to lock a row.
#[derive(Debug, Clone)]
pub(super) struct Attempt {
    pub(super) table: TableId,
    pub(super) row: RowId,
    pub(super) lock: RowLock,
    pub(super) wait: WaitPolicy,
    /// Newer versions that are not committed are locked along (`LOCK_UPDATE_IN_PROGRESS`).
    pub(super) follow: bool,
    /// If the version was replaced, its newest one is locked (`FIND_LAST_VERSION`).
    pub(super) find_last: bool,
    first: bool,
    skip_place: bool,
    has_place: Option<RowId>,
    /// On the way to the newest version: the next one, and who has made it.
    chase: Option<(RowId, Xid)>,
}

impl Attempt {
    pub(super) fn new(table: TableId, row: RowId, lock: RowLock, wait: WaitPolicy) -> Self {
        let (follow, find_last) = (false, false);
        let (first, skip_place, has_place, chase) = (true, false, None, None);
        Attempt { table, row, lock, wait, follow, find_last, first, skip_place, has_place, chase }
    }
}

/// The lock on the place of a row that stands for a row lock while it is waited for.
pub(super) fn place_mode(lock: RowLock) -> LockMode {
    match lock {
        RowLock::KeyShare => LockMode::AccessShare,
        RowLock::Share => LockMode::RowShare,
        RowLock::NoKeyUpdate => LockMode::Exclusive,
        RowLock::Update => LockMode::AccessExclusive,
    }
}

/// What goes on after a wait, or how it ended without one.
enum Wanted {
    Wait(Target),
    Go,
    WouldBlock,
}

impl State {
    /// One step of an attempt.
    pub(super) fn lock_step(
        &mut self,
        slot: Slot,
        command: u32,
        attempt: &mut Attempt,
    ) -> Result<Step<Outcome>, SqlError> {
        loop {
            if attempt.chase.is_some() {
                match self.chase(slot, command, attempt)? {
                    Step::Wait(target) => return Ok(Step::Wait(target)),
                    Step::Done(Some(outcome)) => return Ok(Step::Done(outcome)),
                    Step::Done(None) => {}
                }
            }
            let step = self.lock_version(slot, command, attempt)?;
            let Step::Done(outcome) = step else { return Ok(step) };
            self.free_place(slot, attempt);
            if outcome != Outcome::Failed(Fitness::Updated) || !attempt.find_last {
                return Ok(Step::Done(outcome));
            }
            let version = self.version(slot, attempt.table, attempt.row);
            let next = version.and_then(|version| Some((version.next?, version.xmax.writer()?)));
            let Some(next) = next else { return Ok(Step::Done(Outcome::Failed(Fitness::Deleted))) };
            attempt.chase = Some(next);
        }
    }

    /// Follows the chain to the newest version; `None` where that is to be locked now.
    fn chase(
        &mut self,
        slot: Slot,
        command: u32,
        attempt: &mut Attempt,
    ) -> Result<Step<Option<Outcome>>, SqlError> {
        let deleted = Step::Done(Some(Outcome::Failed(Fitness::Deleted)));
        let me = self.proc(slot).top();
        while let Some((row, maker)) = attempt.chase {
            let Some(version) = self.version(slot, attempt.table, row) else { return Ok(deleted) };
            if version.xmin != maker {
                return Ok(deleted);
            }
            match version.dirty(&self.xacts, me) {
                Dirty::Live => {
                    if self.xacts.is_current(maker, me) && version.cmin >= command {
                        return Ok(Step::Done(Some(Outcome::Failed(Fitness::SelfModified))));
                    }
                    *attempt =
                        Attempt { row, chase: None, first: true, skip_place: false, ..attempt.clone() };
                    return Ok(Step::Done(None));
                }
                Dirty::Making(_) => return Ok(deleted),
                Dirty::Unmaking(writer) => {
                    let table = attempt.table;
                    return Ok(match self.wanted(slot, table, Target::End(writer), attempt.wait)? {
                        Wanted::Wait(target) => Step::Wait(target),
                        Wanted::WouldBlock => Step::Done(Some(Outcome::WouldBlock)),
                        Wanted::Go => continue,
                    });
                }
                Dirty::Dead => {
                    let next = version.next.and_then(|next| Some((next, version.xmax.writer()?)));
                    let Some(next) = next else { return Ok(deleted) };
                    attempt.chase = Some(next);
                }
            }
        }
        Ok(Step::Done(None))
    }

    /// `heap_lock_tuple`.
    fn lock_version(
        &mut self,
        slot: Slot,
        command: u32,
        attempt: &mut Attempt,
    ) -> Result<Step<Outcome>, SqlError> {
        let me = self.proc(slot).top();
        let Some(version) = self.version(slot, attempt.table, attempt.row) else {
            return Ok(Step::Done(Outcome::Failed(Fitness::Deleted)));
        };
        let fitness = version.fitness(&self.xacts, command, me);
        match fitness {
            Fitness::Fit => return Ok(self.take_row(slot, attempt)),
            Fitness::Invisible | Fitness::SelfModified => return Ok(Step::Done(Outcome::Failed(fitness))),
            Fitness::Held | Fitness::Updated | Fitness::Deleted => {}
        }
        if std::mem::take(&mut attempt.first) {
            let mut own = version.xmax.holders().iter().filter(|one| self.xacts.is_current(one.xid, me));
            if own.clone().any(|holder| holder.lock >= attempt.lock) {
                return Ok(Step::Done(Outcome::Locked(attempt.row)));
            }
            attempt.skip_place = version.xmax.is_multi() && own.next().is_some();
        }
        if !self.must_sleep(version, attempt.lock, me) {
            if attempt.lock == RowLock::KeyShare && attempt.follow {
                match self.lock_newer(slot, attempt)? {
                    Step::Done(None) => {}
                    Step::Done(Some(failed)) => return Ok(Step::Done(Outcome::Failed(failed))),
                    Step::Wait(target) => return Ok(Step::Wait(target)),
                }
            }
            return Ok(self.take_row(slot, attempt));
        }
        if fitness != Fitness::Held {
            return Ok(Step::Done(Outcome::Failed(fitness)));
        }
        self.sleep_on(slot, attempt)
    }

    /// Waits for the place and then for those that hold the row.
    fn sleep_on(&mut self, slot: Slot, attempt: &mut Attempt) -> Result<Step<Outcome>, SqlError> {
        let (table, row) = (attempt.table, attempt.row);
        if !attempt.skip_place && attempt.has_place.is_none() {
            let target = Target::Lock(LockTag::Row(table, row), place_mode(attempt.lock));
            attempt.has_place = Some(row);
            match self.wanted(slot, table, target, attempt.wait)? {
                Wanted::Wait(target) => return Ok(Step::Wait(target)),
                Wanted::Go => {}
                Wanted::WouldBlock => {
                    attempt.has_place = None;
                    return Ok(Step::Done(Outcome::WouldBlock));
                }
            }
        }
        let me = self.proc(slot).top();
        let version = self.version(slot, table, row).expect("the step has seen it just now");
        let blocker = self.blocker(&version.xmax, attempt.lock, me);
        if let Some(blocker) = blocker {
            return Ok(match self.wanted(slot, table, Target::End(blocker), attempt.wait)? {
                Wanted::Wait(target) => Step::Wait(target),
                Wanted::Go => Step::Wait(Target::End(blocker)),
                Wanted::WouldBlock => Step::Done(Outcome::WouldBlock),
            });
        }
        let fitness = version.written();
        let only_locked = version.is_only_locked(&self.xacts);
        if attempt.follow && !version.xmax.is_locked_only() {
            match self.lock_newer(slot, attempt)? {
                Step::Done(None) => {}
                Step::Done(Some(failed)) => return Ok(Step::Done(Outcome::Failed(failed))),
                Step::Wait(target) => return Ok(Step::Wait(target)),
            }
        }
        if only_locked { Ok(self.take_row(slot, attempt)) } else { Ok(Step::Done(Outcome::Failed(fitness))) }
    }

    /// Takes what is free; what is not is waited for, refused or skipped.
    fn wanted(
        &mut self,
        slot: Slot,
        table: TableId,
        target: Target,
        wait: WaitPolicy,
    ) -> Result<Wanted, SqlError> {
        let free = match target {
            Target::Lock(tag, mode) => self.try_lock(slot, tag, mode, false),
            Target::End(xid) => !self.xacts.is_running(xid),
            Target::Speculation(_) | Target::SafeSnapshot | Target::Standby => false,
        };
        match wait {
            _ if free => Ok(Wanted::Go),
            WaitPolicy::Block => Ok(Wanted::Wait(target)),
            WaitPolicy::SkipLocked => Ok(Wanted::WouldBlock),
            WaitPolicy::NoWait => {
                let name = self.def(slot, table)?.name.clone();
                let message = format!("could not obtain lock on row in relation \"{name}\"");
                Err(SqlError::new(LOCK_NOT_AVAILABLE, message))
            }
        }
    }

    /// Whether a holder has to be waited for before the row can be locked.
    fn must_sleep(&self, version: &Version, lock: RowLock, me: Xid) -> bool {
        let xmax = &version.xmax;
        let strongest = xmax.holders().iter().map(|holder| holder.lock).max();
        let compatible = match lock {
            RowLock::KeyShare => strongest < Some(RowLock::Update),
            RowLock::Share => xmax.is_locked_only() && strongest < Some(RowLock::NoKeyUpdate),
            RowLock::NoKeyUpdate if xmax.is_multi() => !self.conflicts(xmax, lock, me),
            RowLock::NoKeyUpdate => xmax.is_locked_only() && strongest == Some(RowLock::KeyShare),
            RowLock::Update => false,
        };
        let own = matches!(xmax, Xmax::One(holder) if self.xacts.is_current(holder.xid, me));
        !compatible && !own
    }

    /// Whether somebody else's hold does not go with the lock (`DoesMultiXactIdConflict`).
    pub(super) fn conflicts(&self, xmax: &Xmax, lock: RowLock, me: Xid) -> bool {
        xmax.holders().iter().any(|holder| {
            let counts = if holder.wrote {
                !self.xacts.is_aborted(holder.xid)
            } else {
                self.xacts.is_running(holder.xid)
            };
            counts && holder.lock.conflicts(lock) && !self.xacts.is_current(holder.xid, me)
        })
    }

    /// The first that has to end before the lock can be had. A single holder is waited for as it is.
    pub(super) fn blocker(&self, xmax: &Xmax, lock: RowLock, me: Xid) -> Option<Xid> {
        let mut holders = xmax.holders().iter();
        let blocks = |holder: &&Holder| {
            let conflicts = !xmax.is_multi() || holder.lock.conflicts(lock);
            conflicts && self.xacts.is_running(holder.xid) && !self.xacts.is_current(holder.xid, me)
        };
        holders.find(blocks).map(|holder| holder.xid)
    }

    /// Locks the newer versions of a row too (`heap_lock_updated_tuple`). `None` where that went well.
    fn lock_newer(&mut self, slot: Slot, attempt: &Attempt) -> Result<Step<Option<Fitness>>, SqlError> {
        let me = self.proc(slot).top();
        let link = |version: &Version| version.next.and_then(|next| Some((next, version.xmax.writer()?)));
        let mut next = self.version(slot, attempt.table, attempt.row).and_then(link);
        while let Some((row, maker)) = next {
            let Some(version) = self.version(slot, attempt.table, row) else { break };
            if version.xmin != maker || self.xacts.is_aborted(version.xmin) {
                break;
            }
            let mut own = false;
            for holder in version.xmax.holders() {
                let conflicts = holder.lock.conflicts(attempt.lock);
                if self.xacts.is_current(holder.xid, me) {
                    own = true;
                    break;
                }
                if conflicts && self.xacts.is_running(holder.xid) {
                    return Ok(Step::Wait(Target::End(holder.xid)));
                }
                if conflicts && holder.wrote && self.xacts.is_committed(holder.xid) {
                    return Ok(Step::Done(Some(version.written())));
                }
            }
            if !own {
                self.add_holder(slot, attempt.table, row, attempt.lock);
            }
            let version = self.version(slot, attempt.table, row).expect("it was there just now");
            next = if version.is_only_locked(&self.xacts) { None } else { link(version) };
        }
        Ok(Step::Done(None))
    }

    fn take_row(&mut self, slot: Slot, attempt: &Attempt) -> Step<Outcome> {
        self.add_holder(slot, attempt.table, attempt.row, attempt.lock);
        Step::Done(Outcome::Locked(attempt.row))
    }

    fn add_holder(&mut self, slot: Slot, table: TableId, row: RowId, lock: RowLock) {
        let xid = self.xid(slot);
        self.note_row_write(table, row);
        let Some(version) = self.version(slot, table, row) else { return };
        let xmax = version.xmax.with(Holder { xid, lock, wrote: false }, &self.xacts);
        if let Some(version) = self.version_mut(slot, table, row) {
            if xmax.is_locked_only() {
                version.next = None;
            }
            version.xmax = xmax;
        }
    }

    fn free_place(&mut self, slot: Slot, attempt: &mut Attempt) {
        if let Some(row) = attempt.has_place.take() {
            self.unlock(slot, LockTag::Row(attempt.table, row), place_mode(attempt.lock), false);
        }
    }

    /// What an attempt's end means to a statement.
    pub(super) fn locked(
        &mut self,
        slot: Slot,
        found: &Found,
        outcome: Outcome,
        writes: bool,
    ) -> Result<Locked, SqlError> {
        let keeps = self.tx(slot).keeps_snapshot();
        match outcome {
            Outcome::Locked(row) if row == found.row => Ok(Locked::Same(found.clone())),
            Outcome::Locked(row) => {
                let version = self.version(slot, found.table, row).expect("it was locked just now");
                Ok(Locked::Updated(Found { row, tuple: version.tuple.clone(), ..found.clone() }))
            }
            Outcome::WouldBlock => Ok(Locked::Skipped),
            Outcome::Failed(Fitness::Updated) if keeps => Err(SqlError::concurrent_update()),
            Outcome::Failed(Fitness::Deleted) if keeps && writes => Err(SqlError::concurrent_delete()),
            Outcome::Failed(Fitness::Deleted) if keeps => Err(SqlError::concurrent_update()),
            Outcome::Failed(Fitness::Invisible) => Ok(Locked::Invisible),
            Outcome::Failed(Fitness::SelfModified) => Ok(Locked::SelfModified),
            Outcome::Failed(Fitness::Updated | Fitness::Deleted | Fitness::Fit | Fitness::Held) => {
                Ok(Locked::Deleted)
            }
        }
    }

    /// An attempt as `SELECT .. FOR ..` makes it.
    pub(super) fn attempt(&self, slot: Slot, found: &Found, lock: RowLock, wait: WaitPolicy) -> Attempt {
        let find_last = !self.tx(slot).keeps_snapshot();
        Attempt { follow: true, find_last, ..Attempt::new(found.table, found.row, lock, wait) }
    }

    /// Whether a row can be told visible in repeatable read, before a conflict with it is answered with nothing.
    pub(super) fn check_visible(
        &self,
        slot: Slot,
        snapshot: &Snapshot,
        found: &Found,
    ) -> Result<(), SqlError> {
        let tx = self.tx(slot);
        let Some(version) = self.version(slot, found.table, found.row) else { return Ok(()) };
        let own = self.xacts.is_current(version.xmin, tx.top());
        if tx.keeps_snapshot() && !own && !self.is_visible(slot, version, snapshot) {
            return Err(SqlError::concurrent_update());
        }
        Ok(())
    }
}
