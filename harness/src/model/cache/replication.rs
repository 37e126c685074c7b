//! Copies that follow the data with a delay: a replica, and what is on disk.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::state::Entry;

/// A copy, and the changes that are on their way to it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Follower {
    keys: BTreeMap<Bytes, Entry>,
    coming: VecDeque<Coming>,
}

#[derive(Debug, Clone)]
struct Coming {
    at_us: u64,
    change: Change,
}

/// A change of the data, as its effect.
#[derive(Debug, Clone)]
pub(crate) enum Change {
    /// What these keys hold from now on, all at once: one command, transaction or script.
    Keys(Vec<(Bytes, Option<Entry>)>),
    /// Everything is gone.
    Flush,
}

impl Follower {
    /// A copy that has everything so far.
    pub(crate) fn of(keys: &BTreeMap<Bytes, Entry>) -> Self {
        Follower { keys: keys.clone(), coming: VecDeque::new() }
    }

    /// A change is on its way.
    pub(crate) fn send(&mut self, at_us: u64, change: Change) {
        self.coming.push_back(Coming { at_us, change });
    }

    /// Whatever was sent at `until_us` or before arrives.
    pub(crate) fn arrive(&mut self, until_us: u64) {
        while self.coming.front().is_some_and(|coming| coming.at_us <= until_us) {
            if let Some(coming) = self.coming.pop_front() {
                self.apply(coming.change);
            }
        }
    }

    /// When the oldest change that has not arrived was sent, and the newest.
    pub(crate) fn on_the_way(&self) -> Option<(u64, u64)> {
        Some((self.coming.front()?.at_us, self.coming.back()?.at_us))
    }

    /// What the copy holds, without what was on its way.
    pub(crate) fn into_keys(self) -> BTreeMap<Bytes, Entry> {
        self.keys
    }

    fn apply(&mut self, change: Change) {
        match change {
            Change::Keys(keys) => {
                for (key, entry) in keys {
                    match entry {
                        Some(entry) => self.keys.insert(key, entry),
                        None => self.keys.remove(&key),
                    };
                }
            }
            Change::Flush => self.keys.clear(),
        }
    }
}
