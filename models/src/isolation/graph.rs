//! The graph of dependencies, and its strongly connected components.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::txns::Txns;
use crate::foreign::Outcome;

/// Why one transaction comes before another; several of them are a mask.
pub(super) const WW: u8 = 1;
pub(super) const WR: u8 = 2;
pub(super) const RW: u8 = 4;
pub(super) const PROCESS: u8 = 8;
pub(super) const REALTIME: u8 = 16;
/// Goes on what an edge began that leads to a node that is no transaction: it has no meaning of its own.
pub(super) const LINK: u8 = 32;
pub(super) const DATA: u8 = WW | WR | RW | LINK;

/// Edges while they are gathered.
#[derive(Default)]
pub(super) struct Edges {
    ends: Vec<(u32, u32)>,
    kinds: Vec<u8>,
    /// Transactions come first, then nodes that only pass on.
    nodes: u32,
}

impl Edges {
    pub(super) fn new(txns: usize) -> Edges {
        Edges { nodes: txns as u32, ..Edges::default() }
    }

    pub(super) fn add(&mut self, from: u32, to: u32, kind: u8) {
        if from != to {
            self.ends.push((from, to));
            self.kinds.push(kind);
        }
    }

    pub(super) fn node(&mut self) -> u32 {
        self.nodes += 1;
        self.nodes - 1
    }

    /// Links each transaction of a process to the next. What follows an info transaction does not follow its
    /// effect.
    pub(super) fn add_process_order(&mut self, txns: &Txns<'_>, committed: &[bool]) {
        let mut last = crate::hash::HashMap::default();
        for (at, txn) in txns.txns.iter().enumerate().filter(|(at, _)| committed[*at]) {
            if let Some(before) = last.get(&txn.process) {
                self.add(*before, at as u32, PROCESS);
            }
            if txn.outcome == Outcome::Ok {
                last.insert(txn.process, at as u32);
            }
        }
    }

    /// Links what ended to what began later, through a chain of barriers: as many edges as transactions.
    pub(super) fn add_realtime_order(&mut self, txns: &Txns<'_>, committed: &[bool]) {
        let all = || (0..txns.txns.len() as u32).filter(|at| committed[*at as usize]);
        let mut begun: Vec<u32> = all().collect();
        begun.sort_by_key(|at| txns.txns[*at as usize].begin);
        let mut ended: Vec<u32> = all().filter(|at| txns.txns[*at as usize].end != u32::MAX).collect();
        ended.sort_by_key(|at| txns.txns[*at as usize].end);
        let mut ended = ended.into_iter().peekable();
        let mut barrier = None;
        for at in begun {
            let begin = txns.txns[at as usize].begin;
            let mut fresh = None;
            while let Some(before) = ended.next_if(|before| txns.txns[*before as usize].end < begin) {
                let node = *fresh.get_or_insert_with(|| self.node());
                self.add(before, node, REALTIME);
            }
            if let (Some(fresh), Some(barrier)) = (fresh, barrier) {
                self.add(barrier, fresh, LINK);
            }
            barrier = fresh.or(barrier);
            if let Some(barrier) = barrier {
                self.add(barrier, at, LINK);
            }
        }
    }

    pub(super) fn build(self) -> Graph {
        let mut starts = vec![0_u32; self.nodes as usize + 1];
        for (from, _) in &self.ends {
            starts[*from as usize + 1] += 1;
        }
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut free = starts.clone();
        let mut targets = vec![0; self.ends.len()];
        let mut kinds = vec![0; self.ends.len()];
        for ((from, to), kind) in self.ends.iter().zip(&self.kinds) {
            let at = free[*from as usize] as usize;
            (targets[at], kinds[at]) = (*to, *kind);
            free[*from as usize] += 1;
        }
        Graph { starts, targets, kinds }
    }
}

/// The graph, by node its edges.
pub(super) struct Graph {
    starts: Vec<u32>,
    targets: Vec<u32>,
    kinds: Vec<u8>,
}

/// Components of more than one node, and all nodes in an order that the edges keep, where there are none.
pub(super) struct Components {
    /// By node: the number of its component.
    pub(super) of: Vec<u32>,
    /// Those of several nodes.
    pub(super) cyclic: Vec<Vec<u32>>,
    /// All nodes, those with edges from others behind them.
    pub(super) order: Vec<u32>,
}

const NONE: u32 = u32::MAX;

impl Graph {
    pub(super) fn nodes(&self) -> usize {
        self.starts.len() - 1
    }

    /// The edges of a node: their places, for [`Graph::edge`].
    pub(super) fn out(&self, node: u32) -> std::ops::Range<usize> {
        self.starts[node as usize] as usize..self.starts[node as usize + 1] as usize
    }

    pub(super) fn edge(&self, at: usize) -> (u32, u8) {
        (self.targets[at], self.kinds[at])
    }

    /// All nodes of a graph without cycles, those that are due first as early as the edges allow.
    pub(super) fn order_by(&self, due: impl Fn(u32) -> u32) -> Vec<u32> {
        let mut before = vec![0_u32; self.nodes()];
        self.targets.iter().for_each(|to| before[*to as usize] += 1);
        let mut ready: BinaryHeap<Reverse<(u32, u32)>> = (0..self.nodes() as u32)
            .filter(|node| before[*node as usize] == 0)
            .map(|node| Reverse((due(node), node)))
            .collect();
        let mut order = Vec::with_capacity(self.nodes());
        while let Some(Reverse((_, node))) = ready.pop() {
            order.push(node);
            for at in self.out(node) {
                let to = self.targets[at];
                before[to as usize] -= 1;
                if before[to as usize] == 0 {
                    ready.push(Reverse((due(to), to)));
                }
            }
        }
        order
    }

    /// Tarjan's algorithm over the edges of a mask, without recursion. With `within`, only edges inside one
    /// component of a coarser mask are followed, from the nodes of those that are cyclic.
    pub(super) fn components(&self, mask: u8, within: Option<&Components>) -> Components {
        let count = self.nodes();
        let mut walk = Walk {
            low: vec![NONE; count],
            index: vec![NONE; count],
            next_index: 0,
            stack: Vec::new(),
            found: Components { of: vec![NONE; count], cyclic: Vec::new(), order: Vec::new() },
            number: 0,
        };
        match within {
            None => (0..count as u32).for_each(|root| self.walk_from(root, mask, None, &mut walk)),
            Some(outer) => {
                let roots = outer.cyclic.iter().flatten();
                roots.for_each(|root| self.walk_from(*root, mask, Some(&outer.of), &mut walk));
            }
        }
        walk.found.order.reverse();
        walk.found
    }

    fn walk_from(&self, root: u32, mask: u8, within: Option<&[u32]>, walk: &mut Walk) {
        if walk.index[root as usize] != NONE {
            return;
        }
        let mut path = vec![(root, self.out(root))];
        walk.enter(root);
        while let Some((node, edges)) = path.last_mut() {
            let node = *node;
            let Some(at) = edges.next() else {
                path.pop();
                walk.leave(node);
                if let Some((parent, _)) = path.last() {
                    let low = walk.low[node as usize];
                    walk.low[*parent as usize] = walk.low[*parent as usize].min(low);
                }
                continue;
            };
            let (to, kind) = self.edge(at);
            let is_inside = within.is_none_or(|of| of[to as usize] == of[node as usize]);
            if kind & mask == 0 || !is_inside {
                continue;
            }
            if walk.index[to as usize] == NONE {
                walk.enter(to);
                path.push((to, self.out(to)));
            } else if walk.found.of[to as usize] == NONE {
                walk.low[node as usize] = walk.low[node as usize].min(walk.index[to as usize]);
            }
        }
    }
}

struct Walk {
    low: Vec<u32>,
    index: Vec<u32>,
    next_index: u32,
    stack: Vec<u32>,
    found: Components,
    number: u32,
}

impl Walk {
    fn enter(&mut self, node: u32) {
        self.index[node as usize] = self.next_index;
        self.low[node as usize] = self.next_index;
        self.next_index += 1;
        self.stack.push(node);
    }

    /// Closes the component that the node is the root of, if it is one.
    fn leave(&mut self, node: u32) {
        if self.low[node as usize] != self.index[node as usize] {
            return;
        }
        let start = self.stack.iter().rposition(|other| *other == node).unwrap_or(0);
        let members = self.stack.split_off(start);
        for member in &members {
            self.found.of[*member as usize] = self.number;
        }
        self.number += 1;
        self.found.order.extend(members.iter().rev());
        if members.len() > 1 {
            self.found.cyclic.push(members);
        }
    }
}
