//! The tests of the order service. They start servers of their own, and end them.
//!
//! Without PostgreSQL and Kafka they take place on the model, and say so; with `CROSSCHECK_REQUIRE=local` they then
//! fail.

mod design;

use crosscheck_harness::check::{Faults, On, check};
use crosscheck_models::property::Property;
use own_service::Relay;

use design::Orders;

/// With this variable the service runs with the relay that loses orders, and its test fails:
/// `OWN_SERVICE_BUG=1 cargo test -p own-service`.
const BUG: &str = "OWN_SERVICE_BUG";

#[tokio::test]
async fn every_order_is_announced() {
    let relay = if std::env::var_os(BUG).is_some() { Relay::BY_LAST_ID } else { Relay::UNMARKED };
    check(Orders(relay)).depends_on_env(BUG).seed_from_env().run().await.assert_holds();
}

/// What the failure of the test above says.
#[tokio::test]
async fn the_failure_tells_the_story_the_seed_and_how_to_replay_it() {
    let checked = check(Orders(Relay::BY_LAST_ID)).seed(7).run().await;
    let words = checked.objection().expect("the bug is found");
    let pieces = [
        "orders/by-last-id violates no-loss\n",
        "shoes v1 of ann is in the ledger, and was never delivered\n",
        "ms  client-0   writes shoes v1 (ann) as outbox id 1, not committed yet\n",
        "ms  client-1   writes socks v1 (bob) as outbox id 2, then commits\n",
        "ms  relay      polls, and sees outbox id 2 but not 1, then moves past it",
        "ms  client-0   commits\n",
        "ms  relay      polls again, and sees nothing new",
        "\nbackend   ",
        "\nseed      7",
        "\nschedule  late-commit: ",
        "\nhistory   crosscheck check /",
        "\nreplay    CROSSCHECK_SCHEDULE=/",
        "/schedule.json cargo test -p own-service",
    ];
    let mut rest = words.as_str();
    for piece in pieces {
        let (_, after) = rest.split_once(piece).unwrap_or_else(|| panic!("no {piece:?} there in\n{words}"));
        rest = after;
    }
}

/// On the model the same tests need no server, and are over in a moment.
#[tokio::test]
async fn the_model_tells_the_two_relays_apart() {
    let marks = check(Orders(Relay::UNMARKED)).on(On::Model).run().await;
    assert_eq!((marks.objection(), marks.backend()), (None, Some("model")));
    let by_id = check(Orders(Relay::BY_LAST_ID)).on(On::Model).run().await;
    assert!(by_id.violations().contains(&Property::NoLoss), "{:?}", by_id.objection());
}

/// Nobody has to think of the moves that show a bug: random load comes upon them, sooner or later.
#[tokio::test]
async fn load_alone_finds_the_bug() {
    for seed in 1..=5 {
        let load = check(Orders(Relay::BY_LAST_ID)).load_only().faults(Faults::None).seed(seed);
        let checked = load.run().await;
        if checked.violations().contains(&Property::NoLoss) {
            return;
        }
    }
    panic!("under five seeds, the relay passed by no order that committed late");
}
