//! Which backend a command runs on, and why.

use std::sync::Arc;

use crosscheck_harness::backend::docker::{self, DockerBackend, Engine, Images};
use crosscheck_harness::backend::local::{
    Doctor, Finding, LocalBackend, Places, Programs, default_root, shutdown_all as shutdown_servers,
};
use crosscheck_harness::backend::model::ModelBackend;
use crosscheck_harness::backend::{Backend, HarnessError};
use crosscheck_harness::design::{Design, Needs};

/// Reads the environment: handed in, because only binaries may.
pub type Environment<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// What `--backend` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Choice {
    /// The most real one that is there.
    #[default]
    Auto,
    /// The in-process model.
    Model,
    /// Server processes on this machine.
    Local,
    /// Containers.
    Docker,
}

/// A backend, and why it was taken.
pub struct Chosen {
    /// The backend.
    pub backend: Arc<dyn Backend>,
    /// Why, in a sentence.
    pub why: String,
}

impl std::fmt::Debug for Chosen {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Chosen").field("backend", &self.backend.name()).field("why", &self.why).finish()
    }
}

/// What all these designs need together.
pub fn needs_of(designs: &[Arc<dyn Design>]) -> Needs {
    designs.iter().map(|design| design.needs()).fold(Needs::default(), |all, needs| Needs {
        db: all.db || needs.db,
        cache: all.cache || needs.cache,
        broker: all.broker || needs.broker,
    })
}

/// Starts the backend.
///
/// # Errors
/// What is missing, and what to do about it.
pub async fn open(choice: Choice, needs: Needs, env: Environment<'_>) -> Result<Chosen, HarnessError> {
    match choice {
        Choice::Model => Ok(model("asked for")),
        Choice::Docker => containers(needs, env, "asked for").await,
        Choice::Local => local(needs, env, "asked for").await,
        Choice::Auto => auto(needs, env).await,
    }
}

/// The most real backend that is there, and why not a more real one.
async fn auto(needs: Needs, env: Environment<'_>) -> Result<Chosen, HarnessError> {
    let Some(no_docker) = docker::Doctor::examine(env).await.complaint() else {
        return containers(needs, env, "auto: a Docker engine is here, with its images").await;
    };
    let no_docker = no_docker.replace('\n', "; ");
    match missing(env) {
        None => {
            local(needs, env, &format!("auto: the server programs are here; no containers, as {no_docker}"))
                .await
        }
        Some(reason) => Ok(model(&format!(
            "auto: real servers cannot be had, as {reason}; nor containers, as {no_docker}"
        ))),
    }
}

async fn containers(needs: Needs, env: Environment<'_>, why: &str) -> Result<Chosen, HarnessError> {
    let engine = Engine::find(env).await?;
    let backend = DockerBackend::start(needs, &engine, &Images::from(env), &default_root(env)).await?;
    Ok(Chosen { backend: Arc::new(backend), why: why.to_owned() })
}

fn model(why: &str) -> Chosen {
    Chosen { backend: Arc::new(ModelBackend), why: why.to_owned() }
}

async fn local(needs: Needs, env: Environment<'_>, why: &str) -> Result<Chosen, HarnessError> {
    let programs = Programs::find(env, &Places::debian());
    let backend = LocalBackend::start(needs, &programs, &default_root(env)).await?;
    Ok(Chosen { backend: Arc::new(backend), why: why.to_owned() })
}

/// Why the local backend cannot be had, if some program of it is missing. One that is set and wrong is not
/// missing: starting it tells what is wrong.
pub fn missing(env: Environment<'_>) -> Option<String> {
    let programs = Programs::find(env, &Places::debian());
    let needed = programs.findings().iter().filter(|(program, _)| !program.is_optional());
    let mut reasons = Vec::new();
    for (program, finding) in needed {
        if let Finding::Missing { advice, .. } = finding {
            reasons.push(format!("{program} is missing; {advice}"));
        }
    }
    (!reasons.is_empty()).then(|| reasons.join("; "))
}

/// What is here and what is not.
pub fn doctor(env: Environment<'_>) -> Doctor {
    Doctor::examine(&Programs::find(env, &Places::debian()))
}

/// Whether containers can be had.
pub async fn docker_doctor(env: Environment<'_>) -> docker::Doctor {
    docker::Doctor::examine(env).await
}

/// Ends every server of this process, and removes its containers.
///
/// # Errors
/// What could not be ended.
pub fn shutdown_all() -> Result<(), HarnessError> {
    let containers = docker::shutdown_all();
    shutdown_servers().map_err(|error| HarnessError::failed(error.to_string()))?;
    containers
}
