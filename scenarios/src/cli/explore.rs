//! `crosscheck explore`: searches the schedules of designs on the model, and confirms on real servers what it
//! finds there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::Args as ClapArgs;
use crosscheck_harness::design::Design;
use crosscheck_harness::explore::{Exploration, Found, Replays, Search, explore};
use crosscheck_harness::schedule::{Move, Plan, Schedule, Until};
use crosscheck_models::property::Property;
use crosscheck_models::verdict::{Verdict, Witness};
use crosscheck_reports::document::Expected;
use crosscheck_reports::explored::{
    Confirmed, ExploreDocument, ExploreResult, FaultPoint, PriorityWalks, Regression, ShrunkWitness,
    Violation, render,
};
use crosscheck_reports::html::render_explored;
use crosscheck_scenarios::ground_truth::{self, Cell, Row};
use crosscheck_scenarios::pattern;
use crosscheck_scenarios::trial::Trials;

use super::args::{BackendChoice, DatabaseChoice};
use super::session::{self, Progress};
use super::{Exit, Output, Stop};

/// Schedules of a search, if nothing else is said.
const RUNS: u64 = 20_000;

/// Schedules that an exhaustive search visits at most, if nothing else is said.
const EXHAUSTIVE_MAX: u64 = 1_000_000;

/// Preemptions of an exhaustive search.
const PREEMPTIONS: usize = 2;

/// Searches the schedules of designs on the model, shrinks what is found, and confirms it on real servers
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  crosscheck explore outbox-poll-id-cursor
  crosscheck explore '*' --runs 20000 --json
  crosscheck explore outbox-poll-flag-single --exhaustive
  crosscheck explore outbox-poll-id-cursor --confirm local --times 20")]
pub(crate) struct Args {
    /// Which variants: a glob over the full id, in which `*` crosses `/`
    #[arg(value_name = "PATTERN", required = true)]
    patterns: Vec<String>,
    /// How many schedules of each variant at most [default: 20000; with --exhaustive 1000000]
    #[arg(long, value_name = "N")]
    runs: Option<u64>,
    /// What all randomness comes from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Every schedule of a small workload: each step with each single fault, and all interleavings with at most
    /// two preemptions
    #[arg(long)]
    exhaustive: bool,
    /// Visits also those schedules that differ only in the order of steps that commute
    #[arg(long, requires = "exhaustive")]
    no_reduction: bool,
    /// How many clients there are
    #[arg(long, value_name = "N", default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    clients: u8,
    /// Replays what is found on this backend
    #[arg(long, value_name = "BACKEND", value_enum)]
    confirm: Option<BackendChoice>,
    /// How often it is replayed there
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    times: u32,
    /// Where the schedules are saved
    #[arg(long, value_name = "DIR", default_value = "crosscheck-runs")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

/// Explores, confirms and tells.
pub(crate) fn execute(args: &Args) -> Result<(), Stop> {
    // The model's database is PostgreSQL's.
    let (designs, skipped) = session::able(DatabaseChoice::Postgres, pattern::select(&args.patterns)?)?;
    let mut results = Vec::new();
    let mut confirming = Vec::new();
    for design in &designs {
        let (result, found) = one(args, design)?;
        results.push(result);
        confirming.push(found);
    }
    if let Some(backend) = args.confirm {
        session::on_runtime(confirm(args, backend, &designs, &confirming, &mut results))?;
    }
    let as_expected = results.iter().all(|result| result.as_expected);
    let document = ExploreDocument { as_expected, results, skipped };
    let page = args.out.join("explored").join("report.html");
    write(&page, &render_explored(&document))?;
    args.output.text(|_| format!("{}report: {}\n", render(&document), page.display()))?;
    args.output.document(|| &document)?;
    let exit = if as_expected { Exit::Valid } else { Exit::Violated };
    session::ends(exit, || explain(&document))
}

fn one(args: &Args, design: &Arc<dyn Design>) -> Result<(ExploreResult, Vec<Found>), Stop> {
    let row = ground_truth::row(&design.id());
    let started = Instant::now();
    let quiet = args.output.quiet;
    let mut told = started;
    let (files, kept): (Vec<PathBuf>, Vec<Schedule>) = kept(&args.out, &design.id()).into_iter().unzip();
    let exploration = explore(design, &search(args, &**design, row.as_ref(), kept), &mut |done, all| {
        if !quiet && told.elapsed().as_secs() >= 5 {
            told = Instant::now();
            let all = all.map_or(String::new(), |all| format!(" of at most {all}"));
            eprintln!("exploring {}: {done}{all} schedules", design.id());
        }
    })?;
    let seconds = started.elapsed().as_secs_f64();
    if args.exhaustive && exploration.there_are.is_none() {
        return Err(too_many(&design.id(), args.runs.unwrap_or(EXHAUSTIVE_MAX)));
    }
    let Exploration {
        schedules,
        there_are,
        equivalent,
        coverage,
        found,
        fault_points,
        inconclusive,
        kept,
        priorities,
    } = exploration;
    let priorities = priorities.map(|walks| PriorityWalks {
        walks: walks.walks,
        actors: walks.actors,
        steps: walks.steps,
        depth: walks.depth,
        one_in: walks.one_in(),
    });
    let mut violations = Vec::new();
    for found in &found {
        violations.push(violation(args, design, row.as_ref(), found)?);
    }
    let missed = if args.exhaustive { Vec::new() } else { missed(row.as_ref(), &found) };
    let fault_points =
        fault_points.into_iter().map(|(fault, property)| FaultPoint { fault, property }).collect();
    let as_expected = missed.is_empty() && violations.iter().all(|violation| violation.expected);
    let regressions: Vec<Regression> = files
        .iter()
        .zip(kept)
        .map(|(file, violates)| Regression { file: file.display().to_string(), violates })
        .collect();
    let as_expected = as_expected
        && regressions
            .iter()
            .flat_map(|kept| &kept.violates)
            .all(|property| may_break(row.as_ref(), *property));
    let variant = design.id();
    let result = ExploreResult {
        variant,
        as_expected,
        schedules,
        there_are,
        equivalent,
        inconclusive: inconclusive.values().sum(),
        inconclusive_because: inconclusive,
        priorities,
        seconds,
        coverage,
        violations,
        missed,
        fault_points,
        regressions,
    };
    Ok((result, found))
}

/// Whether the ground truth lets a property be violated, without faults or with them.
fn may_break(row: Option<&Row>, property: Property) -> bool {
    let breaks =
        |cell: &Cell| cell.property == property && matches!(cell.expected, Expected::V | Expected::P);
    row.is_none_or(|row| row.cells.iter().any(breaks))
}

/// The schedules that earlier explorations of a variant found. One that cannot be replayed is named on stderr.
fn kept(out: &Path, variant: &str) -> Vec<(PathBuf, Schedule)> {
    let Ok(entries) = std::fs::read_dir(folder(out, variant)) else { return Vec::new() };
    let mut files: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut kept = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
        let parsed = text.and_then(|text| Schedule::parse(&text).map_err(|error| error.to_string()));
        match parsed {
            Ok(schedule) => kept.push((file, schedule)),
            Err(error) => eprintln!("{} is not replayed: {error}", file.display()),
        }
    }
    kept
}

fn too_many(variant: &str, runs: u64) -> Stop {
    let advice = "raise --runs, or take fewer --clients";
    Stop::unknown(format!(
        "{variant}: to count its schedules takes more than {runs} of them, and none was visited; {advice}"
    ))
}

fn search(args: &Args, design: &dyn Design, row: Option<&Row>, kept: Vec<Schedule>) -> Search {
    let judged = |with_faults: bool| match row {
        Some(row) => row.cells(with_faults).map(|cell| cell.property).collect(),
        None => design.claims(),
    };
    let wanted = |with_faults: bool| {
        let cells = row.into_iter().flat_map(move |row| row.cells(with_faults));
        cells.filter(|cell| cell.expected == Expected::V).map(move |cell| (cell.property, with_faults))
    };
    let all_wanted: Vec<(Property, bool)> = wanted(false).chain(wanted(true)).collect();
    // What a design does not claim may break; it is correct all the same, and all its schedules are played.
    let claims = design.claims();
    let is_broken = all_wanted.iter().any(|(property, _)| claims.contains(property));
    Search {
        runs: args.runs.unwrap_or(if args.exhaustive { EXHAUSTIVE_MAX } else { RUNS }),
        seed: args.seed,
        clients: usize::from(args.clients),
        operations: if args.exhaustive { 1 } else { 2 },
        without_faults: judged(false),
        with_faults: judged(true),
        wanted: if args.exhaustive || !is_broken { Vec::new() } else { all_wanted },
        exhaustive: args.exhaustive.then_some(PREEMPTIONS),
        reduce: !args.no_reduction,
        kept,
    }
}

/// The cells that must break and were not seen to. What breaks without faults breaks with them too.
fn missed(row: Option<&Row>, found: &[Found]) -> Vec<String> {
    let cells = row.iter().flat_map(|row| &row.cells).filter(|cell| cell.expected == Expected::V);
    cells
        .filter(|cell| {
            !found.iter().any(|found| {
                found.verdict.property == cell.property && (cell.with_faults || !found.with_faults)
            })
        })
        .map(|cell| format!("{} {} faults", cell.property, if cell.with_faults { "with" } else { "without" }))
        .collect()
}

fn violation(
    args: &Args,
    design: &Arc<dyn Design>,
    row: Option<&Row>,
    found: &Found,
) -> Result<Violation, Stop> {
    let property = found.verdict.property;
    let expected = row.is_none_or(|row| {
        row.cells(found.with_faults)
            .any(|cell| cell.property == property && matches!(cell.expected, Expected::V | Expected::P))
    });
    let file = save(&args.out, design, found)?;
    let (story, summary) = told(found.verdict.witness.as_ref());
    let moves = match &found.schedule.plan {
        Plan::Directed(directed) => directed.moves.iter().map(in_words).collect(),
        Plan::Stress(_) => Vec::new(),
    };
    Ok(Violation {
        property,
        with_faults: found.with_faults,
        expected,
        at_schedule: found.at,
        after_s: found.after.as_secs_f64(),
        replays: found.replays != Replays::Otherwise,
        leaves_race: found.replays == Replays::LeavesRace,
        witness: ShrunkWitness { moves, story, summary, schedule: file.display().to_string() },
        confirmed: None,
    })
}

/// Where the schedules of a variant are kept.
fn folder(out: &Path, variant: &str) -> PathBuf {
    out.join("explored").join(variant.replace('/', "--"))
}

/// The witness as lines, and in a sentence.
fn told(witness: Option<&Witness>) -> (Vec<String>, String) {
    witness.map_or((Vec::new(), String::new()), |witness| {
        let lines = witness.story.iter().map(|line| format!("{}  {}", line.who, line.text)).collect();
        (lines, witness.summary.clone())
    })
}

fn save(out: &Path, design: &Arc<dyn Design>, found: &Found) -> Result<PathBuf, Stop> {
    let folder = folder(out, &design.id());
    let file = folder.join(format!("{}.json", found.schedule.name));
    write(&file, &found.schedule.to_json())?;
    Ok(file)
}

fn write(file: &Path, text: &str) -> Result<(), Stop> {
    let folder = file.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(file, text))
        .map_err(|error| Stop::could_not_run(format!("cannot write {}: {error}", file.display())))
}

fn in_words(step: &Move) -> String {
    match step {
        Move::Run { actor, until } => match until {
            Until::Point(name) => format!("{actor} goes on to {name}"),
            Until::Call(call) => format!("{actor} goes on, up to `{call}`"),
            Until::OpDone => format!("{actor} ends its operation"),
            Until::Idle => format!("{actor} goes on until it finds nothing to do"),
            Until::Blocked => format!("{actor} goes on until it waits for a lock"),
        },
        Move::Start { actor } => format!("{actor} is let go"),
        Move::Crash { actor } => format!("{actor} crashes"),
        Move::LoseReply { actor } => format!("{actor}'s next call happens, and it never hears of it"),
        Move::LoseRequest { actor } => format!("{actor}'s next call is lost on its way"),
        Move::Wait { ms } => format!("{ms} ms pass"),
        Move::Inject(on) => format!("{} begins", on.fault),
        Move::Heal(on) => format!("{} ends", on.fault),
    }
}

/// Replays each found schedule on real servers.
async fn confirm(
    args: &Args,
    backend: BackendChoice,
    designs: &[Arc<dyn Design>],
    found: &[Vec<Found>],
    results: &mut [ExploreResult],
) -> Result<(), Stop> {
    let steps = found.iter().map(|found| found.len() as u64).sum::<u64>() * u64::from(args.times);
    let progress = Progress::start(args.output, steps);
    let chosen = session::open(backend, designs, &progress).await?;
    let trials = Trials::new(&args.out);
    for ((design, found), result) in designs.iter().zip(found).zip(results) {
        for (found, violation) in found.iter().zip(&mut result.violations) {
            let mut reproduced = 0;
            let (mut summary, mut story) = (String::new(), Vec::new());
            for _ in 0..args.times {
                progress.say(&format!("replaying {} {}", design.id(), found.schedule.name));
                let saved = trials.run(design, &*chosen.backend, &found.schedule).await?;
                let violated = saved.verdict.properties.iter().find(|judged| {
                    judged.property() == violation.property && judged.verdict.verdict == Verdict::Violated
                });
                if let Some(judged) = violated {
                    reproduced += 1;
                    (story, summary) = told(judged.verdict.witness.as_ref());
                }
            }
            let backend = chosen.backend.name().to_owned();
            let versions = chosen.backend.versions();
            violation.confirmed =
                Some(Confirmed { backend, times: args.times, reproduced, versions, summary, story });
            result.as_expected &= reproduced > 0;
        }
    }
    Ok(())
}

fn explain(document: &ExploreDocument) -> String {
    let mut lines = Vec::new();
    for result in document.results.iter().filter(|result| !result.as_expected) {
        let unexpected = result.violations.iter().filter(|violation| !violation.expected);
        lines.extend(
            unexpected.map(|v| format!("{}: {} is violated and should hold", result.variant, v.property)),
        );
        lines.extend(
            result.missed.iter().map(|cell| {
                format!("{}: {cell} was not seen to be violated; try more --runs", result.variant)
            }),
        );
        let refused =
            result.violations.iter().filter(|v| v.confirmed.as_ref().is_some_and(|c| c.reproduced == 0));
        lines.extend(refused.map(|v| {
            format!(
                "{}: {} was not reproduced on real servers: the model is wrong, or the schedule leaves a race open",
                result.variant, v.property
            )
        }));
    }
    format!("not as expected:\n  {}", lines.join("\n  "))
}
