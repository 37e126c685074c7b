//! A version of a row, who holds it, and who sees it. The rules are those of PostgreSQL's
//! `heapam_visibility.c` and of its multixacts.

use std::slice;

use super::id::{RowId, Xid};
use super::xact::{Snapshot, Xacts};
use crate::model::database::value::Tuple;

/// The strengths of row locks (PostgreSQL 15 documentation, 13.3.2), weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum RowLock {
    KeyShare,
    Share,
    NoKeyUpdate,
    Update,
}

impl RowLock {
    /// Whether two transactions cannot hold them at once (table 13.3 there).
    pub(crate) fn conflicts(self, other: RowLock) -> bool {
        match self {
            RowLock::KeyShare => other == RowLock::Update,
            RowLock::Share => other >= RowLock::NoKeyUpdate,
            RowLock::NoKeyUpdate => other >= RowLock::Share,
            RowLock::Update => true,
        }
    }
}

/// A transaction that holds a version: it locked it, or it replaced or deleted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Holder {
    pub(super) xid: Xid,
    pub(super) lock: RowLock,
    /// It replaced or deleted it.
    pub(super) wrote: bool,
}

/// Who holds a version; of several one at most has written it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Xmax {
    Nobody,
    One(Holder),
    /// A multixact.
    Several(Vec<Holder>),
}

impl Xmax {
    pub(super) fn holders(&self) -> &[Holder] {
        match self {
            Xmax::Nobody => &[],
            Xmax::One(holder) => slice::from_ref(holder),
            Xmax::Several(holders) => holders,
        }
    }

    pub(super) fn is_multi(&self) -> bool {
        matches!(self, Xmax::Several(_))
    }

    /// Who replaced or deleted it, if anybody tried.
    pub(super) fn writer(&self) -> Option<Xid> {
        self.holders().iter().find(|holder| holder.wrote).map(|holder| holder.xid)
    }

    /// Nobody tried to write it.
    pub(super) fn is_locked_only(&self) -> bool {
        self.writer().is_none()
    }

    fn is_running(&self, xacts: &Xacts) -> bool {
        self.holders().iter().any(|holder| xacts.is_running(holder.xid))
    }

    /// Adds a holder and drops those that do not count any more (`compute_new_xmax_infomask`).
    pub(super) fn with(&self, mut added: Holder, xacts: &Xacts) -> Xmax {
        match self {
            Xmax::Nobody => Xmax::One(added),
            Xmax::One(old) if xacts.is_running(old.xid) => {
                if old.xid == added.xid {
                    added.lock = added.lock.max(old.lock);
                    return Xmax::One(added);
                }
                Xmax::Several(vec![*old, added])
            }
            Xmax::One(old) if old.wrote && xacts.is_committed(old.xid) => Xmax::Several(vec![*old, added]),
            Xmax::One(_) => Xmax::One(added),
            Xmax::Several(holders) => {
                let written = self.writer().is_some_and(|xid| xacts.is_committed(xid));
                if !self.is_running(xacts) && !written {
                    return Xmax::One(added);
                }
                if holders.contains(&added) {
                    return self.clone();
                }
                let counts = |holder: &&Holder| {
                    xacts.is_running(holder.xid) || holder.wrote && xacts.is_committed(holder.xid)
                };
                let kept = holders.iter().filter(counts).copied();
                Xmax::Several(kept.chain([added]).collect())
            }
        }
    }
}

/// A version of a row.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) tuple: Tuple,
    /// Who made it.
    pub(super) xmin: Xid,
    /// With which command.
    pub(super) cmin: u32,
    pub(super) xmax: Xmax,
    /// With which command it was replaced or deleted.
    pub(super) cmax: u32,
    /// The version that replaces it; none where it was deleted.
    pub(super) next: Option<RowId>,
    /// It lies on the page of the version that it replaces and has its keys: indexes lead to that one only (a
    /// heap-only tuple).
    pub(super) hot: bool,
    /// The insertion may yet be taken back (`INSERT .. ON CONFLICT`).
    pub(super) speculative: bool,
    /// The bytes that it takes on its page.
    pub(super) bytes: u16,
}

/// What a command that wants to write or lock a version finds (`HeapTupleSatisfiesUpdate`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fitness {
    Fit,
    /// Not made yet, as this command sees it.
    Invisible,
    /// Written by this command.
    SelfModified,
    /// Replaced, and that is committed.
    Updated,
    /// Deleted, and that is committed.
    Deleted,
    /// Held by a transaction that runs, maybe this one.
    Held,
}

/// What a check that must not miss anything finds (`HeapTupleSatisfiesDirty`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dirty {
    Dead,
    Live,
    /// Its maker runs.
    Making(Xid),
    /// Its writer runs.
    Unmaking(Xid),
}

impl Version {
    /// Whether the snapshot of the transaction `me` sees it.
    pub(super) fn is_visible(&self, xacts: &Xacts, snapshot: &Snapshot, me: Xid) -> bool {
        if xacts.is_current(self.xmin, me) {
            if self.cmin >= snapshot.command {
                return false;
            }
        } else if !xacts.sees(snapshot, self.xmin) {
            return false;
        }
        let Some(writer) = self.xmax.writer() else { return true };
        if xacts.is_current(writer, me) {
            return self.cmax >= snapshot.command;
        }
        !xacts.sees(snapshot, writer)
    }

    /// Whether the command `command` of transaction `me` may write or lock it.
    pub(super) fn fitness(&self, xacts: &Xacts, command: u32, me: Xid) -> Fitness {
        let own = xacts.is_current(self.xmin, me);
        if own {
            if self.cmin >= command {
                return Fitness::Invisible;
            }
        } else if !xacts.is_committed(self.xmin) {
            return Fitness::Invisible;
        }
        let held = |held| if held { Fitness::Held } else { Fitness::Fit };
        let running = self.xmax.is_running(xacts);
        let Some(writer) = self.xmax.writer() else { return held(running) };
        if xacts.is_current(writer, me) {
            return if self.cmax >= command { Fitness::SelfModified } else { Fitness::Invisible };
        }
        if self.xmax.is_multi() && running {
            return Fitness::Held;
        }
        if xacts.is_committed(writer) { self.written() } else { held(running) }
    }

    /// How it was written, of a version that was.
    pub(super) fn written(&self) -> Fitness {
        if self.next.is_some() { Fitness::Updated } else { Fitness::Deleted }
    }

    /// Whether nobody has written it who has not been rolled back (`HeapTupleHeaderIsOnlyLocked`).
    pub(super) fn is_only_locked(&self, xacts: &Xacts) -> bool {
        self.xmax.writer().is_none_or(|writer| xacts.is_aborted(writer))
    }

    /// What is known of it, with what is not committed taken in.
    pub(super) fn dirty(&self, xacts: &Xacts, me: Xid) -> Dirty {
        if !xacts.is_current(self.xmin, me) {
            if xacts.is_running(self.xmin) {
                return Dirty::Making(self.xmin);
            }
            if xacts.is_aborted(self.xmin) {
                return Dirty::Dead;
            }
        }
        match self.xmax.writer() {
            None => Dirty::Live,
            Some(writer) if xacts.is_current(writer, me) => Dirty::Dead,
            Some(writer) if xacts.is_running(writer) => Dirty::Unmaking(writer),
            Some(writer) if xacts.is_committed(writer) => Dirty::Dead,
            Some(_) => Dirty::Live,
        }
    }

    /// Whether nobody can see it any more, whose snapshot is not older than `horizon`.
    pub(super) fn is_dead(&self, xacts: &Xacts, horizon: u64) -> bool {
        xacts.is_aborted(self.xmin)
            || self.xmax.writer().is_some_and(|writer| xacts.committed_by(writer, horizon))
    }
}
