//! Linearizability of single objects: every operation takes effect at one moment between its invocation and its
//! completion (Herlihy and Wing, 1990).
//!
//! A register whose written values are unique is judged in O(n log n) by its zones (Gibbons and Korach, "Testing
//! Shared Memories", 1997); all other objects by a search with memory. An operation that is undecided may take
//! effect at any later time, or never. What is valid comes with an order that [`verify_linearization`] replays.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::foreign::OpHistory;
use crate::isolation::ShapeError;
use crate::verdict::Verdict;

mod action;
mod replay;
mod search;
mod zones;

pub use replay::verify_linearization;

use action::{Part, parts};

/// The kinds of objects.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Object {
    /// `read`, `write` and `cas` of one value; `nil` at the beginning.
    Register,
    /// `add` (or `inc`) and `read` of a number; 0 at the beginning.
    Counter,
    /// `acquire` and `release`; free at the beginning.
    Mutex,
    /// `enqueue` and `dequeue`, first in, first out; empty at the beginning.
    FifoQueue,
    /// Transactions of `r` and `w` of several registers, each all at once; every register `nil` at the beginning.
    MultiRegister,
}

/// Whether a history is about one object or several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Keys {
    /// About one, or about several registers where the values say so: all are pairs.
    #[default]
    Told,
    /// About several: every value is a pair, the first half of which says which.
    Independent,
}

/// What an object was found to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Linearizability {
    /// Whether it is linearizable.
    pub verdict: Verdict,
    /// Why not: the first key that is not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub witness: Option<Contradiction>,
    /// Why the verdict is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the verdict rests on.
    pub exercised: BTreeMap<&'static str, u64>,
    /// By key, an order of its calls; one whose name is empty where there are no keys.
    #[serde(skip)]
    pub orders: BTreeMap<String, Vec<u32>>,
}

/// What cannot be explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Contradiction {
    /// What is wrong: `garbage-read`, `G1a`, `future-read`, `stale-read` or `no-order`.
    pub kind: &'static str,
    /// The key, where there are several.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The calls that contradict each other; of `no-order` those of which none can be the next.
    pub calls: Vec<u32>,
    /// What they did, and what is wrong with it.
    pub text: Vec<String>,
}

/// What one part, that of one key, came to.
enum Answer {
    Order(Vec<u32>),
    Contradiction { kind: &'static str, calls: Vec<u32>, said: String },
    Unknown(String),
}

/// Judges an object, or one for each key. `go_on` is asked now and then: once it says no, what is not decided by
/// then is unknown.
pub fn linearizable(
    history: &OpHistory,
    object: Object,
    keys: Keys,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Linearizability, ShapeError> {
    let parts = parts(history, object, keys)?;
    let mut found = Linearizability {
        verdict: Verdict::Valid,
        witness: None,
        reason: None,
        exercised: exercised(&parts),
        orders: BTreeMap::new(),
    };
    for part in &parts {
        let by_zones = if object == Object::Register { zones::judge(history, part) } else { None };
        let answer = by_zones.unwrap_or_else(|| search::judge(object, part, go_on));
        match answer {
            Answer::Order(order) => drop(found.orders.insert(part.key.clone().unwrap_or_default(), order)),
            Answer::Unknown(reason) => {
                found.verdict = found.verdict.max(Verdict::Unknown);
                found.reason.get_or_insert(reason);
            }
            Answer::Contradiction { kind, calls, said } => {
                found.verdict = Verdict::Violated;
                found.witness.get_or_insert_with(|| contradiction(history, part, kind, calls, said));
            }
        }
    }
    if found.verdict == Verdict::Violated {
        found.reason = None;
    }
    if parts.is_empty() {
        found.verdict = Verdict::Unknown;
        found.reason = Some("the history holds no operations of such an object".to_owned());
    }
    Ok(found)
}

fn contradiction(
    history: &OpHistory,
    part: &Part,
    kind: &'static str,
    calls: Vec<u32>,
    said: String,
) -> Contradiction {
    let shown = calls.iter().enumerate().map(|(at, call)| {
        let known = &history.calls()[*call as usize];
        let op = known.telling_op();
        let line =
            |op: Option<u32>| op.map_or("-".to_owned(), |op| history.ops()[op as usize].line.to_string());
        format!(
            "T{} = lines {} to {}, process {}: {} {}",
            at + 1,
            line(known.invoke),
            line(known.complete),
            history.store().show(history.ops()[op as usize].process),
            history.f(op),
            history.value_of(known)
        )
    });
    let text = shown.chain([said]).collect();
    Contradiction { kind, key: part.key.clone(), calls, text }
}

fn exercised(parts: &[Part]) -> BTreeMap<&'static str, u64> {
    let count = |wanted: fn(&action::Step) -> bool| {
        parts.iter().flat_map(|part| &part.steps).filter(|step| wanted(step)).count() as u64
    };
    BTreeMap::from([
        ("operations", count(|_| true)),
        ("reads", count(|step| step.action.is_pure())),
        ("info", count(|step| step.end == u32::MAX)),
        ("keys", parts.iter().filter(|part| part.key.is_some()).count() as u64),
    ])
}
