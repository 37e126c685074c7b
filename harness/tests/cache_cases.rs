//! The cases of the cache (`harness/conformance/redis/`): what the model prints is what is recorded beside them,
//! and what a real Redis prints. `CROSSCHECK_RECORD=1` records anew what the real one prints.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crosscheck_harness::backend::HarnessError;
use crosscheck_harness::backend::local::{Places, Programs, default_root, start_cases};
use crosscheck_harness::conform::{Case, Language, Limits, Transcript};
use crosscheck_harness::model;

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance/redis");
    let files = Case::files(&folder).expect("the folder is there");
    files.iter().map(|file| Case::read(file).unwrap_or_else(|error| panic!("{error}"))).collect()
}

fn recording(case: &Case) -> PathBuf {
    let folder = case.path.parent().expect("a case lies in a folder");
    folder.join("expected").join(format!("{}.out", case.name))
}

/// What differs from the recording, line by line, if anything does.
fn difference(case: &Case, transcript: &Transcript) -> Option<String> {
    assert_eq!((&transcript.stopped, transcript.complaints.len()), (&None, 0), "{}", case.name);
    let recorded = std::fs::read_to_string(recording(case)).expect("each case has its recording");
    let (mut expected, mut actual) = (recorded.lines(), transcript.text.lines());
    let mut number = 0;
    loop {
        number += 1;
        match (expected.next(), actual.next()) {
            (None, None) => return None,
            (expected, actual) if expected == actual => {}
            (expected, actual) => {
                let expected = expected.unwrap_or("(the end)");
                let actual = actual.unwrap_or("(the end)");
                return Some(format!("{}:{number}\n-{expected}\n+{actual}", case.name));
            }
        }
    }
}

#[test]
fn the_model_prints_what_is_recorded() {
    let cases = cases();
    assert!(cases.len() >= 12, "there are {} cases", cases.len());
    let mut differences = Vec::new();
    for case in &cases {
        let transcript = model::cases::run(case, Limits::default()).expect("a runtime starts");
        differences.extend(difference(case, &transcript));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_real_redis_prints_what_is_recorded() {
    let environment = |name: &str| std::env::var(name).ok();
    let programs = Programs::find(&environment, &Places::debian());
    let required = environment("CROSSCHECK_REQUIRE").unwrap_or_default();
    let required = required.split(',').any(|backend| backend.trim() == "local");
    let languages = BTreeSet::from([Language::Redis]);
    let servers = match start_cases(&languages, &programs, &default_root(&environment)).await {
        Err(HarnessError::Missing { what, .. }) if !required => {
            println!("skipped: {what}");
            return;
        }
        started => started.unwrap_or_else(|error| panic!("{error}")),
    };
    let mut differences = Vec::new();
    for case in cases() {
        let transcript = servers.run(&case, Limits::default()).await.expect("the server is up");
        if environment("CROSSCHECK_RECORD").is_some() {
            std::fs::write(recording(&case), &transcript.text).expect("it can be written");
        }
        differences.extend(difference(&case, &transcript));
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}
