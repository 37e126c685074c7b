//! Read committed, read atomic and causal consistency: textbook histories, an oracle that tries every order of
//! commits, and simulated databases of known strength.

use std::collections::{BTreeMap, BTreeSet};

use crosscheck_models::foreign::{Format, OpHistory, Outcome, read};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::verdict::Verdict;
use crosscheck_models::weak::{Circle, Link, Reason, Weak, WeakLevel, verify_circle, weak};
use proptest::prelude::*;

const LEVELS: [WeakLevel; 3] = [WeakLevel::ReadCommitted, WeakLevel::ReadAtomic, WeakLevel::Causal];

fn judged(history: &OpHistory, level: WeakLevel) -> Weak {
    let found = weak(history, level, &mut || true).expect("registers");
    if let Some(circle) = &found.circle {
        verify_circle(history, level, circle).unwrap_or_else(|error| panic!("{error}\n{circle:#?}"));
    }
    found
}

/// Which of the levels a history in AWDIT's text is of.
fn levels(text: &str) -> Vec<&'static str> {
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let valid = LEVELS.into_iter().filter(|level| judged(&history, *level).verdict == Verdict::Valid);
    valid.map(WeakLevel::name).collect()
}

#[test]
fn textbook_histories() {
    let cases = [
        (
            "one after the other",
            "w(1,1,0,0) w(2,1,0,0) r(1,1,1,1) r(2,1,1,1)",
            vec!["read-committed", "read-atomic", "causal"],
        ),
        ("fractured read", "w(1,1,0,0) w(2,1,0,0) r(1,1,1,1) r(2,0,1,1)", vec![]),
        (
            "fractured read, the other way round",
            "w(1,1,0,0) w(2,1,0,0) r(2,0,1,1) r(1,1,1,1)",
            vec!["read-committed"],
        ),
        ("a read that changes", "w(1,1,0,0) w(1,2,0,1) r(1,1,1,2) r(1,2,1,2)", vec!["read-committed"]),
        ("a read that goes back", "w(1,1,0,0) w(1,2,0,1) r(1,2,1,2) r(1,1,1,2)", vec![]),
        (
            "the write of another after one's own",
            "w(1,1,0,0) w(1,2,1,1) r(1,2,1,2) r(1,1,1,3)",
            vec!["read-committed", "read-atomic", "causal"],
        ),
        // The past of what was read shows itself only under causal consistency.
        (
            "causal violation",
            "w(1,1,0,0) r(1,1,1,1) w(2,1,1,1) r(2,1,2,2) r(1,0,2,3)",
            vec!["read-committed", "read-atomic"],
        ),
        (
            "long fork",
            "w(1,1,0,0) w(2,1,1,1) r(1,1,2,2) r(2,0,2,2) r(2,1,3,3) r(1,0,3,3)",
            vec!["read-committed", "read-atomic", "causal"],
        ),
        (
            "lost update",
            "r(1,0,0,0) w(1,1,0,0) r(1,0,1,1) w(1,2,1,1)",
            vec!["read-committed", "read-atomic", "causal"],
        ),
        (
            "two sessions see two writes in opposite orders",
            "w(1,1,0,0) w(1,2,1,1) r(1,1,2,2) r(1,2,2,3) r(1,2,3,4) r(1,1,3,5)",
            vec!["read-committed", "read-atomic"],
        ),
        ("reads from each other", "r(1,1,0,0) w(2,1,0,0) r(2,1,1,1) w(1,1,1,1)", vec![]),
        ("from nowhere", "r(1,7,0,0)", vec![]),
        ("intermediate", "w(1,1,0,0) w(1,2,0,0) r(1,1,1,1)", vec![]),
    ];
    for (name, text, expected) in cases {
        assert_eq!(levels(&text.replace(' ', "\n")), expected, "{name}");
    }
}

#[test]
fn a_circle_is_told_in_words() {
    let text = "w(1,1,0,0)\nr(1,1,1,1)\nw(2,1,1,1)\nr(2,1,2,2)\nr(1,0,2,3)\n";
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let circle = judged(&history, WeakLevel::Causal).circle.expect("a circle");
    assert_eq!(
        circle.text,
        [
            "T1 = line 1, process 0: [[:w 1 1]]",
            "T2 = the initial versions of all keys",
            "T1 comes before T2: both wrote 1, and line 5 had to see T1 and read T2",
            "T2 comes before T1 in its session",
        ]
    );
}

/// A transaction as the oracle sees it.
struct Plain {
    process: String,
    reads: Vec<(String, String)>,
    writes: BTreeMap<String, String>,
}

/// The transactions that happened; none if a read is of nothing that one of them installed.
fn plain(history: &OpHistory) -> Option<Vec<Plain>> {
    let mut txns: Vec<(Plain, Outcome, bool)> = Vec::new();
    for call in history.calls() {
        let (mut reads, mut writes) = (Vec::new(), BTreeMap::new());
        let mut is_sound = true;
        for mop in history.value_of(call).items()? {
            let parts: Vec<String> = mop.items()?.map(|part| part.to_string()).collect();
            match parts[0].as_str() {
                "\"w\"" => drop(writes.insert(parts[1].clone(), parts[2].clone())),
                _ if call.outcome != Outcome::Ok => {}
                _ => match writes.get(&parts[1]) {
                    Some(own) => is_sound &= *own == parts[2],
                    None => reads.push((parts[1].clone(), parts[2].clone())),
                },
            }
        }
        let process = history.store().show(history.ops()[call.telling_op() as usize].process);
        txns.push((Plain { process, reads, writes }, call.outcome, is_sound));
    }
    let read: BTreeSet<(String, String)> = txns.iter().flat_map(|txn| txn.0.reads.clone()).collect();
    let is_read = |txn: &Plain| {
        // Any value that it wrote, of those that it wrote over too.
        txn.writes.iter().any(|(key, value)| read.contains(&(key.clone(), value.clone())))
    };
    if txns.iter().any(|(_, _, is_sound)| !is_sound) {
        return None;
    }
    let happened: Vec<Plain> = txns
        .into_iter()
        .filter(|(txn, outcome, _)| *outcome == Outcome::Ok || *outcome == Outcome::Info && is_read(txn))
        .map(|(txn, _, _)| txn)
        .collect();
    let installed = |key: &str, value: &str, reader: usize| {
        value == "nil"
            || happened
                .iter()
                .enumerate()
                .any(|(at, txn)| at != reader && txn.writes.get(key).is_some_and(|own| own == value))
    };
    let is_explained = happened
        .iter()
        .enumerate()
        .all(|(at, txn)| txn.reads.iter().all(|(key, value)| installed(key, value, at)));
    is_explained.then_some(happened)
}

/// Whether some order of commits keeps sessions and reads, and the axiom of the level.
fn is_of(level: WeakLevel, txns: &[Plain]) -> bool {
    let count = txns.len();
    // The initial transaction is the last by number and the first to commit.
    let source = |key: &str, value: &str| {
        txns.iter()
            .position(|txn| value != "nil" && txn.writes.get(key).is_some_and(|own| own == value))
            .unwrap_or(count)
    };
    let mut before = vec![vec![false; count]; count];
    for (later, txn) in txns.iter().enumerate() {
        (0..later)
            .filter(|earlier| txns[*earlier].process == txn.process)
            .for_each(|earlier| before[earlier][later] = true);
        for (key, value) in &txn.reads {
            let from = source(key, value);
            if from < count {
                before[from][later] = true;
            }
        }
    }
    let mut closed = before.clone();
    for via in 0..count {
        for from in 0..count {
            for to in 0..count {
                closed[from][to] |= closed[from][via] && closed[via][to];
            }
        }
    }
    let mut forced = Vec::new();
    for (reader, txn) in txns.iter().enumerate() {
        for (at, (key, value)) in txn.reads.iter().enumerate() {
            for other in (0..count).filter(|other| *other != reader && txns[*other].writes.contains_key(key))
            {
                let is_seen = match level {
                    WeakLevel::ReadCommitted => {
                        txn.reads[..at].iter().any(|(key, value)| source(key, value) == other)
                    }
                    WeakLevel::ReadAtomic => before[other][reader],
                    WeakLevel::Causal => closed[other][reader],
                };
                if is_seen && source(key, value) != other {
                    forced.push((other, source(key, value)));
                }
            }
        }
    }
    let mut order: Vec<usize> = (0..count).collect();
    permutations(&mut order, 0, &mut |order| {
        let place =
            |txn: usize| if txn == count { None } else { order.iter().position(|other| *other == txn) };
        let keeps = |one: usize, other: usize| place(one) < place(other);
        let is_given = (0..count).all(|one| (0..count).all(|other| !before[one][other] || keeps(one, other)));
        is_given && forced.iter().all(|(one, other)| keeps(*one, *other))
    })
}

fn permutations(order: &mut Vec<usize>, from: usize, found: &mut impl FnMut(&[usize]) -> bool) -> bool {
    if from == order.len() {
        return found(order);
    }
    for at in from..order.len() {
        order.swap(from, at);
        if permutations(order, from + 1, found) {
            return true;
        }
        order.swap(from, at);
    }
    false
}

const ISOLATIONS: [Isolation; 5] = [
    Isolation::Serializable,
    Isolation::SnapshotIsolation,
    Isolation::ReadCommitted,
    Isolation::ReadUncommitted,
    Isolation::LostUpdate,
];

fn text_of(spec: &Spec) -> String {
    let mut out = Vec::new();
    generate(spec, &mut out).expect("memory takes it");
    String::from_utf8(out).expect("JSON is text")
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn every_level_agrees_with_the_oracle(
        isolation in 0..5_usize,
        seed in any::<u64>(),
        txns in 2..6_u64,
        clients in 1..4_u64,
        keys in 1..4_u64,
        rate in prop_oneof![Just(0_u32), Just(200)],
        damage in proptest::collection::vec((any::<usize>(), 0..5_u8), 0..5),
    ) {
        let spec = Spec {
            clients, keys, writes_per_key: 100, info_per_mille: rate, fail_per_mille: rate / 2,
            ..Spec::new(Kind::RwRegister, ISOLATIONS[isolation], txns, seed)
        };
        let mut lines: Vec<String> = text_of(&spec).lines().map(str::to_owned).collect();
        for (at, value) in damage {
            let at = at % lines.len();
            let mut op: serde_json::Value = serde_json::from_str(&lines[at]).expect("a line of ours");
            // One read gives another value; the key has it more often than not.
            let mut reads = op["value"].as_array_mut().into_iter().flatten().filter(|mop| mop[0] == "r");
            if let Some(mop) = reads.next() {
                mop[2] = if value == 0 { serde_json::Value::Null } else { value.into() };
            }
            lines[at] = op.to_string();
        }
        let text = lines.join("\n");
        let history = read(&mut text.as_bytes(), Format::Json).expect("a history");
        let oracle = plain(&history);
        for level in LEVELS {
            let found = judged(&history, level);
            let expected = oracle.as_ref().is_some_and(|txns| is_of(level, txns));
            prop_assert_eq!(found.verdict == Verdict::Valid, expected, "{:?} {:#?}\n{}", level, found, text);
            prop_assert_eq!(found.order.is_some(), expected);
        }
    }
}

#[test]
fn simulated_databases_are_judged_by_their_strength() {
    let of = |isolation| {
        let text = text_of(&Spec::new(Kind::RwRegister, isolation, 2000, 9));
        let history = read(&mut text.as_bytes(), Format::Json).expect("a history");
        LEVELS.map(|level| judged(&history, level).verdict == Verdict::Valid)
    };
    assert_eq!(of(Isolation::Serializable), [true, true, true]);
    assert_eq!(of(Isolation::SnapshotIsolation), [true, true, true]);
    assert_eq!(of(Isolation::ReadCommitted), [true, false, false]);
    assert_eq!(of(Isolation::ReadUncommitted), [false, false, false]);
}

/// A history of transactions, and the circle that is found at the only level given.
fn circle_of(text: &str, level: WeakLevel) -> (OpHistory, Circle) {
    let history = read(&mut text.as_bytes(), Format::Plume).expect("a history");
    let circle = judged(&history, level).circle.expect("a circle");
    (history, circle)
}

fn is_shown(history: &OpHistory, level: WeakLevel, circle: &Circle) -> bool {
    verify_circle(history, level, circle).is_ok()
}

type Forgery = fn(&mut Circle);

#[test]
fn forged_circles_are_found_out() {
    // Call 0 writes both keys, call 1 writes the first once more, and call 2 reads the new one and misses call 0's.
    let (history, circle) =
        circle_of("w(1,1,0,0) w(2,1,0,0) w(2,2,0,1) r(2,2,1,2) r(1,0,1,2) r(2,1,2,3)", WeakLevel::Causal);
    fn overwritten(circle: &mut Circle) -> (&mut String, &mut u32, &mut Vec<u32>) {
        let found = circle.links.iter_mut().find_map(|link| match &mut link.reason {
            Reason::Overwritten { key, reader, path } => Some((key, reader, path)),
            Reason::Session | Reason::Read { .. } => None,
        });
        found.expect("something was overwritten")
    }
    let forgeries: [(&str, Forgery); 10] = [
        ("half of it", |circle| circle.links.truncate(1)),
        ("nothing", |circle| circle.links.clear()),
        ("another key", |circle| *overwritten(circle).0 = "2".to_owned()),
        ("another reader", |circle| *overwritten(circle).1 = 3),
        ("no path", |circle| overwritten(circle).2.clear()),
        ("a path that begins too late", |circle| {
            overwritten(circle).2.remove(0);
        }),
        ("a path that ends too early", |circle| {
            overwritten(circle).2.pop();
        }),
        ("a path backwards", |circle| overwritten(circle).2.insert(1, 3)),
        ("a session backwards", |circle| circle.links.iter_mut().for_each(|l| l.reason = Reason::Session)),
        ("one before itself", |circle| {
            circle.links.iter_mut().for_each(|link| {
                (link.from, link.to, link.reason) = (Some(1), Some(1), Reason::Session);
            });
        }),
    ];
    for (name, forge) in forgeries {
        let mut forged = circle.clone();
        forge(&mut forged);
        assert!(!is_shown(&history, WeakLevel::Causal, &forged), "{name}: {forged:#?}");
    }
    assert!(is_shown(&history, WeakLevel::Causal, &circle));
}

/// A circle of a level shows nothing about the weaker ones, whose readers have to see less.
#[test]
fn a_circle_is_one_of_its_level() {
    let (history, causal) =
        circle_of("w(1,1,0,0) r(1,1,1,1) w(2,1,1,1) r(2,1,2,2) r(1,0,2,3)", WeakLevel::Causal);
    assert!(!is_shown(&history, WeakLevel::ReadAtomic, &causal));
    let (history, atomic) = circle_of("w(1,1,0,0) w(2,1,0,0) r(2,0,1,1) r(1,1,1,1)", WeakLevel::ReadAtomic);
    assert!(is_shown(&history, WeakLevel::Causal, &atomic));
    assert!(!is_shown(&history, WeakLevel::ReadCommitted, &atomic));
}

/// A write that nobody knows the outcome of may take effect after what its process did later.
#[test]
fn what_is_undecided_is_in_no_session() {
    let text = "{:process 0 :type :invoke :f :txn :value [[:w :x 1]]}
        {:process 0 :type :info :f :txn :value [[:w :x 1]]}
        {:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 0 :type :ok :f :txn :value [[:r :x nil]]}
        {:process 0 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 0 :type :ok :f :txn :value [[:r :x 1]]}";
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    assert_eq!(judged(&history, WeakLevel::Causal).verdict, Verdict::Valid);
    let over = Reason::Overwritten { key: ":x".to_owned(), reader: 1, path: vec![0, 1] };
    let links = vec![
        Link { from: Some(0), to: None, reason: over },
        Link { from: None, to: Some(0), reason: Reason::Session },
    ];
    assert!(!is_shown(&history, WeakLevel::Causal, &Circle { links, text: Vec::new() }));
}

#[test]
fn without_budget_causality_is_unknown() {
    let text = text_of(&Spec::new(Kind::RwRegister, Isolation::Serializable, 5000, 9));
    let history = read(&mut text.as_bytes(), Format::Json).expect("a history");
    assert_eq!(
        weak(&history, WeakLevel::Causal, &mut || false).expect("registers").verdict,
        Verdict::Unknown
    );
}
