//! Histories that others have recorded: which checkers are asked, and what they say.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, Instant};

use crosscheck_models::checker::{self, Check, Checker, Options};
use crosscheck_models::foreign::{self, Columns, Format, OpHistory};
use crosscheck_models::object::Keys;
use crosscheck_models::verdict::Verdict;
use crosscheck_reports::foreign::CheckedForeign;

use super::Args;

/// So much of a file is enough to tell its format.
const START_BYTES: u64 = 8 * 1024;

/// How long one checker may take, if nothing else is said.
const DEADLINE: Duration = Duration::from_secs(60);

/// The format of a history of others; none where it is one of ours.
pub(super) fn detect(path: &Path) -> Result<Option<Format>, String> {
    let failed = |error: io::Error| format!("cannot read {}: {error}", path.display());
    let mut start = Vec::new();
    File::open(path).and_then(|file| file.take(START_BYTES).read_to_end(&mut start)).map_err(failed)?;
    let is_ours = start.trim_ascii_start().starts_with(b"{\"crosscheck\"");
    Ok(if is_ours { None } else { foreign::detect(&start) })
}

/// Reads a history and judges it.
pub(super) fn judge(args: &Args, path: &Path, format: Format) -> Result<CheckedForeign, String> {
    let began = Instant::now();
    let failed = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let mut file = File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let columns = args.columns.clone().unwrap_or_default();
    let length = file.metadata().ok().map(|about| about.len());
    let history = foreign::read_sized(&mut file, format, &columns, length).map_err(|error| failed(&error))?;
    let deadline = began + args.deadline.unwrap_or(DEADLINE);
    let mut checks = Vec::new();
    for asked in asked(args, &history).map_err(|error| failed(&error))? {
        let mut go_on = || Instant::now() < deadline;
        let found = checker::check(&history, asked, &options(args), &mut go_on)
            .map_err(|error| failed(&format!("{asked} does not apply to it: {error}")))?;
        checks.push(if args.strict { strictly(found) } else { found });
    }
    let events = history.ops().len() as u64;
    Ok(CheckedForeign { file: path.display().to_string(), format: format.to_string(), events, checks })
}

/// The checkers that are asked for, or else those that apply.
fn asked(args: &Args, history: &OpHistory) -> Result<Vec<Checker>, String> {
    // Some checkers have the names of properties.
    let (mut named, mut lost) = (args.checkers(), Vec::new());
    for property in args.properties() {
        match property.id().parse::<Checker>() {
            Ok(checker) => named.push(checker),
            Err(_) => lost.push(property),
        }
    }
    if let Some(property) = lost.first() {
        return Err(format!(
            "{property} is about histories of Crosscheck's own, which say what a cache and a log held, and this is none"
        ));
    }
    if !named.is_empty() {
        return Ok(named);
    }
    let found = checker::applicable(history);
    if found.is_empty() {
        return Err("no checker is about operations like these; name one with --checker".to_owned());
    }
    Ok(found)
}

fn options(args: &Args) -> Options {
    let mut options = Options { level: args.level.unwrap_or_default(), replay: true, ..Options::default() };
    options.smallest = args.explain || args.output.json;
    options.inference.linearizable_keys = args.linearizable_keys;
    options.inference.sequential_keys = args.sequential_keys;
    options.inference.wfr_keys = args.wfr_keys;
    options.bank.allow_negative_balances = args.allow_negative_balances;
    options.keys = if args.by_key { Keys::Independent } else { Keys::Told };
    options.group_size = args.group_size;
    options.staleness.versions_max = args.max_versions_behind;
    options.staleness.ms_max =
        args.max_time_behind.map(|time| u64::try_from(time.as_millis()).unwrap_or(u64::MAX));
    options.staleness.has_versions = args.values_are_versions;
    options
}

/// Nothing is valid in which nothing happened.
fn strictly(found: Check) -> Check {
    if found.verdict != Verdict::Valid || found.exercised.values().any(|count| *count > 0) {
        return found;
    }
    let reason = Some("not exercised: the history holds nothing that could violate it".to_owned());
    Check { verdict: Verdict::Unknown, reason, certificate: None, ..found }
}

/// Which column of a table plays which role.
pub(in crate::cli) fn columns(text: &str) -> Result<Columns, String> {
    text.parse()
}
