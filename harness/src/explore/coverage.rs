//! How much an exploration has looked at, so that "found nothing" says how much nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crosscheck_models::history::{Event, EventBody};

use super::moves::statement;
use crate::runner::explored::{Taken, Turn};

/// Counts what the walks did.
#[derive(Debug, Default)]
pub(super) struct Coverage {
    interleavings: BTreeSet<u64>,
    /// Pairs of steps of two actors, in the order in which they followed on each other.
    pairs: BTreeSet<(u64, u64)>,
    /// What the actors and the systems saw, each in its own order, whatever the time was.
    outcomes: BTreeSet<u64>,
    steps: u64,
    mishaps: u64,
}

impl Coverage {
    /// Notes a walk, and what came of it where that is known.
    pub(super) fn note(&mut self, actors: &[Arc<str>], taken: &[Taken], outcome: Option<u64>) {
        self.outcomes.extend(outcome);
        let mut whole = DefaultHasher::new();
        let mut last: Option<(Option<usize>, u64)> = None;
        for step in taken {
            let label = label(actors, step);
            label.hash(&mut whole);
            let actor = step.turn.actor();
            if let Some((other, before)) = last
                && other != actor
            {
                self.pairs.insert((before, label));
            }
            last = Some((actor, label));
            self.mishaps += u64::from(step.turn.is_mishap());
        }
        self.steps += taken.len() as u64;
        self.interleavings.insert(whole.finish());
    }

    /// The counters, by name.
    pub(super) fn counters(&self) -> std::collections::BTreeMap<String, u64> {
        let both = self.pairs.iter().filter(|(a, b)| a < b && self.pairs.contains(&(*b, *a))).count();
        let either = self.pairs.iter().filter(|(a, b)| a < b || !self.pairs.contains(&(*b, *a))).count();
        [
            ("distinct_interleavings", self.interleavings.len() as u64),
            ("distinct_outcomes", self.outcomes.len() as u64),
            ("steps", self.steps),
            ("faults", self.mishaps),
            ("pairs_of_steps_next_to_each_other", either as u64),
            ("pairs_of_steps_in_both_orders", both as u64),
        ]
        .into_iter()
        .filter(|(name, count)| *name != "distinct_outcomes" || *count > 0)
        .map(|(name, count)| (name.to_owned(), count))
        .collect()
    }
}

/// What came of a walk: the same for walks that differ in the order of steps that commute.
pub(super) fn outcome(events: &[Event]) -> u64 {
    let mut by_process: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for event in events.iter().filter(|event| !matches!(event.body, EventBody::Step(_))) {
        let seen = format!("{:?} {:?}", event.kind, event.body);
        by_process.entry(format!("{:?}", event.process)).or_default().push(seen);
    }
    let mut outcome = DefaultHasher::new();
    by_process.hash(&mut outcome);
    outcome.finish()
}

/// What a step is, whatever its values are.
fn label(actors: &[Arc<str>], step: &Taken) -> u64 {
    let mut label = DefaultHasher::new();
    step.turn.actor().map(|actor| &actors[actor]).hash(&mut label);
    match (&step.turn, &step.before) {
        (Turn::Step(_), Some(before)) => statement(before).hash(&mut label),
        (turn, before) => {
            format!("{turn:?}").hash(&mut label);
            before.as_ref().map(statement).hash(&mut label);
        }
    }
    label.finish()
}
