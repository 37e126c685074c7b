//! What can happen to the server: crash and restart, failover to a replica, eviction and flush.

use super::ModelCache;
use super::replication::Follower;
use super::settings::{Persistence, Settings};
use super::state::{SCRIPTS, State};
use crate::model::footprint::{Resource, hashed};

impl ModelCache {
    /// Sets the server up. A replica and the disk begin with what the server holds now.
    pub fn configure(&self, settings: Settings) {
        let mut state = self.lock();
        state.note_all(true);
        state.replica = settings.replication_lag.map(|_| Follower::of(&state.keys));
        state.disk = (settings.persistence != Persistence::Nothing).then(|| Follower::of(&state.keys));
        state.settings = settings;
    }

    /// The machine goes down: what the disk does not have is lost, for which see [`Persistence`]. Every
    /// connection is lost, and none can be opened before [`ModelCache::restart`].
    pub fn crash(&self) {
        let mut state = self.lock();
        state.write_to_disk();
        let disk = state.disk.take();
        state.go_down();
        state.keys = disk.map(Follower::into_keys).unwrap_or_default();
    }

    /// The process is killed: what was acknowledged is in the append-only file, if there is one.
    pub fn kill(&self) {
        let mut state = self.lock();
        let is_kept = state.disk.take().is_some();
        state.go_down();
        if !is_kept {
            state.keys.clear();
        }
    }

    /// The server comes back with what was kept.
    pub fn restart(&self) {
        let mut state = self.lock();
        state.is_down = false;
        state.follow_anew();
    }

    /// Whether connections can be opened.
    pub fn is_up(&self) -> bool {
        !self.lock().is_down
    }

    /// The primary is gone and its replica takes over, without what had not arrived there: writes that were
    /// acknowledged are lost. Every connection is lost; scripts are not replicated and have to be loaded again.
    /// Without a replica nothing is left.
    pub fn failover(&self) {
        let mut state = self.lock();
        state.replicate();
        let replica = state.replica.take();
        state.go_down();
        state.keys = replica.map(Follower::into_keys).unwrap_or_default();
        state.is_down = false;
        state.follow_anew();
    }

    /// Holds what is on its way to the replica, or lets it arrive.
    pub fn hold_replication(&self, hold: bool) {
        let mut state = self.lock();
        state.note_all(true);
        // What had the time to arrive before has arrived.
        state.replicate();
        state.is_held = hold;
    }

    /// Removes everything, as `FLUSHALL`.
    pub fn flush(&self) {
        self.lock().clear();
    }

    /// Removes `count` keys, as a server does that needs room. Redis samples, so it can be any: which ones follows
    /// from the seed and the names of the keys alone.
    pub fn evict(&self, count: usize) {
        let mut state = self.lock();
        state.note_all(true);
        let mut keys: Vec<(u64, bytes::Bytes)> =
            state.keys.keys().map(|key| (hashed((state.seed, key.as_ref())), key.clone())).collect();
        keys.sort_unstable();
        for (_, key) in keys.into_iter().take(count) {
            state.remove(&key);
        }
        state.finish_unit();
    }
}

impl State {
    /// What has been on its way to the replica long enough arrives there.
    pub(crate) fn replicate(&mut self) {
        let Some(lag) = self.settings.replication_lag else { return };
        if self.is_held {
            return;
        }
        let lag_us = u64::try_from(lag.as_micros()).unwrap_or(u64::MAX);
        let until_us = self.clock.now_us().saturating_sub(lag_us);
        if let Some(replica) = &mut self.replica {
            replica.arrive(until_us);
        }
    }

    /// A write that is old enough is on disk.
    pub(crate) fn write_to_disk(&mut self) {
        let Some(delay) = self.settings.persistence.delay() else { return };
        let delay_us = u64::try_from(delay.as_micros()).unwrap_or(u64::MAX);
        let until_us = self.clock.now_us().saturating_sub(delay_us);
        if let Some(disk) = &mut self.disk {
            disk.arrive(until_us);
        }
    }

    fn go_down(&mut self) {
        self.note_all(true);
        self.footprints.write(|| Resource::all(SCRIPTS));
        self.is_down = true;
        self.sessions.clear();
        self.watchers.clear();
        self.waiters = Default::default();
        self.scripts.clear();
    }

    /// The copies begin with what the server holds.
    fn follow_anew(&mut self) {
        self.note_all(true);
        self.is_held = false;
        self.replica = self.settings.replication_lag.map(|_| Follower::of(&self.keys));
        self.disk = (self.settings.persistence != Persistence::Nothing).then(|| Follower::of(&self.keys));
    }
}
