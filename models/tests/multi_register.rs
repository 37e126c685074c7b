//! Transactions over several registers: by hand, against an oracle that tries every order, and objects by key.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::object::{Keys, Object, linearizable, verify_linearization};
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

fn parsed(text: &str) -> OpHistory {
    read(&mut text.as_bytes(), Format::Edn).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn judged(text: &str, object: Object, keys: Keys) -> Verdict {
    let history = parsed(text);
    let found = linearizable(&history, object, keys, &mut || true).expect("such an object");
    if found.verdict == Verdict::Valid {
        verify_linearization(&history, object, keys, &found)
            .unwrap_or_else(|error| panic!("{error}\n{text}"));
    }
    assert_eq!(found.witness.is_some(), found.verdict == Verdict::Violated);
    found.verdict
}

/// One client after another, each operation by itself.
fn in_turn(ops: &[(&str, &str, &str)]) -> String {
    ops.iter().enumerate().fold(String::new(), |mut text, (process, (f, kind, value))| {
        let _ = writeln!(text, "{{:process {process} :type :invoke :f :{f} :value {value}}}");
        let _ = writeln!(text, "{{:process {process} :type :{kind} :f :{f} :value {value}}}");
        text
    })
}

#[test]
fn transactions_are_seen_whole_and_by_whoever_begins_later() {
    let both = ("txn", "ok", "[[:w x 1] [:w y 1]]");
    let judged = |ops: &[(&str, &str, &str)]| judged(&in_turn(ops), Object::MultiRegister, Keys::Told);
    assert_eq!(judged(&[both, ("txn", "ok", "[[:r x 1] [:r y 1]]")]), Verdict::Valid);
    assert_eq!(judged(&[both, ("txn", "ok", "[[:r x 1] [:r y nil]]")]), Verdict::Violated);
    assert_eq!(judged(&[both, ("txn", "ok", "[[:r x nil] [:w x 2]]")]), Verdict::Violated);
    assert_eq!(judged(&[both, ("txn", "ok", "[[:w x 2] [:r x 2] [:r y 1]]")]), Verdict::Valid);
}

#[test]
fn an_undecided_transaction_may_have_happened_or_not_and_a_failed_one_has_not() {
    let judged = |kind: &'static str, seen: &'static str| {
        let ops = [("txn", kind, "[[:w x 1] [:w y 1]]"), ("txn", "ok", seen)];
        judged(&in_turn(&ops), Object::MultiRegister, Keys::Told)
    };
    for seen in ["[[:r x 1] [:r y 1]]", "[[:r x nil] [:r y nil]]"] {
        assert_eq!(judged("info", seen), Verdict::Valid);
    }
    assert_eq!(judged("info", "[[:r x 1] [:r y nil]]"), Verdict::Violated);
    assert_eq!(judged("fail", "[[:r x 1] [:r y 1]]"), Verdict::Violated);
}

#[test]
fn what_is_no_transaction_of_registers_is_refused_with_its_line() {
    for (value, said) in [
        ("[[:append x 1]]", "check it as list-append"),
        ("[[:w x]]", "a list of micro-operations"),
        ("7", "a list of micro-operations"),
        ("[[:w x [1 2]]]", "a number, a text or a name"),
    ] {
        let history = parsed(&in_turn(&[("txn", "ok", value)]));
        let refused = linearizable(&history, Object::MultiRegister, Keys::Told, &mut || true);
        let error = refused.expect_err("it is no such transaction");
        assert!(error.to_string().contains(said) && error.line == 2, "{value}: {error}");
    }
}

#[test]
fn with_keys_each_is_an_object_by_itself() {
    let locks = in_turn(&[("acquire", "ok", "[a nil]"), ("acquire", "ok", "[b nil]")]);
    assert_eq!(judged(&locks, Object::Mutex, Keys::Told), Verdict::Violated, "one lock is taken twice");
    assert_eq!(judged(&locks, Object::Mutex, Keys::Independent), Verdict::Valid, "two locks are taken once");
    let counters = in_turn(&[("add", "ok", "[a 1]"), ("add", "ok", "[b 2]"), ("read", "ok", "[a 3]")]);
    assert_eq!(judged(&counters, Object::Counter, Keys::Independent), Verdict::Violated);
    let history = parsed(&in_turn(&[("acquire", "ok", "nil")]));
    let error = linearizable(&history, Object::Mutex, Keys::Independent, &mut || true).expect_err("no pair");
    assert!(error.to_string().contains("a pair: [key value]"), "{error}");
}

/// A read or a write of one of two registers.
type Micro = (bool, u8, u8);

#[derive(Debug, Clone)]
struct Called {
    micros: Vec<Micro>,
    begin: u32,
    end: u32,
    is_info: bool,
}

fn happens(values: &mut BTreeMap<u8, u8>, op: &Called) -> bool {
    op.micros.iter().all(|(is_write, register, value)| {
        if *is_write {
            values.insert(*register, *value);
        }
        let now = values.get(register).copied().unwrap_or_default();
        *is_write || op.is_info || now == *value
    })
}

/// Tries every order.
fn is_linearizable(values: &BTreeMap<u8, u8>, left: &[Called]) -> bool {
    let decided = || left.iter().filter(|op| !op.is_info);
    let Some(deadline) = decided().map(|op| op.end).min() else { return true };
    (0..left.len()).filter(|at| left[*at].begin < deadline).any(|at| {
        let (mut after, mut rest) = (values.clone(), left.to_vec());
        let op = rest.remove(at);
        happens(&mut after, &op) && is_linearizable(&after, &rest)
    })
}

fn edn(ops: &[Called]) -> String {
    let mut moments: Vec<(u32, String)> = Vec::new();
    for (process, op) in ops.iter().enumerate() {
        let micro = |(is_write, register, value): &Micro| match (is_write, value) {
            (true, value) => format!("[:w {register} {value}]"),
            (false, 0) => format!("[:r {register} nil]"),
            (false, value) => format!("[:r {register} {value}]"),
        };
        let value = op.micros.iter().map(micro).collect::<Vec<_>>().join(" ");
        let line = |kind: &str| format!("{{:process {process} :type :{kind} :f :txn :value [{value}]}}\n");
        moments.push((op.begin, line("invoke")));
        moments.push((op.end, line(if op.is_info { "info" } else { "ok" })));
    }
    moments.sort();
    moments.into_iter().map(|(_, line)| line).collect()
}

/// Random transactions, their spans a permutation of moments. A value of 0 stands for nil, and nobody writes it.
fn called() -> impl Strategy<Value = Vec<Called>> {
    let micro = (any::<bool>(), 0..2_u8, 0..3_u8).prop_map(|(is_write, register, value)| {
        (is_write, register, if is_write { value.max(1) } else { value })
    });
    let txn = (proptest::collection::vec(micro, 1..4), (0..5_u8).prop_map(|die| die == 0));
    proptest::collection::vec(txn, 1..6).prop_flat_map(|txns| {
        let moments: Vec<u32> = (0..txns.len() as u32 * 2).collect();
        (Just(txns), Just(moments).prop_shuffle()).prop_map(|(txns, moments)| {
            let spans = moments.chunks(2).map(|pair| (pair[0].min(pair[1]), pair[0].max(pair[1])));
            txns.into_iter()
                .zip(spans)
                .map(|((micros, is_info), (begin, end))| Called { micros, begin, end, is_info })
                .collect()
        })
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn the_search_agrees_with_every_order(ops in called()) {
        let expected = is_linearizable(&BTreeMap::new(), &ops);
        let found = judged(&edn(&ops), Object::MultiRegister, Keys::Told);
        prop_assert_eq!(found == Verdict::Valid, expected, "{}", edn(&ops));
    }
}
