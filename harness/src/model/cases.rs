//! Conformance cases on the model: in virtual time, on one thread, each on systems of its own.

use std::sync::Arc;

use async_trait::async_trait;
use tokio::runtime::{Builder, Runtime};

use super::broker::ModelBroker;
use super::cache::ModelCache;
use super::database::{DatabaseCases, ModelDatabase};
use super::footprint::Footprints;
use crate::backend::HarnessError;
use crate::conform::{self, BrokerCases, CacheCases, Case, Language, Limits, Topics, Transcript};
use crate::port::PortError;

/// An error in the model's database, to prove that the cases find it. No command plants one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Planted {
    /// A transaction that rolls back gives back the numbers that it took from a sequence.
    SequencesRollBack,
}

/// Runs a case on the model. Not to be called on a runtime: it is one of its own.
///
/// # Errors
/// No runtime can be had.
pub fn run(case: &Case, limits: Limits) -> Result<Transcript, HarnessError> {
    Ok(virtual_time()?.block_on(on_systems(case, limits))?)
}

/// Runs a case of the database on a model with an error in it; likewise not on a runtime.
///
/// # Errors
/// No runtime can be had.
pub fn run_with_planted(case: &Case, limits: Limits, planted: Planted) -> Result<Transcript, HarnessError> {
    let database = ModelDatabase::with_planted(Footprints::default(), planted);
    let mut system = DatabaseCases::new(database, case.dates);
    Ok(virtual_time()?.block_on(conform::run(case, &mut system, limits))?)
}

fn virtual_time() -> Result<Runtime, HarnessError> {
    let runtime = Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.map_err(|error| HarnessError::failed(format!("start a runtime: {error}")))
}

async fn on_systems(case: &Case, limits: Limits) -> Result<Transcript, PortError> {
    /// Cases do not depend on it: what they print is what servers print.
    const SEED: u64 = 1;
    let footprints = Footprints::default();
    match case.language {
        Language::Sql => {
            let database = ModelDatabase::new(footprints);
            conform::run(case, &mut DatabaseCases::new(database, case.dates), limits).await
        }
        Language::Redis => {
            let cache = ModelCache::new(SEED, footprints);
            conform::run(case, &mut CacheCases::new(Arc::new(cache)), limits).await
        }
        Language::Kafka => {
            let broker = ModelBroker::new(SEED, footprints);
            let topics = Arc::new(ModelTopics(broker.clone()));
            conform::run(case, &mut BrokerCases::new(Arc::new(broker), topics, "case"), limits).await
        }
    }
}

/// Topics of the model.
struct ModelTopics(ModelBroker);

#[async_trait]
impl Topics for ModelTopics {
    async fn create(&self, topic: &str, partitions: i32) -> Result<(), PortError> {
        self.0.create_topic(topic, partitions)
    }
}
