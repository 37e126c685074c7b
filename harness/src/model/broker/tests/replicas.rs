//! Leaders and followers, retries, and brokers that go down.

use tokio::time::{Instant, timeout};

use super::*;

#[tokio::test(start_paused = true)]
async fn what_the_followers_lack_is_acknowledged_by_the_leader_unseen_and_lost_with_it() {
    let broker = with_topic(1);
    let mut producer = producer(&broker, plain(Acks::One)).await;
    produce(producer.as_mut(), &["0"]).await;
    broker.hold_replication("t").expect("the topic is there");
    produce(producer.as_mut(), &["1"]).await;
    assert_eq!(contents(&broker, 1).await, ["0"], "consumers see what lies below the high watermark");
    broker.fail_over();
    broker.release_replication("t").expect("the topic is there");
    assert_eq!(contents(&broker, 1).await, ["0"]);
    produce(producer.as_mut(), &["2"]).await;
    assert_eq!(contents(&broker, 1).await, ["0", "2"]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_all_replicas_waits_and_its_message_survives() {
    let broker = with_topic(1);
    let mut producer = producer(&broker, safe()).await;
    broker.hold_replication("t").expect("the topic is there");
    let heal = async {
        tokio::time::sleep(SECOND).await;
        broker.fail_over();
        tokio::time::sleep(SECOND).await;
        broker.release_replication("t").expect("the topic is there");
    };
    let started = Instant::now();
    let (positions, ()) = tokio::join!(produce(producer.as_mut(), &["0"]), heal);
    assert_eq!((positions[0].offset, started.elapsed()), (0, 2 * SECOND));
    assert_eq!(contents(&broker, 1).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_never_replicated_times_out_and_may_be_there() {
    let broker = with_topic(1);
    let mut producer = producer(&broker, safe()).await;
    broker.hold_replication("t").expect("the topic is there");
    let error = producer.produce("t", None, "k", "0").await.expect_err("nobody follows");
    assert_eq!((error.code.as_deref(), error.may_have_happened), (Some("MessageTimedOut"), true));
    broker.release_replication("t").expect("the topic is there");
    assert_eq!(contents(&broker, 1).await, ["0"], "it was at the leader all the time");
    produce(producer.as_mut(), &["1"]).await;
    assert_eq!(contents(&broker, 1).await, ["0", "1"], "the same producer goes on");
}

#[tokio::test(start_paused = true)]
async fn a_lost_acknowledgement_duplicates_for_a_plain_producer_and_not_for_an_idempotent_one() {
    for (options, expected) in [(plain(Acks::All), vec!["0", "0"]), (safe(), vec!["0"])] {
        let broker = with_topic(1);
        let mut producer = producer(&broker, options).await;
        broker.lose_replies("t", 1).expect("the topic is there");
        produce(producer.as_mut(), &["0"]).await;
        assert_eq!(contents(&broker, 1).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_overtaken_for_a_plain_producer_and_not_for_an_idempotent_one() {
    for (options, expected) in [(plain(Acks::All), vec!["1", "0"]), (safe(), vec!["0", "1"])] {
        let broker = with_topic(1);
        let mut producer = producer(&broker, options).await;
        produce(producer.as_mut(), &[]).await;
        broker.lose_requests("t", 1).expect("the topic is there");
        // The caller does not wait for the first; the client goes on trying.
        let impatient = timeout(SECOND / 1000, producer.produce("t", None, "k", "0")).await;
        assert!(impatient.is_err());
        produce(producer.as_mut(), &["1"]).await;
        tokio::time::sleep(SECOND).await;
        assert_eq!(contents(&broker, 1).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_leader_that_has_the_message_gets_it_again_from_a_plain_producer() {
    for (options, expected) in [(plain(Acks::All), vec!["0", "0"]), (safe(), vec!["0"])] {
        let broker = with_topic(1);
        let mut producer = producer(&broker, options).await;
        broker.hold_replication("t").expect("the topic is there");
        let heal = async {
            tokio::time::sleep(SECOND).await;
            broker.release_one_follower("t").expect("the topic is there");
            broker.fail_over();
            broker.release_replication("t").expect("the topic is there");
        };
        tokio::join!(produce(producer.as_mut(), &["0"]), heal);
        assert_eq!(contents(&broker, 1).await, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn an_unclean_election_loses_what_was_acknowledged_by_all() {
    let broker = with_settings(1, Settings { min_in_sync: 1, ..Settings::default() });
    let mut idempotent = producer(&broker, safe()).await;
    produce(idempotent.as_mut(), &["0"]).await;
    broker.hold_replication("t").expect("the topic is there");
    let patient = ProducerOptions { message_timeout: 60 * SECOND, ..safe() };
    let started = Instant::now();
    produce(producer(&broker, patient).await.as_mut(), &["1"]).await;
    assert_eq!(started.elapsed(), 30 * SECOND, "the followers are out of sync, the leader is enough");
    broker.fail_over();
    assert_eq!(contents(&broker, 1).await, ["0", "1"], "no follower may lead");
    broker.fail_over_unclean();
    assert_eq!(contents(&broker, 1).await, ["0"]);
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_nothing_that_was_acknowledged_and_calls_wait_for_the_restart() {
    let broker = with_topic(1);
    let mut sender = producer(&broker, safe()).await;
    produce(sender.as_mut(), &["0"]).await;
    let mut reader = member(&broker, in_group("g")).await;
    assert_eq!(polled(reader.as_mut()).await, ["0"]);
    broker.crash();
    assert_eq!(polled(reader.as_mut()).await, [""; 0]);
    let error = sender.produce("t", None, "k", "1").await.expect_err("nobody answers");
    assert_eq!((error.code.as_deref(), error.may_have_happened), (Some("MessageTimedOut"), true));
    let fresh = producer(&broker, safe()).await.produce("t", None, "k", "2").await;
    assert!(!fresh.expect_err("it never learned of the topic").may_have_happened);
    let error = reader.commit("t", 0, 1).await.expect_err("nobody answers");
    assert_eq!((error.may_have_happened, error.connection_lost), (true, false));
    let restart = async {
        tokio::time::sleep(SECOND).await;
        broker.restart();
    };
    tokio::join!(produce(sender.as_mut(), &["3"]), restart);
    assert_eq!(polled(reader.as_mut()).await, ["3"], "it is a member still, and goes on where it was");
    assert_eq!(contents(&broker, 1).await, ["0", "3"]);
}
