//! `crosscheck run`: designs under load, with faults if asked.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_harness::design::Design;
use crosscheck_harness::plan::{self, Nemesis};
use crosscheck_harness::schedule::Schedule;
use crosscheck_models::verdict::Verdict;
use crosscheck_reports::document::RunDocument;
use crosscheck_reports::run::SavedRun;
use crosscheck_reports::text;
use crosscheck_scenarios::pattern;
use crosscheck_scenarios::trial::Trials;

use super::args::RunArgs;
use super::session::{self, Progress};
use super::value::Faults;
use super::{Exit, Stop};

/// Runs, saves, judges and tells.
pub(crate) fn execute(args: &RunArgs) -> Result<(), Stop> {
    let (designs, skipped) = session::able(args.database, pattern::select(&args.patterns)?)?;
    let schedules: Vec<Schedule> =
        designs.iter().map(|design| schedule(args, &**design)).collect::<Result<_, _>>()?;
    let runs = session::on_runtime(async {
        let progress = Progress::start(args.output, designs.len() as u64);
        let chosen = session::open_on(args.backend, args.database, &designs, &progress).await?;
        let trials = Trials::new(&args.out).judging(&args.claims);
        let mut runs = Vec::new();
        for (design, schedule) in designs.iter().zip(&schedules) {
            progress.say(&format!("running {}", design.id()));
            let saved = trials.run(design, &*chosen.backend, schedule).await?;
            progress.done(&format!("{}: {}", design.id(), saved.verdict.verdict));
            runs.push(saved);
        }
        Ok(runs)
    })?;
    for run in &runs {
        args.output.text(|style| text::render(run, style))?;
    }
    if !skipped.is_empty() {
        args.output.text(|_| text::skipped(&skipped))?;
    }
    args.output.document(|| RunDocument::of(&runs).without(&skipped))?;
    session::ends(worst(&runs), || explain(&runs))
}

fn schedule(args: &RunArgs, design: &dyn Design) -> Result<Schedule, Stop> {
    let faults = match &args.faults {
        Faults::None => Vec::new(),
        Faults::All => design.faults().into_iter().map(plan::fault_on).collect(),
        Faults::Named(named) => named.clone(),
    };
    let mut workload = design.workload();
    workload.clients = args.clients.map_or(workload.clients, |clients| clients as usize);
    workload.rate = args.rate.or(workload.rate);
    let ms = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    let nemesis = Nemesis {
        every_ms: ms(args.nemesis.fault_every),
        for_ms: ms(args.nemesis.fault_for),
        together: args.nemesis.faults_together as usize,
        percent: args.nemesis.fault_chance,
    };
    if nemesis.every_ms < 10 || nemesis.for_ms < 10 {
        return Err(Stop::usage("--fault-every and --fault-for are 10ms or more"));
    }
    Ok(plan::stress_with(design, workload, &faults, args.seed, ms(args.time), nemesis))
}

/// The exit that the verdicts of runs make together.
pub(crate) fn worst(runs: &[SavedRun]) -> Exit {
    Exit::of_several(runs.iter().map(|run| Exit::from(run.verdict.verdict)))
}

/// Why the exit is not 0.
pub(crate) fn explain(runs: &[SavedRun]) -> String {
    let mut lines = Vec::new();
    for run in runs {
        let claimed = |verdict| -> Vec<&str> {
            run.verdict.claimed(verdict).map(|judged| judged.property().id()).collect()
        };
        match run.verdict.verdict {
            Verdict::Valid => {}
            Verdict::Violated => lines.push(format!(
                "{} violates {}; see {}/report.html",
                run.info.variant,
                claimed(Verdict::Violated).join(", "),
                run.info.run_dir
            )),
            Verdict::Unknown => lines.push(format!(
                "{}: it cannot be told whether {} holds: {}; a longer run (--time) may tell",
                run.info.variant,
                claimed(Verdict::Unknown).join(", "),
                run.verdict.unknown_reason().unwrap_or("no reason is given")
            )),
        }
    }
    lines.join("\n")
}

/// The one design of that id.
pub(crate) fn design_of(id: &str) -> Option<Arc<dyn Design>> {
    crosscheck_scenarios::design::all().into_iter().find(|design| design.id() == id)
}
