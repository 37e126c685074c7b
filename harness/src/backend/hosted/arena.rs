//! A run's arena on servers: a database, topics and a key prefix of its own.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Hosted;
use super::feeds::{self, CockroachFeeds};
use super::injector::ServerInjector;
use super::lock_waits::DatabaseLockWaits;
use super::refused;
use crate::backend::effect::{Servers, Site};
use crate::backend::{Arena, Closer, Feeds, HarnessError};
use crate::context::{Addresses, DatabaseAddress, Links};
use crate::database::DatabaseKind;
use crate::design::{Layout, Needs, Role};
use crate::port::{Broker, Cache, Database, DatabaseConnection, PortError, System};
use crate::system::cockroach;
use crate::system::kafka::{KafkaBroker, create_topic, delete_topic};
use crate::system::ping::POSTGRES_USER;
use crate::system::postgres::{PostgresAddress, PostgresDatabase};
use crate::system::redis::RedisCache;

/// A database role for each role of a design. Those beside the clients commit without waiting for a
/// standby, so that a standby that is missing holds up the clients alone.
pub(crate) async fn make_roles(hosted: &Hosted) -> Result<(), HarnessError> {
    let Some(admin) = admin_database(hosted) else { return Ok(()) };
    let mut admin = admin.connect().await?;
    if hosted.database() == DatabaseKind::Cockroach {
        let settings = cockroach::SETTINGS.map(str::to_owned).into_iter();
        let users = Role::ALL.into_iter().flat_map(|role| cockroach::make_user(role.id()));
        for statement in settings.chain(users) {
            admin.execute(&statement, &[]).await?;
        }
        return Ok(());
    }
    for role in Role::ALL {
        let name = role.id();
        admin.execute(&format!("CREATE ROLE {name} SUPERUSER LOGIN"), &[]).await?;
        if role != Role::Client {
            admin.execute(&format!("ALTER ROLE {name} SET synchronous_commit = local"), &[]).await?;
        }
    }
    admin.execute(&format!("ALTER ROLE {POSTGRES_USER} SET synchronous_commit = local"), &[]).await?;
    Ok(())
}

/// Makes what one run uses.
pub(in crate::backend) async fn open(
    hosted: &Arc<Hosted>,
    servers: Arc<dyn Servers>,
    needs: Needs,
    layout: &Layout,
    tag: &str,
) -> Result<Arena, HarnessError> {
    let prefix = format!("cc_{tag}_");
    let database = format!("cc_{tag}");
    let admin = admin_database(hosted).filter(|_| needs.db);
    if let Some(admin) = &admin {
        admin.connect().await?.execute(&format!("CREATE DATABASE {database}"), &[]).await?;
    }
    let mut topics = Vec::new();
    if let Some(broker) = hosted.direct(System::Broker).filter(|_| needs.broker) {
        for (topic, partitions) in &layout.topics {
            let name = format!("{prefix}{topic}");
            create_topic(broker, &name, *partitions).await?;
            topics.push(name);
        }
    }
    let links_of = |role: Role| only(needs, links_of(hosted, role, &database, &prefix));
    let as_client = hosted.direct(System::Db).map(|addr| {
        let address = PostgresAddress {
            addr,
            user: Role::Client.id().to_owned(),
            database: database.clone(),
            application_name: "crosscheck".to_owned(),
        };
        PostgresDatabase::new(address).of_kind(hosted.database())
    });
    let of_run = direct_database(hosted, &database).map(|at| (at, database.clone()));
    let site = Site {
        admin: admin.clone(),
        database: of_run.filter(|_| needs.db),
        as_client: as_client.filter(|_| needs.db),
        tables: layout.tables(),
        cache: hosted.direct(System::Cache).filter(|_| needs.cache),
        broker: hosted.direct(System::Broker).filter(|_| needs.broker),
        prefix: prefix.clone(),
        topics: topics.clone(),
        servers,
    };
    let injector = Arc::new(ServerInjector::new(hosted.clone(), site));
    Ok(Arena {
        database: hosted.database(),
        links: Role::ALL.into_iter().map(|role| (role, links_of(role))).collect(),
        direct: only(needs, direct_links(hosted, &database, &prefix)),
        injector,
        feeds: feeds_of(hosted, needs, &database, &prefix),
        lock_waits: Arc::new(DatabaseLockWaits::new(hosted.database(), admin.clone())),
        closer: Arc::new(RunCloser { hosted: hosted.clone(), admin, database, prefix, topics }),
    })
}

/// The changefeeds of a run on CockroachDB that has a broker.
fn feeds_of(hosted: &Hosted, needs: Needs, database: &str, prefix: &str) -> Option<Arc<dyn Feeds>> {
    if hosted.database() != DatabaseKind::Cockroach || !needs.broker {
        return None;
    }
    let address = direct_address(hosted, database)?;
    Some(Arc::new(CockroachFeeds {
        database: PostgresDatabase::new(address.clone()).of_kind(hosted.database()),
        address,
        broker: hosted.broker_of_feeds(),
        direct_broker: hosted.direct(System::Broker)?,
        readings: std::sync::Mutex::default(),
        prefix: prefix.to_owned(),
    }))
}

/// What a design with such needs gets of the links.
fn only(needs: Needs, links: Links) -> Links {
    Links {
        database: links.database.filter(|_| needs.db),
        cache: links.cache.filter(|_| needs.cache),
        broker: links.broker.filter(|_| needs.broker),
        addresses: Addresses {
            database: links.addresses.database.filter(|_| needs.db),
            cache: links.addresses.cache.filter(|_| needs.cache),
            broker: links.addresses.broker.filter(|_| needs.broker),
        },
        prefix: links.prefix,
    }
}

/// The harness's own way to a database of that name, if there is a server for it.
fn direct_database(hosted: &Hosted, database: &str) -> Option<PostgresDatabase> {
    Some(PostgresDatabase::new(direct_address(hosted, database)?).of_kind(hosted.database()))
}

fn direct_address(hosted: &Hosted, database: &str) -> Option<PostgresAddress> {
    let user = match hosted.database() {
        DatabaseKind::Postgres => POSTGRES_USER,
        DatabaseKind::Cockroach => cockroach::USER,
    };
    Some(PostgresAddress {
        addr: hosted.direct(System::Db)?,
        user: user.to_owned(),
        database: database.to_owned(),
        application_name: "crosscheck".to_owned(),
    })
}

/// The same, to the database that is there from the start.
fn admin_database(hosted: &Hosted) -> Option<PostgresDatabase> {
    match hosted.database() {
        DatabaseKind::Postgres => direct_database(hosted, "postgres"),
        DatabaseKind::Cockroach => direct_database(hosted, cockroach::DATABASE),
    }
}

fn links_of(hosted: &Hosted, role: Role, database: &str, prefix: &str) -> Links {
    let link = |system| hosted.link(system, role);
    let proxy = |system| hosted.proxy(system, role);
    Links {
        database: proxy(System::Db).map(|link| {
            let address = PostgresAddress {
                addr: link.addr(),
                user: role.id().to_owned(),
                database: database.to_owned(),
                application_name: role.id().to_owned(),
            };
            refused::database(link, PostgresDatabase::new(address).of_kind(hosted.database()))
        }),
        cache: proxy(System::Cache).map(|link| refused::cache(link, RedisCache::new(link.addr()))),
        broker: proxy(System::Broker).map(|link| refused::broker(link, KafkaBroker::new(link.addr()))),
        addresses: Addresses {
            database: link(System::Db).map(|addr| DatabaseAddress {
                addr,
                user: role.id().to_owned(),
                name: database.to_owned(),
            }),
            cache: link(System::Cache),
            broker: link(System::Broker),
        },
        prefix: prefix.to_owned(),
    }
}

fn direct_links(hosted: &Hosted, database: &str, prefix: &str) -> Links {
    let direct = |system| hosted.direct(system);
    Links {
        database: direct_database(hosted, database).map(|database| Arc::new(database) as Arc<dyn Database>),
        cache: direct(System::Cache).map(|addr| Arc::new(RedisCache::new(addr)) as Arc<dyn Cache>),
        broker: direct(System::Broker).map(|addr| Arc::new(KafkaBroker::new(addr)) as Arc<dyn Broker>),
        addresses: Addresses::default(),
        prefix: prefix.to_owned(),
    }
}

/// Drops what a run made.
struct RunCloser {
    hosted: Arc<Hosted>,
    admin: Option<PostgresDatabase>,
    database: String,
    prefix: String,
    topics: Vec<String>,
}

#[async_trait]
impl Closer for RunCloser {
    async fn close(&self) {
        // What cannot be dropped now goes with the servers, a moment later.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.drop_all()).await;
    }
}

impl RunCloser {
    async fn drop_all(&self) -> Result<(), HarnessError> {
        if let Some(admin) = &self.admin {
            let mut connection = admin.connect().await?;
            match self.hosted.database() {
                DatabaseKind::Postgres => drop_postgres(&mut *connection, &self.database).await?,
                DatabaseKind::Cockroach => {
                    feeds::cancel(&mut *connection, &self.prefix).await?;
                    connection.execute(&cockroach::drop_database(&self.database), &[]).await?;
                }
            }
        }
        if let Some(broker) = self.hosted.direct(System::Broker) {
            for topic in &self.topics {
                delete_topic(broker, topic).await?;
            }
        }
        Ok(())
    }
}

/// Drops a database of PostgreSQL, and the slots on it.
async fn drop_postgres(connection: &mut dyn DatabaseConnection, database: &str) -> Result<(), PortError> {
    connection
        .query(
            "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
             WHERE database = $1 AND active_pid IS NOT NULL",
            &[database.into()],
        )
        .await?;
    connection
        .query(
            "SELECT pg_drop_replication_slot(slot_name)::text FROM pg_replication_slots \
             WHERE database = $1 AND active_pid IS NULL",
            &[database.into()],
        )
        .await?;
    connection.execute(&format!("DROP DATABASE {database} WITH (FORCE)"), &[]).await?;
    Ok(())
}
