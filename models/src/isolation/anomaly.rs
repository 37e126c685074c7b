//! The anomalies, by the names that Elle gives them.
//!
//! Cycles are named after Adya ("Weak Consistency", 1999) by the weakest explanation: how many anti-dependencies
//! (rw) they have, and whether those stand next to each other. `-process` cycles need the order of a client's own
//! transactions too, `-realtime` ones that of real time.

use std::fmt;

use serde::{Serialize, Serializer};

/// What is wrong with a history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Anomaly {
    /// A value was read that nobody ever wrote.
    GarbageRead,
    /// A list holds one element twice.
    DuplicateElements,
    /// Two reads of a list, none of which is the beginning of the other.
    IncompatibleOrder,
    /// The versions of a key come before each other in a circle.
    CyclicVersions,
    /// A transaction read what it wrote only later.
    FutureRead,
    /// A transaction's read contradicts its own earlier reads and writes.
    Internal,
    /// A value of a transaction that failed was read.
    G1a,
    /// A committed value was built on one of a transaction that failed.
    DirtyUpdate,
    /// A value was read that its own transaction overwrote.
    G1b,
    /// Two transactions read one version of a key and both wrote the key.
    LostUpdate,
    /// The history gives one value two versions, or one version to two values.
    InconsistentVersions,
    /// A read is other than what had committed by the timestamp at which its transaction started.
    SnapshotRead,
    /// Two transactions wrote one key, and by their timestamps neither had committed when the other started.
    WriteConflict,
    /// A timestamp of a start comes after that of the commit; or before that of the commit of a transaction that
    /// the process, or anybody, had completed before.
    TimestampOrder(Extent),
    /// A cycle of dependencies.
    Cycle(Family, Extent),
}

/// Which dependencies a cycle is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Family {
    /// Writes that follow writes only.
    G0,
    /// Writes that follow writes, and at least one read of a write.
    G1c,
    /// Exactly one read of what another transaction overwrote.
    GSingle,
    /// Several such reads, no two of them next to each other.
    GNonadjacent,
    /// Several such reads, at least two of them next to each other.
    G2,
}

/// What else a cycle needs, beside the data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Extent {
    /// Nothing.
    Data,
    /// The order of the transactions of one process.
    Process,
    /// The order of real time: one ended before the other began.
    Realtime,
}

impl Family {
    /// All, the worst first.
    pub const ALL: [Family; 5] = [Family::G0, Family::G1c, Family::GSingle, Family::GNonadjacent, Family::G2];
}

impl Extent {
    /// All, the strongest evidence first.
    pub const ALL: [Extent; 3] = [Extent::Data, Extent::Process, Extent::Realtime];
}

impl Anomaly {
    /// The anomalies that are no cycles.
    pub const DIRECT: [Anomaly; 16] = [
        Anomaly::GarbageRead,
        Anomaly::DuplicateElements,
        Anomaly::IncompatibleOrder,
        Anomaly::CyclicVersions,
        Anomaly::FutureRead,
        Anomaly::Internal,
        Anomaly::G1a,
        Anomaly::DirtyUpdate,
        Anomaly::G1b,
        Anomaly::LostUpdate,
        Anomaly::InconsistentVersions,
        Anomaly::SnapshotRead,
        Anomaly::WriteConflict,
        Anomaly::TimestampOrder(Extent::Data),
        Anomaly::TimestampOrder(Extent::Process),
        Anomaly::TimestampOrder(Extent::Realtime),
    ];

    /// All of them, the worst first.
    pub fn all() -> impl Iterator<Item = Anomaly> {
        let cycles = Extent::ALL
            .into_iter()
            .flat_map(|extent| Family::ALL.into_iter().map(move |family| Anomaly::Cycle(family, extent)));
        Anomaly::DIRECT.into_iter().chain(cycles)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Anomaly::GarbageRead => "garbage-read",
            Anomaly::DuplicateElements => "duplicate-elements",
            Anomaly::IncompatibleOrder => "incompatible-order",
            Anomaly::CyclicVersions => "cyclic-versions",
            Anomaly::FutureRead => "future-read",
            Anomaly::Internal => "internal",
            Anomaly::G1a => "G1a",
            Anomaly::DirtyUpdate => "dirty-update",
            Anomaly::G1b => "G1b",
            Anomaly::LostUpdate => "lost-update",
            Anomaly::InconsistentVersions => "inconsistent-versions",
            Anomaly::SnapshotRead => "snapshot-read",
            Anomaly::WriteConflict => "write-conflict",
            Anomaly::TimestampOrder(Extent::Data) => "timestamp-order",
            Anomaly::TimestampOrder(Extent::Process) => "timestamp-order-process",
            Anomaly::TimestampOrder(Extent::Realtime) => "timestamp-order-realtime",
            Anomaly::Cycle(family, Extent::Data) => match family {
                Family::G0 => "G0",
                Family::G1c => "G1c",
                Family::GSingle => "G-single-item",
                Family::GNonadjacent => "G-nonadjacent-item",
                Family::G2 => "G2-item",
            },
            Anomaly::Cycle(family, Extent::Process) => match family {
                Family::G0 => "G0-process",
                Family::G1c => "G1c-process",
                Family::GSingle => "G-single-item-process",
                Family::GNonadjacent => "G-nonadjacent-item-process",
                Family::G2 => "G2-item-process",
            },
            Anomaly::Cycle(family, Extent::Realtime) => match family {
                Family::G0 => "G0-realtime",
                Family::G1c => "G1c-realtime",
                Family::GSingle => "G-single-item-realtime",
                Family::GNonadjacent => "G-nonadjacent-item-realtime",
                Family::G2 => "G2-item-realtime",
            },
        }
    }
}

impl fmt::Display for Anomaly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl Serialize for Anomaly {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
