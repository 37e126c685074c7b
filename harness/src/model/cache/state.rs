//! The keyspace, and everything else that one server has. Whatever reads or writes a key comes by here, where
//! footprints, expiry, watching and the copies of the data are kept.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::answer::{Stop, WRONG_TYPE};
use super::blocking::Waiters;
use super::clock::Clock;
use super::replication::{Change, Follower};
use super::session::Session;
use super::settings::Settings;
use super::value::{Container, Value};
use crate::model::footprint::{Footprints, Resource};

/// The names of what is read and written.
pub(crate) const KEYS: &str = "cache";
pub(crate) const CLOCK: &str = "cache clock";
pub(crate) const SCRIPTS: &str = "cache scripts";
const USES: &str = "cache uses";

/// A key's value and when it ends.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) value: Value,
    /// In milliseconds since 1970: the last one in which it is there.
    pub(crate) expires_ms: Option<i64>,
    /// When it was last used, counted in uses.
    pub(crate) used: u64,
}

/// Who sends the command that is being run.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Caller {
    pub(crate) session: u64,
}

/// One server.
#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) footprints: Footprints,
    pub(crate) settings: Settings,
    pub(crate) seed: u64,
    pub(crate) clock: Clock,
    pub(crate) keys: BTreeMap<Bytes, Entry>,
    /// By the SHA-1 of the text.
    pub(crate) scripts: BTreeMap<Bytes, Bytes>,
    pub(crate) sessions: BTreeMap<u64, Session>,
    pub(crate) sessions_opened: u64,
    pub(crate) watchers: BTreeMap<Bytes, BTreeSet<u64>>,
    pub(crate) waiters: Waiters,
    pub(crate) caller: Caller,
    pub(crate) is_down: bool,
    pub(crate) replica: Option<Follower>,
    pub(crate) is_held: bool,
    pub(crate) disk: Option<Follower>,
    uses: u64,
    written: Vec<Bytes>,
    /// The keys for which somebody waits and in which there may be something for them, in that order.
    pub(crate) ready: Vec<Bytes>,
}

impl State {
    pub(crate) fn new(seed: u64, footprints: Footprints) -> Self {
        State { footprints, seed, ..State::default() }
    }

    /// The same data for another run: without connections, and with the clock standing until it is looked at.
    pub(crate) fn fork(&self, footprints: Footprints) -> Self {
        State {
            footprints,
            settings: self.settings.clone(),
            seed: self.seed,
            clock: self.clock.clone(),
            keys: self.keys.clone(),
            scripts: self.scripts.clone(),
            sessions_opened: self.sessions_opened,
            is_down: self.is_down,
            replica: self.replica.clone(),
            is_held: self.is_held,
            disk: self.disk.clone(),
            uses: self.uses,
            ..State::default()
        }
    }

    /// Notes that all of the data is read, or written.
    pub(crate) fn note_all(&self, write: bool) {
        if write {
            self.footprints.write(|| Resource::all(KEYS));
        } else {
            self.footprints.read(|| Resource::all(KEYS));
        }
    }

    /// The time, which the caller thereby depends on.
    pub(crate) fn now_ms(&mut self) -> i64 {
        self.footprints.read(|| Resource::all(CLOCK));
        self.clock.now_ms()
    }

    /// Whether there is such a key. One whose time is over is removed.
    pub(crate) fn exists(&mut self, key: &[u8]) -> bool {
        self.footprints.read(|| Resource::one(KEYS, key));
        let Some(entry) = self.keys.get(key) else { return false };
        let Some(expires_ms) = entry.expires_ms else { return true };
        let is_over = self.now_ms() > expires_ms;
        if is_over {
            self.take_out(key);
        }
        !is_over
    }

    /// What the key holds.
    pub(crate) fn entry(&mut self, key: &[u8]) -> Option<&Entry> {
        self.used_entry(key).map(|entry| &*entry)
    }

    fn used_entry(&mut self, key: &[u8]) -> Option<&mut Entry> {
        if !self.exists(key) {
            return None;
        }
        if self.settings.keys_max.is_some() {
            self.footprints.write(|| Resource::all(USES));
        }
        self.uses += 1;
        let entry = self.keys.get_mut(key)?;
        entry.used = self.uses;
        Some(entry)
    }

    /// The text that the key holds.
    pub(crate) fn text(&mut self, key: &[u8]) -> Result<Option<&Bytes>, Stop> {
        match self.entry(key) {
            None => Ok(None),
            Some(Entry { value: Value::Text(text), .. }) => Ok(Some(text)),
            Some(_) => Err(WRONG_TYPE),
        }
    }

    /// The container that the key holds.
    pub(crate) fn container<C: Container>(&mut self, key: &[u8]) -> Result<Option<&C>, Stop> {
        let Some(entry) = self.entry(key) else { return Ok(None) };
        C::of(&entry.value).map(Some).ok_or(WRONG_TYPE)
    }

    /// Changes the container that the key holds, if there is one; `change` says whether it did.
    pub(crate) fn change<C: Container, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> (bool, R),
    ) -> Result<Option<R>, Stop> {
        let Some(entry) = self.used_entry(key) else { return Ok(None) };
        let container = C::of_mut(&mut entry.value).ok_or(WRONG_TYPE)?;
        let (changed, result) = change(container);
        if container.is_gone() {
            self.keys.remove(key);
        }
        if changed {
            self.touched(key);
        }
        Ok(Some(result))
    }

    /// The same, with a new container where there was none.
    pub(crate) fn change_or_make<C: Container, R>(
        &mut self,
        key: &[u8],
        change: impl FnOnce(&mut C) -> (bool, R),
    ) -> Result<R, Stop> {
        if self.exists(key) {
            // It is there, and it stays there until the change.
            return self.change(key, change)?.ok_or(WRONG_TYPE);
        }
        let mut made = C::default();
        let (changed, result) = change(&mut made);
        if changed && !made.is_gone() {
            self.put(key, made.into_value(), None);
        }
        Ok(result)
    }

    /// The key holds that from now on.
    pub(crate) fn put(&mut self, key: &[u8], value: Value, expires_ms: Option<i64>) {
        self.uses += 1;
        let entry = Entry { value, expires_ms, used: self.uses };
        let is_awaited = entry.value.can_be_waited_for();
        let before = match self.keys.get_mut(key) {
            Some(before) => Some(std::mem::replace(before, entry)),
            None => self.keys.insert(Bytes::copy_from_slice(key), entry),
        };
        self.touched(key);
        if is_awaited || matches!(before, Some(Entry { value: Value::Stream(_), .. })) {
            self.signal(key);
        }
    }

    /// Removes the key, and says whether it was there.
    pub(crate) fn remove(&mut self, key: &[u8]) -> bool {
        let was_there = self.exists(key);
        if was_there {
            self.take_out(key);
        }
        was_there
    }

    fn take_out(&mut self, key: &[u8]) {
        let removed = self.keys.remove(key);
        self.touched(key);
        if matches!(removed, Some(Entry { value: Value::Stream(_), .. })) {
            self.signal(key);
        }
    }

    /// Sets when the key ends, or that it does not.
    pub(crate) fn set_expiry(&mut self, key: &[u8], expires_ms: Option<i64>) {
        if let Some(entry) = self.keys.get_mut(key) {
            entry.expires_ms = expires_ms;
            self.touched(key);
        }
    }

    /// The keys that are there, in the order of their bytes.
    pub(crate) fn live_keys(&mut self) -> Vec<Bytes> {
        self.note_all(false);
        let now_ms =
            if self.keys.values().any(|entry| entry.expires_ms.is_some()) { self.now_ms() } else { i64::MIN };
        let is_live = |entry: &Entry| entry.expires_ms.is_none_or(|expires_ms| now_ms <= expires_ms);
        self.keys.iter().filter(|(_, entry)| is_live(entry)).map(|(key, _)| key.clone()).collect()
    }

    /// Removes everything.
    pub(crate) fn clear(&mut self) {
        self.note_all(true);
        for (key, watching) in std::mem::take(&mut self.watchers) {
            if self.keys.contains_key(&key) {
                self.break_watches(&watching);
            }
            self.watchers.insert(key, watching);
        }
        for key in std::mem::take(&mut self.keys).keys() {
            self.signal(key);
        }
        self.written.clear();
        let now_us = self.clock.now_us();
        for follower in [&mut self.replica, &mut self.disk].into_iter().flatten() {
            follower.send(now_us, Change::Flush);
        }
    }

    /// The key was written.
    fn touched(&mut self, key: &[u8]) {
        self.footprints.write(|| Resource::one(KEYS, key));
        if let Some(watching) = self.watchers.get(key).cloned() {
            self.break_watches(&watching);
        }
        if self.replica.is_some() || self.disk.is_some() {
            self.written.push(Bytes::copy_from_slice(key));
        }
    }

    /// There may be something in it for those who wait for the key: a list, sorted set or stream was made, a stream
    /// was added to, has lost a group or is gone.
    pub(crate) fn signal(&mut self, key: &[u8]) {
        if self.waiters.want(key) && !self.ready.iter().any(|ready| ready == key) {
            self.ready.push(Bytes::copy_from_slice(key));
        }
    }

    fn break_watches(&mut self, watching: &BTreeSet<u64>) {
        for session in watching {
            if let Some(session) = self.sessions.get_mut(session) {
                session.watch_broken = true;
            }
        }
    }

    /// A command, transaction or script is over: what it wrote sets off for the copies.
    pub(crate) fn finish_unit(&mut self) {
        if self.written.is_empty() {
            return;
        }
        let mut written = std::mem::take(&mut self.written);
        written.sort_unstable();
        written.dedup();
        let now_us = self.clock.now_us();
        let held = |key: &Bytes| (key.clone(), self.keys.get(key).cloned());
        let change = Change::Keys(written.iter().map(held).collect());
        let session = self.caller.session;
        if let Some(session) = self.sessions.get_mut(&session) {
            session.wrote_us = Some(now_us);
        }
        for follower in [&mut self.replica, &mut self.disk].into_iter().flatten() {
            follower.send(now_us, change.clone());
        }
        self.replicate();
        self.write_to_disk();
    }

    /// Makes room: removes the keys that were used longest ago until no more than `keys_max` are left.
    pub(crate) fn shrink(&mut self, keys_max: usize) {
        let too_many = self.keys.len().saturating_sub(keys_max);
        if too_many == 0 {
            return;
        }
        self.note_all(true);
        let mut by_use: Vec<(u64, Bytes)> =
            self.keys.iter().map(|(key, entry)| (entry.used, key.clone())).collect();
        by_use.sort_unstable();
        for (_, key) in by_use.into_iter().take(too_many) {
            self.remove(&key);
        }
    }
}
