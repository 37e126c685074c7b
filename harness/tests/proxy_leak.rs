//! Thousands of connections leave nothing behind. Alone in its process, as it counts descriptors.

use std::time::Duration;

use crosscheck_harness::proxy::{NetFault, Proxy};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// One after the other.
const CONNECTIONS: u64 = 10_000;

fn open_descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

async fn echo_one(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut byte = [0];
    stream.read_exact(&mut byte).await?;
    stream.write_all(&byte).await
}

async fn back_to(base: usize, proxy: &Proxy) {
    let back = async {
        while open_descriptors() > base || proxy.stats().open > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let found = timeout(Duration::from_secs(10), back).await;
    assert!(found.is_ok(), "{} descriptors, {base} before; {:?}", open_descriptors(), proxy.stats());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_leave_nothing_behind() {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::bind("db").await.unwrap();
    proxy.set_upstream(server.local_addr().unwrap());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            tokio::spawn(async move { echo_one(&mut stream).await });
        }
    });
    let base = open_descriptors();
    let tasks = tokio::runtime::Handle::current().metrics().num_alive_tasks();
    for _ in 0..CONNECTIONS {
        let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
        client.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
    }
    assert_eq!(proxy.stats().accepted, CONNECTIONS);
    back_to(base, &proxy).await;
    let gone = async {
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > tasks {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), gone).await.expect("no task outlives its connection");
    for fault in [NetFault::CutBoth, NetFault::CutReplies, NetFault::Refuse] {
        for _ in 0..50 {
            let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
            proxy.inject(fault);
            // Under the faults that reset, this may fail.
            let _ = client.write_all(b"x").await;
            drop(client);
            proxy.verify().await.unwrap();
            proxy.heal().unwrap();
        }
        back_to(base, &proxy).await;
    }
}
