//! What is inferred of the versions of registers, history by history, and orders that explain nothing.

use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::isolation::{
    Extent, Inference, Level, Options, Order, rw_register, verify_order, verify_witness,
};
use crosscheck_models::verdict::Verdict;

/// Lines of `process type value`; `do` stands for an invocation and its ok.
fn history(lines: &[&str]) -> OpHistory {
    let mut text = String::new();
    for line in lines {
        let mut words = line.splitn(3, ' ');
        let [process, kind, value] = [(); 3].map(|()| words.next().expect("process, type and value"));
        let kinds = if kind == "do" { vec!["invoke", "ok"] } else { vec![kind] };
        for kind in kinds {
            text.push_str(&format!("{{:process {process} :type :{kind} :f :txn :value {value}}}\n"));
        }
    }
    read(&mut text.as_bytes(), Format::Edn).expect("a history")
}

/// The anomalies at serializable, each of which the history shows.
fn anomalies(history: &OpHistory, inference: Inference) -> Vec<&'static str> {
    let options = Options { level: Level::SERIALIZABLE, inference };
    let found = rw_register(history, &options, &mut || true).expect("registers");
    assert_eq!(found.verdict == Verdict::Violated, !found.anomalies.is_empty());
    for seen in &found.anomalies {
        verify_witness(history, &seen.witness).unwrap_or_else(|error| panic!("{error}: {seen:?}"));
    }
    found.anomalies.iter().map(|seen| seen.kind.name()).collect()
}

const NOTHING: Inference = Inference { linearizable_keys: false, sequential_keys: false, wfr_keys: false };
const LINEARIZABLE: Inference = Inference { linearizable_keys: true, ..NOTHING };
const SEQUENTIAL: Inference = Inference { sequential_keys: true, ..NOTHING };

#[test]
fn versions_are_in_the_order_of_real_time_where_keys_are_linearizable() {
    let stale = history(&["0 do [[:w :x 1]]", "1 do [[:w :x 2]]", "2 do [[:r :x 1]]"]);
    assert_eq!(anomalies(&stale, LINEARIZABLE), ["cyclic-versions"]);
    assert_eq!(anomalies(&stale, SEQUENTIAL), [""; 0]);
    assert_eq!(anomalies(&stale, NOTHING), [""; 0]);
    // A version that was there and gone while another was there.
    let within =
        history(&["0 do [[:w :x 1]]", "1 invoke [[:w :x 2]]", "1 ok [[:w :x 2]]", "0 do [[:r :x 1]]"]);
    assert_eq!(anomalies(&within, LINEARIZABLE), ["cyclic-versions"]);
    // What is written at the same time may come in any order.
    let together =
        history(&["0 invoke [[:w :x 1]]", "1 do [[:w :x 2]]", "0 ok [[:w :x 1]]", "2 do [[:r :x 2]]"]);
    assert_eq!(anomalies(&together, LINEARIZABLE), [""; 0]);
}

#[test]
fn versions_are_in_the_order_of_processes_where_keys_are_sequential() {
    let skewed = ["0 do [[:w :x 1] [:w :y 1]]", "0 do [[:w :x 2] [:w :y 2]]", "1 do [[:r :x 1] [:r :y 2]]"];
    assert_eq!(anomalies(&history(&skewed), SEQUENTIAL), ["G-single-item"]);
    assert_eq!(anomalies(&history(&skewed), NOTHING), [""; 0]);
    // Nobody knows when the first two took effect: the process went on without them.
    let undecided =
        ["0 info [[:w :x 1] [:w :y 1]]", "0 do [[:w :x 2] [:w :y 2]]", "1 do [[:r :x 1] [:r :y 2]]"];
    assert_eq!(anomalies(&history(&undecided), SEQUENTIAL), [""; 0]);
}

#[test]
fn an_order_against_real_time_explains_nothing() {
    let two = history(&["0 do [[:w :x 1]]", "1 do [[:w :y 1]]"]);
    let order = |calls: &[u32], extent| Order::Serial { calls: calls.to_vec(), extent };
    verify_order(&two, &order(&[1, 0], Extent::Process)).expect("two processes");
    verify_order(&two, &order(&[0, 1], Extent::Realtime)).expect("one after the other");
    verify_order(&two, &order(&[1, 0], Extent::Realtime)).expect_err("the second had not begun");
    let own = history(&["0 do [[:w :x 1]]", "0 do [[:w :y 1]]"]);
    verify_order(&own, &order(&[1, 0], Extent::Data)).expect("the data do not say");
    verify_order(&own, &order(&[1, 0], Extent::Process)).expect_err("one process did both");
    // With something between them in the file, they are further apart than one place.
    let three = history(&["0 do [[:w :x 1]]", "1 do [[:w :y 1]]", "2 do [[:w :z 1]]"]);
    verify_order(&three, &order(&[1, 2, 0], Extent::Realtime)).expect_err("the first had ended");
    verify_order(&three, &order(&[0, 1], Extent::Realtime)).expect_err("one is missing");
}
