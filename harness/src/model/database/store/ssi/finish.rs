//! The end of serializable transactions. What a committed one has read is kept until all that ran beside it have
//! ended (Ports & Grittner, section 5.3).

use std::collections::BTreeSet;

use super::{Flags, RECOVERED, Seq, Ssi, SsiId, Sxact};
use crate::model::database::store::id::{Slot, Xid};
use crate::model::database::store::state::State;
use crate::model::footprint::Resource;

impl Ssi {
    /// Ends a transaction, or the watch over one that is safe (`ReleasePredicateLocks`). Gives back whose waiting
    /// for a safe snapshot is over.
    fn finish(&mut self, me: SsiId, committed: bool, next: Xid) -> Vec<Slot> {
        let commit = if committed { Some(self.next_seq()) } else { None };
        let xact = self.get_mut(me);
        xact.finished_before = next;
        match commit {
            Some(seq) => {
                xact.committed = seq;
                xact.set(Flags::COMMITTED);
                if !xact.wrote {
                    xact.set(Flags::READ_ONLY);
                }
                if !xact.is(Flags::READ_ONLY) && xact.is(Flags::UNKNOWN_CONFLICTS) {
                    xact.earliest_out_commit = RECOVERED + 1;
                    xact.set(Flags::CONFLICT_OUT);
                }
            }
            None => {
                xact.set(Flags::DOOMED);
                xact.clear(Flags::PREPARED);
            }
        }
        let xmin = xact.xmin;
        if xact.declared_read_only {
            self.forget_harmful(me);
        } else {
            self.writable -= 1;
            if self.writable == 0 {
                self.can_clear_through = self.last_commit;
            }
        }
        self.close_out(me, committed);
        self.close_in(me, committed);
        let woken = self.judge_readers(me, committed);
        if committed {
            self.finished.push_back(me);
        } else {
            self.release(me, false);
        }
        if self.xmin == Some(xmin) {
            self.advance();
        }
        woken
    }

    /// Drops the dependencies that are of no more account, and keeps in mind the first to commit of those.
    fn close_out(&mut self, me: SsiId, committed: bool) {
        let last = self.last_commit;
        for other in self.get(me).out.clone() {
            let writer = self.get(other);
            let (ended, prepared) = (writer.is(Flags::COMMITTED), writer.prepared);
            let later = writer.last_commit_before_snapshot >= last;
            let xact = self.get_mut(me);
            if committed && !xact.is(Flags::READ_ONLY) && ended {
                if !xact.is(Flags::CONFLICT_OUT) || prepared < xact.earliest_out_commit {
                    xact.earliest_out_commit = prepared;
                }
                xact.set(Flags::CONFLICT_OUT);
            }
            if !committed || ended || later {
                self.forget(me, other);
            }
        }
    }

    fn close_in(&mut self, me: SsiId, committed: bool) {
        for other in self.get(me).into.clone() {
            let reader = self.get(other);
            if !committed || reader.is(Flags::COMMITTED) || reader.is(Flags::READ_ONLY) {
                self.forget(other, me);
            }
        }
    }

    /// Drops the dependency of `reader` on `writer`.
    fn forget(&mut self, reader: SsiId, writer: SsiId) {
        self.get_mut(reader).out.retain(|other| *other != writer);
        self.get_mut(writer).into.retain(|other| *other != reader);
    }

    /// A read-only transaction has no more to fear.
    fn forget_harmful(&mut self, reader: SsiId) {
        for other in std::mem::take(&mut self.get_mut(reader).possibly_unsafe) {
            self.get_mut(other).possibly_unsafe.remove(&reader);
        }
    }

    /// A transaction that could make the snapshots of read-only ones unsafe has ended: they are unsafe if it
    /// depends on one that committed before they were taken, and safe if it was the last.
    fn judge_readers(&mut self, me: SsiId, committed: bool) -> Vec<Slot> {
        let xact = self.get(me);
        if xact.declared_read_only {
            return Vec::new();
        }
        let harmful = committed && xact.wrote && xact.is(Flags::CONFLICT_OUT);
        let earliest = xact.earliest_out_commit;
        let readers: BTreeSet<SsiId> = xact.possibly_unsafe.clone();
        let mut woken = Vec::new();
        for id in readers {
            let last: Seq = self.get(id).last_commit_before_snapshot;
            if harmful && earliest <= last {
                self.get_mut(id).set(Flags::UNSAFE);
                self.forget_harmful(id);
            } else {
                self.get_mut(me).possibly_unsafe.remove(&id);
                let reader = self.get_mut(id);
                reader.possibly_unsafe.remove(&me);
                if reader.possibly_unsafe.is_empty() {
                    reader.set(Flags::SAFE);
                }
            }
            let reader = self.get(id);
            let known = reader.is(Flags::SAFE) || reader.is(Flags::UNSAFE);
            if known && reader.is(Flags::DEFERRABLE_WAITING) {
                woken.push(reader.slot);
            }
        }
        woken
    }

    /// Where the oldest snapshot is gone, so can be what was kept for it (`ClearOldPredicateLocks`).
    fn advance(&mut self) {
        let running = self.xacts.values().filter(|xact| !xact.is(Flags::COMMITTED));
        let xmin = running.map(|xact| xact.xmin).min();
        if xmin == self.xmin {
            return;
        }
        self.xmin = xmin;
        let mut number = 0;
        while let Some(id) = self.finished.get(number).copied() {
            let xact = self.get(id);
            let (committed, read_only) = (xact.committed, xact.is(Flags::READ_ONLY));
            let partly = committed > self.have_cleared_through && committed <= self.can_clear_through;
            if self.xmin.is_none_or(|xmin| xact.finished_before <= xmin) {
                self.finished.remove(number);
                self.release(id, false);
            } else if partly {
                self.have_cleared_through = committed;
                if read_only {
                    self.finished.remove(number);
                } else {
                    number += 1;
                }
                self.release(id, !read_only);
            } else {
                break;
            }
        }
    }

    /// Frees the marks of a transaction and its dependencies, and itself, unless only those that depend on it are
    /// of no more account (`ReleaseOneSerializableXact`).
    fn release(&mut self, me: SsiId, partly: bool) {
        for mark in std::mem::take(&mut self.get_mut(me).marks) {
            self.remove_mark(me, &mark);
        }
        for reader in self.get(me).into.clone() {
            self.forget(reader, me);
        }
        if partly {
            return;
        }
        for writer in self.get(me).out.clone() {
            self.forget(me, writer);
        }
        let xid = self.get(me).xid;
        self.by_xid.remove(&xid);
        self.xacts.remove(&me);
    }

    /// What is left of a prepared transaction after a crash: what it has read, and no more of its dependencies.
    fn recover(&mut self, id: SsiId, mut xact: Sxact) {
        xact.prepared = RECOVERED;
        xact.last_commit_before_snapshot = RECOVERED;
        xact.set(Flags::UNKNOWN_CONFLICTS);
        xact.wrote = true;
        xact.out.clear();
        xact.into.clear();
        xact.possibly_unsafe.clear();
        if !xact.declared_read_only {
            self.writable += 1;
        }
        if !xact.xid.is_none() {
            self.by_xid.insert(xact.xid, id);
        }
        self.xmin = Some(self.xmin.map_or(xact.xmin, |xmin| xmin.min(xact.xmin)));
        for mark in &xact.marks {
            self.marked.entry(*mark).or_default().push(id);
        }
        self.made = self.made.max(id);
        self.xacts.insert(id, xact);
    }
}

impl State {
    /// A transaction has ended.
    pub(in super::super) fn ssi_finish(&mut self, ssi: Option<SsiId>, committed: bool) {
        let Some(id) = ssi else { return };
        self.footprints.write(|| Resource::all("db ssi ends"));
        self.footprints.write(|| Resource::all("db ssi writers"));
        self.footprints.write(|| Resource::all("db ssi transactions"));
        let next = self.xacts.next();
        for slot in self.ssi.finish(id, committed, next) {
            self.wake(slot);
        }
    }

    /// A transaction that is prepared belongs to no session any more.
    pub(in super::super) fn ssi_prepare(&mut self, ssi: SsiId, to: Slot) {
        let xact = self.ssi.get_mut(ssi);
        xact.slot = to;
        // What it did is not looked into when it is committed.
        xact.wrote = true;
    }

    /// All are gone but those that were prepared.
    pub(in super::super) fn ssi_crash(&mut self) {
        let mut old = std::mem::take(&mut self.ssi);
        let prepared = self.procs.iter().flatten().filter_map(|proc| proc.tx.as_ref()?.ssi);
        for id in prepared {
            if let Some(xact) = old.xacts.remove(&id) {
                self.ssi.recover(id, xact);
            }
        }
    }
}
