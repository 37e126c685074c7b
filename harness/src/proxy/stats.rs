//! What went through a proxy, and what its faults did to it.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

use super::fault::Direction;

/// What one direction of all connections of a proxy has seen.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FlowStats {
    /// Bytes read from the sender.
    pub read_bytes: u64,
    /// Bytes handed to the receiver.
    pub forwarded_bytes: u64,
    /// Bytes that stood before a cut, whatever became of them later.
    pub held_bytes: u64,
    /// Closes and resets of a peer that stood before a cut.
    pub held_ends: u64,
    /// Bytes that were read and never delivered, as their connection was reset.
    pub dropped_bytes: u64,
    /// Chunks that latency, a rate or slicing made wait.
    pub delayed_chunks: u64,
    /// Closes and resets of a peer that were made to wait.
    pub delayed_ends: u64,
}

/// The counters of a proxy since it was bound.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProxyStats {
    /// Connections accepted from clients.
    pub accepted: u64,
    /// Connections that are open now.
    pub open: u64,
    /// Accepted connections that found no upstream, or one that refused them.
    pub without_upstream: u64,
    /// Connections that a fault, or the heal of a cut, reset.
    pub reset_by_fault: u64,
    /// Connections that the link refused, as far as clients told ([`super::Proxy::was_refused`]).
    pub refused: u64,
    /// Connections that one of their peers reset.
    pub reset_by_peer: u64,
    /// From clients to the server.
    pub requests: FlowStats,
    /// From the server to clients.
    pub replies: FlowStats,
}

impl ProxyStats {
    /// The counters of one direction.
    pub fn flow(&self, direction: Direction) -> &FlowStats {
        match direction {
            Direction::Requests => &self.requests,
            Direction::Replies => &self.replies,
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct FlowCounters {
    pub(super) read_bytes: AtomicU64,
    pub(super) forwarded_bytes: AtomicU64,
    pub(super) held_bytes: AtomicU64,
    pub(super) held_ends: AtomicU64,
    pub(super) dropped_bytes: AtomicU64,
    pub(super) delayed_chunks: AtomicU64,
    pub(super) delayed_ends: AtomicU64,
}

impl FlowCounters {
    fn snapshot(&self) -> FlowStats {
        FlowStats {
            read_bytes: self.read_bytes.load(Relaxed),
            forwarded_bytes: self.forwarded_bytes.load(Relaxed),
            held_bytes: self.held_bytes.load(Relaxed),
            held_ends: self.held_ends.load(Relaxed),
            dropped_bytes: self.dropped_bytes.load(Relaxed),
            delayed_chunks: self.delayed_chunks.load(Relaxed),
            delayed_ends: self.delayed_ends.load(Relaxed),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    pub(super) accepted: AtomicU64,
    pub(super) without_upstream: AtomicU64,
    pub(super) reset_by_fault: AtomicU64,
    pub(super) refused: AtomicU64,
    pub(super) reset_by_peer: AtomicU64,
    flows: [FlowCounters; 2],
}

impl Counters {
    pub(super) fn flow(&self, direction: Direction) -> &FlowCounters {
        &self.flows[direction.index()]
    }

    pub(super) fn snapshot(&self, open: usize) -> ProxyStats {
        ProxyStats {
            accepted: self.accepted.load(Relaxed),
            open: open as u64,
            without_upstream: self.without_upstream.load(Relaxed),
            reset_by_fault: self.reset_by_fault.load(Relaxed),
            refused: self.refused.load(Relaxed),
            reset_by_peer: self.reset_by_peer.load(Relaxed),
            requests: self.flow(Direction::Requests).snapshot(),
            replies: self.flow(Direction::Replies).snapshot(),
        }
    }
}

pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Relaxed);
}
