//! Which backend a command runs on, and why.

use std::sync::Arc;

use crosscheck_harness::backend::docker::{self, DockerBackend, Engine, Images};
use crosscheck_harness::backend::local::{
    Doctor, Finding, LocalBackend, Places, Program, Programs, default_root, shutdown_all as shutdown_servers,
};
use crosscheck_harness::backend::model::ModelBackend;
use crosscheck_harness::backend::{Backend, HarnessError};
use crosscheck_harness::database::DatabaseKind;
use crosscheck_harness::design::{Design, Needs};
use crosscheck_reports::document::Skipped;

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

/// Designs that are to run.
pub type Designs = Vec<Arc<dyn Design>>;

/// The designs that can run on a database, and why the others cannot.
pub fn split(database: DatabaseKind, designs: Vec<Arc<dyn Design>>) -> (Vec<Arc<dyn Design>>, Vec<Skipped>) {
    let mut kept = Vec::new();
    let mut skipped = Vec::new();
    for design in designs {
        match database.cannot_run(&design.database_features()) {
            Some(reason) => skipped.push(Skipped { variant: design.id(), reason }),
            None => kept.push(design),
        }
    }
    (kept, skipped)
}

/// Starts the backend, with PostgreSQL as the database.
///
/// # Errors
/// What is missing, and what to do about it.
pub async fn open(choice: Choice, needs: Needs, env: Environment<'_>) -> Result<Chosen, HarnessError> {
    open_on(choice, DatabaseKind::Postgres, needs, env).await
}

/// Starts the backend, with this database.
///
/// # Errors
/// What is missing, and what to do about it.
pub async fn open_on(
    choice: Choice,
    database: DatabaseKind,
    needs: Needs,
    env: Environment<'_>,
) -> Result<Chosen, HarnessError> {
    match (choice, database) {
        (Choice::Model, DatabaseKind::Postgres) => Ok(model("asked for")),
        (Choice::Model, DatabaseKind::Cockroach) => Err(HarnessError::Missing {
            what: "the model's database is PostgreSQL's, and no other".to_owned(),
            advice: "run CockroachDB as a server (--backend local or docker)".to_owned(),
        }),
        (Choice::Docker, _) => containers(database, needs, env, "asked for").await,
        (Choice::Local, _) => local(database, needs, env, "asked for").await,
        (Choice::Auto, DatabaseKind::Postgres) => auto(needs, env).await,
        (Choice::Auto, DatabaseKind::Cockroach) => auto_cockroach(needs, env).await,
    }
}

/// A program of CockroachDB on this machine, else its image; there is no third.
async fn auto_cockroach(needs: Needs, env: Environment<'_>) -> Result<Chosen, HarnessError> {
    let database = DatabaseKind::Cockroach;
    let programs = Programs::find(env, &Places::debian());
    let no_program = match programs.finding(Program::Cockroach) {
        Finding::Found { .. } => {
            return local(database, needs, env, "auto: the program of CockroachDB is here").await;
        }
        Finding::Missing { advice, .. } => format!("cockroach was not found; {advice}"),
        // It is named, and wrong: nothing else is tried.
        Finding::Wrong { .. } => return local(database, needs, env, "auto").await,
    };
    let engine = match Engine::find(env).await {
        Ok(engine) => engine,
        Err(state) => {
            let no_engine = HarnessError::from(state);
            let what = "CockroachDB cannot be had".to_owned();
            return Err(HarnessError::Missing {
                what,
                advice: format!("{no_program}; or else: {no_engine}"),
            });
        }
    };
    let why = format!("auto: a Docker engine is here; {no_program}");
    containers_in(&engine, database, needs, env, &why).await
}

/// The most real backend that is there, and why not a more real one.
async fn auto(needs: Needs, env: Environment<'_>) -> Result<Chosen, HarnessError> {
    let Some(no_docker) = docker::Doctor::examine(env).await.complaint() else {
        let why = "auto: a Docker engine is here, with its images";
        return containers(DatabaseKind::Postgres, needs, env, why).await;
    };
    let no_docker = no_docker.replace('\n', "; ");
    match missing(env) {
        None => {
            let why = format!("auto: the server programs are here; no containers, as {no_docker}");
            local(DatabaseKind::Postgres, needs, env, &why).await
        }
        Some(reason) => Ok(model(&format!(
            "auto: real servers cannot be had, as {reason}; nor containers, as {no_docker}"
        ))),
    }
}

async fn containers(
    database: DatabaseKind,
    needs: Needs,
    env: Environment<'_>,
    why: &str,
) -> Result<Chosen, HarnessError> {
    let engine = Engine::find(env).await?;
    containers_in(&engine, database, needs, env, why).await
}

async fn containers_in(
    engine: &Engine,
    database: DatabaseKind,
    needs: Needs,
    env: Environment<'_>,
    why: &str,
) -> Result<Chosen, HarnessError> {
    let images = Images::from(env);
    let backend = DockerBackend::start_on(database, needs, engine, &images, &default_root(env)).await?;
    Ok(Chosen { backend: Arc::new(backend), why: why.to_owned() })
}

fn model(why: &str) -> Chosen {
    Chosen { backend: Arc::new(ModelBackend), why: why.to_owned() }
}

async fn local(
    database: DatabaseKind,
    needs: Needs,
    env: Environment<'_>,
    why: &str,
) -> Result<Chosen, HarnessError> {
    let programs = Programs::find(env, &Places::debian());
    let backend = LocalBackend::start_on(database, needs, &programs, &default_root(env)).await?;
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_database_cannot_run_is_skipped_with_the_reason() {
        let all = crate::design::all();
        let said = DatabaseKind::ALL.map(|database| {
            let (kept, skipped) = split(database, all.clone());
            assert_eq!(kept.len() + skipped.len(), all.len());
            let lines = skipped.iter().map(|skipped| format!("{}: {}", skipped.variant, skipped.reason));
            lines.collect::<Vec<_>>().join("\n")
        });
        insta::assert_snapshot!(said.join("\n"), @"
        cdc-crdb-changefeed: PostgreSQL has no changefeeds (its changes are read from logical replication slots)
        cdc-crdb-changefeed/naive-lww-consumer: PostgreSQL has no changefeeds (its changes are read from logical replication slots)
        outbox-wal-relay: CockroachDB has no logical replication slots (its changes are followed by changefeeds)
        outbox-wal-relay/ack-before-publish: CockroachDB has no logical replication slots (its changes are followed by changefeeds)
        ");
    }

    #[test]
    fn the_model_is_no_cockroach_and_says_what_to_do() {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        let needs = Needs { db: true, ..Needs::default() };
        let opened = runtime.block_on(open_on(Choice::Model, DatabaseKind::Cockroach, needs, &|_| None));
        insta::assert_snapshot!(
            opened.expect_err("there is none"),
            @"the model's database is PostgreSQL's, and no other; run CockroachDB as a server (--backend local or docker)"
        );
    }
}
