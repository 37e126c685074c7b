//! Sets, queues, logs, counters, ids and accounts: what was lost, what came from nowhere, what came twice.
//!
//! These are the checkers of Jepsen by the same names, in one pass over the history each (`set-full` in the size
//! of all reads). Each anomaly names the calls that show it; one that other code does not confirm from these calls
//! accuses nobody.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::foreign::{Call, OpHistory, Outcome};
use crate::verdict::Verdict;

mod accounts;
mod confirm;
mod confirm_log;
mod forks;
mod log;
mod log_cycles;
mod numbers;
mod order;
mod queues;
mod sets;

pub use accounts::BankOptions;
pub use sets::SetOptions;

/// One kind of anomaly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Anomaly {
    /// Its name.
    pub kind: &'static str,
    /// How many there are.
    pub count: u64,
    /// The calls that show the first of them.
    pub calls: Vec<u32>,
    /// The first of them, in words.
    pub text: String,
    /// Whether it makes the verdict: a `recovered` element, for one, is worth knowing and no violation.
    pub is_violation: bool,
}

/// What was found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Collected {
    /// Whether it holds.
    pub verdict: Verdict,
    /// What was found, violations first.
    pub anomalies: Vec<Anomaly>,
    /// Why the verdict is unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the verdict rests on.
    pub exercised: BTreeMap<&'static str, u64>,
}

/// The checkers of this module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Checker {
    /// Every element that was added is in the last read.
    Set(SetOptions),
    /// Every element that was added, or seen, is in every later read.
    SetFull(SetOptions),
    /// Every dequeued element was enqueued.
    Queue,
    /// What goes in comes out.
    TotalQueue,
    /// No id is given twice.
    UniqueIds,
    /// Reads lie between what is known to have been added and what may have been.
    Counter,
    /// The accounts always have the same total.
    Bank(BankOptions),
    /// Two reads never see two writes in opposite orders; where it is said, each read is of so many keys.
    LongFork(Option<usize>),
    /// Whoever sees a write sees what had ended before it began.
    CausalReverse,
    /// Of two inserts that exclude each other, one succeeds at most.
    AdyaG2,
    /// What is sent to a log is polled from it, once and in order.
    Kafka,
}

/// Judges a history. What is not confirmed is taken back: the verdict is then unknown, for a bug in Crosscheck must
/// not accuse anybody.
pub fn check(history: &OpHistory, checker: Checker) -> Collected {
    confirmed(history, checker, judge(history, checker))
}

fn confirmed(history: &OpHistory, checker: Checker, mut found: Collected) -> Collected {
    let is_sound = |anomaly: &Anomaly| !anomaly.is_violation || confirm::confirm(history, checker, anomaly);
    let unsound = found.anomalies.iter().find(|anomaly| !is_sound(anomaly)).map(|anomaly| anomaly.kind);
    if let Some(kind) = unsound {
        found.anomalies.retain(is_sound);
        if !found.anomalies.iter().any(|anomaly| anomaly.is_violation) {
            found.verdict = Verdict::Unknown;
            found.reason = Some(format!("the witness of {kind} did not verify (a bug in Crosscheck)"));
        }
    }
    found
}

fn judge(history: &OpHistory, checker: Checker) -> Collected {
    match checker {
        Checker::Set(_) => sets::last_read(history),
        Checker::SetFull(options) => sets::every_read(history, options),
        Checker::Queue => queues::queue(history),
        Checker::TotalQueue => queues::total_queue(history),
        Checker::UniqueIds => numbers::unique_ids(history),
        Checker::Counter => numbers::counter(history),
        Checker::Bank(options) => accounts::bank(history, options),
        Checker::LongFork(group_size) => forks::long_fork(history, group_size),
        Checker::CausalReverse => order::causal_reverse(history),
        Checker::AdyaG2 => order::adya_g2(history),
        Checker::Kafka => log::log(history),
    }
}

/// Gathers anomalies by kind.
#[derive(Default)]
struct Tally {
    anomalies: BTreeMap<&'static str, Anomaly>,
    exercised: BTreeMap<&'static str, u64>,
}

impl Tally {
    fn add(&mut self, kind: &'static str, is_violation: bool, calls: &[u32], text: impl FnOnce() -> String) {
        let fresh = || Anomaly { kind, count: 0, calls: calls.to_vec(), text: text(), is_violation };
        self.anomalies.entry(kind).or_insert_with(fresh).count += 1;
    }

    fn count(&mut self, name: &'static str, count: usize) {
        self.exercised.insert(name, count as u64);
    }

    /// `undecided` is why the history decides nothing, where it does not.
    fn into_collected(self, undecided: Option<&str>) -> Collected {
        let mut anomalies: Vec<Anomaly> = self.anomalies.into_values().collect();
        anomalies.sort_by_key(|anomaly| (!anomaly.is_violation, anomaly.kind));
        let is_violated = anomalies.iter().any(|anomaly| anomaly.is_violation);
        let (verdict, reason) = match undecided {
            _ if is_violated => (Verdict::Violated, None),
            Some(reason) => (Verdict::Unknown, Some(reason.to_owned())),
            None => (Verdict::Valid, None),
        };
        Collected { verdict, anomalies, reason, exercised: self.exercised }
    }
}

/// The calls of some `f`, by their places.
fn calls_of<'a>(history: &'a OpHistory, names: &'a [&str]) -> impl Iterator<Item = (u32, &'a Call)> {
    let calls = history.calls().iter().enumerate().map(|(at, call)| (at as u32, call));
    calls.filter(|(_, call)| names.contains(&history.f(call.telling_op())))
}

fn is_ok(call: &Call) -> bool {
    call.outcome == Outcome::Ok
}

/// The line of a call's completion, for messages.
fn line(history: &OpHistory, call: &Call) -> u32 {
    history.ops()[call.telling_op() as usize].line
}
