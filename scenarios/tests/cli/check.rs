//! `crosscheck check`: the exit, what is said, and what is refused.

use crate::histories::{lost_event, nothing_lost};
use crate::{Ran, crosscheck, directory, document};

/// Checks one file with this content.
fn check(history: &str, options: &[&str]) -> Ran {
    let dir = directory(&[("h.jsonl", history.to_owned())]);
    crosscheck(dir.path(), &[&["check", "h.jsonl"], options].concat())
}

#[test]
fn a_lost_event_is_named() {
    let ran = check(&lost_event(), &[]);
    assert_eq!(ran.exit, 1);
    insta::assert_snapshot!(ran.stdout);
    assert_eq!(
        ran.stderr,
        "h.jsonl: no-loss is violated: k1 v1 of w1 is in the ledger, and was never delivered\n"
    );
}

#[test]
fn the_lines_that_prove_it_are_shown_on_demand() {
    let ran = check(&lost_event(), &["--checker", "no-loss,no-dup", "--explain"]);
    assert_eq!(ran.exit, 1);
    insta::assert_snapshot!(ran.stdout);
}

#[test]
fn once_it_is_delivered_nothing_is_violated() {
    let ran = check(&nothing_lost(), &[]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.starts_with("VALID  h.jsonl: 8 events\n"), "{}", ran.stdout);
}

#[test]
fn strictly_what_was_not_exercised_is_unknown() {
    let lenient = check(&nothing_lost(), &["--checker", "no-lost-update"]);
    let strict = check(&nothing_lost(), &["--checker", "no-lost-update", "--strict"]);
    assert_eq!((lenient.exit, strict.exit), (0, 3));
    assert_eq!(
        strict.stderr,
        "h.jsonl: no-lost-update is unknown: not exercised: overlapping_writes_per_key is 0\n"
    );
}

#[test]
fn a_history_that_says_nothing_is_unknown() {
    let ran = check("{\"crosscheck\":1}\n", &[]);
    assert_eq!(ran.exit, 3);
    assert_eq!(ran.stderr, "h.jsonl holds nothing that a property is about\n");
}

#[test]
fn json_is_one_document_and_nothing_else() {
    let ran = check(&lost_event(), &["--json"]);
    let document = document(&ran);
    assert_eq!(ran.exit, 1);
    assert_eq!(document["verdict"], "violated");
    assert_eq!(document["files"][0]["events"], 7);
    let checks = document["files"][0]["checks"].as_array().expect("checks are a list");
    let loss = checks.iter().find(|check| check["checker"] == "no-loss").expect("it was judged");
    assert_eq!(loss["anomalies"][0]["witness"]["op_ids"], serde_json::json!(["w1"]));
}

#[test]
fn quiet_leaves_only_the_exit_and_its_reason() {
    let ran = check(&lost_event(), &["--quiet"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (1, ""));
    assert!(ran.stderr.contains("no-loss is violated"), "{}", ran.stderr);
}

#[test]
fn a_torn_last_line_is_dropped_with_a_note() {
    let torn = lost_event() + r#"{"index":7,"time":90"#;
    let ran = check(&torn, &[]);
    assert_eq!(ran.exit, 1);
    assert!(ran.stdout.contains("note: line 9: the last line is torn off and was dropped"), "{}", ran.stdout);
}

#[test]
fn what_is_malformed_is_refused_with_its_line_and_reason() {
    let unopened = r#"{"index":0,"time":1,"process":0,"type":"ok","f":"read","value":{"key":"k1"}}"#;
    let cases = [
        (lost_event().replace(r#""time":3000"#, r#""time":"#), "h.jsonl, line 4: "),
        (
            format!("{{\"crosscheck\":1}}\n{unopened}\n"),
            "h.jsonl, line 2: a completion without an invocation: client 0 has no open operation",
        ),
        (lost_event().replace(r#""index":3"#, r#""index":9"#), "h.jsonl, line 5: index 9 where 3 is next"),
        (lost_event().replace("\n{\"index\":2", "\n\n{\"index\":2"), "h.jsonl, line 4: the line is blank"),
        (String::new(), "h.jsonl, line 1: the history is empty"),
        ("{\"crosscheck\":7}\n".to_owned(), "h.jsonl, line 1: format version 7 is not supported"),
        ("some text\n".to_owned(), "h.jsonl, line 1: not a header"),
    ];
    for (history, refusal) in cases {
        let ran = check(&history, &[]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{refusal}");
        assert!(ran.stderr.starts_with(&format!("error: {refusal}")), "{} for {refusal}", ran.stderr);
    }
}

#[test]
fn what_is_not_there_could_not_be_checked() {
    let dir = directory(&[]);
    for path in ["nothing.jsonl", "."] {
        let ran = crosscheck(dir.path(), &["check", path]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{path}");
        assert!(ran.stderr.starts_with("error: cannot read "), "{}", ran.stderr);
    }
}

#[test]
fn of_several_files_each_is_judged_and_the_worst_exit_wins() {
    let dir = directory(&[
        ("good.jsonl", nothing_lost()),
        ("lost.jsonl", lost_event()),
        ("vacuous.jsonl", "{\"crosscheck\":1}\n".to_owned()),
        ("bad.jsonl", "some text\n".to_owned()),
    ]);
    let cases: [(&[&str], i32, &str); 5] = [
        (&["good.jsonl", "good.jsonl"], 0, "valid"),
        (&["good.jsonl", "vacuous.jsonl"], 3, "unknown"),
        (&["vacuous.jsonl", "lost.jsonl", "good.jsonl"], 1, "violated"),
        (&["bad.jsonl", "good.jsonl"], 4, "unknown"),
        (&["bad.jsonl", "lost.jsonl", "vacuous.jsonl"], 4, "violated"),
    ];
    for (files, exit, verdict) in cases {
        let ran = crosscheck(dir.path(), &[&["check", "--json"], files].concat());
        let document = document(&ran);
        let judged = files.iter().filter(|file| **file != "bad.jsonl").count();
        assert_eq!((ran.exit, document["verdict"].as_str()), (exit, Some(verdict)), "{files:?}");
        assert_eq!(document["files"].as_array().map(Vec::len), Some(judged), "{files:?}");
    }
}

#[test]
fn what_is_not_judged_by_the_deadline_is_unknown() {
    let ran = check(&lost_event(), &["--checker", "no-loss", "--deadline", "0s"]);
    assert_eq!(ran.exit, 3);
    assert_eq!(ran.stderr, "h.jsonl: no-loss is unknown: not judged within the deadline of 0ns\n");
}

#[test]
fn the_bound_of_staleness_is_an_option() {
    let stale = nothing_lost()
        + &[
            r#"{"index":8,"time":9100,"process":2,"type":"invoke","f":"read","value":{"key":"k1"}}"#,
            r#"{"index":9,"time":9200,"process":2,"type":"ok","f":"read","value":{"key":"k1","source":"cache"}}"#,
        ]
        .map(|line| format!("{line}\n"))
        .concat();
    let judged = |delta| check(&stale, &["--checker", "bounded-staleness", "--delta", delta]).exit;
    assert_eq!((judged("1us"), judged("1s")), (1, 0));
}

/// What a simulated database of that isolation leaves, judged as a foreign history.
fn generated(kind: &str, isolation: &str, options: &[&str]) -> Ran {
    let dir = directory(&[]);
    let made = crosscheck(
        dir.path(),
        &["generate", "--kind", kind, "--isolation", isolation, "--txns", "400", "--out", "h.jsonl"],
    );
    assert_eq!((made.exit, made.stderr.as_str()), (0, ""));
    crosscheck(dir.path(), &[&["check", "h.jsonl"], options].concat())
}

#[test]
fn what_a_database_of_known_strength_leaves_is_judged_by_its_strength() {
    for kind in ["list-append", "rw-register", "register", "cas-register", "set", "queue", "bank"] {
        let ran = generated(kind, "serializable", &[]);
        assert_eq!(ran.exit, 0, "{kind}: {}{}", ran.stdout, ran.stderr);
    }
    let cases = [("serializable", 1), ("snapshot-isolation", 0), ("read-committed", 0)];
    for (level, exit) in cases {
        let ran = generated("list-append", "snapshot-isolation", &["--level", level]);
        assert_eq!(ran.exit, exit, "{level}: {}{}", ran.stdout, ran.stderr);
    }
    let weak = generated("list-append", "read-uncommitted", &["--level", "read-committed"]);
    assert_eq!(weak.exit, 1, "{}", weak.stdout);
}

const G1C: &str = "\
{:index 0, :type :invoke, :process 0, :f :txn, :value [[:append :x 1] [:r :y nil]]}
{:index 1, :type :invoke, :process 1, :f :txn, :value [[:append :y 1] [:r :x nil]]}
{:index 2, :type :ok, :process 0, :f :txn, :value [[:append :x 1] [:r :y [1]]]}
{:index 3, :type :ok, :process 1, :f :txn, :value [[:append :y 1] [:r :x [1]]]}
";

#[test]
fn a_cycle_in_a_history_of_jepsen_is_told() {
    let dir = directory(&[("h.edn", G1C.to_owned())]);
    let ran = crosscheck(dir.path(), &["check", "h.edn"]);
    assert_eq!(ran.exit, 1);
    insta::assert_snapshot!(ran.stdout);
    let asked = crosscheck(
        dir.path(),
        &["check", "h.edn", "--checker", "list-append", "--level", "read-uncommitted"],
    );
    assert_eq!(asked.exit, 0, "{}", asked.stdout);
    let ran = crosscheck(dir.path(), &["check", "h.edn", "--json"]);
    let document = document(&ran);
    assert_eq!(document["files"][0]["format"], "edn");
    assert_eq!(document["files"][0]["checks"][0]["checker"], "list-append");
    assert_eq!(document["files"][0]["checks"][0]["level"], "strict-serializable");
}

#[test]
fn several_files_get_a_line_each() {
    let dir =
        directory(&[("a.edn", G1C.to_owned()), ("b.jsonl", nothing_lost()), ("c.edn", "{:type".to_owned())]);
    let ran = crosscheck(dir.path(), &["check", "a.edn", "b.jsonl", "c.edn"]);
    assert_eq!(ran.exit, 4);
    insta::assert_snapshot!(format!("{}---\n{}", ran.stdout, ran.stderr));
}

#[test]
fn what_does_not_fit_the_history_is_refused_by_name() {
    let dir = directory(&[("h.edn", G1C.to_owned()), ("ours.jsonl", nothing_lost())]);
    let cases = [
        (["h.edn", "--checker", "no-loss"], "no-loss is about histories of Crosscheck's own"),
        (["ours.jsonl", "--checker", "bank"], "bank is for histories of others"),
        (["h.edn", "--format", "csv"], "h.edn: "),
    ];
    for (options, said) in cases {
        let ran = crosscheck(dir.path(), &[&["check"], &options[..]].concat());
        assert_eq!(ran.exit, 4, "{options:?}: {}", ran.stdout);
        assert!(ran.stderr.contains(said), "{options:?}: {}", ran.stderr);
    }
}

#[test]
fn what_one_tool_recorded_another_can_read() {
    let dir = directory(&[("ours.jsonl", lost_event())]);
    let convert = |from: &str, to: &str, out: &str| {
        let ran = crosscheck(dir.path(), &["convert", from, "--to", to, "--out", out]);
        assert_eq!((ran.exit, ran.stdout.as_str(), ran.stderr.as_str()), (0, "", ""), "{from} to {to}");
        std::fs::read_to_string(dir.path().join(out)).expect("it was written")
    };
    insta::assert_snapshot!(convert("ours.jsonl", "edn", "ours.edn"));
    let same = convert("ours.jsonl", "crosscheck", "same.jsonl");
    assert_eq!(same.replace(",\"value\":null", ""), lost_event());
    assert_eq!(convert("same.jsonl", "crosscheck", "again.jsonl"), same);
    assert_eq!(
        convert("ours.edn", "jsonl", "one.jsonl").lines().count(),
        convert("ours.jsonl", "jsonl", "other.jsonl").lines().count()
    );
    let back = convert("ours.edn", "crosscheck", "back.jsonl");
    assert!(back.contains(r#""f":"write","value":{"op_id":"op-0","key":"k1","value":"a"}"#), "{back}");
    for file in ["ours.edn", "one.jsonl"] {
        let ran = crosscheck(dir.path(), &["check", file, "--checker", "register"]);
        assert_eq!(ran.exit, 0, "{file}: {} {}", ran.stdout, ran.stderr);
    }
}

#[test]
fn a_table_for_query_engines_is_written_or_refused_with_what_to_build() {
    let dir = directory(&[("ours.jsonl", lost_event())]);
    let convert = |out| crosscheck(dir.path(), &["convert", "ours.jsonl", "--to", "parquet", "-o", out]);
    let ran = convert("ours.parquet");
    let written = std::fs::read(dir.path().join("ours.parquet"));
    if cfg!(feature = "parquet") {
        assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
        assert!(written.is_ok_and(|bytes| bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1")));
        let ran = convert("no/such/directory.parquet");
        assert_eq!(ran.exit, 4);
        assert!(ran.stderr.contains("cannot write no/such/directory.parquet"), "{}", ran.stderr);
    } else {
        assert_eq!(ran.exit, 4, "{}", ran.stdout);
        assert!(ran.stderr.contains("cargo build --release --features parquet"), "{}", ran.stderr);
        assert!(written.is_err(), "what is refused leaves no file");
    }
}

#[test]
fn what_our_format_has_no_place_for_is_refused_with_its_line() {
    let lists = "{:process 0 :type :invoke :f :txn :value [[:append 1 2]]}\n";
    let dir = directory(&[("lists.edn", lists.to_owned())]);
    let ran = crosscheck(dir.path(), &["convert", "lists.edn", "--to", "crosscheck"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""));
    assert!(ran.stderr.contains("line 1") && ran.stderr.contains("--to edn"), "{}", ran.stderr);
}

#[test]
fn sessions_stand_for_all_their_guarantees_and_keys_for_objects_of_their_own() {
    let locks = "{:process 0 :type :ok :f :acquire :value [a nil]}\n{:process 1 :type :ok :f :acquire :value [b nil]}\n";
    let dir = directory(&[
        ("locks.edn", locks.to_owned()),
        ("reads.edn", "{:process 0 :type :ok :f :read :value nil}\n".to_owned()),
    ]);
    let check = |args: &[&str]| crosscheck(dir.path(), &[&["check"], args].concat());
    assert_eq!(check(&["locks.edn", "--checker", "mutex"]).exit, 1);
    assert_eq!(check(&["locks.edn", "--checker", "mutex", "--by-key"]).exit, 0);
    assert_eq!(check(&["locks.edn", "--checker", "long-fork", "--group-size", "1"]).exit, 2);
    let sessions = check(&["reads.edn", "--checker", "sessions"]).stdout;
    for guarantee in
        ["read-your-writes", "monotonic-reads", "monotonic-writes", "writes-follow-reads", "pram"]
    {
        assert!(sessions.contains(guarantee), "{sessions}");
    }
}
