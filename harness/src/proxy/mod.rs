//! An in-process TCP fault proxy: every connection from a design to a server goes through one.
//!
//! A [`Proxy`] listens on a loopback port that never changes and looks its upstream up for each new
//! connection, so that a server may come back on another port. Faults ([`NetFault`]) are injected and healed at
//! any time and hold for existing and new connections alike. What it promises:
//!
//! * Once [`Proxy::inject`] has returned, no byte crosses against the fault, also not one that was already read.
//! * On a connection that stays open no byte is ever lost, doubled or reordered.
//! * During a cut *nothing* crosses in that direction: a client that closes or resets its connection is noticed
//!   by the server when the cut is healed, and not before.
//! * Healing a cut resets the connections from which it held anything, and drops that ([`HealMode::Reset`]), or
//!   delivers it late ([`HealMode::Flush`]). A connection that was silent in the cut direction lives on.
//! * Buffers are bounded: 64 KiB in each direction of a connection, 256 KiB while it is cut or shaped. With it
//!   full the proxy stops reading, so that back-pressure (and under latency the throughput) is a real link's.
//! * Half-close passes; both legs have `TCP_NODELAY`.
//!
//! A new connection during a cut of the requests is accepted by the kernel and reaches the server when the cut
//! is healed, if the client has sent nothing yet or the heal flushes. Without an upstream it is reset. (One that
//! the proxy has not accepted yet when it heals counts as new.)

mod connection;
mod fault;
mod frame;
mod gate;
mod jitter;
mod listener;
mod probe;
mod pump;
mod stats;

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock};

use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

pub use fault::{Direction, Distribution, HealMode, NetFault, Way};
pub use frame::{Protocol, Sighting};
pub use stats::{FlowStats, ProxyStats};

use fault::Rules;
use gate::Link;
use listener::Port;
use probe::Target;
use stats::{Counters, add};

/// Looks at bytes that were read and not yet forwarded, and may ask for a fault before they are.
pub type Trigger = Box<dyn Fn(&[u8]) -> Option<NetFault> + Send + Sync>;

/// A proxy could not listen.
#[derive(Debug, thiserror::Error)]
#[error("cannot listen for the proxy `{name}` on {addr}: {source}; check the limits on ports and open files")]
pub struct ProxyError {
    name: String,
    addr: String,
    source: io::Error,
}

/// A handle on a running proxy. Clones share it; dropping the last one closes the port and all connections.
#[derive(Debug, Clone)]
pub struct Proxy {
    life: Arc<Life>,
}

#[derive(Debug)]
struct Life {
    shared: Arc<Shared>,
    acceptor: AbortHandle,
}

impl Drop for Life {
    fn drop(&mut self) {
        self.acceptor.abort();
    }
}

impl Proxy {
    /// Starts a proxy without an upstream on a loopback port of the system's choice. `name` is for messages.
    ///
    /// It lives on the tokio runtime it is bound on.
    pub async fn bind(name: &str) -> Result<Proxy, ProxyError> {
        Proxy::bind_seeded(name, 0).await
    }

    /// Like [`Proxy::bind`], with the seed of what is random about its faults (jitter).
    pub async fn bind_seeded(name: &str, seed: u64) -> Result<Proxy, ProxyError> {
        let runtime = Handle::current();
        let port = Port::open(runtime.clone()).map_err(|source| ProxyError {
            name: name.to_owned(),
            addr: "127.0.0.1".to_owned(),
            source,
        })?;
        let shared = Arc::new(Shared {
            name: name.to_owned(),
            seed,
            port,
            state: Mutex::default(),
            counters: Arc::default(),
            has_triggers: AtomicBool::new(false),
            triggers: RwLock::default(),
            protocol: OnceLock::new(),
            watches: RwLock::default(),
        });
        let acceptor = runtime.spawn(listener::accept(shared.clone())).abort_handle();
        Ok(Proxy { life: Arc::new(Life { shared, acceptor }) })
    }

    /// The name it was bound with.
    pub fn name(&self) -> &str {
        &self.shared().name
    }

    /// Where clients connect to; the same for the proxy's whole life.
    pub fn addr(&self) -> SocketAddr {
        self.shared().port.addr()
    }

    /// Where new connections go from now on; with `None` they are reset. Existing ones stay where they are.
    pub fn set_upstream(&self, upstream: impl Into<Option<SocketAddr>>) {
        self.shared().state().upstream = upstream.into();
    }

    /// Puts `fault` in force, in addition to those that are. One that is in force already changes nothing more,
    /// except that [`NetFault::Reset`] and [`NetFault::Refuse`] reset again.
    pub fn inject(&self, fault: NetFault) {
        self.shared().inject(fault);
    }

    /// Ends all faults, and resets the connections from which a cut held anything.
    pub fn heal(&self) -> Result<(), ProxyError> {
        self.heal_with(HealMode::Reset)
    }

    /// Ends all faults; `mode` says what becomes of what a cut held.
    pub fn heal_with(&self, mode: HealMode) -> Result<(), ProxyError> {
        self.shared().heal(|_| false, mode)
    }

    /// Ends `fault` only. What another one still cuts stays cut.
    pub fn heal_only(&self, fault: &NetFault, mode: HealMode) -> Result<(), ProxyError> {
        self.shared().heal(|other| other != fault, mode)
    }

    /// The faults in force, in the order of their injection.
    pub fn faults(&self) -> Vec<NetFault> {
        self.shared().state().faults.clone()
    }

    /// What went through so far, and what faults did to it.
    pub fn stats(&self) -> ProxyStats {
        let open = self.shared().state().links.values().filter(|link| link.probe.is_none()).count();
        self.shared().counters.snapshot(open)
    }

    /// A client tells that it could not connect. It counts as refused if this link refuses connections now: the
    /// kernel turns them away then, and nobody but the client hears of it.
    pub fn was_refused(&self) {
        if self.shared().state().faults.contains(&NetFault::Refuse) {
            add(&self.shared().counters.refused, 1);
        }
    }

    /// Verifies through connections of its own that the link behaves as its faults demand, or passes bytes both
    /// ways if there are none. They end at the proxy itself, so that the server never sees them.
    pub async fn verify(&self) -> Result<(), String> {
        probe::verify(self.shared()).await.map_err(|reason| format!("the link `{}` {reason}", self.name()))
    }

    /// Calls `trigger` with the bytes of each read in `direction` before they are forwarded; a fault that it
    /// returns is in force by then. So a reply can be cut off exactly after its request. A read may hold a part
    /// of a request, or several.
    pub fn on_bytes(&self, direction: Direction, trigger: Trigger) {
        let shared = self.shared();
        shared.triggers.write().unwrap_or_else(PoisonError::into_inner)[direction.index()] =
            Some(Arc::from(trigger));
        shared.has_triggers.store(true, Relaxed);
    }

    /// Says what new connections speak, so that their requests can be watched for. Once said it stays.
    pub fn speaks(&self, protocol: Protocol) {
        // A second word is the first one again: a link does not change what it leads to.
        let _ = self.shared().protocol.set(protocol);
    }

    /// Has this link look for a request. As it comes, before its last bytes are forwarded, `fault` is in force.
    pub fn watch(&self, sighting: &Arc<Sighting>, fault: Option<NetFault>) {
        self.watches().push(Watch { sighting: sighting.clone(), fault });
    }

    /// Looks for it no longer.
    pub fn unwatch(&self, sighting: &Arc<Sighting>) {
        self.watches().retain(|watch| !Arc::ptr_eq(&watch.sighting, sighting));
    }

    fn watches(&self) -> std::sync::RwLockWriteGuard<'_, Vec<Watch>> {
        self.shared().watches.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> &Arc<Shared> {
        &self.life.shared
    }
}

/// What handles and connections share.
struct Shared {
    name: String,
    seed: u64,
    port: Port,
    state: Mutex<State>,
    counters: Arc<Counters>,
    has_triggers: AtomicBool,
    triggers: RwLock<[Option<Arc<TriggerFn>>; 2]>,
    protocol: OnceLock<Protocol>,
    watches: RwLock<Vec<Watch>>,
}

/// Somebody who waits for a request.
struct Watch {
    sighting: Arc<Sighting>,
    fault: Option<NetFault>,
}

type TriggerFn = dyn Fn(&[u8]) -> Option<NetFault> + Send + Sync;

#[derive(Debug, Default)]
struct State {
    faults: Vec<NetFault>,
    upstream: Option<SocketAddr>,
    accepted: u64,
    links: BTreeMap<u64, Arc<Link>>,
    /// Connections of our own, by their client address.
    probes: BTreeMap<SocketAddr, Target>,
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("name", &self.name).field("port", &self.port).finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn inject(&self, fault: NetFault) {
        let mut state = self.state();
        if !state.faults.contains(&fault) {
            state.faults.push(fault);
        }
        state.apply(HealMode::Flush);
        if fault.turns_away() {
            state.links.values().for_each(|link| link.doom());
        }
        if fault == NetFault::Refuse {
            self.port.refuse();
        }
    }

    fn heal(&self, stays: impl Fn(&NetFault) -> bool, mode: HealMode) -> Result<(), ProxyError> {
        let mut state = self.state();
        state.faults.retain(stays);
        state.apply(mode);
        if state.faults.contains(&NetFault::Refuse) {
            return Ok(());
        }
        self.port.listen().map_err(|source| ProxyError {
            name: self.name.clone(),
            addr: self.port.addr().to_string(),
            source,
        })
    }

    /// Takes a new connection in, or turns it away if a fault says so.
    fn admit(&self, client: &Arc<TcpStream>, peer: SocketAddr) -> Option<Arc<Link>> {
        let mut state = self.state();
        let target = state.probes.get(&peer);
        let probe = target.map(|_| peer);
        let counters = target.map_or_else(|| self.counters.clone(), |target| target.counters.clone());
        add(&counters.accepted, 1);
        if state.faults.iter().any(NetFault::turns_away) {
            add(&counters.reset_by_fault, 1);
            return None;
        }
        state.accepted += 1;
        let link = Arc::new(Link::new(state.accepted, probe, counters));
        link.attach(Direction::Requests, client);
        link.apply(&state.rules(), HealMode::Flush);
        state.links.insert(link.number, link.clone());
        Some(link)
    }

    fn forget(&self, number: u64) {
        self.state().links.remove(&number);
    }

    fn upstream_of(&self, link: &Link) -> Option<SocketAddr> {
        let state = self.state();
        match link.probe {
            Some(peer) => state.probes.get(&peer).map(|target| target.upstream),
            None => state.upstream,
        }
    }

    fn pull_trigger(&self, direction: Direction, bytes: &[u8]) {
        if !self.has_triggers.load(Relaxed) {
            return;
        }
        let triggers = self.triggers.read().unwrap_or_else(PoisonError::into_inner);
        let trigger = triggers[direction.index()].clone();
        drop(triggers);
        if let Some(fault) = trigger.and_then(|trigger| trigger(bytes)) {
            self.inject(fault);
        }
    }
}

impl Shared {
    /// A request has come, and is not yet forwarded as a whole.
    fn request(&self, text: &str) {
        let watches = self.watches.read().unwrap_or_else(PoisonError::into_inner);
        for watch in watches.iter().filter(|watch| watch.sighting.is(text)) {
            watch.fault.iter().for_each(|fault| self.inject(*fault));
            watch.sighting.tell();
        }
    }
}

impl State {
    fn rules(&self) -> [Rules; 2] {
        Direction::ALL.map(|direction| Rules::of(&self.faults, direction))
    }

    fn apply(&self, mode: HealMode) {
        let rules = self.rules();
        self.links.values().for_each(|link| link.apply(&rules, mode));
    }
}
