//! What the checkers share: keys and processes as numbers, what was committed, received and read.

use std::borrow::Cow;

use super::by_key::ByKey;
use super::finding::Evidence;
use crate::hash::HashMap;
use crate::history::{
    Deliver, Effect, Event, History, LedgerRow, Observed, Operation, Outcome, Process, ReadItem, Scalar,
    Source, WriteItem,
};

/// A history, prepared for all checkers.
pub(super) struct Index<'h> {
    pub(super) history: &'h History,
    pub(super) keys: Names<'h>,
    /// What was committed: the rows of the final ledger, or where there is none, the acknowledged writes.
    pub(super) commits: Vec<Commit<'h>>,
    /// The event of the final ledger.
    pub(super) ledger: Option<&'h Event>,
    /// What consumers received live, in order of receipt.
    pub(super) delivers: Vec<Receipt<'h>>,
    /// What lay in the topics at the end, by topic, partition and offset; `None` if nobody looked.
    pub(super) log: Option<Vec<Receipt<'h>>>,
    /// What consumers applied, in order.
    pub(super) effects: Vec<Applied>,
    /// Completed reads, in order of invocation.
    pub(super) reads: Vec<Seen<'h>>,
    /// The session of each operation, as a number that is unique in the history.
    pub(super) sessions: Vec<u32>,
    first_of_op: HashMap<&'h str, u32>,
    identities: HashMap<(&'h str, Option<u32>), u32>,
}

/// A committed write of one key.
pub(super) struct Commit<'h> {
    pub(super) key: u32,
    pub(super) ver: Option<u64>,
    pub(super) op_id: &'h str,
    pub(super) value: &'h Scalar,
    pub(super) base_ver: Option<u64>,
    pub(super) delta: Option<i64>,
    /// Its place in the commit order of the source of truth.
    pub(super) position: Option<u64>,
    pub(super) evidence: Evidence,
    /// The next commit of the same operation.
    next_of_op: Option<u32>,
}

/// An event that came out of the pipeline.
pub(super) struct Receipt<'h> {
    pub(super) event: Cow<'h, Deliver>,
    pub(super) key: u32,
    /// The commit that it announces, as a position in `commits`: of the same operation and key, of the same
    /// version if there is one.
    pub(super) commit: Option<u32>,
    /// The consumer, or for a row of the log its partition: within a lane receipts are in order.
    pub(super) lane: u32,
    /// The identity of the event: its id, or where it has none, its operation and key.
    pub(super) identity: u32,
    pub(super) evidence: Evidence,
    /// When it was received, in the order of time.
    pub(super) moment: (u64, u64),
}

/// An effect that a consumer had.
pub(super) struct Applied {
    pub(super) effect: Effect,
    pub(super) key: u32,
    pub(super) commit: Option<u32>,
    pub(super) identity: u32,
    pub(super) index: u64,
    pub(super) moment: (u64, u64),
}

/// What the index knows of an announcement: its key, its commit, its identity.
struct Place {
    key: u32,
    commit: Option<u32>,
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
pub(super) struct Names<'h> {
    numbers: HashMap<&'h str, u32>,
    names: Vec<&'h str>,
}

impl<'h> Names<'h> {
    pub(super) fn number(&mut self, name: &'h str) -> u32 {
        *self.numbers.entry(name).or_insert_with(|| {
            self.names.push(name);
            self.names.len() as u32 - 1
        })
    }

    pub(super) fn name(&self, number: u32) -> &'h str {
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
        let mut commits = match ledger {
            Some(ledger) => ledger_commits(ledger.event, ledger.rows, &mut keys),
            None => acknowledged_commits(history, &mut keys),
        };
        let first_of_op = chain_by_op(&mut commits);
        let mut index = Index {
            history,
            keys,
            commits,
            ledger: ledger.map(|ledger| ledger.event),
            delivers: Vec::new(),
            log: None,
            effects: Vec::new(),
            reads: Vec::new(),
            sessions: sessions(history),
            first_of_op,
            identities: HashMap::default(),
        };
        index.take_written_keys();
        index.take_delivers();
        index.take_log();
        index.take_effects();
        index.take_reads();
        index
    }

    /// What came out of the pipeline, as well as the history knows: live receipts, or the rows of the log.
    pub(super) fn received(&self) -> &[Receipt<'h>] {
        if self.delivers.is_empty() { self.log.as_deref().unwrap_or_default() } else { &self.delivers }
    }

    /// Whether anything was recorded about deliveries, be it that there were none.
    pub(super) fn records_delivery(&self) -> bool {
        !self.delivers.is_empty() || self.log.is_some()
    }

    pub(super) fn has_writes(&self) -> bool {
        self.ledger.is_some() || self.history.ops().iter().any(|op| !op.writes.is_empty())
    }

    pub(super) fn has_acknowledged_writes(&self) -> bool {
        self.acknowledged().next().is_some()
    }

    /// Every key that an ok operation wrote.
    pub(super) fn acknowledged(&self) -> impl Iterator<Item = (&'h Operation, &'h WriteItem)> + use<'h> {
        let ok = self.history.ops().iter().filter(|op| op.is_ok());
        ok.flat_map(|op| op.writes.iter().map(move |item| (op, item)))
    }

    /// The commits of an operation on a key.
    pub(super) fn commits_of(&self, op_id: &str, key: u32) -> impl Iterator<Item = u32> + '_ {
        let first = self.first_of_op.get(op_id).copied();
        std::iter::successors(first, |at| self.commits[*at as usize].next_of_op)
            .filter(move |at| self.commits[*at as usize].key == key)
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
            let commit = &self.commits[at as usize];
            if commit.ver.is_some_and(|made| made != ver) {
                for other in self.commits_of(commit.op_id, commit.key) {
                    covered[other as usize] = true;
                }
            }
        }
        covered
    }

    /// Which commits were delivered, under whatever version.
    pub(super) fn delivered(&self) -> Vec<bool> {
        let received = self.received();
        self.covered(received.iter().map(|receipt| (receipt.commit, receipt.event.ver)))
    }

    /// Whether a receipt is of the operation and key of this commit, be it another version.
    pub(super) fn is_of(&self, receipt: &Receipt<'_>, commit: &Commit<'_>) -> bool {
        receipt.key == commit.key && receipt.event.op_id == commit.op_id
    }

    /// The evidence of a receipt beside a commit that it does not announce. Of the same operation it needs its
    /// own commit too: alone it could pass for this one.
    pub(super) fn shown_beside(&self, receipt: &Receipt<'_>, commit: &Commit<'_>) -> Vec<Evidence> {
        let own = receipt.commit.filter(|_| self.is_of(receipt, commit));
        let own = own.map(|own| self.commits[own as usize].evidence);
        [Some(receipt.evidence), own].into_iter().flatten().collect()
    }

    /// The commits of each key, by version; those whose version is not known are left out.
    pub(super) fn versions(&self) -> ByKey<(u32, u64, u32)> {
        let mut all: Vec<(u32, u64, u32)> = self
            .commits
            .iter()
            .enumerate()
            .filter_map(|(at, commit)| commit.ver.map(|ver| (commit.key, ver, at as u32)))
            .collect();
        all.sort_unstable();
        ByKey::group(self.keys.len(), all, |(key, ..)| *key)
    }

    /// The number of a key that has been met while indexing.
    pub(super) fn key_number(&self, key: &str) -> Option<u32> {
        self.keys.numbers.get(key).copied()
    }

    pub(super) fn key_of(&self, commit: &Commit<'_>) -> &'h str {
        self.keys.name(commit.key)
    }

    /// With a ledger, keys that only uncommitted operations wrote are not known yet.
    fn take_written_keys(&mut self) {
        for op in self.history.ops() {
            for item in &op.writes {
                self.keys.number(&item.key);
            }
        }
    }

    fn take_delivers(&mut self) {
        let mut lanes: HashMap<Process, u32> = HashMap::default();
        for Observed { index, time, process, body } in self.history.delivers() {
            let next = lanes.len() as u32;
            let lane = *lanes.entry(process).or_insert(next);
            let receipt = self.receipt(Cow::Owned(body), lane, Evidence::Event(index), (time, index));
            self.delivers.push(receipt);
        }
        self.delivers.sort_by_key(|receipt| receipt.moment);
    }

    fn take_log(&mut self) {
        let Some(log) = self.history.final_log() else {
            return;
        };
        let mut order: Vec<usize> = (0..log.rows.len()).collect();
        order.sort_by_key(|at| place(&log.rows[*at]));
        let mut rows = Vec::with_capacity(order.len());
        let mut lane = 0;
        for (position, at) in order.iter().copied().enumerate() {
            let row = &log.rows[at];
            if let Some(before) = position.checked_sub(1).map(|before| &log.rows[order[before]]) {
                lane += u32::from(before.topic != row.topic || before.partition != row.partition);
            }
            let evidence = Evidence::Row(log.event.index, at);
            rows.push(self.receipt(Cow::Borrowed(row), lane, evidence, (log.event.time, position as u64)));
        }
        self.log = Some(rows);
    }

    fn receipt(
        &mut self,
        event: Cow<'h, Deliver>,
        lane: u32,
        evidence: Evidence,
        moment: (u64, u64),
    ) -> Receipt<'h> {
        let Place { key, commit, identity } = self.place(
            event.op_id.as_str(),
            event.key.as_str(),
            event.ver,
            event.event_id.map(|id| id.as_str()),
        );
        Receipt { event, key, commit, lane, identity, evidence, moment }
    }

    /// Where an announcement belongs. One look-up finds the operation, and with it the rest, nearly always.
    fn place(&mut self, op_id: &'h str, key: &'h str, ver: u64, event_id: Option<&'h str>) -> Place {
        let first = self.first_of_op.get(op_id).copied();
        let chain = std::iter::successors(first, |at| self.commits[*at as usize].next_of_op);
        let mut own = chain.filter(|at| self.keys.name(self.commits[*at as usize].key) == key).peekable();
        let Some(first) = own.peek().copied() else {
            let key = self.keys.number(key);
            return Place { key, commit: None, identity: self.identity(event_id, op_id, key) };
        };
        let exact = own.find(|at| self.commits[*at as usize].ver == Some(ver));
        let key = self.commits[first as usize].key;
        let identity = match event_id {
            None => first,
            Some(_) => self.identity(event_id, op_id, key),
        };
        Place { key, commit: exact.or(Some(first)), identity }
    }

    /// An explicit id stands alone; the default one is the operation and the key together, for which their first
    /// commit stands where there is one. So these numbers begin after those of the commits.
    fn identity(&mut self, event_id: Option<&'h str>, op_id: &'h str, key: u32) -> u32 {
        let next = (self.commits.len() + self.identities.len()) as u32;
        let identity = event_id.map_or((op_id, Some(key)), |id| (id, None));
        *self.identities.entry(identity).or_insert(next)
    }

    fn take_effects(&mut self) {
        for Observed { index, time, body: effect, .. } in self.history.effects() {
            let Place { key, commit, identity } = self.place(
                effect.op_id.as_str(),
                effect.key.as_str(),
                effect.ver,
                effect.event_id.map(|id| id.as_str()),
            );
            self.effects.push(Applied { effect, key, commit, identity, index, moment: (time, index) });
        }
        self.effects.sort_by_key(|applied| applied.moment);
    }

    fn take_reads(&mut self) {
        for (op, operation) in self.history.ops().iter().enumerate() {
            if operation.is_ok() {
                for item in &operation.reads {
                    let key = self.keys.number(&item.key);
                    self.reads.push(Seen { op, key, item });
                }
            }
        }
    }
}

fn place(row: &Deliver) -> (&str, i32, i64) {
    (&row.topic, row.partition, row.offset)
}

fn ledger_commits<'h>(event: &'h Event, rows: &'h [LedgerRow], keys: &mut Names<'h>) -> Vec<Commit<'h>> {
    let commit = |(at, row): (usize, &'h LedgerRow)| Commit {
        key: keys.number(&row.key),
        ver: Some(row.ver),
        op_id: &row.op_id,
        value: &row.value,
        base_ver: row.base_ver,
        delta: row.delta,
        position: row.commit,
        evidence: Evidence::Row(event.index, at),
        next_of_op: None,
    };
    rows.iter().enumerate().map(commit).collect()
}

fn acknowledged_commits<'h>(history: &'h History, keys: &mut Names<'h>) -> Vec<Commit<'h>> {
    let mut commits = Vec::new();
    for op in history.ops().iter().filter(|op| op.outcome == Outcome::Ok) {
        for item in &op.writes {
            commits.push(Commit {
                key: keys.number(&item.key),
                ver: item.ver,
                op_id: op.op_id.as_deref().unwrap_or_default(),
                value: &item.value,
                base_ver: item.base_ver,
                delta: item.delta,
                position: None,
                evidence: Evidence::op(op),
                next_of_op: None,
            });
        }
    }
    commits
}

/// Links the commits of each operation, and gives the first of each.
fn chain_by_op<'h>(commits: &mut [Commit<'h>]) -> HashMap<&'h str, u32> {
    let mut first_of_op = HashMap::with_capacity_and_hasher(commits.len(), Default::default());
    for at in (0..commits.len()).rev() {
        commits[at].next_of_op = first_of_op.insert(commits[at].op_id, at as u32);
    }
    first_of_op
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
