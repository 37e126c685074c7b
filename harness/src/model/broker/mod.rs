//! The broker of the model: partitions, producers, consumer groups and transactions of Kafka.
//!
//! All of it is one state that moves at calls. What Kafka and its clients do in the background (retries,
//! commits every few seconds, members and transactions that time out) is due at a virtual time, and is done
//! in the order of these times before the next call looks at anything. A call that has to wait sleeps until
//! another call changes the state, or until something is due.

mod clock;
mod cluster;
mod consumer;
mod failure;
mod fault;
mod fetch;
mod group;
mod membership;
mod murmur2;
mod notes;
mod partition;
mod produce;
mod producer;
mod settings;
mod shared;
mod transaction;

use std::sync::Arc;

use async_trait::async_trait;

use crate::model::footprint::Footprints;
use crate::port::{Broker, Consumer, ConsumerOptions, PortError, Producer, ProducerOptions};
use cluster::Cluster;
use consumer::ModelConsumer;
use producer::ModelProducer;
use shared::Shared;

pub use settings::{Heartbeats, Settings};

/// A Kafka cluster in process. A clone is the same cluster; [`ModelBroker::fork`] makes another.
#[derive(Debug, Clone)]
pub struct ModelBroker {
    shared: Arc<Shared>,
}

impl ModelBroker {
    /// A cluster without topics. The seed decides what Kafka leaves to chance: which member of a group comes
    /// first when partitions are shared out.
    pub fn new(seed: u64, footprints: Footprints) -> Self {
        Self::with_settings(seed, footprints, Settings::default())
    }

    /// The same with settings of its own.
    pub fn with_settings(seed: u64, footprints: Footprints, settings: Settings) -> Self {
        ModelBroker { shared: Arc::new(Shared::new(Cluster::new(seed, footprints, settings))) }
    }

    /// Makes a topic.
    ///
    /// # Errors
    /// If there is one of that name, or it would have no partition.
    pub fn create_topic(&self, name: &str, partitions: i32) -> Result<(), PortError> {
        self.shared.with(|cluster, now| cluster.create_topic(name, partitions, now))
    }

    /// A cluster of its own that goes on from where this one is: with its topics, messages, committed offsets
    /// and transactions, and with no client. What it does is noted in `footprints`.
    #[must_use]
    pub fn fork(&self, footprints: Footprints) -> Self {
        let cluster = self.shared.with(|cluster, _now| cluster.fork(footprints));
        ModelBroker { shared: Arc::new(Shared::new(cluster)) }
    }
}

#[async_trait]
impl Broker for ModelBroker {
    async fn producer(&self, options: &ProducerOptions) -> Result<Box<dyn Producer>, PortError> {
        Ok(Box::new(ModelProducer::open(&self.shared, options).await?))
    }

    async fn consumer(&self, options: &ConsumerOptions) -> Result<Box<dyn Consumer>, PortError> {
        Ok(Box::new(ModelConsumer::open(&self.shared, options)))
    }
}

#[cfg(test)]
mod tests;
