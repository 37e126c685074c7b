//! The smallest part of a history that fails by itself: delta debugging (Zeller and Hildebrandt, "Simplifying and
//! Isolating Failure-Inducing Input", 2002) over calls, each candidate judged again.
//!
//! Of transactions and of sessions, a part fails in the same way if the same kind of anomaly is found in it, with a
//! witness that was verified; it begins with the calls of the witness. Of a linearizable object, and of reads judged
//! by timestamps, only such parts count that hold if the whole does: what is read in them was written in them, or
//! else every update is in them that began before their end.

use std::collections::BTreeSet;

use serde::Serialize;
use serde_json::Value as Json;

use super::{Check, Checker, Options, check};
use crate::foreign::{OpHistory, Value};
use crate::verdict::Verdict;

/// So many calls are judged again in all: a second or two.
const CALLS_MAX: usize = 400_000;

/// A longer beginning is not tried: too little of the budget would be left to make it small.
const BEGINNING_MAX: usize = CALLS_MAX / 20;

/// What could not be made smaller than this helps nobody.
const SHOWN_MAX: usize = 100;

/// How often one candidate may ask whether to go on.
const POLLS_MAX: u32 = 200;

/// A part of a history that fails by itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SubHistory {
    /// The anomaly that is found in it.
    pub kind: &'static str,
    /// Its calls, by their places among the calls of the whole history.
    pub calls: Vec<u32>,
    /// Without any one of them it does not fail in this way. If not, the budget was over before.
    pub is_minimal: bool,
    /// Its operations in EDN, each with its line in the file.
    pub operations: Vec<String>,
}

/// Makes the part that shows the first anomaly of a violated verdict as small as the budget allows.
pub(super) fn smallest(
    history: &OpHistory,
    checker: Checker,
    options: &Options,
    found: &Check,
    go_on: &mut dyn FnMut() -> bool,
) -> Option<SubHistory> {
    let worst = found.anomalies.first().filter(|_| found.verdict == Verdict::Violated)?;
    let options = Options { replay: false, smallest: false, ..options.clone() };
    let key = worst.witness.get("key").and_then(Json::as_str);
    let mut trial = Trial { history, checker, options, kind: worst.kind, key, calls: 0, go_on };
    let mut named = BTreeSet::new();
    calls_in(&worst.witness, &mut named);
    let mut beginnings = trial.beginnings(&named).into_iter().filter(|calls| calls.len() <= BEGINNING_MAX);
    let begin = beginnings.find(|calls| trial.fails(calls))?;
    let (calls, is_minimal) = trial.shrunk(begin);
    if !is_minimal && calls.len() > SHOWN_MAX {
        return None;
    }
    let operations = history.part(&calls)?.1;
    Some(SubHistory { kind: worst.kind, calls, is_minimal, operations })
}

/// The calls that a witness names, whatever its shape.
fn calls_in(witness: &Json, found: &mut BTreeSet<u32>) {
    let number = |value: &Json| value.as_u64().and_then(|call| u32::try_from(call).ok());
    match witness {
        Json::Object(fields) => {
            for (name, value) in fields {
                match name.as_str() {
                    "call" | "from" | "to" | "calls" | "seen_in" if number(value).is_some() => {
                        found.extend(number(value));
                    }
                    "calls" | "seen_in" => {
                        found.extend(value.as_array().into_iter().flatten().filter_map(number))
                    }
                    _ => calls_in(value, found),
                }
            }
        }
        Json::Array(items) => items.iter().for_each(|item| calls_in(item, found)),
        _ => {}
    }
}

struct Trial<'a> {
    history: &'a OpHistory,
    checker: Checker,
    options: Options,
    kind: &'static str,
    /// The key that the witness is about.
    key: Option<&'a str>,
    /// How many calls were judged again.
    calls: usize,
    go_on: &'a mut dyn FnMut() -> bool,
}

impl Trial<'_> {
    /// Parts that may fail, the smallest first.
    fn beginnings(&self, named: &BTreeSet<u32>) -> Vec<Vec<u32>> {
        let all = || 0..self.history.calls().len() as u32;
        let last = |call: &u32| self.history.calls()[*call as usize].end;
        let end = named.iter().map(last).filter(|end| *end != u32::MAX).max().unwrap_or(u32::MAX);
        let until: Vec<u32> =
            all().filter(|call| self.history.calls()[*call as usize].begin <= end).collect();
        let of_key = |calls: &[u32]| -> Vec<u32> {
            let is_of_key = |call: &&u32| {
                let value = self.history.value_of(&self.history.calls()[**call as usize]);
                let key = value.items().and_then(|mut items| items.next()).map(|key| key.to_string());
                key.as_deref() == self.key
            };
            calls.iter().filter(is_of_key).copied().collect()
        };
        let whole: Vec<u32> = all().collect();
        vec![named.iter().copied().collect(), of_key(&until), of_key(&whole), until, whole]
    }

    fn is_over(&mut self) -> bool {
        self.calls > CALLS_MAX || !(self.go_on)()
    }

    /// Judges a part.
    fn fails(&mut self, calls: &[u32]) -> bool {
        if calls.is_empty() || self.is_over() || !self.is_closed(calls) {
            return false;
        }
        self.calls += calls.len();
        let Some((part, _)) = self.history.part(calls) else { return false };
        let mut polls = 0;
        let mut go_on = || {
            polls += 1;
            polls < POLLS_MAX
        };
        let judged = check(&part, self.checker, &self.options, &mut go_on);
        judged.is_ok_and(|found| found.anomalies.iter().any(|seen| seen.kind == self.kind))
    }

    /// Whether the part holds if the whole does; of other anomalies the kind says enough.
    fn is_closed(&self, calls: &[u32]) -> bool {
        match self.checker {
            Checker::Register | Checker::MultiRegister => reads_what_it_writes(self.history, calls),
            Checker::LinearizableCounter | Checker::Mutex | Checker::FifoQueue => {
                has_all_updates(self.history, calls)
            }
            _ => self.kind != "snapshot-read" || reads_what_it_writes(self.history, calls),
        }
    }

    /// Takes away pieces, ever smaller ones, as long as the rest fails; whether the end was reached.
    fn shrunk(&mut self, mut calls: Vec<u32>) -> (Vec<u32>, bool) {
        let mut size = calls.len().div_ceil(2);
        while !calls.is_empty() {
            let before = calls.len();
            let mut at = 0;
            while at < calls.len() {
                if self.is_over() {
                    return (calls, false);
                }
                let until = (at + size).min(calls.len());
                let rest = [&calls[..at], &calls[until..]].concat();
                if self.fails(&rest) {
                    calls = rest;
                } else {
                    at = until;
                }
            }
            match size {
                1 if calls.len() == before => break,
                1 => {}
                _ => size = size.div_ceil(2).min(calls.len().max(1)),
            }
        }
        (calls, true)
    }
}

/// Whether all updates that began before the calls ended are among them.
fn has_all_updates(history: &OpHistory, calls: &[u32]) -> bool {
    let kept: BTreeSet<u32> = calls.iter().copied().collect();
    let end = calls.iter().map(|call| end_of(history, *call)).max().unwrap_or_default();
    history.calls().iter().enumerate().all(|(at, call)| {
        let is_read = matches!(history.f(call.telling_op()), "read" | "r");
        is_read || call.begin > end || kept.contains(&(at as u32))
    })
}

/// Where a call is known to have ended; where it began, if nobody knows.
fn end_of(history: &OpHistory, call: u32) -> u32 {
    let call = &history.calls()[call as usize];
    if call.end == u32::MAX { call.begin } else { call.end }
}

/// Whether everything that the calls read is the initial value, or is written by one of them.
fn reads_what_it_writes(history: &OpHistory, calls: &[u32]) -> bool {
    let (mut read, mut written) = (BTreeSet::new(), BTreeSet::new());
    for call in calls {
        let call = &history.calls()[*call as usize];
        let (f, value) = (history.f(call.telling_op()), history.value_of(call));
        // A key before the value stands before what a cas expects and sets, too.
        let shown = |value: Option<Value<'_>>| value.map(|value| value.to_string()).unwrap_or_default();
        let last = || value.items().map_or(Some(value), Iterator::last);
        match f {
            "write" | "w" => drop(written.insert(shown(last()))),
            "read" | "r" => drop(read.insert(shown(last()))),
            "cas" => {
                let pair = last().filter(|pair| pair.items().is_some()).unwrap_or(value);
                let mut items = pair.items().into_iter().flatten();
                read.insert(shown(items.next()));
                written.insert(shown(items.next()));
            }
            _ => {
                for mop in value.items().into_iter().flatten().filter_map(Value::items) {
                    let parts: Vec<Value<'_>> = mop.collect();
                    let of = if parts.first().and_then(|f| f.as_text()).is_some_and(|f| f.starts_with('r')) {
                        &mut read
                    } else {
                        &mut written
                    };
                    // What an undecided transaction read is not known.
                    let key = shown(parts.get(1).copied());
                    match parts.get(2).copied().and_then(Value::items) {
                        Some(elements) => of.extend(elements.map(|element| format!("{key} {element}"))),
                        None if parts.get(2).is_none_or(|value| value.is_nil()) => {}
                        None => drop(of.insert(format!("{key} {}", shown(parts.get(2).copied())))),
                    }
                }
            }
        }
    }
    read.iter().all(|value| matches!(value.as_str(), "" | "nil") || written.contains(value))
}
