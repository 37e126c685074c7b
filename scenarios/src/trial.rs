//! A trial: one schedule of one variant on one backend, run, saved, and only then judged.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crosscheck_harness::backend::{Backend, HarnessError};
use crosscheck_harness::database::DatabaseKind;
use crosscheck_harness::design::Design;
use crosscheck_harness::fault;
use crosscheck_harness::judge::{self, Judgement};
use crosscheck_harness::runner::{FaultRecord, RunRecord, run};
use crosscheck_harness::schedule::{Plan, Schedule};
use crosscheck_models::property::Property;
use crosscheck_reports::run::{FaultWindow, JudgedProperty, RunInfo, RunVerdict, SavedRun};

use crate::ground_truth;
use crate::run_dir::RunDir;

/// Where trials are saved, and how they are told apart.
#[derive(Debug, Clone)]
pub struct Trials {
    /// The root of the run directories.
    pub out: PathBuf,
    /// How many were begun, so that each has databases and topics of its own.
    counter: Arc<std::sync::atomic::AtomicU64>,
    /// What is judged as the claims, instead of those of the design.
    claims: Vec<Property>,
}

impl Trials {
    /// Trials that are saved under `out`.
    pub fn new(out: &Path) -> Self {
        Trials { out: out.to_owned(), counter: Arc::default(), claims: Vec::new() }
    }

    /// The same, with these properties judged as the claims; with those of the design if there are none.
    #[must_use]
    pub fn judging(self, claims: &[Property]) -> Self {
        Trials { claims: claims.to_vec(), ..self }
    }

    /// Runs a schedule, saves what it left, and judges it.
    ///
    /// # Errors
    /// If it could not run, or not be saved.
    pub async fn run(
        &self,
        design: &Arc<dyn Design>,
        backend: &dyn Backend,
        schedule: &Schedule,
    ) -> Result<SavedRun, HarnessError> {
        let number = self.counter.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let tag = format!("{}_{number}", std::process::id());
        let dir = RunDir::create(&self.out, &design.id(), schedule.seed).map_err(failed)?;
        // Before the run, so that one that is killed can be replayed too.
        std::fs::write(dir.path().join("schedule.json"), schedule.to_json()).map_err(failed)?;
        let record = run(design.clone(), backend, schedule, &tag, &dir.history_path()).await?;
        let info = info(design, backend, schedule, &record, &dir);
        let faults: Vec<FaultWindow> = record.faults.iter().map(window).collect();
        dir.save_before_check(&info, &schedule.to_json(), &faults).map_err(failed)?;
        save_logs(&backend.logs(), &dir)?;
        let history = judge::history(&record).map_err(failed)?;
        let claims = if self.claims.is_empty() { design.claims() } else { self.claims.clone() };
        let notes = ground_truth::row(&design.id()).map(|row| row.properties()).unwrap_or_default();
        let judgement = judge::judge(&record, &history, &claims, &notes);
        let verdict = verdict(design, backend.database(), &record, judgement, schedule);
        let saved = SavedRun { info, faults, verdict, history };
        dir.save_verdict(&saved).map_err(failed)?;
        Ok(saved)
    }
}

/// Keeps the end of each server's log.
fn save_logs(logs: &[(String, PathBuf)], dir: &RunDir) -> Result<(), HarnessError> {
    const KEPT_BYTES: usize = 256 * 1024;
    std::fs::create_dir_all(dir.logs_path()).map_err(failed)?;
    for (name, path) in logs {
        let bytes = std::fs::read(path).unwrap_or_default();
        let tail = &bytes[bytes.len().saturating_sub(KEPT_BYTES)..];
        std::fs::write(dir.logs_path().join(format!("{name}.log")), tail).map_err(failed)?;
    }
    Ok(())
}

fn failed(error: impl std::fmt::Display) -> HarnessError {
    HarnessError::failed(error.to_string())
}

fn info(
    design: &Arc<dyn Design>,
    backend: &dyn Backend,
    schedule: &Schedule,
    record: &RunRecord,
    dir: &RunDir,
) -> RunInfo {
    let run_dir = dir.path().display().to_string();
    RunInfo {
        variant: design.id(),
        title: design.about(),
        backend: backend.name().to_owned(),
        versions: backend.versions(),
        seed: schedule.seed,
        options: options(schedule),
        started_utc: dir.started_utc(),
        seconds: record.seconds,
        replay: replay(backend, &run_dir),
        run_dir,
        schedule_name: Some(schedule.name.clone()),
    }
}

/// The command that runs it again.
fn replay(backend: &dyn Backend, run_dir: &str) -> String {
    let mut command = format!("crosscheck replay {run_dir}/schedule.json --backend {}", backend.name());
    match backend.database() {
        DatabaseKind::Postgres => {}
        other => command += &format!(" --database {other}"),
    }
    command
}

fn options(schedule: &Schedule) -> BTreeMap<String, String> {
    let mut options = BTreeMap::new();
    if let Plan::Stress(stress) = &schedule.plan {
        options.insert("clients".to_owned(), stress.workload.clients.to_string());
        options.insert("time".to_owned(), format!("{} ms", stress.time_ms));
        let rate = stress.workload.rate.map_or("as fast as it goes".to_owned(), |rate| format!("{rate}/s"));
        options.insert("rate".to_owned(), rate);
    }
    let faults = schedule.fault_ids();
    options.insert("faults".to_owned(), if faults.is_empty() { "none".to_owned() } else { faults.join(",") });
    options
}

fn window(fault: &FaultRecord) -> FaultWindow {
    let of = fault.on.of.as_deref().map(|of| format!("{of}: ")).unwrap_or_default();
    FaultWindow {
        id: fault.on.fault.clone(),
        system: fault.system().to_owned(),
        colour: fault::find(&fault.on.fault).map_or("#b8b8b8", |known| known.colour).to_owned(),
        from_ns: fault.from_ns,
        to_ns: fault.to_ns,
        took: fault.took,
        hits: fault.hits,
        detail: format!("{of}{}", fault.detail),
    }
}

/// The verdict of the run, with the letters of the table where it has some.
fn verdict(
    design: &Arc<dyn Design>,
    database: DatabaseKind,
    record: &RunRecord,
    judgement: Judgement,
    schedule: &Schedule,
) -> RunVerdict {
    let row = ground_truth::row(&design.id()).map(|row| row.on(database));
    let with_faults = !schedule.fault_ids().is_empty();
    let expected = |property: Property| {
        let row = row.as_ref()?;
        row.cells(with_faults).find(|cell| cell.property == property).map(|c| c.expected.letter().to_string())
    };
    RunVerdict {
        verdict: judgement.verdict,
        properties: judgement
            .properties
            .into_iter()
            .map(|judged| JudgedProperty {
                claimed: judged.claimed,
                expected: expected(judged.verdict.property),
                verdict: judged.verdict,
            })
            .collect(),
        counters: record.counters.clone(),
        reason: judgement.reason,
    }
}
