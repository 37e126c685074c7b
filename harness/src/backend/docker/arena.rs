//! The docker backend: one container for each server, and a proxy on every link to them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;

use super::daemon::Engine;
use super::image::{ImageKind, Images};
use super::recipe::{Advertised, REDPANDA_ALIAS, REDPANDA_PORT, Recipe};
use super::set::ContainerSet;
use crate::backend::hosted::{self, BrokerOfServers, Hosted, HostedServer, Proxies, ServerCases};
use crate::backend::{Arena, Backend, HarnessError};
use crate::conform::Language;
use crate::database::DatabaseKind;
use crate::design::{Layout, Needs};
use crate::port::System;
use crate::proxy::Proxy;

/// All must be quiet for this long before what is missing counts as lost. A machine that is busy starting
/// containers is slower than one with a few processes.
const QUIET_MS: u64 = 1_000;

/// Servers in containers, with a fault proxy before each.
#[derive(Debug)]
pub struct DockerBackend {
    hosted: Arc<Hosted>,
}

impl DockerBackend {
    /// Starts the containers that are needed. What dead owners left in the engine is removed first; logs are kept
    /// under `root` while it runs.
    ///
    /// # Errors
    /// Which image is missing or does not start, and what to do about it.
    pub async fn start(
        needs: Needs,
        engine: &Engine,
        images: &Images,
        root: &Path,
    ) -> Result<DockerBackend, HarnessError> {
        DockerBackend::start_on(DatabaseKind::Postgres, needs, engine, images, root).await
    }

    /// The same, with this database.
    ///
    /// # Errors
    /// As [`DockerBackend::start`].
    pub async fn start_on(
        database: DatabaseKind,
        needs: Needs,
        engine: &Engine,
        images: &Images,
        root: &Path,
    ) -> Result<DockerBackend, HarnessError> {
        let systems = hosted::wanted(needs);
        let proxies = hosted::bind_links(&systems).await?;
        let hosted = start(database, &systems, proxies, engine, images, root).await?;
        hosted::make_roles(&hosted).await?;
        Ok(DockerBackend { hosted: Arc::new(hosted) })
    }

    /// Whether these servers are enough for a design with such needs.
    pub fn has(&self, needs: Needs) -> bool {
        self.hosted.has(needs)
    }
}

/// Starts the containers that conformance cases in these languages need.
///
/// # Errors
/// Which image is missing or does not start, and what to do about it.
pub async fn start_cases(
    languages: &BTreeSet<Language>,
    engine: &Engine,
    images: &Images,
    root: &Path,
) -> Result<ServerCases, HarnessError> {
    let systems: Vec<System> = languages.iter().map(|language| hosted::system_of(*language)).collect();
    let hosted = start(DatabaseKind::Postgres, &systems, Proxies::new(), engine, images, root).await?;
    Ok(ServerCases::new(hosted))
}

async fn start(
    database: DatabaseKind,
    systems: &[System],
    proxies: Proxies,
    engine: &Engine,
    images: &Images,
    root: &Path,
) -> Result<Hosted, HarnessError> {
    let own = hosted::bind_own(systems).await?;
    let broker = images.broker()?;
    let recipe = |system: &System| Some((*system, recipe(*system, database, broker, &proxies, &own)?));
    let recipes: Vec<(System, Recipe)> = systems.iter().filter_map(recipe).collect();
    let kinds: Vec<(System, ImageKind)> =
        recipes.iter().map(|(system, recipe)| (*system, recipe.kind)).collect();
    let recipes = recipes.into_iter().map(|(_, recipe)| recipe).collect();
    let set = ContainerSet::of(recipes, engine, images, root).await?;
    let mut servers: BTreeMap<System, Box<dyn HostedServer>> = BTreeMap::new();
    for (system, kind) in kinds {
        if let Some(container) = set.container(kind) {
            servers.insert(system, Box::new(container.clone()));
        }
    }
    let hosted = Hosted::new("docker", servers, proxies, own).with_database(database);
    let feeds = database == DatabaseKind::Cockroach && systems.contains(&System::Broker);
    if !feeds || !systems.contains(&System::Db) {
        return Ok(hosted);
    }
    Ok(hosted.with_broker_of_servers(linked(&set).await?))
}

/// Where CockroachDB finds the broker, over a network of their own: no proxy of this process is reached from within a
/// container. Kafka's container has no listener there.
async fn linked(set: &ContainerSet) -> Result<BrokerOfServers, HarnessError> {
    let (Some(cockroach), Some(redpanda)) =
        (set.container(ImageKind::Cockroach), set.container(ImageKind::Redpanda))
    else {
        return Ok(BrokerOfServers::Unreachable);
    };
    let link = set.link().await?;
    link.connect(cockroach, "cockroach").await?;
    link.connect(redpanda, REDPANDA_ALIAS).await?;
    Ok(BrokerOfServers::At(format!("{REDPANDA_ALIAS}:{REDPANDA_PORT}")))
}

fn recipe(
    system: System,
    database: DatabaseKind,
    broker: ImageKind,
    proxies: &Proxies,
    own: &BTreeMap<System, Proxy>,
) -> Option<Recipe> {
    match system {
        System::Db => Some(match database {
            DatabaseKind::Postgres => Recipe::postgres(),
            DatabaseKind::Cockroach => Recipe::cockroach(),
        }),
        System::Cache => Some(Recipe::redis()),
        System::Broker => {
            let links = proxies.iter().filter(|((of, _), _)| *of == System::Broker);
            let mut advertised: Advertised =
                links.map(|((_, role), proxy)| (Some(*role), proxy.addr())).collect();
            advertised.extend(own.get(&System::Broker).map(|proxy| (None, proxy.addr())));
            Some(match broker {
                ImageKind::Redpanda => Recipe::redpanda(&advertised),
                _ => Recipe::kafka(&advertised),
            })
        }
        System::App => None,
    }
}

#[async_trait]
impl Backend for DockerBackend {
    fn name(&self) -> &'static str {
        self.hosted.backend()
    }

    fn database(&self) -> DatabaseKind {
        self.hosted.database()
    }

    fn versions(&self) -> BTreeMap<String, String> {
        self.hosted.versions()
    }

    fn logs(&self) -> Vec<(String, PathBuf)> {
        self.hosted.logs()
    }

    async fn open(&self, needs: Needs, layout: &Layout, tag: &str) -> Result<Arena, HarnessError> {
        let servers = hosted::HostedServers(self.hosted.clone());
        hosted::open(&self.hosted, Arc::new(servers), needs, layout, tag).await
    }

    fn quiet_ms(&self) -> u64 {
        QUIET_MS
    }
}
