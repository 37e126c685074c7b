//! What a checker hands back: counters, and the first violation with its evidence.

use std::collections::BTreeMap;

use crate::history::Operation;

/// What one checker found.
#[derive(Default)]
pub(super) struct Finding {
    pub(super) violations: u64,
    pub(super) first: Option<Found>,
    pub(super) counters: BTreeMap<&'static str, u64>,
    pub(super) required: Vec<&'static str>,
    /// Why the history does not decide the property, if nothing violates it.
    pub(super) undecided: Option<String>,
}

/// One violation.
pub(super) struct Found {
    /// The event that completes it: of several violations, the one that is complete first is shown.
    pub(super) at: u64,
    pub(super) summary: String,
    pub(super) key: Option<String>,
    pub(super) op_ids: Vec<String>,
    pub(super) evidence: Vec<Evidence>,
}

/// A piece of evidence, by its place in the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Evidence {
    /// An event. Of a final read: that it was made, without any of its rows.
    Event(u64),
    /// A row of a final read.
    Row(u64, usize),
    /// An operation: its invocation and its completion.
    Op(u64, Option<u64>),
}

impl Evidence {
    pub(super) fn op(op: &Operation) -> Evidence {
        Evidence::Op(op.invoke_index, op.complete_index())
    }

    /// The last event of it.
    pub(super) fn at(self) -> u64 {
        match self {
            Evidence::Event(index) | Evidence::Row(index, _) => index,
            Evidence::Op(invoke, complete) => complete.unwrap_or(invoke),
        }
    }
}

impl Finding {
    pub(super) fn requiring(required: &[&'static str]) -> Finding {
        Finding { required: required.to_vec(), ..Finding::default() }
    }

    pub(super) fn unknown(reason: impl Into<String>) -> Finding {
        Finding { undecided: Some(reason.into()), ..Finding::default() }
    }

    /// The property cannot be decided from here on; the first reason stays.
    pub(super) fn undecided(&mut self, reason: impl Into<String>) {
        self.undecided.get_or_insert_with(|| reason.into());
    }

    pub(super) fn count(&mut self, name: &'static str, by: u64) {
        *self.counters.entry(name).or_default() += by;
    }

    /// Counts a violation that is complete at the event `at`, and keeps it if it is the first.
    pub(super) fn violated(&mut self, at: u64, found: impl FnOnce() -> Found) {
        self.violations += 1;
        if self.first.as_ref().is_none_or(|first| at < first.at) {
            self.first = Some(Found { at, ..found() });
        }
    }
}

impl Found {
    pub(super) fn new(summary: String, key: &str, op_ids: &[&str], evidence: &[Evidence]) -> Found {
        let mut op_ids: Vec<String> =
            op_ids.iter().filter(|id| !id.is_empty()).map(|id| (*id).to_owned()).collect();
        op_ids.dedup();
        Found { at: 0, summary, key: Some(key.to_owned()), op_ids, evidence: evidence.to_vec() }
    }

    pub(super) fn events_and_rows(&self) -> (Vec<u64>, Vec<(u64, usize)>) {
        let (mut events, mut rows) = (Vec::new(), Vec::new());
        for evidence in &self.evidence {
            match *evidence {
                Evidence::Event(index) => events.push(index),
                Evidence::Row(index, row) => {
                    events.push(index);
                    rows.push((index, row));
                }
                Evidence::Op(invoke, complete) => {
                    events.extend([Some(invoke), complete].into_iter().flatten())
                }
            }
        }
        events.sort_unstable();
        events.dedup();
        rows.sort_unstable();
        rows.dedup();
        (events, rows)
    }
}
