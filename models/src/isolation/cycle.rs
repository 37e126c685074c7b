//! Cycles within a component, each of a family that says how many anti-dependencies it has.

use std::collections::VecDeque;

use super::anomaly::{Extent, Family};
use super::graph::{Components, DATA, Graph, LINK, PROCESS, REALTIME, RW, WR, WW};

/// One cycle: each node with the kind of the edge that leaves it. Nodes that are no transactions are left out.
pub(super) type Cycle = Vec<(u32, u8)>;

/// What a search came to.
pub(super) enum Sought {
    Found(Cycle),
    Absent,
    /// It was not looked for everywhere.
    Undecided,
}

/// Edges that one search follows before it gives up.
const STEPS_MAX: u64 = 30_000_000;

/// Edges that it follows to find a shorter cycle than the first.
const STEPS_FOR_SHORTEST: u64 = 3_000_000;

/// Polled once in so many edges.
const STEPS_BETWEEN_POLLS: u64 = 1 << 14;

/// The cycle needs an edge of the process or of real time, and has had it.
const HAS_EXTRA: u8 = 1;
/// A second anti-dependency has come.
const HAS_SECOND: u8 = 2;
/// The last edge was an anti-dependency.
const AFTER_RW: u8 = 4;
/// The next edge must be one.
const MUST_RW: u8 = 8;
const STATES: usize = 16;

/// What a search looks for.
#[derive(Clone, Copy)]
pub(super) struct Spec {
    pub(super) family: Family,
    pub(super) extent: Extent,
}

impl Spec {
    /// The edges that such a cycle may have.
    pub(super) fn mask(self) -> u8 {
        self.path_mask() | self.start_kind()
    }

    fn path_mask(self) -> u8 {
        let data = match self.family {
            Family::G0 => WW | LINK,
            Family::G1c | Family::GSingle => WW | WR | LINK,
            Family::GNonadjacent | Family::G2 => DATA,
        };
        data | self.extra()
    }

    fn extra(self) -> u8 {
        match self.extent {
            Extent::Data => 0,
            Extent::Process => PROCESS,
            Extent::Realtime => REALTIME,
        }
    }

    /// The edge that a search starts with: one that every such cycle has.
    fn start_kind(self) -> u8 {
        match self.family {
            Family::G0 => WW,
            Family::G1c => WR,
            Family::GSingle | Family::GNonadjacent | Family::G2 => RW,
        }
    }

    fn start_state(self) -> u8 {
        match self.family {
            Family::G0 | Family::G1c => 0,
            Family::GSingle | Family::GNonadjacent => AFTER_RW,
            Family::G2 => AFTER_RW | MUST_RW,
        }
    }

    /// The state behind an edge; none where the edge is not allowed.
    fn step(self, state: u8, kind: u8) -> Option<u8> {
        if kind == LINK {
            return Some(state);
        }
        if kind & self.path_mask() == 0 {
            return None;
        }
        if kind == RW {
            let is_adjacent = state & AFTER_RW != 0;
            if self.family == Family::GNonadjacent && is_adjacent {
                return None;
            }
            return Some((state | HAS_SECOND | AFTER_RW) & !MUST_RW);
        }
        if state & MUST_RW != 0 {
            return None;
        }
        let extra = if kind & self.extra() != 0 { HAS_EXTRA } else { 0 };
        Some((state | extra) & !AFTER_RW)
    }

    fn is_complete(self, state: u8) -> bool {
        let has_extra = self.extent == Extent::Data || state & HAS_EXTRA != 0;
        has_extra
            && match self.family {
                Family::G0 | Family::G1c | Family::GSingle => true,
                Family::GNonadjacent => state & HAS_SECOND != 0 && state & AFTER_RW == 0,
                Family::G2 => state & HAS_SECOND != 0,
            }
    }
}

/// Searches components of one graph.
pub(super) struct Search<'g> {
    graph: &'g Graph,
    txns: u32,
    /// By node: its place in the component that is searched.
    local: Vec<u32>,
    /// By place and state: the search that came there last, and how.
    stamp: Vec<u32>,
    came: Vec<(u32, u8)>,
    searches: u32,
    steps: u64,
}

impl<'g> Search<'g> {
    pub(super) fn new(graph: &'g Graph, txns: usize) -> Search<'g> {
        let local = vec![0; graph.nodes()];
        Search { graph, txns: txns as u32, local, stamp: Vec::new(), came: Vec::new(), searches: 0, steps: 0 }
    }

    /// Looks for the shortest cycle of a family in one component.
    pub(super) fn find(
        &mut self,
        members: &[u32],
        components: &Components,
        spec: Spec,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Sought {
        for (at, member) in members.iter().enumerate() {
            self.local[*member as usize] = at as u32;
        }
        if self.stamp.len() < members.len() * STATES {
            self.stamp.resize(members.len() * STATES, 0);
            self.came.resize(members.len() * STATES, (0, 0));
        }
        self.steps = 0;
        let mut best: Option<Cycle> = None;
        for from in members {
            for at in self.graph.out(*from) {
                let (to, kind) = self.graph.edge(at);
                if kind != spec.start_kind() || components.of[to as usize] != components.of[*from as usize] {
                    continue;
                }
                let limit = if best.is_some() { STEPS_FOR_SHORTEST } else { STEPS_MAX };
                if self.steps > limit || best.as_ref().is_some_and(|cycle| cycle.len() <= 2) {
                    return best.map_or(Sought::Undecided, Sought::Found);
                }
                match self.close(*from, to, members, components, spec, go_on) {
                    Err(OutOfBudget) => return best.map_or(Sought::Undecided, Sought::Found),
                    Ok(Some(cycle)) if best.as_ref().is_none_or(|best| cycle.len() < best.len()) => {
                        best = Some(cycle);
                    }
                    Ok(_) => {}
                }
            }
        }
        best.map_or(Sought::Absent, Sought::Found)
    }

    /// Looks for the shortest way back from the end of an edge to its start. Links cost nothing.
    fn close(
        &mut self,
        from: u32,
        to: u32,
        members: &[u32],
        components: &Components,
        spec: Spec,
        go_on: &mut dyn FnMut() -> bool,
    ) -> Result<Option<Cycle>, OutOfBudget> {
        self.searches += 1;
        let mut queue = VecDeque::from([(to, spec.start_state())]);
        let start = self.place(to, spec.start_state());
        self.stamp[start] = self.searches;
        self.came[start] = (u32::MAX, spec.start_kind());
        while let Some((node, state)) = queue.pop_front() {
            let place = self.place(node, state) as u32;
            for at in self.graph.out(node) {
                self.steps += 1;
                if self.steps.is_multiple_of(STEPS_BETWEEN_POLLS) && !go_on() {
                    return Err(OutOfBudget);
                }
                let (next, kind) = self.graph.edge(at);
                if components.of[next as usize] != components.of[node as usize] {
                    continue;
                }
                let Some(behind) = spec.step(state, kind) else { continue };
                if next == from {
                    if spec.is_complete(behind) {
                        return Ok(self.path(from, place, kind, members));
                    }
                    continue;
                }
                let there = self.place(next, behind);
                if self.stamp[there] != self.searches {
                    self.stamp[there] = self.searches;
                    self.came[there] = (place, kind);
                    if kind == LINK {
                        queue.push_front((next, behind))
                    } else {
                        queue.push_back((next, behind))
                    }
                }
            }
        }
        Ok(None)
    }

    fn place(&self, node: u32, state: u8) -> usize {
        self.local[node as usize] as usize * STATES + usize::from(state)
    }

    /// The cycle that ends with an edge of `last` from `place` to `from`; none if it meets a transaction twice,
    /// for then it is made of smaller ones.
    fn path(&self, from: u32, place: u32, last: u8, members: &[u32]) -> Option<Cycle> {
        let mut back = vec![(from, last)];
        let mut at = place;
        while at != u32::MAX {
            let (before, kind) = self.came[at as usize];
            back.push((members[at as usize / STATES], kind));
            at = before;
        }
        // Each pair is now a node and the kind of the edge that leads into it; `from` is the target of the last.
        back.reverse();
        let mut cycle: Cycle = Vec::new();
        let mut node = from;
        let mut leaving = None;
        for (next, kind) in back {
            if kind != LINK {
                leaving = Some(kind);
            }
            if next < self.txns {
                cycle.push((node, leaving.take()?));
                node = next;
            }
        }
        let mut nodes: Vec<u32> = cycle.iter().map(|(node, _)| *node).collect();
        nodes.sort_unstable();
        nodes.dedup();
        (nodes.len() == cycle.len()).then_some(cycle)
    }
}

struct OutOfBudget;
