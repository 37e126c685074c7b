//! What the checkers share: keys and processes as numbers, what was committed, received and read.

use std::sync::OnceLock;

use super::by_key::ByKey;
use super::commits::{Commit, Commits};
use super::exercise::{self, Meetings};
use super::finding::Evidence;
use super::pairs::Pairs;
use crate::hash::HashMap;
use crate::history::{
    Deliver, Effect, Event, EventBody, Final, History, LogRow, Observed, Operation, Process, ReadItem,
    Scalar, Source, Text, WriteItem,
};

/// A history, prepared for all checkers.
pub(super) struct Index<'h> {
    pub(super) history: &'h History,
    pub(super) keys: Names,
    /// What was committed.
    pub(super) commits: Commits<'h>,
    /// The event of the final ledger.
    pub(super) ledger: Option<&'h Event>,
    /// What consumers received live, in order of receipt; where nothing was, what lay in the topics at the end, by
    /// topic, partition and offset.
    received: Vec<Receipt>,
    is_live: bool,
    /// What lay in the topics at the end, in the same order; `None` if nobody looked.
    log: Option<(Final<'h, LogRow>, Vec<Logged>)>,
    /// What consumers applied, in order.
    pub(super) effects: Vec<Applied>,
    /// Completed reads, in order of invocation.
    pub(super) reads: Vec<Seen<'h>>,
    /// The session of each operation, as a number that is unique in the history.
    pub(super) sessions: Vec<u32>,
    identities: HashMap<(Text, Option<u32>), u32>,
    versions: OnceLock<ByKey<Version>>,
    meetings: OnceLock<Meetings>,
    delivered: OnceLock<Vec<bool>>,
}

/// A version of a key: the key, the version, its commit.
pub(super) type Version = (u32, u64, u32);

/// An event that came out of the pipeline.
#[derive(Clone, Copy)]
pub(super) struct Receipt {
    pub(super) key: u32,
    commit: u32,
    /// The consumer, or for a row of the log its partition: within a lane receipts are in order.
    pub(super) lane: u32,
    /// The identity of the event: its id, or where it has none, its operation and key.
    pub(super) identity: u32,
    pub(super) topic: Text,
    pub(super) partition: i32,
    pub(super) op_id: Text,
    row: u32,
    pub(super) ver: u64,
    pub(super) value: Scalar,
    index: u64,
    time: u64,
    /// Whether the lane had it before.
    pub(super) is_again: bool,
}

/// A row of the log, as the checkers need it.
#[derive(Clone, Copy)]
pub(super) struct Logged {
    /// Its place among the rows.
    pub(super) row: u32,
    commit: u32,
    pub(super) identity: u32,
}

/// An effect that a consumer had.
#[derive(Clone, Copy)]
pub(super) struct Applied {
    pub(super) store: Text,
    pub(super) key: u32,
    commit: u32,
    pub(super) identity: u32,
    pub(super) op_id: Text,
    pub(super) ver: u64,
    pub(super) index: u64,
    /// Whether the store had it before.
    pub(super) is_again: bool,
}

/// No commit, or no row.
const NONE: u32 = u32::MAX;

fn some(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

impl Receipt {
    /// The commit that it announces: of the same operation and key, of the same version if there is one.
    pub(super) fn commit(&self) -> Option<u32> {
        some(self.commit)
    }

    pub(super) fn evidence(&self) -> Evidence {
        match some(self.row) {
            Some(row) => Evidence::Row(self.index, row as usize),
            None => Evidence::Event(self.index),
        }
    }

    /// When it was received, in the order of time.
    pub(super) fn moment(&self) -> (u64, u64) {
        (self.time, self.index)
    }
}

impl Logged {
    pub(super) fn is_of_commit(&self) -> bool {
        self.commit != NONE
    }
}

impl Applied {
    /// As of a receipt.
    pub(super) fn commit(&self) -> Option<u32> {
        some(self.commit)
    }
}

/// What the index knows of an announcement: its key, its commit, its identity.
struct Place {
    key: u32,
    commit: u32,
    identity: u32,
}

/// One key that a completed operation read.
pub(super) struct Seen<'h> {
    /// The position of the operation.
    pub(super) op: usize,
    pub(super) key: u32,
    pub(super) item: &'h ReadItem,
}

/// Texts as numbers, in the order in which they were first met.
#[derive(Default)]
pub(super) struct Names {
    numbers: HashMap<Text, u32>,
    names: Vec<Text>,
}

impl Names {
    pub(super) fn number(&mut self, name: Text) -> u32 {
        *self.numbers.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() as u32 - 1
        })
    }

    pub(super) fn get(&self, name: Text) -> Option<u32> {
        self.numbers.get(&name).copied()
    }

    pub(super) fn name(&self, number: u32) -> Text {
        self.names[number as usize]
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

impl Seen<'_> {
    /// The version that was seen: 0 where there was nothing, `None` where the read does not say.
    pub(super) fn version(&self) -> Option<u64> {
        self.item.ver.or_else(|| self.item.value.is_null().then_some(0))
    }

    /// What was seen, in words.
    pub(super) fn shown(&self) -> String {
        shown(self.item)
    }

    pub(super) fn is_of_db(&self) -> bool {
        match self.item.source {
            Some(Source::Db) | None => true,
            Some(Source::Cache) => false,
        }
    }
}

/// What a read saw, in words: a version 0 that is there is not nothing.
pub(super) fn shown(item: &ReadItem) -> String {
    item.ver.map_or_else(|| "nothing".to_owned(), |ver| format!("v{ver}"))
}

impl<'h> Index<'h> {
    pub(super) fn of(history: &'h History) -> Index<'h> {
        let mut keys = Names::default();
        let ledger = history.final_ledger();
        let commits = match ledger {
            Some(ledger) => Commits::of_ledger(ledger, &mut keys),
            None => Commits::acknowledged(history, &mut keys),
        };
        let mut index = Index {
            history,
            keys,
            commits,
            ledger: ledger.map(|ledger| ledger.event),
            received: Vec::new(),
            is_live: false,
            log: None,
            effects: Vec::new(),
            reads: Vec::new(),
            sessions: sessions(history),
            identities: HashMap::default(),
            versions: OnceLock::new(),
            meetings: OnceLock::new(),
            delivered: OnceLock::new(),
        };
        index.take_written_keys();
        index.take_delivers();
        index.take_log();
        index.take_effects();
        index.take_reads();
        index
    }

    /// What came out of the pipeline, as well as the history knows: live receipts, or the rows of the log.
    pub(super) fn received(&self) -> &[Receipt] {
        &self.received
    }

    /// What consumers received live, in order of receipt.
    pub(super) fn delivers(&self) -> &[Receipt] {
        if self.is_live { &self.received } else { &[] }
    }

    /// What lay in the topics at the end, by topic, partition and offset.
    pub(super) fn logged(&self) -> &[Logged] {
        self.log.as_ref().map(|(_, rows)| rows.as_slice()).unwrap_or_default()
    }

    /// A row of the log, and the evidence that it is.
    pub(super) fn log_row(&self, logged: &Logged) -> (&'h LogRow, Evidence) {
        let (log, _) = self.log.as_ref().expect("what was logged is of a log");
        let row = logged.row as usize;
        (&log.rows[row], Evidence::Row(log.event.index, row))
    }

    /// All that an event said.
    pub(super) fn said(&self, receipt: &Receipt) -> Deliver {
        match self.history.event(receipt.index as usize).as_deref().map(|event| &event.body) {
            Some(EventBody::Deliver(deliver)) => *deliver,
            Some(EventBody::FinalLog(rows)) => rows[receipt.row as usize],
            _ => Deliver::default(),
        }
    }

    /// Whether anything was recorded about deliveries, be it that there were none.
    pub(super) fn records_delivery(&self) -> bool {
        self.is_live || self.log.is_some()
    }

    pub(super) fn has_writes(&self) -> bool {
        self.ledger.is_some() || self.history.ops().iter().any(|op| !op.writes().is_empty())
    }

    pub(super) fn has_acknowledged_writes(&self) -> bool {
        self.acknowledged().next().is_some()
    }

    /// Every key that an ok operation wrote.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (&'h Operation, &'h WriteItem)> + use<'h> {
        let ok = self.history.ops().iter().filter(|op| op.is_ok());
        ok.flat_map(|op| op.writes().iter().map(move |item| (op, item)))
    }

    /// Which commits these announcements cover. One that has none of its operation's versions may stand for
    /// any of them: that its version is wrong is a matter of fidelity.
    pub(super) fn covered(&self, announcements: impl Iterator<Item = (Option<u32>, u64)>) -> Vec<bool> {
        let mut covered = vec![false; self.commits.len()];
        for (commit, ver) in announcements {
            let Some(at) = commit else {
                continue;
            };
            covered[at as usize] = true;
            let commit = self.commits.at(at);
            if commit.ver().is_some_and(|made| made != ver) {
                for other in self.commits.of(commit.op_id(), commit.key) {
                    covered[other as usize] = true;
                }
            }
        }
        covered
    }

    /// Which commits were delivered, under whatever version.
    pub(super) fn delivered(&self) -> &[bool] {
        let announced = || self.received.iter().map(|receipt| (receipt.commit(), receipt.ver));
        self.delivered.get_or_init(|| self.covered(announced()))
    }

    /// How writes met.
    pub(super) fn meetings(&self) -> &Meetings {
        self.meetings.get_or_init(|| exercise::meetings(self))
    }

    /// Whether a receipt is of the operation and key of this commit, be it another version.
    pub(super) fn is_of(&self, receipt: &Receipt, commit: &Commit<'_>) -> bool {
        receipt.key == commit.key && receipt.op_id == commit.op_id()
    }

    /// The evidence of a receipt beside a commit that it does not announce. Of the same operation it needs its
    /// own commit too: alone it could pass for this one.
    pub(super) fn shown_beside(&self, receipt: &Receipt, commit: &Commit<'_>) -> Vec<Evidence> {
        let own = receipt.commit().filter(|_| self.is_of(receipt, commit));
        let own = own.map(|own| self.commits.at(own).evidence());
        [Some(receipt.evidence()), own].into_iter().flatten().collect()
    }

    /// The commits of each key, by version; those whose version is not known are left out.
    pub(super) fn versions(&self) -> &ByKey<Version> {
        self.versions.get_or_init(|| {
            let commits = self.commits.iter().enumerate();
            let known =
                commits.filter_map(|(at, commit)| commit.ver().map(|ver| (commit.key, ver, at as u32)));
            let mut versions = ByKey::group(self.keys.len(), known.collect(), |(key, ..)| *key);
            for key in 0..self.keys.len() as u32 {
                versions.get_mut(key).sort_unstable();
            }
            versions
        })
    }

    /// The number of a key that has been met while indexing.
    pub(super) fn key_number(&self, key: Text) -> Option<u32> {
        self.keys.get(key)
    }

    pub(super) fn key_of(&self, commit: &Commit<'_>) -> Text {
        self.keys.name(commit.key)
    }

    /// With a ledger, keys that only uncommitted operations wrote are not known yet.
    fn take_written_keys(&mut self) {
        for op in self.history.ops() {
            for item in op.writes() {
                self.keys.number(item.key);
            }
        }
    }

    fn take_delivers(&mut self) {
        let mut lanes: HashMap<Process, u32> = HashMap::default();
        for Observed { index, time, process, body } in self.history.delivers() {
            let next = lanes.len() as u32;
            let lane = *lanes.entry(process).or_insert(next);
            let receipt = self.receipt(&body, lane, (index, NONE), time);
            self.received.push(receipt);
        }
        self.is_live = !self.received.is_empty();
        self.received.sort_by_key(Receipt::moment);
        self.find_again();
    }

    fn find_again(&mut self) {
        let mut had = Pairs::default();
        for receipt in &mut self.received {
            receipt.is_again = !had.insert(receipt.lane, receipt.identity);
        }
    }

    /// The rows of the log; they are what was received, where nobody received anything live.
    fn take_log(&mut self) {
        let Some(log) = self.history.final_log() else {
            return;
        };
        let mut order: Vec<u32> = (0..log.rows.len() as u32).collect();
        if !log.rows.is_sorted_by(|one, next| place(one) <= place(next)) {
            order.sort_by_key(|at| place(&log.rows[*at as usize]));
        }
        let mut rows = Vec::with_capacity(order.len());
        let mut before: Option<&LogRow> = None;
        let mut lane = 0;
        for at in order {
            let row = &log.rows[at as usize];
            let is_next = |before: &LogRow| before.topic != row.topic || before.partition != row.partition;
            lane += u32::from(before.is_some_and(is_next));
            before = Some(row);
            let (identity, commit) = if self.is_live {
                let Place { commit, identity, .. } = self.place(row.op_id, row.key, row.ver, row.event_id);
                (identity, commit)
            } else {
                let receipt = self.receipt(row, lane, (log.event.index, at), log.event.time);
                self.received.push(receipt);
                (receipt.identity, receipt.commit)
            };
            rows.push(Logged { row: at, commit, identity });
        }
        if !self.is_live {
            self.find_again();
        }
        self.log = Some((log, rows));
    }

    fn receipt(&mut self, event: &Deliver, lane: u32, (index, row): (u64, u32), time: u64) -> Receipt {
        let Deliver { topic, partition, key, ver, value, op_id, event_id, .. } = *event;
        let Place { key, commit, identity } = self.place(op_id, key, ver, event_id);
        let is_again = false;
        Receipt {
            key,
            commit,
            lane,
            identity,
            topic,
            partition,
            op_id,
            row,
            ver,
            value,
            index,
            time,
            is_again,
        }
    }

    /// Where an announcement belongs. One look-up finds the operation, and with it the rest, nearly always.
    fn place(&mut self, op_id: Text, key: Text, ver: u64, event_id: Option<Text>) -> Place {
        let key = self.keys.number(key);
        let mut own = self.commits.of(op_id, key);
        let first = own.next();
        let is_exact = |at: &u32| self.commits.at(*at).ver() == Some(ver);
        let commit = first.filter(is_exact).or_else(|| own.find(is_exact)).or(first).unwrap_or(NONE);
        drop(own);
        let identity = match (first, event_id) {
            (Some(first), None) => first,
            _ => self.identity(event_id, op_id, key),
        };
        Place { key, commit, identity }
    }

    /// An explicit id stands alone; the default one is the operation and the key together, for which their first
    /// commit stands where there is one. So these numbers begin after those of the commits.
    fn identity(&mut self, event_id: Option<Text>, op_id: Text, key: u32) -> u32 {
        let next = (self.commits.len() + self.identities.len()) as u32;
        let identity = event_id.map_or((op_id, Some(key)), |id| (id, None));
        *self.identities.entry(identity).or_insert(next)
    }

    fn take_effects(&mut self) {
        let mut times = Vec::new();
        for Observed { index, time, body, .. } in self.history.effects() {
            let Effect { store, key, ver, op_id, event_id } = body;
            let Place { key, commit, identity } = self.place(op_id, key, ver, event_id);
            times.push(time);
            self.effects.push(Applied { store, key, commit, identity, op_id, ver, index, is_again: false });
        }
        if !times.is_sorted() {
            let mut timed: Vec<(u64, Applied)> = times.into_iter().zip(self.effects.drain(..)).collect();
            timed.sort_by_key(|(time, applied)| (*time, applied.index));
            self.effects.extend(timed.into_iter().map(|(_, applied)| applied));
        }
        let (mut stores, mut had) = (Names::default(), Pairs::default());
        for applied in &mut self.effects {
            applied.is_again = !had.insert(stores.number(applied.store), applied.identity);
        }
    }

    fn take_reads(&mut self) {
        for (op, operation) in self.history.ops().iter().enumerate() {
            if operation.is_ok() {
                for item in operation.reads() {
                    let key = self.keys.number(item.key);
                    self.reads.push(Seen { op, key, item });
                }
            }
        }
    }
}

fn place(row: &Deliver) -> (Text, i32, i64) {
    (row.topic, row.partition, row.offset)
}

fn sessions(history: &History) -> Vec<u32> {
    let mut numbers: HashMap<(&Process, u32), u32> = HashMap::default();
    let mut sessions = Vec::with_capacity(history.ops().len());
    for op in history.ops() {
        let next = numbers.len() as u32;
        sessions.push(*numbers.entry((&op.process, op.session)).or_insert(next));
    }
    sessions
}
