//! Against definitions as plain as can be, and no false accusations of what is correct.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use crosscheck_models::collection::{Checker, check};
use crosscheck_models::foreign::{Call, Outcome};
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

use crate::by_hand::{FULL, history, judged};

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
            .filter(|(call, f, _)| *f == "read" && call.outcome == Outcome::Ok)
            .map(|(call, _, value)| (call, value.items().expect("a list").map(|item| item.to_string()).collect::<Vec<_>>()))
            .collect();
        reads.sort_by_key(|(call, _)| call.begin);
        let (mut lost, mut stale, mut never) = (0, 0, 0);
        for (add, _, value) in calls.iter().filter(|(call, f, _)| *f == "add" && call.outcome != Outcome::Fail) {
            let element = value.to_string();
            let has = |read: &&(&&Call, Vec<String>)| read.1.contains(&element);
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
            let is_read = history.f(read.telling_op()) == "read" && read.outcome == Outcome::Ok;
            let (mut least, mut most) = (0, 0);
            for add in history.calls().iter().filter(|call| history.f(call.telling_op()) == "add") {
                let amount = history.value_of(add).as_int().expect("a number");
                let must = add.outcome == Outcome::Ok && add.end < read.begin;
                let may = add.outcome != Outcome::Fail && add.begin < read.end;
                least += if must || (may && amount < 0) { amount } else { 0 };
                most += if must || (may && amount > 0) { amount } else { 0 };
            }
            is_read && !(least..=most).contains(&history.value_of(read).as_int().expect("a number"))
        });
        let found = check(&history, Checker::Counter);
        let count = found.anomalies.iter().map(|one| one.count).sum::<u64>();
        prop_assert_eq!(count, expected.count() as u64, "{}", lines);
    }

    /// Any read, any write that it has, and any that had ended before that one began.
    #[test]
    fn causal_reverse_agrees_with_its_definition(ops in spans()) {
        let lines = lines_of(&ops, |at, op, kind| {
            let seen: Vec<String> = (0..8).filter(|bit| op.1 >> (bit % 4) & 1 == 1 || *bit == op.3).map(|bit| bit.to_string()).collect();
            if op.0 == 0 { format!("{at} {kind} read [{}]", seen.join(" ")) } else { format!("{at} {kind} write {at}") }
        });
        let history = history(&lines);
        let of = |wanted: &str| -> Vec<Call> {
            history.calls().iter().filter(|call| history.f(call.telling_op()) == wanted).copied().collect()
        };
        let has = |read: &Call, write: &Call| {
            let (list, value) = (history.value_of(read).to_string(), history.value_of(write).to_string());
            list.trim_matches(['[', ']']).split(' ').any(|element| element == value)
        };
        let expected = of("read").into_iter().filter(|read| read.outcome == Outcome::Ok).filter(|read| {
            of("write").iter().filter(|later| has(read, later)).any(|later| {
                of("write").iter().filter(|earlier| earlier.outcome == Outcome::Ok).any(|earlier| {
                    earlier.end < later.begin && !has(read, earlier)
                })
            })
        });
        let expected = expected.count() as u64;
        let count = check(&history, Checker::CausalReverse).anomalies.iter().map(|one| one.count).sum::<u64>();
        prop_assert_eq!(count, expected, "{}", lines);
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
        let found = judged(&lines, Checker::LongFork(None));
        prop_assert_eq!(found.0 == Verdict::Violated, is_fork, "{}", lines);
    }
}
