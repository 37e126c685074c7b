//! Histories by hand with what is wrong in them, and simulated objects of known strength.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crosscheck_models::collection::{BankOptions, Checker, Collected, SetOptions, check};
use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::verdict::Verdict;

fn parsed(text: &str) -> OpHistory {
    read(&mut text.as_bytes(), Format::Edn).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// Lines of `process type f value`.
pub(crate) fn history(lines: &str) -> OpHistory {
    let mut text = String::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.splitn(4, ' ');
        let mut word = || words.next().unwrap_or("nil");
        let (process, kind, f, value) = (word(), word(), word(), word());
        // `do` stands for both.
        let kinds = if kind == "do" { vec!["invoke", "ok"] } else { vec![kind] };
        for kind in kinds {
            writeln!(text, "{{:process {process} :type :{kind} :f :{f} :value {value}}}")
                .expect("text grows");
        }
    }
    parsed(&text)
}

fn kinds(found: &Collected) -> Vec<&'static str> {
    found.anomalies.iter().map(|anomaly| anomaly.kind).collect()
}

pub(crate) fn judged(lines: &str, checker: Checker) -> (Verdict, Vec<&'static str>) {
    let found = check(&history(lines), checker);
    (found.verdict, kinds(&found))
}

pub(crate) const FULL: Checker = Checker::SetFull(SetOptions { linearizable: false });
const SET: Checker = Checker::Set(SetOptions { linearizable: false });

#[test]
fn sets_by_hand() {
    use Verdict::{Unknown, Valid, Violated};
    let cases = [
        ("0 do add 1\n0 do read [1]", SET, Valid, vec![]),
        ("0 do add 1\n0 do read []", SET, Violated, vec!["lost"]),
        ("0 do add 1\n0 do read [1 2]", SET, Violated, vec!["unexpected"]),
        ("0 invoke add 1\n0 info add 1\n1 do read [1]", SET, Valid, vec!["recovered"]),
        ("0 invoke add 1\n0 fail add 1\n1 do read [1]", SET, Violated, vec!["unexpected"]),
        ("0 do add 1", SET, Unknown, vec![]),
        ("0 invoke add 1\n1 do read []\n0 ok add 1", SET, Valid, vec![]),
        ("0 do add 1\n0 do read [1]", FULL, Valid, vec![]),
        ("0 do add 1\n0 do read []\n0 do read [1]", FULL, Valid, vec!["stale"]),
        (
            "0 do add 1\n0 do read []\n0 do read [1]",
            Checker::SetFull(SetOptions { linearizable: true }),
            Violated,
            vec!["stale"],
        ),
        ("0 do add 1\n0 do read [1]\n0 do read []", FULL, Violated, vec!["lost"]),
        ("0 do add 1\n0 do add 2\n0 do read [1 1 2]", FULL, Violated, vec!["duplicated"]),
        ("0 do read []\n0 do add 1", FULL, Unknown, vec!["never-read"]),
        ("0 do add 1", FULL, Unknown, vec!["never-read"]),
    ];
    for (lines, checker, verdict, anomalies) in cases {
        assert_eq!(judged(lines, checker), (verdict, anomalies), "{checker:?}\n{lines}");
    }
}

#[test]
fn queues_and_ids_by_hand() {
    use Verdict::{Unknown, Valid, Violated};
    let cases = [
        ("0 do enqueue 1\n1 do dequeue 1", Checker::Queue, Valid, vec![]),
        ("0 do enqueue 1\n1 do dequeue 1\n1 do dequeue 1", Checker::Queue, Violated, vec!["unexpected"]),
        ("1 do dequeue 1\n0 do enqueue 1", Checker::Queue, Violated, vec!["unexpected"]),
        ("0 invoke enqueue 1\n1 do dequeue 1\n0 info enqueue 1", Checker::Queue, Valid, vec![]),
        ("0 do enqueue 1", Checker::Queue, Unknown, vec![]),
        ("0 do enqueue 1\n0 do enqueue 2\n1 do drain [1 2]", Checker::TotalQueue, Valid, vec![]),
        ("0 do enqueue 1\n0 do enqueue 2\n1 do drain [2]", Checker::TotalQueue, Violated, vec!["lost"]),
        ("0 do enqueue 1\n1 do dequeue 1\n1 do dequeue 1", Checker::TotalQueue, Valid, vec!["duplicated"]),
        (
            "0 invoke enqueue 1\n0 info enqueue 1\n1 do dequeue 1",
            Checker::TotalQueue,
            Valid,
            vec!["recovered"],
        ),
        ("0 do enqueue 1\n1 do drain [1 7]", Checker::TotalQueue, Violated, vec!["unexpected"]),
        ("0 do generate 1\n1 do generate 2", Checker::UniqueIds, Valid, vec![]),
        ("0 do generate [1 2]\n1 do generate [1 2]", Checker::UniqueIds, Violated, vec!["duplicated"]),
        ("0 do generate 1\n1 do generate 1", Checker::UniqueIds, Violated, vec!["duplicated"]),
        ("0 invoke generate 1", Checker::UniqueIds, Unknown, vec![]),
    ];
    for (lines, checker, verdict, anomalies) in cases {
        assert_eq!(judged(lines, checker), (verdict, anomalies), "{checker:?}\n{lines}");
    }
}

#[test]
fn counters_accounts_and_forks_by_hand() {
    use Verdict::{Valid, Violated};
    let bank = Checker::Bank(BankOptions::default());
    let overdraft = Checker::Bank(BankOptions { total: Some(10), allow_negative_balances: true });
    let cases = [
        ("0 do add 1\n0 do read 1", Checker::Counter, Valid, vec![]),
        ("0 do add 1\n0 do read 0", Checker::Counter, Violated, vec!["out-of-bounds"]),
        (
            "0 invoke add 1\n1 do read 0\n1 do read 1\n0 info add 1\n1 do read 0",
            Checker::Counter,
            Valid,
            vec![],
        ),
        ("0 invoke add 1\n0 fail add 1\n1 do read 1", Checker::Counter, Violated, vec!["out-of-bounds"]),
        (
            "0 do add 5\n0 invoke add -2\n1 do read 3\n1 do read 5\n0 ok add -2\n1 do read 3",
            Checker::Counter,
            Valid,
            vec![],
        ),
        ("0 do add 5\n0 do add -2\n1 do read 5", Checker::Counter, Violated, vec!["out-of-bounds"]),
        ("0 do read {0 5, 1 5}\n0 do read {0 3, 1 7}", bank, Valid, vec![]),
        (
            "0 do read {0 5, 1 5}\n0 do read {0 5, 1 5}\n0 do read {0 3, 1 6}",
            bank,
            Violated,
            vec!["wrong-total"],
        ),
        ("0 do read {0 -5, 1 15}", bank, Violated, vec!["negative-value"]),
        ("0 do read {0 -5, 1 15}", overdraft, Valid, vec![]),
        ("0 do read {0 nil, 1 10}", overdraft, Violated, vec!["nil-balance"]),
        (
            "0 do read {0 5, 1 5}\n0 do read {0 5, 1 5}\n0 do read {0 10}",
            overdraft,
            Violated,
            vec!["wrong-accounts"],
        ),
        (
            "0 do txn [[:r 1 1] [:r 2 nil]]\n1 do txn [[:r 2 nil] [:r 1 nil]]",
            Checker::LongFork(None),
            Valid,
            vec![],
        ),
        (
            "0 do txn [[:r 1 1] [:r 2 nil]]\n1 do txn [[:r 2 1] [:r 1 nil]]",
            Checker::LongFork(None),
            Violated,
            vec!["long-fork"],
        ),
    ];
    for (lines, checker, verdict, anomalies) in cases {
        assert_eq!(judged(lines, checker), (verdict, anomalies), "{checker:?}\n{lines}");
    }
}

type LogCase = (String, Verdict, Vec<&'static str>);

/// All three records that every history of a log begins with.
const ALL: &str = "[:poll {k [[0 1] [2 2] [5 3]]}]";

fn judge_logs(cases: Vec<LogCase>) {
    let sent = "0 do txn [[:send k [0 1]]]\n0 do txn [[:send k [2 2]] [:send k [5 3]]]";
    for (lines, verdict, anomalies) in cases {
        let lines = format!("{sent}\n{lines}");
        assert_eq!(judged(&lines, Checker::Kafka), (verdict, anomalies), "{lines}");
    }
}

#[test]
fn records_of_logs_by_hand() {
    use Verdict::{Valid, Violated};
    let all = ALL;
    judge_logs(vec![
        (format!("1 do poll [{all}]"), Valid, vec![]),
        ("1 do poll [[:poll {k [[0 1] [2 2]]}]]\n1 do poll [[:poll {k [[5 3]]}]]".to_owned(), Valid, vec![]),
        (
            format!("1 do poll [{all}]\n2 do poll [[:poll {{k [[2 7]]}}]]"),
            Violated,
            vec!["garbage-read", "inconsistent-offsets"],
        ),
        (format!("1 do poll [{all}]\n2 do poll [[:poll {{k [[9 3]]}}]]"), Violated, vec!["duplicate"]),
        (
            format!(
                "0 invoke txn [[:send k 9]]\n0 fail txn [[:send k 9]]\n1 do poll [{all}]\n1 do poll [[:poll {{k [[6 9]]}}]]"
            ),
            Violated,
            vec!["G1a"],
        ),
        (
            "1 do poll [[:poll {k [[0 1]]}]]\n2 do poll [[:poll {k [[5 3]]}]]".to_owned(),
            Violated,
            vec!["lost-write"],
        ),
        ("1 do poll [[:poll {k [[0 1] [2 2]]}]]".to_owned(), Valid, vec!["unseen"]),
        (
            format!("2 do poll [{all}]\n1 do poll [[:poll {{k [[0 1] [5 3]]}}]]"),
            Violated,
            vec!["int-poll-skip"],
        ),
    ]);
}

#[test]
fn consumers_of_logs_by_hand() {
    use Verdict::{Unknown, Valid, Violated};
    let all = ALL;
    judge_logs(vec![
        (
            format!("2 do poll [{all}]\n1 do poll [[:poll {{k [[2 2] [0 1]]}}]]"),
            Violated,
            vec!["int-nonmonotonic-poll"],
        ),
        (
            format!(
                "2 do poll [{all}]\n1 do poll [[:poll {{k [[0 1]]}}]]\n1 do poll [[:poll {{k [[5 3]]}}]]"
            ),
            Violated,
            vec!["poll-skip"],
        ),
        (
            format!(
                "2 do poll [{all}]\n1 do poll [[:poll {{k [[2 2]]}}]]\n1 do poll [[:poll {{k [[2 2]]}}]]"
            ),
            Violated,
            vec!["nonmonotonic-poll"],
        ),
        (
            format!(
                "2 do poll [{all}]\n1 do poll [[:poll {{k [[2 2]]}}]]\n1 do assign [k]\n1 do poll [[:poll {{k [[0 1]]}}]]"
            ),
            Valid,
            vec![],
        ),
        (
            format!(
                "2 do poll [{all}]\n1 do subscribe [k]\n1 do poll [[:poll {{k [[2 2]]}}]]\n1 do poll [[:poll {{k [[0 1]]}}]]"
            ),
            Valid,
            vec!["nonmonotonic-poll"],
        ),
        (
            format!("3 do txn [[:send k [6 4]] [:poll {{k [[6 4]]}}]]\n1 do poll [{all}]"),
            Violated,
            vec!["precommitted-read"],
        ),
        (
            format!(
                "3 do txn [[:send j [6 4]] [:send j [5 5]]]\n1 do poll [{all} [:poll {{j [[5 5] [6 4]]}}]]"
            ),
            Violated,
            vec!["int-nonmonotonic-send"],
        ),
        (
            format!(
                "3 do txn [[:send j [6 4]]]\n3 do txn [[:send j [5 5]]]\n1 do poll [{all} [:poll {{j [[5 5] [6 4]]}}]]"
            ),
            Violated,
            vec!["nonmonotonic-send", "G0-process"],
        ),
        (String::new(), Unknown, vec!["unseen"]),
    ]);
}

#[test]
fn circles_of_logs_by_hand() {
    use Verdict::{Valid, Violated};
    let seen = "2 do poll [[:poll {k [[0 1] [2 2] [5 3]], a [[0 1] [1 2]], b [[0 1] [1 2]]}]]";
    judge_logs(vec![
        // Each polled what the other had not committed.
        (
            format!(
                "3 do txn [[:send a [0 1]] [:poll {{b [[0 1]]}}]]\n4 do txn [[:send b [0 1]] [:poll {{a [[0 1]]}}]]\n2 do poll [{ALL}]"
            ),
            Violated,
            vec!["G1c"],
        ),
        // It was polled before it was sent.
        (
            format!(
                "3 invoke poll [[:poll]]\n3 ok poll [[:poll {{a [[0 1]]}}]]\n4 invoke send [[:send a 1]]\n4 ok send [[:send a [0 1]]]\n2 do poll [{ALL}]"
            ),
            Violated,
            vec!["G1c-realtime"],
        ),
        (
            format!(
                "3 invoke txn [[:poll]]\n3 ok txn [[:poll {{a [[0 1]]}}]]\n3 do txn [[:send a [0 1]]]\n2 do poll [{ALL}]"
            ),
            Violated,
            vec!["G1c-process"],
        ),
        // Writes of two transactions get between each other.
        (
            format!(
                "3 invoke txn [[:send a 1] [:send b 2]]\n4 invoke txn [[:send b 1] [:send a 2]]\n3 ok txn [[:send a [0 1]] [:send b [1 2]]]\n4 ok txn [[:send b [0 1]] [:send a [1 2]]]\n{seen}"
            ),
            Valid,
            vec!["G0"],
        ),
        (
            "3 invoke txn [[:send a 1] [:send a 3]]\n4 invoke txn [[:send a 2]]\n3 ok txn [[:send a [0 1]] [:send a [2 3]]]\n4 ok txn [[:send a [1 2]]]\n2 do poll [[:poll {k [[0 1] [2 2] [5 3]], a [[0 1] [1 2] [2 3]]}]]".to_owned(),
            Valid,
            vec!["G0", "int-send-skip"],
        ),
    ]);
}

#[test]
fn what_a_client_was_told_before_it_lost_sight_counts() {
    use Verdict::{Valid, Violated};
    let crashed = "4 invoke txn [[:send a 1] [:send a 2]]\n4 info txn [[:send a [0 1]] [:send a [1 2]]]";
    judge_logs(vec![
        // Nobody saw any of it: it may not have happened.
        (
            format!("{crashed}\n3 do send [[:send a [2 3]]]\n1 do poll [{ALL} [:poll {{a [[2 3]]}}]]"),
            Valid,
            vec![],
        ),
        // It did, and so did all of it.
        (
            format!(
                "{crashed}\n3 do send [[:send a [2 3]]]\n1 do poll [{ALL} [:poll {{a [[0 1]]}}]]\n2 do poll [[:poll {{a [[2 3]]}}]]"
            ),
            Violated,
            vec!["lost-write"],
        ),
        (
            format!("1 do subscribe [k]\n1 do poll [{ALL}]\n1 do subscribe [k]\n1 do poll [{ALL}]"),
            Valid,
            vec!["consumed-twice"],
        ),
    ]);
}

#[test]
fn orders_by_hand() {
    use Verdict::{Unknown, Valid, Violated};
    let cases = [
        ("0 do write 1\n0 do write 2\n1 do read [1 2]", Checker::CausalReverse, Valid, vec![]),
        ("0 do write 1\n0 do write 2\n1 do read [1]", Checker::CausalReverse, Valid, vec![]),
        (
            "0 do write 1\n0 do write 2\n1 do read [2]",
            Checker::CausalReverse,
            Violated,
            vec!["causal-reverse"],
        ),
        (
            "0 invoke write 1\n1 do write 2\n2 do read [2]\n0 ok write 1",
            Checker::CausalReverse,
            Valid,
            vec![],
        ),
        (
            "0 invoke write 1\n0 info write 1\n1 do write 2\n1 do read [2]",
            Checker::CausalReverse,
            Valid,
            vec![],
        ),
        ("0 do write [:x 1]\n0 do write [:y 2]\n1 do read [:y [2]]", Checker::CausalReverse, Valid, vec![]),
        (
            "0 do write [:x 1]\n0 do write [:x 2]\n1 do read [:x [2]]",
            Checker::CausalReverse,
            Violated,
            vec!["causal-reverse"],
        ),
        ("0 do write 1", Checker::CausalReverse, Unknown, vec![]),
        ("0 do insert [1 [7 nil]]\n1 do insert [2 [nil 8]]", Checker::AdyaG2, Valid, vec![]),
        ("0 do insert [1 [7 nil]]\n1 do insert [1 [nil 8]]", Checker::AdyaG2, Violated, vec!["G2"]),
        (
            "0 do insert [1 [7 nil]]\n1 invoke insert [1 [nil 8]]\n1 fail insert [1 [nil 8]]",
            Checker::AdyaG2,
            Valid,
            vec![],
        ),
        ("0 invoke insert [1 [7 nil]]", Checker::AdyaG2, Unknown, vec![]),
    ];
    for (lines, checker, verdict, anomalies) in cases {
        assert_eq!(judged(lines, checker), (verdict, anomalies), "{checker:?}\n{lines}");
    }
}

#[test]
fn an_anomaly_names_its_calls_and_says_what_is_wrong() {
    let found = check(&history("0 do add 1\n1 do add 2\n1 do read [2]"), SET);
    assert_eq!(found.anomalies[0].calls, [0, 2]);
    assert_eq!(found.anomalies[0].text, "1 was added (line 2), and the last read has it not");
    assert_eq!(found.exercised, BTreeMap::from([("adds", 2), ("reads", 1)]));
}

fn simulated(kind: Kind, isolation: Isolation) -> OpHistory {
    let mut out = Vec::new();
    let spec = Spec { info_per_mille: 20, ..Spec::new(kind, isolation, 1500, 3) };
    generate(&spec, &mut out).expect("memory takes it");
    read(&mut out.as_slice(), Format::Json).expect("a history")
}

#[test]
fn simulated_objects_are_judged_by_their_strength() {
    let bank = Checker::Bank(BankOptions { total: Some(800), allow_negative_balances: false });
    for (kind, checker) in
        [(Kind::Set, SET), (Kind::Set, FULL), (Kind::Queue, Checker::Queue), (Kind::Bank, bank)]
    {
        let strong = check(&simulated(kind, Isolation::Serializable), checker);
        assert_eq!(strong.verdict, Verdict::Valid, "{kind}: {:?}", strong.anomalies);
        let weak = check(&simulated(kind, Isolation::LostUpdate), checker);
        assert_eq!(weak.verdict, Verdict::Violated, "{kind}");
    }
}
