//! The claims that can be checked, by their ids.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A checkable claim about how two or more systems stay in step.
///
/// The ids (`no-loss`, `per-key-order`, ..) are what the command line, the JSON and the reports use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Property {
    /// Every delivered event belongs to an operation that the source of truth committed.
    NoGhost,
    /// A read of the source of truth that begins after an event was received is not older than that event.
    NoEarly,
    /// Every committed version was delivered at least once by the time the system is drained.
    NoLoss,
    /// Per key, first deliveries come in version order, all in one partition.
    PerKeyOrder,
    /// First deliveries come in the commit order of the source of truth, over all keys.
    GlobalOrder,
    /// No event is delivered twice.
    NoDup,
    /// Every committed version has exactly one downstream effect.
    EffectOnce,
    /// An event carries what the source of truth holds at that version, and no version is left out between
    /// the first and the last one delivered of a key.
    Fidelity,
    /// Drained, every copy (cache entry, projection row) that is present equals the source of truth.
    Convergence,
    /// A read never returns a version that was overwritten more than a stated bound before the read began.
    BoundedStaleness,
    /// Per client session and key (and per copy and key), the versions seen never go back.
    MonotonicReads,
    /// A client session reads at least the version that its own acknowledged write made.
    ReadYourWrites,
    /// No committed write was computed from a version that another committed write had already replaced.
    NoLostUpdate,
    /// Every acknowledged write is in the source of truth.
    AckDurability,
    /// Nobody sees some but not all writes of one transaction.
    AtomicVisibility,
    /// The application's own invariant holds in every snapshot.
    Invariant,
    /// Nothing is stuck: a fault in one system does not stall work that does not need it, and what a fault
    /// held up goes on once it is healed.
    Liveness,
}

impl Property {
    /// All properties, in the order in which tables show them.
    pub const ALL: [Property; 17] = [
        Property::NoGhost,
        Property::NoEarly,
        Property::NoLoss,
        Property::PerKeyOrder,
        Property::GlobalOrder,
        Property::NoDup,
        Property::EffectOnce,
        Property::Fidelity,
        Property::Convergence,
        Property::BoundedStaleness,
        Property::MonotonicReads,
        Property::ReadYourWrites,
        Property::NoLostUpdate,
        Property::AckDurability,
        Property::AtomicVisibility,
        Property::Invariant,
        Property::Liveness,
    ];

    /// The id, as written on the command line and in JSON.
    pub fn id(self) -> &'static str {
        match self {
            Property::NoGhost => "no-ghost",
            Property::NoEarly => "no-early",
            Property::NoLoss => "no-loss",
            Property::PerKeyOrder => "per-key-order",
            Property::GlobalOrder => "global-order",
            Property::NoDup => "no-dup",
            Property::EffectOnce => "effect-once",
            Property::Fidelity => "fidelity",
            Property::Convergence => "convergence",
            Property::BoundedStaleness => "bounded-staleness",
            Property::MonotonicReads => "monotonic-reads",
            Property::ReadYourWrites => "read-your-writes",
            Property::NoLostUpdate => "no-lost-update",
            Property::AckDurability => "ack-durability",
            Property::AtomicVisibility => "atomic-visibility",
            Property::Invariant => "invariant",
            Property::Liveness => "liveness",
        }
    }

    /// The two letters that the ground-truth table uses (`NL`, `KO`, ..).
    pub fn letters(self) -> &'static str {
        match self {
            Property::NoGhost => "NG",
            Property::NoEarly => "NE",
            Property::NoLoss => "NL",
            Property::PerKeyOrder => "KO",
            Property::GlobalOrder => "GO",
            Property::NoDup => "ND",
            Property::EffectOnce => "EO",
            Property::Fidelity => "FD",
            Property::Convergence => "CV",
            Property::BoundedStaleness => "BS",
            Property::MonotonicReads => "MR",
            Property::ReadYourWrites => "RYW",
            Property::NoLostUpdate => "LU",
            Property::AckDurability => "AD",
            Property::AtomicVisibility => "AV",
            Property::Invariant => "INV",
            Property::Liveness => "LV",
        }
    }

    /// What the property claims, in one sentence.
    pub fn statement(self) -> &'static str {
        match self {
            Property::NoGhost => "every delivered event belongs to a committed write",
            Property::NoEarly => {
                "a database read that begins after an event was received is not older than the event"
            }
            Property::NoLoss => "every committed write is delivered at least once",
            Property::PerKeyOrder => "per key, first deliveries come in version order, in one partition",
            Property::GlobalOrder => "first deliveries come in commit order, over all keys",
            Property::NoDup => "no event is delivered twice",
            Property::EffectOnce => "every committed write has exactly one downstream effect",
            Property::Fidelity => "events carry what was committed, with no version left out per key",
            Property::Convergence => "when all is quiet, every copy equals the source of truth",
            Property::BoundedStaleness => "no read is staler than the stated bound",
            Property::MonotonicReads => "a session never sees a key go back to an older version",
            Property::ReadYourWrites => "a session reads its own acknowledged writes",
            Property::NoLostUpdate => "no committed write is overwritten by one that had not seen it",
            Property::AckDurability => "every acknowledged write is in the source of truth",
            Property::AtomicVisibility => "nobody sees a part of a transaction",
            Property::Invariant => "the application's invariant holds in every snapshot",
            Property::Liveness => {
                "no fault leaves anything stuck or stalls work that does not need what is faulty"
            }
        }
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// The name is no property's id.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no property is called `{0}`")]
pub struct UnknownProperty(pub String);

impl FromStr for Property {
    type Err = UnknownProperty;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Property::ALL.into_iter().find(|p| p.id() == name).ok_or_else(|| UnknownProperty(name.to_owned()))
    }
}
