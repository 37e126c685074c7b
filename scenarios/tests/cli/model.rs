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

#[test]
fn the_doctor_knows_a_backend_that_needs_nothing() {
    let dir = directory(&[]);
    let ran = crosscheck_without_servers(dir.path(), &["doctor", "--json"]);
    assert_eq!(ran.exit, 4, "{}", ran.stderr);
    let ready = |name: &str| {
        let document = document(&ran);
        let backends = document["backends"].as_array().expect("backends are a list").clone();
        backends.into_iter().find(|entry| entry["backend"] == name).map(|entry| entry["ready"].clone())
    };
    assert_eq!((ready("model"), ready("local")), (Some(true.into()), Some(false.into())));
}
