//! All of our own cases on the model: what it prints is what is recorded beside them, which is what servers print.

use std::path::Path;

use crosscheck_harness::conform::{Case, Language, Limits, Outcome};
use crosscheck_harness::model::cases::{Planted, run, run_with_planted};

fn cases() -> Vec<Case> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let files = Case::files(&folder).expect("the folder is there");
    files.iter().map(|file| Case::read(file).expect("each case can be read")).collect()
}

#[test]
fn the_model_prints_what_servers_print() {
    let cases = cases();
    for language in [Language::Sql, Language::Redis, Language::Kafka] {
        assert!(cases.iter().any(|case| case.language == language), "{language:?} has no case");
    }
    let mut broken = Vec::new();
    for case in cases {
        let transcript = run(&case, Limits::default()).expect("the model starts");
        match Outcome::of(&transcript, &case.expected()) {
            Outcome::Equal if transcript.stopped.is_none() && transcript.complaints.is_empty() => {}
            Outcome::Wrong { difference } => broken.push(format!("{}\n{difference}", case.name)),
            other => broken.push(format!("{}: {other:?} {:?}", case.name, transcript.complaints)),
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn the_cases_find_that_sequences_roll_back() {
    let cases = cases().into_iter().filter(|case| case.language == Language::Sql);
    let wrong = cases.filter(|case| {
        let transcript = run_with_planted(case, Limits::default(), Planted::SequencesRollBack);
        let transcript = transcript.expect("the model starts");
        matches!(Outcome::of(&transcript, &case.expected()), Outcome::Wrong { .. })
    });
    let wrong: Vec<String> = wrong.map(|case| case.name).collect();
    assert!(wrong.iter().any(|name| name == "sequence-gaps"), "{wrong:?}");
}
