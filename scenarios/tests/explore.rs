//! The explorer on the designs: what it finds, and that it loses nothing where it saves work.

use std::collections::BTreeSet;
use std::sync::Arc;

use crosscheck_harness::design::Design;
use crosscheck_harness::explore::{Exploration, Replays, Search, explore, replays};
use crosscheck_harness::operation::Operation;
use crosscheck_harness::schedule::{Directed, Move};
use crosscheck_models::property::Property;
use crosscheck_scenarios::design;

fn variant(id: &str) -> Arc<dyn Design> {
    design::all().into_iter().find(|design| design.id() == id).expect("a variant of the registry")
}

fn search(runs: u64) -> Search {
    Search {
        runs,
        seed: 1,
        clients: 2,
        operations: 2,
        without_faults: Property::ALL.to_vec(),
        with_faults: Property::ALL.to_vec(),
        wanted: Vec::new(),
        exhaustive: None,
        reduce: true,
        kept: Vec::new(),
    }
}

fn explored(id: &str, search: &Search) -> Exploration {
    explore(&variant(id), search, &mut |_, _| {}).expect("the model plays it")
}

fn verdicts(exploration: &Exploration) -> BTreeSet<(Property, bool)> {
    exploration.found.iter().map(|found| (found.verdict.property, found.with_faults)).collect()
}

/// A lost event, a lost update, a stale cache: each within a few hundred schedules, and as a handful of moves.
#[test]
fn what_broken_variants_break_is_found_and_shrunk() {
    let cases = [
        ("dual-write-db-then-queue", Property::NoLoss, true),
        ("outbox-poll-id-cursor", Property::NoLoss, false),
        ("outbox-poll-flag-single/mark-before-publish", Property::NoLoss, true),
        ("outbox-wal-relay/ack-before-publish", Property::NoLoss, true),
        ("sot-pg-read-committed-rmw", Property::NoLostUpdate, false),
        ("cache-aside-del-after-write", Property::Convergence, false),
    ];
    for (id, property, with_faults) in cases {
        let wanted = vec![(property, with_faults)];
        let asked = vec![property];
        let search = Search { wanted, without_faults: asked.clone(), with_faults: asked, ..search(2000) };
        let exploration = explored(id, &search);
        let found = exploration.found.iter().find(|found| found.verdict.property == property);
        let found = found.unwrap_or_else(|| panic!("{id} violates {property}"));
        assert_eq!(found.replays, Replays::Same, "{id}: the witness of {property} is replayed");
        assert!(found.moves <= 10, "{id}: {property} in {} moves", found.moves);
        assert!(found.with_faults <= with_faults, "{id}: {property} takes no fault");
        let witness = found.verdict.witness.as_ref().expect("a violation has a witness");
        assert!(!witness.story.is_empty(), "{id}: {property} is told");
    }
}

/// Both writers stand between their commit and their event, and nothing is left to be moved: who publishes first decides
/// whether the events are out of order. That is no witness to be replayed on servers. One that says who is first is.
#[test]
fn a_witness_does_not_hang_on_who_goes_on_first_after_its_last_move() {
    const GAP: &str = "after_db_before_publish";
    let commits = |first: &str, second: &str| vec![Move::to_point(first, GAP), Move::to_point(second, GAP)];
    let came = |moves: Vec<Move>| {
        let clients = vec![vec![Operation::write("a1", "k1", 11)], vec![Operation::write("b1", "k1", 21)]];
        let design = variant("dual-write-db-then-queue");
        replays(&design, &search(1), &Directed { clients, moves }, Property::PerKeyOrder)
            .expect("the model plays it")
    };
    assert_eq!(
        came(commits("client-0", "client-1")),
        Replays::Otherwise,
        "the first to commit publishes first"
    );
    assert_eq!(came(commits("client-1", "client-0")), Replays::LeavesRace, "unless the other is quicker");
    let said = [commits("client-0", "client-1"), vec![Move::op("client-1")]].concat();
    assert_eq!(came(said), Replays::Same, "the last to commit has published");
}

/// Whatever the order of steps that commute, the verdicts are the same: the search that visits one order of them finds
/// what the search that visits all of them finds.
#[test]
fn visiting_one_order_of_steps_that_commute_loses_no_verdict() {
    let cases = [
        ("dual-write-publish-in-txn", 1),
        ("cache-aside-del-after-write", 1),
        ("sot-pg-read-committed-rmw", 1),
    ];
    let (mut visited, mut there_are) = (0, 0);
    for (id, preemptions) in cases {
        let all = Search { exhaustive: Some(preemptions), reduce: false, ..search(100_000) };
        let one = Search { reduce: true, ..all.clone() };
        let (all, one) = (explored(id, &all), explored(id, &one));
        assert_eq!(all.there_are, Some(all.schedules), "{id}: each schedule that was counted was visited");
        assert_eq!(one.there_are, all.there_are, "{id}: they are counted before any is left out");
        assert_eq!(verdicts(&one), verdicts(&all), "{id}");
        let outcomes = |exploration: &Exploration| exploration.coverage["distinct_outcomes"];
        assert_eq!(outcomes(&one), outcomes(&all), "{id}: what comes of the schedules, one by one");
        visited += one.schedules;
        there_are += all.schedules;
    }
    assert!(visited < there_are, "{visited} of {there_are} visited");
}

#[test]
fn the_same_seed_explores_the_same() {
    let look = |seed| explored("outbox-poll-id-cursor", &Search { seed, ..search(24) });
    let (one, two, other) = (look(7), look(7), look(8));
    assert_eq!(one.coverage, two.coverage);
    assert_eq!(verdicts(&one), verdicts(&two));
    let schedules = |exploration: &Exploration| -> Vec<String> {
        exploration.found.iter().map(|found| found.schedule.to_json()).collect()
    };
    assert_eq!(schedules(&one), schedules(&two));
    assert_ne!(one.coverage, other.coverage);
}

/// What one search found, the next replays first: it still violates in the broken variant, and not in the twin that
/// is correct.
#[test]
fn what_was_found_once_is_replayed_the_next_time() {
    let asked = vec![Property::NoLoss];
    let wanted = vec![(Property::NoLoss, true)];
    let first = Search { wanted, without_faults: asked.clone(), with_faults: asked, ..search(2000) };
    let found = explored("outbox-poll-flag-single/mark-before-publish", &first).found;
    let kept: Vec<_> = found.into_iter().map(|found| found.schedule).collect();
    assert_eq!(kept.len(), 1);
    let next = Search { runs: 1, kept, ..first };
    let violates = |id: &str| explored(id, &next).kept;
    assert_eq!(violates("outbox-poll-flag-single/mark-before-publish"), [[Property::NoLoss]]);
    assert_eq!(violates("outbox-poll-flag-single"), [[]]);
}

/// A relay that marks an event before it publishes it loses the event if it crashes between the two, and an exhaustive
/// search names the place.
#[test]
fn an_exhaustive_search_names_the_crash_that_loses_an_event() {
    let search = Search {
        exhaustive: Some(0),
        with_faults: vec![Property::NoLoss],
        without_faults: vec![Property::NoLoss],
        ..search(100_000)
    };
    let exploration = explored("outbox-poll-flag-single/mark-before-publish", &search);
    let mut points: Vec<&str> = exploration.fault_points.iter().map(|(what, _)| what.as_str()).collect();
    points.dedup();
    insta::assert_snapshot!(points.join("\n"));
    let correct = explored("outbox-poll-flag-single", &search);
    assert_eq!(correct.fault_points, []);
}
