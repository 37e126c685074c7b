//! One system on servers of ours, with a table, a slot, a topic of a run.

use crosscheck_harness::backend::docker::{DockerBackend, Engine, ImageKind, Images};
use crosscheck_harness::backend::local::{Finding, LocalBackend, Places, Program, Programs, default_root};
use crosscheck_harness::backend::{Arena, Backend};
use crosscheck_harness::context::Links;
use crosscheck_harness::design::{Layout, Needs, Role};
use crosscheck_harness::port::System;

pub(crate) const TABLE: &str = "stock";
pub(crate) const TOPIC: &str = "events";
pub(crate) const SLOT: &str = "design";

/// Where the servers run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Hosts {
    Local,
    Docker,
}

/// A run's arena, and the servers under it.
pub(crate) struct Place {
    pub(crate) arena: Arena,
    _backend: Box<dyn Backend>,
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Says that a test is skipped, unless it must not be.
fn skipped(word: &str, why: &str) {
    let required = env("CROSSCHECK_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|required| required == word), "{word} is required: {why}");
    println!("skipped: {why}");
}

async fn local(system: System, needs: Needs) -> Option<Box<dyn Backend>> {
    let programs = Programs::find(&env, &Places::debian());
    let wanted = match system {
        System::Db => Program::Postgres,
        System::Cache => Program::Redis,
        System::Broker | System::App => Program::Kafka,
    };
    if !matches!(programs.finding(wanted), Finding::Found { .. }) {
        skipped("local", &format!("{wanted} is not here"));
        return None;
    }
    let backend = LocalBackend::start(needs, &programs, &default_root(&env)).await;
    Some(Box::new(backend.unwrap_or_else(|error| panic!("{error}"))))
}

async fn docker(system: System, needs: Needs) -> Option<Box<dyn Backend>> {
    let images = Images::from(&env);
    let wanted = match system {
        System::Db => ImageKind::Postgres,
        System::Cache => ImageKind::Redis,
        System::Broker | System::App => ImageKind::Kafka,
    };
    let engine = match Engine::find(&env).await {
        Ok(engine) => engine,
        Err(state) => {
            skipped("docker", &format!("{state:?}"));
            return None;
        }
    };
    if engine.image(wanted, &images).await.expect("the engine answers").is_none() {
        skipped("docker", &format!("no image for {wanted}; {}", images.advice(wanted)));
        return None;
    }
    let backend = DockerBackend::start(needs, &engine, &images, &default_root(&env)).await;
    Some(Box::new(backend.unwrap_or_else(|error| panic!("{error}"))))
}

impl Place {
    /// Starts the system's server; none, after a line that says why, where it cannot be had.
    pub(crate) async fn open(hosts: Hosts, system: System) -> Option<Place> {
        let needs = Needs {
            db: system == System::Db,
            cache: system == System::Cache,
            broker: system == System::Broker,
        };
        let backend = match hosts {
            Hosts::Local => local(system, needs).await?,
            Hosts::Docker => docker(system, needs).await?,
        };
        let layout = Layout {
            ddl: vec![
                format!("CREATE TABLE {TABLE} (n bigint PRIMARY KEY, filling text)"),
                format!(
                    "SELECT pg_create_logical_replication_slot('{{prefix}}{SLOT}', 'test_decoding')::text"
                ),
            ],
            topics: vec![(TOPIC.to_owned(), 1)],
            ..Layout::default()
        };
        let arena = backend.open(needs, &layout, "faults").await.unwrap_or_else(|error| panic!("{error}"));
        if let Some(database) = &arena.direct.database {
            let mut db = database.connect().await.expect("it is up");
            for statement in &layout.ddl {
                let statement = statement.replace("{prefix}", &arena.direct.prefix);
                db.execute(&statement, &[]).await.expect("it is made");
            }
        }
        Some(Place { arena, _backend: backend })
    }

    /// The client's links, through the proxies.
    pub(crate) fn client(&self) -> &Links {
        &self.arena.links[&Role::Client]
    }

    /// A name of this run.
    pub(crate) fn name(&self, name: &str) -> String {
        format!("{}{name}", self.arena.direct.prefix)
    }

    pub(crate) async fn close(self) {
        self.arena.closer.close().await;
    }
}
