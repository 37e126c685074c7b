//! What commands read and write, from which it follows which of them commute.

use crosscheck_harness::model::cache::ModelCache;
use crosscheck_harness::model::footprint::{Access, Footprints};

use crate::faults::{Connection, connect, say};

struct Noting {
    footprints: Footprints,
    cache: ModelCache,
    connection: Connection,
}

impl Noting {
    async fn new() -> Self {
        let footprints = Footprints::default();
        footprints.switch_on();
        let cache = ModelCache::new(1, footprints.clone());
        let connection = connect(&cache).await;
        Noting { footprints, cache, connection }
    }

    async fn of(&mut self, line: &str) -> Vec<Access> {
        self.footprints.take();
        say(&mut self.connection, line).await;
        self.footprints.take()
    }
}

fn conflict(one: &[Access], two: &[Access]) -> bool {
    one.iter().any(|one| two.iter().any(|two| one.conflicts(two)))
}

#[tokio::test(start_paused = true)]
async fn commands_on_other_keys_commute() {
    let mut noting = Noting::new().await;
    noting.of("SET there 1").await;
    let cases = [
        ("SET a 1", "SET b 1", false),
        ("SET a 1", "GET a", true),
        ("GET a", "GET a", false),
        ("SET a 1", "SET a 2", true),
        ("SET a 1", "MGET b a", true),
        ("SET a 1", "KEYS *", true),
        ("GET a", "KEYS *", false),
        ("GET a", "FLUSHALL", true),
        ("SETNX there 1", "GET there", false),
        ("LPUSH l 1", "RPOP l", true),
        ("DEL none", "GET none", false),
        ("WATCH a", "SET a 3", true),
        ("SADD s 1", "SCARD s", true),
    ];
    for (one, two, expected) in cases {
        let (first, second) = (noting.of(one).await, noting.of(two).await);
        assert_eq!(conflict(&first, &second), expected, "{one} / {two}");
        noting.of("SET there 1").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_key_that_ends_depends_on_the_clock() {
    let mut noting = Noting::new().await;
    let passing = [Access { resource: ModelCache::clock_resource(), write: true }];
    assert!(!conflict(&noting.of("SET k v").await, &passing));
    assert!(!conflict(&noting.of("GET k").await, &passing));
    assert!(conflict(&noting.of("SET k v PX 10").await, &passing));
    assert!(conflict(&noting.of("GET k").await, &passing));
    assert!(conflict(&noting.of("TIME").await, &passing));
}

#[tokio::test(start_paused = true)]
async fn the_end_of_a_transaction_reads_what_was_watched() {
    let mut noting = Noting::new().await;
    for line in ["WATCH w", "MULTI", "SET a 1"] {
        noting.of(line).await;
    }
    let exec = noting.of("EXEC").await;
    assert!(conflict(&exec, &noting.of("SET w 1").await));
    assert!(conflict(&exec, &noting.of("GET a").await));
    assert!(!conflict(&exec, &noting.of("SET b 1").await));
}

#[tokio::test(start_paused = true)]
async fn a_script_notes_what_its_commands_do() {
    let mut noting = Noting::new().await;
    let words = ["EVAL", "return redis.call('SET', KEYS[1], 1)", "1", "a"];
    // The first time it also becomes known by its name.
    noting.connection.command(&words).await.expect("it runs");
    noting.footprints.take();
    noting.connection.command(&words).await.expect("it runs");
    let script = noting.footprints.take();
    assert!(conflict(&script, &noting.of("GET a").await));
    assert!(!conflict(&script, &noting.of("GET b").await));
}

#[tokio::test(start_paused = true)]
async fn faults_touch_everything() {
    let mut noting = Noting::new().await;
    let get = noting.of("GET a").await;
    let faults: [fn(&ModelCache); 4] = [
        ModelCache::flush,
        |cache| cache.evict(1),
        |cache| cache.hold_replication(true),
        ModelCache::failover,
    ];
    for fault in faults {
        noting.footprints.take();
        fault(&noting.cache);
        assert!(conflict(&get, &noting.footprints.take()));
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_limit_every_use_counts() {
    let mut noting = Noting::new().await;
    noting
        .cache
        .configure(crosscheck_harness::model::cache::Settings { keys_max: Some(5), ..Default::default() });
    noting.of("MSET a 1 b 2").await;
    let (one, two) = (noting.of("GET a").await, noting.of("GET b").await);
    assert!(conflict(&one, &two), "the order of uses decides who is forgotten");
}
