//! The life of one connection: waits for a way to the server, connects, carries, and ends it in order or by
//! a reset.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt::set_socket_linger;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::Shared;
use super::fault::Direction;
use super::gate::Link;
use super::pump::{Broken, Pump};
use super::stats::add;

/// How long a server may take to accept before its client is told that there is none.
const CONNECT_BOUND: Duration = Duration::from_secs(10);

/// Carries `client` to the upstream and back until it ends. Dropping the future closes both sides.
pub(super) async fn serve(shared: Arc<Shared>, link: Arc<Link>, client: Arc<TcpStream>) {
    let registered = Registered { shared: &shared, number: link.number };
    let mut server = None;
    let ended = carry(&shared, &link, &client, &mut server).await;
    if let Err(broken) = ended {
        let resets = match broken {
            Broken::ByFault => &link.counters.reset_by_fault,
            Broken::ByPeer => &link.counters.reset_by_peer,
            Broken::NoUpstream => &link.counters.without_upstream,
        };
        add(resets, 1);
        reset(&client);
        server.iter().for_each(|server| reset(server));
    }
    drop(registered);
}

/// Has `stream` close with a reset instead of in order.
pub(super) fn reset(stream: &TcpStream) {
    // It fails only on a socket that is already dead, which needs no reset.
    let _ = stream.set_zero_linger();
}

async fn carry(
    shared: &Shared,
    link: &Link,
    client: &TcpStream,
    server: &mut Option<Arc<TcpStream>>,
) -> Result<(), Broken> {
    let _ = client.set_nodelay(true);
    let mut requests = Pump::new(shared, link, Direction::Requests);
    let mut replies = Pump::new(shared, link, Direction::Replies);
    let ended = async {
        requests.hold(client).await?;
        let connected = tokio::select! {
            () = link.doomed() => return Err(Broken::ByFault),
            connected = connect(shared, link) => connected,
        };
        let server = server.insert(connected.map_err(|_| Broken::NoUpstream)?);
        tokio::try_join!(requests.run(client, server), replies.run(server, client))?;
        Ok(())
    }
    .await;
    requests.abandon();
    replies.abandon();
    ended
}

/// The upstream is looked up for each connection, as a restarted server may have another port.
async fn connect(shared: &Shared, link: &Link) -> io::Result<Arc<TcpStream>> {
    let upstream = shared.upstream_of(link).ok_or(io::ErrorKind::NotConnected)?;
    let socket = if upstream.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // A fault may end this attempt when the server's kernel has already accepted it: that is a reset, too.
    socket.set_zero_linger()?;
    let stream = Arc::new(timeout(CONNECT_BOUND, socket.connect(upstream)).await??);
    // The system may choose a dead server's port as the local one, and then connects the socket to itself.
    if stream.local_addr()? == stream.peer_addr()? {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    link.attach(Direction::Replies, &stream);
    set_socket_linger(&*stream, None)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Takes the connection off the books, also when its task is dropped.
struct Registered<'a> {
    shared: &'a Shared,
    number: u64,
}

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.shared.forget(self.number);
    }
}
