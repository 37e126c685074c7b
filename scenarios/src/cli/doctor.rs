//! `crosscheck doctor`: which backends are here, and what to do about those that are not.

use crosscheck_harness::backend::docker;
use crosscheck_harness::backend::local::{Doctor, Finding};
use crosscheck_reports::json;
use crosscheck_scenarios::backends;
use serde::Serialize;

use super::{Stop, output, session};

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
    backends: [BackendEntry; 3],
}

#[derive(Debug, Serialize)]
#[serde(tag = "backend", rename_all = "lowercase")]
enum BackendEntry {
    /// In process: it is always there.
    Model { ready: bool, about: &'static str },
    /// Server processes of ours.
    Local(Doctor),
    /// Containers of ours.
    Docker(docker::Doctor),
}

/// What the model is, beside the servers.
const MODEL: &str = "in process and in virtual time; needs nothing";

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Prints what is here. One backend with real servers is enough.
pub(crate) fn execute(args: &Args) -> Result<(), Stop> {
    let local = backends::doctor(&environment);
    let docker = session::on_runtime(async { Ok(backends::docker_doctor(&environment).await) })?;
    let complaint = complaint(&local, &docker);
    if args.json {
        let model = BackendEntry::Model { ready: true, about: MODEL };
        let backends = [BackendEntry::Docker(docker), BackendEntry::Local(local), model];
        output::print(&json::render(&Document { backends }))?;
    } else {
        output::print(&text(&local, &docker))?;
    }
    complaint.map_or(Ok(()), |why| Err(Stop::could_not_run(why)))
}

fn text(local: &Doctor, docker: &docker::Doctor) -> String {
    let state = |ready: bool| if ready { "ready" } else { "not ready" };
    let (docker_state, local_state) = (state(docker.ready), state(local.ready));
    format!(
        "docker backend: {docker_state}\n{docker}\n\nlocal backend: {local_state}\n{local}\n\n\
         model backend: ready\n{MODEL}\n"
    )
}

/// What to do where no real server can be had, or where a variable is wrong: whoever sets it wants that program.
fn complaint(local: &Doctor, docker: &docker::Doctor) -> Option<String> {
    let wrong = local.programs.iter().any(|line| matches!(line.finding, Finding::Wrong { .. }));
    let of_local = complaint_of(local)?;
    match docker.complaint() {
        None if !wrong => None,
        None => Some(of_local),
        Some(of_docker) => Some(format!("{of_local}\n{of_docker}")),
    }
}

/// What is missing, and the command that mends it; for a variable that is wrong, what it should name.
fn complaint_of(local: &Doctor) -> Option<String> {
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
