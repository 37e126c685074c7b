//! Virtual time: keys that end, and commands that wait.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};

use crate::faults::{Connection, cache, connect, plain, say};

#[tokio::test(start_paused = true)]
async fn a_key_ends_after_its_last_millisecond() {
    let mut connection = connect(&cache()).await;
    say(&mut connection, "SET k v PX 100").await;
    assert_eq!(say(&mut connection, "PTTL k").await, "100");
    assert_eq!(say(&mut connection, "PEXPIRETIME k").await, "1700000000100");
    sleep(Duration::from_millis(100)).await;
    assert_eq!(say(&mut connection, "GET k").await, "v");
    assert_eq!(say(&mut connection, "PTTL k").await, "0");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(say(&mut connection, "GET k").await, "nil");
    assert_eq!(say(&mut connection, "DBSIZE").await, "0");
    assert_eq!(say(&mut connection, "SET k w NX").await, "OK");
    assert_eq!(say(&mut connection, "TTL k").await, "-1");
}

#[tokio::test(start_paused = true)]
async fn a_watched_key_that_ends_breaks_the_transaction() {
    let cache = cache();
    let mut connection = connect(&cache).await;
    for line in ["SET k v PX 10", "WATCH k", "MULTI", "SET other 1"] {
        say(&mut connection, line).await;
    }
    sleep(Duration::from_millis(11)).await;
    assert_eq!(say(&mut connection, "EXEC").await, "nil");
    assert_eq!(say(&mut connection, "GET other").await, "nil");
}

#[tokio::test(start_paused = true)]
async fn who_waited_longest_is_served_first() {
    let cache = cache();
    let (mut first, mut second) = (connect(&cache).await, connect(&cache).await);
    let mut pusher = connect(&cache).await;
    let begun = Instant::now();
    let (one, two, pushed) = tokio::join!(
        async { say(&mut first, "BLPOP l 1").await },
        async {
            sleep(Duration::from_millis(1)).await;
            say(&mut second, "BLPOP other l 1").await
        },
        async {
            sleep(Duration::from_millis(20)).await;
            say(&mut pusher, "RPUSH l a b c").await
        },
    );
    assert_eq!((one.as_str(), two.as_str(), pushed.as_str()), ("l a", "l b", "3"));
    assert_eq!(begun.elapsed().as_millis(), 20);
    assert_eq!(say(&mut pusher, "LRANGE l 0 -1").await, "c");
}

#[tokio::test(start_paused = true)]
async fn an_item_moves_on_from_list_to_list() {
    let cache = cache();
    let mut connections = Vec::new();
    for _ in 0..3 {
        connections.push(connect(&cache).await);
    }
    let mut pusher = connections.pop().expect("there are three");
    let mut taker = connections.pop().expect("there are three");
    let mut mover = connections.pop().expect("there are three");
    let (moved, taken, _) = tokio::join!(
        async { say(&mut mover, "BLMOVE a b RIGHT LEFT 1").await },
        async { say(&mut taker, "BRPOP b 1").await },
        async { say(&mut pusher, "LPUSH a job").await },
    );
    assert_eq!((moved.as_str(), taken.as_str()), ("job", "b job"));
}

#[tokio::test(start_paused = true)]
async fn waiting_in_vain_takes_its_time() {
    let mut connection = connect(&cache()).await;
    let begun = Instant::now();
    assert_eq!(say(&mut connection, "BLPOP l 0.25").await, "nil");
    assert_eq!(begun.elapsed().as_millis(), 250);
    let error = connection.command(&["BLPOP", "l", "0"]).await.expect_err("no reply comes");
    assert_eq!((error.may_have_happened, error.connection_lost), (true, true), "{error}");
}

#[tokio::test(start_paused = true)]
async fn an_item_that_nobody_listens_for_any_more_is_lost() {
    let cache = cache();
    let mut waiting = connect(&cache).await;
    let given_up = timeout(Duration::from_millis(5), waiting.command(&["BLPOP", "l", "1"])).await;
    assert!(given_up.is_err());
    let mut pusher = connect(&cache).await;
    assert_eq!(say(&mut pusher, "RPUSH l a").await, "1");
    assert_eq!(say(&mut pusher, "LLEN l").await, "0", "the server gave it to who had waited");
    let error = waiting.command(&["PING"]).await.expect_err("a command was given up");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_closed_waits_no_more() {
    let cache = cache();
    let mut waiting = connect(&cache).await;
    let given_up = timeout(Duration::from_millis(5), waiting.command(&["BLPOP", "l", "1"])).await;
    assert!(given_up.is_err());
    drop(waiting);
    let mut pusher = connect(&cache).await;
    say(&mut pusher, "RPUSH l a").await;
    assert_eq!(say(&mut pusher, "LLEN l").await, "1");
}

#[tokio::test(start_paused = true)]
async fn a_group_waits_for_what_is_added() {
    let cache = cache();
    let (mut consumer, mut producer) = (connect(&cache).await, connect(&cache).await);
    say(&mut producer, "XGROUP CREATE s g $ MKSTREAM").await;
    let read = ["XREADGROUP", "GROUP", "g", "c", "BLOCK", "100", "STREAMS", "s", ">"];
    let (got, _) = tokio::join!(async { consumer.command(&read).await }, async {
        sleep(Duration::from_millis(10)).await;
        say(&mut producer, "XADD s 5-1 f v").await
    });
    assert_eq!(got.map(|reply| plain(&reply)).expect("it is read"), "s 5-1 f v");
    sleep(Duration::from_millis(40)).await;
    assert_eq!(say(&mut producer, "XPENDING s g - + 10").await, "5-1 c 40 1");
    assert_eq!(say(&mut producer, "XAUTOCLAIM s g d 50 0").await, "0-0  ");
    sleep(Duration::from_millis(10)).await;
    assert_eq!(say(&mut producer, "XAUTOCLAIM s g d 50 0").await, "0-0 5-1 f v ");
    assert_eq!(say(&mut producer, "XACK s g 5-1").await, "1");
}

#[tokio::test(start_paused = true)]
async fn ids_of_a_stream_follow_the_clock() {
    let mut connection: Connection = connect(&cache()).await;
    let first = say(&mut connection, "XADD s * f v").await;
    let second = say(&mut connection, "XADD s * f v").await;
    sleep(Duration::from_millis(7)).await;
    let third = say(&mut connection, "XADD s * f v").await;
    assert_eq!([first.as_str(), &second, &third], ["1700000000000-0", "1700000000000-1", "1700000000007-0"]);
    assert_eq!(say(&mut connection, "TIME").await, "1700000000 7000");
}

#[tokio::test(start_paused = true)]
async fn a_script_without_end_is_ended() {
    let mut connection = connect(&cache()).await;
    for script in ["while true do end", "while true do pcall(function() while true do end end) end"] {
        let error = connection.command(&["EVAL", script, "0"]).await.expect_err("it has no end");
        assert_eq!((error.code.as_deref(), error.may_have_happened), (Some("BUSY"), true), "{error}");
    }
    assert_eq!(say(&mut connection, "PING").await, "PONG");
}

#[tokio::test(start_paused = true)]
async fn a_script_cannot_reach_the_machine() {
    let mut connection = connect(&cache()).await;
    for name in ["os", "io", "load", "loadstring", "collectgarbage", "coroutine", "debug", "require", "print"]
    {
        let script = format!("return {name}");
        let error = connection.command(&["EVAL", &script, "0"]).await.expect_err("it is not there");
        assert!(error.message.contains("nonexistent global"), "{error}");
    }
    for script in ["return type(math.random)", "return getmetatable('').__index", "return tostring({})"] {
        let reply = connection.command(&["EVAL", script, "0"]).await.map(|reply| plain(&reply));
        assert!(matches!(reply.as_deref(), Ok("nil" | "table: 0x0") | Err(_)), "{script}: {reply:?}");
    }
    let huge = "return #string.rep('x', 1000000000)";
    connection.command(&["EVAL", huge, "0"]).await.expect_err("there is not that much memory");
    assert_eq!(say(&mut connection, "EVAL return(1) 0").await, "1");
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_the_same_twice_is_not_known() {
    let mut connection = connect(&cache()).await;
    for line in [
        "RANDOMKEY",
        "SPOP s",
        "SRANDMEMBER s",
        "SUBSCRIBE c",
        "PUBLISH c m",
        "CLIENT TRACKING on",
        "OBJECT ENCODING k",
    ] {
        let reply = say(&mut connection, line).await;
        assert!(reply.starts_with("cache: unknown command '"), "{line}: {reply}");
    }
}
