//! The directories of runs: what is written, read again, rendered again and judged again.

use std::fs;
use std::path::Path;

use crosscheck_models::check::{Options, check_applicable};
use crosscheck_models::history::History;
use crosscheck_models::verdict::Verdict;
use crosscheck_reports::run::{FaultWindow, JudgedProperty, RunInfo, RunVerdict, SavedRun};
use crosscheck_scenarios::run_dir::{self, RunDir, RunDirError};

use crate::histories::lost_event;
use crate::{crosscheck, directory};

const VARIANT: &str = "outbox-poll-flag-single/mark-before-publish";

fn lossy_run() -> SavedRun {
    let (history, _) = History::parse(&lost_event()).expect("it keeps the rules");
    let properties = check_applicable(&history, &Options::default())
        .into_iter()
        .map(|verdict| JudgedProperty { claimed: true, expected: None, verdict })
        .collect();
    let verdict =
        RunVerdict { verdict: Verdict::Violated, properties, counters: Default::default(), reason: None };
    let info = RunInfo { variant: VARIANT.to_owned(), seed: 7, ..RunInfo::default() };
    let fault = FaultWindow {
        id: "app-crash".to_owned(),
        system: "app".to_owned(),
        colour: "#b8b8b8".to_owned(),
        took: true,
        ..FaultWindow::default()
    };
    SavedRun { info, faults: vec![fault], verdict, history }
}

/// A run as a command saves it.
fn save(root: &Path, run: &SavedRun) -> RunDir {
    let dir = RunDir::create(root, VARIANT, 7).expect("the root is ours");
    fs::write(dir.history_path(), lost_event()).expect("the directory is ours");
    dir.save_before_check(&run.info, "{}", &run.faults).expect("the directory is ours");
    dir.save_verdict(run).expect("the directory is ours");
    dir
}

fn names_in(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).expect("it is there");
    let name = |entry: std::io::Result<fs::DirEntry>| {
        entry.expect("it is readable").file_name().to_string_lossy().into_owned()
    };
    let mut names: Vec<String> = entries.map(name).collect();
    names.sort();
    names
}

#[test]
fn a_run_is_read_as_it_was_saved() {
    let root = directory(&[]);
    let run = lossy_run();
    let dir = save(root.path(), &run);
    assert_eq!(run_dir::load(dir.path()).expect("it was saved whole"), run);
    let files = "faults.jsonl history.jsonl junit.xml logs report.html run.json schedule.json summary.md \
                 verdict.json";
    assert_eq!(names_in(dir.path()).join(" "), files);
}

#[test]
fn a_second_run_within_the_second_has_a_directory_of_its_own() {
    let root = directory(&[]);
    let dirs: Vec<RunDir> =
        (0..3).map(|_| RunDir::create(root.path(), VARIANT, 7).expect("the root is ours")).collect();
    let of_variant = root.path().join("outbox-poll-flag-single--mark-before-publish");
    assert_eq!(names_in(&of_variant).len(), 3);
    assert_eq!(names_in(root.path()), ["latest", "outbox-poll-flag-single--mark-before-publish"]);
    let latest = root.path().join("latest").canonicalize().expect("it points to a run");
    assert_eq!(latest, dirs[2].path().canonicalize().expect("it was made"));
}

#[test]
fn a_run_that_was_killed_has_no_report_but_is_judged_from_its_history() {
    let root = directory(&[]);
    let dir = RunDir::create(root.path(), VARIANT, 7).expect("the root is ours");
    fs::write(dir.history_path(), lost_event() + r#"{"index":7,"ti"#).expect("the directory is ours");
    assert!(matches!(run_dir::load(dir.path()), Err(RunDirError::NotJudged { .. })));
    let report = crosscheck(root.path(), &["report", "latest"]);
    assert_eq!(report.exit, 4);
    assert_eq!(
        report.stderr,
        "error: latest was never judged: `crosscheck check latest` judges its history\n"
    );
    let check = crosscheck(root.path(), &["check", "latest"]);
    assert_eq!(check.exit, 1);
    assert!(check.stderr.contains("no-loss is violated"), "{}", check.stderr);
}

#[test]
fn without_the_faults_nobody_knows_what_was_stuck() {
    let root = directory(&[]);
    let dir = RunDir::create(root.path(), VARIANT, 7).expect("the root is ours");
    fs::write(dir.history_path(), lost_event()).expect("the directory is ours");
    let ran = crosscheck(root.path(), &["check", "latest", "--checker", "liveness"]);
    assert_eq!(ran.exit, 3);
    assert!(ran.stderr.contains("stopped before it wrote when which fault was injected"), "{}", ran.stderr);
}

#[test]
fn reports_are_rendered_again_and_several_are_compared() {
    let root = directory(&[]);
    let run = lossy_run();
    let dirs = [save(root.path(), &run), save(root.path(), &run)];
    let first = dirs[0].path().join(run_dir::REPORT);
    let before = fs::read_to_string(&first).expect("it was saved");
    fs::remove_file(&first).expect("it is ours");
    let paths = dirs.each_ref().map(|dir| dir.path().to_str().expect("the root has a plain name"));
    let ran = crosscheck(root.path(), &["report", paths[0], paths[1], "--out", "both.html"]);
    assert_eq!((ran.exit, ran.stderr.as_str()), (0, ""));
    assert_eq!(ran.stdout, format!("{0}/report.html\n{1}/report.html\nboth.html\n", paths[0], paths[1]));
    assert_eq!(fs::read_to_string(&first).expect("it is there again"), before);
    assert!(fs::read_to_string(root.path().join("both.html")).expect("it was asked for").contains(VARIANT));
}

#[test]
fn a_malformed_file_of_a_run_is_named_with_its_line() {
    let root = directory(&[]);
    let dir = save(root.path(), &lossy_run());
    let faults = dir.path().join(run_dir::FAULTS);
    let more = fs::read_to_string(&faults).expect("it was saved") + "{\"id\":3}\n";
    fs::write(&faults, more).expect("it is ours");
    let ran = crosscheck(root.path(), &["report", "latest"]);
    assert_eq!(ran.exit, 4);
    assert!(ran.stderr.starts_with("error: latest/faults.jsonl, line 2: "), "{}", ran.stderr);
}
