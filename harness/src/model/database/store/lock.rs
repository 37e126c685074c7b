//! Heavyweight locks: on tables, on rows that are waited for, on transaction ids, and of applications' own
//! making. The rules are those of PostgreSQL's `lock.c` and `proc.c`.

use std::collections::BTreeMap;
use std::fmt;

use super::id::{RowId, SequenceId, Slot, TableId, Xid};

/// The modes of table locks (PostgreSQL 15 documentation, 13.3.1), weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LockMode {
    AccessShare,
    RowShare,
    RowExclusive,
    ShareUpdateExclusive,
    Share,
    ShareRowExclusive,
    Exclusive,
    AccessExclusive,
}

/// A set of modes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Modes(u8);

impl Modes {
    pub(super) fn only(mode: LockMode) -> Self {
        Modes(mode.bit())
    }

    pub(super) fn contains(self, mode: LockMode) -> bool {
        self.0 & mode.bit() != 0
    }

    pub(super) fn meets(self, other: Modes) -> bool {
        self.0 & other.0 != 0
    }

    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(super) fn add(&mut self, mode: LockMode) {
        self.0 |= mode.bit();
    }

    fn remove(&mut self, mode: LockMode) {
        self.0 &= !mode.bit();
    }
}

impl LockMode {
    fn bit(self) -> u8 {
        1 << self as u8
    }

    /// The modes that another holder cannot have beside it (table 13.2 there).
    pub(super) fn conflicts(self) -> Modes {
        Modes(match self {
            LockMode::AccessShare => 0b1000_0000,
            LockMode::RowShare => 0b1100_0000,
            LockMode::RowExclusive => 0b1111_0000,
            LockMode::ShareUpdateExclusive => 0b1111_1000,
            LockMode::Share => 0b1110_1100,
            LockMode::ShareRowExclusive => 0b1111_1100,
            LockMode::Exclusive => 0b1111_1110,
            LockMode::AccessExclusive => 0b1111_1111,
        })
    }

    /// The word that `pg_locks` and messages use.
    pub(crate) fn name(self) -> &'static str {
        match self {
            LockMode::AccessShare => "AccessShareLock",
            LockMode::RowShare => "RowShareLock",
            LockMode::RowExclusive => "RowExclusiveLock",
            LockMode::ShareUpdateExclusive => "ShareUpdateExclusiveLock",
            LockMode::Share => "ShareLock",
            LockMode::ShareRowExclusive => "ShareRowExclusiveLock",
            LockMode::Exclusive => "ExclusiveLock",
            LockMode::AccessExclusive => "AccessExclusiveLock",
        }
    }
}

/// What an advisory lock is on: one number, or two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum AdvisoryKey {
    One(i64),
    Two(i32, i32),
}

/// What a lock is on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum LockTag {
    Table(TableId),
    /// The place of a row: the right to be the next that waits for its holders.
    Row(TableId, RowId),
    /// A transaction's own id, until it ends.
    Transaction(Xid),
    /// An insertion that may yet be taken back.
    Speculative(Xid),
    Advisory(AdvisoryKey),
    Sequence(SequenceId),
}

impl fmt::Display for LockTag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            LockTag::Table(table) => write!(f, "relation {} of database 5", table.0),
            LockTag::Sequence(sequence) => write!(f, "relation {} of database 5", sequence.0),
            LockTag::Row(table, row) => write!(f, "tuple {row} of relation {} of database 5", table.0),
            LockTag::Transaction(xid) => write!(f, "transaction {xid}"),
            LockTag::Speculative(xid) => write!(f, "speculative token 1 of transaction {xid}"),
            LockTag::Advisory(AdvisoryKey::One(key)) => {
                let (upper, lower) = (*key as u64 >> 32, *key as u64 & 0xFFFF_FFFF);
                write!(f, "advisory lock [5,{upper},{lower},1]")
            }
            LockTag::Advisory(AdvisoryKey::Two(one, two)) => {
                write!(f, "advisory lock [5,{},{},2]", *one as u32, *two as u32)
            }
        }
    }
}

#[derive(Debug, Clone)]
pub(super) struct Owner {
    pub(super) slot: Slot,
    pub(super) modes: Modes,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Waiter {
    pub(super) slot: Slot,
    pub(super) mode: LockMode,
}

/// A lock that somebody has or waits for. Locks on transactions have no owners here: whose they are is known.
#[derive(Debug, Clone, Default)]
pub(super) struct Lock {
    pub(super) owners: Vec<Owner>,
    pub(super) queue: Vec<Waiter>,
}

impl Lock {
    /// The modes that others than `slot` have.
    fn modes_of_others(&self, slot: Slot) -> Modes {
        let others = self.owners.iter().filter(|owner| owner.slot != slot);
        Modes(others.fold(0, |modes, owner| modes | owner.modes.0))
    }

    pub(super) fn modes_of(&self, slot: Slot) -> Modes {
        self.owners.iter().find(|owner| owner.slot == slot).map_or(Modes::default(), |owner| owner.modes)
    }

    fn can_have(&self, slot: Slot, mode: LockMode) -> bool {
        !mode.conflicts().meets(self.modes_of_others(slot))
    }

    fn give(&mut self, slot: Slot, mode: LockMode) {
        match self.owners.iter_mut().find(|owner| owner.slot == slot) {
            Some(owner) => owner.modes.add(mode),
            None => self.owners.push(Owner { slot, modes: Modes(mode.bit()) }),
        }
    }

    fn is_unused(&self) -> bool {
        self.owners.is_empty() && self.queue.is_empty()
    }
}

/// How a request for a lock went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Request {
    Granted,
    Queued,
    /// Two wait for each other over this very lock: there is no need to wait to see it.
    Deadlock,
}

/// All locks.
#[derive(Debug, Clone, Default)]
pub(super) struct LockTable {
    locks: BTreeMap<LockTag, Lock>,
}

impl LockTable {
    pub(super) fn get(&self, tag: LockTag) -> Option<&Lock> {
        self.locks.get(&tag)
    }

    /// Takes the lock if that needs no waiting.
    pub(super) fn try_take(&mut self, slot: Slot, tag: LockTag, mode: LockMode) -> bool {
        let lock = self.locks.entry(tag).or_default();
        if lock.modes_of(slot).contains(mode) {
            return true;
        }
        let waited = lock.queue.iter().any(|waiter| mode.conflicts().contains(waiter.mode));
        let free = !waited && lock.can_have(slot, mode);
        if free {
            lock.give(slot, mode);
        } else if lock.is_unused() {
            self.locks.remove(&tag);
        }
        free
    }

    /// Takes the lock or queues for it; who holds a part of it already goes before those that wait for that part
    /// (`ProcSleep`).
    pub(super) fn request(&mut self, slot: Slot, tag: LockTag, mode: LockMode) -> Request {
        if self.try_take(slot, tag, mode) {
            return Request::Granted;
        }
        let lock = self.locks.entry(tag).or_default();
        let held = lock.modes_of(slot);
        let mut ahead = Modes::default();
        let mut place = lock.queue.len();
        for (number, waiter) in lock.queue.iter().enumerate() {
            if waiter.mode.conflicts().meets(held) {
                if mode.conflicts().meets(lock.modes_of(waiter.slot)) {
                    return Request::Deadlock;
                }
                if !mode.conflicts().meets(ahead) && lock.can_have(slot, mode) {
                    lock.give(slot, mode);
                    return Request::Granted;
                }
                place = number;
                break;
            }
            ahead.add(waiter.mode);
        }
        lock.queue.insert(place, Waiter { slot, mode });
        Request::Queued
    }

    /// Queues for the end of a transaction (which the caller knows to run).
    pub(super) fn queue_for_end(&mut self, slot: Slot, xid: Xid) {
        let lock = self.locks.entry(LockTag::Transaction(xid)).or_default();
        lock.queue.push(Waiter { slot, mode: LockMode::Share });
    }

    /// All that wait for the end of a transaction, which has come.
    pub(super) fn end(&mut self, xid: Xid) -> Vec<Slot> {
        let lock = self.locks.remove(&LockTag::Transaction(xid));
        lock.map_or_else(Vec::new, |lock| lock.queue.iter().map(|waiter| waiter.slot).collect())
    }

    /// Gives a mode back; returns who has got the lock by that.
    pub(super) fn release(&mut self, slot: Slot, tag: LockTag, mode: LockMode) -> Vec<Slot> {
        let Some(lock) = self.locks.get_mut(&tag) else { return Vec::new() };
        if let Some(owner) = lock.owners.iter_mut().find(|owner| owner.slot == slot) {
            owner.modes.remove(mode);
        }
        lock.owners.retain(|owner| !owner.modes.is_empty());
        self.wake(tag)
    }

    /// Takes a waiter out of the queue; returns who has got the lock by that.
    pub(super) fn give_up(&mut self, slot: Slot, tag: LockTag) -> Vec<Slot> {
        let Some(lock) = self.locks.get_mut(&tag) else { return Vec::new() };
        lock.queue.retain(|waiter| waiter.slot != slot);
        self.wake(tag)
    }

    /// Puts the queue in another order, that breaks a deadlock.
    pub(super) fn reorder(&mut self, tag: LockTag, order: &[Slot]) -> Vec<Slot> {
        if let Some(lock) = self.locks.get_mut(&tag) {
            lock.queue.sort_by_key(|waiter| order.iter().position(|slot| *slot == waiter.slot));
        }
        self.wake(tag)
    }

    /// Moves what `from` holds to `to` (a prepared transaction).
    pub(super) fn hand_over(&mut self, tag: LockTag, from: Slot, to: Slot) {
        let owners = self.locks.get_mut(&tag).map_or(&mut [][..], |lock| &mut lock.owners);
        for owner in owners.iter_mut().filter(|owner| owner.slot == from) {
            owner.slot = to;
        }
    }

    /// Grants what can be granted, in the order of the queue; nobody overtakes whom they conflict with
    /// (`ProcLockWakeup`).
    fn wake(&mut self, tag: LockTag) -> Vec<Slot> {
        let mut woken = Vec::new();
        let Some(lock) = self.locks.get_mut(&tag) else { return woken };
        if matches!(tag, LockTag::Transaction(_)) {
            if lock.is_unused() {
                self.locks.remove(&tag);
            }
            return woken;
        }
        let mut ahead = Modes::default();
        for waiter in std::mem::take(&mut lock.queue) {
            if !waiter.mode.conflicts().meets(ahead) && lock.can_have(waiter.slot, waiter.mode) {
                lock.give(waiter.slot, waiter.mode);
                woken.push(waiter.slot);
            } else {
                ahead.add(waiter.mode);
                lock.queue.push(waiter);
            }
        }
        if lock.is_unused() {
            self.locks.remove(&tag);
        }
        woken
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TAG: LockTag = LockTag::Table(TableId(1));

    #[test]
    fn modes_conflict_as_documented_and_both_ways() {
        use LockMode::*;
        let modes = [
            AccessShare,
            RowShare,
            RowExclusive,
            ShareUpdateExclusive,
            Share,
            ShareRowExclusive,
            Exclusive,
            AccessExclusive,
        ];
        for one in modes {
            for two in modes {
                assert_eq!(one.conflicts().contains(two), two.conflicts().contains(one), "{one:?} {two:?}");
            }
        }
        assert!(!Share.conflicts().contains(Share) && Share.conflicts().contains(RowExclusive));
        assert!(ShareUpdateExclusive.conflicts().contains(ShareUpdateExclusive));
        assert!(!RowExclusive.conflicts().contains(RowExclusive));
    }

    #[test]
    fn who_comes_first_is_served_first_and_a_reader_does_not_overtake_a_writer() {
        let mut table = LockTable::default();
        assert_eq!(table.request(1, TAG, LockMode::AccessShare), Request::Granted);
        assert_eq!(table.request(2, TAG, LockMode::AccessExclusive), Request::Queued);
        assert_eq!(table.request(3, TAG, LockMode::AccessShare), Request::Queued);
        assert_eq!(table.release(1, TAG, LockMode::AccessShare), [2]);
        assert_eq!(table.release(2, TAG, LockMode::AccessExclusive), [3]);
        assert!(table.release(3, TAG, LockMode::AccessShare).is_empty() && table.locks.is_empty());
    }

    #[test]
    fn a_holder_goes_before_those_that_wait_for_it() {
        let mut table = LockTable::default();
        table.request(1, TAG, LockMode::RowExclusive);
        table.request(2, TAG, LockMode::AccessExclusive);
        assert_eq!(table.request(1, TAG, LockMode::ShareUpdateExclusive), Request::Granted);
    }

    #[test]
    fn two_that_upgrade_the_same_lock_are_a_deadlock_at_once() {
        let mut table = LockTable::default();
        table.request(1, TAG, LockMode::Share);
        table.request(2, TAG, LockMode::Share);
        assert_eq!(table.request(1, TAG, LockMode::RowExclusive), Request::Queued);
        assert_eq!(table.request(2, TAG, LockMode::RowExclusive), Request::Deadlock);
    }
}
