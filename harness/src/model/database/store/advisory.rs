//! Advisory locks, notifications, and what can be asked about sessions.

use std::sync::Arc;

use super::id::{SessionId, Slot, Xid};
use super::lock::{AdvisoryKey, LockMode, LockTag};
use super::proc::{Deferred, Notice, Waiting};
use super::session::Session;
use super::state::State;
use super::wait::{Step, Target};
use super::xact::Snapshot;
use crate::model::database::error::SqlError;
use crate::model::footprint::Resource;

/// A snapshot as `pg_current_snapshot` prints it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SnapshotFacts {
    /// All below have ended.
    pub(crate) xmin: Xid,
    /// All from it on had not begun, or not ended.
    pub(crate) xmax: Xid,
    /// Those in between that ran.
    pub(crate) running: Vec<Xid>,
}

fn advisory_mode(shared: bool) -> LockMode {
    if shared { LockMode::Share } else { LockMode::Exclusive }
}

impl Session {
    /// `pg_advisory_lock`, and with `session` false `pg_advisory_xact_lock`.
    pub(crate) async fn advisory_lock(
        &mut self,
        key: AdvisoryKey,
        shared: bool,
        session: bool,
    ) -> Result<(), SqlError> {
        let (tag, mode) = (LockTag::Advisory(key), advisory_mode(shared));
        let mut asked = false;
        self.drive(|state, slot| {
            if asked {
                // It was given to the transaction in the queue.
                if session {
                    state.make_session_lock(slot, tag, mode);
                }
                return Ok(Step::Done(()));
            }
            if state.try_lock(slot, tag, mode, session) {
                return Ok(Step::Done(()));
            }
            asked = true;
            Ok(Step::Wait(Target::Lock(tag, mode)))
        })
        .await
    }

    /// `pg_try_advisory_lock`, `pg_try_advisory_xact_lock`.
    pub(crate) fn try_advisory_lock(&mut self, key: AdvisoryKey, shared: bool, session: bool) -> bool {
        let mut state = self.shared.lock();
        state.footprints.write(|| Resource::one("db locks", LockTag::Advisory(key)));
        state.try_lock(self.slot, LockTag::Advisory(key), advisory_mode(shared), session)
    }

    /// `pg_advisory_unlock`: false where the session does not have it.
    pub(crate) fn advisory_unlock(&mut self, key: AdvisoryKey, shared: bool) -> bool {
        self.shared.lock().unlock(self.slot, LockTag::Advisory(key), advisory_mode(shared), true)
    }

    /// `pg_advisory_unlock_all`.
    pub(crate) fn advisory_unlock_all(&mut self) {
        let mut state = self.shared.lock();
        state.unlock_all(self.slot, |held| held.level.is_none() && matches!(held.tag, LockTag::Advisory(_)));
    }

    /// `NOTIFY`, at the commit of the transaction.
    pub(crate) fn notify(&mut self, channel: &str, payload: &str) {
        self.defer(Deferred::Notify { channel: channel.into(), payload: payload.into() });
    }

    /// `LISTEN`, from the commit of the transaction on.
    pub(crate) fn listen(&mut self, channel: &str) {
        self.defer(Deferred::Listen(channel.into()));
    }

    /// `UNLISTEN`; of all channels where none is named.
    pub(crate) fn unlisten(&mut self, channel: Option<&str>) {
        self.defer(channel.map_or(Deferred::UnlistenAll, |channel| Deferred::Unlisten(channel.into())));
    }

    fn defer(&mut self, deferred: Deferred) {
        self.shared.lock().tx_mut(self.slot).deferred.push(deferred);
    }

    /// The channels that are listened to.
    pub(crate) fn listening(&self) -> Vec<Arc<str>> {
        self.shared.lock().proc(self.slot).listening.iter().cloned().collect()
    }

    /// The next notification that has come. In a transaction none is handed out.
    pub(crate) fn next_notice(&mut self) -> Option<Notice> {
        let mut state = self.shared.lock();
        state.footprints.write(|| Resource::all("db notify"));
        let proc = state.proc_mut(self.slot);
        if proc.tx.is_some() { None } else { proc.inbox.pop_front() }
    }

    /// Returns when a notification may have come.
    pub(crate) async fn notice_arrives(&self) {
        let wake = self.shared.lock().proc(self.slot).wake.clone();
        wake.notified().await;
    }

    /// `pg_blocking_pids`: who holds what the session waits for, or is before it in the queue; zero stands for a
    /// prepared transaction.
    pub(crate) fn blocking_pids(&self, pid: SessionId) -> Vec<SessionId> {
        let state = self.shared.lock();
        state.slot_of(pid).map_or_else(Vec::new, |slot| state.blocking_pids(slot))
    }

    /// `pg_cancel_backend`; false where there is no such session.
    pub(crate) fn cancel(&self, pid: SessionId) -> bool {
        self.shared.lock().cancel(pid)
    }

    /// `pg_terminate_backend`; false where there is no such session.
    pub(crate) fn terminate(&self, pid: SessionId) -> bool {
        self.shared.lock().terminate(pid)
    }

    /// What the snapshot takes as ended.
    pub(crate) fn snapshot_facts(&self, snapshot: &Snapshot) -> SnapshotFacts {
        let state = self.shared.lock();
        state.footprints.read(|| Resource::all("db commits"));
        state.footprints.read(|| Resource::all("db xid"));
        let own = state.proc(self.slot).top();
        let running = state.xacts.running_at(snapshot, own);
        let all = running.iter().copied().chain([own]).filter(|xid| !xid.is_none() && *xid < snapshot.xmax);
        SnapshotFacts { xmin: all.min().unwrap_or(snapshot.xmax), xmax: snapshot.xmax, running }
    }

    /// What `pg_xact_status` says; none for an id that was not given out.
    pub(crate) fn transaction_status(&self, xid: Xid) -> Option<&'static str> {
        let state = self.shared.lock();
        state.footprints.read(|| Resource::all("db commits"));
        state.footprints.read(|| Resource::all("db xid"));
        (xid < state.xacts.next()).then(|| {
            if state.xacts.is_running(xid) {
                "in progress"
            } else if state.xacts.is_committed(xid) {
                "committed"
            } else {
                "aborted"
            }
        })
    }
}

impl State {
    /// The process id of a session; zero of a prepared transaction.
    pub(super) fn pid(&self, slot: Slot) -> SessionId {
        let proc = self.proc(slot);
        if proc.prepared.is_some() { SessionId(0) } else { proc.pid }
    }

    /// Whether the session is in the queue of a lock.
    pub(super) fn is_waiting(&self, pid: SessionId) -> bool {
        let Some(slot) = self.slot_of(pid) else { return false };
        matches!(self.proc(slot).waiting, Some(Waiting::Lock { .. } | Waiting::SafeSnapshot))
    }

    pub(super) fn blocking_pids(&self, slot: Slot) -> Vec<SessionId> {
        if self.proc(slot).waiting == Some(Waiting::SafeSnapshot) {
            return self.ssi_blockers(slot).into_iter().map(|slot| self.pid(slot)).collect();
        }
        let Some((tag, mode)) = self.waits_for_lock(slot) else { return Vec::new() };
        let conflicts = mode.conflicts();
        let owners = self.owners(tag).into_iter();
        let hard = owners.filter(|(owner, modes)| *owner != slot && conflicts.meets(*modes));
        let mut blocking: Vec<SessionId> = hard.map(|(owner, _)| self.pid(owner)).collect();
        let queue = self.locks.get(tag).map_or(&[][..], |lock| &lock.queue);
        let ahead = queue.iter().take_while(|waiter| waiter.slot != slot);
        blocking.extend(
            ahead.filter(|waiter| conflicts.contains(waiter.mode)).map(|waiter| self.pid(waiter.slot)),
        );
        blocking
    }

    pub(super) fn cancel(&mut self, pid: SessionId) -> bool {
        let Some(slot) = self.slot_of(pid) else { return false };
        let proc = self.proc_mut(slot);
        proc.interrupts.cancel |= proc.active;
        proc.wake.notify_one();
        true
    }

    pub(super) fn terminate(&mut self, pid: SessionId) -> bool {
        let Some(slot) = self.slot_of(pid) else { return false };
        let proc = self.proc_mut(slot);
        proc.interrupts.terminate = true;
        proc.wake.notify_one();
        if !self.proc(slot).active {
            self.abort(slot);
            self.unlock_all(slot, |_| true);
        }
        true
    }

    /// A lock that was given to the transaction becomes the session's.
    fn make_session_lock(&mut self, slot: Slot, tag: LockTag, mode: LockMode) {
        self.hold(slot, tag, mode, true);
        self.unlock(slot, tag, mode, false);
    }
}
