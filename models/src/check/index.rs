//! What the checkers share: keys and processes as numbers, what was committed, received and read.

use std::sync::OnceLock;

use super::by_key::ByKey;
use super::commits::{Commit, Commits};
use super::exercise::{self, Meetings};
use super::finding::Evidence;
use super::taken;
use crate::hash::HashMap;
use crate::history::{
    Deliver, Event, EventBody, Final, History, LogRow, Operation, ReadItem, Scalar, Source, Text, WriteItem,
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
    pub(super) commit: u32,
    /// The consumer, or for a row of the log its partition: within a lane receipts are in order.
    pub(super) lane: u32,
    /// The identity of the event: its id, or where it has none, its operation and key.
    pub(super) identity: u32,
    pub(super) topic: Text,
    pub(super) partition: i32,
    pub(super) op_id: Text,
    pub(super) row: u32,
    pub(super) ver: u64,
    pub(super) value: Scalar,
    pub(super) index: u64,
    pub(super) time: u64,
    /// Whether the lane had it before. What a ledger shows to be of nobody is left out of that: it has no place in an
    /// order, also where it bears the id of an event that has.
    pub(super) is_again: bool,
}

/// A row of the log, as the checkers need it.
#[derive(Clone, Copy)]
pub(super) struct Logged {
    /// Its place among the rows; [`NONE`] of what was received live.
    pub(super) row: u32,
    pub(super) key: u32,
    pub(super) commit: u32,
    pub(super) identity: u32,
}

/// An effect that a consumer had.
#[derive(Clone, Copy)]
pub(super) struct Applied {
    pub(super) store: Text,
    pub(super) key: u32,
    pub(super) commit: u32,
    pub(super) identity: u32,
    pub(super) op_id: Text,
    pub(super) ver: u64,
    pub(super) index: u64,
    /// Whether the store had it before.
    pub(super) is_again: bool,
}

/// No commit, or no row.
pub(super) const NONE: u32 = u32::MAX;

fn some(number: u32) -> Option<u32> {
    (number != NONE).then_some(number)
}

impl Receipt {
    /// A receipt of an event at an index and a time, by its place in the log if it was found there.
    pub(super) fn of(event: &Deliver, known: Logged, lane: u32, (index, time): (u64, u64)) -> Receipt {
        let Deliver { topic, partition, ver, value, op_id, .. } = *event;
        let Logged { row, key, commit, identity } = known;
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
        take_written_keys(history, &mut keys);
        let taken = taken::all(history, &commits, &keys);
        let taken::Taken { mut live, mut log, mut effects, mut reads, sessions } = taken;
        live.name_strangers(&mut keys);
        log.iter_mut().for_each(|(_, log)| log.name_strangers(&mut keys));
        effects.name_strangers(&mut keys);
        reads.name_strangers(&mut keys);
        let is_live = !live.items.is_empty();
        let received = match &log {
            Some((log, logged)) if !is_live => in_order(*log, &logged.items, ledger.is_some()),
            _ => live.items,
        };
        Index {
            history,
            keys,
            commits,
            ledger: ledger.map(|ledger| ledger.event),
            received,
            is_live,
            log: log.map(|(log, logged)| (log, logged.items)),
            effects: effects.items,
            reads: reads.items,
            sessions,
            versions: OnceLock::new(),
            meetings: OnceLock::new(),
            delivered: OnceLock::new(),
        }
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
            let version =
                |(at, commit): (usize, &Commit<'_>)| commit.ver().map(|ver| (commit.key, ver, at as u32));
            let known = || self.commits.iter().enumerate().filter_map(version);
            let mut versions = ByKey::group(self.keys.len(), known, |(key, ..)| *key);
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
}

/// With a ledger, keys that only uncommitted operations wrote are not known yet.
fn take_written_keys(history: &History, keys: &mut Names) {
    for op in history.ops() {
        for item in op.writes() {
            keys.number(item.key);
        }
    }
}

/// The rows of the log as what was received, where nobody received anything live.
fn in_order(log: Final<'_, LogRow>, logged: &[Logged], has_ledger: bool) -> Vec<Receipt> {
    let mut before: Option<&LogRow> = None;
    let mut lane = 0;
    let receipt = |logged: &Logged| {
        let row = &log.rows[logged.row as usize];
        let is_next = |before: &LogRow| before.topic != row.topic || before.partition != row.partition;
        lane += u32::from(before.is_some_and(is_next));
        before = Some(row);
        Receipt::of(row, *logged, lane, (log.event.index, log.event.time))
    };
    let mut receipts: Vec<Receipt> = logged.iter().map(receipt).collect();
    taken::find_again(&mut receipts, has_ledger);
    receipts
}
