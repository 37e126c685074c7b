//! Laws that hold whatever happens.

use proptest::prelude::*;

use super::*;

/// What happens to a cluster while somebody produces.
#[derive(Debug, Clone, Copy)]
enum Happening {
    Produce,
    LoseRequest,
    LoseReply,
    Hold,
    ReleaseOne,
    Release,
    FailOver,
    Bounce,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    use Happening::{Bounce, FailOver, Hold, LoseReply, LoseRequest, Produce, Release, ReleaseOne};
    let one = prop_oneof![
        6 => Just(Produce), 1 => Just(LoseRequest), 1 => Just(LoseReply), 2 => Just(Hold),
        1 => Just(ReleaseOne), 2 => Just(Release), 2 => Just(FailOver), 1 => Just(Bounce),
    ];
    prop::collection::vec(one, 1..40)
}

fn in_virtual_time<T>(run: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime without drivers starts").block_on(run)
}

/// What was acknowledged, in that order, and what lies in the log at the end.
async fn ride(happenings: &[Happening], options: ProducerOptions) -> (Vec<String>, Vec<String>) {
    let broker = with_topic(1);
    let mut producer = producer(&broker, options).await;
    let mut acknowledged = Vec::new();
    for (number, happening) in happenings.iter().enumerate() {
        match happening {
            Happening::Produce => {
                let payload = number.to_string();
                if producer.produce("t", None, "k", &payload).await.is_ok() {
                    acknowledged.push(payload);
                }
            }
            Happening::LoseRequest => broker.lose_requests("t", 1).expect("the topic is there"),
            Happening::LoseReply => broker.lose_replies("t", 1).expect("the topic is there"),
            Happening::Hold => broker.hold_replication("t").expect("the topic is there"),
            Happening::ReleaseOne => broker.release_one_follower("t").expect("the topic is there"),
            Happening::Release => broker.release_replication("t").expect("the topic is there"),
            Happening::FailOver => broker.fail_over(),
            Happening::Bounce => {
                broker.crash();
                tokio::time::sleep(SECOND).await;
                broker.restart();
            }
        }
    }
    broker.release_replication("t").expect("the topic is there");
    (acknowledged, contents(&broker, 1).await)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn what_an_idempotent_producer_heard_of_is_there_once_and_in_order(happenings in happenings()) {
        let (acknowledged, log) = in_virtual_time(ride(&happenings, safe()));
        let heard: Vec<_> = log.iter().filter(|payload| acknowledged.contains(payload)).collect();
        prop_assert_eq!(heard, acknowledged.iter().collect::<Vec<_>>());
    }

    #[test]
    fn what_all_replicas_acknowledged_survives_every_clean_fail_over(happenings in happenings()) {
        let (acknowledged, log) = in_virtual_time(ride(&happenings, plain(Acks::All)));
        for payload in acknowledged {
            prop_assert!(log.contains(&payload), "{} is lost: {:?}", payload, log);
        }
    }

    #[test]
    fn a_group_goes_on_after_its_last_commit(count in 1_usize..20, commits in prop::collection::vec(0_i64..20, 0..5)) {
        in_virtual_time(async {
            let broker = with_topic(1);
            let payloads: Vec<String> = (0..count).map(|number| number.to_string()).collect();
            let texts: Vec<&str> = payloads.iter().map(String::as_str).collect();
            produce(producer(&broker, safe()).await.as_mut(), &texts).await;
            let mut from = 0;
            for commit in commits {
                let mut reader = member(&broker, in_group("g")).await;
                assert_eq!(polled(reader.as_mut()).await, payloads[from..]);
                from = usize::try_from(commit).expect("it is not negative").min(count);
                reader.commit("t", 0, i64::try_from(from).expect("it is small")).await.expect("a member commits");
            }
            assert_eq!(polled(member(&broker, in_group("g")).await.as_mut()).await, payloads[from..]);
        });
    }

    #[test]
    fn the_same_calls_have_the_same_outcome(happenings in happenings()) {
        let twice = [0, 1].map(|_| in_virtual_time(ride(&happenings, plain(Acks::One))));
        prop_assert_eq!(&twice[0], &twice[1]);
    }
}
