//! The broker port on Kafka.

use std::time::{Duration, Instant};

use crosscheck_harness::backend::local::ServerKind;
use crosscheck_harness::port::{
    Acks, Broker, Consumer, ConsumerOptions, Isolation, Message, PortError, Position, Producer,
    ProducerOptions, StartOffset,
};
use crosscheck_harness::system::kafka::{KafkaBroker, create_topic, delete_topic, read_topic};

use crate::faults::dead_port;
use crate::servers::{Servers, fresh, start};

/// How long messages may take to come.
pub(crate) const BOUND: Duration = Duration::from_secs(20);

pub(crate) fn safe() -> ProducerOptions {
    ProducerOptions {
        acks: Acks::All,
        idempotence: true,
        message_timeout: Duration::from_secs(10),
        transactional_id: None,
    }
}

pub(crate) fn group(name: &str) -> ConsumerOptions {
    ConsumerOptions { group: Some(name.to_owned()), ..alone() }
}

pub(crate) fn alone() -> ConsumerOptions {
    ConsumerOptions {
        group: None,
        start: StartOffset::Earliest,
        auto_commit: false,
        isolation: Isolation::ReadCommitted,
    }
}

pub(crate) async fn produce(
    producer: &mut dyn Producer,
    topic: &str,
    payloads: &[&str],
) -> Result<(), PortError> {
    for payload in payloads {
        producer.produce(topic, None, "k", payload).await?;
    }
    Ok(())
}

/// Polls until `count` messages have come.
pub(crate) async fn take(consumer: &mut dyn Consumer, count: usize) -> Result<Vec<Message>, PortError> {
    let deadline = Instant::now() + BOUND;
    let mut messages = Vec::new();
    while messages.len() < count {
        assert!(Instant::now() < deadline, "{count} messages come, there are {}", messages.len());
        messages.extend(consumer.poll(Duration::from_millis(500), count - messages.len()).await?);
    }
    Ok(messages)
}

pub(crate) fn payloads(messages: &[Message]) -> Vec<&str> {
    messages.iter().filter_map(|message| message.payload.as_deref()).collect()
}

pub(crate) async fn messages_go_through(servers: Servers) -> Result<(), PortError> {
    let (broker, topic) = (KafkaBroker::new(servers.kafka), fresh("t"));
    create_topic(servers.kafka, &topic, 1).await?;
    let mut producer = broker.producer(&safe()).await?;
    assert_eq!(producer.produce(&topic, None, "k", "0").await?, Position { partition: 0, offset: 0 });
    produce(producer.as_mut(), &topic, &["1", "2", "3"]).await?;
    let mut consumer = broker.consumer(&group(&topic)).await?;
    consumer.subscribe(&[&topic]).await?;
    let messages = take(consumer.as_mut(), 2).await?;
    assert_eq!(payloads(&messages), ["0", "1"], "no more than asked for");
    let first = Message {
        topic: topic.clone(),
        partition: 0,
        offset: 0,
        key: "k".to_owned(),
        payload: Some("0".to_owned()),
    };
    assert_eq!(messages[0], first);
    assert_eq!(payloads(&take(consumer.as_mut(), 2).await?), ["2", "3"]);
    assert_eq!(consumer.end_offset(&topic, 0).await?, 4);
    let wait = Duration::from_millis(200);
    let started = Instant::now();
    assert_eq!(consumer.poll(wait, 10).await?, []);
    assert!(started.elapsed() >= wait);
    delete_topic(servers.kafka, &topic).await
}

pub(crate) async fn a_topic_is_read_from_first_to_last(servers: Servers) -> Result<(), PortError> {
    let topic = fresh("t");
    create_topic(servers.kafka, &topic, 3).await?;
    let again = create_topic(servers.kafka, &topic, 3).await.expect_err("the topic is there");
    assert_eq!(again.code.as_deref(), Some("TopicAlreadyExists"));
    assert_eq!(read_topic(servers.kafka, &topic).await?, []);
    let mut producer = KafkaBroker::new(servers.kafka).producer(&safe()).await?;
    for (partition, payload) in [(2, "c"), (0, "a"), (2, "d")] {
        producer.produce(&topic, Some(partition), payload, payload).await?;
    }
    let messages = read_topic(servers.kafka, &topic).await?;
    let read: Vec<_> = messages.iter().map(|read| (read.partition, read.offset, read.key.as_str())).collect();
    assert_eq!(read, [(0, 0, "a"), (2, 0, "c"), (2, 1, "d")]);
    delete_topic(servers.kafka, &topic).await?;
    let missing = read_topic(servers.kafka, &fresh("missing")).await.expect_err("there is no such topic");
    assert!(!missing.may_have_happened, "{missing}");
    Ok(())
}

pub(crate) async fn uncommitted_messages_come_again(servers: Servers) -> Result<(), PortError> {
    let (broker, topic) = (KafkaBroker::new(servers.kafka), fresh("t"));
    create_topic(servers.kafka, &topic, 1).await?;
    let mut producer = broker.producer(&safe()).await?;
    produce(producer.as_mut(), &topic, &["0", "1", "2"]).await?;
    let mut consumer = broker.consumer(&group(&topic)).await?;
    consumer.subscribe(&[&topic]).await?;
    assert_eq!(payloads(&take(consumer.as_mut(), 3).await?), ["0", "1", "2"]);
    consumer.commit(&topic, 0, 1).await?;
    drop(consumer);
    let mut consumer = broker.consumer(&group(&topic)).await?;
    consumer.subscribe(&[&topic]).await?;
    assert_eq!(payloads(&take(consumer.as_mut(), 2).await?), ["1", "2"]);
    delete_topic(servers.kafka, &topic).await
}

pub(crate) async fn a_dropped_consumer_commits_nothing_by_itself(servers: Servers) -> Result<(), PortError> {
    let (broker, topic) = (KafkaBroker::new(servers.kafka), fresh("t"));
    create_topic(servers.kafka, &topic, 1).await?;
    let mut producer = broker.producer(&safe()).await?;
    produce(producer.as_mut(), &topic, &["0", "1", "2"]).await?;
    let options = ConsumerOptions { auto_commit: true, ..group(&topic) };
    for _life in 0..3 {
        // Well within the five seconds after which the background commits, and with a message left over.
        let mut consumer = broker.consumer(&options).await?;
        consumer.subscribe(&[&topic]).await?;
        assert_eq!(payloads(&take(consumer.as_mut(), 2).await?), ["0", "1"]);
    }
    let mut consumer = broker.consumer(&options).await?;
    consumer.subscribe(&[&topic]).await?;
    take(consumer.as_mut(), 3).await?;
    let committed = Instant::now() + Duration::from_secs(6);
    while Instant::now() < committed {
        assert_eq!(consumer.poll(Duration::from_millis(500), 10).await?, []);
    }
    drop(consumer);
    produce(producer.as_mut(), &topic, &["3"]).await?;
    let mut consumer = broker.consumer(&options).await?;
    consumer.subscribe(&[&topic]).await?;
    assert_eq!(payloads(&take(consumer.as_mut(), 1).await?), ["3"], "the background committed the others");
    delete_topic(servers.kafka, &topic).await
}

pub(crate) async fn partitions_are_assigned_at_offsets(servers: Servers) -> Result<(), PortError> {
    let (broker, topic) = (KafkaBroker::new(servers.kafka), fresh("t"));
    create_topic(servers.kafka, &topic, 2).await?;
    let mut producer = broker.producer(&safe()).await?;
    for (partition, payload) in [(0, "a0"), (0, "a1"), (0, "a2"), (1, "b0")] {
        producer.produce(&topic, Some(partition), "k", payload).await?;
    }
    let mut consumer = broker.consumer(&alone()).await?;
    consumer.assign(&topic, 0, 1).await?;
    assert_eq!(payloads(&take(consumer.as_mut(), 1).await?), ["a1"]);
    consumer.assign(&topic, 1, 0).await?;
    let messages = take(consumer.as_mut(), 2).await?;
    let mut came = payloads(&messages);
    came.sort_unstable();
    assert_eq!(came, ["a2", "b0"], "each goes on where it was");
    let refused = consumer.commit(&topic, 0, 1).await.expect_err("there is no group");
    assert!(!refused.may_have_happened);
    assert!(consumer.subscribe(&[&topic]).await.is_err());
    delete_topic(servers.kafka, &topic).await
}

pub(crate) async fn what_cannot_be_is_refused(servers: Servers) -> Result<(), PortError> {
    let (broker, topic) = (KafkaBroker::new(servers.kafka), fresh("t"));
    create_topic(servers.kafka, &topic, 1).await?;
    let mut producer = broker.producer(&safe()).await?;
    let large = "x".repeat(2_000_000);
    let missing = fresh("missing");
    for (topic, partition, payload, code) in [
        (&missing, None, "x", "UnknownTopicOrPartition"),
        (&topic, Some(7), "x", "UnknownPartition"),
        (&topic, None, large.as_str(), "MessageSizeTooLarge"),
    ] {
        let error = producer.produce(topic, partition, "k", payload).await.expect_err(code);
        assert_eq!(error.code.as_deref(), Some(code), "{error}");
        assert_eq!((error.may_have_happened, error.connection_lost), (false, false), "{error}");
    }
    produce(producer.as_mut(), &topic, &["0"]).await?;
    assert_eq!(read_topic(servers.kafka, &topic).await?.len(), 1);
    let contradiction = ProducerOptions { acks: Acks::One, ..safe() };
    let error = broker.producer(&contradiction).await.err().expect("idempotence needs all acknowledgements");
    assert!(!error.may_have_happened, "{error}");
    delete_topic(servers.kafka, &topic).await
}

pub(crate) async fn without_acknowledgement_the_offset_is_untold(servers: Servers) -> Result<(), PortError> {
    let (broker, topic) = (KafkaBroker::new(servers.kafka), fresh("t"));
    create_topic(servers.kafka, &topic, 1).await?;
    let options = ProducerOptions { acks: Acks::Zero, idempotence: false, ..safe() };
    let mut producer = broker.producer(&options).await?;
    assert_eq!(producer.produce(&topic, None, "k", "0").await?, Position { partition: 0, offset: -1 });
    let mut consumer = broker.consumer(&alone()).await?;
    consumer.assign(&topic, 0, 0).await?;
    assert_eq!(payloads(&take(consumer.as_mut(), 1).await?), ["0"]);
    delete_topic(servers.kafka, &topic).await
}

pub(crate) async fn a_killed_broker_leaves_a_message_unknown(_shared: Servers) -> Result<(), PortError> {
    let set = start(&[ServerKind::Kafka]).await.expect("it starts, as the shared one did");
    let server = set.kafka().expect("the set was asked for it");
    let (broker, topic) = (KafkaBroker::new(server.addr()), fresh("t"));
    create_topic(server.addr(), &topic, 1).await?;
    let options = ProducerOptions { message_timeout: Duration::from_secs(2), ..safe() };
    let mut producer = broker.producer(&options).await?;
    let mut consumer = broker.consumer(&group(&topic)).await?;
    consumer.subscribe(&[&topic]).await?;
    produce(producer.as_mut(), &topic, &["0"]).await?;
    assert_eq!(payloads(&take(consumer.as_mut(), 1).await?), ["0"]);
    // The group may be formed anew after the restart, and then begins at what is committed.
    consumer.commit(&topic, 0, 1).await?;
    server.kill().await.expect("it runs");
    let started = Instant::now();
    let error = producer.produce(&topic, None, "k", "1").await.expect_err("the broker was killed");
    assert_eq!((error.may_have_happened, error.connection_lost), (true, false), "{error}");
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    assert_eq!(consumer.poll(Duration::from_millis(500), 10).await?, []);
    server.start().await.expect("it starts again");
    let mut producer = broker.producer(&safe()).await?;
    produce(producer.as_mut(), &topic, &["2"]).await?;
    assert_eq!(payloads(&take(consumer.as_mut(), 1).await?), ["2"], "both clients have come back");
    Ok(())
}

pub(crate) async fn polling_without_brokers_brings_nothing(_servers: Servers) -> Result<(), PortError> {
    let broker = KafkaBroker::new(dead_port().await);
    let mut consumer = broker.consumer(&group("g")).await?;
    consumer.subscribe(&["t"]).await?;
    let (wait, started) = (Duration::from_millis(500), Instant::now());
    assert_eq!(consumer.poll(wait, 10).await?, []);
    assert!(started.elapsed() >= wait);
    let options = ProducerOptions { message_timeout: Duration::from_millis(500), ..safe() };
    let mut producer = broker.producer(&options).await?;
    let error = producer.produce("t", None, "k", "0").await.expect_err("there is no broker");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, false), "{error}");
    let dropping = Instant::now();
    drop((producer, consumer));
    assert!(dropping.elapsed() < Duration::from_secs(1), "dropping does not wait for librdkafka");
    Ok(())
}
