//! Liveness: a fault stalls only work that needs what is faulty, and nothing stays stuck.

use super::finding::{Evidence, Finding, Found};
use super::index::Index;
use super::{FaultWindow, Options};
use crate::history::{Event, Step};

/// The system of points, which are not calls.
const APP: &str = "app";

pub(super) fn judge(index: &Index<'_>, options: &Options) -> Finding {
    let calls: Vec<Call<'_>> = index.history.steps().filter_map(Call::of).collect();
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
}

impl<'h> Call<'h> {
    fn of((event, step): (&'h Event, &'h Step)) -> Option<Call<'h>> {
        let from = step.since?;
        Some(Call { event, step, from, to: event.time })
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
/// call waits for. Both calls are the evidence.
fn judge_stalls(calls: &[Call<'_>], options: &Options, finding: &mut Finding) {
    let windows = &options.fault_windows;
    let mut hit: Vec<(&Call<'_>, &FaultWindow)> = Vec::new();
    for call in calls {
        hit.extend(windows.iter().filter(|window| call.is_hit_by(window)).map(|window| (call, window)));
    }
    hit.sort_by_key(|(call, _)| (call.from, call.event.index));
    let latest_end = running_max(&hit);
    for victim in calls {
        let is_long = victim.to.saturating_sub(victim.from) > options.stall_ns;
        if !is_long || victim.step.system == APP || windows.iter().any(|window| victim.is_hit_by(window)) {
            continue;
        }
        finding.count("long_calls", 1);
        if let Some((holder, window)) = holder_of(victim, &hit, &latest_end) {
            finding.violated(victim.event.index, || stalled(victim, holder, window));
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
                && victim.overlaps(window)
        },
    )
}

fn stalled(victim: &Call<'_>, holder: &Call<'_>, window: &FaultWindow) -> Found {
    let took_ms = (victim.to - victim.from) / 1_000_000;
    let (waiting, holding) = (victim.step, holder.step);
    let op_ids = [holding, waiting].map(|step| step.op_id.as_deref().unwrap_or_default());
    let summary = format!(
        "{} waited {took_ms} ms for {} ({}), which was well, while {} was held up at the faulty {} ({})",
        waiting.actor, waiting.system, waiting.call, holding.actor, holding.system, window.id
    );
    let evidence = [Evidence::Event(holder.event.index), Evidence::Event(victim.event.index)];
    Found { key: None, ..Found::new(summary, "", &op_ids, &evidence) }
}

/// Who stood still short of the input is known from outside of the history; no event proves it.
fn judge_stuck(index: &Index<'_>, options: &Options, finding: &mut Finding) {
    let end = index.history.events().len() as u64;
    for actor in &options.stuck {
        finding.violated(end, || {
            let summary = format!("{actor} stood still short of its input when everything else was quiet");
            Found { key: None, ..Found::new(summary, "", &[], &[]) }
        });
    }
}
