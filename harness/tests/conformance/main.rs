//! The conformance cases on real servers: for each case of the database, our output is that of PostgreSQL's own
//! isolationtester on the same server, to the byte, and what is recorded beside the cases is current.

mod program;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Arc, Mutex, PoisonError};

use crosscheck_harness::backend::HarnessError;
use crosscheck_harness::backend::hosted::ServerCases;
use crosscheck_harness::backend::local::{Places, Programs, default_root, start_cases};
use crosscheck_harness::conform::{Case, Language, Limits, Outcome};
use libtest_mimic::{Arguments, Failed, Trial};
use tokio::runtime::Runtime;

fn main() -> ExitCode {
    let mut arguments = Arguments::from_args();
    let cases = match cases() {
        Ok(cases) => cases,
        Err(error) => panic!("our own cases are well formed: {error}"),
    };
    let runtime = match Runtime::new() {
        Ok(runtime) => Arc::new(runtime),
        Err(error) => panic!("a runtime starts: {error}"),
    };
    let servers = if arguments.list { None } else { Some(runtime.block_on(start()).map(Arc::new)) };
    let mut trials = Vec::new();
    for case in cases {
        let case = Arc::new(case);
        trials.push(trial(&case, "recorded", &runtime, servers.as_ref(), recorded_is_current));
        if case.language == Language::Sql {
            trials.push(trial(&case, "as_isolationtester", &runtime, servers.as_ref(), as_the_program));
        }
    }
    // The kinds of servers side by side; whoever waits for its turn takes a thread, and no time.
    arguments.test_threads = Some(trials.len().max(1));
    libtest_mimic::run(&arguments, trials).exit_code()
}

fn cases() -> Result<Vec<Case>, Box<dyn std::error::Error>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("conformance");
    let files: Vec<PathBuf> = Case::files(&folder)?;
    files.iter().map(|file| Ok(Case::read(file)?)).collect()
}

async fn start() -> Result<ServerCases, HarnessError> {
    let environment = |name: &str| std::env::var(name).ok();
    let programs = Programs::find(&environment, &Places::debian());
    let languages = BTreeSet::from([Language::Sql, Language::Redis, Language::Kafka]);
    start_cases(&languages, &programs, &default_root(&environment)).await
}

type Check = fn(&Runtime, &ServerCases, &Case) -> Result<(), Failed>;

/// A case as a test: ignored with the reason where a program is missing, failed where it does not start.
fn trial(
    case: &Arc<Case>,
    what: &str,
    runtime: &Arc<Runtime>,
    servers: Option<&Result<Arc<ServerCases>, HarnessError>>,
    check: Check,
) -> Trial {
    let name = format!("{}::{}::{what}", case.language.id(), case.name);
    match servers {
        None => Trial::test(name, || Ok(())),
        Some(Ok(servers)) => {
            let (case, runtime, servers) = (Arc::clone(case), Arc::clone(runtime), Arc::clone(servers));
            Trial::test(name, move || {
                let _turn = turn(case.language).lock().unwrap_or_else(PoisonError::into_inner);
                check(&runtime, &servers, &case)
            })
        }
        Some(Err(HarnessError::Missing { what, .. })) if !required() => {
            Trial::test(name, || Ok(())).with_kind(what.clone()).with_ignored_flag(true)
        }
        Some(Err(error)) => {
            let failure = Failed::from(error.to_string());
            Trial::test(name, move || Err(failure))
        }
    }
}

/// One case at a time has a kind of servers: a case of the cache begins with an empty one.
fn turn(language: Language) -> &'static Mutex<()> {
    static TURNS: [Mutex<()>; 3] = [const { Mutex::new(()) }; 3];
    match language {
        Language::Sql => &TURNS[0],
        Language::Redis => &TURNS[1],
        Language::Kafka => &TURNS[2],
    }
}

fn required() -> bool {
    let required = std::env::var("CROSSCHECK_REQUIRE").unwrap_or_default();
    required.split(',').any(|backend| backend.trim() == "local")
}

/// The real server gives what is recorded beside the case.
fn recorded_is_current(runtime: &Runtime, servers: &ServerCases, case: &Case) -> Result<(), Failed> {
    let transcript = runtime.block_on(servers.run(case, Limits::default()))?;
    let expected = case.expected();
    if expected.is_empty() {
        return Err("no output is recorded: `crosscheck conform --record` writes it".into());
    }
    match Outcome::of(&transcript, &expected) {
        Outcome::Equal if transcript.complaints.is_empty() && transcript.stopped.is_none() => Ok(()),
        Outcome::Equal => Err(format!("{:?} {:?}", transcript.stopped, transcript.complaints).into()),
        Outcome::Wrong { difference } => Err(difference.into()),
        other @ (Outcome::Refused { .. } | Outcome::Unjudged) => Err(format!("{other:?}").into()),
    }
}

/// PostgreSQL's own program gives what is recorded beside the case.
fn as_the_program(runtime: &Runtime, servers: &ServerCases, case: &Case) -> Result<(), Failed> {
    let program = Path::new(program::ISOLATIONTESTER);
    if !program.exists() {
        return if required() { Err(format!("{} is missing", program.display()).into()) } else { Ok(()) };
    }
    let address = runtime.block_on(servers.fresh_database(&case.name))?;
    let printed = program::isolationtester(program, &address, &case.path)?;
    runtime.block_on(servers.drop_database(&address))?;
    let transcript = runtime.block_on(servers.run(case, Limits::default()))?;
    match Outcome::of(&transcript, &[printed]) {
        Outcome::Equal => Ok(()),
        other => Err(format!("{other:#?}").into()),
    }
}
