//! Transactions: visibility, marks, fencing, offsets. The real broker gives the same in the tests of the ports.

use super::*;
use crate::port::GroupOffset;

fn named(id: &str) -> ProducerOptions {
    ProducerOptions { transactional_id: Some(id.to_owned()), ..safe() }
}

async fn uncommitted(broker: &ModelBroker) -> Box<dyn Consumer> {
    let options = ConsumerOptions { isolation: Isolation::ReadUncommitted, ..alone() };
    let mut reader = consumer(broker, options).await;
    reader.assign("t", 0, 0).await.expect("zero is an offset");
    reader
}

#[tokio::test(start_paused = true)]
async fn a_transaction_is_seen_when_it_is_committed_and_its_mark_takes_an_offset() {
    let broker = with_topic(1);
    let mut sender = producer(&broker, named("id")).await;
    sender.begin_transaction().await.expect("there is none");
    produce(sender.as_mut(), &["0"]).await;
    produce(producer(&broker, safe()).await.as_mut(), &["1"]).await;
    assert_eq!(contents(&broker, 1).await, [""; 0], "not even what came behind it");
    let mut dirty = uncommitted(&broker).await;
    assert_eq!(polled(dirty.as_mut()).await, ["0", "1"]);
    let mut reader = consumer(&broker, alone()).await;
    let ends = (reader.end_offset("t", 0).await, dirty.end_offset("t", 0).await);
    assert_eq!(ends, (Ok(0), Ok(2)));
    sender.commit_transaction().await.expect("it is open");
    assert_eq!(reader.end_offset("t", 0).await, Ok(3));
    assert_eq!(contents(&broker, 1).await, ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn an_aborted_transaction_is_passed_over() {
    let broker = with_topic(1);
    let mut sender = producer(&broker, named("id")).await;
    sender.begin_transaction().await.expect("there is none");
    produce(sender.as_mut(), &["0"]).await;
    sender.abort_transaction().await.expect("it is open");
    sender.begin_transaction().await.expect("there is none");
    assert_eq!(produce(sender.as_mut(), &["1"]).await[0].offset, 2);
    sender.commit_transaction().await.expect("it is open");
    assert_eq!(contents(&broker, 1).await, ["1"]);
    assert_eq!(polled(uncommitted(&broker).await.as_mut()).await, ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn calls_out_of_turn_are_refused() {
    let broker = with_topic(1);
    let mut sender = producer(&broker, named("id")).await;
    assert_eq!(code(sender.produce("t", None, "k", "0").await), "State");
    assert_eq!(code(sender.commit_transaction().await), "State");
    assert_eq!(code(sender.abort_transaction().await), "State");
    sender.begin_transaction().await.expect("there is none");
    assert_eq!(code(sender.begin_transaction().await), "State");
    sender.commit_transaction().await.expect("an empty one ends as well");
    let mut plain = producer(&broker, safe()).await;
    assert_eq!(code(plain.begin_transaction().await), "NotConfigured");
}

#[tokio::test(start_paused = true)]
async fn a_newer_producer_of_the_id_aborts_what_is_open_and_fences() {
    let broker = with_topic(1);
    let mut zombie = producer(&broker, named("id")).await;
    zombie.begin_transaction().await.expect("there is none");
    produce(zombie.as_mut(), &["0"]).await;
    let mut next = producer(&broker, named("id")).await;
    assert_eq!(code(zombie.produce("t", None, "k", "1").await), "InvalidProducerEpoch");
    let error = zombie.produce("t", None, "k", "1").await.expect_err("it is of no more use");
    assert_eq!((error.code.as_deref(), error.connection_lost), (Some("Fatal"), true));
    assert_eq!(code(zombie.commit_transaction().await), "Fenced");
    next.begin_transaction().await.expect("there is none");
    produce(next.as_mut(), &["2"]).await;
    let _newest = producer(&broker, named("id")).await;
    assert_eq!(code(next.commit_transaction().await), "Fenced");
    assert_eq!(contents(&broker, 1).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_fenced_producer_learns_of_it_from_the_coordinator_when_it_has_sent_nothing() {
    let broker = with_topic(1);
    let mut zombie = producer(&broker, named("id")).await;
    let _next = producer(&broker, named("id")).await;
    zombie.begin_transaction().await.expect("the client does not know yet");
    zombie.commit_transaction().await.expect("nothing is in it");
    zombie.begin_transaction().await.expect("the client does not know yet");
    assert_eq!(code(zombie.produce("t", None, "k", "0").await), "PurgeQueue");
    assert_eq!(code(zombie.commit_transaction().await), "Fenced");
    assert_eq!(contents(&broker, 1).await, [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_transaction_that_nobody_ends_is_aborted_after_a_minute() {
    let broker = with_topic(1);
    let mut sender = producer(&broker, named("id")).await;
    sender.begin_transaction().await.expect("there is none");
    produce(sender.as_mut(), &["0"]).await;
    produce(producer(&broker, safe()).await.as_mut(), &["1"]).await;
    let mut reader = consumer(&broker, alone()).await;
    reader.assign("t", 0, 0).await.expect("zero is an offset");
    let messages = reader.poll(90 * SECOND, 10).await.expect("it polls");
    assert_eq!(payloads(&messages), ["1"]);
    assert_eq!(code(sender.commit_transaction().await), "Fenced");
}

#[tokio::test(start_paused = true)]
async fn offsets_in_a_transaction_are_the_groups_when_it_is_committed() {
    for commit in [true, false] {
        let broker = with_topic(1);
        produce(producer(&broker, safe()).await.as_mut(), &["0", "1"]).await;
        let mut first = member(&broker, in_group("g")).await;
        assert_eq!(polled(first.as_mut()).await, ["0", "1"]);
        let mut sender = producer(&broker, named("id")).await;
        sender.begin_transaction().await.expect("there is none");
        let offsets = [GroupOffset { topic: "t", partition: 0, offset: 1 }];
        let metadata = first.group_metadata().await.expect("it has a group");
        sender.send_offsets_to_transaction(&offsets, &metadata).await.expect("it is a member");
        drop(first);
        let mut next = member(&broker, in_group("g")).await;
        assert_eq!(polled(next.as_mut()).await, [""; 0], "the offset is not settled yet");
        if commit {
            sender.commit_transaction().await.expect("it is open");
            assert_eq!(polled(next.as_mut()).await, ["1"]);
        } else {
            sender.abort_transaction().await.expect("it is open");
            assert_eq!(polled(next.as_mut()).await, ["0", "1"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_out_cannot_send_offsets_and_its_transaction_can_only_be_aborted() {
    let broker = with_topic(1);
    let mut first = member(&broker, in_group("g")).await;
    let metadata = first.group_metadata().await.expect("it has a group");
    drop(first);
    let mut sender = producer(&broker, named("id")).await;
    let offsets = [GroupOffset { topic: "t", partition: 0, offset: 1 }];
    sender.begin_transaction().await.expect("there is none");
    assert_eq!(code(sender.send_offsets_to_transaction(&offsets, &metadata).await), "UnknownMemberId");
    let error = sender.commit_transaction().await.expect_err("it has to be aborted");
    assert_eq!((error.code.as_deref(), error.may_have_happened), (Some("UnknownMemberId"), false));
    sender.abort_transaction().await.expect("that is what is left");
    sender.begin_transaction().await.expect("there is none");
}

#[tokio::test(start_paused = true)]
async fn the_mark_of_a_transaction_survives_its_leader() {
    let broker = with_topic(1);
    let mut sender = producer(&broker, named("id")).await;
    sender.begin_transaction().await.expect("there is none");
    produce(sender.as_mut(), &["0"]).await;
    broker.hold_replication("t").expect("the topic is there");
    sender.commit_transaction().await.expect("the coordinator has it");
    assert_eq!(contents(&broker, 1).await, [""; 0], "the mark is not replicated");
    broker.fail_over();
    broker.release_replication("t").expect("the topic is there");
    assert_eq!(contents(&broker, 1).await, ["0"]);
}
