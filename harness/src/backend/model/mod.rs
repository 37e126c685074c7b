//! The model backend: database, cache and broker in process, in virtual time. It needs nothing, is over as soon
//! as it can be, and the same seed gives the same history, byte for byte.

mod injector;
mod link;
mod linked_broker;
mod linked_cache;
mod linked_database;

use std::collections::BTreeMap;
use std::sync::Arc;

use async_trait::async_trait;

use self::injector::ModelInjector;
use self::link::Link;
use self::linked_broker::LinkedBroker;
use self::linked_cache::LinkedCache;
use self::linked_database::LinkedDatabase;
use super::{Arena, Backend, Closer, HarnessError, LockWaits, Time, Wait};
use crate::context::{Addresses, Links};
use crate::database::DatabaseKind;
use crate::design::{Layout, Needs, Role};
use crate::model::broker::ModelBroker;
use crate::model::cache::ModelCache;
use crate::model::database::ModelDatabase;
use crate::model::footprint::Footprints;
use crate::port::{Broker, Cache, Database, System};

/// All must be quiet for this long, in virtual time, before what is missing counts as lost.
const QUIET_MS: u64 = 50;

/// Put before every name that real servers would share among runs.
pub(crate) const PREFIX: &str = "cc_";

/// The in-process model.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelBackend;

/// A database of the model.
pub(crate) trait InProcessDatabase: Send + Sync {
    /// The port, for sessions whose commits wait for a standby, or do not.
    fn port(&self, waits_for_standby: bool) -> Arc<dyn Database>;

    /// The same state, once more.
    fn fork(&self, footprints: Footprints) -> Arc<dyn InProcessDatabase>;

    /// It is killed without warning, and recovers.
    fn crash(&self);

    /// What it acknowledged is on disk, and the positions of slots with it.
    fn checkpoint(&self);

    /// Commits wait for a standby that is not there, or no longer do.
    fn wait_for_standby(&self, wait: bool);

    /// What a session waits for.
    fn waits(&self, session: &str) -> Option<Wait>;
}

/// The systems of one run. A clone is the same systems.
#[derive(Clone)]
pub(crate) struct Systems {
    pub(crate) database: Option<Arc<dyn InProcessDatabase>>,
    pub(crate) cache: Option<ModelCache>,
    pub(crate) broker: Option<ModelBroker>,
    pub(crate) footprints: Footprints,
}

impl Systems {
    /// Those that are needed, with the topics of the layout.
    pub(crate) fn new(needs: Needs, layout: &Layout) -> Result<Systems, HarnessError> {
        let footprints = Footprints::default();
        let broker = needs.broker.then(|| ModelBroker::new(0, footprints.clone()));
        if let Some(broker) = &broker {
            for (topic, partitions) in &layout.topics {
                broker.create_topic(&format!("{PREFIX}{topic}"), *partitions)?;
            }
        }
        Ok(Systems {
            database: needs
                .db
                .then(|| Arc::new(ModelDatabase::new(footprints.clone())) as Arc<dyn InProcessDatabase>),
            cache: needs.cache.then(|| ModelCache::new(0, footprints.clone())),
            broker,
            footprints,
        })
    }

    /// The same state, once more, for a run of its own.
    pub(crate) fn fork(&self) -> Systems {
        let footprints = Footprints::default();
        Systems {
            database: self.database.as_ref().map(|database| database.fork(footprints.clone())),
            cache: self.cache.as_ref().map(|cache| cache.fork_into(footprints.clone())),
            broker: self.broker.as_ref().map(|broker| broker.fork(footprints.clone())),
            footprints,
        }
    }

    /// An arena on them.
    pub(crate) fn arena(&self) -> Arena {
        let mut links = BTreeMap::new();
        let there = [
            (System::Db, self.database.is_some()),
            (System::Cache, self.cache.is_some()),
            (System::Broker, self.broker.is_some()),
        ];
        for (system, _) in there.into_iter().filter(|(_, there)| *there) {
            for role in Role::ALL {
                links.insert((system, role), Link::new(format!("{}-{}", role.id(), system.id())));
            }
        }
        let of_roles = Role::ALL.iter().map(|role| (*role, self.links_of(*role, &links))).collect();
        Arena {
            database: DatabaseKind::Postgres,
            links: of_roles,
            direct: self.direct(),
            injector: Arc::new(ModelInjector::new(self.clone(), Arc::new(links))),
            feeds: None,
            lock_waits: Arc::new(ModelLockWaits(self.database.clone())),
            closer: Arc::new(Forgetting),
        }
    }

    fn links_of(&self, role: Role, links: &BTreeMap<(System, Role), Link>) -> Links {
        let link = |system| links.get(&(system, role)).cloned();
        Links {
            database: self.database.as_ref().zip(link(System::Db)).map(|(database, link)| {
                // As on real servers, those beside the clients do not wait for a standby.
                let inner = database.port(role == Role::Client);
                Arc::new(LinkedDatabase { inner, link }) as Arc<dyn Database>
            }),
            cache: self.cache.as_ref().zip(link(System::Cache)).map(|(cache, link)| {
                Arc::new(LinkedCache { inner: Arc::new(cache.clone()), link }) as Arc<dyn Cache>
            }),
            broker: self.broker.as_ref().zip(link(System::Broker)).map(|(broker, link)| {
                Arc::new(LinkedBroker { inner: Arc::new(broker.clone()), link }) as Arc<dyn Broker>
            }),
            addresses: Addresses::default(),
            prefix: PREFIX.to_owned(),
        }
    }

    fn direct(&self) -> Links {
        Links {
            database: self.database.as_ref().map(|database| database.port(false)),
            cache: self.cache.clone().map(|cache| Arc::new(cache) as Arc<dyn Cache>),
            broker: self.broker.clone().map(|broker| Arc::new(broker) as Arc<dyn Broker>),
            addresses: Addresses::default(),
            prefix: PREFIX.to_owned(),
        }
    }

    /// A system is killed without warning.
    fn crash(&self, system: System) {
        match system {
            System::Db => self.database.iter().for_each(|database| database.crash()),
            System::Cache => self.cache.iter().for_each(ModelCache::crash),
            System::Broker => self.broker.iter().for_each(ModelBroker::crash),
            System::App => {}
        }
    }

    /// A system is stopped in order: what it acknowledged is on disk.
    fn stop(&self, system: System) {
        if system == System::Db {
            self.database.iter().for_each(|database| database.checkpoint());
        }
        self.crash(system);
    }

    /// A system that was killed or stopped is there again.
    fn start(&self, system: System) {
        match system {
            System::Cache => self.cache.iter().for_each(ModelCache::restart),
            System::Broker => self.broker.iter().for_each(ModelBroker::restart),
            System::Db | System::App => {}
        }
    }

    fn wait_for_standby(&self, wait: bool) -> Result<(), HarnessError> {
        let database =
            self.database.as_ref().ok_or_else(|| HarnessError::failed("this run has no database"))?;
        database.wait_for_standby(wait);
        Ok(())
    }

    fn flush(&self) -> Result<(), HarnessError> {
        self.cache.as_ref().ok_or_else(|| HarnessError::failed("this run has no cache"))?.flush();
        Ok(())
    }
}

#[async_trait]
impl Backend for ModelBackend {
    fn name(&self) -> &'static str {
        "model"
    }

    fn versions(&self) -> BTreeMap<String, String> {
        BTreeMap::from([("model".to_owned(), "in process".to_owned())])
    }

    async fn open(&self, needs: Needs, layout: &Layout, _tag: &str) -> Result<Arena, HarnessError> {
        Ok(Systems::new(needs, layout)?.arena())
    }

    fn quiet_ms(&self) -> u64 {
        QUIET_MS
    }

    fn time(&self) -> Time {
        Time::Virtual
    }
}

/// Asks the model's database.
struct ModelLockWaits(Option<Arc<dyn InProcessDatabase>>);

#[async_trait]
impl LockWaits for ModelLockWaits {
    async fn waits(&self, session: &str) -> Option<Wait> {
        self.0.as_ref()?.waits(session)
    }
}

/// Nothing outlives the run.
struct Forgetting;

#[async_trait]
impl Closer for Forgetting {
    async fn close(&self) {}
}
