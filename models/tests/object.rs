//! Linearizability of single objects: against an oracle that tries every order, and against simulated objects of
//! known strength.

use std::collections::VecDeque;
use std::fmt::Write as _;

use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::object::{Keys, Linearizability, Object, linearizable, verify_linearization};
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

fn parsed(text: &str) -> OpHistory {
    read(&mut text.as_bytes(), Format::Edn).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn judged(history: &OpHistory, object: Object) -> Linearizability {
    let found = linearizable(history, object, Keys::Told, &mut || true).expect("such an object");
    if found.verdict == Verdict::Valid {
        verify_linearization(history, object, Keys::Told, &found)
            .unwrap_or_else(|error| panic!("{error}\n{found:?}"));
    }
    assert_eq!(found.witness.is_some(), found.verdict == Verdict::Violated);
    found
}

/// An operation of a random history.
#[derive(Debug, Clone)]
struct Called {
    f: &'static str,
    args: (i64, i64),
    begin: u32,
    end: u32,
    outcome: &'static str,
}

/// What the oracle knows of an object: as plain as can be.
#[derive(Clone, Default)]
struct Plain {
    value: Option<i64>,
    count: i64,
    is_held: bool,
    items: VecDeque<i64>,
}

impl Plain {
    /// Whether the operation can happen now; it has, then.
    fn happens(&mut self, op: &Called) -> bool {
        let (one, two) = op.args;
        match op.f {
            "read" => self.value == (one != 0).then_some(one),
            "write" => {
                self.value = Some(one);
                true
            }
            "cas" => {
                let fits = self.value == Some(one);
                self.value = if fits { Some(two) } else { self.value };
                fits
            }
            "add" => {
                self.count += one;
                true
            }
            "count" => self.count == one,
            "acquire" => !std::mem::replace(&mut self.is_held, true),
            "release" => std::mem::replace(&mut self.is_held, false),
            "enqueue" => {
                self.items.push_back(one);
                true
            }
            "dequeue" if op.outcome == "info" => {
                self.items.pop_front();
                true
            }
            _ => self.items.pop_front() == Some(one),
        }
    }
}

/// Tries every order.
fn is_linearizable(state: &Plain, left: &[Called]) -> bool {
    if left.iter().all(|op| op.outcome == "info") {
        return true;
    }
    let deadline = left.iter().filter(|op| op.outcome == "ok").map(|op| op.end).min().unwrap_or(u32::MAX);
    (0..left.len()).filter(|at| left[*at].begin < deadline).any(|at| {
        let mut after = state.clone();
        let mut rest = left.to_vec();
        let op = rest.remove(at);
        after.happens(&op) && is_linearizable(&after, &rest)
    })
}

fn edn(ops: &[Called]) -> String {
    let mut moments: Vec<(u32, String)> = Vec::new();
    for (process, op) in ops.iter().enumerate() {
        let f = if op.f == "count" { "read" } else { op.f };
        let value = match op.f {
            "cas" => format!("[{} {}]", op.args.0, op.args.1),
            "read" if op.args.0 == 0 => "nil".to_owned(),
            "acquire" | "release" => "nil".to_owned(),
            "dequeue" if op.outcome == "info" => "nil".to_owned(),
            _ => op.args.0.to_string(),
        };
        let line = |kind: &str| format!("{{:process {process} :type :{kind} :f :{f} :value {value}}}\n");
        moments.push((op.begin, line("invoke")));
        moments.push((op.end, line(op.outcome)));
    }
    moments.sort();
    moments.into_iter().map(|(_, line)| line).collect()
}

/// Random operations, their spans a permutation of moments.
fn called(names: &'static [&'static str], unique: bool) -> impl Strategy<Value = Vec<Called>> {
    let op = (0..names.len(), 0..4_i64, 1..4_i64, 0..8_u8);
    (proptest::collection::vec(op, 1..7), any::<u64>()).prop_map(move |(ops, seed)| {
        let mut moments: Vec<u32> = (0..ops.len() as u32 * 2).collect();
        let mut state = seed;
        for at in (1..moments.len()).rev() {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Near neighbours are exchanged more often: some histories are nearly sequential.
            let reach = if seed.is_multiple_of(2) { 3.min(at) } else { at };
            moments.swap(at, at - (state >> 33) as usize % (reach + 1));
        }
        ops.into_iter()
            .enumerate()
            .map(|(at, (name, one, two, chance))| {
                let (first, second) = (moments[at * 2], moments[at * 2 + 1]);
                let f = names[name];
                let outcome = match chance {
                    0 => "info",
                    1 if f != "dequeue" => "fail",
                    _ => "ok",
                };
                let one = if unique && f == "write" { at as i64 + 1 } else { one };
                let one = if matches!(f, "write" | "enqueue" | "cas") { one.max(1) } else { one };
                Called { f, args: (one, two), begin: first.min(second), end: first.max(second), outcome }
            })
            .collect()
    })
}

fn agrees(ops: &[Called], object: Object) -> Result<(), TestCaseError> {
    let happened: Vec<Called> = ops.iter().filter(|op| op.outcome != "fail").cloned().collect();
    let happened: Vec<Called> = happened
        .into_iter()
        .filter(|op| !(matches!(op.f, "read" | "count") && op.outcome == "info"))
        .collect();
    let expected = is_linearizable(&Plain::default(), &happened);
    let text = edn(ops);
    let found = judged(&parsed(&text), object);
    let is_empty = found.verdict == Verdict::Unknown
        && found.reason.is_some_and(|reason| reason.contains("no operations"));
    prop_assert!(is_empty || (found.verdict == Verdict::Valid) == expected, "{:?}\n{}", found.witness, text);
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn registers_with_unique_values_agree(ops in called(&["read", "read", "write"], true)) {
        agrees(&ops, Object::Register)?;
    }

    #[test]
    fn registers_agree(ops in called(&["read", "write", "cas"], false)) {
        agrees(&ops, Object::Register)?;
    }

    #[test]
    fn counters_agree(ops in called(&["count", "add"], false)) {
        agrees(&ops, Object::Counter)?;
    }

    #[test]
    fn locks_agree(ops in called(&["acquire", "release"], false)) {
        agrees(&ops, Object::Mutex)?;
    }

    #[test]
    fn queues_agree(ops in called(&["enqueue", "dequeue"], false)) {
        agrees(&ops, Object::FifoQueue)?;
    }
}

fn simulated(kind: Kind, isolation: Isolation, change: impl Fn(&mut Spec)) -> OpHistory {
    let mut spec = Spec::new(kind, isolation, 2000, 7);
    change(&mut spec);
    let mut out = Vec::new();
    generate(&spec, &mut out).expect("memory takes it");
    read(&mut out.as_slice(), Format::Json).expect("a history")
}

#[test]
fn simulated_registers_are_judged_by_their_strength() {
    for kind in [Kind::Register, Kind::CasRegister] {
        for info in [0, 20] {
            let history = simulated(kind, Isolation::Serializable, |spec| spec.info_per_mille = info);
            assert_eq!(judged(&history, Object::Register).verdict, Verdict::Valid, "{kind} {info}");
        }
        let weak = simulated(kind, Isolation::SnapshotIsolation, |spec| spec.clients = 4);
        assert_eq!(judged(&weak, Object::Register).verdict, Verdict::Violated, "{kind}");
    }
}

#[test]
fn a_search_without_budget_is_unknown() {
    let history = simulated(Kind::CasRegister, Isolation::Serializable, |spec| spec.txns = 20_000);
    let found = linearizable(&history, Object::Register, Keys::Told, &mut || false).expect("a register");
    assert_eq!(found.verdict, Verdict::Unknown);
    assert!(found.reason.is_some_and(|reason| reason.starts_with("the time was over")));
}

#[test]
fn independent_keys_are_judged_one_by_one() {
    let mut text = String::new();
    for (process, f, value) in
        [(0, "write", "[:x 1]"), (0, "read", "[:x 1]"), (1, "read", "[:y nil]"), (0, "read", "[:x nil]")]
    {
        for kind in ["invoke", "ok"] {
            writeln!(text, "{{:process {process} :type :{kind} :f :{f} :value {value}}}")
                .expect("text grows");
        }
    }
    let found = judged(&parsed(&text), Object::Register);
    let witness = found.witness.expect("x goes back");
    assert_eq!((witness.kind, witness.key.as_deref()), ("stale-read", Some(":x")));
}

#[test]
fn what_contradicts_a_register_is_named() {
    let cases = [
        (
            "{:process 0 :type :invoke :f :write :value 1}{:process 0 :type :fail :f :write :value 1}{:process 1 :type :ok :f :read :value 1}",
            "G1a",
        ),
        ("{:process 1 :type :ok :f :read :value 1}", "garbage-read"),
        (
            "{:process 1 :type :ok :f :read :value 1}{:process 0 :type :invoke :f :write :value 1}{:process 0 :type :ok :f :write :value 1}",
            "future-read",
        ),
    ];
    for (text, kind) in cases {
        assert_eq!(judged(&parsed(text), Object::Register).witness.expect("a witness").kind, kind, "{text}");
    }
}
