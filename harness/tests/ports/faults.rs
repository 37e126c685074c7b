//! The smallest faults that the suite needs: a forwarder that can be cut, and a port that is dead.

use std::net::SocketAddr;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// Forwards the first connection until it is cut.
pub(crate) struct Forwarder {
    pub(crate) addr: SocketAddr,
    task: JoinHandle<()>,
}

impl Forwarder {
    pub(crate) async fn to(upstream: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let addr = listener.local_addr().expect("the listener is bound");
        let task = tokio::spawn(async move {
            let (mut client, _) = listener.accept().await.expect("the client connects");
            let mut server = TcpStream::connect(upstream).await.expect("the server is up");
            // Either side may end it; the case looks at what its client says.
            let _ = copy_bidirectional(&mut client, &mut server).await;
        });
        Forwarder { addr, task }
    }

    /// Closes both connections.
    pub(crate) fn cut(&self) {
        self.task.abort();
    }
}

/// A port that nobody listens on.
pub(crate) async fn dead_port() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    listener.local_addr().expect("the listener is bound")
}
