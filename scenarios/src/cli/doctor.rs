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

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use crosscheck_harness::backend::docker::{EngineState, ImageKind, Images};
    use crosscheck_harness::backend::local::{Diagnosis, Program, Source};

    use super::*;

    fn local(state: impl Fn(Program) -> Finding) -> Doctor {
        let of = |program: Program| Diagnosis {
            program,
            optional: program.is_optional(),
            finding: state(program),
        };
        let programs: Vec<Diagnosis> = Program::ALL.map(of).into();
        let is_found = |line: &Diagnosis| matches!(line.finding, Finding::Found { .. });
        Doctor { ready: programs.iter().all(is_found), programs }
    }

    fn all_there() -> Doctor {
        local(|program| Finding::Found {
            at: PathBuf::from("/usr/bin").join(program.name()),
            version: "1.0".to_owned(),
            source: Source::Path,
        })
    }

    fn nothing_there() -> Doctor {
        local(|_| Finding::Missing { tried: vec!["PATH".to_owned()], advice: "get it".to_owned() })
    }

    fn docker(is_there: bool) -> docker::Doctor {
        let images = Images::from(&|_: &str| None);
        if is_there {
            let engine =
                EngineState::Here { at: "unix:///docker.sock".to_owned(), version: "1.0".to_owned() };
            let found = ImageKind::ALL.map(|kind| (kind, images.candidates(kind).first().cloned()));
            return docker::Doctor::of(engine, &images, &found);
        }
        docker::Doctor::of(EngineState::NoSocket { tried: vec!["/docker.sock".to_owned()] }, &images, &[])
    }

    #[test]
    fn one_backend_with_real_servers_is_enough() {
        assert_eq!(complaint(&all_there(), &docker(true)), None);
        assert_eq!(complaint(&all_there(), &docker(false)), None);
        assert_eq!(complaint(&nothing_there(), &docker(true)), None);
        insta::assert_snapshot!(complaint(&nothing_there(), &docker(false)).unwrap_or_default(), @"
        postgres, redis, kafka, java are missing: `scripts/servers.sh` installs what the local backend needs on Debian
        there is no socket of a Docker engine: looked at /docker.sock; run scripts/docker.sh (Debian), start Docker, or set DOCKER_HOST
        ");
    }

    #[test]
    fn a_variable_that_is_wrong_is_never_passed_over() {
        let wrong =
            local(|_| Finding::Wrong { reason: "it is no file".to_owned(), advice: "unset it".to_owned() });
        assert!(complaint(&wrong, &docker(true)).is_some_and(|why| why.contains("it is no file; unset it")));
    }

    #[test]
    fn all_that_is_there_is_said_of_every_backend() {
        insta::assert_snapshot!(text(&all_there(), &docker(true)), @"
        docker backend: ready
        engine     1.0             unix:///docker.sock
        postgres   postgres:17
        redis      redis:7.4
        kafka      apache/kafka:4.1.0
        cockroach  cockroachdb/cockroach:v24.3.5
        redpanda   redpandadata/redpanda:v24.3.5

        local backend: ready
        postgres   1.0        /usr/bin/postgres (PATH)
        redis      1.0        /usr/bin/redis (PATH)
        kafka      1.0        /usr/bin/kafka (PATH)
        java       1.0        /usr/bin/java (PATH)
        cockroach  1.0        /usr/bin/cockroach (PATH)
        redpanda   1.0        /usr/bin/redpanda (PATH)

        model backend: ready
        in process and in virtual time; needs nothing
        ");
    }
}
