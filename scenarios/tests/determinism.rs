//! The model promises that the same seed gives the same history, byte for byte: every variant plays its directed
//! schedules twice, and load with faults. Under another seed the load gives another history.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use crosscheck_harness::backend::model::ModelBackend;
use crosscheck_harness::database::DatabaseKind;
use crosscheck_harness::design::Design;
use crosscheck_harness::plan;
use crosscheck_harness::runner::run;
use crosscheck_harness::schedule::{FaultOn, Schedule};
use crosscheck_scenarios::{backends, design, matrix};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

/// The seed that everything is played under twice, and the one under which load is another.
const SEEDS: [u64; 2] = [11, 12];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let (able, _) = backends::split(DatabaseKind::Postgres, design::all());
    let tests = able.into_iter().flat_map(|design| {
        let directed = matrix::schedules(&*design, SEEDS[0], false).into_iter().map(|schedule| {
            let (name, design) = (format!("{}::{}", design.id(), schedule.name), design.clone());
            Trial::test(name, move || repeats_itself(&design, &schedule).map(drop))
        });
        let [load, other] = SEEDS.map(|seed| load(&*design, seed));
        let (name, of) = (format!("{}::{}", design.id(), load.name), design.clone());
        let load = Trial::test(name, move || {
            let (first, differs) = (repeats_itself(&of, &load)?, history(&of, &other)?);
            // The first line names the seed.
            let body = |text: &str| text.split_once('\n').map(|(_, body)| body.to_owned());
            if body(&first) == body(&differs) { Err("two seeds give one history".into()) } else { Ok(()) }
        });
        directed.chain([load]).collect::<Vec<_>>()
    });
    libtest_mimic::run(&arguments, tests.collect()).exit_code()
}

fn load(design: &dyn Design, seed: u64) -> Schedule {
    let faults: Vec<FaultOn> = design.faults().iter().map(|id| plan::fault_on(id)).collect();
    plan::stress(design, design.workload(), &faults, seed, matrix::STRESS_MS)
}

/// The history that a schedule gives, as it is on disk.
fn history(design: &Arc<dyn Design>, schedule: &Schedule) -> Result<String, Failed> {
    let dir = tempfile::tempdir()?;
    let path: &Path = &dir.path().join("history.jsonl");
    Runtime::new()?.block_on(run(design.clone(), &ModelBackend, schedule, "run", path))?;
    Ok(std::fs::read_to_string(path)?)
}

fn repeats_itself(design: &Arc<dyn Design>, schedule: &Schedule) -> Result<String, Failed> {
    let (first, second) = (history(design, schedule)?, history(design, schedule)?);
    match first.lines().zip(second.lines()).zip(1..).find(|((one, other), _)| one != other) {
        Some(((one, other), line)) => Err(format!("line {line} is\n{one}\nor\n{other}").into()),
        None if first != second => Err("one history is a beginning of the other".into()),
        None => Ok(first),
    }
}
