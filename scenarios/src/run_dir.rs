//! The directory that a run leaves, and what is read from one again.
//!
//! `<root>/<variant>/<start>-<seed>/`, where a `/` in the variant's id is written `--`. Everything but the history
//! is written beside its place and moved there, so that a run that is killed leaves no half-written file.

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crosscheck_models::history::{History, HistoryError, Note, ReadError};
use crosscheck_reports::run::{FaultWindow, RunInfo, SavedRun};
use crosscheck_reports::{html, json, junit, markdown};
use jiff::Timestamp;
use serde::de::DeserializeOwned;

/// The history of the run.
pub const HISTORY: &str = "history.jsonl";
/// What ran, where and how.
pub const INFO: &str = "run.json";
/// The decisions of the gate and the nemesis.
pub const SCHEDULE: &str = "schedule.json";
/// The windows in which faults were injected, one a line.
pub const FAULTS: &str = "faults.jsonl";
/// The verdicts.
pub const VERDICT: &str = "verdict.json";
/// The report for people.
pub const REPORT: &str = "report.html";
/// The folder of the servers' logs.
pub const LOGS: &str = "logs";

const LATEST: &str = "latest";

/// Runs of one variant that may start within one second with one seed.
const NAMESAKES_MAX: u32 = 1_000;

/// Why a run could not be saved or read.
#[derive(Debug, thiserror::Error)]
pub enum RunDirError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried: `read`, `write`, ..
        action: &'static str,
        /// On which file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A line of a file is not what it should be.
    #[error("{}, line {line}: {reason}", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The run was stopped before it was judged.
    #[error("{} was never judged: `crosscheck check {}` judges its history", path.display(), path.display())]
    NotJudged {
        /// The run's directory.
        path: PathBuf,
    },
}

/// The directory of one run.
#[derive(Debug, Clone)]
pub struct RunDir {
    path: PathBuf,
    started: Timestamp,
}

impl RunDir {
    /// Makes the directory of a run that starts now, and lets `<root>/latest` point to it. One that is there already
    /// is left alone: a number is added to the name.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn create(root: &Path, variant: &str, seed: u64) -> Result<RunDir, RunDirError> {
        RunDir::create_at(root, variant, seed, Timestamp::now())
    }

    fn create_at(root: &Path, variant: &str, seed: u64, started: Timestamp) -> Result<RunDir, RunDirError> {
        let of_variant = root.join(variant.replace('/', "--"));
        fs::create_dir_all(&of_variant).map_err(failed("make", &of_variant))?;
        let name = format!("{}-{seed}", started.strftime("%Y%m%dT%H%M%SZ"));
        let path = make_new(&of_variant, &name)?;
        let logs = path.join(LOGS);
        fs::create_dir(&logs).map_err(failed("make", &logs))?;
        point_latest(root, &path)?;
        Ok(RunDir { path, started })
    }

    /// The directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the history belongs.
    #[must_use]
    pub fn history_path(&self) -> PathBuf {
        self.path.join(HISTORY)
    }

    /// Where the servers' logs belong. The folder is there.
    #[must_use]
    pub fn logs_path(&self) -> PathBuf {
        self.path.join(LOGS)
    }

    /// When the run started, for people: `2026-11-21T10:15:00Z`.
    #[must_use]
    pub fn started_utc(&self) -> String {
        self.started.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Writes what is known before anything is checked; the history was written while it happened.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn save_before_check(
        &self,
        info: &RunInfo,
        schedule_json: &str,
        faults: &[FaultWindow],
    ) -> Result<(), RunDirError> {
        write_whole(&self.path, INFO, &json::render(info))?;
        write_whole(&self.path, SCHEDULE, schedule_json)?;
        let lines: String = faults
            .iter()
            .map(|fault| serde_json::to_string(fault).expect("a fault window has only plain fields") + "\n")
            .collect();
        write_whole(&self.path, FAULTS, &lines)
    }

    /// Writes the verdicts, and every report of them.
    ///
    /// # Errors
    /// If the system refuses.
    pub fn save_verdict(&self, run: &SavedRun) -> Result<(), RunDirError> {
        write_whole(&self.path, VERDICT, &json::render(&run.verdict))?;
        save_reports(&self.path, run)
    }
}

/// Writes every report of a run into its directory.
///
/// # Errors
/// If the system refuses.
pub fn save_reports(dir: &Path, run: &SavedRun) -> Result<(), RunDirError> {
    write_whole(dir, REPORT, &html::render(run))?;
    write_whole(dir, "junit.xml", &junit::render(std::slice::from_ref(run)))?;
    write_whole(dir, "summary.md", &markdown::render(std::slice::from_ref(run)))
}

/// Reads a run that was judged from its directory.
///
/// # Errors
/// If a file is missing or malformed, or the run was stopped before it was judged.
pub fn load(dir: &Path) -> Result<SavedRun, RunDirError> {
    let is_judged = dir.join(INFO).exists() && dir.join(VERDICT).exists();
    if !is_judged && dir.join(HISTORY).exists() {
        return Err(RunDirError::NotJudged { path: dir.to_owned() });
    }
    let info = read_json(&dir.join(INFO))?;
    let verdict = read_json(&dir.join(VERDICT))?;
    let (history, _) = load_history(&dir.join(HISTORY))?;
    Ok(SavedRun { info, faults: load_faults(dir)?.unwrap_or_default(), verdict, history })
}

/// Reads a history, with notes on what was dropped of it.
///
/// # Errors
/// If it cannot be read or is malformed.
pub fn load_history(path: &Path) -> Result<(History, Vec<Note>), RunDirError> {
    let mut file = fs::File::open(path).map_err(failed("read", path))?;
    let length = file.metadata().ok().map(|data| data.len());
    History::read(&mut file, length).map_err(|error| match error {
        ReadError::Io(source) => failed("read", path)(source),
        ReadError::Malformed(HistoryError { line, message }) => {
            RunDirError::Malformed { path: path.to_owned(), line, reason: message }
        }
    })
}

/// Reads the fault windows of a run; none where it was killed before they were written.
///
/// # Errors
/// If they cannot be read or are malformed.
pub fn load_faults(dir: &Path) -> Result<Option<Vec<FaultWindow>>, RunDirError> {
    let path = dir.join(FAULTS);
    let text = match fs::read_to_string(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        read => read.map_err(failed("read", &path))?,
    };
    let parse =
        |(number, line)| serde_json::from_str(line).map_err(|error| malformed(&path, number + 1, &error));
    text.lines().enumerate().map(parse).collect::<Result<_, _>>().map(Some)
}

fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T, RunDirError> {
    let text = fs::read_to_string(path).map_err(failed("read", path))?;
    serde_json::from_str(&text).map_err(|error| malformed(path, error.line(), &error))
}

fn malformed(path: &Path, line: usize, error: &serde_json::Error) -> RunDirError {
    let place = format!(" at line {} column {}", error.line(), error.column());
    let text = error.to_string();
    let reason = text.strip_suffix(&place).unwrap_or(&text).to_owned();
    RunDirError::Malformed { path: path.to_owned(), line, reason }
}

fn make_new(parent: &Path, name: &str) -> Result<PathBuf, RunDirError> {
    let mut path = parent.join(name);
    for namesake in 2..=NAMESAKES_MAX {
        match fs::create_dir(&path) {
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                path = parent.join(format!("{name}-{namesake}"));
            }
            made => return made.map(|()| path.clone()).map_err(failed("make", &path)),
        }
    }
    Err(failed("make", &path)(ErrorKind::AlreadyExists.into()))
}

/// Replaces the link in one move, so that it points to a run at any moment.
fn point_latest(root: &Path, path: &Path) -> Result<(), RunDirError> {
    let target = path.strip_prefix(root).unwrap_or(path);
    let link = root.join(LATEST);
    let beside = root.join(format!(".{LATEST}-{}", target.display().to_string().replace('/', "--")));
    std::os::unix::fs::symlink(target, &beside).map_err(failed("make", &beside))?;
    fs::rename(&beside, &link).map_err(failed("replace", &link))
}

/// Writes beside the place and moves: who reads sees all of it or nothing.
fn write_whole(dir: &Path, name: &str, text: &str) -> Result<(), RunDirError> {
    let path = dir.join(name);
    let beside = dir.join(format!(".{name}-{}", std::process::id()));
    fs::write(&beside, text).map_err(failed("write", &path))?;
    fs::rename(&beside, &path).map_err(failed("write", &path))
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> RunDirError {
    move |source| RunDirError::Io { action, path: path.to_owned(), source }
}
