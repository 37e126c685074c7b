//! The broker of the model as its clients see it.

mod groups;
mod laws;
mod partitions;
mod replicas;
mod transactions;

use std::time::Duration;

use super::{ModelBroker, Settings};
use crate::model::footprint::Footprints;
use crate::port::{
    Acks, Broker, Consumer, ConsumerOptions, Isolation, Message, PortError, Position, Producer,
    ProducerOptions, StartOffset,
};

const SECOND: Duration = Duration::from_secs(1);

/// A broker with the topic `t`.
fn with_topic(partitions: i32) -> ModelBroker {
    with_settings(partitions, Settings::default())
}

fn with_settings(partitions: i32, settings: Settings) -> ModelBroker {
    let broker = ModelBroker::with_settings(7, Footprints::default(), settings);
    broker.create_topic("t", partitions).expect("the topic is new");
    broker
}

fn safe() -> ProducerOptions {
    ProducerOptions {
        acks: Acks::All,
        idempotence: true,
        message_timeout: Duration::from_secs(8),
        transactional_id: None,
    }
}

/// Retries without numbers.
fn plain(acks: Acks) -> ProducerOptions {
    ProducerOptions { acks, idempotence: false, ..safe() }
}

fn alone() -> ConsumerOptions {
    ConsumerOptions {
        group: None,
        start: StartOffset::Earliest,
        auto_commit: false,
        isolation: Isolation::ReadCommitted,
    }
}

fn in_group(name: &str) -> ConsumerOptions {
    ConsumerOptions { group: Some(name.to_owned()), ..alone() }
}

async fn producer(broker: &ModelBroker, options: ProducerOptions) -> Box<dyn Producer> {
    broker.producer(&options).await.expect("it opens")
}

async fn consumer(broker: &ModelBroker, options: ConsumerOptions) -> Box<dyn Consumer> {
    broker.consumer(&options).await.expect("it opens")
}

/// A member of the group that subscribes to `t`.
async fn member(broker: &ModelBroker, options: ConsumerOptions) -> Box<dyn Consumer> {
    let mut member = consumer(broker, options).await;
    member.subscribe(&["t"]).await.expect("it has a group");
    member
}

async fn produce(producer: &mut dyn Producer, payloads: &[&str]) -> Vec<Position> {
    let mut positions = Vec::new();
    for payload in payloads {
        positions.push(producer.produce("t", None, "k", payload).await.expect("it is acknowledged"));
    }
    positions
}

/// The payloads that come within a second.
async fn polled(consumer: &mut dyn Consumer) -> Vec<String> {
    payloads(&consumer.poll(SECOND, 100).await.expect("it polls"))
}

fn payloads(messages: &[Message]) -> Vec<String> {
    messages.iter().filter_map(|message| message.payload.clone()).collect()
}

/// All that lies in `t`, partition by partition.
async fn contents(broker: &ModelBroker, partitions: i32) -> Vec<String> {
    let mut all = Vec::new();
    for partition in 0..partitions {
        let mut reader = consumer(broker, alone()).await;
        reader.assign("t", partition, 0).await.expect("zero is an offset");
        all.extend(payloads(&reader.poll(Duration::ZERO, 10_000).await.expect("it polls")));
    }
    all
}

fn code<T: std::fmt::Debug>(result: Result<T, PortError>) -> String {
    result.expect_err("it is refused").code.expect("the broker has a code for it")
}
