//! Liveness: a fault stalls only work that needs what is faulty, and nothing stays stuck.
//!
//! That a call took long while another one stood before a faulty system proves nothing: the machine may have
//! been busy. What makes the one wait for the other is a lock, and locks are held by open transactions. So
//! whoever is accused had begun a transaction in the system that the victim waited for, and not ended it.

use super::finding::{Evidence, Finding, Found};
use super::index::Index;
use super::{FaultWindow, Options};
use crate::hash::HashMap;
use crate::history::{Event, History, Step};

/// The system of points, which are not calls.
const APP: &str = "app";

pub(super) fn judge(index: &Index<'_>, options: &Options) -> Finding {
    let calls = calls(index.history);
    if calls.is_empty() && options.stuck.is_empty() {
        return Finding::unknown("no `step` event with `since` says how long calls took");
    }
    let mut finding = Finding::requiring(&["calls"]);
    finding.count("calls", calls.len() as u64);
    finding.count("fault_windows", options.fault_windows.len() as u64);
    let under_fault = calls.iter().filter(|call| options.fault_windows.iter().any(|w| call.overlaps(w)));
    finding.count("calls_during_faults", under_fault.count() as u64);
    judge_stalls(&calls, options, &mut finding);
    judge_stuck(index, options, &mut finding);
    finding
}

/// A call, or a wait at a point, with its span.
struct Call<'h> {
    event: &'h Event,
    step: &'h Step,
    from: u64,
    to: u64,
    /// The steps by which its actor had begun transactions that were open then: at most one a system.
    open: Vec<(&'h Event, &'h Step)>,
}

/// The calls of all actors, each with the transactions that its actor had open.
fn calls(history: &History) -> Vec<Call<'_>> {
    let mut open: HashMap<&str, Vec<(&Event, &Step)>> = HashMap::default();
    let mut calls = Vec::new();
    for (event, step) in history.steps() {
        let of_actor = open.entry(&step.actor).or_default();
        if let Some(from) = step.since {
            calls.push(Call { event, step, from, to: event.time, open: of_actor.clone() });
        }
        if ends_life(step) {
            of_actor.clear();
        } else if begins_transaction(step) || ends_transaction(step) {
            of_actor.retain(|(_, begun)| begun.system != step.system);
            if begins_transaction(step) {
                of_actor.push((event, step));
            }
        }
    }
    calls
}

fn begins_transaction(step: &Step) -> bool {
    step.outcome == "ok" && ["BEGIN", "START TRANSACTION"].iter().any(|word| step.call.starts_with(word))
}

fn ends_transaction(step: &Step) -> bool {
    ["COMMIT", "ROLLBACK", "END"].iter().any(|word| step.call.starts_with(word))
}

fn ends_life(step: &Step) -> bool {
    step.system == APP && step.outcome != "ok"
}

impl<'h> Call<'h> {
    /// The step by which its actor had begun a transaction in the system, if that was open.
    fn open_in(&self, system: &str) -> Option<(&'h Event, &'h Step)> {
        self.open.iter().copied().find(|(_, begun)| begun.system == system)
    }

    fn overlaps(&self, window: &FaultWindow) -> bool {
        self.from < window.to_ns && window.from_ns < self.to
    }

    fn meets(&self, other: &Call<'_>) -> bool {
        self.from < other.to && other.from < self.to
    }

    fn is_hit_by(&self, window: &FaultWindow) -> bool {
        self.step.system == window.system && self.overlaps(window)
    }
}

/// A call stalled by a fault in a system that it does not use: somebody who uses that system holds what the
/// call waits for. Both calls and the holder's BEGIN are the evidence.
fn judge_stalls(calls: &[Call<'_>], options: &Options, finding: &mut Finding) {
    let windows = &options.fault_windows;
    let mut hit: Vec<(&Call<'_>, &FaultWindow)> = Vec::new();
    for call in calls {
        if !call.open.is_empty() {
            hit.extend(windows.iter().filter(|window| call.is_hit_by(window)).map(|window| (call, window)));
        }
    }
    hit.sort_by_key(|(call, _)| (call.from, call.event.index));
    let latest_end = running_max(&hit);
    for victim in calls {
        let is_long = victim.to.saturating_sub(victim.from) > options.stall_ns;
        if !is_long || victim.step.system == APP || windows.iter().any(|window| victim.is_hit_by(window)) {
            continue;
        }
        finding.count("long_calls", 1);
        if let Some((holder, window)) = holder_of(victim, &hit, &latest_end)
            && let Some((begun, _)) = holder.open_in(&victim.step.system)
        {
            finding.violated(victim.event.index, || stalled(victim, holder, begun, window));
        }
    }
}

/// For each position the latest end up to there.
fn running_max(hit: &[(&Call<'_>, &FaultWindow)]) -> Vec<u64> {
    let mut latest = 0;
    let ends = hit.iter().map(|(call, _)| {
        latest = latest.max(call.to);
        latest
    });
    ends.collect()
}

/// The last call of somebody else on a faulty system that began before the victim's call had ended, and ended
/// after that began.
fn holder_of<'c, 'h>(
    victim: &Call<'_>,
    hit: &[(&'c Call<'h>, &'c FaultWindow)],
    latest_end: &[u64],
) -> Option<(&'c Call<'h>, &'c FaultWindow)> {
    let before = hit.partition_point(|(call, _)| call.from < victim.to);
    (0..before).rev().take_while(|at| latest_end[*at] > victim.from).map(|at| hit[at]).find(
        |(call, window)| {
            call.step.actor != victim.step.actor
                && call.meets(victim)
                && call.step.system != victim.step.system
                && call.open_in(&victim.step.system).is_some_and(|(begun, _)| begun.time < victim.to)
                && victim.overlaps(window)
        },
    )
}

fn stalled(victim: &Call<'_>, holder: &Call<'_>, begun: &Event, window: &FaultWindow) -> Found {
    let took_ms = (victim.to - victim.from) / 1_000_000;
    let (waiting, holding) = (victim.step, holder.step);
    let op_ids = [holding, waiting].map(|step| step.op_id.as_deref().unwrap_or_default());
    let summary = format!(
        "{} waited {took_ms} ms for {} ({}), which was well, while {}, in an open transaction, was held up at the \
         faulty {} ({})",
        waiting.actor, waiting.system, waiting.call, holding.actor, holding.system, window.id
    );
    let evidence = [begun, holder.event, victim.event].map(|event| Evidence::Event(event.index));
    Found { key: None, ..Found::new(summary, "", &op_ids, &evidence) }
}

/// Who stood still short of the input is known from outside of the history; no event proves it.
fn judge_stuck(index: &Index<'_>, options: &Options, finding: &mut Finding) {
    let end = index.history.len() as u64;
    for actor in &options.stuck {
        finding.violated(end, || {
            let summary = format!("{actor} stood still short of its input when everything else was quiet");
            Found { key: None, ..Found::new(summary, "", &[], &[]) }
        });
    }
}
