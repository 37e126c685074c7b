//! Snapshot isolation where the history says when, by the database's own clock, each transaction started and
//! committed.
//!
//! Nothing is inferred then: each transaction must have read what had committed when it started, and nobody else
//! may have written between its start and its commit what it wrote. That takes O(n log n), and no graph (Chronos,
//! in "Online Timestamp-based Transactional Isolation Checking of Database Systems", ICDE 2025).
//!
//! What commits at the moment at which another starts is seen by it.

use super::Judgement;
use super::anomaly::{Anomaly, Extent};
use super::found::Findings;
use super::level::Level;
use super::order::{Order, is_snapshot};
use super::search::extent_of;
use super::txns::{Act, Mop, Txns};
use super::versions::{NONE, direct, final_writes};
use super::witness::Witness;
use crate::foreign::{Outcome, Word};
use crate::hash::HashMap;

/// The budget is asked for after so many transactions.
const POLL_TXNS: usize = 1 << 12;

/// What the timestamps say.
pub(super) enum Stamped {
    /// The level is another, or the history has none.
    Unasked,
    /// So many transactions that happened have none.
    Incomplete(u64),
    /// They explain every read, or findings tell which not.
    Judged(Option<Order>),
}

impl Stamped {
    /// Says why timestamps that are there were not used.
    pub(super) fn noted(self, mut judged: Judgement) -> Judgement {
        if let (Stamped::Incomplete(missing), None) = (self, &judged.reason) {
            judged.reason = Some(format!(
                "{missing} transactions that happened have no timestamps of start and commit: those of the others were left aside"
            ));
        }
        judged
    }
}

/// Judges transactions by their timestamps.
pub(super) fn judge(
    txns: &Txns<'_>,
    level: Level,
    findings: &mut Findings,
    go_on: &mut dyn FnMut() -> bool,
) -> Stamped {
    if !is_snapshot(level) || !txns.history.has_stamps() {
        return Stamped::Unasked;
    }
    let committed = committed(txns);
    let missing = (0..txns.txns.len()).filter(|txn| committed[*txn] && stamps(txns, *txn as u32).is_none());
    match missing.count() {
        0 => {}
        missing => return Stamped::Incomplete(missing as u64),
    }
    let moments = Moments::of(txns, &committed, findings);
    if findings.has(Anomaly::TimestampOrder(Extent::Data)) {
        // Clocks that run backwards say nothing about the rest.
        return Stamped::Judged(None);
    }
    let installed = Installed::of(txns, &committed, &moments);
    installed.find_conflicts(txns, &moments, findings);
    let mut own = Own::default();
    for txn in 0..txns.txns.len() as u32 {
        if (txn as usize).is_multiple_of(POLL_TXNS) && !go_on() {
            findings.undecided.push(Anomaly::SnapshotRead);
            return Stamped::Judged(None);
        }
        if txns.txns[txn as usize].outcome == Outcome::Ok {
            own.judge_reads(txns, txn, &moments, &installed, findings);
        }
    }
    let extent = extent_of(level);
    if extent >= Extent::Process {
        find_process_order(txns, &committed, &moments, findings);
    }
    if extent == Extent::Realtime && txns.history.is_timed() {
        find_realtime_order(txns, &committed, &moments, findings);
    }
    let points = moments.points.iter().map(|(txn, is_commit)| (txns.txns[*txn as usize].call, *is_commit));
    Stamped::Judged(Some(Order::Snapshot { points: points.collect(), extent }))
}

fn stamps(txns: &Txns<'_>, txn: u32) -> Option<crate::foreign::Stamps> {
    txns.history.stamps(&txns.history.calls()[txns.txns[txn as usize].call as usize])
}

/// What happened, or was read by what did. What nobody read may as well not have happened.
fn committed(txns: &Txns<'_>) -> Vec<bool> {
    let is_ok = |txn: u32| txns.txns[txn as usize].outcome == Outcome::Ok;
    let mut committed: Vec<bool> = (0..txns.txns.len() as u32).map(is_ok).collect();
    let mut read = |key: u32, value: Word| {
        if let Some(writer) = txns.writers.get(&(key, value)) {
            let by = txns.mops[*writer as usize].txn as usize;
            committed[by] |= txns.txns[by].outcome == Outcome::Info;
        }
    };
    for mop in txns.mops.iter().filter(|mop| is_ok(mop.txn)) {
        match mop.act {
            Act::Write(_) => {}
            Act::Read(value) => read(mop.key, value),
            Act::ReadList { at, count } => {
                txns.list(at, count).iter().for_each(|element| read(mop.key, *element));
            }
        }
    }
    committed
}

/// All starts and commits in one order.
struct Moments {
    /// The transaction, and whether it commits.
    points: Vec<(u32, bool)>,
    /// By transaction, the place of its start and of its commit.
    places: Vec<(u32, u32)>,
}

impl Moments {
    /// At one time, commits come first, then who starts and commits at once, one by one, and then starts.
    fn of(txns: &Txns<'_>, committed: &[bool], findings: &mut Findings) -> Moments {
        let mut points: Vec<(i64, u8, u32, bool)> = Vec::with_capacity(txns.txns.len() * 2);
        for txn in (0..txns.txns.len() as u32).filter(|txn| committed[*txn as usize]) {
            let Some(stamps) = stamps(txns, txn) else { continue };
            let (at_start, at_commit) = if stamps.start == stamps.commit { (1, 1) } else { (2, 0) };
            points.push((stamps.start, at_start, txn, false));
            points.push((stamps.commit, at_commit, txn, true));
            if stamps.start > stamps.commit {
                add(txns, Anomaly::TimestampOrder(Extent::Data), &[txn], findings);
            }
        }
        points.sort_unstable();
        let mut places = vec![(NONE, NONE); txns.txns.len()];
        for (at, (_, _, txn, is_commit)) in points.iter().enumerate() {
            let place = &mut places[*txn as usize];
            *(if *is_commit { &mut place.1 } else { &mut place.0 }) = at as u32;
        }
        let points = points.into_iter().map(|(_, _, txn, is_commit)| (txn, is_commit)).collect();
        Moments { points, places }
    }

    fn start(&self, txn: u32) -> u32 {
        self.places[txn as usize].0
    }

    fn commit(&self, txn: u32) -> u32 {
        self.places[txn as usize].1
    }
}

/// Who wrote each key, in the order of commits, and what.
struct Installed {
    /// Key, place of the commit, transaction, and where its values end.
    writers: Vec<(u32, u32, u32, usize)>,
    values: Vec<Word>,
    /// By key, where its writers begin.
    starts: Vec<usize>,
    /// By key, where its values begin.
    firsts: Vec<usize>,
}

impl Installed {
    fn of(txns: &Txns<'_>, committed: &[bool], moments: &Moments) -> Installed {
        let finals = final_writes(txns);
        let mut writes: Vec<(u32, u32, u32, Word)> = Vec::new();
        for (at, mop) in txns.mops.iter().enumerate().filter(|(_, mop)| committed[mop.txn as usize]) {
            // Of a register the last write alone remains, of a list all appends, in their order.
            if let Act::Write(value) = mop.act
                && (finals[at] || txns.is_of_lists())
            {
                writes.push((mop.key, moments.commit(mop.txn), mop.txn, value));
            }
        }
        writes.sort_by_key(|(key, commit, ..)| (*key, *commit));
        let keys = txns.keys.len();
        let mut installed = Installed {
            writers: Vec::new(),
            values: Vec::with_capacity(writes.len()),
            starts: vec![0; keys + 1],
            firsts: vec![0; keys + 1],
        };
        for of_one in writes.chunk_by(|one, other| (one.0, one.2) == (other.0, other.2)) {
            let (key, commit, txn, _) = of_one[0];
            installed.values.extend(of_one.iter().map(|(.., value)| *value));
            installed.writers.push((key, commit, txn, installed.values.len()));
            installed.starts[key as usize + 1] = installed.writers.len();
            installed.firsts[key as usize + 1] = installed.values.len();
        }
        for key in 0..keys {
            installed.starts[key + 1] = installed.starts[key + 1].max(installed.starts[key]);
            installed.firsts[key + 1] = installed.firsts[key + 1].max(installed.firsts[key]);
        }
        installed
    }

    fn writers_of(&self, key: u32) -> &[(u32, u32, u32, usize)] {
        &self.writers[self.starts[key as usize]..self.starts[key as usize + 1]]
    }

    /// The values of a key that had been committed at a place.
    fn seen(&self, key: u32, place: u32) -> &[Word] {
        let writers = self.writers_of(key);
        let first = self.firsts[key as usize];
        match writers.partition_point(|(_, commit, ..)| *commit < place) {
            0 => &self.values[first..first],
            until => &self.values[first..writers[until - 1].3],
        }
    }

    /// Whoever writes what another committed since its start.
    fn find_conflicts(&self, txns: &Txns<'_>, moments: &Moments, findings: &mut Findings) {
        for pair in self.writers.windows(2) {
            let [(key, commit, before, _), (other, _, txn, _)] = pair else { continue };
            if key == other && moments.start(*txn) < *commit {
                let anomaly = Anomaly::WriteConflict;
                findings.add(anomaly, || direct(txns, anomaly, &[*before, *txn], *key, None));
            }
        }
    }
}

/// What the transaction at hand has itself written of each key.
#[derive(Default)]
struct Own {
    written: HashMap<u32, Vec<Word>>,
}

impl Own {
    fn judge_reads(
        &mut self,
        txns: &Txns<'_>,
        txn: u32,
        moments: &Moments,
        installed: &Installed,
        findings: &mut Findings,
    ) {
        self.written.clear();
        for mop in txns.mops_of(txn) {
            let read: &[Word] = match &mop.act {
                Act::Write(value) => {
                    self.written.entry(mop.key).or_default().push(*value);
                    continue;
                }
                Act::Read(Word::NIL) => &[],
                Act::Read(value) => std::slice::from_ref(value),
                Act::ReadList { at, count } => txns.list(*at, *count),
            };
            let seen = installed.seen(mop.key, moments.start(txn));
            let own = self.written.get(&mop.key).map_or(&[][..], Vec::as_slice);
            let (before, own) = if txns.is_of_lists() {
                (seen, own)
            } else if own.is_empty() {
                (&seen[seen.len().saturating_sub(1)..], own)
            } else {
                (&[][..], &own[own.len() - 1..])
            };
            match read.strip_suffix(own) {
                Some(read) if read == before => {}
                Some(read) if own.is_empty() || txns.is_of_lists() => {
                    findings.add(Anomaly::SnapshotRead, || snapshot_read(txns, mop, read, before));
                }
                _ => {
                    let (anomaly, value) = (Anomaly::Internal, read.last().copied());
                    findings.add(anomaly, || direct(txns, anomaly, &[txn], mop.key, value));
                }
            }
        }
    }
}

/// A read that is not of the snapshot, with who wrote what should be where they differ, and what is.
fn snapshot_read(txns: &Txns<'_>, mop: &Mop, read: &[Word], before: &[Word]) -> Witness {
    let same = read.iter().zip(before).take_while(|(one, other)| one == other).count();
    let writer =
        |value: &Word| txns.writers.get(&(mop.key, *value)).map(|writer| txns.mops[*writer as usize].txn);
    let mut concerned = vec![mop.txn];
    for other in [before.get(same), read.get(same)].into_iter().flatten().filter_map(writer) {
        if !concerned.contains(&other) {
            concerned.push(other);
        }
    }
    direct(txns, Anomaly::SnapshotRead, &concerned, mop.key, read.get(same).copied())
}

fn add(txns: &Txns<'_>, anomaly: Anomaly, concerned: &[u32], findings: &mut Findings) {
    findings.add(anomaly, || {
        let calls = concerned.iter().map(|txn| txns.txns[*txn as usize].call).collect();
        Witness::of_calls(txns.history, anomaly, calls)
    });
}

/// The transactions of a process start after its own before them have committed.
fn find_process_order(txns: &Txns<'_>, committed: &[bool], moments: &Moments, findings: &mut Findings) {
    let mut last: HashMap<Word, u32> = HashMap::default();
    for txn in (0..txns.txns.len() as u32).filter(|txn| committed[*txn as usize]) {
        let known = &txns.txns[txn as usize];
        if let Some(before) = last.get(&known.process)
            && moments.start(txn) < moments.commit(*before)
        {
            add(txns, Anomaly::TimestampOrder(Extent::Process), &[*before, txn], findings);
        }
        if known.outcome == Outcome::Ok {
            last.insert(known.process, txn);
        }
    }
}

/// Who is invoked after another has completed starts after it has committed.
fn find_realtime_order(txns: &Txns<'_>, committed: &[bool], moments: &Moments, findings: &mut Findings) {
    let is_ok = |txn: &u32| txns.txns[*txn as usize].outcome == Outcome::Ok;
    let mut ended: Vec<u32> = (0..txns.txns.len() as u32).filter(is_ok).collect();
    ended.sort_unstable_by_key(|txn| txns.txns[*txn as usize].end);
    let mut ended = ended.into_iter().peekable();
    let mut latest: Option<u32> = None;
    // They stand in the order of their invocations.
    for txn in (0..txns.txns.len() as u32).filter(|txn| committed[*txn as usize]) {
        let begin = txns.txns[txn as usize].begin;
        while let Some(before) = ended.next_if(|before| txns.txns[*before as usize].end < begin) {
            if latest.is_none_or(|latest| moments.commit(latest) < moments.commit(before)) {
                latest = Some(before);
            }
        }
        if let Some(before) = latest.filter(|before| moments.start(txn) < moments.commit(*before)) {
            add(txns, Anomaly::TimestampOrder(Extent::Realtime), &[before, txn], findings);
        }
    }
}
