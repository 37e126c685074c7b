//! Commands that wait for something to take. Who has waited longest for a key is served first, in the command
//! that brings it something (Redis documentation of BLPOP).

use std::collections::BTreeMap;

use bytes::Bytes;
use tokio::sync::oneshot;
use tokio::time::Duration;

use super::answer::{Answer, Outcome, Stop, error};
use super::command::has_moved_on;
use super::state::State;

/// What a command waits for.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wait {
    /// Any of these keys, each with the command that is tried when there is something: it looks at no other.
    pub(crate) keys: Vec<(Bytes, Vec<Bytes>)>,
    /// The type of what the keys have to hold, as `TYPE` names it. What is of another type ends no wait.
    pub(crate) type_name: &'static str,
    /// How long; none is for ever.
    pub(crate) limit: Option<Duration>,
    /// What it answers when it has waited in vain.
    pub(crate) in_vain: Answer,
}

impl Wait {
    /// A wait that only time ends.
    pub(crate) fn for_nothing(limit: Option<Duration>, in_vain: Answer) -> Self {
        Wait { keys: Vec::new(), type_name: "", limit, in_vain }
    }
}

/// One who waits.
#[derive(Debug)]
struct Waiter {
    session: u64,
    keys: Vec<(Bytes, Vec<Bytes>)>,
    type_name: &'static str,
    served: oneshot::Sender<Outcome>,
}

impl Waiter {
    /// What it tries when the key holds something.
    fn command_for(&self, key: &[u8]) -> Option<&Vec<Bytes>> {
        self.keys.iter().find(|(own, _)| own == key).map(|(_, command)| command)
    }
}

/// Who waits, in the order in which they came.
#[derive(Debug, Default)]
pub(crate) struct Waiters {
    next: u64,
    all: BTreeMap<u64, Waiter>,
}

impl Waiters {
    /// How many wait.
    pub(crate) fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether somebody waits for the key.
    pub(crate) fn want(&self, key: &[u8]) -> bool {
        self.next_for(key, None).is_some()
    }

    /// Somebody begins to wait.
    pub(crate) fn add(&mut self, session: u64, wait: &Wait) -> oneshot::Receiver<Outcome> {
        let (served, receiver) = oneshot::channel();
        let waiter = Waiter { session, keys: wait.keys.clone(), type_name: wait.type_name, served };
        self.all.insert(self.next, waiter);
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
        waiting.find(|(_, waiter)| waiter.command_for(key).is_some()).map(|(id, _)| *id)
    }
}

/// The refusal of one who waited for a group that is no more.
const GROUP_IS_GONE: Stop = error("NOGROUP the consumer group this client was blocked on no longer exists");

/// The refusal of one who waited for a group of a stream that is no more.
const STREAM_IS_GONE: Stop = error("UNBLOCKED the stream key no longer exists");

impl State {
    /// Serves those who wait for keys that have come to hold something, in the order in which they did.
    pub(crate) fn serve_waiters(&mut self) {
        while !self.ready.is_empty() {
            // Serving may fill other lists, for which others wait: these come last.
            let key = self.ready.remove(0);
            let mut last = None;
            while let Some(id) = self.waiters.next_for(&key, last) {
                self.try_waiter(id, &key);
                last = Some(id);
            }
            self.finish_unit();
        }
    }

    fn try_waiter(&mut self, id: u64, key: &[u8]) {
        let type_name = self.entry(key).map(|entry| entry.value.type_name());
        let Some(waiter) = self.waiters.all.remove(&id) else { return };
        let outcome = match waiter.command_for(key) {
            Some(command) => {
                let args: Vec<&[u8]> = command.iter().map(AsRef::as_ref).collect();
                let before = std::mem::replace(&mut self.caller.session, waiter.session);
                let outcome = self.try_again(&args, key, type_name == Some(waiter.type_name));
                self.caller.session = before;
                outcome
            }
            None => None,
        };
        match outcome {
            // One who does not listen any more has taken it all the same, and it is lost.
            Some(outcome) => drop(waiter.served.send(outcome)),
            None => drop(self.waiters.all.insert(id, waiter)),
        }
    }

    /// The reply to a command that waited for the key, or none if it waits on.
    fn try_again(&mut self, args: &[&[u8]], key: &[u8], has_type: bool) -> Option<Outcome> {
        if !has_type {
            let is_of_group = args.first().is_some_and(|name| name.eq_ignore_ascii_case(b"XREADGROUP"));
            return is_of_group.then_some(Err(STREAM_IS_GONE));
        }
        match self.call(args) {
            Err(Stop::Wait(wait)) if wait.type_name == "stream" => match has_moved_on(self, args) {
                Ok(true) => {
                    let nothing = Answer::Array(Vec::new());
                    Some(Ok(Answer::Array(vec![Answer::Array(vec![Answer::bulk(key), nothing])])))
                }
                Ok(false) | Err(_) => None,
            },
            Err(Stop::Wait(_)) => None,
            Err(Stop::Error(text)) if text.starts_with("NOGROUP") => Some(Err(GROUP_IS_GONE)),
            outcome => Some(outcome),
        }
    }
}
