//! Conformance cases on server processes of ours: a database, a flushed cache, topics of its own for each case.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::arena::could_not_start;
use super::{Programs, Server, ServerKind, ServerSet};
use crate::backend::HarnessError;
use crate::conform::{self, BrokerCases, CacheCases, Case, Dates, Language, Limits, Topics, Transcript};
use crate::port::{Database, PortError};
use crate::system::kafka::{KafkaBroker, create_topic};
use crate::system::ping::POSTGRES_USER;
use crate::system::postgres::{PostgresAddress, PostgresCases, PostgresDatabase};
use crate::system::redis::RedisCache;

/// The name that PostgreSQL's own runs of its cases give the database; some of them say it.
const DATABASE: &str = "isolation_regression";

/// Servers that cases run on, one case at a time.
#[derive(Debug)]
pub struct LocalCases {
    set: ServerSet,
    next: AtomicU32,
}

impl LocalCases {
    /// Starts the servers that cases in these languages need.
    ///
    /// # Errors
    /// Which program is missing or does not start, and what to do about it.
    pub async fn start(
        languages: &BTreeSet<Language>,
        programs: &Programs,
        root: &Path,
    ) -> Result<LocalCases, HarnessError> {
        let wants: Vec<ServerKind> = languages.iter().map(|language| server_of(*language)).collect();
        let set = ServerSet::start(&wants, programs, &[], root).await;
        let set = set.map_err(|error| could_not_start(&error, programs))?;
        Ok(LocalCases { set, next: AtomicU32::new(0) })
    }

    /// The server's name and version: `PostgreSQL 15.8`.
    pub fn version(&self, language: Language) -> Option<String> {
        let server = self.set.server(server_of(language))?;
        Some(format!("{} {}", server.kind().name(), server.version()))
    }

    /// Runs a case.
    ///
    /// # Errors
    /// The server cannot be reached, or was not started.
    pub async fn run(&self, case: &Case, limits: Limits) -> Result<Transcript, HarnessError> {
        let server = self.server(case.language)?;
        let transcript = match case.language {
            Language::Sql => {
                let address = self.fresh_database(&case.name).await?;
                if case.dates == Dates::Regress {
                    self.print_dates_as_pg_regress().await?;
                }
                let mut system = PostgresCases::new(address.clone());
                let transcript = conform::run(case, &mut system, limits).await;
                drop(system);
                self.drop_database(&address).await?;
                transcript?
            }
            Language::Redis => {
                let mut system = CacheCases::new(Arc::new(RedisCache::new(server.addr())));
                conform::run(case, &mut system, limits).await?
            }
            Language::Kafka => {
                let broker = Arc::new(KafkaBroker::new(server.addr()));
                let base = format!("case{}", self.next.fetch_add(1, Ordering::Relaxed));
                let mut system = BrokerCases::new(broker, Arc::new(KafkaTopics(server.addr())), &base);
                conform::run(case, &mut system, limits).await?
            }
        };
        Ok(transcript)
    }

    /// Makes a database for the case of that name. There is one at a time.
    ///
    /// # Errors
    /// PostgreSQL was not started or cannot be reached.
    pub async fn fresh_database(&self, case: &str) -> Result<PostgresAddress, HarnessError> {
        let mut admin = PostgresDatabase::new(self.address("postgres")?).connect().await?;
        admin.execute(&format!("CREATE DATABASE {DATABASE}"), &[]).await?;
        Ok(PostgresAddress { application_name: format!("isolation/{case}"), ..self.address(DATABASE)? })
    }

    async fn print_dates_as_pg_regress(&self) -> Result<(), HarnessError> {
        let mut admin = PostgresDatabase::new(self.address("postgres")?).connect().await?;
        admin.execute(&format!("ALTER DATABASE {DATABASE} SET datestyle TO 'Postgres, MDY'"), &[]).await?;
        Ok(())
    }

    /// Drops a database and the slots on it.
    ///
    /// # Errors
    /// PostgreSQL cannot be reached.
    pub async fn drop_database(&self, address: &PostgresAddress) -> Result<(), HarnessError> {
        let mut admin = PostgresDatabase::new(self.address("postgres")?).connect().await?;
        let database = address.database.as_str();
        admin
            .query(
                "SELECT pg_drop_replication_slot(slot_name)::text FROM pg_replication_slots \
                 WHERE database = $1 AND active_pid IS NULL",
                &[database.into()],
            )
            .await?;
        admin.execute(&format!("DROP DATABASE {database} WITH (FORCE)"), &[]).await?;
        Ok(())
    }

    fn address(&self, database: &str) -> Result<PostgresAddress, HarnessError> {
        Ok(PostgresAddress {
            addr: self.server(Language::Sql)?.addr(),
            user: POSTGRES_USER.to_owned(),
            database: database.to_owned(),
            application_name: "crosscheck".to_owned(),
        })
    }

    fn server(&self, language: Language) -> Result<&Server, HarnessError> {
        let server = self.set.server(server_of(language));
        server.ok_or_else(|| HarnessError::failed(format!("no server for {} was started", language.id())))
    }
}

fn server_of(language: Language) -> ServerKind {
    match language {
        Language::Sql => ServerKind::Postgres,
        Language::Redis => ServerKind::RedisCache,
        Language::Kafka => ServerKind::Kafka,
    }
}

/// Topics of a Kafka at that address.
struct KafkaTopics(std::net::SocketAddr);

#[async_trait]
impl Topics for KafkaTopics {
    async fn create(&self, topic: &str, partitions: i32) -> Result<(), PortError> {
        create_topic(self.0, topic, partitions).await
    }
}
