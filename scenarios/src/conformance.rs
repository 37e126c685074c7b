//! The conformance suite: each case on each system, and how the outputs compare.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Instant;

use crosscheck_harness::backend::HarnessError;
use crosscheck_harness::backend::docker::{self, Engine, Images};
use crosscheck_harness::backend::hosted::ServerCases;
use crosscheck_harness::backend::local::{Places, Programs, default_root, start_cases};
use crosscheck_harness::conform::{Case, CaseError, Dates, Language, Limits, Outcome, Transcript};
use crosscheck_harness::model;
use serde::Serialize;

use crate::backends::Environment;

/// Which systems cases run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct On {
    /// The in-process model.
    pub model: bool,
    /// Server processes of ours.
    pub local: bool,
    /// Containers of ours.
    pub docker: bool,
}

/// A run of a case.
#[derive(Debug, Clone, Serialize)]
pub struct CaseRun {
    /// `model` or `local`.
    pub backend: &'static str,
    /// What it ran on: `model`, or the server with its version.
    pub system: String,
    /// `equal`, `refused`, `wrong` or `unjudged`.
    pub outcome: &'static str,
    /// What the system does not know, where it refused.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_known: Vec<String>,
    /// Where the output parts from what is right, where it is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub difference: Option<String>,
    /// The output.
    #[serde(skip)]
    pub text: String,
}

/// A case and its runs.
#[derive(Debug, Clone, Serialize)]
pub struct CaseReport {
    /// The file.
    pub file: String,
    /// The case's name.
    pub name: String,
    /// Which system it is for: `postgres`, `redis`, `kafka`.
    pub language: &'static str,
    /// What it is about.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// What it came to where it ran for real, or as it is recorded.
    pub shows: Shows,
    /// Its runs.
    pub runs: Vec<CaseRun>,
}

/// What an output shows at a glance.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Shows {
    /// How many permutations it has.
    pub permutations: usize,
    /// How many steps waited.
    pub waits: usize,
    /// The errors, each with its number.
    pub errors: BTreeMap<String, usize>,
}

impl Shows {
    /// Counts in an output.
    pub fn of(text: &str) -> Shows {
        let mut shows = Shows::default();
        for line in text.lines() {
            shows.permutations += usize::from(line.starts_with("starting permutation:"));
            shows.waits += usize::from(line.ends_with(" <waiting ...>"));
            let error = line.strip_prefix("ERROR:  ").or_else(|| line.strip_prefix("(error) "));
            if let Some(error) = error {
                *shows.errors.entry(error.to_owned()).or_default() += 1;
            }
        }
        shows
    }
}

/// How the cases came out.
#[derive(Debug, Clone, Serialize)]
pub struct ConformDocument {
    /// `valid`: all equal. `violated`: some are wrong. `unknown`: some are refused, or there was nothing to
    /// compare with.
    pub verdict: &'static str,
    /// How many runs came out how, by backend.
    pub counts: BTreeMap<&'static str, Counts>,
    /// What the model does not know, and in how many cases it is needed first, most frequent first.
    pub not_known: Vec<NotKnown>,
    /// The cases.
    pub cases: Vec<CaseReport>,
    /// How long it took.
    pub seconds: f64,
}

/// How many runs came out how.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// The same to the byte.
    pub equal: usize,
    /// Refused by the name of what is not known.
    pub refused: usize,
    /// Another output.
    pub wrong: usize,
    /// Nothing to compare with.
    pub unjudged: usize,
}

/// Something that the model does not know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct NotKnown {
    /// What, in the model's words.
    pub what: String,
    /// In how many cases.
    pub cases: usize,
}

/// All cases that the paths name.
///
/// # Errors
/// A file is unreadable or malformed, a folder holds no case.
pub fn cases(paths: &[PathBuf]) -> Result<Vec<Case>, CaseError> {
    let mut files = BTreeSet::new();
    for path in paths {
        files.extend(Case::files(path)?);
    }
    files.iter().map(|file| Case::read(file)).collect()
}

/// What cases run on.
#[derive(Debug)]
pub struct Suite {
    model: bool,
    /// Servers, by the name of the backend.
    servers: Vec<(&'static str, ServerCases)>,
}

impl Suite {
    /// Starts the servers that the cases need, if they are to run on servers.
    ///
    /// # Errors
    /// Which program is missing or does not start, and what to do about it.
    pub async fn start(on: On, cases: &[Case], env: Environment<'_>) -> Result<Suite, HarnessError> {
        let languages: BTreeSet<Language> = cases.iter().map(|case| case.language).collect();
        let mut servers = Vec::new();
        if on.local {
            let programs = Programs::find(env, &Places::debian());
            servers.push(("local", start_cases(&languages, &programs, &default_root(env)).await?));
        }
        if on.docker {
            let engine = Engine::find(env).await?;
            let images = Images::from(env);
            let cases = docker::start_cases(&languages, &engine, &images, &default_root(env)).await?;
            servers.push(("docker", cases));
        }
        Ok(Suite { model: on.model, servers })
    }

    /// Runs a case on all of it. A server's output is right where nothing is recorded.
    ///
    /// What is recorded beside PostgreSQL's own cases was printed under `pg_regress`, which has dates printed in a
    /// way of its own: a case of which a run is wrong is run that way, too.
    ///
    /// # Errors
    /// A server cannot be reached.
    pub async fn run(&self, case: &Case) -> Result<CaseReport, HarnessError> {
        let report = self.run_with(case, Dates::Iso).await?;
        let wrong = |report: &CaseReport| report.runs.iter().any(|run| run.outcome == "wrong");
        if case.language == Language::Sql && wrong(&report) {
            let other = self.run_with(case, Dates::Regress).await?;
            if !wrong(&other) {
                return Ok(other);
            }
        }
        Ok(report)
    }

    async fn run_with(&self, case: &Case, dates: Dates) -> Result<CaseReport, HarnessError> {
        let case = &Case { dates, ..case.clone() };
        let mut right = case.expected();
        let mut runs = Vec::new();
        for (backend, cases) in &self.servers {
            let transcript = cases.run(case, Limits::default()).await?;
            let system = cases.version(case.language).unwrap_or_default();
            let run = CaseRun::of(backend, system, &transcript, &right);
            right.insert(0, transcript.text);
            runs.push(run);
        }
        if self.model {
            let transcript = on_model(case).await?;
            runs.push(CaseRun::of("model", "model".to_owned(), &transcript, &right));
        }
        Ok(CaseReport::of(case, right.first(), runs))
    }
}

/// The model has a runtime of its own, in which no time passes.
async fn on_model(case: &Case) -> Result<Transcript, HarnessError> {
    let case = case.clone();
    let ran = tokio::task::spawn_blocking(move || model::cases::run(&case, Limits::default())).await;
    ran.map_err(|error| HarnessError::failed(error.to_string()))?
}

impl CaseReport {
    fn of(case: &Case, right: Option<&String>, runs: Vec<CaseRun>) -> CaseReport {
        let text = right.or(runs.first().map(|run| &run.text));
        CaseReport {
            file: case.path.display().to_string(),
            name: case.name.clone(),
            language: case.language.id(),
            about: case.about.clone(),
            shows: text.map(|text| Shows::of(text)).unwrap_or_default(),
            runs,
        }
    }
}

impl CaseRun {
    fn of(backend: &'static str, system: String, transcript: &Transcript, right: &[String]) -> CaseRun {
        let outcome = Outcome::of(transcript, right);
        let mut run = CaseRun {
            backend,
            system,
            outcome: outcome.id(),
            not_known: Vec::new(),
            difference: None,
            text: transcript.text.clone(),
        };
        match outcome {
            Outcome::Refused { not_known } => run.not_known = not_known,
            Outcome::Wrong { difference } => run.difference = Some(difference),
            Outcome::Equal | Outcome::Unjudged => {}
        }
        run
    }
}

impl ConformDocument {
    /// Counts.
    pub fn of(cases: Vec<CaseReport>, began: Instant) -> ConformDocument {
        let mut counts: BTreeMap<&'static str, Counts> = BTreeMap::new();
        let mut lacking: BTreeMap<&String, usize> = BTreeMap::new();
        for run in cases.iter().flat_map(|case| &case.runs) {
            let counts = counts.entry(run.backend).or_default();
            match run.outcome {
                "equal" => counts.equal += 1,
                "refused" => counts.refused += 1,
                "wrong" => counts.wrong += 1,
                _ => counts.unjudged += 1,
            }
            for what in &run.not_known {
                *lacking.entry(what).or_default() += 1;
            }
        }
        let mut not_known: Vec<NotKnown> =
            lacking.into_iter().map(|(what, cases)| NotKnown { what: what.clone(), cases }).collect();
        not_known.sort_by(|a, b| (b.cases, &a.what).cmp(&(a.cases, &b.what)));
        let any = |count: fn(&Counts) -> usize| counts.values().any(|counts| count(counts) > 0);
        let verdict = if any(|counts| counts.wrong) {
            "violated"
        } else if any(|counts| counts.refused + counts.unjudged) {
            "unknown"
        } else {
            "valid"
        };
        ConformDocument { verdict, counts, not_known, cases, seconds: began.elapsed().as_secs_f64() }
    }
}

/// Writes a case's output beside it, as what is right.
///
/// # Errors
/// The file cannot be written.
pub fn record(case: &CaseReport) -> std::io::Result<Option<PathBuf>> {
    let Some(run) = case.runs.iter().find(|run| run.backend == "local") else { return Ok(None) };
    let folder = Path::new(&case.file).parent().unwrap_or(Path::new("")).join("expected");
    std::fs::create_dir_all(&folder)?;
    let path = folder.join(format!("{}.out", case.name));
    std::fs::write(&path, &run.text)?;
    Ok(Some(path))
}
