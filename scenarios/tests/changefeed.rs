//! The designs on CockroachDB's changefeeds, as far as they can be tried where there is none: on a stand-in that is
//! started as CockroachDB is, with a PostgreSQL behind it, and a real broker.

#[path = "../../harness/tests/cockroach/feed.rs"]
mod feed;
#[path = "../../harness/tests/cockroach/stand_in.rs"]
mod stand_in;

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use crosscheck_harness::backend::local::{Finding, LocalBackend, Places, Program, Programs};
use crosscheck_harness::database::DatabaseKind;
use crosscheck_harness::design::{Design, Needs};
use crosscheck_harness::schedule::{FaultOn, Schedule};
use crosscheck_harness::{judge, plan, runner};
use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;
use crosscheck_scenarios::pattern;
use tempfile::TempDir;

const NEEDS: Needs = Needs { db: true, broker: true, cache: false };

/// The stand-in and a broker; nothing, after a line that says why, where they cannot be had.
async fn backend(changefeeds: &str) -> Option<(LocalBackend, TempDir)> {
    let here = Programs::find(&|name| std::env::var(name).ok(), &Places::debian());
    let missing = [Program::Postgres, Program::Kafka, Program::Java]
        .into_iter()
        .find(|program| !matches!(here.finding(*program), Finding::Found { .. }));
    if let Some(program) = missing {
        let required = std::env::var("CROSSCHECK_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|word| word == "local"), "{program} is required and not here");
        println!("skipped: {program} is not here");
        return None;
    }
    let Finding::Found { at: postgres, .. } = here.finding(Program::Postgres) else { return None };
    let root = tempfile::tempdir().expect("a directory");
    // PostgreSQL's user has to pass through.
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o711)).expect("it is ours");
    let cockroach = stand_in::install(root.path(), postgres).display().to_string();
    let env = |name: &str| match name {
        "CROSSCHECK_COCKROACH" => Some(cockroach.clone()),
        "CROSSCHECK_CHANGEFEED" => Some(changefeeds.to_owned()),
        other => std::env::var(other).ok(),
    };
    let programs = Programs::find(&env, &Places::debian());
    let backend = LocalBackend::start_on(DatabaseKind::Cockroach, NEEDS, &programs, root.path()).await;
    Some((backend.unwrap_or_else(|error| panic!("{error}")), root))
}

fn variant(id: &str) -> Arc<dyn Design> {
    pattern::select(&[id.to_owned()]).expect("it is in the catalogue").remove(0)
}

/// Runs it, and says what became of each claim, and of the promise that nothing comes twice.
async fn verdicts(
    design: &Arc<dyn Design>,
    schedule: &Schedule,
    backend: &LocalBackend,
    root: &Path,
) -> BTreeMap<Property, Verdict> {
    let tag = format!("{}_{}", design.id(), schedule.name).replace(['-', '/'], "_");
    let record =
        runner::run(design.clone(), backend, schedule, &tag, &root.join(format!("{tag}.jsonl"))).await;
    let record = record.unwrap_or_else(|error| panic!("{tag}: {error}"));
    assert!(record.faults.iter().all(|fault| fault.took), "{tag}: {:?}", record.faults);
    let history = judge::history(&record).expect("it can be read");
    let judgement = judge::judge(&record, &history, &design.claims(), &[Property::NoDup]);
    assert_eq!(judgement.reason, None, "{tag}");
    judgement.properties.iter().map(|judged| (judged.verdict.property, judged.verdict.verdict)).collect()
}

fn violated(verdicts: &BTreeMap<Property, Verdict>) -> Vec<Property> {
    let violated = verdicts.iter().filter(|(_, verdict)| **verdict == Verdict::Violated);
    violated.map(|(property, _)| *property).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_versioned_consumer_bears_a_feed_that_goes_back_and_a_naive_one_does_not() {
    let Some((backend, root)) = backend("").await else { return };
    let (careful, naive) =
        (variant("cdc-crdb-changefeed"), variant("cdc-crdb-changefeed/naive-lww-consumer"));
    for schedule in careful.schedules() {
        let verdicts = verdicts(&careful, &schedule, &backend, root.path()).await;
        let others = violated(&verdicts).into_iter().filter(|property| *property != Property::NoDup);
        assert_eq!(others.collect::<Vec<_>>(), [], "{}", schedule.name);
    }
    let faults = ["db-changefeed-pause", "db-crash"].map(|id| FaultOn::new(id, None));
    for design in [&careful, &naive] {
        let schedule = plan::stress(&**design, design.workload(), &faults, 3, 4_000);
        let verdicts = verdicts(design, &schedule, &backend, root.path()).await;
        let is = |property| verdicts[&property];
        assert_eq!(is(Property::NoDup), Verdict::Violated, "rows come again: {verdicts:?}");
        assert_eq!(is(Property::NoLoss), Verdict::Valid, "{verdicts:?}");
        assert_eq!(is(Property::PerKeyOrder), Verdict::Valid, "{verdicts:?}");
        let goes_back = if Arc::ptr_eq(design, &naive) { Verdict::Violated } else { Verdict::Valid };
        assert_eq!(is(Property::MonotonicReads), goes_back, "{verdicts:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_sink_a_session_reads_the_feed_and_nothing_is_lost_with_its_connection() {
    let Some((backend, root)) = backend("sinkless").await else { return };
    let design = variant("cdc-crdb-changefeed");
    let crash = [FaultOn::new("db-crash", None)];
    let schedule = plan::stress(&*design, design.workload(), &crash, 5, 7_000);
    let verdicts = verdicts(&design, &schedule, &backend, root.path()).await;
    let is = |property| verdicts[&property];
    assert_eq!(is(Property::NoDup), Verdict::Violated, "a crash begins the feed anew: {verdicts:?}");
    for property in [Property::NoLoss, Property::PerKeyOrder, Property::MonotonicReads, Property::NoGhost] {
        assert_eq!(is(property), Verdict::Valid, "{property}: {verdicts:?}");
    }
}
