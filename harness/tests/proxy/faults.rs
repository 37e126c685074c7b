//! Each fault takes at once, holds for existing and for new connections, and heals.

use std::io::ErrorKind;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};

use crosscheck_harness::proxy::{Direction, Distribution, HealMode, NetFault, Way};
use tokio::net::TcpStream;

use crate::support::*;

const ALL: [NetFault; 13] = [
    NetFault::CutBoth,
    NetFault::CutRequests,
    NetFault::CutReplies,
    NetFault::Refuse,
    NetFault::Reset,
    NetFault::ResetAfter { bytes: 3, direction: Direction::Replies },
    NetFault::ResetAfter { bytes: 5000, direction: Direction::Requests },
    NetFault::Latency { delay_ms: 30, jitter_ms: 10, distribution: Distribution::Uniform, way: Way::Both },
    NetFault::Bandwidth { bytes_per_s: 1000, way: Way::Both },
    NetFault::Slice { max_bytes: 2, gap_ms: 1, way: Way::Replies },
    NetFault::Latency { delay_ms: 20, jitter_ms: 10, distribution: Distribution::Normal, way: Way::Both },
    NetFault::Latency { delay_ms: 20, jitter_ms: 5, distribution: Distribution::Pareto, way: Way::Replies },
    NetFault::SlowClose { delay_ms: 40, way: Way::Both },
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_fault_verifies_that_it_took_and_that_it_healed() {
    let proxy = echoing().await;
    for fault in ALL {
        let mut client = connect(&proxy).await;
        expect_echo(&mut client, b"before").await;
        proxy.inject(fault);
        assert_eq!(proxy.faults(), [fault]);
        proxy.verify().await.unwrap_or_else(|reason| panic!("{fault:?}: {reason}"));
        proxy.heal().unwrap();
        assert_eq!(proxy.faults(), []);
        proxy.verify().await.unwrap_or_else(|reason| panic!("after {fault:?}: {reason}"));
        expect_echo(&mut connect(&proxy).await, b"after").await;
    }
    let stats = until(&proxy, |stats| stats.open == 0).await;
    assert_eq!(stats.requests.forwarded_bytes, 11 * ALL.len() as u64, "probes are not counted: {stats:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_request_never_arrives_after_a_heal_that_resets() {
    for fault in [NetFault::CutBoth, NetFault::CutRequests] {
        let (proxy, listener) = proxied().await;
        let (mut client, mut server) = pair(&proxy, &listener).await;
        let (mut silent, mut silent_server) = pair(&proxy, &listener).await;
        proxy.inject(fault);
        send(&mut client, b"COMMIT").await;
        until(&proxy, |stats| stats.requests.held_bytes == 6).await;
        proxy.heal().unwrap();
        assert_eq!(expect_reset(&mut client).await, b"");
        assert_eq!(expect_reset(&mut server).await, b"");
        send(&mut silent, b"untouched").await;
        expect(&mut silent_server, b"untouched").await;
        // Counted once it is sent on: the server may have it by then.
        let stats = until(&proxy, |stats| stats.requests.forwarded_bytes == 9).await;
        assert_eq!((stats.reset_by_fault, stats.requests.dropped_bytes), (1, 6));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_sent_just_before_the_heal_is_held_as_well() {
    let (proxy, listener) = proxied().await;
    for _ in 0..200 {
        let (mut client, mut server) = pair(&proxy, &listener).await;
        proxy.inject(NetFault::CutRequests);
        send(&mut client, b"COMMIT").await;
        proxy.heal().unwrap();
        assert_eq!(expect_reset(&mut server).await, b"");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_is_in_force_when_the_injection_returns() {
    let (proxy, listener) = proxied().await;
    for _ in 0..200 {
        let (mut client, server) = pair(&proxy, &listener).await;
        proxy.inject(NetFault::CutRequests);
        let held = proxy.stats().requests.held_bytes;
        send(&mut client, b"late").await;
        let stats = until(&proxy, |stats| stats.requests.held_bytes == held + 4).await;
        assert_eq!(stats.requests.forwarded_bytes, 0);
        proxy.heal().unwrap();
        drop((client, server));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_request_arrives_late_after_a_heal_that_flushes() {
    let (proxy, listener) = proxied().await;
    let (mut client, mut server) = pair(&proxy, &listener).await;
    proxy.inject(NetFault::CutBoth);
    send(&mut client, b"COMMIT").await;
    send(&mut server, b"NOTICE").await;
    until(&proxy, |stats| stats.requests.held_bytes == 6 && stats.replies.held_bytes == 6).await;
    proxy.heal_with(HealMode::Flush).unwrap();
    expect(&mut server, b"COMMIT").await;
    expect(&mut client, b"NOTICE").await;
    assert_eq!(proxy.stats().reset_by_fault, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn cut_replies_let_the_request_take_effect_and_nobody_hear_of_it() {
    let (proxy, listener) = proxied().await;
    let (mut existing, mut existing_server) = pair(&proxy, &listener).await;
    proxy.inject(NetFault::CutReplies);
    let (mut new, mut new_server) = pair(&proxy, &listener).await;
    for (client, server) in [(&mut existing, &mut existing_server), (&mut new, &mut new_server)] {
        send(client, b"COMMIT").await;
        expect(server, b"COMMIT").await;
        send(server, b"done").await;
    }
    until(&proxy, |stats| stats.replies.held_bytes == 8).await;
    proxy.heal().unwrap();
    for stream in [&mut existing, &mut existing_server, &mut new, &mut new_server] {
        assert_eq!(expect_reset(stream).await, b"");
    }
    assert_eq!(proxy.stats().replies.forwarded_bytes, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_connection_during_a_cut_reaches_nobody_until_the_heal() {
    for (speaks, mode) in [(false, HealMode::Reset), (true, HealMode::Reset), (true, HealMode::Flush)] {
        let (proxy, listener) = proxied().await;
        proxy.inject(NetFault::CutBoth);
        let mut client = connect(&proxy).await;
        if speaks {
            send(&mut client, b"hello").await;
            until(&proxy, |stats| stats.requests.held_bytes == 5).await;
        }
        proxy.verify().await.unwrap();
        let nobody = std::future::poll_fn(|context| {
            std::task::Poll::Ready(listener.poll_accept(context).is_pending())
        });
        assert!(nobody.await, "the server saw a connection through a cut");
        proxy.heal_with(mode).unwrap();
        match (speaks, mode) {
            (true, HealMode::Reset) => assert_eq!(expect_reset(&mut client).await, b""),
            (true, HealMode::Flush) => expect(&mut accept(&listener).await, b"hello").await,
            (false, _) => {
                let mut server = accept(&listener).await;
                send(&mut server, b"greeting").await;
                expect(&mut client, b"greeting").await;
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_cuts_one_may_heal() {
    let (proxy, listener) = proxied().await;
    let (mut client, mut server) = pair(&proxy, &listener).await;
    proxy.inject(NetFault::CutBoth);
    proxy.inject(NetFault::CutReplies);
    send(&mut client, b"request").await;
    send(&mut server, b"reply").await;
    until(&proxy, |stats| stats.requests.held_bytes == 7 && stats.replies.held_bytes == 5).await;
    proxy.heal_only(&NetFault::CutBoth, HealMode::Flush).unwrap();
    expect(&mut server, b"request").await;
    assert_eq!(proxy.stats().replies.forwarded_bytes, 0);
    proxy.heal_only(&NetFault::CutReplies, HealMode::Flush).unwrap();
    expect(&mut client, b"reply").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refuse_resets_what_is_there_refuses_what_comes_and_listens_again_at_once() {
    let proxy = echoing().await;
    for _ in 0..50 {
        let mut client = connect(&proxy).await;
        expect_echo(&mut client, b"before").await;
        proxy.inject(NetFault::Refuse);
        expect_reset(&mut client).await;
        proxy.verify().await.unwrap();
        let refused = TcpStream::connect(proxy.addr()).await;
        assert_eq!(refused.map_err(|error| error.kind()).err(), Some(ErrorKind::ConnectionRefused));
        proxy.heal().unwrap();
        expect_echo(&mut connect(&proxy).await, b"after").await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_probe_passes_for_a_client_that_was_refused() {
    let proxy = echoing().await;
    for _ in 0..200 {
        proxy.inject(NetFault::Refuse);
        proxy.verify().await.unwrap();
        proxy.heal().unwrap();
    }
    let stats = proxy.stats();
    assert_eq!((stats.accepted, stats.reset_by_fault, stats.refused), (0, 0, 0));
    proxy.was_refused();
    assert_eq!(proxy.stats().refused, 0, "it refuses nobody now");
    proxy.inject(NetFault::Refuse);
    proxy.was_refused();
    assert_eq!(proxy.stats().refused, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_ends_existing_and_new_connections_on_both_sides() {
    let (proxy, listener) = proxied().await;
    let (mut client, mut server) = pair(&proxy, &listener).await;
    proxy.inject(NetFault::Reset);
    expect_reset(&mut client).await;
    expect_reset(&mut server).await;
    proxy.verify().await.unwrap();
    assert_eq!(proxy.stats().reset_by_fault, 1, "the probe is not counted");
    proxy.heal().unwrap();
    let (mut client, mut server) = pair(&proxy, &listener).await;
    send(&mut client, b"again").await;
    expect(&mut server, b"again").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reset_after_lets_exactly_as_many_bytes_cross() {
    for direction in Direction::ALL {
        for bytes in [0, 1, 17, 100_000] {
            let (proxy, listener) = proxied().await;
            let (client, server) = pair(&proxy, &listener).await;
            let (mut sender, mut receiver) = match direction {
                Direction::Requests => (client, server),
                Direction::Replies => (server, client),
            };
            send(&mut sender, b"not counted").await;
            expect(&mut receiver, b"not counted").await;
            let received = tokio::spawn(async move { expect_reset(&mut receiver).await });
            proxy.inject(NetFault::ResetAfter { bytes, direction });
            // The reset may come before all is sent.
            let block = [b'x'; 120_000];
            let _ = within("send", tokio::io::AsyncWriteExt::write_all(&mut sender, &block)).await;
            assert_eq!(received.await.unwrap().len() as u64, bytes, "{direction:?}");
            until(&proxy, |stats| stats.reset_by_fault == 1).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trigger_cuts_exactly_the_reply_to_its_request() {
    let proxy = echoing().await;
    let armed = AtomicBool::new(true);
    proxy.on_bytes(
        Direction::Requests,
        Box::new(move |bytes| {
            let commit = bytes.windows(6).any(|window| window == b"COMMIT");
            (commit && armed.swap(false, SeqCst)).then_some(NetFault::CutReplies)
        }),
    );
    let mut client = connect(&proxy).await;
    expect_echo(&mut client, b"BEGIN").await;
    send(&mut client, b"COMMIT").await;
    until(&proxy, |stats| stats.replies.held_bytes == 6).await;
    let stats = proxy.stats();
    assert_eq!((stats.requests.forwarded_bytes, stats.replies.forwarded_bytes), (11, 5));
    proxy.heal().unwrap();
    assert_eq!(expect_reset(&mut client).await, b"");
    expect_echo(&mut connect(&proxy).await, b"COMMIT").await;
}
