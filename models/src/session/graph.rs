//! Orders of versions, and circles where there is none: one graph for each key, or each key as a session sees it.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use super::forced::{EDGES_MAX, Edge, Forced};
use super::ops::{Deeds, INITIAL, NOWHERE};
use super::{Assumed, Guarantee};
use crate::foreign::Outcome;
use crate::hash::{HashMap, HashSet};

/// Why one version is before another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tag {
    /// It is the initial one.
    Initial,
    /// A session wrote them in this order.
    Session,
    /// One was written when the other was not yet begun.
    Realtime,
    /// A session had read the one when it wrote the other.
    Update(u32),
    /// A read had to see the one, and returned the other.
    Seen(u32),
}

/// Versions are writes, or the initial one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Before {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) tag: Tag,
}

pub(super) struct Sought {
    /// How many orders there are not.
    pub(super) count: u64,
    pub(super) circle: Option<Vec<Before>>,
}

/// Of so many circles the shortest is shown.
const CIRCLES_MAX: u64 = 64;
const STARTS_MAX: usize = 200;

/// None where the budget was over.
pub(super) fn seek(
    deeds: &Deeds<'_>,
    guarantee: Guarantee,
    assumed: Assumed,
    forced: &Forced,
    go_on: &mut dyn FnMut() -> bool,
) -> Option<Sought> {
    if forced.is_settled {
        return Some(Sought { count: 0, circle: None });
    }
    let view = |edge: &Edge| (edge.key, if assumed.is_shared { 0 } else { edge.session });
    let mut sorted = forced.edges.clone();
    sorted.sort_unstable_by_key(|edge| (view(edge), edge.from, edge.to, edge.reader));
    sorted.dedup_by_key(|edge| (view(edge), edge.from, edge.to));
    let base = Base::of(deeds, guarantee, assumed)?;
    let mut sought = Sought { count: 0, circle: None };
    for group in sorted.chunk_by(|one, other| view(one) == view(other)) {
        if !go_on() {
            return None;
        }
        let Some(circle) = base.circle_of(group, sought.count < CIRCLES_MAX) else { continue };
        sought.count += 1;
        if !circle.is_empty() && sought.circle.as_ref().is_none_or(|known| known.len() > circle.len()) {
            sought.circle = Some(circle);
        }
    }
    // What is inferred may go in circles by itself.
    let known: HashSet<u32> = sorted.iter().map(|edge| edge.key).collect();
    let is_rich = assumed.has_updates || guarantee == Guarantee::WritesFollowReads;
    for key in (0..deeds.key_count() as u32).filter(|key| is_rich && !known.contains(key)) {
        let graph = base.whole(key);
        if let Some(circle) = graph.circle() {
            sought.count += 1;
            sought.circle = sought.circle.or(Some(circle));
        }
    }
    Some(sought)
}

/// What is known of versions beside what reads had to see.
struct Base<'a> {
    deeds: &'a Deeds<'a>,
    guarantee: Guarantee,
    assumed: Assumed,
    /// By key, its writes in the order of their sessions.
    writes: Vec<Vec<u32>>,
    /// By key.
    updates: Vec<Vec<Before>>,
}

impl<'a> Base<'a> {
    fn of(deeds: &'a Deeds<'a>, guarantee: Guarantee, assumed: Assumed) -> Option<Base<'a>> {
        let (writes, updates) = (vec![Vec::new(); deeds.key_count()], vec![Vec::new(); deeds.key_count()]);
        let mut base = Base { deeds, guarantee, assumed, writes, updates };
        let is_causal = guarantee == Guarantee::WritesFollowReads;
        if !(is_causal || assumed.is_shared) {
            return Some(base);
        }
        let mut count = 0;
        for session in &deeds.sessions {
            let mut read: HashMap<u32, Vec<u32>> = HashMap::default();
            let mut met: HashSet<u32> = HashSet::default();
            let mut call = u32::MAX;
            for at in session {
                let deed = deeds.deeds[*at as usize];
                if deed.call != call && !is_causal {
                    read.clear();
                    met.clear();
                }
                call = deed.call;
                if deed.is_write {
                    base.writes[deed.key as usize].push(*at);
                    let before = read.get(&deed.key).filter(|_| is_causal || assumed.has_updates);
                    count += before.map_or(0, Vec::len);
                    if count > EDGES_MAX {
                        return None;
                    }
                    for reader in before.into_iter().flatten() {
                        let from = deeds.deeds[*reader as usize].source;
                        let edge = Before { from, to: *at, tag: Tag::Update(*reader) };
                        base.updates[deed.key as usize].push(edge);
                    }
                } else if deed.source < NOWHERE && met.insert(deed.source) {
                    read.entry(deed.key).or_default().push(*at);
                }
            }
        }
        Some(base)
    }

    /// A circle in one graph; an empty one where there is one and nobody wants to see it.
    fn circle_of(&self, group: &[Edge], is_wanted: bool) -> Option<Vec<Before>> {
        let key = group[0].key;
        if let Some(edge) = group.iter().find(|edge| edge.to == INITIAL) {
            let initial = Before { from: INITIAL, to: edge.from, tag: Tag::Initial };
            return Some(vec![Before { from: edge.from, to: INITIAL, tag: Tag::Seen(edge.reader) }, initial]);
        }
        let seen =
            group.iter().map(|edge| Before { from: edge.from, to: edge.to, tag: Tag::Seen(edge.reader) });
        let mut edges: Vec<Before> = seen.collect();
        if self.assumed.is_shared || !self.updates[key as usize].is_empty() {
            edges.extend(self.base(key));
        } else {
            let mut nodes: Vec<u32> = edges.iter().flat_map(|edge| [edge.from, edge.to]).collect();
            nodes.sort_unstable_by_key(|at| (self.deeds.deeds[*at as usize].session, *at));
            nodes.dedup();
            edges.extend(self.session_order(&nodes, Some(group[0].session)));
        }
        let graph = Graph::of(edges);
        if is_wanted { graph.circle() } else { graph.is_circular().then(Vec::new) }
    }

    fn whole(&self, key: u32) -> Graph {
        Graph::of(self.base(key))
    }

    fn base(&self, key: u32) -> Vec<Before> {
        let writes = &self.writes[key as usize];
        let mut edges = self.updates[key as usize].clone();
        edges.extend(self.session_order(writes, None));
        if self.assumed.has_realtime {
            edges.extend(self.realtime(writes));
        }
        edges
    }

    /// Each write is behind the one before it of its session that is known to have happened.
    fn session_order(&self, nodes: &[u32], view: Option<u32>) -> Vec<Before> {
        let is_everywhere = self.assumed.has_session_order
            || matches!(self.guarantee, Guarantee::MonotonicWrites | Guarantee::Pram);
        let is_own = self.guarantee == Guarantee::ReadYourWrites;
        let mut edges = Vec::new();
        let mut last: Option<(u32, u32)> = None;
        for at in nodes {
            let session = self.deeds.deeds[*at as usize].session;
            if !(is_everywhere || is_own && view.is_none_or(|view| view == session)) {
                continue;
            }
            if let Some((_, before)) = last.filter(|(other, _)| *other == session) {
                edges.push(Before { from: before, to: *at, tag: Tag::Session });
            }
            if self.deeds.is_acked(*at) {
                last = Some((session, *at));
            }
        }
        edges
    }

    /// From each of the last writes that had ended when another began.
    fn realtime(&self, writes: &[u32]) -> Vec<Before> {
        let mut moments: Vec<(u32, bool, u32)> = Vec::new();
        for at in writes {
            let call = self.deeds.of_call(*at);
            // What ends at a moment does not come before what begins at it.
            moments.push((call.begin, false, *at));
            if call.outcome == Outcome::Ok {
                moments.push((call.end, true, *at));
            }
        }
        moments.sort_unstable();
        let (mut edges, mut last) = (Vec::new(), Vec::<u32>::new());
        let mut replaced: HashMap<u32, Vec<u32>> = HashMap::default();
        for (_, is_end, at) in moments {
            if !is_end {
                edges.extend(last.iter().map(|from| Before { from: *from, to: at, tag: Tag::Realtime }));
                replaced.insert(at, last.clone());
            } else {
                let before = replaced.remove(&at).unwrap_or_default();
                last.retain(|other| !before.contains(other));
                last.push(at);
            }
        }
        edges
    }
}

/// A graph of a handful of versions, numbered anew.
struct Graph {
    nodes: Vec<u32>,
    edges: Vec<Before>,
    /// By node, the places of its edges.
    starts: Vec<usize>,
    left: Vec<bool>,
}

impl Graph {
    fn of(mut edges: Vec<Before>) -> Graph {
        edges.sort_unstable();
        edges.dedup_by_key(|edge| (edge.from, edge.to));
        let mut nodes: Vec<u32> = edges.iter().flat_map(|edge| [edge.from, edge.to]).collect();
        nodes.sort_unstable();
        nodes.dedup();
        let mut starts = vec![0; nodes.len() + 1];
        let left = vec![true; nodes.len()];
        let mut graph = Graph { nodes, edges, starts: Vec::new(), left };
        for edge in &graph.edges {
            starts[graph.number(edge.from) + 1] += 1;
        }
        (1..starts.len()).for_each(|at| starts[at] += starts[at - 1]);
        graph.starts = starts;
        graph.trim();
        graph
    }

    fn number(&self, version: u32) -> usize {
        self.nodes.binary_search(&version).unwrap_or_default()
    }

    fn next(&self, node: usize) -> impl Iterator<Item = (usize, usize)> {
        (self.starts[node]..self.starts[node + 1]).map(|at| (at, self.number(self.edges[at].to)))
    }

    /// Takes away what no circle goes through: first what nothing leads to, then what leads nowhere.
    fn trim(&mut self) {
        let count = self.nodes.len();
        let ends: Vec<(usize, usize)> =
            self.edges.iter().map(|edge| (self.number(edge.from), self.number(edge.to))).collect();
        for is_forward in [true, false] {
            let mut next: Vec<Vec<usize>> = vec![Vec::new(); count];
            let mut waiting = vec![0; count];
            for (from, to) in &ends {
                let (from, to) = if is_forward { (*from, *to) } else { (*to, *from) };
                if self.left[from] && self.left[to] {
                    next[from].push(to);
                    waiting[to] += 1;
                }
            }
            let mut ready: Vec<usize> =
                (0..count).filter(|node| self.left[*node] && waiting[*node] == 0).collect();
            while let Some(node) = ready.pop() {
                self.left[node] = false;
                for to in &next[node] {
                    waiting[*to] -= 1;
                    if waiting[*to] == 0 {
                        ready.push(*to);
                    }
                }
            }
        }
    }

    fn is_circular(&self) -> bool {
        self.left.contains(&true)
    }

    /// The shortest circle through any node of the first one that is met.
    fn circle(&self) -> Option<Vec<Before>> {
        let start = self.left.iter().position(|left| *left)?;
        // Whatever is left leads to something that is left.
        let mut met = vec![false; self.nodes.len()];
        let (mut path, mut node) = (Vec::new(), start);
        while !met[node] {
            met[node] = true;
            path.push(node);
            node = self.next(node).map(|(_, to)| to).find(|to| self.left[*to])?;
        }
        let first = path.iter().position(|other| *other == node)?;
        let circles = path[first..].iter().take(STARTS_MAX).filter_map(|start| self.circle_through(*start));
        circles.min_by_key(Vec::len)
    }

    fn circle_through(&self, start: usize) -> Option<Vec<Before>> {
        let mut came: HashMap<usize, (usize, usize)> = HashMap::default();
        let mut queue = VecDeque::from([start]);
        while let Some(node) = queue.pop_front() {
            for (edge, to) in self.next(node).filter(|(_, to)| self.left[*to]) {
                if to == start {
                    let mut circle = vec![self.edges[edge]];
                    let mut at = node;
                    while let Some((before, edge)) = came.get(&at) {
                        circle.push(self.edges[*edge]);
                        at = *before;
                    }
                    circle.reverse();
                    return Some(circle);
                }
                if let Entry::Vacant(first) = came.entry(to) {
                    first.insert((node, edge));
                    queue.push_back(to);
                }
            }
        }
        None
    }
}
