//! The stable port: listens on it, refuses on it, and never lets go of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{fmt, io};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::task::JoinSet;

use super::Shared;
use super::connection::{reset, serve};

const BACKLOG: u32 = 1024;
/// How long to leave a system alone that cannot accept now (out of descriptors, say).
const ACCEPT_RETRY: Duration = Duration::from_millis(10);

/// A port that can refuse connections and listen again without ever being anybody else's.
///
/// A second socket is bound to the port for the whole life and never listens. It keeps the port reserved
/// while the listener is closed, and the kernel refuses whoever connects then.
pub(super) struct Port {
    addr: SocketAddr,
    runtime: Handle,
    _reserved: TcpSocket,
    listener: Mutex<Option<Arc<TcpListener>>>,
    changed: Notify,
}

impl fmt::Debug for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Port").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl Port {
    /// Reserves a loopback port of the system's choice and listens on it.
    pub(super) fn open(runtime: Handle) -> io::Result<Port> {
        let reserved = bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let addr = reserved.local_addr()?;
        let port =
            Port { addr, runtime, _reserved: reserved, listener: Mutex::new(None), changed: Notify::new() };
        port.listen()?;
        Ok(port)
    }

    pub(super) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Listens, if it does not. Whoever connects after the return is accepted.
    pub(super) fn listen(&self) -> io::Result<()> {
        let mut listener = self.listener.lock().unwrap_or_else(PoisonError::into_inner);
        if listener.is_none() {
            let _entered = self.runtime.enter();
            *listener = Some(Arc::new(bind(self.addr)?.listen(BACKLOG)?));
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Has the listener closed. Connections that the kernel still accepts meanwhile are reset when seen.
    pub(super) fn refuse(&self) {
        *self.listener.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.changed.notify_one();
    }

    fn current(&self) -> Option<Arc<TcpListener>> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.set_reuseport(true)?;
    socket.bind(addr)?;
    Ok(socket)
}

/// Accepts and serves connections for ever. Dropping the future closes them all.
pub(super) async fn accept(shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        let listener = shared.port.current();
        tokio::select! {
            () = shared.port.changed.notified() => {}
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
            accepted = accept_one(listener.as_deref()) => match accepted {
                Ok((client, peer)) => {
                    let client = Arc::new(client);
                    match shared.admit(&client, peer) {
                        Some(link) => drop(connections.spawn(serve(shared.clone(), link, client))),
                        None => reset(&client),
                    }
                }
                Err(_) => tokio::time::sleep(ACCEPT_RETRY).await,
            },
        }
    }
}

async fn accept_one(listener: Option<&TcpListener>) -> io::Result<(TcpStream, SocketAddr)> {
    match listener {
        Some(listener) => listener.accept().await,
        None => std::future::pending().await,
    }
}
