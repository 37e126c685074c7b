//! Transactions of the broker port on Kafka. The broker of the model is tested for the same.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crosscheck_harness::port::{
    Broker, Consumer, ConsumerOptions, GroupOffset, Isolation, PortError, ProducerOptions,
};
use crosscheck_harness::system::kafka::{KafkaBroker, create_topic, delete_topic};

use crate::broker::{BOUND, alone, group, payloads, produce, safe, take};
use crate::servers::{Servers, fresh};

fn named(id: &str) -> ProducerOptions {
    ProducerOptions { transactional_id: Some(id.to_owned()), ..safe() }
}

fn dirty() -> ConsumerOptions {
    ConsumerOptions { isolation: Isolation::ReadUncommitted, ..alone() }
}

async fn topic(kafka: SocketAddr) -> Result<(KafkaBroker, String), PortError> {
    let topic = fresh("t");
    create_topic(kafka, &topic, 1).await?;
    Ok((KafkaBroker::new(kafka), topic))
}

/// Marks are written soon after a transaction has ended.
async fn ends_at(reader: &mut dyn Consumer, topic: &str, end: i64) -> Result<(), PortError> {
    let deadline = Instant::now() + BOUND;
    while reader.end_offset(topic, 0).await? != end {
        assert!(Instant::now() < deadline, "the end becomes {end}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

fn code<T: std::fmt::Debug>(result: Result<T, PortError>) -> String {
    result.expect_err("it is refused").code.expect("the broker has a code for it")
}

pub(crate) async fn a_transaction_is_seen_when_it_is_committed(servers: Servers) -> Result<(), PortError> {
    let (broker, topic) = topic(servers.kafka).await?;
    let mut sender = broker.producer(&named(&fresh("id"))).await?;
    let (mut reader, mut dirty) = (broker.consumer(&alone()).await?, broker.consumer(&dirty()).await?);
    sender.begin_transaction().await?;
    produce(sender.as_mut(), &topic, &["0"]).await?;
    ends_at(dirty.as_mut(), &topic, 1).await?;
    assert_eq!(reader.end_offset(&topic, 0).await?, 0);
    sender.commit_transaction().await?;
    ends_at(reader.as_mut(), &topic, 2).await?;
    sender.begin_transaction().await?;
    produce(sender.as_mut(), &topic, &["1"]).await?;
    sender.abort_transaction().await?;
    ends_at(reader.as_mut(), &topic, 4).await?;
    produce(broker.producer(&safe()).await?.as_mut(), &topic, &["2"]).await?;
    reader.assign(&topic, 0, 0).await?;
    assert_eq!(payloads(&take(reader.as_mut(), 2).await?), ["0", "2"]);
    dirty.assign(&topic, 0, 0).await?;
    assert_eq!(payloads(&take(dirty.as_mut(), 3).await?), ["0", "1", "2"]);
    delete_topic(servers.kafka, &topic).await
}

pub(crate) async fn calls_out_of_turn_are_refused(servers: Servers) -> Result<(), PortError> {
    let (broker, topic) = topic(servers.kafka).await?;
    let mut sender = broker.producer(&named(&fresh("id"))).await?;
    let outside = sender.produce(&topic, None, "k", "0").await.expect_err("it is in no transaction");
    assert_eq!((outside.code.as_deref(), outside.may_have_happened), (Some("State"), false));
    assert_eq!(code(sender.commit_transaction().await), "State");
    assert_eq!(code(sender.abort_transaction().await), "State");
    sender.begin_transaction().await?;
    assert_eq!(code(sender.begin_transaction().await), "State");
    sender.commit_transaction().await?;
    let plain = broker.producer(&safe()).await?.begin_transaction().await;
    assert_eq!(code(plain), "NotConfigured");
    delete_topic(servers.kafka, &topic).await
}

pub(crate) async fn a_newer_producer_of_the_id_fences(servers: Servers) -> Result<(), PortError> {
    let ((broker, topic), id) = (topic(servers.kafka).await?, fresh("id"));
    let mut zombie = broker.producer(&named(&id)).await?;
    zombie.begin_transaction().await?;
    produce(zombie.as_mut(), &topic, &["0"]).await?;
    let mut next = broker.producer(&named(&id)).await?;
    let mut reader = broker.consumer(&alone()).await?;
    ends_at(reader.as_mut(), &topic, 2).await?;
    assert_eq!(code(zombie.produce(&topic, None, "k", "1").await), "InvalidProducerEpoch");
    let broken = zombie.produce(&topic, None, "k", "1").await.expect_err("it is of no more use");
    assert_eq!((broken.code.as_deref(), broken.connection_lost), (Some("Fatal"), true));
    assert_eq!(code(zombie.commit_transaction().await), "Fenced");
    next.begin_transaction().await?;
    produce(next.as_mut(), &topic, &["2"]).await?;
    let mut newest = broker.producer(&named(&id)).await?;
    assert_eq!(code(next.commit_transaction().await), "Fenced");
    let _last = broker.producer(&named(&id)).await?;
    newest.begin_transaction().await?;
    newest.commit_transaction().await?;
    newest.begin_transaction().await?;
    assert_eq!(code(newest.produce(&topic, None, "k", "3").await), "PurgeQueue");
    delete_topic(servers.kafka, &topic).await
}

pub(crate) async fn offsets_go_with_the_transaction(servers: Servers) -> Result<(), PortError> {
    let ((broker, topic), name) = (topic(servers.kafka).await?, fresh("g"));
    produce(broker.producer(&safe()).await?.as_mut(), &topic, &["0", "1"]).await?;
    let mut member = broker.consumer(&group(&name)).await?;
    member.subscribe(&[&topic]).await?;
    take(member.as_mut(), 2).await?;
    let metadata = member.group_metadata().await?;
    let mut sender = broker.producer(&named(&fresh("id"))).await?;
    let offsets = [GroupOffset { topic: &topic, partition: 0, offset: 1 }];
    assert_eq!(code(sender.send_offsets_to_transaction(&offsets, &metadata).await), "State");
    sender.begin_transaction().await?;
    sender.send_offsets_to_transaction(&offsets, &metadata).await?;
    drop(member);
    let mut next = broker.consumer(&group(&name)).await?;
    next.subscribe(&[&topic]).await?;
    assert_eq!(next.poll(Duration::from_secs(1), 10).await?, [], "the offset is not settled yet");
    sender.commit_transaction().await?;
    assert_eq!(payloads(&take(next.as_mut(), 1).await?), ["1"]);
    sender.begin_transaction().await?;
    let stale = sender.send_offsets_to_transaction(&offsets, &metadata).await;
    assert_eq!(code(stale), "UnknownMemberId");
    let commit = sender.commit_transaction().await.expect_err("it has to be aborted");
    assert_eq!((commit.code.as_deref(), commit.may_have_happened), (Some("UnknownMemberId"), false));
    sender.abort_transaction().await?;
    sender.begin_transaction().await?;
    delete_topic(servers.kafka, &topic).await
}
