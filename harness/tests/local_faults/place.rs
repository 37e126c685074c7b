//! One system on servers of ours, with a table, a slot, a topic of a run.

use crosscheck_harness::backend::local::{Finding, LocalBackend, Places, Program, Programs, default_root};
use crosscheck_harness::backend::{Arena, Backend};
use crosscheck_harness::context::Links;
use crosscheck_harness::design::{Layout, Needs, Role};
use crosscheck_harness::port::System;

pub(crate) const TABLE: &str = "stock";
pub(crate) const TOPIC: &str = "events";
pub(crate) const SLOT: &str = "design";

/// A run's arena, and the servers under it.
pub(crate) struct Place {
    pub(crate) arena: Arena,
    _backend: LocalBackend,
}

impl Place {
    /// Starts the system's server; none, after a line that says why, where its program is not here.
    pub(crate) async fn open(system: System) -> Option<Place> {
        let env = |name: &str| std::env::var(name).ok();
        let programs = Programs::find(&env, &Places::debian());
        let wanted = match system {
            System::Db => Program::Postgres,
            System::Cache => Program::Redis,
            System::Broker | System::App => Program::Kafka,
        };
        if !matches!(programs.finding(wanted), Finding::Found { .. }) {
            let required = env("CROSSCHECK_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|word| word == "local"), "{wanted} is required and not here");
            println!("skipped: {wanted} is not here");
            return None;
        }
        let needs = Needs {
            db: system == System::Db,
            cache: system == System::Cache,
            broker: system == System::Broker,
        };
        let backend = LocalBackend::start(needs, &programs, &default_root(&env)).await;
        let backend = backend.unwrap_or_else(|error| panic!("{error}"));
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
