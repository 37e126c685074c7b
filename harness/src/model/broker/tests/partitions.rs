//! Partitions, keys, offsets, and waiting.

use tokio::time::Instant;

use super::*;

#[tokio::test(start_paused = true)]
async fn messages_keep_their_order_and_a_key_its_partition() {
    let broker = with_topic(3);
    let mut producer = producer(&broker, safe()).await;
    let positions = produce(producer.as_mut(), &["0", "1", "2"]).await;
    let offsets: Vec<_> = positions.iter().map(|position| position.offset).collect();
    assert_eq!(offsets, [0, 1, 2]);
    assert!(positions.iter().all(|position| position.partition == positions[0].partition));
    let mut reader = consumer(&broker, alone()).await;
    reader.assign("t", positions[0].partition, 1).await.expect("the offset is none below zero");
    assert_eq!(polled(reader.as_mut()).await, ["1", "2"]);
    assert_eq!(reader.end_offset("t", positions[0].partition).await, Ok(3));
}

#[tokio::test(start_paused = true)]
async fn a_poll_that_waits_is_woken_by_a_message_and_otherwise_takes_its_time() {
    let broker = with_topic(1);
    let mut reader = consumer(&broker, alone()).await;
    reader.assign("t", 0, 0).await.expect("zero is an offset");
    let started = Instant::now();
    assert_eq!(polled(reader.as_mut()).await, [""; 0]);
    assert_eq!(started.elapsed(), SECOND);
    let mut producer = producer(&broker, safe()).await;
    let later = async {
        tokio::time::sleep(SECOND / 4).await;
        produce(producer.as_mut(), &["0"]).await
    };
    let (messages, _) = tokio::join!(polled(reader.as_mut()), later);
    assert_eq!((messages, started.elapsed()), (vec!["0".to_owned()], SECOND + SECOND / 4));
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused_as_the_real_one_does() {
    let broker = with_topic(1);
    let mut producer = producer(&broker, safe()).await;
    let large = "x".repeat(2_000_000);
    for (topic, partition, payload, expected) in [
        ("missing", None, "x", "UnknownTopicOrPartition"),
        ("t", Some(7), "x", "UnknownPartition"),
        ("t", Some(-1), "x", "UnknownPartition"),
        ("t", None, large.as_str(), "MessageSizeTooLarge"),
    ] {
        let error = producer.produce(topic, partition, "k", payload).await.expect_err(expected);
        assert_eq!(error.code.as_deref(), Some(expected), "{error}");
        assert_eq!((error.may_have_happened, error.connection_lost), (false, false), "{error}");
    }
    let mut reader = consumer(&broker, alone()).await;
    assert_eq!(code(reader.subscribe(&["t"]).await), "UnknownGroup");
    assert_eq!(code(reader.commit("t", 0, 1).await), "UnknownGroup");
    assert_eq!(code(reader.assign("t", 0, -1).await), "InvalidArgument");
    assert_eq!(code(reader.end_offset("t", 9).await), "UnknownPartition");
    assert_eq!(code(broker.create_topic("t", 1)), "TopicAlreadyExists");
    let contradiction = ProducerOptions { acks: Acks::One, ..safe() };
    assert_eq!(code(broker.producer(&contradiction).await.map(|_| ())), "Client");
}

#[tokio::test(start_paused = true)]
async fn without_acknowledgement_the_offset_is_untold() {
    let broker = with_topic(1);
    let mut producer = producer(&broker, plain(Acks::Zero)).await;
    assert_eq!(produce(producer.as_mut(), &["0"]).await, [Position { partition: 0, offset: -1 }]);
    assert_eq!(contents(&broker, 1).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn a_fork_has_what_was_there_and_goes_its_own_way() {
    let broker = with_topic(1);
    produce(producer(&broker, safe()).await.as_mut(), &["0"]).await;
    let mut reader = member(&broker, in_group("g")).await;
    assert_eq!(polled(reader.as_mut()).await, ["0"]);
    reader.commit("t", 0, 1).await.expect("it is a member");
    let fork = broker.fork(Footprints::default());
    produce(producer(&fork, safe()).await.as_mut(), &["1"]).await;
    assert_eq!((contents(&broker, 1).await, contents(&fork, 1).await.len()), (vec!["0".to_owned()], 2));
    assert_eq!(polled(member(&fork, in_group("g")).await.as_mut()).await, ["1"], "its offsets go along");
}

#[tokio::test(start_paused = true)]
async fn calls_note_the_partitions_and_offsets_that_they_touch() {
    let footprints = Footprints::default();
    let broker = ModelBroker::new(7, footprints.clone());
    broker.create_topic("t", 2).expect("the topic is new");
    let mut producer = producer(&broker, safe()).await;
    let mut reader = consumer(&broker, alone()).await;
    reader.assign("t", 1, 0).await.expect("zero is an offset");
    footprints.switch_on();
    let mut noted = Vec::new();
    for partition in [0, 1] {
        producer.produce("t", Some(partition), "k", "x").await.expect("it is acknowledged");
        noted.push(footprints.take());
    }
    assert_eq!(polled(reader.as_mut()).await, ["x"]);
    let read = footprints.take();
    let conflict = |one: &[_], two: &[_]| {
        one.iter().any(|one: &crate::model::footprint::Access| two.iter().any(|two| one.conflicts(two)))
    };
    assert!(!conflict(&noted[0], &noted[1]), "the partitions are not the same");
    assert!(!conflict(&noted[0], &read) && conflict(&noted[1], &read));
}
