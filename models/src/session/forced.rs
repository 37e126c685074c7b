//! What each guarantee forces: a read that had to see a version is of one that is not before it.

use super::ops::{Deeds, INITIAL, NOWHERE};
use super::{Assumed, Guarantee};
use crate::hash::{HashMap, HashSet};

/// A read had to see one version and returned another: the first is before the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Edge {
    pub(super) key: u32,
    /// The session that read.
    pub(super) session: u32,
    /// A write.
    pub(super) from: u32,
    /// A write, or the initial version.
    pub(super) to: u32,
    /// The read.
    pub(super) reader: u32,
}

pub(super) struct Forced {
    pub(super) edges: Vec<Edge>,
    /// How many reads had to see some write of their key.
    pub(super) obliged: u64,
    /// No transaction reads twice, and nothing comes before itself: an order in which writes follow reads is one
    /// of all versions.
    pub(super) is_settled: bool,
}

const DEEDS_BETWEEN_POLLS: usize = 1 << 12;

/// More clocks and edges than these are not kept in memory.
const CLOCK_WORDS_MAX: usize = 1 << 27;
pub(super) const EDGES_MAX: usize = 1 << 24;

struct Walk<'a> {
    deeds: &'a Deeds<'a>,
    made: Forced,
    /// By session and key: writes that are known to have happened, in their order.
    acked: HashMap<(u32, u32), Vec<u32>>,
    /// By key: the sessions that wrote it.
    writers: Vec<Vec<u32>>,
}

/// None where the budget was over.
pub(super) fn forced(
    deeds: &Deeds<'_>,
    guarantee: Guarantee,
    assumed: Assumed,
    go_on: &mut dyn FnMut() -> bool,
) -> Option<Forced> {
    let mut walk = Walk {
        deeds,
        made: Forced { edges: Vec::new(), obliged: 0, is_settled: false },
        acked: HashMap::default(),
        writers: vec![Vec::new(); deeds.key_count()],
    };
    if matches!(guarantee, Guarantee::MonotonicWrites | Guarantee::Pram) {
        walk.gather();
    }
    let is_done = match guarantee {
        Guarantee::ReadYourWrites => walk.each_session(go_on, Walk::own_writes),
        Guarantee::MonotonicReads => walk.each_session(go_on, Walk::own_reads),
        Guarantee::MonotonicWrites => walk.each_session(go_on, Walk::shown_in_order),
        Guarantee::Pram => walk.each_session(go_on, Walk::pipelined),
        Guarantee::WritesFollowReads => walk.behind_reads(assumed, go_on),
    };
    is_done.then_some(walk.made)
}

impl Walk<'_> {
    fn gather(&mut self) {
        for (session, done) in self.deeds.sessions.iter().enumerate() {
            for at in done {
                let deed = self.deeds.deeds[*at as usize];
                if deed.is_write && self.deeds.is_acked(*at) {
                    let list = self.acked.entry((session as u32, deed.key)).or_default();
                    if list.is_empty() {
                        self.writers[deed.key as usize].push(session as u32);
                    }
                    list.push(*at);
                }
            }
        }
    }

    fn each_session(&mut self, go_on: &mut dyn FnMut() -> bool, visit: fn(&mut Self, &[u32])) -> bool {
        let mut done = 0;
        for session in &self.deeds.sessions {
            done += session.len();
            if done > DEEDS_BETWEEN_POLLS {
                done = 0;
                if !go_on() {
                    return false;
                }
            }
            visit(self, session);
        }
        true
    }

    /// The last write that a session is known to have made to a key before a place.
    fn last_before(&self, session: u32, key: u32, place: u32) -> Option<u32> {
        let list = self.acked.get(&(session, key))?;
        let count = list.partition_point(|at| self.deeds.deeds[*at as usize].place < place);
        count.checked_sub(1).map(|last| list[last])
    }

    fn force(&mut self, from: u32, reader: u32) {
        let read = self.deeds.deeds[reader as usize];
        if from != read.source {
            let edge = Edge { key: read.key, session: read.session, from, to: read.source, reader };
            self.made.edges.push(edge);
        }
    }

    fn own_writes(&mut self, session: &[u32]) {
        let mut last: HashMap<u32, u32> = HashMap::default();
        for at in session {
            let deed = self.deeds.deeds[*at as usize];
            if deed.is_write {
                if self.deeds.is_acked(*at) {
                    last.insert(deed.key, *at);
                }
            } else if let Some(own) = last.get(&deed.key).filter(|_| deed.source != NOWHERE) {
                self.made.obliged += 1;
                self.force(*own, *at);
            }
        }
    }

    /// Each version that is read is behind the one that was read before it, and so behind all of them.
    fn own_reads(&mut self, session: &[u32]) {
        let mut last: HashMap<u32, u32> = HashMap::default();
        for at in session {
            let deed = self.deeds.deeds[*at as usize];
            if deed.is_write || deed.source == NOWHERE {
                continue;
            }
            if let Some(before) = last.get(&deed.key) {
                self.made.obliged += 1;
                self.force(*before, *at);
            }
            if deed.source != INITIAL {
                last.insert(deed.key, deed.source);
            }
        }
    }

    /// Calls `visit` with each read of a session and the versions that its transaction had read before.
    fn with_shown(&mut self, session: &[u32], mut visit: impl FnMut(&mut Self, u32, &[u32])) {
        let mut shown: Vec<u32> = Vec::new();
        let mut call = u32::MAX;
        for at in session {
            let deed = self.deeds.deeds[*at as usize];
            if deed.call != call {
                shown.clear();
                call = deed.call;
            }
            if deed.is_write || deed.source == NOWHERE {
                continue;
            }
            visit(self, *at, &shown);
            if deed.source != INITIAL && !shown.contains(&deed.source) {
                shown.push(deed.source);
            }
        }
    }

    fn shown_in_order(&mut self, session: &[u32]) {
        self.with_shown(session, |walk, at, shown| {
            let mut is_obliged = false;
            for write in shown {
                let write = walk.deeds.deeds[*write as usize];
                let key = walk.deeds.deeds[at as usize].key;
                if let Some(before) = walk.last_before(write.session, key, write.place) {
                    is_obliged = true;
                    walk.force(before, at);
                }
            }
            walk.made.obliged += u64::from(is_obliged);
        });
    }

    fn pipelined(&mut self, session: &[u32]) {
        let Some(own) = session.first().map(|at| self.deeds.deeds[*at as usize].session) else { return };
        // By session, how many of its deeds have been seen; and of each key, what was read, and what was forced.
        let mut seen = vec![0_u32; self.deeds.sessions.len()];
        let mut read: HashMap<u32, u32> = HashMap::default();
        let mut done: HashMap<(u32, u32), u32> = HashMap::default();
        for at in session {
            let deed = self.deeds.deeds[*at as usize];
            seen[own as usize] = deed.place;
            if deed.is_write || deed.source == NOWHERE {
                continue;
            }
            let mut is_obliged = false;
            if let Some(before) = read.get(&deed.key) {
                is_obliged = true;
                self.force(*before, *at);
            }
            for number in 0..self.writers[deed.key as usize].len() {
                let writer = self.writers[deed.key as usize][number];
                let until = seen[writer as usize];
                let Some(before) = self.last_before(writer, deed.key, until) else { continue };
                is_obliged = true;
                // What was forced before what was read last, is before this one too.
                if done.insert((writer, deed.key), before) != Some(before) {
                    self.force(before, *at);
                }
            }
            self.made.obliged += u64::from(is_obliged);
            if deed.source != INITIAL {
                read.insert(deed.key, deed.source);
                let source = self.deeds.deeds[deed.source as usize];
                let known = &mut seen[source.session as usize];
                *known = (*known).max(source.place + 1);
            }
        }
    }

    /// What a session read before it wrote, what those sessions had read before, and so on: of each session so many
    /// of its first deeds. Found by going over all of them until nothing changes.
    fn behind_reads(&mut self, assumed: Assumed, go_on: &mut dyn FnMut() -> bool) -> bool {
        let width = self.deeds.sessions.len();
        let mut numbers = vec![u32::MAX; self.deeds.deeds.len()];
        let mut writes = 0;
        for deed in self.deeds.deeds.iter().filter(|deed| !deed.is_write) {
            if let Some(number) = numbers.get_mut(deed.source as usize).filter(|number| **number == u32::MAX)
            {
                *number = writes;
                writes += 1;
            }
        }
        if width.saturating_mul(writes as usize) > CLOCK_WORDS_MAX {
            return false;
        }
        let mut clocks = Clocks { width, numbers, words: vec![0; width * writes as usize] };
        while clocks.pass(self.deeds) {
            if !go_on() {
                return false;
            }
        }
        if !assumed.is_shared && self.is_settled(&clocks) {
            self.made.is_settled = true;
            return true;
        }
        // By session and key: the versions that it read, each once, with the place of the first such read.
        let mut reads: HashMap<(u32, u32), Vec<(u32, u32)>> = HashMap::default();
        let mut readers: Vec<Vec<u32>> = vec![Vec::new(); self.deeds.key_count()];
        let mut met: HashSet<(u32, u32)> = HashSet::default();
        for deed in self.deeds.sessions.iter().flatten().map(|at| self.deeds.deeds[*at as usize]) {
            if deed.is_write || deed.source >= NOWHERE {
                continue;
            }
            let list = reads.entry((deed.session, deed.key)).or_default();
            if list.is_empty() {
                readers[deed.key as usize].push(deed.session);
            }
            if met.insert((deed.session, deed.source)) {
                list.push((deed.place, deed.source));
            }
        }
        self.read_before(&clocks, &reads, &readers, go_on)
    }

    fn is_settled(&mut self, clocks: &Clocks) -> bool {
        let deeds = self.deeds;
        let mut is_behind = vec![false; deeds.deeds.len()];
        for session in &deeds.sessions {
            let mut read: HashSet<u32> = HashSet::default();
            let mut last = u32::MAX;
            for at in session {
                let deed = deeds.deeds[*at as usize];
                if deed.is_write {
                    is_behind[*at as usize] = read.contains(&deed.key);
                } else if deed.source != NOWHERE {
                    if last == deed.call {
                        return false;
                    }
                    if deed.source != INITIAL {
                        // The write that it read comes behind this read.
                        if clocks.of(deed.source)[deed.session as usize] > deed.place {
                            return false;
                        }
                        last = deed.call;
                        read.insert(deed.key);
                    }
                }
            }
        }
        let reads = deeds.deeds.iter().filter(|deed| !deed.is_write && deed.source < NOWHERE);
        self.made.obliged = reads.filter(|deed| is_behind[deed.source as usize]).count() as u64;
        true
    }

    fn read_before(
        &mut self,
        clocks: &Clocks,
        reads: &HashMap<(u32, u32), Vec<(u32, u32)>>,
        readers: &[Vec<u32>],
        go_on: &mut dyn FnMut() -> bool,
    ) -> bool {
        let deeds = self.deeds;
        for session in &deeds.sessions {
            if !go_on() {
                return false;
            }
            let mut done: HashSet<u32> = HashSet::default();
            self.with_shown(session, |walk, at, shown| {
                let read = deeds.deeds[at as usize];
                // A version that is read again is behind the same ones again.
                let is_again = shown.is_empty() && !done.insert(read.source);
                if is_again || walk.made.edges.len() > EDGES_MAX {
                    return;
                }
                let own = (read.source != INITIAL).then_some(read.source);
                let mut must: Vec<u32> = Vec::new();
                for write in shown.iter().copied().chain(own) {
                    let clock = clocks.of(write);
                    for reader in &readers[read.key as usize] {
                        let list = &reads[&(*reader, read.key)];
                        let until = clock[*reader as usize];
                        must.extend(list.iter().take_while(|(place, _)| *place < until).map(|one| one.1));
                    }
                }
                must.sort_unstable();
                must.dedup();
                walk.made.obliged += u64::from(!must.is_empty());
                must.into_iter().for_each(|from| walk.force(from, at));
            });
        }
        self.made.edges.len() <= EDGES_MAX
    }
}

/// Of each write that was read: of each session, how many of its first deeds come before it.
struct Clocks {
    width: usize,
    numbers: Vec<u32>,
    words: Vec<u32>,
}

impl Clocks {
    fn of(&self, write: u32) -> &[u32] {
        let at = self.numbers[write as usize] as usize * self.width;
        &self.words[at..at + self.width]
    }

    /// Whether anything changed.
    fn pass(&mut self, deeds: &Deeds<'_>) -> bool {
        let mut has_changed = false;
        let mut now = vec![0_u32; self.width];
        for (number, session) in deeds.sessions.iter().enumerate() {
            now.fill(0);
            for at in session {
                let deed = deeds.deeds[*at as usize];
                if !deed.is_write && deed.source < NOWHERE {
                    let known = self.of(deed.source);
                    now.iter_mut().zip(known).for_each(|(now, known)| *now = (*now).max(*known));
                }
                if !deed.is_write || self.numbers[*at as usize] == u32::MAX {
                    continue;
                }
                now[number] = now[number].max(deed.place);
                let from = self.numbers[*at as usize] as usize * self.width;
                for (word, now) in self.words[from..from + self.width].iter_mut().zip(&now) {
                    has_changed |= *word < *now;
                    *word = (*word).max(*now);
                }
            }
        }
        has_changed
    }
}
