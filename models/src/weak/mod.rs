//! Read committed, read atomic and causal consistency of transactions on registers with unique values.
//!
//! A history is of one of these levels if its transactions can be put into an order of commits which keeps the
//! order of each session and in which nobody reads what was overwritten by something that it had to see (Biswas
//! and Enea, "On the Complexity of Checking Transactional Consistency", 2019). What had to be seen forces edges;
//! there is such an order if and only if they make no circle. The edges that suffice are found as AWDIT does
//! (PLDI 2025): for causal consistency in O(n k) for k sessions.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::foreign::{OpHistory, Outcome};
use crate::isolation::{ReadAnomaly, ShapeError, Sources};
use crate::verdict::Verdict;

mod causal;
mod circle;
mod local;

pub use circle::{Circle, Link, Reason, verify_circle};

/// A level below snapshot isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum WeakLevel {
    /// What a transaction has read from shows itself in its later reads.
    ReadCommitted,
    /// What a transaction has read from, and its session's past, shows itself in all its reads.
    ReadAtomic,
    /// All that comes before a transaction shows itself in its reads.
    Causal,
}

impl WeakLevel {
    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            WeakLevel::ReadCommitted => "read-committed",
            WeakLevel::ReadAtomic => "read-atomic",
            WeakLevel::Causal => "causal",
        }
    }
}

/// What a history was found to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Weak {
    /// Whether it is of the level.
    pub verdict: Verdict,
    /// Reads that no order of commits explains.
    pub reads: Vec<ReadAnomaly>,
    /// A circle of what must be committed before what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub circle: Option<Circle>,
    /// Why the verdict is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the verdict rests on.
    pub exercised: BTreeMap<&'static str, u64>,
    /// An order of commits that shows it: calls, by their place in the history.
    #[serde(skip)]
    pub order: Option<Vec<u32>>,
}

/// Transactions as the levels see them: sessions, and reads with their sources. The last one is the initial
/// transaction, which wrote the initial version of every key.
struct Model<'a> {
    sources: &'a Sources<'a>,
    /// By transaction: its session and its place in it; none for what has not happened.
    place: Vec<Option<(u32, u32)>>,
    /// By session: its transactions in their order.
    sessions: Vec<Vec<u32>>,
    /// By transaction: its reads in their order, as key and source.
    reads: Vec<Vec<(u32, u32)>>,
    /// By key and transaction, sorted: who wrote what.
    writes: Vec<(u32, u32)>,
}

impl<'a> Model<'a> {
    fn of(sources: &'a Sources<'a>) -> Model<'a> {
        let count = sources.count();
        let mut model = Model {
            sources,
            place: vec![None; count as usize + 1],
            sessions: Vec::new(),
            reads: vec![Vec::new(); count as usize + 1],
            writes: Vec::new(),
        };
        let mut numbers = crate::hash::HashMap::default();
        let last: crate::hash::HashMap<crate::foreign::Word, u32> =
            (0..count).map(|txn| (sources.process(txn), txn)).collect();
        for txn in (0..count).filter(|txn| sources.is_committed(*txn)) {
            let next = model.sessions.len();
            // What is undecided may take effect behind what its process does later: it is a session of its own.
            let is_alone = sources.outcome(txn) != Outcome::Ok && last[&sources.process(txn)] != txn;
            let session = if is_alone { next } else { *numbers.entry(sources.process(txn)).or_insert(next) };
            if session == next {
                model.sessions.push(Vec::new());
            }
            model.place[txn as usize] = Some((session as u32, model.sessions[session].len() as u32));
            model.sessions[session].push(txn);
        }
        for (key, source, reader) in sources.reads() {
            model.reads[reader as usize].push((key, source.unwrap_or(count)));
        }
        model.writes = sources.writes().collect();
        model.writes.sort_unstable();
        model
    }

    fn initial(&self) -> u32 {
        self.sources.count()
    }

    fn does_write(&self, txn: u32, key: u32) -> bool {
        self.writes.binary_search(&(key, txn)).is_ok()
    }

    /// Whether a transaction has happened, or is the initial one.
    fn is_in(&self, txn: u32) -> bool {
        txn == self.initial() || self.sources.is_committed(txn)
    }

    /// Calls `visit` with each edge of sessions and of reads.
    fn each_given(&self, mut visit: impl FnMut(u32, u32)) {
        for session in &self.sessions {
            visit(self.initial(), session[0]);
            session.windows(2).for_each(|pair| visit(pair[0], pair[1]));
        }
        for (reader, reads) in self.reads.iter().enumerate() {
            reads.iter().filter(|(_, source)| *source != reader as u32).for_each(|(_, source)| {
                visit(*source, reader as u32);
            });
        }
    }
}

/// Judges a history. `go_on` is asked now and then: once it says no, the verdict is unknown.
pub fn weak(
    history: &OpHistory,
    level: WeakLevel,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Weak, ShapeError> {
    let (sources, reads) = Sources::of(history)?;
    let model = Model::of(&sources);
    let exercised = BTreeMap::from([
        ("transactions", u64::from(sources.count())),
        ("sessions", model.sessions.len() as u64),
        ("reads", model.reads.iter().map(Vec::len).sum::<usize>() as u64),
    ]);
    let mut found =
        Weak { verdict: Verdict::Valid, reads, circle: None, reason: None, exercised, order: None };
    let forced = match level {
        WeakLevel::ReadCommitted => Some(local::read_committed(&model)),
        WeakLevel::ReadAtomic => Some(local::read_atomic(&model)),
        WeakLevel::Causal => match causal::forced(&model, go_on) {
            causal::Forced::Edges(edges) => Some(edges),
            // A circle of sessions and reads alone.
            causal::Forced::Circle => Some(Vec::new()),
            causal::Forced::OutOfBudget => None,
        },
    };
    match forced {
        None => {
            found.verdict = Verdict::Unknown;
            found.reason = Some("the time was over before all that is forced was known".to_owned());
        }
        Some(forced) => match circle::find(history, &model, level, &forced) {
            circle::Sought::Order(order) => found.order = Some(order),
            circle::Sought::Circle(circle) => {
                (found.verdict, found.circle) = (Verdict::Violated, Some(circle));
            }
        },
    }
    if !found.reads.is_empty() {
        (found.verdict, found.order, found.reason) = (Verdict::Violated, None, None);
    } else if sources.count() == 0 {
        found.verdict = Verdict::Unknown;
        found.reason = Some("the history holds no transactions".to_owned());
    }
    Ok(found)
}
