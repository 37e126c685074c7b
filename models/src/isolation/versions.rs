//! The orders of the versions of lists, and what contradicts them without any graph.

use super::anomaly::Anomaly;
use super::found::Findings;
use super::txns::{Act, Mop, Txns};
use super::witness::Witness;
use crate::foreign::{Outcome, Word};
use crate::hash::{HashMap, HashSet};

pub(super) const NONE: u32 = u32::MAX;

/// The position of an element that only reads hold which contradict the order of its key.
pub(super) const ELSEWHERE: u32 = u32::MAX - 1;

/// What is known of the versions of all keys. The longest committed read of a key is their order.
pub(super) struct Versions {
    /// By key: where the longest read is on the tape, its length, and the transaction that read it.
    pub(super) longest: Vec<Longest>,
    /// By key and position: the micro-operation that appended the element, [`NONE`] for garbage.
    pub(super) writers: Vec<u32>,
    /// By micro-operation: the position of the element that it appended, [`NONE`] where nobody read it,
    /// [`ELSEWHERE`] where it has no place in the order.
    pub(super) position: Vec<u32>,
    /// By micro-operation: a read that fits the order, of a key that the transaction had not written before.
    pub(super) is_external: Vec<bool>,
    /// By micro-operation: a read that fits the order.
    fits: Vec<bool>,
    /// By transaction: it happened, or somebody has read what it wrote.
    pub(super) committed: Vec<bool>,
}

#[derive(Clone, Copy)]
pub(super) struct Longest {
    pub(super) at: u32,
    pub(super) count: u32,
    /// [`NONE`] where nobody read the key.
    pub(super) reader: u32,
    /// Where the positions of the key begin in [`Versions::writers`].
    pub(super) first: u32,
}

/// The reads of a transaction that is known to have happened.
fn reads<'a>(txns: &'a Txns<'_>) -> impl Iterator<Item = (u32, &'a Mop, u32, u32)> {
    txns.mops.iter().enumerate().filter_map(|(at, mop)| match mop.act {
        Act::ReadList { at: place, count } => Some((at as u32, mop, place, count)),
        Act::Write(_) | Act::Read(_) => None,
    })
}

impl Versions {
    pub(super) fn of(txns: &Txns<'_>, findings: &mut Findings) -> Versions {
        let mut versions = Versions {
            longest: vec![Longest { at: 0, count: 0, reader: NONE, first: 0 }; txns.keys.len()],
            writers: Vec::new(),
            position: vec![NONE; txns.mops.len()],
            is_external: vec![false; txns.mops.len()],
            fits: vec![false; txns.mops.len()],
            committed: txns.txns.iter().map(|txn| txn.outcome == Outcome::Ok).collect(),
        };
        versions.find_longest(txns);
        versions.find_writers(txns, findings);
        versions.judge_reads(txns, findings);
        versions.judge_own_order(txns, findings);
        versions.find_lost_updates(txns, findings);
        versions
    }

    /// The elements of the longest read of a key.
    pub(super) fn order<'a>(&self, txns: &Txns<'a>, key: u32) -> &'a [Word] {
        let longest = &self.longest[key as usize];
        if longest.count == 0 { &[] } else { txns.list(longest.at, longest.count) }
    }

    /// Who appended the element at a position, where that transaction committed.
    pub(super) fn writer_at(&self, txns: &Txns<'_>, key: u32, position: u32) -> Option<u32> {
        let mop = self.writers[(self.longest[key as usize].first + position) as usize];
        let txn = txns.mops.get(mop as usize)?.txn;
        // An element that stands there twice belongs to its first place.
        (self.committed[txn as usize] && self.position[mop as usize] == position).then_some(txn)
    }

    fn find_longest(&mut self, txns: &Txns<'_>) {
        for (_, mop, at, count) in reads(txns) {
            let longest = &mut self.longest[mop.key as usize];
            if longest.reader == NONE || count > longest.count {
                *longest = Longest { at, count, reader: mop.txn, first: 0 };
            }
        }
    }

    fn find_writers(&mut self, txns: &Txns<'_>, findings: &mut Findings) {
        for key in 0..txns.keys.len() as u32 {
            self.longest[key as usize].first = self.writers.len() as u32;
            let reader = self.longest[key as usize].reader;
            for (position, element) in self.order(txns, key).iter().enumerate() {
                let writer = txns.writers.get(&(key, *element)).copied().unwrap_or(NONE);
                self.writers.push(writer);
                if writer != NONE {
                    self.promote(txns, writer);
                    if self.position[writer as usize] == NONE {
                        self.position[writer as usize] = position as u32;
                        continue;
                    }
                }
                let anomaly = if writer == NONE { Anomaly::GarbageRead } else { Anomaly::DuplicateElements };
                findings.add(anomaly, || direct(txns, anomaly, &[reader], key, Some(*element)));
            }
            self.judge_order(txns, key, findings);
        }
    }

    /// An info transaction whose write was read has happened.
    fn promote(&mut self, txns: &Txns<'_>, writer: u32) {
        let txn = txns.mops[writer as usize].txn;
        if txns.txns[txn as usize].outcome == Outcome::Info {
            self.committed[txn as usize] = true;
        }
    }

    /// Elements of failed transactions, and committed ones behind them.
    fn judge_order(&self, txns: &Txns<'_>, key: u32, findings: &mut Findings) {
        let Longest { first, count, reader, .. } = self.longest[key as usize];
        let mut failed = None;
        for mop in self.writers[first as usize..(first + count) as usize].iter().filter(|mop| **mop != NONE) {
            let Mop { txn, act: Act::Write(element), .. } = txns.mops[*mop as usize] else { continue };
            if txns.txns[txn as usize].outcome == Outcome::Fail {
                failed.get_or_insert((txn, element));
                findings.add(Anomaly::G1a, || direct(txns, Anomaly::G1a, &[reader, txn], key, Some(element)));
            } else if let Some((aborted, element)) = failed {
                let calls = [reader, aborted, txn];
                findings.add(Anomaly::DirtyUpdate, || {
                    direct(txns, Anomaly::DirtyUpdate, &calls, key, Some(element))
                });
            }
        }
    }

    fn judge_reads(&mut self, txns: &Txns<'_>, findings: &mut Findings) {
        let mut own = OwnState::new(txns);
        for txn in 0..txns.txns.len() as u32 {
            let first = txns.txns[txn as usize].first_mop;
            for (at, mop) in txns.mops_of(txn).iter().enumerate() {
                let at = first + at as u32;
                match mop.act {
                    Act::Write(_) => own.append(mop.key, txn, at),
                    Act::ReadList { at: place, count } => {
                        let list = if count == 0 { &[][..] } else { txns.list(place, count) };
                        if !own.agrees(txns, mop.key, txn, list) {
                            let last = list.last().copied();
                            findings.add(Anomaly::Internal, || {
                                direct(txns, Anomaly::Internal, &[txn], mop.key, last)
                            });
                        }
                        let is_external_read = own.read(mop.key, txn, place, count);
                        self.judge_read(txns, at, list, is_external_read, findings);
                    }
                    Act::Read(_) => {}
                }
            }
        }
        self.judge_ends(txns, findings);
    }

    /// Whether a read fits the order of its key; one that does not is judged element by element.
    fn judge_read(
        &mut self,
        txns: &Txns<'_>,
        at: u32,
        list: &[Word],
        is_external_read: bool,
        findings: &mut Findings,
    ) {
        let Mop { txn, key, .. } = txns.mops[at as usize];
        if self.order(txns, key).starts_with(list) {
            self.is_external[at as usize] = is_external_read;
            self.fits[at as usize] = true;
            return;
        }
        let other = self.longest[key as usize].reader;
        findings.add(Anomaly::IncompatibleOrder, || {
            direct(txns, Anomaly::IncompatibleOrder, &[txn, other], key, None)
        });
        let mut seen: HashSet<Word> = HashSet::default();
        for element in list {
            let writer = txns.writers.get(&(key, *element)).map(|mop| {
                let position = &mut self.position[*mop as usize];
                *position = if *position == NONE { ELSEWHERE } else { *position };
                txns.mops[*mop as usize].txn
            });
            let outcome = writer.map(|writer| txns.txns[writer as usize].outcome);
            if !seen.insert(*element) {
                let anomaly = Anomaly::DuplicateElements;
                findings.add(anomaly, || direct(txns, anomaly, &[txn], key, Some(*element)));
            }
            match (writer, outcome) {
                (None, _) => {
                    let anomaly = Anomaly::GarbageRead;
                    findings.add(anomaly, || direct(txns, anomaly, &[txn], key, Some(*element)));
                }
                (Some(writer), Some(Outcome::Fail)) => {
                    findings.add(Anomaly::G1a, || {
                        direct(txns, Anomaly::G1a, &[txn, writer], key, Some(*element))
                    });
                }
                (Some(writer), _) => self.committed[writer as usize] = true,
            }
        }
    }

    /// What the ends of external reads tell: versions that were intermediate, or came from the future.
    fn judge_ends(&self, txns: &Txns<'_>, findings: &mut Findings) {
        let finals = final_writes(txns);
        for (_, mop, _, count) in reads(txns).filter(|(at, ..)| self.is_external[*at as usize]) {
            let Some(last) = count.checked_sub(1) else { continue };
            let longest = &self.longest[mop.key as usize];
            let writer = self.writers[(longest.first + last) as usize];
            if writer == NONE {
                continue;
            }
            let by = txns.mops[writer as usize].txn;
            let Act::Write(element) = txns.mops[writer as usize].act else { continue };
            if by != mop.txn && !finals[writer as usize] {
                findings
                    .add(Anomaly::G1b, || direct(txns, Anomaly::G1b, &[mop.txn, by], mop.key, Some(element)));
            }
        }
        self.judge_future(txns, findings);
    }

    /// Appends whose element a read of the same transaction held before.
    fn judge_future(&self, txns: &Txns<'_>, findings: &mut Findings) {
        let mut longest_own: Vec<(u32, u32)> = vec![(NONE, 0); txns.keys.len()];
        for (at, mop) in txns.mops.iter().enumerate() {
            let own = &mut longest_own[mop.key as usize];
            match mop.act {
                Act::ReadList { .. } if !self.fits[at] => {}
                Act::ReadList { count, .. } if own.0 != mop.txn => *own = (mop.txn, count),
                Act::ReadList { count, .. } => own.1 = own.1.max(count),
                Act::Write(element) => {
                    let position = self.position[at];
                    if own.0 == mop.txn && position != NONE && position < own.1 {
                        findings.add(Anomaly::FutureRead, || {
                            direct(txns, Anomaly::FutureRead, &[mop.txn], mop.key, Some(element))
                        });
                    }
                }
                Act::Read(_) => {}
            }
        }
    }

    /// What one transaction appended to a key stands in its own order, and without gaps at the end.
    fn judge_own_order(&self, txns: &Txns<'_>, findings: &mut Findings) {
        let mut before: Vec<(u32, u32)> = vec![(NONE, 0); txns.keys.len()];
        for (at, mop) in txns.mops.iter().enumerate() {
            let (Act::Write(element), position) = (mop.act, self.position[at]) else { continue };
            let (txn, last) = before[mop.key as usize];
            before[mop.key as usize] = (mop.txn, position);
            if txn == mop.txn && position < last && position < ELSEWHERE && last != ELSEWHERE {
                let anomaly = Anomaly::CyclicVersions;
                let calls = [mop.txn, self.longest[mop.key as usize].reader];
                findings.add(anomaly, || direct(txns, anomaly, &calls, mop.key, Some(element)));
            }
        }
    }

    /// Transactions that read one version and then wrote the key.
    fn find_lost_updates(&self, txns: &Txns<'_>, findings: &mut Findings) {
        let mut first: HashMap<(u32, u32), u32> = HashMap::default();
        let mut read: Vec<(u32, u32)> = vec![(NONE, 0); txns.keys.len()];
        for (at, mop) in txns.mops.iter().enumerate() {
            match mop.act {
                Act::ReadList { count, .. } if self.is_external[at] => {
                    read[mop.key as usize] = (mop.txn, count)
                }
                Act::Write(_) if read[mop.key as usize].0 == mop.txn => {
                    let count = read[mop.key as usize].1;
                    read[mop.key as usize].0 = NONE;
                    let before = *first.entry((mop.key, count)).or_insert(mop.txn);
                    if before != mop.txn {
                        let version = self.order(txns, mop.key)[..count as usize].last().copied();
                        findings.add(Anomaly::LostUpdate, || {
                            direct(txns, Anomaly::LostUpdate, &[before, mop.txn], mop.key, version)
                        });
                    }
                }
                _ => {}
            }
        }
    }
}

/// By micro-operation: whether it is the last write of its transaction to its key.
pub(super) fn final_writes(txns: &Txns<'_>) -> Vec<bool> {
    let mut finals = vec![false; txns.mops.len()];
    let mut later = vec![NONE; txns.keys.len()];
    for (at, mop) in txns.mops.iter().enumerate().rev() {
        if matches!(mop.act, Act::Write(_)) && later[mop.key as usize] != mop.txn {
            later[mop.key as usize] = mop.txn;
            finals[at] = true;
        }
    }
    finals
}

pub(super) fn direct(
    txns: &Txns<'_>,
    anomaly: Anomaly,
    concerned: &[u32],
    key: u32,
    value: Option<Word>,
) -> Witness {
    let calls = concerned.iter().map(|txn| txns.txns[*txn as usize].call).collect();
    let value = value.map(|value| txns.show(value));
    Witness::direct(txns.history, anomaly, calls, txns.key_name(key), value)
}

/// What a transaction has itself read and appended, key by key.
struct OwnState {
    /// By key: the transaction, the slice that it read last, and the newest of its appends since.
    keys: Vec<Own>,
    /// By micro-operation: the append before it, of the same transaction to the same key.
    before: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Own {
    txn: u32,
    read: Option<(u32, u32)>,
    append: u32,
    appends: u32,
    /// It has appended before, whatever it read since.
    wrote: bool,
}

impl OwnState {
    fn new(txns: &Txns<'_>) -> OwnState {
        let fresh = Own { txn: NONE, read: None, append: NONE, appends: 0, wrote: false };
        OwnState { keys: vec![fresh; txns.keys.len()], before: vec![NONE; txns.mops.len()] }
    }

    fn of(&mut self, key: u32, txn: u32) -> &mut Own {
        let own = &mut self.keys[key as usize];
        if own.txn != txn {
            *own = Own { txn, read: None, append: NONE, appends: 0, wrote: false };
        }
        own
    }

    fn append(&mut self, key: u32, txn: u32, mop: u32) {
        let own = self.of(key, txn);
        let before = std::mem::replace(&mut own.append, mop);
        own.appends += 1;
        own.wrote = true;
        self.before[mop as usize] = before;
    }

    /// Whether a list ends in what was appended, after exactly what was read before.
    fn agrees(&mut self, txns: &Txns<'_>, key: u32, txn: u32, list: &[Word]) -> bool {
        let own = *self.of(key, txn);
        let Some(begin) = list.len().checked_sub(own.appends as usize) else { return false };
        let mut append = own.append;
        for element in list[begin..].iter().rev() {
            let Act::Write(appended) = txns.mops[append as usize].act else { return false };
            if appended != *element {
                return false;
            }
            append = self.before[append as usize];
        }
        match own.read {
            None => true,
            Some((_, 0)) => begin == 0,
            Some((at, count)) => list[..begin] == *txns.list(at, count),
        }
    }

    /// Takes a read over; says whether the transaction had not written the key before.
    fn read(&mut self, key: u32, txn: u32, at: u32, count: u32) -> bool {
        let own = self.of(key, txn);
        let wrote = own.wrote;
        *own = Own { txn, read: Some((at, count)), append: NONE, appends: 0, wrote };
        !wrote
    }
}
