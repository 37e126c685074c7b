//! Waiting: for locks, for the end of transactions, with the three timeouts, and how others cut it short.

use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::id::{Slot, Xid};
use super::lock::{LockMode, LockTag, Request};
use super::proc::{Held, Waiting};
use super::session::Session;
use super::state::State;
use crate::model::database::error::SqlError;
use crate::model::database::error::state::{DEADLOCK_DETECTED, LOCK_NOT_AVAILABLE, QUERY_CANCELED};
use crate::model::footprint::Resource;

/// A step of an operation: it is done, or has to be taken again once something has happened.
#[derive(Debug)]
pub(super) enum Step<T> {
    Done(T),
    Wait(Target),
}

/// What a step waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Target {
    /// A lock, which the session then has.
    Lock(LockTag, LockMode),
    /// The end of a transaction, or of a subtransaction by rollback.
    End(Xid),
    /// The fate of an insertion that may be taken back.
    Speculation(Xid),
    /// The safety of a read-only transaction's snapshot.
    SafeSnapshot,
    /// The standby's confirmation.
    Standby,
}

/// The far future, for a timeout that is switched off.
const NEVER: Duration = Duration::from_secs(365 * 24 * 3600);

impl State {
    /// Takes a lock if it is free.
    pub(super) fn try_lock(&mut self, slot: Slot, tag: LockTag, mode: LockMode, session: bool) -> bool {
        let taken = self.locks.try_take(slot, tag, mode);
        if taken {
            self.hold(slot, tag, mode, session);
        }
        taken
    }

    /// Notes that the session has the lock.
    pub(super) fn hold(&mut self, slot: Slot, tag: LockTag, mode: LockMode, session: bool) {
        self.footprints.write(|| Resource::one("db locks", tag));
        let proc = self.proc_mut(slot);
        let levels = proc.tx.as_ref().map_or(1, |tx| tx.levels.len());
        let level = if session { None } else { Some(levels - 1) };
        let same = |held: &&mut Held| held.tag == tag && held.mode == mode && held.level == level;
        match proc.held.iter_mut().find(same) {
            Some(held) => held.times += 1,
            None => proc.held.push(Held { tag, mode, level, times: 1 }),
        }
    }

    /// Gives one lock back; false where the session does not have it.
    pub(super) fn unlock(&mut self, slot: Slot, tag: LockTag, mode: LockMode, session: bool) -> bool {
        let held = &mut self.proc_mut(slot).held;
        let place = held
            .iter()
            .rposition(|held| held.tag == tag && held.mode == mode && held.level.is_none() == session);
        let Some(place) = place else { return false };
        held[place].times -= 1;
        if held[place].times == 0 {
            held.remove(place);
            self.drop_mode(slot, tag, mode);
        }
        true
    }

    /// Gives back all locks that `which` names.
    pub(super) fn unlock_all(&mut self, slot: Slot, which: impl Fn(&Held) -> bool) {
        let (gone, kept): (Vec<Held>, Vec<Held>) =
            std::mem::take(&mut self.proc_mut(slot).held).into_iter().partition(which);
        self.proc_mut(slot).held = kept;
        for held in gone {
            self.drop_mode(slot, held.tag, held.mode);
        }
    }

    fn drop_mode(&mut self, slot: Slot, tag: LockTag, mode: LockMode) {
        self.footprints.write(|| Resource::one("db locks", tag));
        let still = self.proc(slot).held.iter().any(|held| held.tag == tag && held.mode == mode);
        if !still {
            let woken = self.locks.release(slot, tag, mode);
            self.grant(&woken);
        }
    }

    /// Tells sessions that they have what they waited for.
    pub(super) fn grant(&mut self, slots: &[Slot]) {
        for slot in slots {
            if let Some(Waiting::Lock { tag, mode }) = self.proc(*slot).waiting.clone()
                && !matches!(tag, LockTag::Transaction(_))
            {
                self.hold(*slot, tag, mode, false);
            }
            self.wake(*slot);
        }
    }

    /// Ends a session's waiting.
    pub(super) fn wake(&mut self, slot: Slot) {
        let proc = self.proc_mut(slot);
        proc.waiting = Some(Waiting::Over);
        proc.wake.notify_one();
    }

    /// Those that wait for the transaction's end go on.
    pub(super) fn wake_waiters(&mut self, xid: Xid) {
        for slot in self.locks.end(xid) {
            self.wake(slot);
        }
    }

    /// Starts waiting; false where there is nothing to wait for.
    fn start_waiting(&mut self, slot: Slot, target: Target) -> Result<bool, SqlError> {
        let waiting = match target {
            Target::Lock(tag, mode) => match self.locks.request(slot, tag, mode) {
                Request::Granted => {
                    self.hold(slot, tag, mode, false);
                    return Ok(false);
                }
                Request::Deadlock => return Err(deadlock_detected(None)),
                Request::Queued => {
                    self.footprints.write(|| Resource::one("db locks", tag));
                    Waiting::Lock { tag, mode }
                }
            },
            Target::End(xid) => {
                let xid = self.xacts.holder(xid);
                if !self.xacts.is_running(xid) {
                    return Ok(false);
                }
                self.locks.queue_for_end(slot, xid);
                Waiting::Lock { tag: LockTag::Transaction(xid), mode: LockMode::Share }
            }
            Target::Speculation(xid) => return self.start_waiting(slot, speculation(xid)),
            Target::SafeSnapshot => Waiting::SafeSnapshot,
            Target::Standby => Waiting::Standby,
        };
        self.proc_mut(slot).waiting = Some(waiting);
        Ok(true)
    }

    /// Leaves the queue.
    pub(super) fn stop_waiting(&mut self, slot: Slot) {
        if let Some(Waiting::Lock { tag, .. }) = self.proc_mut(slot).waiting.take() {
            let woken = self.locks.give_up(slot, tag);
            self.grant(&woken);
        }
    }
}

/// The owner of the insertion has it exclusively: to share it is to know its fate.
fn speculation(xid: Xid) -> Target {
    Target::Lock(LockTag::Speculative(xid), LockMode::Share)
}

/// The error of a deadlock's victim.
pub(super) fn deadlock_detected(detail: Option<String>) -> SqlError {
    let error = SqlError::new(DEADLOCK_DETECTED, "deadlock detected");
    match detail {
        Some(detail) => error.detail(detail),
        None => error,
    }
}

/// Leaves the queue also when the future that waits is dropped.
struct Queued<'a> {
    session: &'a Session,
    armed: bool,
}

impl Drop for Queued<'_> {
    fn drop(&mut self) {
        if self.armed {
            self.session.shared.lock().stop_waiting(self.session.slot);
        }
    }
}

/// When a waiting session looks up by itself.
struct Timers {
    deadlock: Option<Instant>,
    lock: Option<Instant>,
    statement: Option<Instant>,
}

impl Timers {
    fn next(&self) -> Instant {
        let set = [self.deadlock, self.lock, self.statement].into_iter().flatten();
        set.min().unwrap_or_else(|| Instant::now() + NEVER)
    }
}

impl Session {
    /// Repeats a step until it is done, and waits in between.
    pub(super) async fn drive<T>(
        &self,
        mut step: impl FnMut(&mut State, Slot) -> Result<Step<T>, SqlError>,
    ) -> Result<T, SqlError> {
        loop {
            let target = match step(&mut self.shared.lock(), self.slot)? {
                Step::Done(value) => return Ok(value),
                Step::Wait(target) => target,
            };
            self.wait_for(target).await?;
            if let Target::Speculation(xid) = target {
                // It was waited for only to be known.
                self.shared.lock().unlock(self.slot, LockTag::Speculative(xid), LockMode::Share, false);
            }
        }
    }

    /// Waits for `target`.
    pub(super) async fn wait_for(&self, target: Target) -> Result<(), SqlError> {
        let (wake, timers) = {
            let mut state = self.shared.lock();
            if let Some(error) = state.proc_mut(self.slot).take_interrupt() {
                return Err(error);
            }
            if !state.start_waiting(self.slot, target)? {
                return Ok(());
            }
            let proc = state.proc(self.slot);
            let now = Instant::now();
            let is_lock = matches!(proc.waiting, Some(Waiting::Lock { .. }));
            let timers = Timers {
                deadlock: is_lock.then(|| now + proc.settings.deadlock_timeout),
                lock: proc.settings.lock_timeout.filter(|_| is_lock).map(|timeout| now + timeout),
                statement: proc.statement_deadline,
            };
            (proc.wake.clone(), timers)
        };
        let mut queued = Queued { session: self, armed: true };
        let mut timers = timers;
        loop {
            tokio::select! {
                biased;
                () = wake.notified() => {}
                () = sleep_until(timers.next()) => {}
            }
            if self.look_up(&mut timers)? {
                queued.armed = false;
                return Ok(());
            }
        }
    }

    /// Whether the waiting is over.
    fn look_up(&self, timers: &mut Timers) -> Result<bool, SqlError> {
        let mut state = self.shared.lock();
        let slot = self.slot;
        if state.proc(slot).waiting == Some(Waiting::Over) {
            state.proc_mut(slot).waiting = None;
            return Ok(true);
        }
        if let Some(error) = state.proc_mut(slot).take_interrupt() {
            return Err(error);
        }
        let now = Instant::now();
        let passed = |timer: Option<Instant>| timer.is_some_and(|timer| timer <= now);
        if passed(timers.lock) && timers.statement.is_none_or(|statement| timers.lock <= Some(statement)) {
            let message = "canceling statement due to lock timeout";
            return Err(SqlError::new(LOCK_NOT_AVAILABLE, message));
        }
        if passed(timers.statement) {
            let message = "canceling statement due to statement timeout";
            return Err(SqlError::new(QUERY_CANCELED, message));
        }
        if passed(timers.deadlock) {
            timers.deadlock = None;
            state.check_deadlock(slot)?;
            if state.proc(slot).waiting == Some(Waiting::Over) {
                state.proc_mut(slot).waiting = None;
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Sleeps, unless the statement is cut off or cancelled before (`pg_sleep`).
    pub(crate) async fn sleep(&mut self, duration: Duration) -> Result<(), SqlError> {
        let until = Instant::now() + duration;
        loop {
            let (wake, deadline) = {
                let mut state = self.shared.lock();
                if let Some(error) = state.proc_mut(self.slot).take_interrupt() {
                    return Err(error);
                }
                let proc = state.proc(self.slot);
                (proc.wake.clone(), proc.statement_deadline)
            };
            let now = Instant::now();
            if now >= until {
                return Ok(());
            }
            if deadline.is_some_and(|deadline| deadline <= now) {
                let message = "canceling statement due to statement timeout";
                return Err(SqlError::new(QUERY_CANCELED, message));
            }
            tokio::select! {
                biased;
                () = wake.notified() => {}
                () = sleep_until(deadline.map_or(until, |deadline| deadline.min(until))) => {}
            }
        }
    }
}
