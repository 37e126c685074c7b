//! Wrong usage, help, and the list.

use crosscheck_harness::fault::FAULTS;
use crosscheck_models::property::Property;
use crosscheck_scenarios::design;

use crate::{crosscheck, directory, document};

const COMMANDS: [&str; 12] = [
    "list", "matrix", "run", "explore", "replay", "check", "generate", "convert", "conform", "report",
    "doctor", "bench",
];

#[test]
fn wrong_usage_ends_with_2_and_says_what_is_wrong() {
    let cases: [(&[&str], &str); 10] = [
        (&[], "Usage: crosscheck <COMMAND>"),
        (&["frobnicate"], "unrecognized subcommand 'frobnicate'"),
        (&["list", "--yaml"], "unexpected argument '--yaml'"),
        (&["check"], "<FILE|RUN_DIR>..."),
        (&["check", "h.jsonl", "--checker", "no-los"], "a similar value exists: 'no-loss'"),
        (&["check", "h.jsonl", "--format", "xml"], "and crosscheck"),
        (&["check", "h.jsonl", "--delta", "500"], "`500ms`"),
        (&["run", "outbox-wal-realy"], "(close: `outbox-wal-relay`)"),
        (&["run", "outbox-wal-relay", "--time=-3s"], "a duration has a number and a unit"),
        (&["run", "outbox-wal-relay", "--claims", "no-fun"], "invalid value 'no-fun'"),
    ];
    let dir = directory(&[]);
    for (args, says) in cases {
        let ran = crosscheck(dir.path(), args);
        assert_eq!((ran.exit, ran.stdout.as_str()), (2, ""), "{args:?}: {}", ran.stderr);
        assert!(ran.stderr.contains(says), "{args:?} says {}", ran.stderr);
    }
}

#[test]
fn what_does_not_exist_yet_is_not_offered() {
    let dir = directory(&[]);
    let ran = crosscheck(dir.path(), &["generate", "--kind", "mqtt"]);
    assert_eq!(ran.exit, 2);
    assert!(ran.stderr.contains("\"mqtt\" is none of list-append"), "{}", ran.stderr);
}

#[test]
fn the_help_of_each_command_has_examples() {
    let dir = directory(&[]);
    for command in COMMANDS {
        let ran = crosscheck(dir.path(), &[command, "--help"]);
        assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
        let example = format!("Examples:\n  crosscheck {command}");
        assert!(ran.stdout.contains(&example), "{command}: {}", ran.stdout);
    }
}

#[test]
fn the_help_names_the_exits() {
    insta::assert_snapshot!(crosscheck(directory(&[]).path(), &["--help"]).stdout);
}

#[test]
fn the_list_names_everything_on_a_line_of_its_own() {
    let listed = crosscheck(directory(&[]).path(), &["list"]).stdout;
    let names: Vec<&str> = listed.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let designs = design::all().into_iter().map(|design| design.id());
    let properties = Property::ALL.into_iter().map(|property| property.id().to_owned());
    let faults = FAULTS.iter().map(|fault| fault.id.to_owned());
    for name in
        designs.chain(properties).chain(faults).chain(["crosscheck", "model", "local"].map(str::to_owned))
    {
        assert!(names.contains(&name.as_str()), "{name} is not in\n{listed}");
    }
}

#[test]
fn a_property_without_a_checker_is_not_listed_as_one() {
    let document = document(&crosscheck(directory(&[]).path(), &["list", "--json"]));
    let checkers = document["checkers"].as_array().expect("checkers are a list");
    assert!(checkers.contains(&"no-loss".into()) && !checkers.contains(&"invariant".into()));
}

#[test]
fn the_list_as_a_document_holds_every_kind() {
    let document = document(&crosscheck(directory(&[]).path(), &["list", "--json"]));
    for kind in ["designs", "properties", "faults", "checkers", "formats", "backends"] {
        assert!(document[kind].as_array().is_some_and(|all| !all.is_empty()), "{kind}");
    }
    let designs = document["designs"].as_array().expect("designs are a list");
    let of = |id| designs.iter().find(|design| design["id"] == id).expect("it is in the catalogue");
    let variants = of("outbox-poll-flag-single")["variants"].as_array().expect("variants are a list");
    let ids: Vec<_> = variants.iter().filter_map(|variant| variant["id"].as_str()).collect();
    assert_eq!(ids, ["outbox-poll-flag-single", "outbox-poll-flag-single/mark-before-publish"]);
}

#[test]
fn what_cannot_run_on_cockroach_says_why_and_is_no_verdict() {
    let dir = directory(&[]);
    let ran = crosscheck(dir.path(), &["run", "outbox-wal-relay", "--database", "cockroach"]);
    assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    let said = "outbox-wal-relay cannot run: CockroachDB has no logical replication slots";
    assert!(ran.stderr.contains(said), "{}", ran.stderr);

    for command in ["run", "explore", "matrix", "bench"] {
        let ran = crosscheck(dir.path(), &[command, "cdc-crdb-changefeed"]);
        assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{command}: {}", ran.stderr);
        let said = "cdc-crdb-changefeed cannot run: PostgreSQL has no changefeeds";
        assert!(ran.stderr.contains(said), "{command}: {}", ran.stderr);
    }

    let on_the_model = ["run", "sot-serializable", "--database", "cockroach", "--backend", "model"];
    let ran = crosscheck(dir.path(), &on_the_model);
    assert_eq!((ran.exit, ran.stdout.as_str()), (4, ""), "{}", ran.stderr);
    assert!(ran.stderr.contains("run CockroachDB as a server"), "{}", ran.stderr);
}
