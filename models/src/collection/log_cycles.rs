//! Transactions on logs that come before each other in a circle.
//!
//! Whoever polls a value comes behind whoever sent it (wr), and whoever sends a value behind whoever sent the one at
//! the offset before it (ww). What a circle of wr shows, with the order of processes or of real time or without, is
//! wrong: somebody polled what was not committed, or not even sent. Kafka does not keep writes of transactions
//! apart: circles with ww are told, and violate nothing, as in Jepsen's workload. What a transaction did not poll
//! (rw) says nothing there or here, for a consumer may stop anywhere.

use super::Tally;
use super::log::{Logs, Mop};
use crate::foreign::{Call, OpHistory, Outcome};
use crate::hash::{HashMap, HashSet};
use crate::isolation::{Extent, Family, LogCycle, LogEdge, Step, Why, log_cycles};

pub(super) fn judge(
    history: &OpHistory,
    logs: &Logs,
    calls: &[(u32, &Call, Vec<Mop>)],
    proven: &HashSet<u32>,
    tally: &mut Tally,
) {
    let is_in = |at: u32, call: &Call| {
        call.outcome == Outcome::Ok || call.outcome == Outcome::Info && proven.contains(&at)
    };
    let nodes: Vec<u32> = calls.iter().filter(|(at, call, _)| is_in(*at, call)).map(|(at, ..)| *at).collect();
    let numbers: HashMap<u32, u32> =
        nodes.iter().enumerate().map(|(number, call)| (*call, number as u32)).collect();
    let mut edges = Vec::new();
    for (at, _, mops) in calls.iter().filter(|(_, call, _)| call.outcome == Outcome::Ok) {
        polled(logs, &numbers, numbers[at], mops, &mut edges);
    }
    let plain = edges.len();
    sent(logs, &numbers, &mut edges);
    let wrong = Extent::ALL.map(|extent| (Family::G1c, extent));
    let found = log_cycles(history, &nodes, &edges[..plain], &wrong);
    let is_known = |cycle: &LogCycle| {
        found.iter().any(|known| known.family == cycle.family && known.extent <= cycle.extent)
    };
    let allowed: Vec<(Family, Extent)> =
        Extent::ALL.into_iter().flat_map(|extent| [(Family::G0, extent), (Family::G1c, extent)]).collect();
    for cycle in log_cycles(history, &nodes, &edges, &allowed).into_iter().filter(|cycle| !is_known(cycle)) {
        add(history, &cycle, false, tally);
    }
    found.iter().for_each(|cycle| add(history, cycle, true, tally));
}

/// Whoever sent what a transaction polled.
fn polled(logs: &Logs, numbers: &HashMap<u32, u32>, reader: u32, mops: &[Mop], edges: &mut Vec<LogEdge>) {
    let polls = mops.iter().filter_map(|mop| match mop {
        Mop::Poll(records) => Some(records),
        Mop::Send(_) => None,
    });
    for record in polls.flatten() {
        let sender = logs.get(&record.key).and_then(|log| log.sent.get(&record.value));
        if let Some(from) = sender.and_then(|(_, call)| numbers.get(call)) {
            let why = Why::Wr { key: record.key.clone(), value: record.value.clone() };
            edges.push(LogEdge { from: *from, to: reader, why });
        }
    }
}

/// Whoever sent the values of a log, in the order of their offsets.
fn sent(logs: &Logs, numbers: &HashMap<u32, u32>, edges: &mut Vec<LogEdge>) {
    for (key, log) in logs {
        let mut before: Option<(u32, String)> = None;
        for values in log.offsets.values() {
            let next = first(values);
            let sender = log.sent.get(&next).and_then(|(_, call)| numbers.get(call)).copied();
            if let (Some((from, value)), Some(to)) = (before.take(), sender) {
                edges.push(LogEdge {
                    from,
                    to,
                    why: Why::Ww { key: key.clone(), value, next: next.clone() },
                });
            }
            before = sender.map(|sender| (sender, next));
        }
    }
}

/// The value at an offset; of several, which is an anomaly by itself, the first.
fn first(values: &std::collections::BTreeMap<String, u32>) -> String {
    values.keys().next().cloned().unwrap_or_default()
}

fn add(history: &OpHistory, cycle: &LogCycle, is_violation: bool, tally: &mut Tally) {
    let kind = match (cycle.family, cycle.extent, is_violation) {
        (Family::G0, Extent::Data, _) => "G0",
        (Family::G0, Extent::Process, _) => "G0-process",
        (Family::G0, Extent::Realtime, _) => "G0-realtime",
        (Family::G1c, Extent::Data, true) => "G1c",
        (Family::G1c, Extent::Process, true) => "G1c-process",
        (Family::G1c, Extent::Realtime, true) => "G1c-realtime",
        (Family::G1c, Extent::Data, false) => "G1c-with-ww",
        (Family::G1c, Extent::Process, false) => "G1c-with-ww-process",
        (Family::G1c, Extent::Realtime, false) => "G1c-with-ww-realtime",
        // They need what was not polled, and are not looked for.
        (Family::GSingle | Family::GNonadjacent | Family::G2, ..) => return,
    };
    let calls: Vec<u32> = cycle.steps.iter().map(|step| step.from).collect();
    let line = |call: u32| super::line(history, &history.calls()[call as usize]);
    let said = |step: &Step| {
        let (from, to) = (line(step.from), line(step.to));
        match &step.why {
            Why::Ww { key, value, next } => {
                format!("line {to} sent {next} to {key} behind {value} of line {from}")
            }
            Why::Wr { key, value } => format!("line {to} polled {value} from {key}, which line {from} sent"),
            Why::Rw { key, next, .. } => {
                format!("line {to} sent {next} to {key} behind what line {from} polled")
            }
            Why::Process => format!("line {to} is of the process of line {from}, and later"),
            Why::Realtime => format!("line {to} began when line {from} had ended"),
        }
    };
    for _ in 0..cycle.count {
        tally.add(kind, is_violation, &calls, || {
            cycle.steps.iter().map(said).collect::<Vec<_>>().join("; ") + ": a cycle"
        });
    }
}
