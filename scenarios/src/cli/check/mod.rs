//! `crosscheck check`: verdicts on histories, whoever wrote them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use clap::builder::{PossibleValuesParser, TypedValueParser};
use crosscheck_models::check::{self, FaultWindow, Options};
use crosscheck_models::checker::Checker;
use crosscheck_models::foreign::{self as others, Columns};
use crosscheck_models::history::History;
use crosscheck_models::isolation::Level;
use crosscheck_models::property::Property;
use crosscheck_models::verdict::{PropertyVerdict, Verdict};
use crosscheck_reports::checked::CheckedHistory;
use crosscheck_reports::document::{CheckDocument, FileEntry};
use crosscheck_reports::foreign::CheckedForeign;
use crosscheck_reports::run::FaultWindow as SavedWindow;
use crosscheck_reports::text::{self, Detail};
use crosscheck_scenarios::run_dir::{self, RunDirError};

use super::{Exit, Output, Stop, value};

mod foreign;

pub(super) use foreign::columns;

/// Judges saved histories, and names what they violate
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  crosscheck check history.jsonl                     every property that applies to it
  crosscheck check crosscheck-runs/latest --explain  a run, with the lines that prove a violation
  crosscheck check *.jsonl --checker no-loss,no-dup --strict --json
  crosscheck check history.edn --level serializable  what Jepsen or Elle recorded
  crosscheck check rows.csv --checker register --columns key=account,process=session")]
pub(crate) struct Args {
    /// Histories, or directories of runs
    #[arg(value_name = "FILE|RUN_DIR", required = true)]
    paths: Vec<PathBuf>,
    /// Judge these, with commas between them: properties, or checkers of histories of others; all that apply if not
    /// given
    #[arg(long, value_name = "NAME,..", value_delimiter = ',', value_parser = asked(), hide_possible_values = true)]
    checker: Vec<Asked>,
    /// crosscheck, edn, json, jsonl, jepsen-log, plume, awdit or csv; told by the file if not given
    #[arg(long, value_name = "F", value_parser = format)]
    format: Option<Format>,
    /// The consistency model that transactions are judged against [default: strict-serializable]
    #[arg(long, value_name = "L", value_parser = level)]
    level: Option<Level>,
    /// Versions of registers: each key by itself is linearizable
    #[arg(long)]
    linearizable_keys: bool,
    /// Versions of registers: each key by itself is sequentially consistent
    #[arg(long)]
    sequential_keys: bool,
    /// Versions of registers: within a transaction a write follows what was read of the key before
    #[arg(long)]
    wfr_keys: bool,
    /// Staleness: how many versions a read may be behind
    #[arg(long, value_name = "N")]
    max_versions_behind: Option<u64>,
    /// Staleness: for how long a read may be behind
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    max_time_behind: Option<Duration>,
    /// Staleness: values are versions, and the greater is the newer
    #[arg(long)]
    values_are_versions: bool,
    /// Accounts of a bank may be overdrawn
    #[arg(long)]
    allow_negative_balances: bool,
    /// Linearizable objects: values are [key value], and each key is an object by itself; of registers it is seen
    /// where all are
    #[arg(long)]
    by_key: bool,
    /// Long forks: how many keys each read has; as many as it reads, if not given
    #[arg(long, value_name = "N", value_parser = value::group_size)]
    group_size: Option<usize>,
    /// Which column of a table is what, as in key=account,process=session
    #[arg(long, value_name = "ROLE=NAME,..", value_parser = foreign::columns)]
    columns: Option<Columns>,
    /// A verdict of valid needs a history in which the property could have been violated
    #[arg(long)]
    strict: bool,
    /// Say what each property claims, and show the lines that prove a violation
    #[arg(long)]
    explain: bool,
    /// The bound of bounded-staleness; that of the history's header if not given
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    delta: Option<Duration>,
    /// How long one history may take; what is not judged by then is unknown
    #[arg(long, value_name = "DURATION", value_parser = value::duration)]
    deadline: Option<Duration>,
    #[command(flatten)]
    output: Output,
}

/// How a history is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    /// Ours: a header, then one event a line.
    Crosscheck,
    /// As others do.
    Others(others::Format),
}

pub(super) fn format(name: &str) -> Result<Format, String> {
    match name {
        "crosscheck" => Ok(Format::Crosscheck),
        other => other.parse().map(Format::Others).map_err(|error| format!("{error}, and crosscheck")),
    }
}

fn level(name: &str) -> Result<Level, String> {
    name.parse().map_err(|error: crosscheck_models::isolation::UnknownLevel| error.to_string())
}

/// What is asked for by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Asked {
    Property(Property),
    Checker(Checker),
    /// The guarantees of sessions, all of them.
    Sessions,
}

/// Stands for the checkers of sessions.
const SESSIONS: &str = "sessions";

fn asked() -> impl TypedValueParser<Value = Asked> {
    // Some checkers have the names of properties: what is meant is told by the history.
    let checkers = Checker::all().map(Checker::name).filter(|name| name.parse::<Property>().is_err());
    let names = Property::ALL.into_iter().map(Property::id).chain(checkers).chain([SESSIONS]);
    PossibleValuesParser::new(names.collect::<Vec<_>>()).map(|name| match name.parse() {
        _ if name == SESSIONS => Asked::Sessions,
        Ok(property) => Asked::Property(property),
        Err(_) => {
            Asked::Checker(name.parse().expect("only names of properties and checkers are let through"))
        }
    })
}

impl Args {
    fn properties(&self) -> Vec<Property> {
        let property = |asked: &Asked| match asked {
            Asked::Property(property) => Some(*property),
            Asked::Checker(_) | Asked::Sessions => None,
        };
        self.checker.iter().filter_map(property).collect()
    }

    fn checkers(&self) -> Vec<Checker> {
        let checkers = |asked: &Asked| match asked {
            Asked::Checker(checker) => vec![*checker],
            Asked::Sessions => Checker::SESSIONS.to_vec(),
            Asked::Property(_) => Vec::new(),
        };
        let mut all: Vec<Checker> = self.checker.iter().flat_map(checkers).collect();
        all.sort_unstable();
        all.dedup();
        all
    }

    fn detail(&self) -> Detail {
        if self.explain { Detail::Explained } else { Detail::Verdicts }
    }
}

/// A history that was judged.
enum Judged {
    Ours(CheckedHistory),
    Foreign(CheckedForeign),
}

impl Judged {
    fn verdict(&self) -> Verdict {
        match self {
            Judged::Ours(checked) => checked.verdict(),
            Judged::Foreign(checked) => checked.verdict(),
        }
    }

    fn complaint(&self) -> Option<String> {
        match self {
            Judged::Ours(checked) => checked.complaint(),
            Judged::Foreign(checked) => checked.complaint(),
        }
    }

    fn entry(&self, detail: Detail) -> FileEntry {
        match self {
            Judged::Ours(checked) => FileEntry::of(checked),
            Judged::Foreign(checked) => checked.entry(detail),
        }
    }

    /// A line each where there are several.
    fn text(&self, detail: Detail, is_one_of_several: bool, style: text::Style) -> String {
        let is_brief = is_one_of_several && detail == Detail::Verdicts;
        match self {
            Judged::Ours(checked) if is_brief => text::render_check_line(checked, style),
            Judged::Ours(checked) => text::render_check(checked, detail, style),
            Judged::Foreign(checked) if is_brief => checked.line(style),
            Judged::Foreign(checked) => checked.text(detail, style),
        }
    }
}

/// Judges every history that can be read, and tells of those that cannot.
pub(crate) fn execute(mut args: Args) -> Result<(), Stop> {
    let began = Instant::now();
    args.checker.sort_unstable();
    args.checker.dedup();
    let mut exits = Vec::new();
    let mut complaints = Vec::new();
    let mut files = Vec::new();
    for path in &args.paths {
        match judge(&args, path) {
            Ok(judged) => {
                exits.push(Exit::from(judged.verdict()));
                complaints.extend(judged.complaint());
                let is_one_of_several = args.paths.len() > 1;
                args.output.text(|style| judged.text(args.detail(), is_one_of_several, style))?;
                files.push((judged.verdict(), judged.entry(args.detail())));
            }
            Err(error) => {
                exits.push(Exit::CouldNotRun);
                complaints.push(error);
            }
        }
    }
    let exit = Exit::of_several(exits);
    args.output.document(|| document(files, exit, began.elapsed()))?;
    Stop::unless_valid(exit, || complaints.join("\n"))
}

fn document(files: Vec<(Verdict, FileEntry)>, exit: Exit, took: Duration) -> CheckDocument {
    let worst = files.iter().map(|(verdict, _)| *verdict).max();
    // What could not be read might have been violated.
    let at_least = if exit == Exit::CouldNotRun { Verdict::Unknown } else { Verdict::Valid };
    CheckDocument {
        verdict: worst.unwrap_or(Verdict::Unknown).max(at_least),
        files: files.into_iter().map(|(_, entry)| entry).collect(),
        seconds: took.as_secs_f64(),
    }
}

/// The format of a history, told by its beginning; a directory is that of a run of ours.
pub(super) fn detect(path: &Path) -> Result<Format, String> {
    if path.is_dir() {
        return Ok(Format::Crosscheck);
    }
    Ok(foreign::detect(path)?.map_or(Format::Crosscheck, Format::Others))
}

fn judge(args: &Args, path: &Path) -> Result<Judged, String> {
    let format = match args.format {
        Some(format) => format,
        None => detect(path)?,
    };
    match format {
        Format::Others(format) => foreign::judge(args, path, format).map(Judged::Foreign),
        Format::Crosscheck => {
            if let Some(checker) = args.checkers().first() {
                let file = path.display();
                return Err(format!(
                    "{file}: {checker} is for histories of others, and this is one of Crosscheck's"
                ));
            }
            judge_ours(args, path).map(Judged::Ours).map_err(|error| error.to_string())
        }
    }
}

fn judge_ours(args: &Args, path: &Path) -> Result<CheckedHistory, RunDirError> {
    let began = Instant::now();
    let source = Source::of(path)?;
    let (history, notes) = run_dir::load_history(&source.history)?;
    let history = Arc::new(history);
    let are_faults_known = source.fault_windows.is_some();
    let question = Question {
        properties: args.properties(),
        options: Options {
            delta_ns: args.delta.map(|delta| u64::try_from(delta.as_nanos()).unwrap_or(u64::MAX)),
            fault_windows: source.fault_windows.unwrap_or_default(),
            ..Options::default()
        },
    };
    let mut verdicts = match args.deadline {
        Some(deadline) => question.answer_by(&history, began, deadline),
        None => question.answer(&history),
    };
    if !are_faults_known {
        leave_liveness_open(&mut verdicts, args.properties().contains(&Property::Liveness));
    }
    if args.strict {
        verdicts = verdicts.into_iter().map(PropertyVerdict::strictly).collect();
    }
    let file = source.history.display().to_string();
    Ok(CheckedHistory { file, format: "crosscheck".to_owned(), history, notes, verdicts })
}

/// Where a history is, and when which fault was injected while it was recorded.
struct Source {
    history: PathBuf,
    /// Absent where a run was killed before it wrote them.
    fault_windows: Option<Vec<FaultWindow>>,
}

impl Source {
    /// A file is a history by itself; one that lies in a run's directory has the faults beside it.
    fn of(path: &Path) -> Result<Source, RunDirError> {
        if path.is_dir() {
            let fault_windows = run_dir::load_faults(path)?.map(windows);
            return Ok(Source { history: path.join(run_dir::HISTORY), fault_windows });
        }
        let beside = path.parent().filter(|_| path.ends_with(run_dir::HISTORY));
        let faults = beside.map(run_dir::load_faults).transpose()?.flatten().unwrap_or_default();
        Ok(Source { history: path.to_owned(), fault_windows: Some(windows(faults)) })
    }
}

fn windows(saved: Vec<SavedWindow>) -> Vec<FaultWindow> {
    let window = |SavedWindow { id, system, from_ns, to_ns, .. }| FaultWindow { id, system, from_ns, to_ns };
    saved.into_iter().map(window).collect()
}

/// What is asked of a history.
#[derive(Clone)]
struct Question {
    /// All that apply, if there is none.
    properties: Vec<Property>,
    options: Options,
}

impl Question {
    fn answer(&self, history: &History) -> Vec<PropertyVerdict> {
        if self.properties.is_empty() {
            check::check_applicable(history, &self.options)
        } else {
            check::check_all(history, &self.properties, &self.options)
        }
    }

    /// Answers, or says what is unknown because the deadline has passed.
    fn answer_by(&self, history: &Arc<History>, began: Instant, deadline: Duration) -> Vec<PropertyVerdict> {
        let left = deadline.checked_sub(began.elapsed());
        match left.map_or(Err(RecvTimeoutError::Timeout), |left| self.answer_within(history, left)) {
            Ok(verdicts) => verdicts,
            Err(RecvTimeoutError::Timeout) => {
                self.all_undecided(&format!("not judged within the deadline of {deadline:?}"))
            }
            Err(RecvTimeoutError::Disconnected) => {
                self.all_undecided("the checker failed (a bug in Crosscheck)")
            }
        }
    }

    /// Answers in a thread of its own, which is left alone when the time is over.
    fn answer_within(
        &self,
        history: &Arc<History>,
        left: Duration,
    ) -> Result<Vec<PropertyVerdict>, RecvTimeoutError> {
        let (sender, receiver) = mpsc::channel();
        let (question, of) = (self.clone(), Arc::clone(history));
        // Nobody receives any more when the time is over.
        thread::spawn(move || sender.send(question.answer(&of)).is_ok());
        receiver.recv_timeout(left)
    }

    fn all_undecided(&self, reason: &str) -> Vec<PropertyVerdict> {
        let mut asked = self.properties.clone();
        if asked.is_empty() {
            asked = Property::ALL.into_iter().filter(|property| check::is_checked(*property)).collect();
        }
        asked.into_iter().map(|property| undecided(property, reason)).collect()
    }
}

fn undecided(property: Property, reason: &str) -> PropertyVerdict {
    PropertyVerdict {
        property,
        verdict: Verdict::Unknown,
        violations: 0,
        exercised: BTreeMap::new(),
        required: Vec::new(),
        reason: Some(reason.to_owned()),
        witness: None,
    }
}

/// A slow call is a stall only while its own system is well, which nobody knows without the faults.
fn leave_liveness_open(verdicts: &mut Vec<PropertyVerdict>, is_asked: bool) {
    verdicts.retain(|judged| judged.property != Property::Liveness);
    if is_asked {
        let reason = "the run was stopped before it wrote when which fault was injected";
        verdicts.push(undecided(Property::Liveness, reason));
    }
}
