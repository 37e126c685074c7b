//! Orders of transactions that show a history valid.

use super::anomaly::{Anomaly, Extent, Family};
use super::found::Findings;
use super::graph::{Edges, Graph, LINK, PROCESS, REALTIME, RW, WR, WW};
use super::level::Level;
use super::txns::Txns;

/// What somebody else can replay to see that a history is valid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Order {
    /// One transaction after the other.
    Serial {
        /// Calls that happened, by their place in the history.
        calls: Vec<u32>,
        /// Which orders beside that of the data it keeps.
        extent: Extent,
    },
    /// Each transaction reads at its start, and writes at its commit.
    Snapshot {
        /// Each call twice: with `false` at its start, with `true` at its commit.
        points: Vec<(u32, bool)>,
        /// Which orders beside that of the data it keeps.
        extent: Extent,
    },
    /// Each transaction writes when it commits, and reads what was committed at some time before.
    Commit {
        /// Calls that happened.
        calls: Vec<u32>,
    },
}

/// An order for a level that a history with cycles may be of all the same.
pub(super) enum Weaker {
    Found(Order),
    /// There are cycles without adjacent anti-dependencies: snapshot isolation is violated.
    NoSnapshots,
    /// There are none, and yet no order of the writes that nobody read was found for it.
    Unordered,
    None,
}

pub(super) fn weaker(
    graph: &Graph,
    txns: &Txns<'_>,
    committed: &[bool],
    unordered: &[Vec<u32>],
    level: Level,
    extent: Extent,
) -> Weaker {
    let is_committed = |node: u32| committed.get(node as usize) == Some(&true);
    let call = |node: u32| txns.txns[node as usize].call;
    let snapshot = Level::SNAPSHOT_ISOLATION;
    if is_snapshot(level) || snapshot.implies(level) && !Level::READ_COMMITTED.implies(level) {
        let layered = |chains: &[Vec<u32>]| layers(graph, txns.txns.len(), chains).components(u8::MAX, None);
        let first = layered(&[]);
        if !first.cyclic.is_empty() {
            return if is_snapshot(level) { Weaker::NoSnapshots } else { Weaker::None };
        }
        let second = layered(&chains(&first.order, unordered, graph.nodes()));
        if !second.cyclic.is_empty() {
            return Weaker::Unordered;
        }
        let nodes = second.order.iter().filter(|node| is_committed(**node / 2));
        let points = nodes.map(|node| (call(node / 2), node % 2 == 1)).collect();
        return Weaker::Found(Order::Snapshot { points, extent });
    }
    if Level::READ_COMMITTED.implies(level) {
        let data = graph.components(WW | WR | LINK, None);
        if data.cyclic.is_empty() {
            let calls =
                data.order.iter().filter(|node| is_committed(**node)).map(|node| call(*node)).collect();
            return Weaker::Found(Order::Commit { calls });
        }
    }
    Weaker::None
}

pub(super) fn is_snapshot(level: Level) -> bool {
    level.name().ends_with("snapshot-isolation") && level.implies(Level::SNAPSHOT_ISOLATION)
}

/// Each transaction twice, as its start and its commit: what it read was committed before it started, what it
/// wrote over was committed before it started too, and who overwrites what it read commits after its start. A
/// cycle of these is one without adjacent anti-dependencies (Cerone and Gotsman, "Analysing Snapshot Isolation").
/// Nodes that pass on come twice too, for edges to starts and for edges to commits.
fn layers(graph: &Graph, txns: usize, chains: &[Vec<u32>]) -> Graph {
    let mut edges = Edges::new(graph.nodes() * 2);
    for node in 0..graph.nodes() as u32 {
        let (start, commit) = (node * 2, node * 2 + 1);
        let is_txn = (node as usize) < txns;
        if is_txn {
            edges.add(start, commit, WW);
        }
        for at in graph.out(node) {
            let (to, kind) = graph.edge(at);
            match kind {
                RW => edges.add(start, to * 2 + 1, RW),
                WW | WR | PROCESS | REALTIME => edges.add(commit, to * 2, WW),
                _ => {
                    edges.add(start, to * 2, LINK);
                    edges.add(commit, to * 2 + 1, LINK);
                }
            }
        }
    }
    for pair in chains.iter().flat_map(|chain| chain.windows(2)) {
        edges.add(pair[0] * 2 + 1, pair[1] * 2, WW);
    }
    edges.build()
}

/// Writers of one key in an order that nobody saw, by when they commit in an order that is known to be possible.
fn chains(order: &[u32], unordered: &[Vec<u32>], nodes: usize) -> Vec<Vec<u32>> {
    let mut place = vec![0_u32; nodes];
    for (at, node) in order.iter().enumerate().filter(|(_, node)| *node % 2 == 1) {
        place[*node as usize / 2] = at as u32;
    }
    let mut chains = unordered.to_vec();
    chains.iter_mut().for_each(|chain| chain.sort_by_key(|txn| place[*txn as usize]));
    chains
}

/// What the exact test of snapshot isolation says beside the search of cycles, which may have been cut short.
pub(super) fn settle(weaker: Weaker, level: Level, extent: Extent, findings: &mut Findings) -> Option<Order> {
    match weaker {
        Weaker::Found(order) => {
            if matches!(order, Order::Snapshot { .. }) && is_snapshot(level) {
                forget_snapshots(findings);
            }
            Some(order)
        }
        Weaker::NoSnapshots => {
            let is_explained = Extent::ALL.into_iter().any(|known| {
                Family::ALL[..4].iter().any(|family| findings.has(Anomaly::Cycle(*family, known)))
            });
            if !is_explained && findings.undecided.is_empty() {
                findings.undecided.push(Anomaly::Cycle(Family::GNonadjacent, extent));
            }
            None
        }
        Weaker::Unordered if is_snapshot(level) => {
            forget_snapshots(findings);
            None
        }
        Weaker::Unordered | Weaker::None => None,
    }
}

/// There are no cycles that snapshot isolation forbids, however far the search for them came.
fn forget_snapshots(findings: &mut Findings) {
    findings.undecided.retain(|anomaly| matches!(anomaly, Anomaly::Cycle(Family::G2, _)));
}
