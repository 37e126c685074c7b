//! The ground truth as tests: one a variant, property, fault setting and backend. On real servers from the
//! directed schedules, as stress belongs to `crosscheck matrix`; on the model from everything, for several seeds.
//!
//! The runs of a variant are made once and shared by its tests. Where servers are missing the tests are
//! skipped with the reason; `CROSSCHECK_REQUIRE=local` makes them fail.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use crosscheck_harness::backend::local::shutdown_all;
use crosscheck_harness::backend::{Backend, HarnessError};
use crosscheck_harness::database::DatabaseKind;
use crosscheck_harness::design::Design;
use crosscheck_reports::document::MatrixRow;
use crosscheck_scenarios::backends::{self, Choice};
use crosscheck_scenarios::ground_truth::{self, Cell};
use crosscheck_scenarios::trial::Trials;
use crosscheck_scenarios::{design, matrix};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let out = tempfile::tempdir().expect("a directory for the runs can be made");
    let real = Arc::new(Runs::new(out.path(), Choice::Local, 1));
    let model: Vec<_> =
        MODEL_SEEDS.map(|seed| Arc::new(Runs::new(out.path(), Choice::Model, seed))).into_iter().collect();
    let env = |name: &str| std::env::var(name).ok();
    let missing = backends::missing(&env).filter(|_| !required());
    if let Some(reason) = &missing {
        eprintln!("skipped, as there are no servers: {reason}");
    }
    let mut tests = Vec::new();
    // What PostgreSQL cannot do has a test of its own: `changefeed`.
    let (able, _) = backends::split(DatabaseKind::Postgres, design::all());
    for design in able {
        let row = ground_truth::row(&design.id()).expect("every variant has a row");
        for cell in row.cells {
            let faults = if cell.with_faults { "with-faults" } else { "without-faults" };
            let name = format!("{}::{}::{faults}", design.id(), cell.property);
            tests.push(real.test(&name, &design, &cell).with_ignored_flag(missing.is_some()));
            tests.extend(model.iter().map(|runs| runs.test(&name, &design, &cell)));
        }
    }
    let conclusion = libtest_mimic::run(&arguments, tests);
    real.end();
    conclusion.exit_code()
}

/// The seeds under which the model goes through the whole matrix.
const MODEL_SEEDS: [u64; 3] = [1, 2, 3];

/// The runs of each variant, made when the first of its tests asks for them.
struct Runs {
    choice: Choice,
    seed: u64,
    runtime: Runtime,
    trials: Trials,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    backend: Option<Result<Arc<dyn Backend>, HarnessError>>,
    rows: BTreeMap<String, Result<MatrixRow, String>>,
}

impl Runs {
    fn new(out: &std::path::Path, choice: Choice, seed: u64) -> Self {
        let runtime = Runtime::new().expect("a runtime can be started");
        Runs { choice, seed, runtime, trials: Trials::new(out), state: Mutex::default() }
    }

    fn test(self: &Arc<Self>, name: &str, design: &Arc<dyn Design>, cell: &Cell) -> Trial {
        let backend = match self.choice {
            Choice::Model => format!("model-seed-{}", self.seed),
            Choice::Local | Choice::Auto | Choice::Docker => "local".to_owned(),
        };
        let (runs, design, cell) = (self.clone(), design.clone(), *cell);
        Trial::test(format!("{name}::{backend}"), move || runs.confirm(&design, cell))
    }

    /// Whether the cell came out as the ground truth has it.
    fn confirm(&self, design: &Arc<dyn Design>, cell: Cell) -> Result<(), Failed> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let backend = self.backend(&mut state).map_err(|error| error.to_string())?;
        let row = state.rows.entry(design.id()).or_insert_with(|| self.run(design, &*backend));
        let row = row.as_ref().map_err(|error| Failed::from(error.as_str()))?;
        let found = row
            .cells
            .iter()
            .find(|found| found.property == cell.property && found.with_faults == cell.with_faults)
            .ok_or("the row has no such cell")?;
        if found.as_expected {
            return Ok(());
        }
        let witness = found.witness.as_ref().map(|witness| format!("\n{witness}")).unwrap_or_default();
        let letter = found.expected.letter();
        Err(format!("{} where {letter} is expected; {:?}{witness}", found.verdict, found.exercised).into())
    }

    fn backend(&self, state: &mut State) -> Result<Arc<dyn Backend>, HarnessError> {
        let opened = state.backend.get_or_insert_with(|| {
            let needs = backends::needs_of(&design::all());
            let env = |name: &str| std::env::var(name).ok();
            self.runtime.block_on(backends::open(self.choice, needs, &env)).map(|chosen| chosen.backend)
        });
        opened.clone()
    }

    fn run(&self, design: &Arc<dyn Design>, backend: &dyn Backend) -> Result<MatrixRow, String> {
        let row = ground_truth::row(&design.id()).ok_or("no row")?;
        let schedules = matrix::schedules(&**design, self.seed, self.choice == Choice::Model);
        let runs = matrix::run_row(&self.trials, design, backend, &schedules, |_| {});
        let runs = self.runtime.block_on(runs).map_err(|error| error.to_string())?;
        Ok(matrix::judge_row(&row, &runs))
    }

    /// Ends the servers, which a process that exits would leave behind.
    fn end(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).backend = None;
        if let Err(error) = shutdown_all() {
            eprintln!("the servers could not be ended: {error}");
        }
    }
}

fn required() -> bool {
    std::env::var("CROSSCHECK_REQUIRE").is_ok_and(|list| list.split(',').any(|name| name.trim() == "local"))
}
