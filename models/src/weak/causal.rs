//! What causal consistency forces: a clock of all sessions for each transaction says what comes before it, and of
//! each session the last writer of a key that does stands for all earlier ones.

use std::collections::VecDeque;

use super::Model;
use super::local::Edge;
use crate::hash::HashMap;

pub(super) enum Forced {
    Edges(Vec<Edge>),
    /// Sessions and reads go in circles by themselves.
    Circle,
    OutOfBudget,
}

/// The edges are made few whenever so many were gathered.
const EDGES_MAX: usize = 1 << 22;

/// More counters of writers that were passed are not kept.
const COUNTERS_MAX: usize = 1 << 25;

const TXNS_BETWEEN_POLLS: usize = 1 << 10;

/// The writers of one key in one session: their places in it.
struct Writers {
    session: u32,
    places: Vec<u32>,
    /// By reader's session: how many of them come before what it does now. Clocks only grow along a session.
    /// Empty where there are too many sessions and keys for that.
    seen: Vec<u32>,
    /// The edge that was forced last: reads of one version in a row force it again and again.
    last: Edge,
}

pub(super) fn forced(model: &Model<'_>, go_on: &mut dyn FnMut() -> bool) -> Forced {
    let count = model.initial() as usize;
    let sessions = model.sessions.len();
    let mut by_key = writers(model);
    let mut clocks = Clocks::new(model, sessions);
    let mut edges: Vec<Edge> = Vec::new();
    let mut done = 0;
    let mut limit = EDGES_MAX;
    while let Some(txn) = clocks.next(model) {
        done += 1;
        if done % TXNS_BETWEEN_POLLS == 0 && !go_on() {
            return Forced::OutOfBudget;
        }
        let clock = &clocks.now;
        let reader_session = model.place[txn as usize].map(|(session, _)| session as usize);
        for (key, source) in &model.reads[txn as usize] {
            for writers in by_key.get_mut(key).into_iter().flatten() {
                let until = clock[writers.session as usize];
                let seen = match reader_session.and_then(|session| writers.seen.get_mut(session)) {
                    Some(seen) => {
                        while writers.places.get(*seen as usize).is_some_and(|place| *place < until) {
                            *seen += 1;
                        }
                        *seen as usize
                    }
                    None => writers.places.partition_point(|place| *place < until),
                };
                let Some(last) = seen.checked_sub(1) else { continue };
                let writer = model.sessions[writers.session as usize][writers.places[last] as usize];
                let edge = (writer, *source);
                if writer != *source && writer != txn && writers.last != edge {
                    writers.last = edge;
                    edges.push(edge);
                }
            }
        }
        if edges.len() > limit {
            edges.sort_unstable();
            edges.dedup();
            limit = EDGES_MAX.max(edges.len() * 2);
        }
        clocks.finish(txn);
    }
    if done < (0..count).filter(|txn| model.is_in(*txn as u32)).count() {
        return Forced::Circle;
    }
    edges.sort_unstable();
    edges.dedup();
    Forced::Edges(edges)
}

/// By key: its writers, session by session.
fn writers(model: &Model<'_>) -> HashMap<u32, Vec<Writers>> {
    let sessions = model.sessions.len();
    let mut places: Vec<(u32, u32, u32)> = model
        .writes
        .iter()
        .filter_map(|(key, txn)| {
            let (session, place) = model.place[*txn as usize]?;
            Some((*key, session, place))
        })
        .collect();
    places.sort_unstable();
    let lists = places.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)).count();
    let seen = if lists * sessions <= COUNTERS_MAX { sessions } else { 0 };
    let mut by_key: HashMap<u32, Vec<Writers>> = HashMap::default();
    for of_session in places.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        by_key.entry(of_session[0].0).or_default().push(Writers {
            session: of_session[0].1,
            places: of_session.iter().map(|(_, _, place)| *place).collect(),
            seen: vec![0; seen],
            last: (u32::MAX, u32::MAX),
        });
    }
    by_key
}

/// The clocks of transactions whose successors still need them.
struct Clocks {
    /// By transaction: how many of its predecessors are not done.
    waiting: Vec<u32>,
    /// By transaction: how many successors need its clock.
    needed: Vec<u32>,
    clocks: Vec<Option<Box<[u32]>>>,
    free: Vec<Box<[u32]>>,
    ready: VecDeque<u32>,
    readers: Successors,
    /// The clock of the transaction at hand: of each session, how many of its transactions come before.
    now: Box<[u32]>,
}

/// Successors by transaction.
struct Successors {
    starts: Vec<u32>,
    targets: Vec<u32>,
}

impl Successors {
    fn of(&self, txn: u32) -> std::ops::Range<usize> {
        self.starts[txn as usize] as usize..self.starts[txn as usize + 1] as usize
    }
}

impl Clocks {
    fn new(model: &Model<'_>, sessions: usize) -> Clocks {
        let count = model.initial() as usize;
        let mut starts = vec![0_u32; count + 2];
        let mut waiting = vec![0; count + 1];
        let is_real = |from: u32| from != model.initial();
        model.each_given(|from, to| {
            if is_real(from) {
                starts[from as usize + 1] += 1;
                waiting[to as usize] += 1;
            }
        });
        let needed: Vec<u32> = starts[1..].to_vec();
        for at in 1..starts.len() {
            starts[at] += starts[at - 1];
        }
        let mut free = starts.clone();
        let mut targets = vec![0; starts[count + 1] as usize];
        model.each_given(|from, to| {
            if is_real(from) {
                targets[free[from as usize] as usize] = to;
                free[from as usize] += 1;
            }
        });
        let ready =
            (0..count as u32).filter(|txn| waiting[*txn as usize] == 0 && model.is_in(*txn)).collect();
        Clocks {
            waiting,
            needed,
            clocks: vec![None; count + 1],
            free: Vec::new(),
            ready,
            readers: Successors { starts, targets },
            now: vec![0; sessions].into_boxed_slice(),
        }
    }

    /// The next transaction whose predecessors are all done; `now` is its clock.
    fn next(&mut self, model: &Model<'_>) -> Option<u32> {
        let txn = self.ready.pop_front()?;
        self.now.fill(0);
        let place = model.place[txn as usize];
        if let Some((session, before)) = place.and_then(|(session, at)| Some((session, at.checked_sub(1)?))) {
            self.join(model, model.sessions[session as usize][before as usize]);
        }
        for (_, source) in &model.reads[txn as usize] {
            if *source != model.initial() && *source != txn {
                self.join(model, *source);
            }
        }
        Some(txn)
    }

    /// Takes over what comes before another transaction, and that one itself.
    fn join(&mut self, model: &Model<'_>, before: u32) {
        if let Some(clock) = &self.clocks[before as usize] {
            for (now, then) in self.now.iter_mut().zip(clock) {
                *now = (*now).max(*then);
            }
        }
        if let Some((session, place)) = model.place[before as usize] {
            let now = &mut self.now[session as usize];
            *now = (*now).max(place + 1);
        }
        self.needed[before as usize] -= 1;
        if self.needed[before as usize] == 0 {
            self.free.extend(self.clocks[before as usize].take());
        }
    }

    fn finish(&mut self, txn: u32) {
        if self.needed[txn as usize] > 0 {
            let mut clock = self.free.pop().unwrap_or_else(|| self.now.clone());
            clock.copy_from_slice(&self.now);
            self.clocks[txn as usize] = Some(clock);
        }
        for at in self.readers.of(txn) {
            let next = self.readers.targets[at];
            self.waiting[next as usize] -= 1;
            if self.waiting[next as usize] == 0 {
                self.ready.push_back(next);
            }
        }
    }
}
