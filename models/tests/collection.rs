//! Sets, queues, counters, ids, accounts and forks: histories by hand with what is wrong in them, naive oracles,
//! and simulated objects of known strength.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crosscheck_models::collection::{BankOptions, Checker, Collected, SetOptions, check};
use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

fn parsed(text: &str) -> OpHistory {
    read(&mut text.as_bytes(), Format::Edn).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// Lines of `process type f value`.
fn history(lines: &str) -> OpHistory {
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

fn judged(lines: &str, checker: Checker) -> (Verdict, Vec<&'static str>) {
    let found = check(&history(lines), checker);
    (found.verdict, kinds(&found))
}

const FULL: Checker = Checker::SetFull(SetOptions { linearizable: false });
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
            Checker::LongFork,
            Valid,
            vec![],
        ),
        (
            "0 do txn [[:r 1 1] [:r 2 nil]]\n1 do txn [[:r 2 1] [:r 1 nil]]",
            Checker::LongFork,
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
            vec!["nonmonotonic-send"],
        ),
        (String::new(), Unknown, vec!["unseen"]),
    ]);
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

/// A history of a set or a counter: operations with overlapping spans.
fn spans() -> impl Strategy<Value = Vec<(u8, u8, u32, u32, u8)>> {
    let op = (0..3_u8, 0..16_u8, 0..12_u32, 0..6_u32, 0..6_u8);
    proptest::collection::vec(op, 1..9)
}

/// Events in the order of their moments, with places as the parser gives them.
fn lines_of(
    ops: &[(u8, u8, u32, u32, u8)],
    show: impl Fn(usize, &(u8, u8, u32, u32, u8), &str) -> String,
) -> String {
    let mut moments = Vec::new();
    for (at, op) in ops.iter().enumerate() {
        moments.push((op.2 * 2, 0, at, "invoke"));
        let kind = match op.4 {
            0 => "info",
            1 => "fail",
            _ => "ok",
        };
        moments.push((op.2 * 2 + op.3 * 2 + 1, 1, at, kind));
    }
    moments.sort_unstable();
    moments.iter().map(|(_, _, at, kind)| show(*at, &ops[*at], kind)).collect::<Vec<_>>().join("\n")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    /// Element by element, read by read, as the definition of set-full has it.
    #[test]
    fn set_full_agrees_with_its_definition(ops in spans()) {
        let lines = lines_of(&ops, |at, op, kind| {
            if op.0 == 0 {
                return format!("{at} {kind} add {}", at % 4);
            }
            let elements: Vec<String> = (0..4).filter(|bit| op.1 >> bit & 1 == 1).map(|bit: u8| bit.to_string()).collect();
            format!("{at} {kind} read [{}]", elements.join(" "))
        });
        // Values repeat beyond four operations: each is added once.
        let adds: BTreeSet<usize> = (0..ops.len()).filter(|at| ops[*at].0 == 0).map(|at| at % 4).collect();
        prop_assume!((0..ops.len()).filter(|at| ops[*at].0 == 0).count() == adds.len());
        let history = history(&lines);
        let found = check(&history, FULL);
        let calls: Vec<_> = history.calls().iter().map(|call| (call, history.f(call.telling_op()), history.value_of(call))).collect();
        let mut reads: Vec<_> = calls
            .iter()
            .filter(|(call, f, _)| *f == "read" && call.outcome == crosscheck_models::foreign::Outcome::Ok)
            .map(|(call, _, value)| (call, value.items().expect("a list").map(|item| item.to_string()).collect::<Vec<_>>()))
            .collect();
        reads.sort_by_key(|(call, _)| call.begin);
        let (mut lost, mut stale, mut never) = (0, 0, 0);
        for (add, _, value) in calls.iter().filter(|(call, f, _)| *f == "add" && call.outcome != crosscheck_models::foreign::Outcome::Fail) {
            let element = value.to_string();
            let has = |read: &&(&&crosscheck_models::foreign::Call, Vec<String>)| read.1.contains(&element);
            let known = reads.iter().filter(has).map(|(call, _)| call.end).chain([add.end]).min().expect("one");
            let present = reads.iter().rposition(|read| read.1.contains(&element));
            let absent = reads.iter().rposition(|read| !read.1.contains(&element)).filter(|at| reads[*at].0.begin > known);
            match (absent, present) {
                (Some(absent), present) if present.is_none_or(|present| present < absent) => lost += 1,
                (Some(_), _) => stale += 1,
                (None, None) => never += 1,
                (None, Some(_)) => {}
            }
        }
        let count = |kind: &str| found.anomalies.iter().find(|one| one.kind == kind).map_or(0, |one| one.count);
        prop_assert_eq!((count("lost"), count("stale"), count("never-read")), (lost, stale, never), "{}", lines);
    }

    /// A counter's read is possible if some set of the adds that may have happened gives its value.
    #[test]
    fn counters_agree_with_their_bounds(ops in spans()) {
        let lines = lines_of(&ops, |at, op, kind| match op.0 {
            0 => format!("{at} {kind} add {}", i64::from(op.1) - 5),
            _ => format!("{at} {kind} read {}", i64::from(op.1) - 5),
        });
        let history = history(&lines);
        let expected = history.calls().iter().filter(|read| {
            let is_read = history.f(read.telling_op()) == "read" && read.outcome == crosscheck_models::foreign::Outcome::Ok;
            let (mut least, mut most) = (0, 0);
            for add in history.calls().iter().filter(|call| history.f(call.telling_op()) == "add") {
                let amount = history.value_of(add).as_int().expect("a number");
                let must = add.outcome == crosscheck_models::foreign::Outcome::Ok && add.end < read.begin;
                let may = add.outcome != crosscheck_models::foreign::Outcome::Fail && add.begin < read.end;
                least += if must || (may && amount < 0) { amount } else { 0 };
                most += if must || (may && amount > 0) { amount } else { 0 };
            }
            is_read && !(least..=most).contains(&history.value_of(read).as_int().expect("a number"))
        });
        let found = check(&history, Checker::Counter);
        let count = found.anomalies.iter().map(|one| one.count).sum::<u64>();
        prop_assert_eq!(count, expected.count() as u64, "{}", lines);
    }

    /// Consumers that read one log from where they stand, and start over when they are assigned, are not accused.
    #[test]
    fn no_correct_consumer_is_accused(moves in proptest::collection::vec((0..6_u8, 0..3_usize, 1..4_usize), 1..40)) {
        let mut lines = String::new();
        let (mut log, mut stands, mut offset) = (Vec::new(), [0_usize; 3], 0);
        for (what, who, count) in moves {
            match what {
                0 | 1 => {
                    // A marker of a transaction takes an offset every now and then.
                    offset += count;
                    log.push(offset);
                    writeln!(lines, "{who} do txn [[:send 1 [{offset} {offset}]]]").expect("text grows");
                }
                2 => {
                    stands[who] = 0;
                    writeln!(lines, "{} do assign [1]", who + 10).expect("text grows");
                }
                _ => {
                    let polled: Vec<String> =
                        log.iter().skip(stands[who]).take(count).map(|offset| format!("[{offset} {offset}]")).collect();
                    stands[who] += polled.len();
                    writeln!(lines, "{} do poll [[:poll {{1 [{}]}}]]", who + 10, polled.join(" ")).expect("text grows");
                }
            }
        }
        let found = judged(&lines, Checker::Kafka);
        prop_assert_ne!(found.0, Verdict::Violated, "{:?}\n{}", found.1, lines);
    }

    /// Any two reads, compared directly.
    #[test]
    fn long_forks_agree_with_pairs(reads in proptest::collection::vec(0..8_u8, 1..6)) {
        let mut lines = String::new();
        for (at, seen) in reads.iter().enumerate() {
            let mops: Vec<String> = (0..3)
                .map(|key| format!("[:r {key} {}]", if seen >> key & 1 == 1 { "1" } else { "nil" }))
                .collect();
            writeln!(lines, "{at} do txn [{}]", mops.join(" ")).expect("text grows");
        }
        let is_fork = reads.iter().any(|one| reads.iter().any(|other| one & other != *one && one & other != *other));
        let found = judged(&lines, Checker::LongFork);
        prop_assert_eq!(found.0 == Verdict::Violated, is_fork, "{}", lines);
    }
}
