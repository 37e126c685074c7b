//! Checkpoints and crashes, and the synchronous standby.

use super::Store;
use super::id::{SessionId, Slot};
use super::proc::Waiting;
use super::state::State;

impl Store {
    /// A checkpoint: where slots stand is safe from now on.
    pub(crate) fn checkpoint(&self) {
        let mut state = self.shared.lock();
        state.wal.flush();
        state.wal.checkpoint = state.wal.end;
        for slot in state.wal.slots.values_mut() {
            slot.saved = slot.confirmed;
        }
        state.wal.trim();
    }

    /// The server dies and comes back: sessions and what they had not committed are gone, and so are asynchronous
    /// commits that had not been flushed. Slots stand where they stood at the last checkpoint, and sequences skip
    /// what they had logged ahead.
    pub(crate) fn crash(&self) {
        self.shared.lock().crash();
    }

    /// Commits that ask for it wait from now on until a standby has them, or do no more.
    pub(crate) fn set_sync_standby(&self, on: bool) {
        let mut state = self.shared.lock();
        state.wal.standby = on.then_some(state.wal.end);
        state.wake_committing();
    }

    /// Whether the session's commit waits for the standby.
    pub(crate) fn is_waiting_for_standby(&self, pid: SessionId) -> bool {
        let state = self.shared.lock();
        state.slot_of(pid).is_some_and(|slot| state.proc(slot).waiting == Some(Waiting::Standby))
    }
}

impl State {
    fn wake_committing(&mut self) {
        let numbered = self.procs.iter().enumerate();
        let waiting = numbered
            .filter(|(_, proc)| proc.as_ref().is_some_and(|proc| proc.waiting == Some(Waiting::Standby)));
        let waiting: Vec<Slot> = waiting.map(|(slot, _)| slot).collect();
        for slot in waiting {
            self.wake(slot);
        }
    }

    fn crash(&mut self) {
        self.wal.catch_up();
        for slot in 0..self.procs.len() {
            let Some(proc) = &mut self.procs[slot] else { continue };
            if proc.prepared.is_some() {
                continue;
            }
            proc.interrupts.terminate = true;
            proc.wake.notify_one();
            let is_committing = proc.waiting == Some(Waiting::Standby);
            self.stop_waiting(slot);
            if is_committing {
                self.finish_commit(slot, None);
            } else {
                self.abort(slot);
            }
            self.unlock_all(slot, |_| true);
            // The entry stays until the client notices.
            let proc = self.proc_mut(slot);
            proc.listening.clear();
            proc.inbox.clear();
        }
        self.lose_unflushed();
        self.ssi_crash();
        for slot in self.wal.slots.values_mut() {
            slot.confirmed = slot.saved;
        }
        let flushed = self.wal.flushed;
        self.sequences.crash(flushed);
        self.wal.flush();
        self.wal.checkpoint = self.wal.end;
    }

    /// Takes back what was committed and not flushed, the last first.
    fn lose_unflushed(&mut self) {
        let flushed = self.wal.flushed;
        while let Some(commit) = self.wal.unflushed.pop() {
            for xid in commit.xids {
                self.xacts.lose(xid);
            }
            self.catalog_version += 1;
        }
        self.wal.commits.retain(|commit| commit.end <= flushed);
    }
}
