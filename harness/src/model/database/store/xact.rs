//! The status of every transaction and subtransaction, and snapshots of it.
//!
//! Every end of a transaction gets the next number; a snapshot is the number of the last end at the time it was
//! taken. What ended by then is what PostgreSQL's list of running transactions leaves out.

use super::id::{Slot, Xid};

/// What has become of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    Running,
    Committed,
    Aborted,
}

/// A point in time at which data is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Snapshot {
    /// The last end of a transaction that it sees.
    pub(super) ends: u64,
    /// One above the highest transaction that had ended.
    pub(super) xmax: Xid,
    /// Its own transaction's commands before this one are seen.
    pub(super) command: u32,
}

#[derive(Debug, Clone, Copy)]
struct Xact {
    /// The transaction itself, or of a subtransaction the topmost one.
    top: Xid,
    parent: Xid,
    slot: Slot,
    status: Status,
    /// A subtransaction that ended well: its lock on its own id is gone, its fate is its parent's.
    released: bool,
    /// The number of its end.
    end: u64,
}

/// All transactions since the start.
#[derive(Debug, Clone)]
pub(super) struct Xacts {
    list: Vec<Xact>,
    first: Xid,
    ends: u64,
    latest_done: Xid,
}

impl Xacts {
    /// None yet; the first gets `first`.
    pub(super) fn new(first: Xid) -> Self {
        Xacts { list: Vec::new(), first, ends: 0, latest_done: Xid(first.0 - 1) }
    }

    /// The id that the next transaction gets.
    pub(super) fn next(&self) -> Xid {
        Xid(self.first.0 + self.list.len() as u64)
    }

    /// Starts a transaction, or a subtransaction of `parent`.
    pub(super) fn start(&mut self, slot: Slot, parent: Xid) -> Xid {
        let xid = self.next();
        let top = if parent.is_none() { xid } else { self.top(parent) };
        let status = Status::Running;
        self.list.push(Xact { top, parent, slot, status, released: false, end: u64::MAX });
        xid
    }

    fn get(&self, xid: Xid) -> Option<&Xact> {
        let number = xid.0.checked_sub(self.first.0)?;
        self.list.get(usize::try_from(number).ok()?)
    }

    fn get_mut(&mut self, xid: Xid) -> Option<&mut Xact> {
        let number = xid.0.checked_sub(self.first.0)?;
        self.list.get_mut(usize::try_from(number).ok()?)
    }

    /// What has become of it; what came before the start has committed.
    pub(super) fn status(&self, xid: Xid) -> Status {
        self.get(xid).map_or(Status::Committed, |xact| xact.status)
    }

    /// Whether it has not ended; a subtransaction ends with its topmost one, unless it is rolled back before.
    pub(super) fn is_running(&self, xid: Xid) -> bool {
        self.status(xid) == Status::Running
    }

    /// Whether it committed.
    pub(super) fn is_committed(&self, xid: Xid) -> bool {
        self.status(xid) == Status::Committed
    }

    /// Whether it was rolled back.
    pub(super) fn is_aborted(&self, xid: Xid) -> bool {
        self.status(xid) == Status::Aborted
    }

    /// The topmost transaction.
    pub(super) fn top(&self, xid: Xid) -> Xid {
        self.get(xid).map_or(xid, |xact| xact.top)
    }

    /// Whether it is `top` or a live subtransaction of it.
    pub(super) fn is_current(&self, xid: Xid, top: Xid) -> bool {
        !top.is_none() && self.get(xid).is_some_and(|xact| xact.top == top && xact.status == Status::Running)
    }

    /// Whose it is.
    pub(super) fn slot(&self, xid: Xid) -> Option<Slot> {
        self.get(xid).map(|xact| xact.slot)
    }

    /// Hands a transaction and its subtransactions to another owner (a prepared transaction).
    pub(super) fn move_to(&mut self, top: Xid, slot: Slot) {
        for xact in self.list.iter_mut().filter(|xact| xact.top == top) {
            xact.slot = slot;
        }
    }

    /// Who holds the lock on this id: itself, or what it has become part of.
    pub(super) fn holder(&self, mut xid: Xid) -> Xid {
        while let Some(xact) = self.get(xid).filter(|xact| xact.released && !xact.parent.is_none()) {
            xid = xact.parent;
        }
        xid
    }

    /// A subtransaction becomes part of its parent.
    pub(super) fn release(&mut self, xid: Xid) {
        if let Some(xact) = self.get_mut(xid) {
            xact.released = true;
        }
    }

    /// Ends a transaction with all that belongs to it, at one point in time.
    pub(super) fn finish(&mut self, xids: impl IntoIterator<Item = Xid>, status: Status) {
        self.ends += 1;
        let end = self.ends;
        for xid in xids {
            self.latest_done = self.latest_done.max(xid);
            if let Some(xact) = self.get_mut(xid) {
                xact.status = status;
                xact.end = end;
            }
        }
    }

    /// Takes back that it committed: it was lost in a crash.
    pub(super) fn lose(&mut self, xid: Xid) {
        if let Some(xact) = self.get_mut(xid) {
            xact.status = Status::Aborted;
        }
    }

    /// The number of the last end.
    pub(super) fn ends(&self) -> u64 {
        self.ends
    }

    /// What is seen from now.
    pub(super) fn snapshot(&self, command: u32) -> Snapshot {
        Snapshot { ends: self.ends, xmax: Xid(self.latest_done.0 + 1), command }
    }

    /// Whether the snapshot sees what that transaction of others did.
    pub(super) fn sees(&self, snapshot: &Snapshot, xid: Xid) -> bool {
        self.get(xid).is_none_or(|xact| xact.status == Status::Committed && xact.end <= snapshot.ends)
    }

    /// Whether the transaction had committed before the end of that number, or at it.
    pub(super) fn committed_by(&self, xid: Xid, ends: u64) -> bool {
        self.get(xid).is_none_or(|xact| xact.status == Status::Committed && xact.end <= ends)
    }

    /// Whether it runs (or ran) beside what the snapshot sees.
    pub(super) fn is_concurrent(&self, snapshot: &Snapshot, xid: Xid) -> bool {
        self.get(xid).is_some_and(|xact| xact.end > snapshot.ends)
    }

    /// The topmost transactions that the snapshot takes as running, without `own`.
    pub(super) fn running_at(&self, snapshot: &Snapshot, own: Xid) -> Vec<Xid> {
        let numbered = (self.first.0..snapshot.xmax.0).map(Xid).zip(&self.list);
        let running =
            numbered.filter(|(xid, xact)| xact.top == *xid && *xid != own && xact.end > snapshot.ends);
        running.map(|(xid, _)| xid).collect()
    }

    /// The topmost transactions that have not ended.
    pub(super) fn running(&self) -> Vec<Xid> {
        let numbered = (self.first.0..).map(Xid).zip(&self.list);
        let running = numbered.filter(|(xid, xact)| xact.top == *xid && xact.status == Status::Running);
        running.map(|(xid, _)| xid).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_sees_what_had_ended() {
        let mut xacts = Xacts::new(Xid(700));
        let (one, two) = (xacts.start(0, Xid::NONE), xacts.start(1, Xid::NONE));
        xacts.finish([two], Status::Committed);
        let snapshot = xacts.snapshot(0);
        xacts.finish([one], Status::Committed);
        assert!(xacts.sees(&snapshot, two) && !xacts.sees(&snapshot, one));
        assert_eq!((snapshot.xmax, xacts.running_at(&snapshot, Xid::NONE)), (Xid(702), vec![one]));
        assert!(xacts.sees(&snapshot, Xid(3)), "what came before the start has committed");
    }

    #[test]
    fn a_subtransaction_shares_the_fate_of_its_topmost_one_unless_it_is_rolled_back() {
        let mut xacts = Xacts::new(Xid(700));
        let top = xacts.start(0, Xid::NONE);
        let (kept, undone) = (xacts.start(0, top), xacts.start(0, top));
        xacts.finish([undone], Status::Aborted);
        assert!(xacts.is_current(kept, top) && !xacts.is_current(undone, top));
        xacts.release(kept);
        assert_eq!((xacts.holder(kept), xacts.holder(undone)), (top, undone));
        xacts.finish([top, kept], Status::Committed);
        assert!(xacts.is_committed(kept) && xacts.is_aborted(undone));
    }
}
