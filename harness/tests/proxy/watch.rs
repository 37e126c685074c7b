//! A fault that begins as a request comes, in the protocol that the link speaks.

use std::sync::Arc;

use crosscheck_harness::proxy::{NetFault, Protocol, Sighting};

use crate::support::*;

/// The startup message of protocol 3.0, without parameters.
const STARTUP: [u8; 9] = [0, 0, 0, 9, 0, 3, 0, 0, 0];

fn statement(sql: &str) -> Vec<u8> {
    let len = u32::try_from(sql.len() + 5).unwrap().to_be_bytes();
    [b"Q", &len[..], sql.as_bytes(), b"\0"].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reply_to_the_third_commit_is_cut_and_the_commit_arrives() {
    let (proxy, listener) = proxied().await;
    proxy.speaks(Protocol::Postgres);
    let mut pairs = [pair(&proxy, &listener).await, pair(&proxy, &listener).await];
    for (client, server) in &mut pairs {
        send(client, &STARTUP).await;
        expect(server, &STARTUP).await;
    }
    let sighting = Arc::new(Sighting::new("commit", 3));
    proxy.watch(&sighting, Some(NetFault::CutReplies));
    let commit = statement("COMMIT");
    for turn in 0..3 {
        let (client, server) = &mut pairs[turn % 2];
        // Split in the middle of a frame, behind another one.
        let sent = [statement("SELECT 1"), commit.clone()].concat();
        let (first, second) = sent.split_at(sent.len() - 4);
        send(client, first).await;
        expect(server, first).await;
        assert_eq!(sighting.seen(), turn as u64);
        send(client, second).await;
        expect(server, second).await;
        assert_eq!(sighting.seen(), turn as u64 + 1);
        send(server, b"C").await;
        if turn < 2 {
            expect(client, b"C").await;
        }
    }
    within("the third", sighting.came()).await;
    let stats = until(&proxy, |stats| stats.replies.held_bytes == 1).await;
    assert_eq!(stats.replies.forwarded_bytes, 2);
    proxy.verify().await.unwrap();
    proxy.unwatch(&sighting);
    proxy.heal().unwrap();
    assert_eq!(expect_reset(&mut pairs[0].0).await, b"");
    // The other connection was silent in the cut direction and lives on, unwatched.
    let (client, server) = &mut pairs[1];
    send(client, &commit).await;
    expect(server, &commit).await;
    send(server, b"C").await;
    expect(client, b"C").await;
    assert_eq!(sighting.seen(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_request_that_a_cut_of_requests_waits_for_does_not_arrive() {
    let (proxy, listener) = proxied().await;
    proxy.speaks(Protocol::Redis);
    let (mut client, mut server) = pair(&proxy, &listener).await;
    let sighting = Arc::new(Sighting::new("SET k", 1));
    proxy.watch(&sighting, Some(NetFault::CutRequests));
    send(&mut client, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n").await;
    expect(&mut server, b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n").await;
    send(&mut client, b"*3\r\n$3\r\nset\r\n$1\r\nk\r\n$1\r\nv\r\n").await;
    within("the write", sighting.came()).await;
    let stats = until(&proxy, |stats| stats.requests.held_bytes == 27).await;
    assert_eq!(stats.requests.forwarded_bytes, 20);
}
