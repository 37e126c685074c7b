//! The cache port on Redis.

use std::time::Duration;

use crosscheck_harness::port::{Cache, PortError, Reply};
use crosscheck_harness::system::redis::RedisCache;
use tokio::net::TcpListener;

use crate::faults::{Forwarder, dead_port};
use crate::servers::{Servers, fresh};

fn text(text: &str) -> Reply {
    Reply::Text(text.to_owned())
}

pub(crate) async fn commands_and_replies(servers: Servers) -> Result<(), PortError> {
    let mut cache = RedisCache::new(servers.redis).connect().await?;
    let (key, other) = (fresh("k"), fresh("k"));
    let (key, other) = (key.as_str(), other.as_str());
    let pair = "return {redis.call('GET', KEYS[1]), tonumber(ARGV[1]), false}";
    let cases: Vec<(Vec<&str>, Reply)> = vec![
        (vec!["PING"], text("PONG")),
        (vec!["GET", key], Reply::Nil),
        (vec!["SET", key, "ä 1", "PX", "60000"], text("OK")),
        (vec!["SET", key, "2", "NX"], Reply::Nil),
        (vec!["GET", key], text("ä 1")),
        (vec!["EVAL", pair, "1", key, "7"], Reply::Array(vec![text("ä 1"), Reply::Int(7), Reply::Nil])),
        (vec!["MGET", key, other], Reply::Array(vec![text("ä 1"), Reply::Nil])),
        (vec!["DEL", key, other], Reply::Int(1)),
        (vec!["RPUSH", other, "a", ""], Reply::Int(2)),
        (vec!["LRANGE", other, "0", "-1"], Reply::Array(vec![text("a"), text("")])),
        (vec!["DEL", other], Reply::Int(1)),
    ];
    for (command, expected) in cases {
        assert_eq!(cache.command(&command).await?, expected, "{command:?}");
    }
    Ok(())
}

pub(crate) async fn error_replies(servers: Servers) -> Result<(), PortError> {
    let mut cache = RedisCache::new(servers.redis).connect().await?;
    let key = fresh("k");
    let key = key.as_str();
    cache.command(&["SET", key, "x"]).await?;
    let half = "redis.call('SET', KEYS[1], 'half'); return redis.call('LPUSH', KEYS[1], 'x')";
    for (command, code, may_have_happened) in [
        (vec!["LPUSH", key, "1"], "WRONGTYPE", false),
        (vec!["INCR", key], "ERR", false),
        (vec!["NOSUCHCOMMAND"], "ERR", false),
        (vec!["EVALSHA", "0000000000000000000000000000000000000000", "0"], "NOSCRIPT", false),
        (vec!["EVAL", half, "1", key], "WRONGTYPE", true),
        (vec![], "ERR", false),
    ] {
        let error = cache.command(&command).await.expect_err("the server refuses");
        assert_eq!(error.code.as_deref(), Some(code), "{command:?}: {error}");
        assert_eq!(
            (error.may_have_happened, error.connection_lost),
            (may_have_happened, false),
            "{command:?}"
        );
    }
    assert_eq!(cache.command(&["GET", key]).await?, text("half"), "a script that failed keeps its writes");
    Ok(())
}

pub(crate) async fn a_cut_in_a_command_leaves_it_unknown(servers: Servers) -> Result<(), PortError> {
    let forwarder = Forwarder::to(servers.redis).await;
    let mut cache = RedisCache::new(forwarder.addr).connect().await?;
    let mut observer = RedisCache::new(servers.redis).connect().await?;
    let list = fresh("l");
    let id = cache.command(&["CLIENT", "ID"]).await?.into_int()?.to_string();
    let popping = list.clone();
    let running = tokio::spawn(async move {
        let result = cache.command(&["BLPOP", &popping, "60"]).await;
        (cache, result)
    });
    loop {
        let client = observer.command(&["CLIENT", "LIST", "ID", &id]).await?.into_text()?;
        if client.is_some_and(|client| client.contains("cmd=blpop")) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    forwarder.cut();
    let (mut cache, result) = running.await.expect("the command returns");
    let error = result.expect_err("the connection was cut");
    assert_eq!((error.may_have_happened, error.connection_lost), (true, true), "{error}");
    let error = cache.command(&["PING"]).await.expect_err("the connection is lost");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    Ok(())
}

pub(crate) async fn no_reply_in_time_leaves_it_unknown(servers: Servers) -> Result<(), PortError> {
    let redis = RedisCache::new(servers.redis).with_reply_timeout(Duration::from_millis(200));
    let mut cache = redis.connect().await?;
    let error = cache.command(&["BLPOP", &fresh("l"), "5"]).await.expect_err("nothing is pushed");
    assert_eq!((error.may_have_happened, error.connection_lost), (true, true), "{error}");
    let mut cache = redis.connect().await?;
    let list = fresh("l");
    let args = ["BLPOP", &list, "5"];
    assert!(tokio::time::timeout(Duration::from_millis(50), cache.command(&args)).await.is_err());
    let error = cache.command(&["PING"]).await.expect_err("a command was given up");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    Ok(())
}

pub(crate) async fn a_dead_port_means_not_sent(_servers: Servers) -> Result<(), PortError> {
    let error = RedisCache::new(dead_port().await).connect().await.err().expect("nobody listens");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    // A server that accepts and then closes.
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let addr = listener.local_addr().expect("the listener is bound");
    let closing = tokio::spawn(async move { listener.accept().await.map(drop) });
    let mut cache = RedisCache::new(addr).connect().await?;
    closing.await.expect("the task ends").expect("the client connects");
    let error = cache.command(&["PING"]).await.expect_err("the server has closed");
    assert!(error.connection_lost, "{error}");
    Ok(())
}
