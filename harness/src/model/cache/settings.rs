//! How a cache of the model is set up.

use std::time::Duration;

/// The settings of a server, in Redis' own terms.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Settings {
    /// How many keys it holds at most (in the place of `maxmemory`, which counts bytes). Like Redis it looks
    /// before each command, so one command may go beyond.
    pub keys_max: Option<usize>,
    /// What it does when it is full.
    pub eviction: Eviction,
    /// What is on disk.
    pub persistence: Persistence,
    /// How long a write takes to a replica; none is no replica.
    pub replication_lag: Option<Duration>,
}

/// The policy when the cache is full (`maxmemory-policy`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Eviction {
    /// The keys used longest ago go (`allkeys-lru`; exact, where Redis samples).
    #[default]
    AllKeysLru,
    /// None goes, and what needs room is refused (`noeviction`).
    NoEviction,
}

/// What survives when the machine goes down (Redis documentation, "Redis persistence"). Only a process that
/// is killed loses nothing that was acknowledged, as long as it has an append-only file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Persistence {
    /// Nothing: no append-only file.
    #[default]
    Nothing,
    /// Every write that was acknowledged (`appendfsync always`).
    Always,
    /// Every write but those of the last second (`appendfsync everysec`).
    EverySecond,
    /// Every write but those of the last 30 seconds (`appendfsync no`: when the system does it).
    BySystem,
}

impl Persistence {
    /// How old a write is that is on disk for certain.
    pub(crate) fn delay(self) -> Option<Duration> {
        match self {
            Persistence::Nothing => None,
            Persistence::Always => Some(Duration::ZERO),
            Persistence::EverySecond => Some(Duration::from_secs(1)),
            Persistence::BySystem => Some(Duration::from_secs(30)),
        }
    }
}
