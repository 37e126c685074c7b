//! Where there are no servers.

use crate::{crosscheck_without_servers, directory, document};

#[test]
fn without_servers_the_matrix_runs_on_the_model_and_says_so() {
    let dir = directory(&[]);
    let ran = crosscheck_without_servers(dir.path(), &["matrix", "outbox-poll-id-cursor", "--json"]);
    assert_eq!(ran.exit, 0, "{}", ran.stderr);
    let says = "backend model (auto: real servers cannot be had, as kafka is missing; ";
    assert!(ran.stderr.contains(says), "{}", ran.stderr);
    let document = document(&ran);
    assert_eq!((&document["backend"], &document["as_expected"]), (&"model".into(), &true.into()));
}

#[test]
fn a_run_and_its_replay_on_the_model_are_the_same_to_the_byte() {
    let dir = directory(&[]);
    let history = |args: &[&str]| {
        let ran = crosscheck_without_servers(dir.path(), args);
        assert_eq!(ran.exit, 1, "{}", ran.stderr);
        std::fs::read_to_string(dir.path().join("crosscheck-runs/latest/history.jsonl"))
            .expect("a run left it")
    };
    let first = history(&["run", "outbox-poll-id-cursor", "--time", "2s", "--seed", "3"]);
    let again = history(&["replay", "crosscheck-runs/latest/schedule.json"]);
    assert!(first == again, "the replay has another history");
}

#[test]
fn servers_that_are_asked_for_are_not_replaced() {
    let dir = directory(&[]);
    let ran =
        crosscheck_without_servers(dir.path(), &["matrix", "outbox-poll-id-cursor", "--backend", "local"]);
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    assert!(ran.stderr.contains("kafka"), "{}", ran.stderr);
}
