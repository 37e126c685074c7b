//! The beginning of serializable transactions, and safe snapshots of read-only ones (Ports & Grittner, section 4).

use super::{Flags, Ssi, SsiId, Sxact};
use crate::model::database::store::id::{Slot, Xid};
use crate::model::database::store::state::State;
use crate::model::footprint::Resource;

impl Ssi {
    /// Enters a transaction that takes its snapshot now; none where it need not be watched, as it only reads and
    /// nobody can make what it reads inconsistent (`GetSerializableTransactionSnapshotInt`).
    pub(super) fn begin(&mut self, mut xact: Sxact) -> Option<SsiId> {
        if xact.declared_read_only && self.writable == 0 {
            return None;
        }
        xact.last_commit_before_snapshot = self.last_commit;
        let id = self.made + 1;
        if xact.declared_read_only {
            xact.set(Flags::READ_ONLY);
            let may_harm = |other: &Sxact| {
                !other.is(Flags::COMMITTED) && !other.is(Flags::DOOMED) && !other.is(Flags::READ_ONLY)
            };
            let harmful = self.xacts.iter().filter(|(_, other)| may_harm(other));
            xact.possibly_unsafe = harmful.map(|(other, _)| *other).collect();
            if xact.possibly_unsafe.is_empty() {
                return None;
            }
            for other in &xact.possibly_unsafe {
                self.get_mut(*other).possibly_unsafe.insert(id);
            }
        } else {
            self.writable += 1;
        }
        self.made = id;
        if !xact.xid.is_none() {
            self.by_xid.insert(xact.xid, id);
        }
        self.xmin = Some(self.xmin.map_or(xact.xmin, |xmin| xmin.min(xact.xmin)));
        self.xacts.insert(id, xact);
        Some(id)
    }
}

impl State {
    /// Whether the transaction may read now; false where it has to wait for its snapshot to be safe.
    pub(in super::super) fn ssi_begin(&mut self, slot: Slot) -> bool {
        if !self.is_serializable(slot) {
            return true;
        }
        if let Some(id) = self.serial(slot).filter(|id| self.ssi.get(*id).is(Flags::DEFERRABLE_WAITING)) {
            return self.look_whether_safe(slot, id);
        }
        if self.tx(slot).snapshot.is_some() {
            return true;
        }
        self.ssi_register(slot);
        let deferred = self.tx(slot).read_only && self.tx(slot).deferrable;
        match self.serial(slot).filter(|_| deferred) {
            None => true,
            Some(id) => {
                // What it waits for is the safety of the snapshot that it takes now.
                self.take_snapshot(slot);
                self.ssi.get_mut(id).set(Flags::DEFERRABLE_WAITING);
                false
            }
        }
    }

    /// Goes on with a deferrable transaction that waits: its snapshot is safe, or it needs another one.
    fn look_whether_safe(&mut self, slot: Slot, id: SsiId) -> bool {
        self.footprints.read(|| Resource::all("db ssi ends"));
        let xact = self.ssi.get(id);
        if xact.is(Flags::UNSAFE) {
            self.ssi_finish(self.serial(slot), false);
            let tx = self.tx_mut(slot);
            (tx.ssi, tx.snapshot, tx.oldest) = (None, None, None);
            return self.ssi_begin(slot);
        }
        if !xact.possibly_unsafe.is_empty() {
            return false;
        }
        self.ssi_finish(Some(id), false);
        self.tx_mut(slot).ssi = None;
        true
    }

    fn ssi_register(&mut self, slot: Slot) {
        let running = self.procs.iter().flatten().map(|proc| proc.top()).filter(|xid| !xid.is_none());
        let xmin = running.min().unwrap_or(self.xacts.snapshot(0).xmax);
        let proc = self.proc(slot);
        let (pid, read_only) = (proc.pid, self.tx(slot).read_only);
        self.footprints.read(|| Resource::all("db ssi ends"));
        if read_only {
            self.footprints.write(|| Resource::all("db ssi writers"));
        } else {
            self.footprints.write(|| Resource::one("db ssi writers", pid));
        }
        let xact = Sxact::new(slot, pid, proc.top(), xmin, read_only);
        self.tx_mut(slot).ssi = self.ssi.begin(xact);
    }

    /// The transaction has its id now: what it writes bears it.
    pub(in super::super) fn ssi_register_xid(&mut self, slot: Slot, xid: Xid) {
        if let Some(id) = self.serial(slot) {
            self.ssi.get_mut(id).xid = xid;
            self.ssi.by_xid.insert(xid, id);
        }
    }

    /// Whom a session waits for that waits for its snapshot to be safe.
    pub(in super::super) fn ssi_blockers(&self, slot: Slot) -> Vec<Slot> {
        let waits = self.serial(slot).map(|id| self.ssi.get(id));
        let waits = waits.filter(|xact| xact.is(Flags::DEFERRABLE_WAITING));
        let blockers = waits.into_iter().flat_map(|xact| xact.possibly_unsafe.iter());
        blockers.map(|blocker| self.ssi.get(*blocker).slot).collect()
    }
}
