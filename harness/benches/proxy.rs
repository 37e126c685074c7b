//! What the proxy costs: a hop more for a small round trip, and bulk throughput, each beside the direct way.
//!
//! Prints percentiles of its own first, as criterion reports means: the bar is p50 of an added hop.

use std::hint::black_box;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use crosscheck_harness::proxy::Proxy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

const MESSAGE_BYTES: usize = 256;
const BULK_BYTES: usize = 256 << 20;
const ROUNDS: usize = 20_000;

struct Ways {
    runtime: Runtime,
    direct: SocketAddr,
    proxied: SocketAddr,
    _proxy: Proxy,
}

/// The same server, reached both ways.
fn ways(server: fn(TcpStream) -> tokio::task::JoinHandle<()>) -> Ways {
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("threads");
    let (direct, proxy) = runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let direct = listener.local_addr().expect("a bound socket has an address");
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                server(stream);
            }
        });
        let proxy = Proxy::bind("bench").await.expect("a free port");
        proxy.set_upstream(direct);
        (direct, proxy)
    });
    Ways { runtime, direct, proxied: proxy.addr(), _proxy: proxy }
}

fn echo(mut stream: TcpStream) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut message = [0; MESSAGE_BYTES];
        let _ = stream.set_nodelay(true);
        while stream.read_exact(&mut message).await.is_ok() && stream.write_all(&message).await.is_ok() {}
    })
}

/// Reads to the end and then says so with a byte.
fn sink(mut stream: TcpStream) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        let mut block = vec![0; 256 << 10];
        while stream.read(&mut block).await.is_ok_and(|len| len > 0) {}
        let _ = stream.write_all(b".").await;
    })
}

impl Ways {
    fn named(&self) -> [(&'static str, SocketAddr); 2] {
        [("direct", self.direct), ("proxied", self.proxied)]
    }

    fn round_trips(&self, addr: SocketAddr, rounds: usize) -> Vec<Duration> {
        let task = self.runtime.spawn(async move {
            let mut stream = TcpStream::connect(addr).await.expect("a listening server");
            stream.set_nodelay(true).expect("an open socket");
            let mut message = [7; MESSAGE_BYTES];
            let mut times = Vec::with_capacity(rounds);
            for _ in 0..rounds {
                let start = Instant::now();
                stream.write_all(&message).await.expect("an open connection");
                stream.read_exact(&mut message).await.expect("an echo");
                times.push(start.elapsed());
            }
            times
        });
        self.runtime.block_on(task).expect("no panic")
    }

    fn bulk(&self, addr: SocketAddr) -> Duration {
        let task = self.runtime.spawn(async move {
            let mut stream = TcpStream::connect(addr).await.expect("a listening server");
            let block = vec![7; 256 << 10];
            let start = Instant::now();
            for _ in 0..BULK_BYTES / block.len() {
                stream.write_all(black_box(&block)).await.expect("an open connection");
            }
            stream.shutdown().await.expect("an open connection");
            stream.read_exact(&mut [0]).await.expect("the sink's end");
            start.elapsed()
        });
        self.runtime.block_on(task).expect("no panic")
    }
}

fn hop(criterion: &mut Criterion) {
    let ways = ways(echo);
    let mut p50 = Vec::new();
    for (name, addr) in ways.named() {
        ways.round_trips(addr, ROUNDS / 10);
        let mut times = ways.round_trips(addr, ROUNDS);
        times.sort();
        p50.push(times[ROUNDS / 2]);
        println!(
            "echo {MESSAGE_BYTES} B {name}: p50 {:?} p99 {:?}",
            times[ROUNDS / 2],
            times[ROUNDS / 100 * 99]
        );
    }
    println!("added hop: p50 {:?}", p50[1].saturating_sub(p50[0]));
    let mut group = criterion.benchmark_group("echo");
    for (name, addr) in ways.named() {
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| ways.round_trips(addr, rounds as usize).iter().sum());
        });
    }
    group.finish();
}

fn bulk(criterion: &mut Criterion) {
    let ways = ways(sink);
    let mut group = criterion.benchmark_group("bulk");
    group.throughput(Throughput::Bytes(BULK_BYTES as u64)).sample_size(10);
    for (name, addr) in ways.named() {
        let mut times: Vec<_> = (0..7).map(|_| ways.bulk(addr)).collect();
        times.sort();
        println!("bulk {name}: median {:.2} GB/s", BULK_BYTES as f64 / times[3].as_secs_f64() / 1e9);
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|rounds| (0..rounds).map(|_| ways.bulk(addr)).sum());
        });
    }
    group.finish();
}

criterion_group! {
    name = proxy;
    config = Criterion::default().warm_up_time(Duration::from_secs(1)).measurement_time(Duration::from_secs(4));
    targets = hop, bulk
}
criterion_main!(proxy);
