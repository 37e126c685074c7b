//! What causal consistency forces: a clock of all sessions for each transaction says what comes before it, and of
//! each session the last writer of a key that does stands for all earlier ones.

use std::collections::VecDeque;

use super::Model;
use super::local::Edge;

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

/// The writers of each key, session by session. A list is those of one key in one session.
struct Lists {
    /// By key: its lists.
    of_key: Vec<std::ops::Range<usize>>,
    /// By list: its session, and where its places begin.
    sessions: Vec<u32>,
    firsts: Vec<u32>,
    /// Places in the session, ascending, and `u32::MAX` at the end of each list.
    places: Vec<u32>,
    /// By reader's session and list: the first place that does not come before what the session does now. Clocks
    /// only grow along a session. Empty where there are too many.
    passed: Vec<u32>,
}

impl Lists {
    fn of(model: &Model<'_>) -> Lists {
        let mut written: Vec<(u32, u32, u32)> = model
            .writes
            .iter()
            .filter_map(|(key, txn)| {
                let (session, place) = model.place[*txn as usize]?;
                Some((*key, session, place))
            })
            .collect();
        written.sort_unstable();
        let keys = written.last().map_or(0, |(key, ..)| *key as usize + 1);
        let (of_key, sessions) = (vec![0..0; keys], Vec::new());
        let mut lists =
            Lists { of_key, sessions, firsts: Vec::new(), places: Vec::new(), passed: Vec::new() };
        for list in written.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
            let (key, at) = (list[0].0 as usize, lists.sessions.len());
            let begin = if lists.of_key[key].is_empty() { at } else { lists.of_key[key].start };
            lists.of_key[key] = begin..at + 1;
            lists.sessions.push(list[0].1);
            lists.firsts.push(lists.places.len() as u32);
            lists.places.extend(list.iter().map(|(_, _, place)| *place));
            lists.places.push(u32::MAX);
        }
        if lists.firsts.len() * model.sessions.len() <= COUNTERS_MAX {
            lists.passed = lists.firsts.repeat(model.sessions.len());
        }
        lists
    }

    /// The lists of a key.
    fn of_key(&self, key: u32) -> std::ops::Range<usize> {
        self.of_key.get(key as usize).cloned().unwrap_or(0..0)
    }

    /// The last place of a list before `until`, for a reader of this session.
    fn last_before(&mut self, list: usize, reader: usize, until: u32) -> Option<u32> {
        let first = self.firsts[list] as usize;
        let passed = self.passed.get_mut(reader * self.firsts.len() + list);
        let mut at = passed.as_ref().map_or(first, |passed| **passed as usize);
        while self.places[at] < until {
            at += 1;
        }
        if let Some(passed) = passed {
            *passed = at as u32;
        }
        (at > first).then(|| self.places[at - 1])
    }
}

pub(super) fn forced(model: &Model<'_>, go_on: &mut dyn FnMut() -> bool) -> Forced {
    let mut lists = Lists::of(model);
    let mut clocks = Clocks::new(model, model.sessions.len());
    let mut edges: Vec<Edge> = Vec::new();
    let mut done = 0;
    let mut limit = EDGES_MAX;
    while let Some(txn) = clocks.next(model) {
        done += 1;
        if done % TXNS_BETWEEN_POLLS == 0 && !go_on() {
            return Forced::OutOfBudget;
        }
        force(model, &clocks, &mut lists, txn, &mut edges);
        if edges.len() > limit {
            edges.sort_unstable();
            edges.dedup();
            limit = EDGES_MAX.max(edges.len() * 2);
        }
        clocks.finish(model, txn);
    }
    if done < (0..model.initial()).filter(|txn| model.is_in(*txn)).count() {
        return Forced::Circle;
    }
    edges.sort_unstable();
    edges.dedup();
    Forced::Edges(edges)
}

/// Whoever wrote what a transaction reads, and comes before it, is committed before whom it reads from.
fn force(model: &Model<'_>, clocks: &Clocks, lists: &mut Lists, txn: u32, edges: &mut Vec<Edge>) {
    let Some((reader, _)) = model.place[txn as usize] else { return };
    for (key, source) in &model.reads[txn as usize] {
        let known = clocks.clocks[*source as usize].as_deref();
        for list in lists.of_key(*key) {
            let session = lists.sessions[list] as usize;
            let Some(place) = lists.last_before(list, reader as usize, clocks.now[session]) else { continue };
            // What comes before the source anyway need not be forced.
            if known.is_some_and(|known| place < known[session]) {
                continue;
            }
            let writer = model.sessions[session][place as usize];
            if writer != *source && writer != txn {
                edges.push((writer, *source));
            }
        }
    }
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
        self.before(model, txn, |clocks, before| clocks.join(model, before));
        Some(txn)
    }

    /// Calls `act` with each direct predecessor, as often as it is one.
    fn before(&mut self, model: &Model<'_>, txn: u32, mut act: impl FnMut(&mut Self, u32)) {
        let place = model.place[txn as usize];
        if let Some((session, before)) = place.and_then(|(session, at)| Some((session, at.checked_sub(1)?))) {
            act(self, model.sessions[session as usize][before as usize]);
        }
        for (_, source) in &model.reads[txn as usize] {
            if *source != model.initial() && *source != txn {
                act(self, *source);
            }
        }
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
    }

    /// One successor less needs the clock.
    fn release(&mut self, before: u32) {
        self.needed[before as usize] -= 1;
        if self.needed[before as usize] == 0 {
            self.free.extend(self.clocks[before as usize].take());
        }
    }

    fn finish(&mut self, model: &Model<'_>, txn: u32) {
        self.before(model, txn, Self::release);
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
