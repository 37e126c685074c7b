//! Consistency models: which implies which, and which anomalies each forbids.
//!
//! The tables follow Adya ("Weak Consistency"), Bailis et al. ("Highly Available Transactions"), Cerone et al.
//! ("A Framework for Transactional Consistency Models with Atomic Visibility") and Daudjee and Salem ("Lazy
//! Database Replication with Snapshot Isolation"), as Elle brings them together.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use super::anomaly::{Anomaly, Extent, Family};

/// Each model with the weaker ones that it implies directly.
const MODELS: [(&str, &[&str]); 30] = [
    (
        "strong-serializable",
        &["serializable", "strong-snapshot-isolation", "strong-session-serializable", "linearizable"],
    ),
    ("strong-session-serializable", &["serializable", "strong-session-snapshot-isolation"]),
    ("strong-snapshot-isolation", &["strong-session-snapshot-isolation", "strong-read-committed"]),
    ("strong-session-snapshot-isolation", &["snapshot-isolation", "strong-session-read-committed"]),
    ("strong-read-committed", &["strong-session-read-committed", "strong-read-uncommitted"]),
    ("strong-session-read-committed", &["read-committed", "strong-session-read-uncommitted"]),
    ("strong-read-uncommitted", &["strong-session-read-uncommitted"]),
    ("strong-session-read-uncommitted", &["read-uncommitted"]),
    ("serializable", &["repeatable-read", "snapshot-isolation", "update-serializable"]),
    ("update-serializable", &["forward-consistent-view"]),
    ("repeatable-read", &["cursor-stability", "monotonic-atomic-view"]),
    (
        "snapshot-isolation",
        &[
            "forward-consistent-view",
            "monotonic-atomic-view",
            "monotonic-snapshot-read",
            "parallel-snapshot-isolation",
            "prefix",
        ],
    ),
    ("forward-consistent-view", &["consistent-view"]),
    ("consistent-view", &["cursor-stability", "monotonic-view"]),
    ("parallel-snapshot-isolation", &["causal-cerone", "ROLA"]),
    ("prefix", &["causal-cerone"]),
    ("ROLA", &["read-atomic"]),
    ("causal-cerone", &["read-atomic"]),
    ("read-atomic", &["monotonic-atomic-view"]),
    ("cursor-stability", &["read-committed"]),
    ("monotonic-atomic-view", &["read-committed"]),
    ("monotonic-view", &["read-committed"]),
    ("monotonic-snapshot-read", &["read-committed"]),
    ("read-committed", &["read-uncommitted"]),
    ("linearizable", &["sequential"]),
    ("sequential", &["causal"]),
    ("causal", &["writes-follow-reads", "PRAM"]),
    ("PRAM", &["monotonic-reads", "monotonic-writes", "read-your-writes"]),
    ("read-uncommitted", &[]),
    ("writes-follow-reads", &[]),
];

/// Models of single objects stand in the table for what implies them; no anomaly here rules one out by itself.
const SINGLE_OBJECT: [&str; 5] = ["linearizable", "sequential", "causal", "PRAM", "writes-follow-reads"];

/// Names that mean one of the models.
const SYNONYMS: [(&str, &str); 12] = [
    ("strict-serializable", "strong-serializable"),
    ("PL-SS", "strong-serializable"),
    ("conflict-serializable", "serializable"),
    ("PL-3", "serializable"),
    ("PL-3U", "update-serializable"),
    ("PL-2.99", "repeatable-read"),
    ("PL-SI", "snapshot-isolation"),
    ("PL-2+", "consistent-view"),
    ("PL-2", "read-committed"),
    ("PL-1", "read-uncommitted"),
    ("PL-CS", "cursor-stability"),
    ("monotonic-atomic", "monotonic-atomic-view"),
];

/// A consistency model that a history is judged against.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Level(&'static str);

/// A name that is no consistency model.
#[derive(Debug, Error)]
#[error(
    "no consistency model is called {0:?}: some are strict-serializable, serializable, snapshot-isolation, \
     repeatable-read, read-atomic, read-committed, read-uncommitted"
)]
pub struct UnknownLevel(String);

impl Default for Level {
    fn default() -> Self {
        Level::STRICT_SERIALIZABLE
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(name: &str) -> Result<Level, UnknownLevel> {
        let meant = SYNONYMS.iter().find(|(synonym, _)| *synonym == name).map_or(name, |(_, model)| model);
        let known = MODELS.iter().find(|(model, _)| *model == meant && !SINGLE_OBJECT.contains(model));
        known.map(|(model, _)| Level(model)).ok_or_else(|| UnknownLevel(name.to_owned()))
    }
}

impl Level {
    /// Serializable in the order of real time: what a history is judged against if nothing is said.
    pub const STRICT_SERIALIZABLE: Level = Level("strong-serializable");
    /// Serializable.
    pub const SERIALIZABLE: Level = Level("serializable");
    /// Snapshot isolation.
    pub const SNAPSHOT_ISOLATION: Level = Level("snapshot-isolation");
    /// Read committed.
    pub const READ_COMMITTED: Level = Level("read-committed");
    /// Read uncommitted.
    pub const READ_UNCOMMITTED: Level = Level("read-uncommitted");

    /// The name that most people know it by.
    pub fn name(self) -> &'static str {
        friendly(self.0)
    }

    /// Whether a history with this anomaly is not of this level.
    pub fn forbids(self, anomaly: Anomaly) -> bool {
        ruled_out_by(anomaly).contains(self.0)
    }

    /// Whether every history of this level is one of the other too.
    pub fn implies(self, weaker: Level) -> bool {
        stronger_than(weaker.0).contains(self.0)
    }
}

fn friendly(model: &'static str) -> &'static str {
    if model == "strong-serializable" { "strict-serializable" } else { model }
}

/// The weakest models that these anomalies rule out, and all stronger ones.
pub fn ruled_out(anomalies: impl IntoIterator<Item = Anomaly>) -> (Vec<&'static str>, Vec<&'static str>) {
    let out: BTreeSet<&'static str> = anomalies.into_iter().flat_map(ruled_out_by).collect();
    let is_weakest = |model: &&&'static str| !weaker_than(model).iter().any(|weaker| out.contains(weaker));
    let not: BTreeSet<&'static str> = out.iter().filter(is_weakest).copied().collect();
    let also = out.difference(&not).map(|model| friendly(model)).collect();
    (not.into_iter().map(friendly).collect(), also)
}

/// Every model that no history with this anomaly keeps.
fn ruled_out_by(anomaly: Anomaly) -> BTreeSet<&'static str> {
    forbidding(anomaly).iter().flat_map(|model| stronger_than(model)).collect()
}

/// The models that are stronger than this one, and itself.
fn stronger_than(model: &str) -> BTreeSet<&'static str> {
    let mut found: BTreeSet<&'static str> = BTreeSet::new();
    let mut added: Vec<&'static str> =
        MODELS.iter().map(|(name, _)| *name).filter(|name| *name == model).collect();
    while let Some(next) = added.pop() {
        if found.insert(next) {
            added.extend(MODELS.iter().filter(|(_, weaker)| weaker.contains(&next)).map(|(name, _)| *name));
        }
    }
    found
}

/// The models that are weaker than this one, without itself.
fn weaker_than(model: &str) -> BTreeSet<&'static str> {
    let direct =
        |model: &str| MODELS.iter().find(|(name, _)| *name == model).map_or(&[][..], |(_, weaker)| weaker);
    let mut found: BTreeSet<&'static str> = BTreeSet::new();
    let mut added: Vec<&'static str> = direct(model).to_vec();
    while let Some(next) = added.pop() {
        if found.insert(next) {
            added.extend(direct(next));
        }
    }
    found
}

/// The weakest models that forbid an anomaly.
fn forbidding(anomaly: Anomaly) -> &'static [&'static str] {
    match anomaly {
        // What was never written, or stands there twice, fits into no order of versions.
        Anomaly::GarbageRead
        | Anomaly::DuplicateElements
        | Anomaly::CyclicVersions
        | Anomaly::InconsistentVersions => &["read-uncommitted"],
        // One of the two orders is that of a transaction that did not commit.
        Anomaly::IncompatibleOrder | Anomaly::G1a | Anomaly::DirtyUpdate => {
            &["read-committed", "read-atomic"]
        }
        Anomaly::G1b => &["read-committed"],
        Anomaly::FutureRead => &["read-committed", "read-atomic"],
        Anomaly::Internal => &["read-atomic", "serializable", "snapshot-isolation"],
        Anomaly::LostUpdate => &["cursor-stability", "ROLA", "repeatable-read"],
        Anomaly::SnapshotRead | Anomaly::WriteConflict | Anomaly::TimestampOrder(Extent::Data) => {
            &["snapshot-isolation"]
        }
        Anomaly::TimestampOrder(Extent::Process) => &["strong-session-snapshot-isolation"],
        Anomaly::TimestampOrder(Extent::Realtime) => &["strong-snapshot-isolation"],
        Anomaly::Cycle(family, extent) => cycle_forbidding(family, extent),
    }
}

fn cycle_forbidding(family: Family, extent: Extent) -> &'static [&'static str] {
    match (family, extent) {
        (Family::G0, Extent::Data) => &["read-uncommitted"],
        (Family::G0, Extent::Process) => &["strong-session-read-uncommitted"],
        (Family::G0, Extent::Realtime) => &["strong-read-uncommitted"],
        (Family::G1c, Extent::Data) => &["read-committed"],
        (Family::G1c, Extent::Process) => &["strong-session-read-committed"],
        (Family::G1c, Extent::Realtime) => &["strong-read-committed"],
        (Family::GSingle, Extent::Data) => &["consistent-view", "repeatable-read"],
        (Family::GNonadjacent, Extent::Data) => &["snapshot-isolation", "repeatable-read"],
        (Family::GSingle | Family::GNonadjacent, Extent::Process) => &["strong-session-snapshot-isolation"],
        (Family::GSingle | Family::GNonadjacent, Extent::Realtime) => &["strong-snapshot-isolation"],
        (Family::G2, Extent::Data) => &["repeatable-read"],
        (Family::G2, Extent::Process) => &["strong-session-serializable"],
        (Family::G2, Extent::Realtime) => &["strong-serializable"],
    }
}
