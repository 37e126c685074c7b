//! Histories that say more than what was read: the version of each value, and when each transaction started and
//! committed.

use std::collections::BTreeMap;

use crosscheck_models::checker::{Checker, Options as Asked, check};
use crosscheck_models::foreign::{Format, OpHistory, Outcome, read, write_edn, write_jsonl};
use crosscheck_models::generate::{Isolation, Kind, Spec};
use crosscheck_models::isolation::{
    Inference, Judgement, Level, Options, list_append, rw_register, verify_order, verify_witness,
};
use crosscheck_models::verdict::Verdict;
use proptest::prelude::*;

use crate::oracle::{Keeps, Object, OracleMop, OracleTxn, is_serializable, is_snapshot_isolated, txns};
use crate::random_txns::{parsed, spec, text_of};

const STRICT: [&str; 3] =
    ["snapshot-isolation", "strong-session-snapshot-isolation", "strong-snapshot-isolation"];

/// Judges, and has every witness and every order checked by code that shares nothing with the checker.
fn judged(history: &OpHistory, object: Object, level: &str) -> Judgement {
    let options = Options { level: level.parse().expect("a level"), inference: Inference::default() };
    let found = match object {
        Object::List => list_append(history, &options, &mut || true),
        Object::Register => rw_register(history, &options, &mut || true),
    };
    let found = found.expect("transactions");
    for anomaly in found.anomalies.iter().chain(&found.also_seen) {
        verify_witness(history, &anomaly.witness)
            .unwrap_or_else(|error| panic!("{error}\n{:#?}", anomaly.witness));
    }
    if let Some(order) = &found.order {
        verify_order(history, order).unwrap_or_else(|error| panic!("{error}\n{order:?}"));
    }
    found
}

fn kinds(found: &Judgement) -> Vec<&'static str> {
    found.anomalies.iter().map(|anomaly| anomaly.kind.name()).collect()
}

/// Whether something that is known to have happened read what this one wrote.
fn is_read(txn: &OracleTxn, txns: &[OracleTxn]) -> bool {
    let wrote = |key: &String, value: &String| {
        txn.mops.iter().any(|mop| matches!(mop, OracleMop::Write(k, v) if (k, v) == (key, value)))
    };
    let others = txns.iter().filter(|other| other.outcome == Outcome::Ok);
    others.flat_map(|other| &other.mops).any(|mop| match mop {
        OracleMop::Read(key, read) => read.iter().any(|value| wrote(key, value)),
        OracleMop::Write(..) => false,
    })
}

/// Runs starts and commits in the order of their timestamps, which are all different, on a plain database. None
/// where something that happened has none.
fn replays(object: Object, history: &OpHistory, keeps: Keeps) -> Option<bool> {
    let txns = txns(history);
    let mut points = Vec::new();
    let mut kept = Vec::new();
    for (at, txn) in txns.iter().enumerate() {
        if txn.outcome == Outcome::Ok || txn.outcome == Outcome::Info && is_read(txn, &txns) {
            let stamps = history.stamps(&history.calls()[at])?;
            points.extend([(stamps.start, false, at), (stamps.commit, true, at)]);
            kept.push((at, stamps));
        }
    }
    if kept.iter().any(|(_, stamps)| stamps.start > stamps.commit) {
        return Some(false);
    }
    points.sort_unstable();
    let mut state: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let mut seen: BTreeMap<usize, BTreeMap<String, Vec<String>>> = BTreeMap::new();
    let mut newest: BTreeMap<&String, i64> = BTreeMap::new();
    for (time, is_commit, at) in points {
        if !is_commit {
            seen.insert(at, state.clone());
            continue;
        }
        let (mut own, start) = (seen[&at].clone(), history.stamps(&history.calls()[at])?.start);
        for mop in &txns[at].mops {
            match mop {
                OracleMop::Read(key, read) => {
                    let shown = own.get(key).cloned().unwrap_or_default();
                    if txns[at].outcome == Outcome::Ok && shown != *read {
                        return Some(false);
                    }
                }
                OracleMop::Write(key, value) => {
                    for of in [&mut own, &mut state] {
                        let values = of.entry(key.clone()).or_default();
                        if object == Object::Register {
                            values.clear();
                        }
                        values.push(value.clone());
                    }
                }
            }
        }
        for mop in &txns[at].mops {
            if let OracleMop::Write(key, _) = mop {
                if newest.get(key).is_some_and(|newest| *newest > start && *newest != time) {
                    return Some(false);
                }
                newest.insert(key, time);
            }
        }
    }
    Some(kept.iter().all(|(one, before)| {
        kept.iter().all(|(other, after)| {
            let (one, other) = (&txns[*one], &txns[*other]);
            let follows = match keeps {
                Keeps::Nothing => false,
                Keeps::Process => one.process == other.process && one.end < other.begin,
                Keeps::Realtime => one.end < other.begin,
            };
            one.outcome != Outcome::Ok || !follows || before.commit < after.start
        })
    }))
}

/// Exchanges or moves timestamps, each to one that nobody has.
fn moved(text: &str, moves: &[(usize, bool, u16)]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for (number, (at, is_start, to)) in moves.iter().enumerate() {
        let at = at % lines.len();
        let mut op: serde_json::Value = serde_json::from_str(&lines[at]).expect("a line of ours");
        if op.get("commit_ts").is_some() {
            let name = if *is_start { "start_ts" } else { "commit_ts" };
            // Generated ones are spread out by a thousand.
            op[name] = (u64::from(*to % 40) * 500 + 100 + number as u64).into();
        }
        lines[at] = op.to_string();
    }
    lines.join("\n")
}

/// Makes room between timestamps, and starts different.
fn spread(text: &str) -> String {
    let line = |(at, line): (usize, &str)| {
        let mut op: serde_json::Value = serde_json::from_str(line).expect("a line of ours");
        if let (Some(start), Some(commit)) = (op["start_ts"].as_u64(), op["commit_ts"].as_u64()) {
            op["start_ts"] = (start * 1000 + at as u64 % 499).into();
            op["commit_ts"] = (commit * 1000).into();
        }
        op.to_string()
    };
    text.lines().enumerate().map(line).collect::<Vec<_>>().join("\n")
}

fn agrees_with_a_replay(object: Object, text: &str) -> Result<(), TestCaseError> {
    let history = parsed(text);
    if !history.has_stamps() {
        return Ok(());
    }
    for (level, keeps) in STRICT.into_iter().zip([Keeps::Nothing, Keeps::Process, Keeps::Realtime]) {
        let Some(expected) = replays(object, &history, keeps) else { return Ok(()) };
        let found = judged(&history, object, level);
        prop_assert_eq!(
            found.verdict == Verdict::Valid,
            expected,
            "{}: {:#?}\n{}",
            level,
            found.anomalies,
            text
        );
        prop_assert_eq!(found.order.is_some(), expected);
    }
    Ok(())
}

/// The versions say of two values which was first, or contradict each other.
fn versions_of(history: &OpHistory) -> Option<BTreeMap<(String, String), i64>> {
    let mut versions = BTreeMap::new();
    let calls = history.calls().iter().filter(|call| call.outcome == Outcome::Ok);
    for mop in calls.filter_map(|call| history.value_of(call).items()).flatten() {
        let parts: Vec<_> = mop.items().expect("a micro-operation").collect();
        let Some(version) = parts.get(3).and_then(|version| version.as_int()) else { continue };
        let of = (parts[1].to_string(), parts[2].to_string());
        if versions.insert(of, version).is_some_and(|known| known != version) {
            return None;
        }
    }
    Some(versions)
}

/// With the order of the versions known, the oracle's order of commits must keep it.
fn ordered(history: &OpHistory) -> Option<Vec<OracleTxn>> {
    let versions = versions_of(history)?;
    let mut txns = txns(history);
    let mut seen = std::collections::BTreeSet::new();
    for txn in &mut txns {
        let mut last: BTreeMap<String, i64> = BTreeMap::new();
        for mop in &txn.mops {
            if let OracleMop::Write(key, value) = mop {
                last.remove(key);
                last.extend(
                    versions.get(&(key.clone(), value.clone())).map(|version| (key.clone(), *version)),
                );
            }
        }
        if txn.outcome != Outcome::Fail
            && !last.iter().all(|(key, version)| seen.insert((key.clone(), *version)))
        {
            return None;
        }
        txn.versions = last;
    }
    Some(txns)
}

fn agrees_with_the_oracle(text: &str) -> Result<(), TestCaseError> {
    let history = parsed(text);
    let oracle = ordered(&history);
    let expected = |holds: &dyn Fn(&[OracleTxn]) -> bool| oracle.as_deref().is_some_and(holds);
    let levels = [
        ("strict-serializable", expected(&|txns| is_serializable(Object::Register, txns, Keeps::Realtime))),
        ("serializable", expected(&|txns| is_serializable(Object::Register, txns, Keeps::Nothing))),
        ("snapshot-isolation", expected(&|txns| is_snapshot_isolated(Object::Register, txns))),
    ];
    for (name, expected) in levels {
        let found = judged(&history, Object::Register, name);
        prop_assert_eq!(
            found.verdict == Verdict::Valid,
            expected,
            "{}: {:#?}\n{}",
            name,
            found.anomalies,
            text
        );
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn timestamps_of_lists_agree_with_a_replay(
        spec in spec(Kind::ListAppend),
        moves in proptest::collection::vec((any::<usize>(), any::<bool>(), any::<u16>()), 0..3),
    ) {
        let text = text_of(&Spec { timestamps: true, ..spec });
        agrees_with_a_replay(Object::List, &moved(&spread(&text), &moves))?;
    }

    #[test]
    fn timestamps_of_registers_agree_with_a_replay(
        spec in spec(Kind::RwRegister),
        moves in proptest::collection::vec((any::<usize>(), any::<bool>(), any::<u16>()), 0..3),
    ) {
        let text = text_of(&Spec { timestamps: true, ..spec });
        agrees_with_a_replay(Object::Register, &moved(&spread(&text), &moves))?;
    }

    /// Where all that happened is known with its versions, the verdict is exact in both directions.
    #[test]
    fn stated_versions_agree_with_the_oracle(spec in spec(Kind::RwRegister)) {
        agrees_with_the_oracle(&text_of(&Spec { versions: true, info_per_mille: 0, ..spec }))?;
    }
}

fn generated(kind: Kind, isolation: Isolation, change: impl Fn(&mut Spec)) -> OpHistory {
    let mut spec = Spec { timestamps: true, versions: true, ..Spec::new(kind, isolation, 2000, 9) };
    change(&mut spec);
    parsed(&text_of(&spec))
}

#[test]
fn timestamps_tell_a_database_with_snapshots_from_one_without() {
    for (kind, object) in [(Kind::ListAppend, Object::List), (Kind::RwRegister, Object::Register)] {
        for isolation in [Isolation::Serializable, Isolation::SnapshotIsolation] {
            let history =
                generated(kind, isolation, |spec| (spec.info_per_mille, spec.fail_per_mille) = (40, 40));
            for level in STRICT {
                let found = judged(&history, object, level);
                assert_eq!(found.verdict, Verdict::Valid, "{isolation} {level}: {:#?}", found.anomalies);
                assert!(found.reason.is_some_and(|reason| reason.contains("timestamps")));
                assert!(found.order.is_some());
            }
        }
        let planted = [
            (Isolation::ReadCommitted, "snapshot-read"),
            (Isolation::ReadUncommitted, "snapshot-read"),
            (Isolation::LostUpdate, "write-conflict"),
        ];
        for (isolation, kind_of_bug) in planted {
            let found = judged(&generated(kind, isolation, |_| {}), object, "snapshot-isolation");
            assert!(kinds(&found).contains(&kind_of_bug), "{isolation}: {:?}", kinds(&found));
        }
    }
}

#[test]
fn versions_make_registers_as_exact_as_lists() {
    let history = generated(Kind::RwRegister, Isolation::SnapshotIsolation, |spec| spec.timestamps = false);
    let snapshot = judged(&history, Object::Register, "snapshot-isolation");
    assert_eq!((snapshot.verdict, snapshot.reason, snapshot.order.is_some()), (Verdict::Valid, None, true));
    assert_eq!(kinds(&judged(&history, Object::Register, "serializable")), ["G2-item"]);
    let committed = generated(Kind::RwRegister, Isolation::ReadCommitted, |spec| spec.timestamps = false);
    assert!(kinds(&judged(&committed, Object::Register, "snapshot-isolation")).contains(&"G-single-item"));
    let lost = generated(Kind::RwRegister, Isolation::LostUpdate, |spec| spec.timestamps = false);
    assert!(kinds(&judged(&lost, Object::Register, "serializable")).contains(&"inconsistent-versions"));
}

/// Lines of EDN, as a history.
fn edn(lines: &str) -> OpHistory {
    read(&mut lines.as_bytes(), Format::Edn).expect("a history")
}

#[test]
fn what_each_anomaly_looks_like() {
    let cases = [
        (
            "a read of what had not been committed at its start",
            "{:process 0 :type :ok :f :txn :value [[:w 1 1]] :start-ts 1 :commit-ts 4}
             {:process 1 :type :ok :f :txn :value [[:r 1 1]] :start-ts 3 :commit-ts 5}",
            vec!["snapshot-read"],
        ),
        (
            "what commits at the moment of a start is seen",
            "{:process 0 :type :ok :f :txn :value [[:w 1 1]] :start-ts 1 :commit-ts 3}
             {:process 1 :type :ok :f :txn :value [[:r 1 1]] :start-ts 3 :commit-ts 5}",
            vec![],
        ),
        (
            "two writers at once",
            "{:process 0 :type :ok :f :txn :value [[:w 1 1]] :start-ts 1 :commit-ts 3}
             {:process 1 :type :ok :f :txn :value [[:w 1 2]] :start-ts 2 :commit-ts 4}",
            vec!["write-conflict"],
        ),
        (
            "a start behind its commit",
            "{:process 0 :type :ok :f :txn :value [[:w 1 1]] :start-ts 5 :commit-ts 3}",
            vec!["timestamp-order"],
        ),
        (
            "a process that goes back",
            "{:process 0 :type :ok :f :txn :value [[:w 1 1]] :start-ts 5 :commit-ts 6}
             {:process 0 :type :ok :f :txn :value [[:r 1 nil]] :start-ts 1 :commit-ts 2}",
            vec!["timestamp-order-process", "timestamp-order-realtime"],
        ),
        (
            "what its own writes contradict",
            "{:process 0 :type :ok :f :txn :value [[:w 1 1] [:r 1 nil]] :start-ts 1 :commit-ts 3}",
            vec!["internal"],
        ),
    ];
    for (what, lines, expected) in cases {
        let found = judged(&edn(lines), Object::Register, "strong-snapshot-isolation");
        assert_eq!(kinds(&found), expected, "{what}");
        let json =
            check(&edn(lines), Checker::RwRegister, &Asked::default(), &mut || true).expect("registers");
        assert!(
            !json.anomalies.iter().any(|seen| seen.kind.starts_with("timestamp")),
            "no snapshots are asked for"
        );
    }
    let backwards =
        "{:process 0 :type :ok :f :txn :value [[:w 1 1 5]]}{:process 1 :type :ok :f :txn :value [[:w 1 2 4]]}
        {:process 2 :type :ok :f :txn :value [[:r 1 1 5]]}{:process 2 :type :ok :f :txn :value [[:r 1 2 4]]}";
    assert_eq!(kinds(&judged(&edn(backwards), Object::Register, "serializable")), Vec::<&str>::new());
    let session = judged(&edn(backwards), Object::Register, "strong-session-serializable");
    assert_eq!(kinds(&session), ["G-single-item-process"]);
    let twice = "{:process 0 :type :ok :f :txn :value [[:w 1 1 5]]}{:process 1 :type :ok :f :txn :value [[:r 1 1 6]]}";
    assert_eq!(kinds(&judged(&edn(twice), Object::Register, "serializable")), ["inconsistent-versions"]);
}

/// Timestamps that only some have are left aside, and the verdict says so.
#[test]
fn some_timestamps_are_not_enough() {
    let history = edn("{:process 0 :type :ok :f :txn :value [[:append 1 1]] :start-ts 1 :commit-ts 2}
         {:process 1 :type :ok :f :txn :value [[:r 1 [1]]]}");
    let found = judged(&history, Object::List, "snapshot-isolation");
    assert_eq!(found.verdict, Verdict::Valid);
    assert!(
        found
            .reason
            .is_some_and(|reason| reason.starts_with("1 transactions that happened have no timestamps"))
    );
}

#[test]
fn timestamps_and_versions_survive_a_conversion() {
    let history = generated(Kind::RwRegister, Isolation::SnapshotIsolation, |spec| spec.txns = 50);
    let (mut json, mut edn) = (Vec::new(), Vec::new());
    write_jsonl(&history, &mut json).expect("memory takes it");
    write_edn(&history, &mut edn).expect("memory takes it");
    let json = read(&mut json.as_slice(), Format::Json).expect("it is JSON");
    let edn = read(&mut edn.as_slice(), Format::Edn).expect("it is EDN");
    for other in [json, edn] {
        for (one, other_call) in history.calls().iter().zip(other.calls()) {
            assert_eq!(history.stamps(one), other.stamps(other_call));
        }
        assert_eq!(
            judged(&other, Object::Register, "serializable"),
            judged(&history, Object::Register, "serializable")
        );
    }
    assert_eq!(Level::SNAPSHOT_ISOLATION.name(), STRICT[0]);
}
