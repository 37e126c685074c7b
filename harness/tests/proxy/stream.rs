//! No byte is lost, doubled or reordered on a connection that stays open, and buffers are bounded.

use std::io::ErrorKind;
use std::time::Duration;

use crosscheck_harness::proxy::{Direction, Distribution, HealMode, NetFault, Proxy, Way};
use rand::{Rng, RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep, timeout};

use crate::support::*;

const MB: usize = 1 << 20;

/// Sends `len` seeded bytes in chunks of random sizes on each end, and checks what arrives at the other.
async fn exchange(client: TcpStream, server: TcpStream, len: usize, seed: u64) {
    let (from_server, to_server) = client.into_split();
    let (from_client, to_client) = server.into_split();
    within("exchange", async {
        tokio::join!(
            write_seeded(to_server, len, seed),
            write_seeded(to_client, len, seed + 1),
            read_seeded(from_client, len, seed),
            read_seeded(from_server, len, seed + 1)
        )
    })
    .await;
}

fn seeded(len: usize, seed: u64) -> Vec<u8> {
    let mut bytes = vec![0; len];
    ChaCha8Rng::seed_from_u64(seed).fill_bytes(&mut bytes);
    bytes
}

async fn write_seeded(mut to: impl AsyncWriteExt + Unpin, len: usize, seed: u64) {
    let bytes = seeded(len, seed);
    let mut random = ChaCha8Rng::seed_from_u64(seed ^ 0xabc);
    let mut rest = &bytes[..];
    while !rest.is_empty() {
        let magnitude = random.random_range(0..18);
        let (chunk, next) = rest.split_at(random.random_range(1..=1_usize << magnitude).min(rest.len()));
        to.write_all(chunk).await.unwrap();
        rest = next;
    }
    to.shutdown().await.unwrap();
}

async fn read_seeded(mut from: impl AsyncReadExt + Unpin, len: usize, seed: u64) {
    let mut got = Vec::with_capacity(len);
    from.read_to_end(&mut got).await.unwrap();
    assert!(got == seeded(len, seed), "{} bytes arrived, not the {len} that were sent", got.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_bytes_arrive_in_order_whatever_the_shape() {
    let shapes: &[(usize, &[NetFault])] = &[
        (8 * MB, &[]),
        (
            4 * MB,
            &[NetFault::Latency {
                delay_ms: 4,
                jitter_ms: 3,
                distribution: Distribution::Uniform,
                way: Way::Both,
            }],
        ),
        (MB, &[NetFault::Slice { max_bytes: 700, gap_ms: 0, way: Way::Both }]),
        (MB / 8, &[NetFault::Slice { max_bytes: 2000, gap_ms: 1, way: Way::Requests }]),
        (4 * MB, &[NetFault::Bandwidth { bytes_per_s: 10_000_000, way: Way::Both }]),
        (
            2 * MB,
            &[
                NetFault::Latency {
                    delay_ms: 2,
                    jitter_ms: 2,
                    distribution: Distribution::Uniform,
                    way: Way::Replies,
                },
                NetFault::Slice { max_bytes: 40_000, gap_ms: 1, way: Way::Both },
                NetFault::Bandwidth { bytes_per_s: 20_000_000, way: Way::Both },
            ],
        ),
    ];
    for (seed, (len, faults)) in (0..).step_by(2).zip(shapes) {
        let (proxy, server) = proxied().await;
        faults.iter().for_each(|fault| proxy.inject(*fault));
        let (client, server) = pair(&proxy, &server).await;
        exchange(client, server, *len, seed).await;
        let stats = until(&proxy, |stats| stats.open == 0).await;
        assert_eq!(stats.requests.forwarded_bytes, *len as u64);
        assert_eq!(stats.replies.forwarded_bytes, *len as u64);
        assert_eq!((stats.reset_by_fault, stats.reset_by_peer), (0, 0));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_that_come_and_go_under_way_lose_nothing() {
    let faults = [
        NetFault::CutBoth,
        NetFault::Latency { delay_ms: 5, jitter_ms: 5, distribution: Distribution::Uniform, way: Way::Both },
        NetFault::CutReplies,
        NetFault::Slice { max_bytes: 3000, gap_ms: 0, way: Way::Both },
        NetFault::CutRequests,
    ];
    let (proxy, server) = proxied().await;
    let (client, server) = pair(&proxy, &server).await;
    // Slow enough that windows of all faults fit in, however late this task gets to run.
    proxy.inject(NetFault::Bandwidth { bytes_per_s: 10_000_000, way: Way::Both });
    let exchange = tokio::spawn(exchange(client, server, 6 * MB, 40));
    let mut windows = 0;
    for fault in faults.iter().cycle().take_while(|_| !exchange.is_finished()) {
        windows += 1;
        let before = proxy.stats();
        proxy.inject(*fault);
        let took = async {
            loop {
                let stats = proxy.stats();
                let took = Direction::ALL.iter().all(|direction| {
                    let (now, before) = (stats.flow(*direction), before.flow(*direction));
                    if fault.cuts(*direction) {
                        now.held_bytes > before.held_bytes
                    } else {
                        now.forwarded_bytes > before.forwarded_bytes
                    }
                });
                if took || exchange.is_finished() {
                    return;
                }
                sleep(Duration::from_millis(1)).await;
            }
        };
        // One direction may be done before the other, and then shows nothing any more.
        let _ = timeout(Duration::from_millis(200), took).await;
        proxy.heal_only(fault, HealMode::Flush).unwrap();
    }
    exchange.await.unwrap();
    let stats = proxy.stats();
    assert!(windows >= faults.len(), "only {windows} windows");
    assert!(stats.requests.held_bytes > 0 && stats.replies.held_bytes > 0, "{stats:?}");
    assert_eq!((stats.requests.dropped_bytes, stats.replies.dropped_bytes), (0, 0));
}

/// Writes until the connection takes no more.
async fn fill(proxy: &Proxy, client: &TcpStream, buffered: u64) -> u64 {
    let block = vec![7; 32 * 1024];
    let mut written = 0;
    let filling = async {
        loop {
            match client.try_write(&block) {
                Ok(len) => written += len as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    let flow = proxy.stats().requests;
                    if flow.read_bytes - flow.forwarded_bytes == buffered {
                        return;
                    }
                    sleep(Duration::from_millis(1)).await;
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    within("a full connection", filling).await;
    written
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_does_not_read_stops_its_writer() {
    let (proxy, server) = proxied().await;
    let (client, mut reader) = pair(&proxy, &server).await;
    let block = vec![7; 32 * 1024];
    let mut written = 0_u64;
    // Full is when the client has not been able to write for a while, and the proxy holds some of it.
    let mut since = Instant::now();
    while since.elapsed() < Duration::from_millis(300) {
        match client.try_write(&block) {
            Ok(len) => {
                written += len as u64;
                since = Instant::now();
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => sleep(Duration::from_millis(1)).await,
            Err(error) => panic!("{error}"),
        }
        let flow = proxy.stats().requests;
        assert!(flow.read_bytes - flow.forwarded_bytes <= 64 * 1024, "{flow:?}");
    }
    drop(client);
    let got = expect_close(&mut reader).await;
    assert_eq!(got.len() as u64, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_holds_a_bounded_part() {
    let (proxy, server) = proxied().await;
    let (client, mut reader) = pair(&proxy, &server).await;
    proxy.inject(NetFault::CutRequests);
    let written = fill(&proxy, &client, 256 * 1024).await;
    assert!(written > 256 * 1024, "the kernel buffers some as well");
    let stats = proxy.stats();
    assert_eq!(stats.requests.held_bytes, 256 * 1024);
    assert_eq!(stats.requests.forwarded_bytes, 0);
    proxy.heal_with(HealMode::Flush).unwrap();
    drop(client);
    assert_eq!(expect_close(&mut reader).await.len() as u64, written);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn delays_do_not_add_up() {
    let proxy = echoing().await;
    proxy.inject(NetFault::Latency {
        delay_ms: 60,
        jitter_ms: 0,
        distribution: Distribution::Uniform,
        way: Way::Requests,
    });
    let mut client = connect(&proxy).await;
    let start = Instant::now();
    let mut sent = 0;
    while sent < 40 {
        send(&mut client, b"x").await;
        sent += 1;
        until(&proxy, |stats| stats.requests.read_bytes == sent).await;
    }
    expect(&mut client, &[b'x'; 40]).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(60), "{took:?}");
    assert!(took < Duration::from_millis(40 * 60), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rate_limits() {
    let proxy = echoing().await;
    proxy.inject(NetFault::Bandwidth { bytes_per_s: 100_000, way: Way::Replies });
    let mut client = connect(&proxy).await;
    let start = Instant::now();
    expect_echo(&mut client, &[b'x'; 30_000]).await;
    let took = start.elapsed();
    assert!(took >= Duration::from_millis(270), "{took:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slices_arrive_apart() {
    let (proxy, server) = proxied().await;
    proxy.inject(NetFault::Slice { max_bytes: 3, gap_ms: 20, way: Way::Requests });
    let (mut client, mut server) = pair(&proxy, &server).await;
    send(&mut client, b"abcdefgh").await;
    let mut parts = Vec::new();
    while parts.iter().map(Vec::len).sum::<usize>() < 8 {
        let mut part = vec![0; 8];
        let len = within("a slice", server.read(&mut part)).await.unwrap();
        part.truncate(len);
        parts.push(part);
    }
    assert_eq!(parts.concat(), b"abcdefgh");
    assert!(parts[0].len() <= 3 && parts.len() > 1, "{parts:?}");
}
