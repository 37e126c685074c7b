//! What can happen to the server, and what is lost by it.

use std::time::Duration;

use crosscheck_harness::model::cache::{Eviction, ModelCache, Persistence, Settings};
use crosscheck_harness::model::footprint::Footprints;
use crosscheck_harness::port::{Cache, CacheConnection, Reply};
use tokio::time::sleep;

pub(crate) type Connection = Box<dyn CacheConnection>;

pub(crate) fn cache() -> ModelCache {
    ModelCache::new(7, Footprints::default())
}

pub(crate) fn set_up(settings: Settings) -> ModelCache {
    let cache = cache();
    cache.configure(settings);
    cache
}

pub(crate) async fn connect(cache: &ModelCache) -> Connection {
    cache.connect().await.expect("the server is up")
}

/// The reply to a command whose words have no spaces, as text.
pub(crate) async fn say(connection: &mut Connection, line: &str) -> String {
    let words: Vec<&str> = line.split(' ').collect();
    match connection.command(&words).await {
        Ok(reply) => plain(&reply),
        Err(error) => error.to_string(),
    }
}

pub(crate) fn plain(reply: &Reply) -> String {
    match reply {
        Reply::Nil => "nil".to_owned(),
        Reply::Int(value) => value.to_string(),
        Reply::Text(text) => text.clone(),
        Reply::Array(all) => all.iter().map(plain).collect::<Vec<_>>().join(" "),
    }
}

async fn values(cache: &ModelCache) -> String {
    say(&mut connect(cache).await, "MGET a b c").await
}

/// Three writes half a second apart, and another half a second.
async fn write_slowly(connection: &mut Connection) {
    for line in ["SET a 1", "SET b 2", "SET c 3"] {
        assert_eq!(say(connection, line).await, "OK");
        sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_loses_what_is_not_on_disk() {
    for (persistence, kept) in [
        (Persistence::Nothing, "nil nil nil"),
        (Persistence::Always, "1 2 3"),
        (Persistence::EverySecond, "1 2 nil"),
        (Persistence::BySystem, "nil nil nil"),
    ] {
        let cache = set_up(Settings { persistence, ..Settings::default() });
        write_slowly(&mut connect(&cache).await).await;
        cache.crash();
        assert!(!cache.is_up());
        cache.restart();
        assert_eq!(values(&cache).await, kept, "{persistence:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_loses_nothing_that_is_in_its_file() {
    for (persistence, kept) in [(Persistence::Nothing, "nil nil nil"), (Persistence::BySystem, "1 2 3")] {
        let cache = set_up(Settings { persistence, ..Settings::default() });
        write_slowly(&mut connect(&cache).await).await;
        cache.kill();
        cache.restart();
        assert_eq!(values(&cache).await, kept, "{persistence:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_crash_breaks_connections() {
    let cache = cache();
    let mut connection = connect(&cache).await;
    let mut waiting = connect(&cache).await;
    let waits = async { waiting.command(&["BLPOP", "l", "3"]).await };
    let crashes = async {
        sleep(Duration::from_millis(10)).await;
        cache.crash();
    };
    let (reply, ()) = tokio::join!(waits, crashes);
    let error = reply.expect_err("the server is gone");
    assert_eq!((error.may_have_happened, error.connection_lost), (true, true), "{error}");
    let error = cache.connect().await.err().expect("the server is down");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    cache.restart();
    let error = connection.command(&["PING"]).await.expect_err("it was open before");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    assert_eq!(say(&mut connect(&cache).await, "PING").await, "PONG");
}

#[tokio::test(start_paused = true)]
async fn a_failover_loses_what_had_not_arrived() {
    let lag = Some(Duration::from_millis(600));
    let cache = set_up(Settings { replication_lag: lag, ..Settings::default() });
    write_slowly(&mut connect(&cache).await).await;
    cache.failover();
    assert_eq!(values(&cache).await, "1 2 nil", "the last was written 500 ms ago");
    assert_eq!(say(&mut connect(&cache).await, "SET c 4").await, "OK");
    cache.hold_replication(true);
    sleep(Duration::from_secs(60)).await;
    cache.failover();
    assert_eq!(values(&cache).await, "1 2 nil", "held");
}

#[tokio::test(start_paused = true)]
async fn what_arrived_before_it_was_held_is_there() {
    let cache = set_up(Settings { replication_lag: Some(Duration::ZERO), ..Settings::default() });
    let mut connection = connect(&cache).await;
    say(&mut connection, "SET a 1").await;
    cache.hold_replication(true);
    say(&mut connection, "SET b 2").await;
    say(&mut connection, "DEL a").await;
    cache.failover();
    assert_eq!(values(&cache).await, "1 nil nil");
}

#[tokio::test(start_paused = true)]
async fn a_script_has_to_be_loaded_again_after_a_failover() {
    let cache = set_up(Settings { replication_lag: Some(Duration::ZERO), ..Settings::default() });
    let mut connection = connect(&cache).await;
    let sha = connection.command(&["SCRIPT", "LOAD", "return 1"]).await.and_then(Reply::into_text);
    let sha = sha.expect("it compiles").expect("it has a name");
    assert_eq!(say(&mut connection, &format!("EVALSHA {sha} 0")).await, "1");
    cache.failover();
    let reply = say(&mut connect(&cache).await, &format!("EVALSHA {sha} 0")).await;
    assert!(reply.contains("NOSCRIPT"), "{reply}");
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_replica_waits_as_long_as_it_takes() {
    let lag = Some(Duration::from_millis(50));
    let cache = set_up(Settings { replication_lag: lag, ..Settings::default() });
    let mut connection = connect(&cache).await;
    assert_eq!(say(&mut connection, "WAIT 1 10").await, "1", "nothing was written");
    say(&mut connection, "SET a 1").await;
    assert_eq!(say(&mut connection, "WAIT 1 10").await, "0", "in vain");
    assert_eq!(say(&mut connection, "WAIT 1 1000").await, "1");
    cache.failover();
    assert_eq!(values(&cache).await, "1 nil nil");
}

#[tokio::test(start_paused = true)]
async fn a_held_replica_is_waited_for_in_vain() {
    let cache = set_up(Settings { replication_lag: Some(Duration::ZERO), ..Settings::default() });
    cache.hold_replication(true);
    let mut connection = connect(&cache).await;
    say(&mut connection, "SET a 1").await;
    assert_eq!(say(&mut connection, "WAIT 1 100").await, "0");
}

#[tokio::test(start_paused = true)]
async fn a_flush_leaves_nothing_and_breaks_watches() {
    let cache = cache();
    let mut connection = connect(&cache).await;
    for (line, reply) in [("SET a 1", "OK"), ("WATCH a", "OK"), ("MULTI", "OK"), ("GET a", "QUEUED")] {
        assert_eq!(say(&mut connection, line).await, reply);
    }
    cache.flush();
    assert_eq!(say(&mut connection, "EXEC").await, "nil");
    assert_eq!(say(&mut connection, "DBSIZE").await, "0");
}

#[tokio::test(start_paused = true)]
async fn eviction_takes_some_keys_the_same_each_time() {
    let evicted = async || {
        let cache = cache();
        let mut connection = connect(&cache).await;
        say(&mut connection, "MSET a 1 b 2 c 3 d 4").await;
        cache.evict(3);
        say(&mut connection, "KEYS *").await
    };
    let kept = evicted().await;
    assert_eq!(kept.split(' ').count(), 1, "{kept}");
    assert_eq!(kept, evicted().await);
}

#[tokio::test(start_paused = true)]
async fn a_full_cache_forgets_what_was_used_longest_ago() {
    let cache = set_up(Settings { keys_max: Some(2), ..Settings::default() });
    let mut connection = connect(&cache).await;
    for line in ["SET a 1", "SET b 2", "GET a", "SET c 3", "PING"] {
        say(&mut connection, line).await;
    }
    assert_eq!(say(&mut connection, "KEYS *").await, "a c");
}

#[tokio::test(start_paused = true)]
async fn a_full_queue_refuses() {
    let full = Settings { keys_max: Some(1), eviction: Eviction::NoEviction, ..Settings::default() };
    let cache = set_up(full);
    let mut connection = connect(&cache).await;
    say(&mut connection, "MSET a 1 b 2").await;
    let reply = say(&mut connection, "SET c 3").await;
    assert_eq!(reply, "cache: command not allowed when used memory > 'maxmemory'. [OOM]");
    assert_eq!(say(&mut connection, "GET a").await, "1", "reading goes on");
}

#[tokio::test(start_paused = true)]
async fn a_fork_is_a_server_of_its_own() {
    let cache = cache();
    let mut connection = connect(&cache).await;
    for line in ["SET a 1 PX 100", "RPUSH l x y", "HSET h f 1"] {
        say(&mut connection, line).await;
    }
    let fork = cache.fork();
    let mut forked = connect(&fork).await;
    say(&mut forked, "RPUSH l z").await;
    say(&mut connection, "HSET h f 2").await;
    assert_eq!(say(&mut connection, "LRANGE l 0 -1").await, "x y");
    assert_eq!(say(&mut forked, "LRANGE l 0 -1").await, "x y z");
    assert_eq!(say(&mut forked, "HGET h f").await, "1");
    sleep(Duration::from_millis(101)).await;
    assert_eq!(say(&mut forked, "GET a").await, "nil");
}
