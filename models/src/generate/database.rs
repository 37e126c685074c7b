//! The simulated database: versions of keys with the time of their commit.

use std::collections::BTreeMap;

use super::Isolation;

/// One version of a key: an element of a list, or a value of a register.
#[derive(Clone, Copy)]
struct Version {
    value: i64,
    committed: u64,
}

/// All keys. Time counts commits and writes.
#[derive(Default)]
pub(super) struct Database {
    keys: BTreeMap<u64, Vec<Version>>,
    now: u64,
}

/// What a transaction has done so far.
#[derive(Default)]
pub(super) struct Work {
    started: u64,
    writes: Vec<(u64, i64)>,
    /// When the first of them was made.
    wrote: u64,
}

impl Database {
    pub(super) fn begin(&self) -> Work {
        Work { started: self.now, writes: Vec::new(), wrote: self.now }
    }

    /// The versions of a key that a transaction sees, the newest last.
    pub(super) fn read(&self, isolation: Isolation, work: &Work, key: u64) -> Vec<i64> {
        let until = match isolation {
            Isolation::SnapshotIsolation | Isolation::LostUpdate => work.started,
            Isolation::Serializable | Isolation::ReadCommitted | Isolation::ReadUncommitted => u64::MAX,
        };
        let versions = self.keys.get(&key).map_or(&[][..], Vec::as_slice);
        let committed =
            versions.iter().filter(|version| version.committed <= until).map(|version| version.value);
        let own = work.writes.iter().filter(|(other, _)| *other == key).map(|(_, value)| *value);
        committed.chain(own).collect()
    }

    /// The version of the newest of these; none for what the transaction itself has not committed yet.
    pub(super) fn version_read(&self, isolation: Isolation, work: &Work, key: u64) -> Option<u64> {
        let is_own = work.writes.iter().any(|(other, _)| *other == key);
        let count = self.read(isolation, work, key).len() as u64;
        (!is_own && count > 0).then_some(count)
    }

    /// The version that a value became.
    pub(super) fn version_of(&self, key: u64, value: i64) -> Option<u64> {
        let at = self.keys.get(&key)?.iter().rposition(|version| version.value == value)?;
        Some(at as u64 + 1)
    }

    /// Timestamps of a transaction that commits now: of its start, and of its commit.
    pub(super) fn stamps(&self, work: &Work) -> (u64, u64) {
        (work.started * 2 + 1, self.now * 2)
    }

    pub(super) fn write(&mut self, isolation: Isolation, work: &mut Work, key: u64, value: i64) {
        if isolation == Isolation::ReadUncommitted {
            self.install(key, value);
        } else {
            if work.writes.is_empty() {
                work.wrote = self.now;
            }
            work.writes.push((key, value));
        }
    }

    /// Installs what was written; says whether it could.
    pub(super) fn commit(&mut self, isolation: Isolation, work: &Work) -> bool {
        // Locks are not simulated: who would have waited for one fails.
        let since = match isolation {
            Isolation::SnapshotIsolation => work.started,
            Isolation::ReadCommitted => work.wrote,
            Isolation::Serializable | Isolation::ReadUncommitted | Isolation::LostUpdate => u64::MAX,
        };
        let was_written = |key: u64| {
            let versions = self.keys.get(&key).map_or(&[][..], Vec::as_slice);
            versions.last().is_some_and(|version| version.committed > since)
        };
        if work.writes.iter().any(|(key, _)| was_written(*key)) {
            return false;
        }
        if isolation == Isolation::LostUpdate {
            for (key, _) in &work.writes {
                let versions = self.keys.entry(*key).or_default();
                versions.retain(|version| version.committed <= work.started);
            }
        }
        self.now += 1;
        for (key, value) in &work.writes {
            self.keys.entry(*key).or_default().push(Version { value: *value, committed: self.now });
        }
        true
    }

    fn install(&mut self, key: u64, value: i64) {
        self.now += 1;
        self.keys.entry(key).or_default().push(Version { value, committed: self.now });
    }

    /// Nobody uses the key any more.
    pub(super) fn forget(&mut self, key: u64) {
        self.keys.remove(&key);
    }
}
