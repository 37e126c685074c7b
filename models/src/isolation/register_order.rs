//! The order of the versions of registers, inferred key by key.
//!
//! The initial version comes before all others. With `wfr_keys`, what a transaction read comes before what it
//! then wrote. With `sequential_keys`, a process meets the versions of a key in their order. With
//! `linearizable_keys`, whatever was there when one transaction ended comes before whatever another meets that
//! began later: the zones of Gibbons and Korach ("Testing Shared Memories", 1997) give that order in
//! O(n (log n + concurrency)) edges. What the history itself states of its versions needs no such assumption.

use super::anomaly::Anomaly;
use super::found::Findings;
use super::graph::{Edges, WW};
use super::rw_register::Registers;
use super::stated::Stated;
use super::txns::Txns;
use super::versions::{NONE, direct};
use crate::foreign::{Outcome, Word};
use crate::hash::HashMap;

/// What may be assumed about the versions of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Inference {
    /// Each key by itself is linearizable.
    pub linearizable_keys: bool,
    /// Each key by itself is sequentially consistent.
    pub sequential_keys: bool,
    /// Within a transaction, a write follows what was read of the key before.
    pub wfr_keys: bool,
}

/// Versions by number, and which of them come directly after which.
pub(super) struct Inferred {
    numbers: HashMap<(u32, Word), u32>,
    values: Vec<(u32, Word)>,
    writers: Vec<u32>,
    starts: Vec<u32>,
    next: Vec<u32>,
    /// The history itself states the order of all that was installed.
    pub(super) is_stated: bool,
}

/// When a version was met: first known to be there, and last met by somebody who began later.
#[derive(Clone, Copy)]
struct Zone {
    /// The earliest end of a transaction that wrote or read it.
    first_end: u32,
    /// The latest begin of one.
    last_begin: u32,
    version: u32,
}

impl Zone {
    fn is_forward(&self) -> bool {
        self.first_end < self.last_begin
    }
}

impl Inferred {
    pub(super) fn of(
        txns: &Txns<'_>,
        registers: &Registers,
        inference: Inference,
        findings: &mut Findings,
    ) -> Inferred {
        let mut inferred = Inferred {
            numbers: HashMap::default(),
            values: Vec::new(),
            writers: Vec::new(),
            starts: Vec::new(),
            next: Vec::new(),
            is_stated: false,
        };
        for key in 0..txns.keys.len() as u32 {
            inferred.add((key, Word::NIL), NONE);
        }
        for (key, value, writer) in &registers.writes {
            inferred.add((*key, *value), *writer);
        }
        let mut pairs = Vec::new();
        let stated = Stated::of(txns, &inferred, findings);
        stated.add_order(txns, &inferred, &mut pairs, findings);
        inferred.is_stated = registers.writes.iter().all(|(key, value, _)| stated.has(*key, *value));
        if inference.wfr_keys {
            inferred.add_writes_after_reads(registers, &mut pairs);
        }
        if inference.sequential_keys {
            inferred.add_process_order(txns, registers, &mut pairs);
        }
        if inference.linearizable_keys && txns.history.is_timed() {
            inferred.add_zones(txns, registers, &mut pairs, findings);
        }
        inferred.settle(txns, pairs, findings);
        inferred
    }

    fn add(&mut self, version: (u32, Word), writer: u32) {
        self.numbers.insert(version, self.values.len() as u32);
        self.values.push(version);
        self.writers.push(writer);
    }

    pub(super) fn count(&self) -> u32 {
        self.values.len() as u32
    }

    pub(super) fn version(&self, key: u32, value: Word) -> Option<u32> {
        self.numbers.get(&(key, value)).copied()
    }

    pub(super) fn value(&self, version: u32) -> Word {
        self.values[version as usize].1
    }

    pub(super) fn writer_of(&self, version: u32) -> Option<u32> {
        Some(self.writers[version as usize]).filter(|writer| *writer != NONE)
    }

    pub(super) fn writer(&self, key: u32, value: Word) -> Option<u32> {
        self.writer_of(self.version(key, value)?)
    }

    /// The versions that come directly after this one.
    pub(super) fn next(&self, version: u32) -> impl Iterator<Item = u32> {
        let range = self.starts[version as usize] as usize..self.starts[version as usize + 1] as usize;
        self.next[range].iter().copied()
    }

    fn add_writes_after_reads(&self, registers: &Registers, pairs: &mut Vec<(u32, u32)>) {
        let written: HashMap<(u32, u32), Word> =
            registers.writes.iter().map(|(key, value, txn)| ((*key, *txn), *value)).collect();
        for (key, value, txn) in &registers.reads {
            let next = written.get(&(*key, *txn)).and_then(|next| self.version(*key, *next));
            if let (Some(before), Some(next)) = (self.version(*key, *value), next) {
                pairs.push((before, next));
            }
        }
    }

    /// What each transaction met of each key, in the order of the transactions: its reads, and then its write.
    fn met(&self, registers: &Registers) -> Vec<(u32, u32, u32)> {
        let reads = registers.reads.iter().map(|(key, value, txn)| (*txn, *key, 0, *value));
        let writes = registers.writes.iter().map(|(key, value, txn)| (*txn, *key, 1, *value));
        let mut met: Vec<(u32, u32, u32, Word)> = reads.chain(writes).collect();
        met.sort_unstable_by_key(|(txn, key, order, _)| (*txn, *key, *order));
        met.into_iter()
            .filter_map(|(txn, key, _, value)| Some((txn, key, self.version(key, value)?)))
            .collect()
    }

    fn add_process_order(&self, txns: &Txns<'_>, registers: &Registers, pairs: &mut Vec<(u32, u32)>) {
        let mut last: HashMap<(Word, u32), (u32, u32)> = HashMap::default();
        for (txn, key, version) in self.met(registers) {
            let process = txns.txns[txn as usize].process;
            let before = last.get(&(process, key)).copied();
            // What is undecided may take effect behind what its process does later.
            if txns.txns[txn as usize].outcome == Outcome::Ok {
                last.insert((process, key), (txn, version));
            }
            // Within a transaction the order of reads and writes is another assumption.
            if let Some((_, before)) = before.filter(|(other, _)| *other != txn) {
                pairs.push((before, version));
            }
        }
    }

    fn add_zones(
        &self,
        txns: &Txns<'_>,
        registers: &Registers,
        pairs: &mut Vec<(u32, u32)>,
        findings: &mut Findings,
    ) {
        let mut zones: Vec<Zone> = (0..self.count())
            .map(|version| {
                // Before anything else, the initial version is there.
                Zone {
                    first_end: if self.value(version) == Word::NIL { 0 } else { u32::MAX },
                    last_begin: 0,
                    version,
                }
            })
            .collect();
        for (txn, _, version) in self.met(registers) {
            let txn = &txns.txns[txn as usize];
            let zone = &mut zones[version as usize];
            zone.first_end = zone.first_end.min(txn.end.saturating_add(1));
            zone.last_begin = zone.last_begin.max(txn.begin.saturating_add(1));
        }
        zones.sort_by_key(|zone| (self.values[zone.version as usize].0, zone.first_end.min(zone.last_begin)));
        for of_key in zones.chunk_by(|one, other| {
            self.values[one.version as usize].0 == self.values[other.version as usize].0
        }) {
            match clash(of_key) {
                None => frontier(of_key, pairs),
                Some((one, other)) => self.report(txns, one, other, findings),
            }
        }
    }

    fn report(&self, txns: &Txns<'_>, one: u32, other: u32, findings: &mut Findings) {
        let writers: Vec<u32> = [one, other].iter().filter_map(|version| self.writer_of(*version)).collect();
        let (key, value) = self.values[if self.writer_of(other).is_some() { other } else { one } as usize];
        findings.add(Anomaly::CyclicVersions, || {
            direct(txns, Anomaly::CyclicVersions, &writers, key, Some(value))
        });
    }

    /// Keeps the pairs that are no circle, with the initial version before whatever nothing else is before.
    fn settle(&mut self, txns: &Txns<'_>, mut pairs: Vec<(u32, u32)>, findings: &mut Findings) {
        pairs.retain(|(before, next)| before != next);
        let mut edges = Edges::new(self.values.len());
        pairs.iter().for_each(|(before, next)| edges.add(*before, *next, WW));
        let components = edges.build().components(WW, None);
        for members in &components.cyclic {
            self.report(txns, members[0], members[1], findings);
        }
        pairs.retain(|(before, next)| components.of[*before as usize] != components.of[*next as usize]);
        let mut has_before = vec![false; self.values.len()];
        pairs.iter().for_each(|(_, next)| has_before[*next as usize] = true);
        for (version, (key, value)) in self.values.iter().enumerate() {
            if *value != Word::NIL && !has_before[version] {
                pairs.extend(self.version(*key, Word::NIL).map(|initial| (initial, version as u32)));
            }
        }
        pairs.sort_unstable();
        pairs.dedup();
        self.starts = vec![0; self.values.len() + 1];
        pairs.iter().for_each(|(before, _)| self.starts[*before as usize + 1] += 1);
        for at in 1..self.starts.len() {
            self.starts[at] += self.starts[at - 1];
        }
        self.next = pairs.into_iter().map(|(_, next)| next).collect();
    }
}

/// Two zones of a key that come before each other: two forward ones that overlap, or a backward one within a
/// forward one. The zones are sorted by their earlier end.
fn clash(zones: &[Zone]) -> Option<(u32, u32)> {
    let mut open: Option<Zone> = None;
    for zone in zones.iter().filter(|zone| zone.last_begin > 0) {
        if let Some(before) = open {
            let (low, high) = (zone.first_end.min(zone.last_begin), zone.first_end.max(zone.last_begin));
            let is_inside = low > before.first_end && high < before.last_begin;
            let overlaps = zone.is_forward() && zone.first_end < before.last_begin;
            if is_inside || overlaps {
                return Some((before.version, zone.version));
            }
        }
        if zone.is_forward() && open.is_none_or(|before| before.last_begin < zone.last_begin) {
            open = Some(*zone);
        }
    }
    None
}

/// Adds the direct pairs of an order in which nothing clashes: `before` was there before `next` was met last.
fn frontier(zones: &[Zone], pairs: &mut Vec<(u32, u32)>) {
    #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    enum Moment {
        /// A backward zone begins: whoever is in front comes before it.
        Enter,
        /// A backward zone ends.
        Leave,
        /// A forward zone, at its earlier end.
        Pass,
    }
    let met = || zones.iter().filter(|zone| zone.last_begin > 0);
    let mut moments: Vec<(u32, Moment, Zone)> = Vec::with_capacity(zones.len() * 2);
    for zone in met() {
        if zone.is_forward() {
            moments.push((zone.first_end, Moment::Pass, *zone));
        } else {
            moments.push((zone.last_begin, Moment::Enter, *zone));
            moments.push((zone.first_end, Moment::Leave, *zone));
        }
    }
    // What ends at a moment does not come before what begins at it.
    moments.sort_by_key(|(time, moment, zone)| (*time, *moment, zone.version));
    let mut front: Vec<u32> = Vec::new();
    let mut before: HashMap<u32, Vec<u32>> = HashMap::default();
    let mut passing: Option<Zone> = None;
    for (time, moment, zone) in moments {
        match moment {
            Moment::Enter => {
                pairs.extend(front.iter().map(|earlier| (*earlier, zone.version)));
                before.insert(zone.version, front.clone());
            }
            Moment::Pass => {
                pairs.extend(front.iter().map(|earlier| (*earlier, zone.version)));
                front = vec![zone.version];
                passing = Some(zone);
            }
            Moment::Leave => {
                let earlier = before.remove(&zone.version).unwrap_or_default();
                if time == u32::MAX {
                    continue;
                }
                match passing.filter(|forward| time < forward.last_begin) {
                    // It ends within a forward zone: what comes after it comes after that one too.
                    Some(forward) => pairs.push((zone.version, forward.version)),
                    None => {
                        front.retain(|other| !earlier.contains(other));
                        front.push(zone.version);
                    }
                }
            }
        }
    }
}
