//! The checkers: one property each, from a history to a verdict.
//!
//! Each runs in O(n log n) or better over one shared index. None accuses on data that is undecided: an
//! info operation counts as committed only if the final ledger says so.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

use crate::history::History;
use crate::property::Property;
use crate::story;
use crate::verdict::{PropertyVerdict, Verdict, Witness};
use crate::verify;
use finding::{Finding, Found};
use index::Index;

mod ack_durability;
mod bounded_staleness;
mod by_key;
mod commits;
mod convergence;
mod effect_once;
mod exercise;
mod fidelity;
mod finding;
mod global_order;
mod index;
mod liveness;
mod monotonic_reads;
mod no_dup;
mod no_early;
mod no_ghost;
mod no_loss;
mod no_lost_update;
mod pairs;
mod per_key_order;
mod read_your_writes;
mod taken;

/// Below this one core judges all.
const SHORT_EVENTS: usize = 100_000;

/// What the checkers need to know beside the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The bound for `bounded-staleness`; the header's bound where absent.
    pub delta_ns: Option<u64>,
    /// For `liveness`: a call that takes longer than this, while its own system is well, is stalled.
    pub stall_ns: u64,
    /// For `liveness`: when which system was faulty.
    pub fault_windows: Vec<FaultWindow>,
    /// For `liveness`: the actors that stood still short of their input when the drain ended.
    pub stuck: Vec<String>,
}

impl Default for Options {
    fn default() -> Self {
        Options { delta_ns: None, stall_ns: 2_000_000_000, fault_windows: Vec::new(), stuck: Vec::new() }
    }
}

/// The time during which a system was faulty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultWindow {
    /// The fault: `broker-cut`, `db-crash`, ..
    pub id: String,
    /// The system that it hit: `db`, `cache`, `broker` or `app`.
    pub system: String,
    /// When it began, in nanoseconds since the start of the run.
    pub from_ns: u64,
    /// When it was healed.
    pub to_ns: u64,
}

/// Judges one property.
///
/// ```
/// use crosscheck_models::check::{check, Options};
/// use crosscheck_models::history::History;
/// use crosscheck_models::property::Property;
/// use crosscheck_models::verdict::Verdict;
///
/// let text = r#"{"crosscheck":1}
/// {"index":0,"time":1,"process":"harness","type":"ok","f":"final_ledger","value":[{"key":"k1","ver":1,"op_id":"w1"}]}
/// {"index":1,"time":2,"process":"harness","type":"ok","f":"final_log","value":[]}
/// "#;
/// let (history, _) = History::parse(text)?;
/// let found = check(&history, Property::NoLoss, &Options::default());
/// assert_eq!(found.verdict, Verdict::Violated);
/// let witness = found.witness.expect("a violation has a witness");
/// assert_eq!(witness.key.as_deref(), Some("k1"));
/// # Ok::<(), crosscheck_models::history::HistoryError>(())
/// ```
pub fn check(history: &History, property: Property, options: &Options) -> PropertyVerdict {
    judge(&Index::of(history), property, options)
}

/// Judges several properties over one index of the history, each as [`check_verified`] does.
pub fn check_all(history: &History, properties: &[Property], options: &Options) -> Vec<PropertyVerdict> {
    judge_all(&Index::of(history), properties, options)
}

/// Judges every property that this history says anything about, each as [`check_verified`] does.
pub fn check_applicable(history: &History, options: &Options) -> Vec<PropertyVerdict> {
    let index = Index::of(history);
    let applicable: Vec<Property> =
        Property::ALL.into_iter().filter(|property| applies(&index, *property, options)).collect();
    judge_all(&index, &applicable, options)
}

/// Judges on all cores where there is enough to judge: starting a thread costs more than a short history does.
fn judge_all(index: &Index<'_>, properties: &[Property], options: &Options) -> Vec<PropertyVerdict> {
    let one = |property: Property| verified(judge(index, property, options), index.history, options);
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    if cores == 1 || index.history.len() < SHORT_EVENTS {
        return properties.iter().map(|property| one(*property)).collect();
    }
    // The longest first, so that no core has to wait for another at the end.
    let mut order: Vec<usize> = (0..properties.len()).collect();
    order.sort_by_key(|at| !takes_long(properties[*at]));
    let next = AtomicUsize::new(0);
    let work = || {
        let mut judged = Vec::new();
        while let Some(at) = order.get(next.fetch_add(1, Ordering::Relaxed)) {
            judged.push((*at, one(properties[*at])));
        }
        judged
    };
    let mut judged: Vec<(usize, PropertyVerdict)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..cores.min(properties.len())).map(|_| scope.spawn(work)).collect();
        let join =
            |worker: ScopedJoinHandle<'_, _>| worker.join().unwrap_or_else(|panic| resume_unwind(panic));
        workers.into_iter().flat_map(join).collect()
    });
    judged.sort_unstable_by_key(|(at, _)| *at);
    judged.into_iter().map(|(_, verdict)| verdict).collect()
}

/// Whether it goes through all versions or deliveries more than once.
fn takes_long(property: Property) -> bool {
    matches!(
        property,
        Property::NoLostUpdate | Property::Fidelity | Property::GlobalOrder | Property::NoEarly
    )
}

/// Judges one property, and takes a violation back if code that shares nothing with the checker does not
/// confirm its witness: the verdict is then unknown, for a bug in Crosscheck must not accuse anybody.
pub fn check_verified(history: &History, property: Property, options: &Options) -> PropertyVerdict {
    verified(check(history, property, options), history, options)
}

/// Whether there is a checker for the property.
pub fn is_checked(property: Property) -> bool {
    !matches!(property, Property::AtomicVisibility | Property::Invariant)
}

/// The properties that this history says anything about, in the order of [`Property::ALL`].
pub fn applicable(history: &History, options: &Options) -> Vec<Property> {
    let index = Index::of(history);
    Property::ALL.into_iter().filter(|property| applies(&index, *property, options)).collect()
}

fn applies(index: &Index<'_>, property: Property, options: &Options) -> bool {
    let received = index.records_delivery();
    let reads = !index.reads.is_empty();
    match property {
        Property::NoGhost | Property::NoLoss | Property::Fidelity => received && index.has_writes(),
        Property::NoEarly => !index.delivers().is_empty() && index.reads.iter().any(|read| read.is_of_db()),
        Property::PerKeyOrder | Property::NoDup => received,
        Property::GlobalOrder => received && index.commits.iter().any(|commit| commit.position().is_some()),
        Property::EffectOnce => !index.effects.is_empty(),
        Property::Convergence => index.history.final_sot().is_some() && index.history.final_cache().is_some(),
        Property::BoundedStaleness => reads && delta_ns(index, options).is_some(),
        Property::MonotonicReads => reads || !index.effects.is_empty(),
        Property::ReadYourWrites => reads && index.has_acknowledged_writes(),
        Property::NoLostUpdate => index.ledger.is_some(),
        Property::AckDurability => {
            (index.ledger.is_some() || index.history.final_sot().is_some()) && index.has_acknowledged_writes()
        }
        Property::Liveness => !options.stuck.is_empty() || index.history.steps().next().is_some(),
        Property::AtomicVisibility | Property::Invariant => false,
    }
}

fn delta_ns(index: &Index<'_>, options: &Options) -> Option<u64> {
    options.delta_ns.or(index.history.header().delta_ns)
}

fn judge(index: &Index<'_>, property: Property, options: &Options) -> PropertyVerdict {
    let finding = match property {
        Property::NoGhost => no_ghost::judge(index),
        Property::NoEarly => no_early::judge(index),
        Property::NoLoss => no_loss::judge(index),
        Property::PerKeyOrder => per_key_order::judge(index),
        Property::GlobalOrder => global_order::judge(index),
        Property::NoDup => no_dup::judge(index),
        Property::EffectOnce => effect_once::judge(index),
        Property::Fidelity => fidelity::judge(index),
        Property::Convergence => convergence::judge(index),
        Property::BoundedStaleness => bounded_staleness::judge(index, delta_ns(index, options)),
        Property::MonotonicReads => monotonic_reads::judge(index),
        Property::ReadYourWrites => read_your_writes::judge(index),
        Property::NoLostUpdate => no_lost_update::judge(index),
        Property::AckDurability => ack_durability::judge(index),
        Property::Liveness => liveness::judge(index, options),
        Property::AtomicVisibility | Property::Invariant => {
            Finding::unknown(format!("{property} has no checker yet"))
        }
    };
    verdict_of(finding, property, index.history)
}

fn verdict_of(finding: Finding, property: Property, history: &History) -> PropertyVerdict {
    let Finding { violations, first, counters, required, undecided } = finding;
    let witness = first.map(|found| witness_of(found, property, history));
    let verdict = match (&witness, &undecided) {
        (Some(_), _) => Verdict::Violated,
        (None, Some(_)) => Verdict::Unknown,
        (None, None) => Verdict::Valid,
    };
    PropertyVerdict {
        property,
        verdict,
        violations,
        exercised: counters.into_iter().map(|(name, count)| (name.to_owned(), count)).collect(),
        required: required.into_iter().map(str::to_owned).collect(),
        reason: undecided.filter(|_| verdict == Verdict::Unknown),
        witness,
    }
}

fn witness_of(found: Found, property: Property, history: &History) -> Witness {
    let (events, rows) = found.events_and_rows();
    let Found { summary, key, op_ids, .. } = found;
    let mut witness = Witness { property, summary, key, op_ids, events, rows, story: Vec::new() };
    witness.story = story::tell(history, &witness);
    witness
}

fn verified(verdict: PropertyVerdict, history: &History, options: &Options) -> PropertyVerdict {
    let Some(witness) = &verdict.witness else {
        return verdict;
    };
    match verify::verify(history, witness, options) {
        Ok(()) => verdict,
        Err(reason) => PropertyVerdict {
            verdict: Verdict::Unknown,
            reason: Some(format!("the witness did not verify (a bug in Crosscheck): {reason}")),
            witness: None,
            ..verdict
        },
    }
}
