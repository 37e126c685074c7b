//! Logs: circles of transactions against their definition, and simulated logs of known strength.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crosscheck_models::collection::{Checker, Collected, check};
use crosscheck_models::foreign::{Format, read};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

use crate::by_hand::history;

fn simulated(isolation: Isolation, seed: u64, rate: u32) -> Collected {
    let mut out = Vec::new();
    let spec = Spec {
        clients: 6,
        keys: 4,
        info_per_mille: rate,
        fail_per_mille: rate,
        ..Spec::new(Kind::Kafka, isolation, 400, seed)
    };
    generate(&spec, &mut out).expect("memory takes it");
    let history = read(&mut out.as_slice(), Format::Json).expect("a history");
    check(&history, Checker::Kafka)
}

#[test]
fn logs_that_keep_what_they_promise_are_accused_of_nothing() {
    for seed in 0..6 {
        for isolation in [Isolation::Serializable, Isolation::SnapshotIsolation, Isolation::ReadCommitted] {
            for rate in [0, 60] {
                let found = simulated(isolation, seed, rate);
                assert_eq!(found.verdict, Verdict::Valid, "{isolation} {seed}: {:?}", found.anomalies);
                assert!(found.exercised["polled"] > 400 && found.exercised["sends"] > 400);
            }
        }
    }
}

/// What is found in at least half of the runs.
fn often(isolation: Isolation) -> BTreeSet<&'static str> {
    let mut counts = std::collections::BTreeMap::new();
    for seed in 0..10 {
        let found = simulated(isolation, seed, 60);
        assert_eq!(found.verdict, Verdict::Violated, "{isolation} {seed}");
        for anomaly in found.anomalies.iter().filter(|anomaly| anomaly.is_violation) {
            *counts.entry(anomaly.kind).or_insert(0) += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count >= 5).map(|(kind, _)| kind).collect()
}

#[test]
fn planted_bugs_are_found_by_their_names() {
    let dirty = often(Isolation::ReadUncommitted);
    assert!(dirty.is_superset(&BTreeSet::from(["G1a", "G1c", "precommitted-read"])), "{dirty:?}");
    let lost = often(Isolation::LostUpdate);
    assert!(lost.is_superset(&BTreeSet::from(["lost-write", "nonmonotonic-poll", "poll-skip"])), "{lost:?}");
}

#[test]
fn writes_that_lie_between_each_other_are_told_and_violate_nothing() {
    let found = simulated(Isolation::ReadCommitted, 3, 0);
    let told: Vec<&str> = found.anomalies.iter().map(|anomaly| anomaly.kind).collect();
    assert!(told.contains(&"G0") && told.contains(&"int-send-skip"), "{told:?}");
    let found = simulated(Isolation::Serializable, 3, 0);
    assert!(found.anomalies.iter().all(|anomaly| !anomaly.kind.starts_with('G')), "{:?}", found.anomalies);
}

/// A transaction as the test makes it: values that it sends and polls, and when it begins and ends.
#[derive(Debug)]
struct Txn {
    sends: Vec<usize>,
    polls: Vec<usize>,
    begin: usize,
    end: usize,
    kind: &'static str,
}

/// Each value is sent by one transaction, to a key of its own.
fn laid_out(plan: &[(u8, u8, u32, u32, u8)]) -> (Vec<Txn>, String) {
    let mut moments = Vec::new();
    for (at, (.., begin, length, _)) in plan.iter().enumerate() {
        moments.push((begin * 2, 0, at));
        moments.push((begin * 2 + length * 2 + 1, 1, at));
    }
    moments.sort_unstable();
    let values = plan.len();
    let mut txns: Vec<Txn> = plan
        .iter()
        .enumerate()
        .map(|(at, (first, second, .., kind))| Txn {
            sends: vec![at],
            polls: [first, second]
                .map(|value| usize::from(*value))
                .into_iter()
                .filter(|value| *value < values)
                .collect(),
            begin: 0,
            end: 0,
            kind: if *kind == 0 { "info" } else { "ok" },
        })
        .collect();
    let mut text = String::new();
    for (place, (_, is_end, at)) in moments.into_iter().enumerate() {
        let txn = &mut txns[at];
        let kind = if is_end == 1 { txn.kind } else { "invoke" };
        *(if is_end == 1 { &mut txn.end } else { &mut txn.begin }) = place;
        let sends: String = txn
            .sends
            .iter()
            .map(|value| match kind {
                "ok" => format!("[:send k{value} [0 {value}]]"),
                _ => format!("[:send k{value} {value}]"),
            })
            .collect();
        let polls: String = txn
            .polls
            .iter()
            .map(|value| match kind {
                "ok" => format!("[:poll {{k{value} [[0 {value}]]}}]"),
                _ => "[:poll]".to_owned(),
            })
            .collect();
        writeln!(text, "{at} {kind} txn [{sends}{polls}]").expect("text");
    }
    (txns, text)
}

/// Whether some transaction comes before itself.
fn is_circular(count: usize, before: impl Fn(usize, usize) -> bool) -> bool {
    let mut closed: Vec<Vec<bool>> =
        (0..count).map(|one| (0..count).map(|other| one != other && before(one, other)).collect()).collect();
    for via in 0..count {
        for from in 0..count {
            for to in 0..count {
                closed[from][to] |= closed[from][via] && closed[via][to];
            }
        }
    }
    (0..count).any(|at| closed[at][at])
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn circles_agree_with_their_definition(
        plan in proptest::collection::vec((0..8_u8, 0..8_u8, 0..8_u32, 0..5_u32, 0..5_u8), 1..7),
    ) {
        let (txns, text) = laid_out(&plan);
        let found = check(&history(&text), Checker::Kafka);
        let has = |kind: &str| found.anomalies.iter().any(|anomaly| anomaly.kind == kind && anomaly.is_violation);
        let polled = |one: usize, other: usize| {
            txns[other].kind == "ok" && txns[other].polls.iter().any(|value| txns[one].sends.contains(value))
        };
        let is_read = |at: usize| (0..txns.len()).any(|reader| polled(at, reader));
        let happened = |at: usize| txns[at].kind == "ok" || is_read(at);
        let earlier = |one: usize, other: usize| {
            happened(one) && happened(other) && txns[one].kind == "ok" && txns[one].end < txns[other].begin
        };
        let by_data = is_circular(txns.len(), polled);
        let by_time = is_circular(txns.len(), |one, other| polled(one, other) || earlier(one, other));
        prop_assert_eq!(has("G1c"), by_data, "{:?}\n{}", found.anomalies, text);
        prop_assert_eq!(has("G1c") || has("G1c-realtime"), by_time, "{:?}\n{}", found.anomalies, text);
    }
}
