//! `crosscheck replay`: a schedule again, and how often it came out the same.

use std::path::Path;

use crosscheck_harness::schedule::Schedule;
use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;
use crosscheck_reports::document::RunDocument;
use crosscheck_reports::run::{RunVerdict, SavedRun};
use crosscheck_reports::text;
use crosscheck_scenarios::trial::Trials;

use super::args::ReplayArgs;
use super::run::{design_of, explain, worst};
use super::session::{self, Progress};
use super::{Exit, Stop};

/// Runs the schedule as often as asked.
pub(crate) fn execute(args: &ReplayArgs) -> Result<(), Stop> {
    let schedule = read(&args.file)?;
    let design = design_of(&schedule.variant).ok_or_else(|| {
        Stop::could_not_run(format!(
            "{} is a schedule of `{}`, which this Crosscheck does not know; `crosscheck list` names what it knows",
            args.file.display(),
            schedule.variant
        ))
    })?;
    let (designs, _) = session::able(args.database, vec![design])?;
    let runs = session::on_runtime(async {
        let progress = Progress::start(args.output, args.times.into());
        let chosen = session::open_on(args.backend, args.database, &designs, &progress).await?;
        let trials = Trials::new(&args.out);
        let mut runs = Vec::new();
        for time in 1..=args.times {
            progress
                .say(&format!("replaying {} {}, {time} of {}", schedule.variant, schedule.name, args.times));
            let saved = trials.run(&designs[0], &*chosen.backend, &schedule).await?;
            progress.done(&format!("{time} of {}: {}", args.times, outcome(&saved.verdict)));
            runs.push(saved);
        }
        Ok(runs)
    })?;
    let before = recorded(&args.file);
    args.output.text(|style| {
        let last = runs.last().map(|run| text::render(run, style)).unwrap_or_default();
        format!("{last}\n{}\n", reproduced(&runs, before.as_ref()))
    })?;
    args.output.document(|| RunDocument::of(&runs))?;
    match worst(&runs) {
        Exit::Valid => Ok(()),
        exit => session::ends(exit, || explain(&runs[..1])),
    }
}

fn read(file: &Path) -> Result<Schedule, Stop> {
    let text = std::fs::read_to_string(file).map_err(|error| {
        Stop::could_not_run(format!("cannot read the schedule {}: {error}", file.display()))
    })?;
    Schedule::parse(&text).map_err(|error| Stop::could_not_run(format!("{}: {error}", file.display())))
}

/// The verdict of the run that the schedule was saved with, if it lies beside it.
fn recorded(file: &Path) -> Option<RunVerdict> {
    let text = std::fs::read_to_string(file.parent()?.join("verdict.json")).ok()?;
    serde_json::from_str(&text).ok()
}

fn violated(verdict: &RunVerdict) -> Vec<Property> {
    let judged = verdict.properties.iter().filter(|judged| judged.verdict.verdict == Verdict::Violated);
    judged.map(crosscheck_reports::run::JudgedProperty::property).collect()
}

fn outcome(verdict: &RunVerdict) -> String {
    let violated = violated(verdict);
    if violated.is_empty() {
        return format!("no violation ({})", verdict.verdict);
    }
    let names: Vec<&str> = violated.iter().map(|property| property.id()).collect();
    format!("violated {}", names.join(", "))
}

/// How often the runs violated what the recorded run violated; without one, what the first of them did.
fn reproduced(runs: &[SavedRun], before: Option<&RunVerdict>) -> String {
    let Some(wanted) = before.or_else(|| runs.first().map(|run| &run.verdict)) else {
        return "nothing was replayed".to_owned();
    };
    let same = runs.iter().filter(|run| violated(&run.verdict) == violated(wanted)).count();
    let whose = if before.is_some() { "as recorded" } else { "as the first time" };
    format!("reproduced {same} of {}, {whose}: {}", runs.len(), outcome(wanted))
}
