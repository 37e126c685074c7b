//! A set of containers: started together, removed together.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::try_join_all;

use super::container::Container;
use super::daemon::Engine;
use super::image::{ImageKind, Images};
use super::link::ServerLink;
use super::recipe::{Advertised, Recipe};
use super::run::Run;
use crate::backend::HarnessError;

/// Containers that run. They are removed when the set, and every handle on one of them, is dropped.
#[derive(Debug)]
pub struct ContainerSet {
    containers: BTreeMap<ImageKind, Arc<Container>>,
    engine: Engine,
    run: Arc<Run>,
}

impl ContainerSet {
    /// Sweeps what dead owners left, then starts these servers side by side and waits until each answers in its
    /// own protocol. A broker sends its clients to the proxies that are `advertised`.
    ///
    /// # Errors
    /// Which image is missing or does not start, and what to do about it.
    pub async fn start(
        kinds: &[ImageKind],
        advertised: &Advertised,
        engine: &Engine,
        images: &Images,
        root: &Path,
    ) -> Result<ContainerSet, HarnessError> {
        let recipe = |kind: &ImageKind| match kind {
            ImageKind::Postgres => Recipe::postgres(),
            ImageKind::Redis => Recipe::redis(),
            ImageKind::Kafka => Recipe::kafka(advertised),
            ImageKind::Cockroach => Recipe::cockroach(),
            ImageKind::Redpanda => Recipe::redpanda(advertised),
        };
        let recipes = kinds.iter().map(recipe).collect();
        ContainerSet::of(recipes, engine, images, root).await
    }

    /// Starts containers by these recipes.
    pub(super) async fn of(
        recipes: Vec<Recipe>,
        engine: &Engine,
        images: &Images,
        root: &Path,
    ) -> Result<ContainerSet, HarnessError> {
        let mut with_images = Vec::new();
        for recipe in recipes {
            // One that is missing is said before anything is started.
            with_images.push((engine.need_image(recipe.kind, images).await?, recipe));
        }
        let run = Arc::new(Run::begin(engine, root).await?);
        let begun = with_images.into_iter().map(|(image, recipe)| {
            let (run, kind) = (&run, recipe.kind);
            async move {
                let container = Container::begin(engine, run, &image, recipe).await?;
                Ok::<_, HarnessError>((kind, Arc::new(container)))
            }
        });
        let containers = try_join_all(begun).await?.into_iter().collect();
        Ok(ContainerSet { containers, engine: engine.clone(), run })
    }

    /// The container of that kind, if it was wanted.
    pub fn container(&self, kind: ImageKind) -> Option<&Arc<Container>> {
        self.containers.get(&kind)
    }

    /// Makes a network between the servers of this set, to which nobody is connected yet.
    ///
    /// # Errors
    /// The engine refuses, or there is one already.
    pub async fn link(&self) -> Result<ServerLink, HarnessError> {
        ServerLink::make(&self.engine, &self.run).await
    }
}
