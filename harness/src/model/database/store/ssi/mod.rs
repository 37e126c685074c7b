//! Serializable transactions: serializable snapshot isolation (Ports & Grittner, "Serializable Snapshot Isolation
//! in PostgreSQL", VLDB 2012), with the rules and the order of checks of PostgreSQL 15's `predicate.c`.
//!
//! A transaction reads under marks (SIREAD locks) that block nobody. Where another one writes what was read, or
//! reads around what was written beside it, there is a dependency from the reader to the writer. Two of them in a
//! row, `T1 -> T2 -> T3` with T3 the first to commit, can make an anomaly: one of the transactions has to go.
//!
//! PostgreSQL summarizes old transactions where its shared memory runs out; the model has room for all.

mod begin;
mod check;
mod conflict;
mod finish;
mod lock;
mod target;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::id::{SessionId, Slot, Xid};
use super::state::State;
use crate::model::database::error::SqlError;
use crate::model::database::error::state::SERIALIZATION_FAILURE;
use crate::model::footprint::{Footprints, Resource};
use target::Target;

/// A serializable transaction.
pub(super) type SsiId = u64;

/// A place in the order in which serializable transactions prepare and commit.
type Seq = u64;

/// Of what has not happened.
const NEVER: Seq = u64::MAX;
/// When transactions were prepared that have outlived a crash.
const RECOVERED: Seq = 1;

/// What is known of a transaction; a set of the constants below.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Flags(u16);

impl Flags {
    const COMMITTED: Flags = Flags(1);
    /// It has passed the last check: it cannot be chosen as a victim any more.
    const PREPARED: Flags = Flags(1 << 1);
    /// It is to be rolled back, or was.
    const DOOMED: Flags = Flags(1 << 2);
    /// It depends on one that had committed when it did itself.
    const CONFLICT_OUT: Flags = Flags(1 << 3);
    const READ_ONLY: Flags = Flags(1 << 4);
    /// It waits for its snapshot to be safe.
    const DEFERRABLE_WAITING: Flags = Flags(1 << 5);
    /// Nothing can go wrong with what it reads.
    const SAFE: Flags = Flags(1 << 6);
    const UNSAFE: Flags = Flags(1 << 7);
    /// What depends on it, or what it depends on, was lost in a crash: anything may.
    const UNKNOWN_CONFLICTS: Flags = Flags(1 << 8);
}

/// What the transaction itself knows of the marks it has: those it has, and how many finer ones it has below.
#[derive(Debug, Clone, Copy, Default)]
struct Mark {
    held: bool,
    finer: usize,
}

/// A serializable transaction that runs, or has committed and overlaps one that does.
#[derive(Debug, Clone)]
struct Sxact {
    slot: Slot,
    pid: SessionId,
    /// None before it has one.
    xid: Xid,
    /// The oldest transaction that ran when it took its snapshot.
    xmin: Xid,
    flags: Flags,
    declared_read_only: bool,
    wrote: bool,
    last_commit_before_snapshot: Seq,
    prepared: Seq,
    committed: Seq,
    /// The first to commit of those that it depends on.
    earliest_out_commit: Seq,
    /// All transactions from this one on began after its end.
    finished_before: Xid,
    /// Those that have written what it has read, in the order in which that came up.
    out: Vec<SsiId>,
    /// Those that have read what it has written. Their order tells who is the victim where several could be.
    into: Vec<SsiId>,
    /// Of a read-only one: those that could make its snapshot unsafe. Of the others: whose they could.
    possibly_unsafe: BTreeSet<SsiId>,
    marks: BTreeSet<Target>,
    local: BTreeMap<Target, Mark>,
}

impl Sxact {
    fn new(slot: Slot, pid: SessionId, xid: Xid, xmin: Xid, read_only: bool) -> Self {
        Sxact {
            slot,
            pid,
            xid,
            xmin,
            flags: Flags::default(),
            declared_read_only: read_only,
            wrote: false,
            last_commit_before_snapshot: 0,
            prepared: NEVER,
            committed: NEVER,
            earliest_out_commit: NEVER,
            finished_before: Xid::NONE,
            out: Vec::new(),
            into: Vec::new(),
            possibly_unsafe: BTreeSet::new(),
            marks: BTreeSet::new(),
            local: BTreeMap::new(),
        }
    }

    fn is(&self, flag: Flags) -> bool {
        self.flags.0 & flag.0 != 0
    }

    fn set(&mut self, flag: Flags) {
        self.flags.0 |= flag.0;
    }

    fn clear(&mut self, flag: Flags) {
        self.flags.0 &= !flag.0;
    }
}

/// Serializable transactions.
#[derive(Debug, Clone)]
pub(super) struct Ssi {
    xacts: BTreeMap<SsiId, Sxact>,
    made: SsiId,
    by_xid: BTreeMap<Xid, SsiId>,
    /// Who has a mark there, in the order in which they were made.
    marked: BTreeMap<Target, Vec<SsiId>>,
    /// Those that have committed, in that order.
    finished: VecDeque<SsiId>,
    last_commit: Seq,
    can_clear_through: Seq,
    have_cleared_through: Seq,
    /// How many run that may write.
    writable: usize,
    /// The oldest `xmin` of those that run.
    xmin: Option<Xid>,
}

impl Default for Ssi {
    fn default() -> Self {
        Ssi {
            xacts: BTreeMap::new(),
            made: 0,
            by_xid: BTreeMap::new(),
            marked: BTreeMap::new(),
            finished: VecDeque::new(),
            last_commit: RECOVERED,
            can_clear_through: 0,
            have_cleared_through: 0,
            writable: 0,
            xmin: None,
        }
    }
}

impl Ssi {
    fn get(&self, id: SsiId) -> &Sxact {
        self.xacts.get(&id).expect("it is named only while it is there")
    }

    fn get_mut(&mut self, id: SsiId) -> &mut Sxact {
        self.xacts.get_mut(&id).expect("it is named only while it is there")
    }

    /// Notes that what becomes of the transaction was looked at.
    fn note_read(&self, footprints: &Footprints, id: SsiId) {
        footprints.read(|| Resource::one("db ssi transactions", self.get(id).pid));
    }

    /// Notes that what becomes of the transaction may have changed.
    fn note_write(&self, footprints: &Footprints, id: SsiId) {
        footprints.write(|| Resource::one("db ssi transactions", self.get(id).pid));
    }
}

impl State {
    /// The serializable transaction of the session, if it has one that is still watched.
    fn serial(&self, slot: Slot) -> Option<SsiId> {
        self.proc(slot).tx.as_ref()?.ssi
    }

    /// The error of a transaction that somebody else has chosen as the victim.
    fn check_doomed(&self, id: SsiId, when: &str) -> Result<(), SqlError> {
        self.ssi.note_read(&self.footprints, id);
        if self.ssi.get(id).is(Flags::DOOMED) {
            return Err(canceled(&format!("Canceled on identification as a pivot, {when}.")));
        }
        Ok(())
    }
}

/// The error of a victim.
fn canceled(reason: &str) -> SqlError {
    let message = "could not serialize access due to read/write dependencies among transactions";
    let error = SqlError::new(SERIALIZATION_FAILURE, message).detail(format!("Reason code: {reason}"));
    error.hint("The transaction might succeed if retried.")
}
