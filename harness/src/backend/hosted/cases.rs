//! Conformance cases on servers: a database, a flushed cache, topics of its own for each case.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use async_trait::async_trait;

use super::Hosted;
use crate::backend::HarnessError;
use crate::conform::{self, BrokerCases, CacheCases, Case, Dates, Language, Limits, Topics, Transcript};
use crate::port::{Database, PortError, System};
use crate::system::kafka::{KafkaBroker, create_topic};
use crate::system::ping::POSTGRES_USER;
use crate::system::postgres::{PostgresAddress, PostgresCases, PostgresDatabase};
use crate::system::redis::RedisCache;

/// The name that PostgreSQL's own runs of its cases give the database; some of them say it.
const DATABASE: &str = "isolation_regression";

/// Servers that cases run on, one case at a time.
#[derive(Debug)]
pub struct ServerCases {
    hosted: Hosted,
    next: AtomicU32,
}

impl ServerCases {
    pub(crate) fn new(hosted: Hosted) -> ServerCases {
        ServerCases { hosted, next: AtomicU32::new(0) }
    }

    /// The server's name and version: `PostgreSQL 15.8`.
    pub fn version(&self, language: Language) -> Option<String> {
        let server = self.hosted.server(system_of(language)).ok()?;
        Some(format!("{} {}", server.name(), server.version()))
    }

    /// Runs a case.
    ///
    /// # Errors
    /// The server cannot be reached, or was not started.
    pub async fn run(&self, case: &Case, limits: Limits) -> Result<Transcript, HarnessError> {
        let addr = self.addr(case.language)?;
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
                let mut system = CacheCases::new(Arc::new(RedisCache::new(addr)));
                conform::run(case, &mut system, limits).await?
            }
            Language::Kafka => {
                let broker = Arc::new(KafkaBroker::new(addr));
                let base = format!("case{}", self.next.fetch_add(1, Ordering::Relaxed));
                let mut system = BrokerCases::new(broker, Arc::new(KafkaTopics(addr)), &base);
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
            addr: self.addr(Language::Sql)?,
            user: POSTGRES_USER.to_owned(),
            database: database.to_owned(),
            application_name: "crosscheck".to_owned(),
        })
    }

    fn addr(&self, language: Language) -> Result<SocketAddr, HarnessError> {
        let addr = self.hosted.direct(system_of(language));
        addr.ok_or_else(|| HarnessError::failed(format!("no server for {} was started", language.id())))
    }
}

/// The system that speaks a language.
pub(crate) fn system_of(language: Language) -> System {
    match language {
        Language::Sql => System::Db,
        Language::Redis => System::Cache,
        Language::Kafka => System::Broker,
    }
}

/// Topics of a Kafka at that address.
struct KafkaTopics(SocketAddr);

#[async_trait]
impl Topics for KafkaTopics {
    async fn create(&self, topic: &str, partitions: i32) -> Result<(), PortError> {
        create_topic(self.0, topic, partitions).await
    }
}
