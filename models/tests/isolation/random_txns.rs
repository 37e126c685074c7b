//! Small histories at random: those of simulated databases, and others damaged.

use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::isolation::{
    Inference, Judgement, Level, Options, list_append, rw_register, verify_order, verify_witness,
};
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

use crate::oracle::{Keeps, Object, is_serializable, is_snapshot_isolated, txns};

const ISOLATIONS: [Isolation; 5] = [
    Isolation::Serializable,
    Isolation::SnapshotIsolation,
    Isolation::ReadCommitted,
    Isolation::ReadUncommitted,
    Isolation::LostUpdate,
];

pub(crate) fn spec(kind: Kind) -> impl Strategy<Value = Spec> {
    (0..5_usize, any::<u64>(), 2..6_u64, 1..4_u64, 1..4_u64, prop_oneof![Just(0), Just(250)]).prop_map(
        move |(isolation, seed, txns, clients, keys, rate)| Spec {
            clients,
            keys,
            writes_per_key: 100,
            info_per_mille: rate,
            fail_per_mille: rate / 2,
            ..Spec::new(kind, ISOLATIONS[isolation], txns, seed)
        },
    )
}

pub(crate) fn text_of(spec: &Spec) -> String {
    let mut out = Vec::new();
    generate(spec, &mut out).expect("memory takes it");
    String::from_utf8(out).expect("JSON is text")
}

pub(crate) fn parsed(text: &str) -> OpHistory {
    read(&mut text.as_bytes(), Format::Json).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// Every so often, a list that was read loses an element or gets two exchanged.
fn damaged(text: &str, damage: &[(usize, u8)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (at, how) in damage {
        let at = at % lines.len();
        let mut op: serde_json::Value = serde_json::from_str(&lines[at]).expect("a line of ours");
        if op["type"] != "ok" {
            continue;
        }
        for mop in op["value"].as_array_mut().into_iter().flatten() {
            if let Some(list) = mop[2].as_array_mut() {
                match how % 3 {
                    0 => drop(list.pop()),
                    1 => list.reverse(),
                    _ => list.push(9.into()),
                }
            }
        }
        lines[at] = op.to_string();
    }
    lines.join("\n")
}

fn judged(history: &OpHistory, level: Level) -> Judgement {
    let found = list_append(history, &Options { level, ..Options::default() }, &mut || true).expect("lists");
    for anomaly in found.anomalies.iter().chain(&found.also_seen) {
        verify_witness(history, &anomaly.witness)
            .unwrap_or_else(|error| panic!("{error}\n{:#?}", anomaly.witness));
    }
    if let Some(order) = &found.order {
        verify_order(history, order).unwrap_or_else(|error| panic!("{error}\n{order:?}"));
    }
    found
}

/// The checker and the oracle say the same.
fn agrees(text: &str) -> Result<(), TestCaseError> {
    let history = parsed(text);
    let oracle = txns(&history);
    let levels = [
        ("strict-serializable", is_serializable(Object::List, &oracle, Keeps::Realtime)),
        ("strong-session-serializable", is_serializable(Object::List, &oracle, Keeps::Process)),
        ("serializable", is_serializable(Object::List, &oracle, Keeps::Nothing)),
        ("snapshot-isolation", is_snapshot_isolated(Object::List, &oracle)),
    ];
    for (name, expected) in levels {
        let found = judged(&history, name.parse().expect("a level"));
        prop_assert_ne!(found.verdict, Verdict::Unknown);
        // Which of two writes that nobody read came first decides about snapshots, and is not known: that
        // nothing was found is then no proof, and says so.
        let is_proved = found.verdict == Verdict::Violated || found.order.is_some();
        let is_open = name == "snapshot-isolation" && !is_proved && found.reason.is_some();
        let is_valid = found.verdict == Verdict::Valid;
        prop_assert!(is_valid == expected || is_open, "{}: {:#?}\n{}", name, found.anomalies, text);
        prop_assert!(is_proved || is_open, "{} {}", name, text);
    }
    for name in
        ["read-committed", "read-uncommitted", "consistent-view", "read-atomic", "strong-read-committed"]
    {
        judged(&history, name.parse().expect("a level"));
    }
    Ok(())
}

/// Every so often, a register that was read gives another value.
fn damaged_registers(text: &str, damage: &[(usize, u8)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (at, how) in damage {
        let at = at % lines.len();
        let mut op: serde_json::Value = serde_json::from_str(&lines[at]).expect("a line of ours");
        if op["type"] != "ok" {
            continue;
        }
        for mop in op["value"].as_array_mut().into_iter().flatten().filter(|mop| mop[0] == "r") {
            mop[2] = if *how == 0 { serde_json::Value::Null } else { (how % 4).into() };
        }
        lines[at] = op.to_string();
    }
    lines.join("\n")
}

const INFERENCES: [Inference; 3] = [
    Inference { linearizable_keys: false, sequential_keys: false, wfr_keys: false },
    Inference { linearizable_keys: false, sequential_keys: true, wfr_keys: true },
    Inference { linearizable_keys: true, sequential_keys: false, wfr_keys: true },
];

/// Registers: nothing is accused that the oracle explains, and every order explains the history. All that is
/// inferred holds of a database that is strictly serializable.
fn registers_agree(text: &str) -> Result<(), TestCaseError> {
    let history = parsed(text);
    let oracle = txns(&history);
    let is_strict = is_serializable(Object::Register, &oracle, Keeps::Realtime);
    let cases = [
        ("strict-serializable", is_strict, &INFERENCES[..]),
        ("serializable", is_serializable(Object::Register, &oracle, Keeps::Nothing), &INFERENCES[..1]),
        ("snapshot-isolation", is_snapshot_isolated(Object::Register, &oracle), &INFERENCES[..1]),
    ];
    for (name, expected, inferences) in cases {
        for inference in inferences {
            let options = Options { level: name.parse().expect("a level"), inference: *inference };
            let found = rw_register(&history, &options, &mut || true).expect("registers");
            for anomaly in found.anomalies.iter().chain(&found.also_seen) {
                verify_witness(&history, &anomaly.witness)
                    .unwrap_or_else(|error| panic!("{error}\n{:#?}\n{text}", anomaly.witness));
            }
            if let Some(order) = &found.order {
                verify_order(&history, order).unwrap_or_else(|error| panic!("{error}\n{order:?}\n{text}"));
            }
            let shown = format!("{name} {inference:?}: {:#?}\n{text}", found.anomalies);
            prop_assert!(found.verdict != Verdict::Violated || !expected, "{}", shown);
            prop_assert!(found.order.is_none() || expected, "{}", shown);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn list_append_agrees_with_the_oracle(spec in spec(Kind::ListAppend)) {
        agrees(&text_of(&spec))?;
    }

    #[test]
    fn damaged_lists_agree_with_the_oracle(
        spec in spec(Kind::ListAppend),
        damage in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        agrees(&damaged(&text_of(&spec), &damage))?;
    }

    #[test]
    fn rw_register_agrees_with_the_oracle(spec in spec(Kind::RwRegister)) {
        registers_agree(&text_of(&spec))?;
    }

    #[test]
    fn damaged_registers_agree_with_the_oracle(
        spec in spec(Kind::RwRegister),
        damage in proptest::collection::vec((any::<usize>(), 0..6_u8), 1..4),
    ) {
        registers_agree(&damaged_registers(&text_of(&spec), &damage))?;
    }

    /// The calls that a witness names show the anomaly by themselves.
    #[test]
    fn a_witness_stands_alone(spec in spec(Kind::ListAppend)) {
        let text = text_of(&spec);
        let history = parsed(&text);
        for found in judged(&history, Level::STRICT_SERIALIZABLE).anomalies {
            let witness = &found.witness;
            let kept: Vec<u32> = witness.calls.iter().chain(&witness.seen_in).copied().collect();
            let lines: Vec<&str> = text
                .lines()
                .enumerate()
                .filter(|(at, _)| kept.iter().any(|call| {
                    let call = history.calls()[*call as usize];
                    call.invoke == Some(*at as u32) || call.complete == Some(*at as u32)
                }))
                .map(|(_, line)| line)
                .collect();
            let alone = judged(&parsed(&lines.join("\n")), Level::STRICT_SERIALIZABLE);
            prop_assert_eq!(alone.verdict, Verdict::Violated, "{:#?}\n{}", witness, text);
        }
    }
}
