//! Groups: shares, rebalances, redelivery, commits.

use super::super::Heartbeats;
use super::*;

#[tokio::test(start_paused = true)]
async fn what_was_not_committed_comes_again_after_a_crash() {
    let broker = with_topic(1);
    produce(producer(&broker, safe()).await.as_mut(), &["0", "1", "2"]).await;
    let mut first = member(&broker, in_group("g")).await;
    assert_eq!(polled(first.as_mut()).await, ["0", "1", "2"]);
    first.commit("t", 0, 1).await.expect("it is a member");
    drop(first);
    assert_eq!(polled(member(&broker, in_group("g")).await.as_mut()).await, ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_without_offsets_begins_where_it_is_told() {
    let broker = with_topic(1);
    let mut producer = producer(&broker, safe()).await;
    produce(producer.as_mut(), &["0"]).await;
    let latest = ConsumerOptions { start: StartOffset::Latest, ..in_group("late") };
    let mut late = member(&broker, latest).await;
    assert_eq!(polled(late.as_mut()).await, [""; 0]);
    produce(producer.as_mut(), &["1"]).await;
    assert_eq!(polled(late.as_mut()).await, ["1"]);
    assert_eq!(polled(member(&broker, in_group("early")).await.as_mut()).await, ["0", "1"]);
}

#[tokio::test(start_paused = true)]
async fn the_background_commits_every_five_seconds_what_was_polled() {
    let broker = with_topic(1);
    let mut producer = producer(&broker, safe()).await;
    produce(producer.as_mut(), &["0", "1"]).await;
    let options = ConsumerOptions { auto_commit: true, ..in_group("g") };
    for _life in 0..2 {
        let mut early = member(&broker, options.clone()).await;
        assert_eq!(polled(early.as_mut()).await, ["0", "1"], "nobody has committed yet");
    }
    let mut patient = member(&broker, options.clone()).await;
    assert_eq!(polled(patient.as_mut()).await, ["0", "1"]);
    tokio::time::sleep(5 * SECOND).await;
    drop(patient);
    produce(producer.as_mut(), &["2"]).await;
    assert_eq!(polled(member(&broker, options).await.as_mut()).await, ["2"]);
}

/// Both poll until the group is stable.
async fn settle(one: &mut dyn Consumer, two: &mut dyn Consumer) -> (Vec<String>, Vec<String>) {
    let (mut ones, mut twos) = (Vec::new(), Vec::new());
    for _round in 0..3 {
        ones.extend(polled(one).await);
        twos.extend(polled(two).await);
    }
    (ones, twos)
}

#[tokio::test(start_paused = true)]
async fn two_members_share_the_partitions_and_one_inherits_the_others() {
    let broker = with_topic(2);
    let mut producer = producer(&broker, safe()).await;
    let (mut one, mut two) = (member(&broker, in_group("g")).await, member(&broker, in_group("g")).await);
    settle(one.as_mut(), two.as_mut()).await;
    for partition in [0, 1] {
        producer.produce("t", Some(partition), "k", &partition.to_string()).await.expect("acknowledged");
    }
    let (ones, twos) = settle(one.as_mut(), two.as_mut()).await;
    assert_eq!((ones.len(), twos.len()), (1, 1), "each reads one partition");
    drop(two);
    let mut again = polled(one.as_mut()).await;
    again.extend(polled(one.as_mut()).await);
    again.sort();
    assert_eq!(again, ["0", "1"], "nothing was committed, and now it has both");
}

#[tokio::test(start_paused = true)]
async fn a_rebalance_waits_for_a_member_that_does_not_poll_and_then_goes_on_without_it() {
    let broker = with_topic(1);
    produce(producer(&broker, safe()).await.as_mut(), &["0"]).await;
    let mut busy = member(&broker, in_group("g")).await;
    assert_eq!(polled(busy.as_mut()).await, ["0"]);
    let mut next = member(&broker, in_group("g")).await;
    assert_eq!(payloads(&next.poll(298 * SECOND, 10).await.expect("it polls")), [""; 0]);
    assert_eq!(busy.commit("t", 0, 0).await, Ok(()), "it is a member still");
    assert_eq!(payloads(&next.poll(3 * SECOND, 10).await.expect("it polls")), ["0"]);
    assert_eq!(code(busy.commit("t", 0, 1).await), "UnknownMemberId");
    assert_eq!(code(busy.poll(SECOND, 10).await), "PollExceeded");
}

#[tokio::test(start_paused = true)]
async fn a_paused_process_is_out_after_its_session_and_its_commit_is_refused() {
    let settings = Settings { heartbeats: Heartbeats::Calls, ..Settings::default() };
    let broker = with_settings(1, settings);
    produce(producer(&broker, safe()).await.as_mut(), &["0"]).await;
    let mut zombie = member(&broker, in_group("g")).await;
    assert_eq!(polled(zombie.as_mut()).await, ["0"]);
    let mut next = member(&broker, in_group("g")).await;
    assert_eq!(payloads(&next.poll(20 * SECOND, 10).await.expect("it polls")), ["0"]);
    let error = zombie.commit("t", 0, 1).await.expect_err("the group has gone on");
    assert_eq!((error.code.as_deref(), error.may_have_happened), (Some("UnknownMemberId"), false));
}

#[tokio::test(start_paused = true)]
async fn a_paused_process_that_has_joined_again_does_not_know_the_new_generation() {
    let settings = Settings { heartbeats: Heartbeats::Calls, ..Settings::default() };
    let broker = with_settings(2, settings);
    let (mut one, mut two) = (member(&broker, in_group("g")).await, member(&broker, in_group("g")).await);
    settle(one.as_mut(), two.as_mut()).await;
    let mut three = member(&broker, in_group("g")).await;
    polled(one.as_mut()).await;
    polled(two.as_mut()).await;
    polled(three.as_mut()).await;
    assert_eq!(code(one.commit("t", 0, 0).await), "IllegalGeneration");
    polled(one.as_mut()).await;
    assert_eq!(one.commit("t", 0, 0).await, Ok(()));
}

#[tokio::test(start_paused = true)]
async fn a_stranger_commits_only_while_the_group_is_empty() {
    let broker = with_topic(1);
    let mut stranger = consumer(&broker, in_group("g")).await;
    assert_eq!(stranger.commit("t", 0, 0).await, Ok(()));
    let _member = member(&broker, in_group("g")).await;
    assert_eq!(code(stranger.commit("t", 0, 0).await), "UnknownMemberId");
    assert_eq!(code(stranger.commit("missing", 0, 0).await), "UnknownTopicOrPartition");
}
