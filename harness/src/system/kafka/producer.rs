//! One producer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::consumer::ConsumerGroupMetadata;
use rdkafka::error::{IsError, KafkaResult, RDKafkaErrorCode as Code};
use rdkafka::producer::{FutureProducer, FutureRecord, Producer as _, PurgeConfig};
use rdkafka::{Offset, TopicPartitionList};

use super::{Quiet, REQUEST_TIMEOUT, aside, blocking, client_config, failure};
use crate::port::{Acks, GroupMetadata, GroupOffset, PortError, Position, Producer, ProducerOptions, System};

/// How much later than the message timeout librdkafka's report of it may come (it looks once a second).
const REPORT_SLACK: Duration = Duration::from_secs(2);

/// The offset where the acknowledgement does not tell.
const OFFSET_UNTOLD: i64 = -1;

/// A producer. When it is dropped, messages that are queued or unanswered are given up: nothing of it is
/// sent later, but a request that is already in a socket's buffer may still reach the broker and be stored.
pub(super) struct KafkaProducer {
    /// None only once dropped.
    client: Option<FutureProducer<Quiet>>,
    /// The topics that the broker has told of, with their numbers of partitions.
    topics: BTreeMap<String, i32>,
    message_timeout: Duration,
}

impl KafkaProducer {
    /// Opens a producer; it connects with its first message, or at once to initialise its transactions.
    pub(super) async fn open(
        bootstrap: SocketAddr,
        options: &ProducerOptions,
        context: Quiet,
    ) -> Result<Self, PortError> {
        let message_timeout = options.message_timeout;
        let mut config = client_config(bootstrap);
        config
            .set("acks", acks(options.acks))
            .set("enable.idempotence", options.idempotence.to_string())
            .set("message.timeout.ms", message_timeout.as_millis().to_string())
            .set("linger.ms", "0")
            .set("partitioner", "murmur2_random");
        let transactional = options.transactional_id.is_some();
        if let Some(id) = &options.transactional_id {
            config.set("transactional.id", id);
        }
        let create = move || {
            let client = config.create_with_context::<_, FutureProducer<Quiet>>(context);
            let client = client.map_err(|error| failure::refused("failed to open a producer", &error))?;
            if transactional {
                let initialised = client.init_transactions(REQUEST_TIMEOUT);
                initialised
                    .map_err(|error| failure::transaction("failed to initialise transactions", &error))?;
            }
            Ok(client)
        };
        let client = Some(blocking(create).await?);
        Ok(KafkaProducer { client, topics: BTreeMap::new(), message_timeout })
    }

    fn client(&self) -> &FutureProducer<Quiet> {
        self.client.as_ref().expect("the client is only taken by drop")
    }

    /// Asks for the topic before its first message. librdkafka would queue the message and fail it later,
    /// when it no longer says whether it had been sent; here the answer is definite.
    async fn know(&mut self, topic: &str, partition: Option<i32>) -> Result<(), PortError> {
        let count = match self.topics.get(topic) {
            Some(count) => *count,
            None => {
                let count = self.partition_count(topic).await?;
                self.topics.insert(topic.to_owned(), count);
                count
            }
        };
        match partition {
            Some(partition) if !(0..count).contains(&partition) => {
                let message =
                    format!("topic {topic} has {count} partitions: there is no partition {partition}");
                Err(failure::not_possible("UnknownPartition", message))
            }
            _ => Ok(()),
        }
    }

    async fn partition_count(&self, topic: &str) -> Result<i32, PortError> {
        let (client, topic, limit) = (self.client().clone(), topic.to_owned(), self.message_timeout);
        let ask = move || {
            let metadata = client.client().fetch_metadata(Some(&topic), limit).map_err(|error| {
                let message = format!("failed to ask for topic {topic}, nothing was produced: {error}");
                PortError { connection_lost: false, ..PortError::not_sent(System::Broker, message) }
            })?;
            let told = metadata.topics().iter().find(|told| told.name() == topic);
            match told.map(|told| (told.error(), told.partitions().len())) {
                Some((None, count)) if count > 0 => Ok(i32::try_from(count).unwrap_or(i32::MAX)),
                Some((Some(error), _)) if error.is_error() => {
                    let code = Code::from(error);
                    Err(failure::not_possible(&format!("{code:?}"), format!("topic {topic}: {code}")))
                }
                _ => Err(failure::not_possible("UnknownTopic", format!("topic {topic} does not exist"))),
            }
        };
        blocking(ask).await
    }

    /// Runs a call of transactions, of which some wait for the broker.
    async fn in_transaction(
        &self,
        what: &'static str,
        call: impl FnOnce(&FutureProducer<Quiet>) -> KafkaResult<()> + Send + 'static,
    ) -> Result<(), PortError> {
        let client = self.client().clone();
        blocking(move || call(&client).map_err(|error| failure::transaction(what, &error))).await
    }
}

#[async_trait]
impl Producer for KafkaProducer {
    async fn produce(
        &mut self,
        topic: &str,
        partition: Option<i32>,
        key: &str,
        payload: &str,
    ) -> Result<Position, PortError> {
        self.know(topic, partition).await?;
        let record = FutureRecord { partition, ..FutureRecord::to(topic).key(key).payload(payload) };
        let sent = self.client().send_result(record);
        let report = sent.map_err(|(error, _record)| failure::not_queued(topic, &error))?;
        match tokio::time::timeout(self.message_timeout + REPORT_SLACK, report).await {
            Ok(Ok(Ok(delivery))) => {
                Ok(Position { partition: delivery.partition, offset: delivery.offset.max(OFFSET_UNTOLD) })
            }
            Ok(Ok(Err((error, _message)))) => Err(failure::delivery(topic, &error)),
            Ok(Err(_)) | Err(_) => {
                let message = format!("failed to produce to {topic}: no report of the delivery");
                Err(PortError::unknown(System::Broker, message))
            }
        }
    }

    async fn begin_transaction(&mut self) -> Result<(), PortError> {
        self.in_transaction("failed to begin a transaction", FutureProducer::begin_transaction).await
    }

    async fn commit_transaction(&mut self) -> Result<(), PortError> {
        let commit = |client: &FutureProducer<Quiet>| client.commit_transaction(REQUEST_TIMEOUT);
        self.in_transaction("failed to commit a transaction", commit).await
    }

    async fn abort_transaction(&mut self) -> Result<(), PortError> {
        let abort = |client: &FutureProducer<Quiet>| client.abort_transaction(REQUEST_TIMEOUT);
        self.in_transaction("failed to abort a transaction", abort).await
    }

    async fn send_offsets_to_transaction(
        &mut self,
        offsets: &[GroupOffset<'_>],
        member: &GroupMetadata,
    ) -> Result<(), PortError> {
        const WHAT: &str = "failed to send offsets to a transaction";
        let mut list = TopicPartitionList::new();
        for GroupOffset { topic, partition, offset } in offsets {
            let added = list.add_partition_offset(topic, *partition, Offset::Offset(*offset));
            added.map_err(|error| failure::refused(WHAT, &error))?;
        }
        let Some(metadata) = member.get::<ConsumerGroupMetadata>() else {
            let message = format!("{WHAT}: they are of a consumer of another broker");
            return Err(failure::not_possible("InvalidArgument", message));
        };
        let send = move |client: &FutureProducer<Quiet>| {
            client.send_offsets_to_transaction(&list, &metadata, REQUEST_TIMEOUT)
        };
        self.in_transaction(WHAT, send).await
    }
}

impl Drop for KafkaProducer {
    fn drop(&mut self) {
        if let Some(client) = self.client.take() {
            // At once and without waiting; dropping the client purges again and waits.
            client.purge(PurgeConfig::default().queue().inflight().non_blocking());
            aside(move || drop(client));
        }
    }
}

fn acks(acks: Acks) -> &'static str {
    match acks {
        Acks::Zero => "0",
        Acks::One => "1",
        Acks::All => "all",
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::DefaultProducerContext;

    use super::*;

    /// librdkafka's own broker, of which a test can say that it is down.
    fn mock() -> (MockCluster<'static, DefaultProducerContext>, SocketAddr) {
        let cluster = MockCluster::new(1).expect("a mock broker starts");
        let bootstrap = cluster.bootstrap_servers().parse().expect("one address");
        cluster.create_topic("t", 1, 1).expect("the topic is new");
        (cluster, bootstrap)
    }

    fn options(idempotence: bool) -> ProducerOptions {
        ProducerOptions {
            acks: Acks::All,
            idempotence,
            // A busy machine may take a second to reach a broker that is up.
            message_timeout: Duration::from_secs(4),
            transactional_id: None,
        }
    }

    #[tokio::test]
    async fn a_broker_that_goes_down_leaves_the_message_unknown() {
        for idempotence in [false, true] {
            let (cluster, bootstrap) = mock();
            let mut producer =
                KafkaProducer::open(bootstrap, &options(idempotence), Quiet::default()).await.expect("opens");
            let position = producer.produce("t", None, "k", "0").await.expect("the broker is up");
            assert_eq!(position, Position { partition: 0, offset: 0 });
            cluster.broker_down(1).expect("the broker is there");
            let started = Instant::now();
            let error = producer.produce("t", None, "k", "1").await.expect_err("the broker is down");
            assert!(error.may_have_happened && !error.connection_lost, "{error}");
            assert_eq!(error.code.as_deref(), Some("MessageTimedOut"));
            assert!(started.elapsed() < Duration::from_secs(20), "it has an end");
            cluster.broker_up(1).expect("the broker is there");
            let position = producer.produce("t", None, "k", "2").await.expect("the broker is up again");
            assert_eq!(position, Position { partition: 0, offset: 1 }, "the same producer goes on");
        }
    }

    #[tokio::test]
    async fn dropping_a_producer_gives_up_its_messages_and_does_not_wait() {
        let (cluster, bootstrap) = mock();
        let mut producer =
            KafkaProducer::open(bootstrap, &options(false), Quiet::default()).await.expect("opens");
        producer.produce("t", None, "k", "0").await.expect("the broker is up");
        cluster.broker_down(1).expect("the broker is there");
        let given_up = producer.produce("t", None, "k", "1");
        assert!(tokio::time::timeout(Duration::from_millis(100), given_up).await.is_err());
        let dropping = Instant::now();
        drop(producer);
        assert!(dropping.elapsed() < Duration::from_secs(1));
        cluster.broker_up(1).expect("the broker is there");
        let mut next =
            KafkaProducer::open(bootstrap, &options(false), Quiet::default()).await.expect("opens");
        let position = next.produce("t", None, "k", "2").await.expect("the broker is up again");
        assert_eq!(position.offset, 1, "the message of the dropped producer was not sent");
    }
}
