//! Runs as JUnit XML: a suite a run, a test case a property.

use std::time::Duration;

use crosscheck_models::verdict::Verdict;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestSuite};

use crate::run::{JudgedProperty, RunInfo, SavedRun};
use crate::wording;

/// JUnit XML of the runs. Violated is a failure with the story, unknown is an error with the reason, and a
/// property that the design does not claim is skipped with what was found.
#[must_use]
pub fn render(runs: &[SavedRun]) -> String {
    let mut report = Report::new("crosscheck");
    for run in runs {
        report.add_test_suite(suite(run));
    }
    report.to_string().expect("a report whose texts are valid XML text can be written")
}

fn suite(run: &SavedRun) -> TestSuite {
    let info = &run.info;
    let mut suite = TestSuite::new(format!("{} on {}", info.variant, info.backend));
    suite.set_time(seconds(info.seconds));
    suite.add_property(("seed", info.seed.to_string().as_str()));
    suite.add_property(("replay", info.replay.as_str()));
    suite.add_property(("run_dir", info.run_dir.as_str()));
    for (system, version) in &info.versions {
        suite.add_property((system.as_str(), version.as_str()));
    }
    for judged in &run.verdict.properties {
        suite.add_test_case(case(info, judged));
    }
    if let Some(reason) = &run.verdict.reason {
        let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
        status.set_type("unknown").set_message(reason.as_str());
        let mut case = TestCase::new("the run as a whole", status);
        case.set_classname(info.variant.as_str());
        suite.add_test_case(case);
    }
    suite
}

fn case(info: &RunInfo, judged: &JudgedProperty) -> TestCase {
    let mut case = TestCase::new(judged.property().id(), status(info, judged));
    case.set_classname(info.variant.as_str());
    let exercised = wording::counters(&judged.verdict.exercised);
    if !exercised.is_empty() {
        case.set_system_out(format!("exercised: {exercised}"));
    }
    case
}

fn status(info: &RunInfo, judged: &JudgedProperty) -> TestCaseStatus {
    let verdict = &judged.verdict;
    if !judged.claimed {
        let mut status = TestCaseStatus::skipped();
        status.set_message(format!("not claimed by this design; found {}", verdict.verdict));
        return status;
    }
    match verdict.verdict {
        Verdict::Valid => TestCaseStatus::success(),
        Verdict::Unknown => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Error);
            status.set_type("unknown").set_message(verdict.reason.as_deref().unwrap_or("could not tell"));
            status
        }
        Verdict::Violated => {
            let mut status = TestCaseStatus::non_success(NonSuccessKind::Failure);
            status.set_type("violated");
            match &verdict.witness {
                Some(witness) => status
                    .set_message(witness.summary.as_str())
                    .set_description(format!("{witness}replay: {}\n", info.replay)),
                None => status.set_message(judged.property().statement()),
            };
            status
        }
    }
}

/// A duration of a saved run; what is no duration (a file can hold anything) counts as none.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}
