//! The smallest part that fails by itself: it does fail, nothing can be taken away, and what is valid has none.

use crosscheck_models::checker::{Check, Checker, Options, check};
use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::verdict::Verdict;

fn generated(kind: Kind, isolation: Isolation, change: impl Fn(&mut Spec)) -> OpHistory {
    let mut spec = Spec::new(kind, isolation, 400, 3);
    change(&mut spec);
    let mut out = Vec::new();
    generate(&spec, &mut out).expect("memory takes it");
    read(&mut out.as_slice(), Format::Json).expect("it is JSON")
}

fn judged(history: &OpHistory, checker: Checker, level: &str) -> Check {
    let level = level.parse().expect("a level");
    let options = Options { level, smallest: true, ..Options::default() };
    check(history, checker, &options, &mut || true).expect("it applies")
}

/// The kind of the anomaly is found in the part, and in no part that lacks one of its calls.
fn assert_smallest(history: &OpHistory, checker: Checker, level: &str, is_removable: bool) -> Vec<u32> {
    let found = judged(history, checker, level);
    assert_eq!(found.verdict, Verdict::Violated, "{checker}");
    let part = found.sub_history.unwrap_or_else(|| panic!("{checker} has no part: {:?}", found.anomalies));
    assert!(part.is_minimal, "{checker}");
    let fails = |calls: &[u32]| {
        let (alone, operations) = history.part(calls).expect("it is well-formed");
        let kinds = judged(&alone, checker, level).anomalies;
        (kinds.iter().any(|seen| seen.kind == part.kind), operations)
    };
    assert_eq!(fails(&part.calls), (true, part.operations.clone()), "{checker}");
    for at in (0..part.calls.len()).filter(|_| is_removable) {
        let rest = [&part.calls[..at], &part.calls[at + 1..]].concat();
        assert!(rest.is_empty() || !fails(&rest).0, "{checker}: {:?} without {at}", part.operations);
    }
    part.calls
}

#[test]
fn of_transactions_a_few_remain() {
    let weak = |kind| generated(kind, Isolation::ReadCommitted, |_| {});
    let lists = weak(Kind::ListAppend);
    assert!(assert_smallest(&lists, Checker::ListAppend, "snapshot-isolation", true).len() <= 4);
    let registers = generated(Kind::RwRegister, Isolation::ReadUncommitted, |_| {});
    for checker in [Checker::ReadCommitted, Checker::ReadAtomic, Checker::Causal] {
        assert!(assert_smallest(&registers, checker, "serializable", true).len() <= 6);
    }
    let stated = generated(Kind::RwRegister, Isolation::ReadCommitted, |spec| spec.versions = true);
    assert!(assert_smallest(&stated, Checker::RwRegister, "serializable", true).len() <= 4);
}

/// A read that the timestamps contradict keeps who wrote what it read.
#[test]
fn of_timestamps_what_was_read_was_written() {
    let history = generated(Kind::RwRegister, Isolation::ReadCommitted, |spec| spec.timestamps = true);
    let calls = assert_smallest(&history, Checker::RwRegister, "snapshot-isolation", false);
    assert!((2..=6).contains(&calls.len()), "{calls:?}");
}

#[test]
fn of_sessions_and_registers_a_few_remain() {
    let history = generated(Kind::Register, Isolation::LostUpdate, |spec| spec.txns = 200);
    assert!(assert_smallest(&history, Checker::Register, "serializable", false).len() <= 6);
    let mut text = String::new();
    for at in 0..40 {
        // The last read of one session goes back behind what it wrote and read itself.
        let seen = if at == 39 { 5 } else { at };
        text.push_str(&format!("{{:process 0 :type :ok :f :write :value [x {at}]}}"));
        text.push_str(&format!("{{:process 0 :type :ok :f :read :value [x {seen}]}}\n"));
    }
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    for checker in [Checker::ReadYourWrites, Checker::Pram] {
        let calls = assert_smallest(&history, checker, "serializable", true);
        assert!(calls.len() <= 4 && calls.contains(&79), "{checker}: {calls:?}");
    }
}

/// Where no order is found by search, what is read in the part was written in it: a read of a value that nobody in
/// the part wrote would fail for no reason of the history's.
#[test]
fn a_history_without_an_order_shrinks_to_what_has_none() {
    let noise: String = (0..60)
        .map(|_| format!("{{:process 9 :type :invoke :f :read :value nil}}{{:process 9 :type :ok :f :read :value {}}}\n", 7))
        .collect();
    let text = format!(
        "{{:process 0 :type :invoke :f :write :value 7}}{{:process 0 :type :ok :f :write :value 7}}\n{noise}
         {{:process 0 :type :invoke :f :cas :value [7 1]}}{{:process 0 :type :ok :f :cas :value [7 1]}}
         {{:process 1 :type :invoke :f :cas :value [7 1]}}{{:process 1 :type :ok :f :cas :value [7 1]}}"
    );
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    let calls = assert_smallest(&history, Checker::Register, "serializable", false);
    assert_eq!(calls, [0, 61, 62], "one write, and two that both swapped it");
}

/// All updates count of a counter: only reads can be taken away, and what comes later.
#[test]
fn a_counter_keeps_its_updates() {
    let mut text = String::new();
    for at in 0..10 {
        text.push_str("{:process 0 :type :invoke :f :add :value 1}{:process 0 :type :ok :f :add :value 1}");
        text.push_str("{:process 1 :type :invoke :f :read :value nil}");
        let read = if at == 4 { 3 } else { at + 1 };
        text.push_str(&format!("{{:process 1 :type :ok :f :read :value {read}}}\n"));
    }
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    let calls = assert_smallest(&history, Checker::LinearizableCounter, "serializable", false);
    assert_eq!(calls, [0, 2, 4, 6, 8, 9], "five times one was added, and three was read");
}

#[test]
fn what_is_valid_or_not_asked_for_has_no_part() {
    let history = generated(Kind::ListAppend, Isolation::Serializable, |_| {});
    assert_eq!(judged(&history, Checker::ListAppend, "serializable").sub_history, None);
    let weak = generated(Kind::ListAppend, Isolation::ReadCommitted, |_| {});
    let level = "serializable".parse().expect("a level");
    let unasked = Options { level, ..Options::default() };
    let found = check(&weak, Checker::ListAppend, &unasked, &mut || true).expect("lists");
    assert_eq!((found.verdict, found.sub_history), (Verdict::Violated, None));
}

/// The deadline is looked at while the graph is built, too: nothing is then called valid.
#[test]
fn without_time_no_graph_is_built() {
    let history = generated(Kind::ListAppend, Isolation::Serializable, |_| {});
    let mut asked = 0;
    let mut go_on = || {
        asked += 1;
        asked < 2
    };
    let found = check(&history, Checker::ListAppend, &Options::default(), &mut go_on).expect("transactions");
    assert_eq!(found.verdict, Verdict::Unknown);
    assert!(found.reason.is_some_and(|reason| reason.contains("the time was over")));
    assert_eq!(asked, 2, "it stops at once");
}
