//! The checkers by their names: which apply to what, and the one kind of answer.

use crosscheck_models::checker::{Checker, Options, applicable, check};
use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::generate::{Isolation, Kind, Spec, generate};
use crosscheck_models::isolation::Inference;
use crosscheck_models::verdict::Verdict;

fn simulated(kind: Kind, isolation: Isolation) -> OpHistory {
    let mut text = Vec::new();
    let spec = Spec { clients: 5, ..Spec::new(kind, isolation, 800, 2) };
    generate(&spec, &mut text).expect("memory takes it");
    read(&mut text.as_slice(), Format::Json).expect("a history")
}

fn options() -> Options {
    let inference = Inference { linearizable_keys: true, sequential_keys: false, wfr_keys: true };
    Options { inference, replay: true, ..Options::default() }
}

#[test]
fn what_applies_finds_weak_databases_out_and_accuses_no_strong_one() {
    let cases = [
        (Kind::ListAppend, Checker::ListAppend),
        (Kind::RwRegister, Checker::RwRegister),
        (Kind::Register, Checker::Register),
        (Kind::Set, Checker::SetFull),
        (Kind::Queue, Checker::Queue),
        (Kind::Bank, Checker::Bank),
    ];
    for (kind, checker) in cases {
        let strong = simulated(kind, Isolation::Serializable);
        assert_eq!(applicable(&strong), [checker], "{kind}");
        let found = check(&strong, checker, &options(), &mut || true).expect("it fits");
        assert_eq!(found.verdict, Verdict::Valid, "{kind}: {:?}", found.anomalies);
        // What is missing from a queue that nobody drained may still be in it.
        if kind == Kind::Queue {
            continue;
        }
        let weak = check(&simulated(kind, Isolation::LostUpdate), checker, &options(), &mut || true)
            .expect("it fits");
        assert_eq!(weak.verdict, Verdict::Violated, "{kind}");
        assert!(weak.anomalies.iter().all(|seen| !seen.text.is_empty() && seen.witness.is_object()));
    }
}

#[test]
fn the_answer_as_json() {
    let text = "{:process 0 :type :ok :f :txn :value [[:append :x 1]]}{:process 1 :type :ok :f :txn :value [[:r :x [2]]]}";
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    let found = check(&history, Checker::ListAppend, &Options::default(), &mut || true).expect("lists");
    let json = serde_json::to_value(&found).expect("JSON");
    assert_eq!(
        json["anomalies"],
        serde_json::json!([{
            "kind": "garbage-read",
            "count": 1,
            "witness": {
                "anomaly": "garbage-read", "key": ":x", "value": "2", "calls": [1], "seen_in": [], "steps": [],
                "text": [
                    "T1 = line 1, process 1: [[:r :x [2]]]",
                    "T1 read 2 from :x, and nobody ever wrote it",
                ],
            },
        }])
    );
    assert_eq!(
        (json["verdict"].as_str(), json["level"].as_str()),
        (Some("violated"), Some("strict-serializable"))
    );
    assert_eq!(json["not"], serde_json::json!(["read-uncommitted"]));
}

#[test]
fn names_are_read_back() {
    for checker in Checker::all() {
        assert_eq!(checker.name().parse::<Checker>().expect("its name"), checker);
    }
    let refused = "lists".parse::<Checker>().expect_err("no checker").to_string();
    assert!(
        refused.starts_with("no checker is called \"lists\": they are list-append, rw-register"),
        "{refused}"
    );
}

#[test]
fn a_history_of_another_shape_is_refused_with_its_line() {
    let text = "{:process 0 :type :ok :f :txn :value [[:w :x 1]]}\n{:process 1 :type :ok :f :txn :value [[:w :x 1]]}";
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    let as_lists =
        check(&history, Checker::ListAppend, &Options::default(), &mut || true).expect_err("registers");
    assert_eq!(as_lists.to_string(), "line 1: writes of registers: check it as rw-register");
    let twice =
        check(&history, Checker::RwRegister, &Options::default(), &mut || true).expect_err("one value twice");
    assert!(twice.to_string().starts_with("line 2: writes 1 to key :x as line 1 does"), "{twice}");
}

#[test]
fn a_micro_operation_has_three_parts_or_a_version_too_and_a_register_one_value() {
    let cases = [
        ("[[:r :x 1 2 3]]", "line 1: a micro-operation is a list like"),
        ("[[:r :x 1 :two]]", "line 1: a micro-operation is a list like"),
        ("[[:w :x]]", "line 1: a micro-operation is a list like"),
        ("[[:r :x]]", "line 1: a micro-operation is a list like"),
        ("[[:r :x []]]", "line 1: a value is a number, a text or a name"),
        ("[[:w :x {}]]", "line 1: a value is a number, a text or a name"),
    ];
    for (value, expected) in cases {
        let text = format!("{{:process 0 :type :ok :f :txn :value {value}}}");
        let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
        let refused =
            check(&history, Checker::RwRegister, &options(), &mut || true).expect_err("no such register");
        assert!(refused.to_string().starts_with(expected), "{value}: {refused}");
    }
}

/// What completes under another name is no transaction, to the checkers and to what confirms their answers.
#[test]
fn a_completion_of_another_name_is_left_out() {
    let text = "{:process 0 :type :invoke :f :txn :value [[:append :x 1]]}
        {:process 1 :type :invoke :f :txn :value [[:r :x nil]]}
        {:process 0 :type :ok :f :txn :value [[:append :x 1]]}
        {:process 1 :type :ok :f :dump :value [[:r :x [7]]]}";
    let history = read(&mut text.as_bytes(), Format::Edn).expect("a history");
    let found = check(&history, Checker::ListAppend, &options(), &mut || true).expect("lists");
    assert_eq!((found.verdict, found.reason), (Verdict::Valid, None));
    let text = text.replace(":append", ":w").replace("[7]", "7");
    let text = format!("{text} {{:process 2 :type :ok :f :txn :value [[:r :x 7]]}}");
    let history = read(&mut text.replace("[:r :x nil]", "[:w :x 7]").as_bytes(), Format::Edn).expect("one");
    let found = check(&history, Checker::RwRegister, &options(), &mut || true).expect("registers");
    assert_eq!(found.verdict, Verdict::Violated, "nobody wrote 7: {found:?}");
}
