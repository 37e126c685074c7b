//! Closes, half-closes and resets of the peers themselves, and of the proxy.

use crosscheck_harness::proxy::{HealMode, NetFault, Proxy};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpListener;

use crate::support::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_half_close_passes_and_the_other_half_lives() {
    let (proxy, server) = proxied().await;
    let (mut client, mut server) = pair(&proxy, &server).await;
    send(&mut client, b"all of the request").await;
    client.shutdown().await.unwrap();
    assert_eq!(expect_close(&mut server).await, b"all of the request");
    send(&mut server, b"and only then the reply").await;
    drop(server);
    assert_eq!(expect_close(&mut client).await, b"and only then the reply");
    let stats = until(&proxy, |stats| stats.open == 0).await;
    assert_eq!((stats.reset_by_fault, stats.reset_by_peer), (0, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reset_by_one_side_reaches_the_other() {
    let (proxy, server) = proxied().await;
    for client_resets in [true, false] {
        let (client, server) = pair(&proxy, &server).await;
        let (mut resetting, mut other) = if client_resets { (client, server) } else { (server, client) };
        send(&mut resetting, b"last words").await;
        expect(&mut other, b"last words").await;
        resetting.set_zero_linger().unwrap();
        drop(resetting);
        expect_reset(&mut other).await;
    }
    assert_eq!(until(&proxy, |stats| stats.open == 0).await.reset_by_peer, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_half_closed_and_died_is_reset_at_the_server() {
    let (proxy, server) = proxied().await;
    let (mut client, mut server) = pair(&proxy, &server).await;
    client.shutdown().await.unwrap();
    assert_eq!(expect_close(&mut server).await, b"");
    client.set_zero_linger().unwrap();
    drop(client);
    let reset = async { while server.write_all(b"to nobody").await.is_ok() {} };
    within("a reset", reset).await;
    until(&proxy, |stats| stats.open == 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_goes_during_a_cut_is_missed_only_at_heal() {
    for (resets, mode) in [(false, HealMode::Reset), (true, HealMode::Reset), (false, HealMode::Flush)] {
        let (proxy, server) = proxied().await;
        let (client, mut server) = pair(&proxy, &server).await;
        proxy.inject(NetFault::CutBoth);
        if resets {
            client.set_zero_linger().unwrap();
        }
        drop(client);
        until(&proxy, |stats| stats.requests.held_ends == 1).await;
        assert!(server.try_read(&mut [0]).is_err(), "the server must not see it yet");
        assert_eq!(proxy.stats().open, 1);
        proxy.heal_with(mode).unwrap();
        match mode {
            HealMode::Reset => assert_eq!(expect_reset(&mut server).await, b""),
            HealMode::Flush => assert_eq!(expect_close(&mut server).await, b""),
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_server_a_connection_is_reset() {
    let proxy = Proxy::bind("db").await.unwrap();
    expect_no_connection(&proxy).await;
    let gone = TcpListener::bind("127.0.0.1:0").await.unwrap();
    proxy.set_upstream(gone.local_addr().unwrap());
    drop(gone);
    expect_no_connection(&proxy).await;
    assert_eq!(until(&proxy, |stats| stats.open == 0).await.without_upstream, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_go_where_the_server_is_now() {
    let proxy = Proxy::bind("db").await.unwrap();
    let port = proxy.addr();
    proxy.set_upstream(echo_server(b"first").await);
    let mut old = connect(&proxy).await;
    expect(&mut old, b"first").await;
    proxy.set_upstream(echo_server(b"second").await);
    let mut new = connect(&proxy).await;
    expect(&mut new, b"second").await;
    expect_echo(&mut old, b"stays").await;
    proxy.set_upstream(None);
    expect_no_connection(&proxy).await;
    assert_eq!(proxy.addr(), port);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_handle_closes_everything() {
    let (proxy, server) = proxied().await;
    let (mut client, mut server) = pair(&proxy, &server).await;
    let (addr, other) = (proxy.addr(), proxy.clone());
    drop(proxy);
    send(&mut client, b"still there").await;
    expect(&mut server, b"still there").await;
    drop(other);
    assert_eq!(expect_close(&mut client).await, b"");
    assert_eq!(expect_close(&mut server).await, b"");
    let free = async {
        while TcpListener::bind(addr).await.is_err() {
            tokio::task::yield_now().await;
        }
    };
    within("a free port", free).await;
}
