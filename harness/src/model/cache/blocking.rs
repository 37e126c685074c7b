//! Commands that wait for something to take. Who has waited longest for a key is served first, in the command
//! that brings it something (Redis documentation of BLPOP).

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Duration;

use super::answer::{Answer, Outcome, Stop};
use super::state::State;

/// What a command waits for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wait {
    /// Any of these keys.
    pub(crate) keys: Vec<Bytes>,
    /// How long; none is for ever.
    pub(crate) limit: Option<Duration>,
    /// What it answers when it has waited in vain.
    pub(crate) in_vain: Answer,
    /// The command to try again, where it is not the one that was sent.
    pub(crate) again: Option<Vec<Bytes>>,
}

impl Wait {
    /// A wait that only time ends.
    pub(crate) fn for_nothing(limit: Option<Duration>, in_vain: Answer) -> Self {
        Wait { keys: Vec::new(), limit, in_vain, again: None }
    }
}

/// One who waits.
#[derive(Debug)]
struct Waiter {
    session: u64,
    keys: Vec<Bytes>,
    args: Vec<Bytes>,
    served: oneshot::Sender<Outcome>,
}

/// Who waits, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next: u64,
    all: BTreeMap<u64, Waiter>,
}

impl Waiters {
    pub(crate) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Somebody begins to wait.
    pub(crate) fn add(&mut self, session: u64, wait: &Wait, args: &[&[u8]]) -> oneshot::Receiver<Outcome> {
        let (served, receiver) = oneshot::channel();
        let sent = || args.iter().map(|arg| Bytes::copy_from_slice(arg)).collect();
        let args = wait.again.clone().unwrap_or_else(sent);
        self.all.insert(self.next, Waiter { session, keys: wait.keys.clone(), args, served });
        self.next += 1;
        receiver
    }

    /// A connection has closed, or has waited long enough.
    pub(crate) fn remove(&mut self, session: u64) {
        self.all.retain(|_, waiter| waiter.session != session);
    }

    /// Who waits longest for that key, after the given one.
    fn next_for(&self, key: &[u8], after: Option<u64>) -> Option<u64> {
        let from = after.map_or(0, |after| after + 1);
        let mut waiting = self.all.range(from..);
        waiting.find(|(_, waiter)| waiter.keys.iter().any(|other| other == key)).map(|(id, _)| *id)
    }
}

impl State {
    /// Serves those who wait for keys that were written, until nobody can be served.
    pub(crate) fn serve_waiters(&mut self, mut written: Vec<Bytes>) {
        let mut at = 0;
        while let Some(key) = written.get(at).cloned() {
            let mut last = None;
            while let Some(id) = self.waiters.next_for(&key, last) {
                self.try_waiter(id);
                last = Some(id);
            }
            // Serving may have written other lists, for which others wait.
            written.extend(self.finish_unit());
            at += 1;
        }
    }

    fn try_waiter(&mut self, id: u64) {
        let Some(waiter) = self.waiters.all.remove(&id) else { return };
        let args: Vec<&[u8]> = waiter.args.iter().map(AsRef::as_ref).collect();
        let before = std::mem::replace(&mut self.caller.session, waiter.session);
        let outcome = self.call(&args);
        self.caller.session = before;
        if let Err(Stop::Wait(_)) = outcome {
            self.waiters.all.insert(id, waiter);
        } else {
            // One who does not listen any more has taken it all the same, and it is lost.
            let _lost = waiter.served.send(outcome);
        }
    }
}
