//! Session guarantees of registers with unique values: read your writes, monotonic reads, monotonic writes, writes
//! follow reads, and PRAM, which is the first three together.
//!
//! The definitions are those of Terry et al. ("Session Guarantees for Weakly Consistent Replicated Data", 1994),
//! as <https://jepsen.io/consistency> has them. A guarantee says which writes the replica that answers a read must
//! hold:
//!
//! - *read your writes*: what the session itself wrote before;
//! - *monotonic reads*: what the session's earlier reads returned;
//! - *monotonic writes*: of whatever it shows, what that session wrote before;
//! - *writes follow reads*: of whatever it shows, what that session had read before it wrote it, and so on.
//!
//! A replica shows a transaction what its earlier reads returned. Of all versions of the key that it holds, a read
//! returns the last. Which that is, nobody knows: replicas need not agree, and clocks may be wrong. So a history is
//! only called violated if *no* order of the versions explains it. By default each session may have an order of its
//! own, in which the initial version is the first. In it stand by guarantee: the session's own writes as it made
//! them (read your writes), each session's writes as it made them (monotonic writes, PRAM), and a write behind what
//! its session had read of the key (writes follow reads). Nothing else is assumed, unless [`Inference`] allows it:
//! then there is one order for all sessions, and what is inferred stands in it too.
//!
//! What a read must be behind forces edges between versions, and there is such an order if and only if they make
//! no circle. Violated comes with the shortest circle that was found, each edge with the way on which the reader
//! had to see the earlier version.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::foreign::OpHistory;
use crate::isolation::{Inference, ShapeError};
use crate::verdict::Verdict;

mod circle;
mod forced;
mod graph;
pub(crate) mod ops;
mod path;
mod verify;

pub use circle::{Circle, Link, Point, Reason, Version};
pub use verify::verify_circle;

use ops::Deeds;

/// What a session may rely on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Guarantee {
    /// A session's reads see its writes.
    ReadYourWrites,
    /// A session's reads see what its earlier reads saw.
    MonotonicReads,
    /// A session's writes are seen in their order.
    MonotonicWrites,
    /// A session's writes are seen behind what it had read.
    WritesFollowReads,
    /// The first three together: pipelined random access memory.
    Pram,
}

impl Guarantee {
    /// All of them.
    pub const ALL: [Guarantee; 5] = [
        Guarantee::ReadYourWrites,
        Guarantee::MonotonicReads,
        Guarantee::MonotonicWrites,
        Guarantee::WritesFollowReads,
        Guarantee::Pram,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Guarantee::ReadYourWrites => "read-your-writes",
            Guarantee::MonotonicReads => "monotonic-reads",
            Guarantee::MonotonicWrites => "monotonic-writes",
            Guarantee::WritesFollowReads => "writes-follow-reads",
            Guarantee::Pram => "pram",
        }
    }
}

/// What is assumed of the order of versions.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Assumed {
    /// One order for all sessions.
    pub is_shared: bool,
    /// Each session's writes of a key are in it as they were made.
    pub has_session_order: bool,
    /// A write that began after another had ended is behind it.
    pub has_realtime: bool,
    /// Within a transaction, a write is behind what was read of its key before it.
    pub has_updates: bool,
}

impl Assumed {
    /// What the inference of versions allows to assume of a history.
    pub fn of(history: &OpHistory, inference: Inference) -> Assumed {
        let has_realtime = inference.linearizable_keys && history.is_timed();
        let has_session_order = inference.linearizable_keys || inference.sequential_keys;
        Assumed {
            is_shared: has_session_order || inference.wfr_keys,
            has_session_order,
            has_realtime,
            has_updates: inference.wfr_keys,
        }
    }
}

/// What a history was found to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Sessions {
    /// Whether the guarantee held.
    pub verdict: Verdict,
    /// In how many orders, of a key or of a key for a session, there is a circle.
    pub count: u64,
    /// The shortest of the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circle: Option<Circle>,
    /// A circle that there is if the writes of each session are versions in their order: then monotonic reads and
    /// monotonic writes do not hold together, and nobody knows which of them does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub either: Option<Circle>,
    /// How many reads are of what nobody wrote, and the call of the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub garbage: Option<(u64, u32)>,
    /// Why the verdict is unknown, or what limits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the verdict rests on.
    pub exercised: BTreeMap<&'static str, u64>,
}

/// Judges a history. `go_on` is asked now and then: once it says no, the verdict is unknown.
pub fn sessions(
    history: &OpHistory,
    guarantee: Guarantee,
    assumed: Assumed,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Sessions, ShapeError> {
    let deeds = Deeds::of(history)?;
    let reads = deeds.deeds.iter().filter(|deed| !deed.is_write).count();
    let garbage =
        deeds.garbage.first().map(|at| (deeds.garbage.len() as u64, deeds.deeds[*at as usize].call));
    let mut found = Sessions {
        verdict: Verdict::Valid,
        count: 0,
        circle: None,
        either: None,
        garbage,
        reason: None,
        exercised: BTreeMap::from([
            ("sessions", deeds.sessions.len() as u64),
            ("reads", reads as u64),
            ("writes", (deeds.deeds.len() - reads) as u64),
        ]),
    };
    let forced = forced::forced(&deeds, guarantee, assumed, go_on);
    let sought = forced.as_ref().map(|forced| graph::seek(&deeds, guarantee, assumed, forced, go_on));
    let (Some(forced), Some(Some(sought))) = (forced, sought) else {
        found.verdict = Verdict::Unknown;
        found.reason = Some("time or memory was over before all that had to be seen was known".to_owned());
        return Ok(found);
    };
    found.exercised.insert("reads that had something to see", forced.obliged);
    found.count = sought.count;
    found.circle = sought.circle.map(|edges| circle::circle(&deeds, guarantee, assumed, &edges));
    if found.circle.is_some() {
        found.verdict = Verdict::Violated;
    } else if reads == 0 {
        found.verdict = Verdict::Unknown;
        found.reason = Some("the history holds no reads of registers".to_owned());
    } else if forced.obliged == 0 {
        found.reason = Some(match guarantee {
            Guarantee::MonotonicWrites | Guarantee::WritesFollowReads => {
                "no transaction reads several keys of which it had to see something: pram and causal look at whole sessions".to_owned()
            }
            _ => "no read had to see anything".to_owned(),
        });
    }
    if found.circle.is_none() && guarantee == Guarantee::MonotonicReads && !assumed.has_session_order {
        let assumed = Assumed { has_session_order: true, ..assumed };
        let sought = graph::seek(&deeds, guarantee, assumed, &forced, go_on);
        found.either = sought
            .and_then(|sought| sought.circle)
            .map(|edges| circle::circle(&deeds, guarantee, assumed, &edges));
    }
    Ok(found)
}
