//! Larger histories of simulated databases: strong ones are valid, weak ones are found out.

use crosscheck_models::generate::{Isolation, Kind, Spec};
use crosscheck_models::isolation::{
    Inference, Judgement, Level, Options, list_append, rw_register, verify_order, verify_witness,
};
use crosscheck_models::verdict::Verdict;

use crate::random_txns::{parsed, text_of};

fn judged(isolation: Isolation, level: Level, change: impl Fn(&mut Spec)) -> Judgement {
    let mut spec = Spec::new(Kind::ListAppend, isolation, 3000, 11);
    change(&mut spec);
    let history = parsed(&text_of(&spec));
    let found = list_append(&history, &Options { level, ..Options::default() }, &mut || true).expect("lists");
    for anomaly in found.anomalies.iter().chain(&found.also_seen) {
        verify_witness(&history, &anomaly.witness)
            .unwrap_or_else(|error| panic!("{error}\n{:#?}", anomaly.witness));
    }
    if let Some(order) = &found.order {
        verify_order(&history, order).expect("the order explains every read");
    }
    found
}

fn kinds(found: &Judgement) -> Vec<&'static str> {
    found.anomalies.iter().map(|anomaly| anomaly.kind.name()).collect()
}

#[test]
fn a_serializable_database_is_valid_at_every_level() {
    for level in [Level::STRICT_SERIALIZABLE, Level::SNAPSHOT_ISOLATION, Level::READ_COMMITTED] {
        let found = judged(Isolation::Serializable, level, |_| {});
        assert_eq!((found.verdict, found.order.is_some()), (Verdict::Valid, true), "{:#?}", found.anomalies);
        let undecided = judged(Isolation::Serializable, level, |spec| {
            (spec.info_per_mille, spec.fail_per_mille) = (50, 50);
        });
        assert_eq!(undecided.verdict, Verdict::Valid, "{:#?}", undecided.anomalies);
    }
}

#[test]
fn snapshot_isolation_has_write_skew_and_nothing_worse() {
    let found = judged(Isolation::SnapshotIsolation, Level::SERIALIZABLE, |_| {});
    assert_eq!(kinds(&found), ["G2-item"]);
    assert_eq!(found.not, ["repeatable-read"]);
    assert_eq!(found.also_not, ["serializable", "strict-serializable", "strong-session-serializable"]);
    let snapshot = judged(Isolation::SnapshotIsolation, Level::SNAPSHOT_ISOLATION, |_| {});
    assert_eq!((snapshot.verdict, snapshot.order.is_some()), (Verdict::Valid, true));
}

#[test]
fn read_committed_is_no_snapshot_isolation() {
    let found = judged(Isolation::ReadCommitted, Level::SNAPSHOT_ISOLATION, |_| {});
    assert!(kinds(&found).contains(&"G-single-item"), "{:?}", kinds(&found));
    let committed = judged(Isolation::ReadCommitted, Level::READ_COMMITTED, |_| {});
    assert_eq!(
        (committed.verdict, committed.order.is_some()),
        (Verdict::Valid, true),
        "{:#?}",
        committed.anomalies
    );
}

#[test]
fn read_uncommitted_and_lost_updates_are_found_out() {
    let dirty = judged(Isolation::ReadUncommitted, Level::READ_COMMITTED, |spec| spec.fail_per_mille = 50);
    for kind in ["G1a", "G1b", "dirty-update", "G0", "G1c"] {
        assert!(kinds(&dirty).contains(&kind), "{kind}: {:?}", kinds(&dirty));
    }
    let lost = judged(Isolation::LostUpdate, Level::SNAPSHOT_ISOLATION, |_| {});
    assert!(kinds(&lost).contains(&"incompatible-order"), "{:?}", kinds(&lost));
}

/// Out of budget from the start: nothing is accused, and nothing is called valid.
#[test]
fn without_budget_the_cycles_are_unknown() {
    let history = parsed(&text_of(&Spec::new(Kind::ListAppend, Isolation::SnapshotIsolation, 20_000, 3)));
    let mut asked = 0;
    let found = list_append(&history, &Options::default(), &mut || {
        asked += 1;
        false
    })
    .expect("lists");
    assert!(asked > 0);
    assert_ne!(found.verdict, Verdict::Valid);
}

fn judged_registers(isolation: Isolation, level: Level) -> Judgement {
    let history = parsed(&text_of(&Spec::new(Kind::RwRegister, isolation, 2000, 5)));
    let inference = Inference { linearizable_keys: true, sequential_keys: true, wfr_keys: true };
    let found = rw_register(&history, &Options { level, inference }, &mut || true).expect("registers");
    for anomaly in &found.anomalies {
        verify_witness(&history, &anomaly.witness)
            .unwrap_or_else(|error| panic!("{error}\n{:#?}", anomaly.witness));
    }
    if let Some(order) = &found.order {
        verify_order(&history, order).expect("the order explains every read");
    }
    found
}

#[test]
fn registers_of_a_serializable_database_are_valid() {
    let found = judged_registers(Isolation::Serializable, Level::STRICT_SERIALIZABLE);
    assert_eq!(found.verdict, Verdict::Valid, "{:#?}", found.anomalies);
}

#[test]
fn registers_of_weak_databases_are_found_out() {
    for isolation in [Isolation::SnapshotIsolation, Isolation::ReadCommitted, Isolation::LostUpdate] {
        let found = judged_registers(isolation, Level::STRICT_SERIALIZABLE);
        assert_eq!(found.verdict, Verdict::Violated, "{isolation}");
    }
    let dirty = judged_registers(Isolation::ReadUncommitted, Level::READ_COMMITTED);
    assert!(kinds(&dirty).contains(&"G1b"), "{:?}", kinds(&dirty));
}
