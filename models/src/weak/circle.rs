//! The circle that shows that there is no order of commits, or the order.

use std::collections::VecDeque;

use serde::Serialize;

use super::local::Edge;
use super::{Model, WeakLevel};
use crate::foreign::{OpHistory, Outcome};
use crate::hash::HashMap;
use crate::isolation::Sources;

/// A circle of transactions, each of which must be committed before the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Circle {
    /// The links; the last leads back to the first.
    pub links: Vec<Link>,
    /// The transactions and the links in words.
    pub text: Vec<String>,
}

/// One transaction must be committed before another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Link {
    /// The call of the earlier; none for the initial versions.
    pub from: Option<u32>,
    /// The call of the later.
    pub to: Option<u32>,
    /// Why.
    #[serde(flatten)]
    pub reason: Reason,
}

/// Why a transaction must be committed before another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Reason {
    /// They stand in this order in their session; the initial versions come before all.
    Session,
    /// The later one read what the earlier one wrote.
    Read {
        /// The key.
        key: String,
    },
    /// A reader had to see the earlier one, and read the key from the later one all the same.
    Overwritten {
        /// The key that both wrote.
        key: String,
        /// The reader.
        reader: u32,
        /// How the earlier one came before the reader: calls, each before the next by session or by a read.
        path: Vec<u32>,
    },
}

pub(super) enum Sought {
    Order(Vec<u32>),
    Circle(Circle),
}

pub(super) fn find(history: &OpHistory, model: &Model<'_>, level: WeakLevel, forced: &[Edge]) -> Sought {
    let graph = Graph::of(model, forced);
    let order = graph.order();
    let is_in = |txn: &u32| *txn != model.initial() && model.is_in(*txn);
    if order.len() == model.place.len() {
        return Sought::Order(order.into_iter().filter(is_in).map(|txn| model.sources.call(txn)).collect());
    }
    let mut left = vec![true; model.place.len()];
    order.iter().for_each(|txn| left[*txn as usize] = false);
    let circle = graph.shortest(&left);
    let links: Vec<Link> = (0..circle.len())
        .filter_map(|at| link(model, level, circle[at], circle[(at + 1) % circle.len()]))
        .collect();
    let text = words(history, &links);
    Sought::Circle(Circle { links, text })
}

/// Whoever must come before whom.
struct Graph {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Graph {
    fn of(model: &Model<'_>, forced: &[Edge]) -> Graph {
        let count = model.place.len();
        let mut starts = vec![0_u32; count + 1];
        let mut count_edge = |from: u32, _: u32| starts[from as usize + 1] += 1;
        model.each_given(&mut count_edge);
        forced.iter().for_each(|(from, to)| count_edge(*from, *to));
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut free = starts.clone();
        let mut targets = vec![0; starts[count] as usize];
        let mut add = |from: u32, to: u32| {
            targets[free[from as usize] as usize] = to;
            free[from as usize] += 1;
        };
        model.each_given(&mut add);
        forced.iter().for_each(|(from, to)| add(*from, *to));
        Graph { starts, targets }
    }

    fn next(&self, txn: u32) -> &[u32] {
        &self.targets[self.starts[txn as usize] as usize..self.starts[txn as usize + 1] as usize]
    }

    /// As many transactions as can be put in order: all, where there is no circle.
    fn order(&self) -> Vec<u32> {
        let count = self.starts.len() - 1;
        let mut waiting = vec![0_u32; count];
        self.targets.iter().for_each(|to| waiting[*to as usize] += 1);
        let mut ready: VecDeque<u32> = (0..count as u32).filter(|txn| waiting[*txn as usize] == 0).collect();
        let mut order = Vec::with_capacity(count);
        while let Some(txn) = ready.pop_front() {
            order.push(txn);
            for next in self.next(txn) {
                waiting[*next as usize] -= 1;
                if waiting[*next as usize] == 0 {
                    ready.push_back(*next);
                }
            }
        }
        order
    }

    /// A circle, the shortest through any of the transactions of the first one that is met.
    fn shortest(&self, left: &[bool]) -> Vec<u32> {
        const STARTS_MAX: usize = 200;
        let mut best = self.any_circle(left);
        for start in best.clone().into_iter().take(STARTS_MAX) {
            if let Some(circle) = self.circle_through(start, left).filter(|circle| circle.len() < best.len())
            {
                best = circle;
            }
        }
        best
    }

    /// The first circle that a walk in depth meets.
    fn any_circle(&self, left: &[bool]) -> Vec<u32> {
        let mut is_done = vec![false; left.len()];
        let mut depth = vec![u32::MAX; left.len()];
        for root in (0..left.len() as u32).filter(|txn| left[*txn as usize]) {
            let mut path: Vec<(u32, usize)> = Vec::new();
            if !is_done[root as usize] {
                depth[root as usize] = 0;
                path.push((root, 0));
            }
            while let Some((txn, at)) = path.last_mut() {
                let Some(next) = self.next(*txn).get(*at).copied() else {
                    is_done[*txn as usize] = true;
                    depth[*txn as usize] = u32::MAX;
                    path.pop();
                    continue;
                };
                *at += 1;
                if depth[next as usize] != u32::MAX {
                    return path[depth[next as usize] as usize..].iter().map(|(txn, _)| *txn).collect();
                }
                if left[next as usize] && !is_done[next as usize] {
                    depth[next as usize] = path.len() as u32;
                    path.push((next, 0));
                }
            }
        }
        Vec::new()
    }

    fn circle_through(&self, start: u32, left: &[bool]) -> Option<Vec<u32>> {
        let mut came: HashMap<u32, u32> = HashMap::default();
        let mut queue = VecDeque::from([start]);
        while let Some(txn) = queue.pop_front() {
            for next in self.next(txn).iter().filter(|next| left[**next as usize]) {
                if *next == start {
                    let mut circle = vec![txn];
                    while let Some(before) = came.get(&circle[circle.len() - 1]) {
                        circle.push(*before);
                    }
                    circle.reverse();
                    return Some(circle);
                }
                if !came.contains_key(next) {
                    came.insert(*next, txn);
                    queue.push_back(*next);
                }
            }
        }
        None
    }
}

fn link(model: &Model<'_>, level: WeakLevel, from: u32, to: u32) -> Option<Link> {
    let call = |txn: u32| (txn != model.initial()).then(|| model.sources.call(txn));
    let (earlier, later) = (model.place[from as usize], model.place[to as usize]);
    let is_session = match (earlier, later) {
        (Some((one, before)), Some((other, after))) => one == other && before < after,
        _ => from == model.initial(),
    };
    let read = || model.reads[to as usize].iter().find(|(_, source)| *source == from);
    let reason = if is_session {
        Reason::Session
    } else if let Some((key, _)) = read() {
        Reason::Read { key: model.sources.key_name(*key) }
    } else {
        overwritten(model, level, from, to)?
    };
    Some(Link { from: call(from), to: call(to), reason })
}

/// Finds the reader that had to see one transaction and read from the other.
fn overwritten(model: &Model<'_>, level: WeakLevel, from: u32, to: u32) -> Option<Reason> {
    for reader in (0..model.initial()).filter(|txn| model.is_in(*txn)) {
        let reads = &model.reads[reader as usize];
        for (at, (key, _)) in reads.iter().enumerate().filter(|(_, (_, source))| *source == to) {
            if from == reader || !model.does_write(from, *key) {
                continue;
            }
            let before = match level {
                WeakLevel::ReadCommitted => {
                    reads[..at].iter().any(|(_, source)| *source == from).then(|| vec![from, reader])
                }
                WeakLevel::ReadAtomic => path(model, from, reader, true),
                WeakLevel::Causal => path(model, from, reader, false),
            };
            if let Some(path) = before {
                let path = path.into_iter().map(|txn| model.sources.call(txn)).collect();
                let reader = model.sources.call(reader);
                return Some(Reason::Overwritten { key: model.sources.key_name(*key), reader, path });
            }
        }
    }
    None
}

/// A way from one transaction to another by sessions and reads, backwards from its end.
fn path(model: &Model<'_>, from: u32, to: u32, is_direct: bool) -> Option<Vec<u32>> {
    let is_session = |one: u32, other: u32| match (model.place[one as usize], model.place[other as usize]) {
        (Some((one, before)), Some((other, after))) => one == other && before < after,
        _ => false,
    };
    if is_session(from, to) || model.reads[to as usize].iter().any(|(_, source)| *source == from) {
        return Some(vec![from, to]);
    }
    let mut came: HashMap<u32, u32> = HashMap::default();
    let mut queue = VecDeque::from([to]);
    while let Some(txn) = queue.pop_front().filter(|_| !is_direct) {
        let place = model.place[txn as usize];
        let before = place
            .and_then(|(session, at)| Some(model.sessions[session as usize][at.checked_sub(1)? as usize]));
        let sources = model.reads[txn as usize].iter().map(|(_, source)| *source);
        for earlier in before.into_iter().chain(sources).filter(|earlier| *earlier != model.initial()) {
            if earlier != to && !came.contains_key(&earlier) {
                came.insert(earlier, txn);
                queue.push_back(earlier);
            }
            if earlier == from {
                let mut path = vec![from];
                while let Some(next) = came.get(&path[path.len() - 1]) {
                    path.push(*next);
                }
                return Some(path);
            }
        }
    }
    None
}

fn words(history: &OpHistory, links: &[Link]) -> Vec<String> {
    let name = |at: usize| format!("T{}", at % links.len() + 1);
    let line = |call: u32| {
        let known = &history.calls()[call as usize];
        let op = &history.ops()[known.telling_op() as usize];
        format!("line {}, process {}: {}", op.line, history.store().show(op.process), history.value_of(known))
    };
    let txns = links.iter().enumerate().map(|(at, link)| {
        let shown = link.from.map_or("the initial versions of all keys".to_owned(), line);
        format!("{} = {shown}", name(at))
    });
    let reasons = links.iter().enumerate().map(|(at, link)| {
        let (from, to) = (name(at), name(at + 1));
        match &link.reason {
            Reason::Session => format!("{from} comes before {to} in its session"),
            Reason::Read { key } => format!("{to} read {key} from {from}"),
            Reason::Overwritten { key, reader, .. } => format!(
                "{from} comes before {to}: both wrote {key}, and line {} had to see {from} and read {to}",
                history.ops()[history.calls()[*reader as usize].telling_op() as usize].line
            ),
        }
    });
    txns.chain(reasons).collect()
}

/// Checks a circle against the history, without any graph.
pub fn verify_circle(history: &OpHistory, level: WeakLevel, circle: &Circle) -> Result<(), String> {
    let (sources, _) = Sources::of(history).map_err(|error| error.to_string())?;
    let count = sources.count();
    let txn_of: HashMap<u32, u32> = (0..count).map(|txn| (sources.call(txn), txn)).collect();
    let txn = |call: Option<u32>| call.map_or(Some(count), |call| txn_of.get(&call).copied());
    let reads: Vec<(u32, u32, u32)> =
        sources.reads().map(|(key, source, reader)| (key, source.unwrap_or(count), reader)).collect();
    let writes: Vec<(u32, u32)> = sources.writes().collect();
    let is_before = |one: u32, other: u32| {
        // What is undecided may take effect behind what its process does later.
        let is_session = one == count && other != count
            || [one, other].iter().all(|txn| *txn != count)
                && sources.process(one) == sources.process(other)
                && sources.outcome(one) == Outcome::Ok
                && one < other;
        is_session || reads.iter().any(|(_, source, reader)| (*source, *reader) == (one, other))
    };
    let links = &circle.links;
    let mut holds = links.len() > 1;
    for (at, link) in links.iter().enumerate() {
        let (Some(from), Some(to)) = (txn(link.from), txn(link.to)) else {
            return Err("no such call".to_owned());
        };
        let follows = link.to == links[(at + 1) % links.len()].from;
        let is_so = match &link.reason {
            Reason::Session | Reason::Read { .. } => is_before(from, to),
            Reason::Overwritten { key, reader, path } => {
                let path: Option<Vec<u32>> = path.iter().map(|call| txn(Some(*call))).collect();
                let (path, reader) = (path.unwrap_or_default(), txn(Some(*reader)).unwrap_or(count));
                let number = |wanted: &&(u32, u32, u32)| {
                    wanted.1 == to && wanted.2 == reader && sources.key_name(wanted.0) == *key
                };
                let read = reads.iter().rposition(|read| number(&read));
                let wrote = read.is_some_and(|read| writes.contains(&(reads[read].0, from)));
                let is_path = path.first() == Some(&from)
                    && path.last() == Some(&reader)
                    && path.windows(2).all(|pair| is_before(pair[0], pair[1]));
                let is_level = match level {
                    WeakLevel::Causal => true,
                    WeakLevel::ReadAtomic => path.len() == 2,
                    WeakLevel::ReadCommitted => read
                        .is_some_and(|read| reads[..read].iter().any(|one| (one.1, one.2) == (from, reader))),
                };
                wrote && is_path && is_level && from != to
            }
        };
        holds &= follows && is_so;
    }
    if holds { Ok(()) } else { Err("the history does not show the circle".to_owned()) }
}
