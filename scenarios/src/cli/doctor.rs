//! `crosscheck doctor`: which backends are here, and what to do about those that are not.

use crosscheck_harness::backend::local::{Doctor, Finding};
use crosscheck_reports::json;
use crosscheck_scenarios::backends;
use serde::Serialize;

use super::{Stop, output};

/// What puts every program of the local backend in its place.
const REMEDY: &str = "scripts/servers.sh";

/// Says which servers are here, where, in which version, and what to do about those that are not
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  crosscheck doctor
  crosscheck doctor --json | jq '.backends[] | {backend, ready}'
  CROSSCHECK_POSTGRES_BIN=/opt/postgresql/bin crosscheck doctor")]
pub(crate) struct Args {
    /// Print one JSON document on stdout, and nothing else there
    #[arg(long)]
    json: bool,
}

/// What `doctor --json` prints.
#[derive(Debug, Serialize)]
struct Document {
    backends: [BackendEntry; 2],
}

#[derive(Debug, Serialize)]
#[serde(tag = "backend", rename_all = "lowercase")]
enum BackendEntry {
    /// In process: it is always there.
    Model { ready: bool, about: &'static str },
    /// Server processes of ours.
    Local(Doctor),
}

/// What the model is, beside the servers.
const MODEL: &str = "in process and in virtual time; needs nothing";

/// Prints what is here.
pub(crate) fn execute(args: &Args) -> Result<(), Stop> {
    let local = backends::doctor(&|name| std::env::var(name).ok());
    let complaint = complaint(&local);
    if args.json {
        let model = BackendEntry::Model { ready: true, about: MODEL };
        let document = Document { backends: [BackendEntry::Local(local), model] };
        output::print(&json::render(&document))?;
    } else {
        let state = if complaint.is_none() { "ready" } else { "not ready" };
        output::print(&format!("local backend: {state}\n{local}\nmodel backend: ready\n{MODEL}\n"))?;
    }
    complaint.map_or(Ok(()), |why| Err(Stop::could_not_run(why)))
}

/// What is missing, and the command that mends it; for a variable that is wrong, what it should name.
fn complaint(local: &Doctor) -> Option<String> {
    let mut missing = Vec::new();
    let mut wrong = Vec::new();
    for line in local.programs.iter().filter(|line| !line.optional) {
        match &line.finding {
            Finding::Found { .. } => {}
            Finding::Missing { .. } => missing.push(line.program.name()),
            Finding::Wrong { reason, advice } => wrong.push(format!("{reason}; {advice}")),
        }
    }
    if !missing.is_empty() {
        let verb = if missing.len() == 1 { "is" } else { "are" };
        let names = missing.join(", ");
        wrong.push(format!(
            "{names} {verb} missing: `{REMEDY}` installs what the local backend needs on Debian"
        ));
    }
    (!wrong.is_empty()).then(|| wrong.join("\n"))
}
