//! `crosscheck report`: the reports of saved runs again, and several runs side by side.

use std::fs;
use std::path::PathBuf;

use crosscheck_reports::html;
use crosscheck_reports::run::SavedRun;
use crosscheck_scenarios::run_dir;

use super::{Stop, output};

/// Renders the reports of saved runs again; of several, also a page that compares them
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  crosscheck report crosscheck-runs/latest
  crosscheck report crosscheck-runs/outbox-poll-flag-single/* --out outboxes.html")]
pub(crate) struct Args {
    /// Directories of runs
    #[arg(value_name = "DIR", required = true)]
    dirs: Vec<PathBuf>,
    /// Where the comparison of several runs goes
    #[arg(long, value_name = "FILE", default_value = "compare.html")]
    out: PathBuf,
}

/// Writes the reports, and prints where each is.
pub(crate) fn execute(args: &Args) -> Result<(), Stop> {
    let mut complaints = Vec::new();
    let mut runs: Vec<SavedRun> = Vec::new();
    for dir in &args.dirs {
        let rendered = run_dir::load(dir).and_then(|run| run_dir::save_reports(dir, &run).map(|()| run));
        match rendered {
            Ok(run) => {
                output::print(&format!("{}\n", dir.join(run_dir::REPORT).display()))?;
                runs.push(run);
            }
            Err(error) => complaints.push(error.to_string()),
        }
    }
    if runs.len() > 1 {
        let page = html::render_compare(&runs);
        fs::write(&args.out, page)
            .map_err(|error| Stop::could_not_run(format!("cannot write {}: {error}", args.out.display())))?;
        output::print(&format!("{}\n", args.out.display()))?;
    }
    if complaints.is_empty() { Ok(()) } else { Err(Stop::could_not_run(complaints.join("\n"))) }
}
