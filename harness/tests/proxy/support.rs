//! Servers, clients and bounds that the proxy's tests share.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use crosscheck_harness::proxy::{Proxy, ProxyStats};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{sleep, timeout};

/// Nothing here takes as long; it only keeps a broken proxy from hanging the tests.
const BOUND: Duration = Duration::from_secs(20);

pub(crate) async fn within<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(BOUND, future).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {BOUND:?}"),
    }
}

/// A proxy before a listener whose connections the test takes itself.
pub(crate) async fn proxied() -> (Proxy, TcpListener) {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = Proxy::bind("db").await.unwrap();
    proxy.set_upstream(server.local_addr().unwrap());
    (proxy, server)
}

/// A proxy before an echo server.
pub(crate) async fn echoing() -> Proxy {
    let proxy = Proxy::bind("db").await.unwrap();
    proxy.set_upstream(echo_server(b"").await);
    proxy
}

/// A server that greets each connection and then echoes.
pub(crate) async fn echo_server(greeting: &'static [u8]) -> SocketAddr {
    let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = server.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = server.accept().await {
            tokio::spawn(async move {
                stream.write_all(greeting).await?;
                let (mut from, mut to) = stream.split();
                tokio::io::copy(&mut from, &mut to).await?;
                to.shutdown().await
            });
        }
    });
    addr
}

pub(crate) async fn connect(proxy: &Proxy) -> TcpStream {
    let stream = within("connect", TcpStream::connect(proxy.addr())).await.unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

pub(crate) async fn accept(server: &TcpListener) -> TcpStream {
    within("accept", server.accept()).await.unwrap().0
}

/// A client and the server's end of its connection.
pub(crate) async fn pair(proxy: &Proxy, server: &TcpListener) -> (TcpStream, TcpStream) {
    (connect(proxy).await, accept(server).await)
}

pub(crate) async fn send(stream: &mut TcpStream, bytes: &[u8]) {
    within("send", stream.write_all(bytes)).await.unwrap();
}

pub(crate) async fn expect(stream: &mut TcpStream, bytes: &[u8]) {
    let mut got = vec![0; bytes.len()];
    within("receive", stream.read_exact(&mut got)).await.unwrap();
    assert_eq!(got, bytes);
}

pub(crate) async fn expect_echo(stream: &mut TcpStream, bytes: &[u8]) {
    send(stream, bytes).await;
    expect(stream, bytes).await;
}

/// Reads to the end and returns what came before a reset.
pub(crate) async fn expect_reset(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    match within("reset", stream.read_to_end(&mut got)).await {
        Err(error) if error.kind() == ErrorKind::ConnectionReset => got,
        other => panic!("no reset but {other:?} after {} bytes", got.len()),
    }
}

/// Demands that a new connection is accepted and reset, which may be as early as in the connect.
pub(crate) async fn expect_no_connection(proxy: &Proxy) {
    match within("connect", TcpStream::connect(proxy.addr())).await {
        Ok(mut stream) => assert_eq!(expect_reset(&mut stream).await, b""),
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset),
    }
}

/// Reads to the end and demands an orderly one.
pub(crate) async fn expect_close(stream: &mut TcpStream) -> Vec<u8> {
    let mut got = Vec::new();
    within("close", stream.read_to_end(&mut got)).await.unwrap();
    got
}

/// Polls the proxy's counters until they are as wanted.
pub(crate) async fn until(proxy: &Proxy, wanted: impl Fn(&ProxyStats) -> bool) -> ProxyStats {
    let poll = async {
        loop {
            let stats = proxy.stats();
            if wanted(&stats) {
                return stats;
            }
            sleep(Duration::from_millis(1)).await;
        }
    };
    match timeout(BOUND, poll).await {
        Ok(stats) => stats,
        Err(_) => panic!("never as wanted: {:?}", proxy.stats()),
    }
}
