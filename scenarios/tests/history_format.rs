//! The page docs/history-format.md tells the truth: its example lines are read, its lost event is found, and
//! what it quotes is what people see.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use crosscheck_models::check::{Options, check_verified};
use crosscheck_models::history::History;
use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;

const PAGE: &str = include_str!("../../docs/history-format.md");

/// The contents of the fenced blocks of a kind; the kind of a bare fence is empty.
fn blocks(kind: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut open: Option<(&str, String)> = None;
    for line in PAGE.lines() {
        match (line.strip_prefix("```"), &mut open) {
            (Some(opened), None) => open = Some((opened, String::new())),
            (Some(_), Some(_)) => blocks.extend(open.take()),
            (None, Some((_, text))) => *text += &format!("{line}\n"),
            (None, None) => {}
        }
    }
    blocks.into_iter().filter(|(opened, _)| *opened == kind).map(|(_, text)| text).collect()
}

#[test]
fn the_example_lines_are_one_history_that_holds_every_f() {
    let lines: Vec<String> = blocks("").iter().flat_map(|block| block.lines().map(str::to_owned)).collect();
    let (header, events) = lines.split_first().expect("the page has a header line");
    let position = |line: &String| {
        let event: serde_json::Value = serde_json::from_str(line).expect("an example is JSON");
        event["index"].as_u64().expect("an event has its index")
    };
    let mut events = events.to_vec();
    events.sort_by_key(position);
    let (history, notes) =
        History::parse(&format!("{header}\n{}\n", events.join("\n"))).expect("the examples keep the rules");
    let known: BTreeSet<&str> = history.events().map(|event| event.body.f()).collect();
    assert_eq!((known.len(), notes.len()), (11, 0), "{known:?}");
}

#[test]
fn the_lost_event_is_found_and_named() {
    let examples = blocks("jsonl");
    let [example] = examples.as_slice() else { panic!("the page has one complete history") };
    assert_eq!(example.lines().count(), 8);
    let (history, _) = History::parse(example).expect("it keeps the rules");
    let judged = check_verified(&history, Property::NoLoss, &Options::default());
    assert_eq!(judged.verdict, Verdict::Violated);
    let witness = judged.witness.expect("a violation has a witness");
    assert_eq!(
        (witness.key.as_deref(), witness.op_ids.as_slice()),
        (Some("k1"), ["w1".to_owned()].as_slice())
    );
}

#[test]
fn the_page_quotes_what_the_command_says() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let file = dir.path().join("lost.jsonl");
    fs::write(&file, blocks("jsonl").concat()).expect("a file can be written there");
    let output = Command::new(env!("CARGO_BIN_EXE_crosscheck"))
        .args(["check", "lost.jsonl"])
        .current_dir(dir.path())
        .output()
        .expect("the command can be run");
    let said = String::from_utf8(output.stdout).expect("it prints text");
    assert_eq!((output.status.code(), blocks("text")), (Some(1), vec![said]));
}

#[test]
fn once_the_event_is_delivered_nothing_is_lost() {
    let [example] = &blocks("jsonl")[..] else { panic!("the page has one complete history") };
    let event = r#"{"topic":"events","partition":0,"offset":1,"key":"k1","ver":1,"value":"a","op_id":"w1"}"#;
    let late = format!(
        r#"{{"index":7,"time":9002,"process":"consumer","type":"ok","f":"deliver","value":{event}}}"#
    );
    let (history, _) = History::parse(&format!("{example}{late}\n")).expect("it keeps the rules");
    assert_eq!(check_verified(&history, Property::NoLoss, &Options::default()).verdict, Verdict::Valid);
}
