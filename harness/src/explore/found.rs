//! What a search has found: judged, shrunk to a few moves, and replayed.

use std::time::Duration;

use crosscheck_models::property::Property;
use crosscheck_models::verdict::{PropertyVerdict, Verdict};

use super::{Explorer, moves, runtime, shrink};
use crate::backend::HarnessError;
use crate::judge;
use crate::operation::Operation;
use crate::runner::explored::Explored;
use crate::runner::rest::Rest;
use crate::runner::{Doubt, RunRecord};
use crate::schedule::{Directed, Move, Plan, Schedule};

/// What comes of a schedule that is replayed as moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Replays {
    /// The property is not violated again: the schedule is not shrunk.
    Otherwise,
    /// It is violated again on the model; servers may decide otherwise who goes on first after the last move.
    LeavesRace,
    /// It is violated again, whoever goes on first after the last move.
    Same,
}

/// A violation.
#[derive(Debug, Clone)]
pub struct Found {
    /// Whether a fault was needed.
    pub with_faults: bool,
    /// The verdict, with its witness, on the shrunk schedule.
    pub verdict: PropertyVerdict,
    /// The shrunk schedule.
    pub schedule: Schedule,
    /// The moves of the shrunk schedule.
    pub moves: usize,
    /// Which schedule of the search it was, from 1.
    pub at: u64,
    /// How much time had gone by since the search began, without what is spent on shrinking it.
    pub after: Duration,
    /// What comes of it when it is replayed as moves.
    pub replays: Replays,
}

impl Explorer<'_> {
    pub(super) fn judge(
        &mut self,
        operations: &[Vec<Operation>],
        explored: &Explored,
    ) -> Result<(), HarnessError> {
        if let Some(reason) = explored.record.doubt.reason() {
            *self.exploration.inconclusive.entry(reason.to_owned()).or_default() += 1;
        }
        let with_faults = explored.taken.iter().any(|taken| taken.turn.is_mishap());
        for verdict in self.violated(&explored.record, with_faults)? {
            let known = |found: &Found| {
                found.verdict.property == verdict.property
                    && found.with_faults <= with_faults
                    && found.replays == Replays::Same
            };
            if self.exploration.found.iter().any(known) {
                continue;
            }
            let moves = moves::moves(&explored.actors, &explored.taken);
            let directed = Directed { clients: operations.to_vec(), moves };
            let found = self.shrunk(directed, verdict, with_faults);
            self.keep(found);
        }
        Ok(())
    }

    /// Keeps a violation in the place of those that say less.
    fn keep(&mut self, found: Found) {
        let says_more = |one: &Found, other: &Found| {
            one.verdict.property == other.verdict.property
                && one.with_faults <= other.with_faults
                && one.replays >= other.replays
        };
        if self.exploration.found.iter().any(|old| says_more(old, &found)) {
            return;
        }
        self.exploration.found.retain(|old| !says_more(&found, old));
        self.exploration.found.push(found);
    }

    /// The violated ones of what is judged.
    pub(super) fn violated(
        &self,
        record: &RunRecord,
        with_faults: bool,
    ) -> Result<Vec<PropertyVerdict>, HarnessError> {
        let asked = if with_faults { &self.search.with_faults } else { &self.search.without_faults };
        let history = judge::history(record).map_err(|error| HarnessError::failed(error.to_string()))?;
        let judged = judge::judge(record, &history, asked, &[]).properties;
        Ok(judged
            .into_iter()
            .map(|judged| judged.verdict)
            .filter(|verdict| verdict.verdict == Verdict::Violated)
            .collect())
    }

    fn shrunk(&self, directed: Directed, verdict: PropertyVerdict, with_faults: bool) -> Found {
        let property = verdict.property;
        let after = self.started.elapsed();
        let replays = self.replays(&directed, property);
        let is_first = || self.exploration.found.iter().all(|found| found.verdict.property != property);
        let smallest = match replays {
            Replays::Otherwise => directed,
            // A later one may leave nothing open: only what is shown in the meantime is worth the work.
            Replays::LeavesRace if !is_first() => directed,
            Replays::LeavesRace => {
                shrink::shrink(directed, |smaller| self.violates_at_once(smaller, property))
            }
            Replays::Same => shrink::shrink(directed, |smaller| {
                self.violates_at_once(smaller, property) && self.violates_in_turns(smaller, property)
            }),
        };
        let verdict = self.replayed(&smallest, &[property], &Rest::AtOnce).pop().unwrap_or(verdict);
        let moves = smallest.moves.len();
        // What needs no fault in the end is found without faults, if it is looked for there.
        let with_faults = with_faults
            && (smallest.moves.iter().any(is_fault) || !self.search.without_faults.contains(&property));
        let mut schedule = self.schedule(smallest);
        schedule.name = format!("found-{property}{}", if with_faults { "-with-faults" } else { "" });
        schedule.about = format!("found by exploration: violates {property}");
        Found { with_faults, verdict, schedule, moves, at: self.exploration.schedules, after, replays }
    }

    /// What comes of a schedule that is replayed as moves.
    pub(super) fn replays(&self, directed: &Directed, property: Property) -> Replays {
        match self.violates_at_once(directed, property) {
            false => Replays::Otherwise,
            true if self.violates_in_turns(directed, property) => Replays::Same,
            true => Replays::LeavesRace,
        }
    }

    fn violates_at_once(&self, directed: &Directed, property: Property) -> bool {
        !self.replayed(directed, &[property], &Rest::AtOnce).is_empty()
    }

    /// Servers decide otherwise than the model who is first after the last move: it must not matter.
    fn violates_in_turns(&self, directed: &Directed, property: Property) -> bool {
        Rest::orders(&self.design.services(), directed.clients.len())
            .iter()
            .all(|rest| !self.replayed(directed, &[property], rest).is_empty())
    }

    /// What a schedule of an earlier search violates now.
    pub(super) fn still_violates(&self, kept: &Schedule) -> Vec<Property> {
        let Plan::Directed(directed) = &kept.plan else { return Vec::new() };
        let asked = if directed.moves.iter().any(is_fault) {
            &self.search.with_faults
        } else {
            &self.search.without_faults
        };
        let violated = self.replayed(directed, asked, &Rest::AtOnce);
        violated.into_iter().map(|verdict| verdict.property).collect()
    }

    /// The violated ones of these properties on a directed schedule; none if it does not play to its end.
    fn replayed(&self, directed: &Directed, asked: &[Property], rest: &Rest) -> Vec<PropertyVerdict> {
        let schedule = self.schedule(directed.clone());
        let (place, _) = self.template.place();
        let run = crate::runner::play(self.design.clone(), place, &schedule, None, rest);
        let Some(record) = runtime().ok().and_then(|runtime| runtime.block_on(run).ok()) else {
            return Vec::new();
        };
        let stalled = matches!(record.doubt, Doubt::Incomplete(_) | Doubt::StillMoving(_));
        let Some(history) = judge::history(&record).ok().filter(|_| !stalled) else { return Vec::new() };
        let judged = judge::judge(&record, &history, asked, &[]).properties;
        let verdicts = judged.into_iter().map(|judged| judged.verdict);
        verdicts.filter(|verdict| verdict.verdict == Verdict::Violated).collect()
    }

    pub(super) fn is_everything_found(&self) -> bool {
        let found = |(property, with_faults): &(Property, bool)| {
            self.exploration.found.iter().any(|found| {
                found.verdict.property == *property
                    && found.with_faults <= *with_faults
                    && found.replays == Replays::Same
            })
        };
        !self.search.wanted.is_empty() && self.search.wanted.iter().all(found)
    }
}

fn is_fault(step: &Move) -> bool {
    !matches!(step, Move::Run { .. } | Move::Start { .. } | Move::Wait { .. })
}
