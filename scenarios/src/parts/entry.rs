//! The cache entry of a key: version and value together, so that a reader knows how old what it reads is;
//! and the schedules and load that designs with a cache share.

use crosscheck_harness::operation::{Operation, OperationKind, Pauses, Workload};
use crosscheck_harness::schedule::{Directed, Move, Schedule};
use crosscheck_models::history::{CopyRow, ReadItem, Scalar, Source};
use crosscheck_models::property::Property;

/// The bound of staleness, in milliseconds: far above what lies between a commit and its invalidation when
/// nothing is faulty.
pub const BOUND_MS: u64 = 1000;

/// What a cache is hoped to do.
pub fn claims() -> Vec<Property> {
    vec![
        Property::Convergence,
        Property::BoundedStaleness,
        Property::MonotonicReads,
        Property::ReadYourWrites,
        Property::NoLostUpdate,
        Property::AckDurability,
        Property::Liveness,
    ]
}

/// The faults: crashes of the application, and a cache that cannot be reached.
pub const FAULTS: &[&str] = &["app-crash", "app-pause", "cache-cut", "cache-refuse", "cache-reset"];

/// The load: few keys, two reads a write.
pub fn workload() -> Workload {
    Workload {
        clients: 6,
        keys: 4,
        rate: Some(400),
        reads_percent: 66,
        writes: OperationKind::Write,
        aborts_percent: 0,
        pauses: Pauses { percent: 25, max_ms: 12 },
    }
}

/// The text of an entry: `version:value`.
pub fn encode(item: &ReadItem) -> String {
    let value = match item.value {
        Scalar::Int(value) => value,
        Scalar::Null | Scalar::Text(_) | Scalar::Json(_) => 0,
    };
    format!("{}:{value}", item.ver.unwrap_or(0))
}

/// What a reader gets from an entry; none if it is not one.
pub fn decode(key: &str, text: &str) -> Option<ReadItem> {
    let (ver, value) = text.split_once(':')?;
    Some(ReadItem {
        key: key.into(),
        ver: Some(ver.parse().ok()?),
        value: Scalar::Int(value.parse().ok()?),
        source: Some(Source::Cache),
    })
}

/// An entry as the history has it at the end.
pub fn copy_row(item: ReadItem) -> CopyRow {
    CopyRow { store: "cache".into(), key: item.key, ver: item.ver, value: item.value }
}

/// How a design's calls to the cache begin, by which a schedule finds them.
#[derive(Debug, Clone, Copy)]
pub struct Calls {
    /// The lookup.
    pub get: &'static str,
    /// The fill.
    pub fill: &'static str,
    /// The invalidation.
    pub invalidate: &'static str,
}

/// The cache is out of reach for the invalidation of a write (which is acknowledged all the same) and for
/// the read after it, which therefore goes to the database; the reads after that find the old entry.
pub fn lost_invalidation(variant: &str, calls: &Calls) -> Schedule {
    let clients = vec![
        vec![
            Operation::read("a1", "k1"),
            Operation::write("a2", "k1", 12),
            Operation::read("a3", "k1"),
            Operation::read("a4", "k1"),
            Operation::read("a5", "k1"),
        ],
        vec![Operation::read("b1", "k2"), Operation::write("b2", "k2", 22), Operation::read("b3", "k2")],
    ];
    let moves = vec![
        Move::op("client-0"),
        Move::to_call("client-0", calls.invalidate),
        Move::lose_request("client-0"),
        Move::to_call("client-0", calls.get),
        Move::lose_request("client-0"),
        Move::to_call("client-0", calls.fill),
        Move::lose_request("client-0"),
        Move::op("client-0"),
        Move::wait(BOUND_MS + 200),
        Move::op("client-0"),
        // And a writer that crashes before the invalidation.
        Move::op("client-1"),
        Move::to_call("client-1", calls.invalidate),
        Move::crash("client-1"),
        Move::op("client-1"),
    ];
    let about = "the invalidation after a commit is lost, and so is the application before another";
    Schedule::directed(variant, "lost-invalidation", about, Directed { clients, moves })
}

/// Nothing goes wrong: fills, hits and invalidations, one after the other.
pub fn one_after_the_other(variant: &str) -> Schedule {
    let clients = vec![
        vec![
            Operation::read("a1", "k1"),
            Operation::write("a2", "k1", 12),
            Operation::read("a3", "k1"),
            Operation::read("a4", "k1"),
        ],
        vec![Operation::read("b1", "k1"), Operation::write("b2", "k1", 22), Operation::read("b3", "k1")],
    ];
    let turns = ["client-0", "client-1", "client-0", "client-0", "client-1", "client-1", "client-0"];
    let moves = turns.iter().map(|client| Move::op(client)).collect();
    let about = "two clients take turns";
    Schedule::directed(variant, "one-after-the-other", about, Directed { clients, moves })
}
