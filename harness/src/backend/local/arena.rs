//! The local backend: one set of servers, a proxy on every link, and for each run a database, topics and a
//! key prefix of its own.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::injector::LocalInjector;
use super::{Finding, KafkaListener, Programs, ServerKind, ServerSet, StartError};
use crate::backend::{Arena, Backend, Closer, HarnessError, LockWaits, Wait};
use crate::context::{Addresses, DatabaseAddress, Links};
use crate::design::{Layout, Needs, Role};
use crate::port::{Broker, Cache, Database, DatabaseConnection, System};
use crate::proxy::{Protocol, Proxy};
use crate::system::kafka::{KafkaBroker, create_topic, delete_topic};
use crate::system::ping::POSTGRES_USER;
use crate::system::postgres::{PostgresAddress, PostgresDatabase, blocking_sessions};
use crate::system::redis::RedisCache;

/// All must be quiet for this long before what is missing counts as lost.
const QUIET_MS: u64 = 300;

/// The links of a set of servers: a proxy for each role and system.
pub(super) type Proxies = BTreeMap<(System, Role), Proxy>;

/// Servers of ours on this machine, with a fault proxy before each.
#[derive(Debug)]
pub struct LocalBackend {
    set: Arc<ServerSet>,
    proxies: Arc<Proxies>,
    needs: Needs,
}

impl LocalBackend {
    /// Starts the servers that are needed. What dead owners left under `root` is swept first.
    ///
    /// # Errors
    /// Which program is missing or does not start, and what to do about it.
    pub async fn start(needs: Needs, programs: &Programs, root: &Path) -> Result<LocalBackend, HarnessError> {
        let proxies = bind_proxies(needs).await?;
        let listeners: Vec<KafkaListener> = proxies
            .iter()
            .filter(|((system, _), _)| *system == System::Broker)
            .map(|((_, role), proxy)| KafkaListener { name: role.id().to_owned(), advertised: proxy.addr() })
            .collect();
        let set = ServerSet::start(&wanted(needs), programs, &listeners, root)
            .await
            .map_err(|error| could_not_start(&error, programs))?;
        let set = Arc::new(set);
        for ((system, role), proxy) in &proxies {
            let upstream = match system {
                System::Db => set.postgres().map(super::Server::addr),
                System::Cache => set.redis_cache().map(super::Server::addr),
                System::Broker => set.kafka().and_then(|kafka| kafka.listener(role.id())),
                System::App => None,
            };
            proxy.set_upstream(upstream);
        }
        let backend = LocalBackend { set, proxies: Arc::new(proxies), needs };
        backend.make_roles().await?;
        Ok(backend)
    }

    /// Whether these servers are enough for a design with such needs.
    pub fn has(&self, needs: Needs) -> bool {
        (self.needs.db || !needs.db)
            && (self.needs.cache || !needs.cache)
            && (self.needs.broker || !needs.broker)
    }

    /// A database role for each role of a design. Those beside the clients commit without waiting for a
    /// standby, so that a standby that is missing holds up the clients alone.
    async fn make_roles(&self) -> Result<(), HarnessError> {
        if !self.needs.db {
            return Ok(());
        }
        let mut admin = self.direct_database("postgres")?.connect().await?;
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

    fn direct_database(&self, database: &str) -> Result<PostgresDatabase, HarnessError> {
        let server = self.set.postgres().ok_or_else(|| HarnessError::failed("PostgreSQL was not started"))?;
        Ok(PostgresDatabase::new(PostgresAddress {
            addr: server.addr(),
            user: POSTGRES_USER.to_owned(),
            database: database.to_owned(),
            application_name: "crosscheck".to_owned(),
        }))
    }

    fn links_of(&self, role: Role, database: &str, prefix: &str) -> Links {
        let proxy = |system| self.proxies.get(&(system, role)).map(Proxy::addr);
        Links {
            database: proxy(System::Db).map(|addr| {
                Arc::new(PostgresDatabase::new(PostgresAddress {
                    addr,
                    user: role.id().to_owned(),
                    database: database.to_owned(),
                    application_name: role.id().to_owned(),
                })) as Arc<dyn Database>
            }),
            cache: proxy(System::Cache).map(|addr| Arc::new(RedisCache::new(addr)) as Arc<dyn Cache>),
            broker: proxy(System::Broker).map(|addr| Arc::new(KafkaBroker::new(addr)) as Arc<dyn Broker>),
            addresses: Addresses {
                database: proxy(System::Db).map(|addr| DatabaseAddress {
                    addr,
                    user: role.id().to_owned(),
                    name: database.to_owned(),
                }),
                cache: proxy(System::Cache),
                broker: proxy(System::Broker),
            },
            prefix: prefix.to_owned(),
        }
    }

    fn direct_links(&self, database: &str, prefix: &str) -> Result<Links, HarnessError> {
        let direct: Option<Arc<dyn Database>> =
            if self.needs.db { Some(Arc::new(self.direct_database(database)?)) } else { None };
        let cache =
            self.set.redis_cache().map(|server| Arc::new(RedisCache::new(server.addr())) as Arc<dyn Cache>);
        let broker =
            self.set.kafka().map(|server| Arc::new(KafkaBroker::new(server.addr())) as Arc<dyn Broker>);
        let addresses = Addresses::default();
        Ok(Links { database: direct, cache, broker, addresses, prefix: prefix.to_owned() })
    }
}

#[async_trait]
impl Backend for LocalBackend {
    fn name(&self) -> &'static str {
        "local"
    }

    fn versions(&self) -> BTreeMap<String, String> {
        self.set
            .servers()
            .map(|server| (server.kind().name().to_owned(), server.version().to_owned()))
            .collect()
    }

    fn logs(&self) -> Vec<(String, std::path::PathBuf)> {
        self.set
            .servers()
            .map(|server| (server.kind().name().to_owned(), server.log_path().to_owned()))
            .collect()
    }

    async fn open(&self, needs: Needs, layout: &Layout, tag: &str) -> Result<Arena, HarnessError> {
        let prefix = format!("cc_{tag}_");
        let database = format!("cc_{tag}");
        if needs.db {
            let mut admin = self.direct_database("postgres")?.connect().await?;
            admin.execute(&format!("CREATE DATABASE {database}"), &[]).await?;
        }
        let mut topics = Vec::new();
        if let Some(kafka) = self.set.kafka().filter(|_| needs.broker) {
            for (topic, partitions) in &layout.topics {
                let name = format!("{prefix}{topic}");
                create_topic(kafka.addr(), &name, *partitions).await?;
                topics.push(name);
            }
        }
        let only = |links: Links| Links {
            database: links.database.filter(|_| needs.db),
            cache: links.cache.filter(|_| needs.cache),
            broker: links.broker.filter(|_| needs.broker),
            addresses: Addresses {
                database: links.addresses.database.filter(|_| needs.db),
                cache: links.addresses.cache.filter(|_| needs.cache),
                broker: links.addresses.broker.filter(|_| needs.broker),
            },
            prefix: links.prefix,
        };
        let links =
            Role::ALL.iter().map(|role| (*role, only(self.links_of(*role, &database, &prefix)))).collect();
        let direct = only(self.direct_links(&database, &prefix)?);
        let closer = LocalCloser {
            set: self.set.clone(),
            admin: if needs.db { Some(self.direct_database("postgres")?) } else { None },
            database,
            topics,
        };
        let admin = if needs.db { Some(self.direct_database("postgres")?) } else { None };
        Ok(Arena {
            links,
            direct,
            injector: Arc::new(LocalInjector::new(self.set.clone(), self.proxies.clone(), admin.clone())),
            lock_waits: Arc::new(PostgresLockWaits { admin, connection: tokio::sync::Mutex::new(None) }),
            closer: Arc::new(closer),
        })
    }

    fn quiet_ms(&self) -> u64 {
        QUIET_MS
    }
}

/// A program that is not there is missing; one that is named and wrong, or does not start, has failed.
pub(super) fn could_not_start(error: &StartError, programs: &Programs) -> HarnessError {
    match error {
        StartError::Unavailable(program)
            if !matches!(programs.finding(program.program), Finding::Wrong { .. }) =>
        {
            HarnessError::Missing { what: program.reason.clone(), advice: program.advice.clone() }
        }
        StartError::Unavailable(_)
        | StartError::Ended { .. }
        | StartError::NotReady { .. }
        | StartError::Preparation { .. }
        | StartError::Gone { .. } => HarnessError::failed(error.to_string()),
    }
}

fn wanted(needs: Needs) -> Vec<ServerKind> {
    let mut kinds = Vec::new();
    if needs.db {
        kinds.push(ServerKind::Postgres);
    }
    if needs.cache {
        kinds.push(ServerKind::RedisCache);
    }
    if needs.broker {
        kinds.push(ServerKind::Kafka);
    }
    kinds
}

async fn bind_proxies(needs: Needs) -> Result<Proxies, HarnessError> {
    let mut proxies = Proxies::new();
    for (system, wanted) in
        [(System::Db, needs.db), (System::Cache, needs.cache), (System::Broker, needs.broker)]
    {
        for role in Role::ALL.into_iter().filter(|_| wanted) {
            let name = format!("{}-{}", role.id(), system.id());
            let proxy = Proxy::bind(&name).await.map_err(|error| HarnessError::failed(error.to_string()))?;
            match system {
                System::Db => proxy.speaks(Protocol::Postgres),
                System::Cache => proxy.speaks(Protocol::Redis),
                System::Broker => proxy.speaks(Protocol::Kafka),
                System::App => {}
            }
            proxies.insert((system, role), proxy);
        }
    }
    Ok(proxies)
}

/// Asks PostgreSQL's own table of sessions.
struct PostgresLockWaits {
    admin: Option<PostgresDatabase>,
    connection: tokio::sync::Mutex<Option<Box<dyn DatabaseConnection>>>,
}

#[async_trait]
impl LockWaits for PostgresLockWaits {
    async fn waits(&self, session: &str) -> Option<Wait> {
        let mut slot = self.connection.lock().await;
        if slot.is_none() {
            *slot = self.admin.as_ref()?.connect().await.ok();
        }
        let connection = slot.as_mut()?;
        let waits = ask(&mut **connection, session).await;
        if waits.is_err() {
            // The server is down, or was: the next question opens another connection.
            *slot = None;
        }
        waits.ok().flatten()
    }
}

async fn ask(
    connection: &mut dyn DatabaseConnection,
    session: &str,
) -> Result<Option<Wait>, crate::port::PortError> {
    let rows = connection
        .query(
            "SELECT coalesce(wait_event, '') AS event FROM pg_stat_activity WHERE pid::text = $1",
            &[session.into()],
        )
        .await?;
    if rows.first().map(|row| row.text("event")).transpose()? == Some("SyncRep") {
        return Ok(Some(Wait::ForStandby));
    }
    let holders = blocking_sessions(connection, session).await?;
    Ok((!holders.is_empty()).then_some(Wait::ForSessions(holders)))
}

/// Drops what a run made.
struct LocalCloser {
    set: Arc<ServerSet>,
    admin: Option<PostgresDatabase>,
    database: String,
    topics: Vec<String>,
}

#[async_trait]
impl Closer for LocalCloser {
    async fn close(&self) {
        // What cannot be dropped now goes with the servers, a moment later.
        let _ = tokio::time::timeout(Duration::from_secs(5), self.drop_all()).await;
    }
}

impl LocalCloser {
    async fn drop_all(&self) -> Result<(), crate::port::PortError> {
        if let Some(admin) = &self.admin {
            let mut connection = admin.connect().await?;
            connection
                .query(
                    "SELECT pg_terminate_backend(active_pid) FROM pg_replication_slots \
                     WHERE database = $1 AND active_pid IS NOT NULL",
                    &[self.database.as_str().into()],
                )
                .await?;
            connection
                .query(
                    "SELECT pg_drop_replication_slot(slot_name)::text FROM pg_replication_slots \
                     WHERE database = $1 AND active_pid IS NULL",
                    &[self.database.as_str().into()],
                )
                .await?;
            connection.execute(&format!("DROP DATABASE {} WITH (FORCE)", self.database), &[]).await?;
        }
        if let Some(kafka) = self.set.kafka() {
            for topic in &self.topics {
                delete_topic(kafka.addr(), topic).await?;
            }
        }
        Ok(())
    }
}
