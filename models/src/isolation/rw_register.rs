//! `rw-register`: every written value of a key is unique, so that a read tells who wrote what it saw, but not what
//! was overwritten by what. The order of the versions is inferred, as far as the options allow.

use super::anomaly::Anomaly;
use super::found::Findings;
use super::graph::{Edges, RW, WR, WW};
use super::register_order::Inferred;
use super::txns::{Act, Mop, Txns};
use super::versions::{NONE, direct, final_writes};
use super::witness::Why;
use crate::foreign::{Outcome, Word};
use crate::hash::HashMap;

/// What is known of registers without any order of versions.
pub(super) struct Registers {
    /// By transaction: it happened, or somebody has read what it wrote.
    pub(super) committed: Vec<bool>,
    /// Key, version and transaction of each external read; [`Word::NIL`] is the initial version.
    pub(super) reads: Vec<(u32, Word, u32)>,
    /// Key, version and transaction of each write that its transaction did not overwrite itself.
    pub(super) writes: Vec<(u32, Word, u32)>,
    /// Key, value and transaction of each read that contradicts what its transaction had written itself.
    pub(super) contradictions: Vec<(u32, Word, u32)>,
}

impl Registers {
    pub(super) fn of(txns: &Txns<'_>, findings: &mut Findings) -> Registers {
        let mut registers = Registers {
            committed: txns.txns.iter().map(|txn| txn.outcome == Outcome::Ok).collect(),
            reads: Vec::new(),
            writes: Vec::new(),
            contradictions: Vec::new(),
        };
        let finals = final_writes(txns);
        registers.judge_reads(txns, &finals, findings);
        for (_, mop) in txns.mops.iter().enumerate().filter(|(at, _)| finals[*at]) {
            let Act::Write(value) = mop.act else { continue };
            if registers.committed[mop.txn as usize] {
                registers.writes.push((mop.key, value, mop.txn));
            }
        }
        registers.find_lost_updates(txns, findings);
        registers
    }

    fn judge_reads(&mut self, txns: &Txns<'_>, finals: &[bool], findings: &mut Findings) {
        // By key: the transaction that touched it last, the value that it knows, and whether it wrote it.
        let mut known: Vec<(u32, Word, bool)> = vec![(NONE, Word::NIL, false); txns.keys.len()];
        for (at, mop) in txns.mops.iter().enumerate() {
            let (txn, before, wrote) = known[mop.key as usize];
            let is_known = txn == mop.txn;
            match mop.act {
                Act::Write(value) => known[mop.key as usize] = (mop.txn, value, true),
                Act::Read(value) => {
                    known[mop.key as usize] = (mop.txn, value, is_known && wrote);
                    if is_known && before != value {
                        if wrote {
                            self.contradictions.push((mop.key, value, mop.txn));
                        }
                        let anomaly = Anomaly::Internal;
                        findings.add(anomaly, || direct(txns, anomaly, &[mop.txn], mop.key, Some(value)));
                    }
                    if !(is_known && wrote) {
                        self.judge_external(txns, at, mop, value, finals, findings);
                    }
                }
                Act::ReadList { .. } => {}
            }
        }
    }

    fn judge_external(
        &mut self,
        txns: &Txns<'_>,
        at: usize,
        mop: &Mop,
        value: Word,
        finals: &[bool],
        findings: &mut Findings,
    ) {
        if value == Word::NIL {
            self.reads.push((mop.key, value, mop.txn));
            return;
        }
        let Some(writer) = txns.writers.get(&(mop.key, value)).copied() else {
            let anomaly = Anomaly::GarbageRead;
            findings.add(anomaly, || direct(txns, anomaly, &[mop.txn], mop.key, Some(value)));
            return;
        };
        let by = txns.mops[writer as usize].txn;
        if by == mop.txn {
            if writer as usize > at {
                let anomaly = Anomaly::FutureRead;
                findings.add(anomaly, || direct(txns, anomaly, &[mop.txn], mop.key, Some(value)));
            }
            return;
        }
        let anomaly = match txns.txns[by as usize].outcome {
            Outcome::Fail => Some(Anomaly::G1a),
            _ if !finals[writer as usize] => Some(Anomaly::G1b),
            _ => None,
        };
        if txns.txns[by as usize].outcome != Outcome::Fail {
            self.committed[by as usize] = true;
        }
        match anomaly {
            Some(anomaly) => {
                findings.add(anomaly, || direct(txns, anomaly, &[mop.txn, by], mop.key, Some(value)));
            }
            None => self.reads.push((mop.key, value, mop.txn)),
        }
    }

    fn find_lost_updates(&self, txns: &Txns<'_>, findings: &mut Findings) {
        let writers: crate::hash::HashSet<(u32, u32)> =
            self.writes.iter().map(|(key, _, txn)| (*key, *txn)).collect();
        let mut first: HashMap<(u32, Word), u32> = HashMap::default();
        for (key, value, txn) in self.reads.iter().filter(|(key, _, txn)| writers.contains(&(*key, *txn))) {
            let before = *first.entry((*key, *value)).or_insert(*txn);
            if before != *txn {
                let shown = (*value != Word::NIL).then_some(*value);
                let anomaly = Anomaly::LostUpdate;
                findings.add(anomaly, || direct(txns, anomaly, &[before, *txn], *key, shown));
            }
        }
    }
}

/// Adds the dependencies that reads and the inferred orders of versions tell.
pub(super) fn add_dependencies(registers: &Registers, inferred: &Inferred, edges: &mut Edges) {
    for (key, value, reader) in &registers.reads {
        if let Some(writer) = inferred.writer(*key, *value) {
            edges.add(writer, *reader, WR);
        }
    }
    let mut readers: HashMap<u32, Vec<u32>> = HashMap::default();
    for (key, value, reader) in &registers.reads {
        if let Some(version) = inferred.version(*key, *value) {
            readers.entry(version).or_default().push(*reader);
        }
    }
    for version in 0..inferred.count() {
        let next: Vec<u32> = inferred.next(version).filter_map(|next| inferred.writer_of(next)).collect();
        let before = readers.get(&version).map_or(&[][..], Vec::as_slice);
        let own = inferred.writer_of(version);
        if next.len() * (before.len() + 1) <= next.len() + before.len() + 8 {
            for writer in &next {
                own.into_iter().for_each(|own| edges.add(own, *writer, WW));
                before.iter().for_each(|reader| edges.add(*reader, *writer, RW));
            }
            continue;
        }
        let mut writers: Vec<(u32, u32)> = next.into_iter().map(|writer| (0, writer)).collect();
        writers.sort_unstable();
        writers.dedup();
        let fan = super::list_append::Fan::new(&writers, edges);
        own.into_iter().for_each(|own| fan.add_before(own, WW, edges));
        before.iter().for_each(|reader| fan.add_before(*reader, RW, edges));
    }
}

/// Adds what a total order of the versions would tell: that of the commits of their writers.
pub(super) fn add_total_order(registers: &Registers, inferred: &Inferred, order: &[u32], edges: &mut Edges) {
    let mut place: HashMap<u32, u32> = HashMap::default();
    for (at, txn) in order.iter().enumerate() {
        place.insert(*txn, at as u32);
    }
    let mut writes: Vec<(u32, u32, u32)> = registers
        .writes
        .iter()
        .filter_map(|(key, value, txn)| Some((*key, *place.get(txn)?, inferred.version(*key, *value)?)))
        .collect();
    writes.sort_unstable();
    let mut after: HashMap<u32, u32> = HashMap::default();
    let mut firsts: HashMap<u32, u32> = HashMap::default();
    for pair in writes.windows(2).filter(|pair| pair[0].0 == pair[1].0) {
        after.insert(pair[0].2, pair[1].2);
    }
    for chunk in writes.chunk_by(|one, other| one.0 == other.0) {
        firsts.insert(chunk[0].0, chunk[0].2);
    }
    let writer = |version: &u32| inferred.writer_of(*version);
    for (before, next) in &after {
        if let (Some(before), Some(next)) = (writer(before), writer(next)) {
            edges.add(before, next, WW);
        }
    }
    for (key, value, reader) in &registers.reads {
        let next = match *value == Word::NIL {
            true => firsts.get(key),
            false => inferred.version(*key, *value).and_then(|version| after.get(&version)),
        };
        if let Some(next) = next.and_then(writer) {
            edges.add(*reader, next, RW);
        }
    }
}

/// Finds why an edge holds.
pub(super) fn explain(
    txns: &Txns<'_>,
    registers: &Registers,
    inferred: &Inferred,
    from: u32,
    to: u32,
    kind: u8,
) -> Option<(Why, Option<u32>)> {
    let key_of = |key: u32| txns.key_name(key);
    let writes = |txn: u32| {
        let first = txns.txns[txn as usize].first_mop;
        let finals = txns.mops_of(txn).iter().enumerate().map(move |(at, mop)| (first + at as u32, mop));
        finals.filter_map(|(_, mop)| match mop.act {
            Act::Write(value) => Some((mop.key, value)),
            Act::Read(_) | Act::ReadList { .. } => None,
        })
    };
    // Reads of one transaction stand together, in the order of the transactions.
    let first = registers.reads.partition_point(|(_, _, txn)| *txn < if kind == WR { to } else { from });
    let reads = || {
        let txn = if kind == WR { to } else { from };
        registers.reads[first..].iter().take_while(move |(_, _, other)| *other == txn)
    };
    match kind {
        WR => reads()
            .find(|(key, value, _)| inferred.writer(*key, *value) == Some(from))
            .map(|(key, value, _)| (Why::Wr { key: key_of(*key), value: txns.show(*value) }, None)),
        WW => writes(from).find_map(|(key, value)| {
            let next = following(inferred, key, value, to)?;
            let why = Why::Ww { key: key_of(key), value: txns.show(value), next: txns.show(next) };
            Some((why, None))
        }),
        RW => reads().find_map(|(key, value, _)| {
            let next = following(inferred, *key, *value, to)?;
            let value = (*value != Word::NIL).then(|| txns.show(*value));
            Some((Why::Rw { key: key_of(*key), value, next: txns.show(next) }, None))
        }),
        _ => None,
    }
}

/// The version that `writer` wrote directly after this one.
fn following(inferred: &Inferred, key: u32, value: Word, writer: u32) -> Option<Word> {
    let version = inferred.version(key, value)?;
    let next = inferred.next(version).find(|next| inferred.writer_of(*next) == Some(writer))?;
    Some(inferred.value(next))
}
