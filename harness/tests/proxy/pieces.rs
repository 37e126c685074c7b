//! Whatever the pieces that bytes come in and whatever faults come and go that keep a connection open: what arrives
//! is what was sent, each way.

use crosscheck_harness::proxy::{Direction, Distribution, HealMode, NetFault, Way};
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::*;

/// What happens to a connection.
#[derive(Debug, Clone)]
enum Step {
    /// One end sends so many bytes.
    Send(Direction, usize),
    Inject(NetFault),
    /// What a cut held is delivered.
    Heal(NetFault),
}

fn way() -> impl Strategy<Value = Way> {
    prop_oneof![Just(Way::Both), Just(Way::Requests), Just(Way::Replies)]
}

/// Faults that lose nothing.
fn fault() -> impl Strategy<Value = NetFault> {
    let distribution =
        prop_oneof![Just(Distribution::Uniform), Just(Distribution::Normal), Just(Distribution::Pareto)];
    prop_oneof![
        Just(NetFault::CutBoth),
        Just(NetFault::CutRequests),
        Just(NetFault::CutReplies),
        (0..4_u64, 0..3_u64, distribution, way()).prop_map(|(delay_ms, jitter_ms, distribution, way)| {
            NetFault::Latency { delay_ms, jitter_ms, distribution, way }
        }),
        (200_000..9_000_000_u64, way())
            .prop_map(|(bytes_per_s, way)| NetFault::Bandwidth { bytes_per_s, way }),
        (500..9000_usize, way()).prop_map(|(max_bytes, way)| NetFault::Slice { max_bytes, gap_ms: 0, way }),
        (0..30_u64, way()).prop_map(|(delay_ms, way)| NetFault::SlowClose { delay_ms, way }),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    let direction = prop_oneof![Just(Direction::Requests), Just(Direction::Replies)];
    let size = prop_oneof![1..10_usize, 10..2000_usize, 2000..150_000_usize];
    prop_oneof![
        4 => (direction, size).prop_map(|(direction, len)| Step::Send(direction, len)),
        2 => fault().prop_map(Step::Inject),
        1 => fault().prop_map(Step::Heal),
    ]
}

/// Bytes by their place in the stream, so that none can be lost, doubled or moved unseen.
fn bytes(from: usize, len: usize) -> Vec<u8> {
    (from..from + len).map(|at| (at.wrapping_mul(0x9E37_79B1) >> 11) as u8).collect()
}

async fn play(steps: Vec<Step>) {
    let (proxy, listener) = proxied().await;
    let (client, server) = pair(&proxy, &listener).await;
    let (mut from_server, mut to_server) = client.into_split();
    let (mut from_client, mut to_client) = server.into_split();
    let reading = tokio::spawn(async move {
        let (mut requests, mut replies) = (Vec::new(), Vec::new());
        let (read, answered) =
            tokio::join!(from_client.read_to_end(&mut requests), from_server.read_to_end(&mut replies));
        read.and(answered).expect("the connection stays open");
        (requests, replies)
    });
    let mut sent = [0, 0];
    let mut in_force: Vec<NetFault> = Vec::new();
    for step in steps {
        match step {
            Step::Inject(fault) => {
                proxy.inject(fault);
                in_force.push(fault);
            }
            Step::Heal(fault) => {
                proxy.heal_only(&fault, HealMode::Flush).expect("a port is free");
                in_force.retain(|other| *other != fault);
            }
            Step::Send(direction, len) => {
                let (to, at) = match direction {
                    Direction::Requests => (&mut to_server, &mut sent[0]),
                    Direction::Replies => (&mut to_client, &mut sent[1]),
                };
                if in_force.iter().any(|fault| fault.cuts(direction)) {
                    // With its buffers full a sender waits for the heal: as little as fits for sure.
                    let small = bytes(*at, len.min(2000));
                    send_all(to, &small).await;
                    *at += small.len();
                } else {
                    send_all(to, &bytes(*at, len)).await;
                    *at += len;
                }
            }
        }
    }
    proxy.heal_with(HealMode::Flush).expect("a port is free");
    to_server.shutdown().await.expect("it is open");
    to_client.shutdown().await.expect("it is open");
    let (requests, replies) = within("all that was sent", reading).await.expect("it does not panic");
    assert!(requests == bytes(0, sent[0]), "{} of {} bytes of requests", requests.len(), sent[0]);
    assert!(replies == bytes(0, sent[1]), "{} of {} bytes of replies", replies.len(), sent[1]);
}

async fn send_all(to: &mut (impl AsyncWriteExt + Unpin), bytes: &[u8]) {
    within("a sender that nothing cuts", to.write_all(bytes)).await.expect("the connection stays open");
}

#[test]
fn what_arrives_is_what_was_sent() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.expect("a runtime starts");
    let mut runner = TestRunner::new(Config { cases: 60, failure_persistence: None, ..Config::default() });
    let steps = prop::collection::vec(step(), 1..25);
    let checked = runner.run(&steps, |steps| {
        runtime.block_on(play(steps));
        Ok(())
    });
    checked.unwrap_or_else(|failure| panic!("{failure}"));
}
