//! Where each direction of each connection asks whether bytes may cross.
//!
//! A pump holds the gate's lock while it takes bytes from the kernel or hands them to it, and faults close and
//! open the gate under the same lock. So once an injection has returned, no byte crosses any more: not "soon",
//! but from then on. And a heal decides by itself whether anything was held: what a peer sent before the call
//! is in the kernel's buffer or in the pump's, and what it sends after the return has nothing to do with it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Notify;

use super::fault::{Direction, HealMode, Rules, Shape};
use super::stats::Counters;

/// One connection through the proxy, as seen by whoever injects faults.
#[derive(Debug)]
pub(super) struct Link {
    pub(super) number: u64,
    /// The client's address if the proxy itself is the client, to verify a fault.
    pub(super) probe: Option<SocketAddr>,
    pub(super) counters: Arc<Counters>,
    gates: [Gate; 2],
}

/// The gate of one direction.
#[derive(Debug, Default)]
pub(super) struct Gate {
    state: Mutex<GateState>,
    /// Tells the pump to look at the state again.
    pub(super) wake: Notify,
    /// The pump has delivered the sender's close.
    over: AtomicBool,
    /// A write to the sender has failed, so that its reset is what this direction ends with.
    sender_gone: AtomicBool,
}

#[derive(Debug, Default)]
pub(super) struct GateState {
    pub(super) cut: bool,
    pub(super) shape: Shape,
    pub(super) reset_left: Option<u64>,
    /// By how much the end of the connection is late.
    pub(super) slow_close: Duration,
    /// A fault resets this connection.
    pub(super) doomed: bool,
    /// The pump has bytes or an end of the sender that it has not forwarded.
    pub(super) holds: bool,
    /// Where the pump reads from.
    sender: Weak<TcpStream>,
}

impl Link {
    pub(super) fn new(number: u64, probe: Option<SocketAddr>, counters: Arc<Counters>) -> Link {
        Link { number, probe, counters, gates: [Gate::default(), Gate::default()] }
    }

    pub(super) fn gate(&self, direction: Direction) -> &Gate {
        &self.gates[direction.index()]
    }

    /// Names the socket that bytes in `direction` come from.
    pub(super) fn attach(&self, direction: Direction, sender: &Arc<TcpStream>) {
        self.gate(direction).lock().sender = Arc::downgrade(sender);
    }

    /// Puts the rules of both directions in force. `mode` says what opening a cut direction means.
    pub(super) fn apply(&self, rules: &[Rules; 2], mode: HealMode) {
        for (gate, rules) in self.gates.iter().zip(rules) {
            gate.lock().apply(rules, mode);
            gate.wake.notify_one();
        }
        if self.gates.iter().any(|gate| gate.lock().doomed) {
            self.doom();
        }
    }

    /// Has the connection reset, whatever else is in force.
    pub(super) fn doom(&self) {
        for gate in &self.gates {
            gate.lock().doomed = true;
            gate.wake.notify_one();
        }
    }

    /// Resolves when the connection is to be reset.
    pub(super) async fn doomed(&self) {
        let gate = self.gate(Direction::Requests);
        while !gate.lock().doomed {
            gate.wake.notified().await;
        }
    }

    /// Whether both sides have closed in order.
    pub(super) fn is_over(&self) -> bool {
        self.gates.iter().all(|gate| gate.over.load(SeqCst))
    }

    pub(super) fn mark_over(&self, direction: Direction) {
        self.gate(direction).over.store(true, SeqCst);
        self.gate(direction.opposite()).wake.notify_one();
    }

    /// Notes that the sender of `direction` can no longer be written to.
    pub(super) fn mark_sender_gone(&self, direction: Direction) {
        self.gate(direction).sender_gone.store(true, SeqCst);
        self.gate(direction).wake.notify_one();
    }

    pub(super) fn is_sender_gone(&self, direction: Direction) -> bool {
        self.gate(direction).sender_gone.load(SeqCst)
    }
}

impl Gate {
    pub(super) fn lock(&self) -> MutexGuard<'_, GateState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl GateState {
    fn apply(&mut self, rules: &Rules, mode: HealMode) {
        let opens = self.cut && !rules.cut;
        self.doomed |= opens && mode == HealMode::Reset && self.holds_anything();
        self.cut = rules.cut;
        self.shape = rules.shape;
        self.slow_close = rules.slow_close;
        self.reset_left =
            rules.reset_after.map(|bytes| self.reset_left.map_or(bytes, |left| left.min(bytes)));
    }

    /// Whether the end of a connection may have to wait.
    pub(super) fn delays_ends(&self) -> bool {
        self.shape.latency.is_some() || !self.slow_close.is_zero()
    }

    fn holds_anything(&self) -> bool {
        let unread =
            || self.sender.upgrade().map_or(0, |sender| rustix::io::ioctl_fionread(&*sender).unwrap_or(0));
        self.holds || unread() > 0
    }
}
