//! One partition: its log, its replicas, and what its leader knows of producers and their transactions.
//!
//! The followers of a leader hold a prefix of its log, and what a new leader lacks is gone from all of them. So
//! the replicas share one log, of which each has what lies before its end.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

/// How many replicas a partition has.
pub(super) const REPLICAS: usize = 3;

/// How many of a producer's last messages the leader recognises when they come again, which is also how many
/// an idempotent producer may have under way.
pub(super) const REMEMBERED: usize = 5;

/// A producer that the broker tells from others.
pub(super) type ProducerId = u64;

/// Who sent a message, and as which of its messages to this partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) producer: ProducerId,
    pub(super) epoch: u32,
    pub(super) sequence: u32,
    pub(super) transactional: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Record {
    pub(super) stamp: Option<Stamp>,
    pub(super) body: Body,
    /// Whether it belongs to a transaction that was aborted.
    aborted: bool,
}

#[derive(Debug, Clone)]
pub(super) enum Body {
    Message {
        key: Arc<str>,
        payload: Arc<str>,
    },
    /// Where a transaction ends: no consumer sees it, and it takes an offset.
    Mark,
}

/// What became of a message at the leader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Appended {
    At(usize),
    /// It was there already.
    Before(usize),
    /// Messages of the producer are missing before it.
    OutOfOrder,
    /// A newer epoch of the producer has written here.
    Fenced,
}

/// A transaction that is not over as far as every replica knows.
#[derive(Debug, Clone)]
struct Span {
    producer: ProducerId,
    first: usize,
    end: Option<Ending>,
}

#[derive(Debug, Clone, Copy)]
struct Ending {
    mark: usize,
    epoch: u32,
    committed: bool,
}

/// What the leader remembers of a producer.
#[derive(Debug, Clone, Default)]
struct Sender {
    epoch: u32,
    /// The sequence number and offset of its last messages in this epoch.
    recent: VecDeque<(u32, usize)>,
}

#[derive(Debug, Clone, Copy)]
struct Replica {
    end: usize,
    in_sync: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Partition {
    records: Vec<Record>,
    replicas: [Replica; REPLICAS],
    leader: usize,
    high: usize,
    /// Since when a follower in sync lacks something; none while all have all.
    pub(super) behind_since: Option<Duration>,
    spans: Vec<Span>,
    senders: BTreeMap<ProducerId, Sender>,
}

impl Partition {
    pub(super) fn new() -> Self {
        Partition {
            records: Vec::new(),
            replicas: [Replica { end: 0, in_sync: true }; REPLICAS],
            leader: 0,
            high: 0,
            behind_since: None,
            spans: Vec::new(),
            senders: BTreeMap::new(),
        }
    }

    /// The offset after the leader's last record.
    pub(super) fn end(&self) -> usize {
        self.records.len()
    }

    /// The high watermark: what lies before it is on every replica that is in sync.
    pub(super) fn high(&self) -> usize {
        self.high
    }

    /// The last stable offset: before it no transaction is open, or ended by a mark that not all replicas have.
    pub(super) fn stable(&self) -> usize {
        let unstable = |span: &&Span| span.end.is_none_or(|end| end.mark >= self.high);
        let first = self.spans.iter().filter(unstable).map(|span| span.first).min();
        first.map_or(self.high, |first| first.min(self.high))
    }

    pub(super) fn in_sync_count(&self) -> usize {
        self.replicas.iter().filter(|replica| replica.in_sync).count()
    }

    /// Appends a message at the leader, if its stamp says that it is new and in order.
    pub(super) fn append(&mut self, stamp: Option<Stamp>, key: &Arc<str>, payload: &Arc<str>) -> Appended {
        let offset = self.records.len();
        if let Some(stamp) = stamp {
            match self.check(&stamp) {
                Appended::At(_) => self.remember(&stamp, offset),
                other => return other,
            }
            let open = |span: &Span| span.producer == stamp.producer && span.end.is_none();
            if stamp.transactional && !self.spans.iter().any(open) {
                self.spans.push(Span { producer: stamp.producer, first: offset, end: None });
            }
        }
        let body = Body::Message { key: Arc::clone(key), payload: Arc::clone(payload) };
        self.push(Record { stamp, body, aborted: false });
        Appended::At(offset)
    }

    /// Appends the mark that ends a producer's transaction. Its epoch fences older ones from here on.
    pub(super) fn mark(&mut self, producer: ProducerId, epoch: u32, committed: bool) {
        let mark = self.records.len();
        let open = |span: &&mut Span| span.producer == producer && span.end.is_none();
        if let Some(span) = self.spans.iter_mut().find(open) {
            span.end = Some(Ending { mark, epoch, committed });
            if !committed {
                let own = |record: &&mut Record| record.stamp.is_some_and(|stamp| stamp.producer == producer);
                self.records[span.first..].iter_mut().filter(own).for_each(|record| record.aborted = true);
            }
        }
        self.enter_epoch(producer, epoch);
        let stamp = Stamp { producer, epoch, sequence: 0, transactional: true };
        self.push(Record { stamp: Some(stamp), body: Body::Mark, aborted: false });
    }

    /// The first `followers` followers of the leader copy what it has.
    pub(super) fn replicate(&mut self, followers: usize) {
        let end = self.records.len();
        for step in 1..=followers.min(REPLICAS - 1) {
            self.replicas[(self.leader + step) % REPLICAS] = Replica { end, in_sync: true };
        }
        if self.replicas.iter().all(|replica| replica.end == end) {
            self.behind_since = None;
        }
    }

    /// Raises the high watermark to what all replicas in sync have, if they are enough.
    pub(super) fn raise_high(&mut self, min_in_sync: usize) {
        let in_sync = self.replicas.iter().filter(|replica| replica.in_sync);
        let (count, end) = in_sync.fold((0, usize::MAX), |(n, end), replica| (n + 1, end.min(replica.end)));
        if count < min_in_sync || end <= self.high {
            return;
        }
        self.high = end;
        self.spans.retain(|span| span.end.is_none_or(|ending| ending.mark >= end));
    }

    /// Followers that lack something are no longer in sync.
    pub(super) fn shrink(&mut self) {
        let end = self.records.len();
        self.replicas.iter_mut().for_each(|replica| replica.in_sync = replica.end == end);
        self.behind_since = None;
    }

    /// The leader goes, and comes back as a follower. A follower that is in sync leads from now on, or, where
    /// that is unclean, the one that lacks most. What it lacks is lost. Without any in sync the partition waits
    /// for its leader, and nothing is lost.
    pub(super) fn fail_over(&mut self, unclean: bool) {
        let followers = (1..REPLICAS).map(|step| (self.leader + step) % REPLICAS);
        let next = if unclean {
            followers.min_by_key(|follower| self.replicas[*follower].end)
        } else {
            followers.into_iter().find(|follower| self.replicas[*follower].in_sync)
        };
        let Some(next) = next else { return };
        let end = self.replicas[next].end;
        self.leader = next;
        for replica in &mut self.replicas {
            *replica = Replica { end: replica.end.min(end), in_sync: replica.in_sync || replica.end >= end };
        }
        if end < self.records.len() {
            self.truncate(end);
        }
        if self.replicas.iter().all(|replica| replica.end >= end) {
            self.behind_since = None;
        }
    }

    /// What a consumer reads from `from` on, at most `max` messages: each is handed to `take`. The result is
    /// where it reads next.
    pub(super) fn read(
        &self,
        from: usize,
        committed: bool,
        max: usize,
        mut take: impl FnMut(usize, &Arc<str>, &Arc<str>),
    ) -> usize {
        let end = if committed { self.stable() } else { self.high };
        let (mut at, mut taken) = (from, 0);
        while at < end && taken < max {
            let record = &self.records[at];
            if let Body::Message { key, payload } = &record.body
                && !(committed && record.aborted)
            {
                take(at, key, payload);
                taken += 1;
            }
            at += 1;
        }
        at
    }

    fn push(&mut self, record: Record) {
        self.records.push(record);
        self.replicas[self.leader].end = self.records.len();
    }

    fn check(&self, stamp: &Stamp) -> Appended {
        let new = Appended::At(self.records.len());
        // Of a producer that it has never seen, the leader takes any number.
        let Some(sender) = self.senders.get(&stamp.producer) else { return new };
        if stamp.epoch < sender.epoch {
            return Appended::Fenced;
        }
        let recent = (stamp.epoch == sender.epoch).then_some(&sender.recent);
        if let Some((_, offset)) =
            recent.and_then(|recent| recent.iter().find(|(sequence, _)| *sequence == stamp.sequence))
        {
            return Appended::Before(*offset);
        }
        let expected = recent.and_then(VecDeque::back).map_or(0, |(last, _)| last + 1);
        if stamp.sequence == expected { new } else { Appended::OutOfOrder }
    }

    fn enter_epoch(&mut self, producer: ProducerId, epoch: u32) -> &mut Sender {
        let sender = self.senders.entry(producer).or_default();
        if sender.epoch != epoch {
            sender.epoch = epoch;
            sender.recent.clear();
        }
        sender
    }

    fn remember(&mut self, stamp: &Stamp, offset: usize) {
        let recent = &mut self.enter_epoch(stamp.producer, stamp.epoch).recent;
        if recent.len() == REMEMBERED {
            recent.pop_front();
        }
        recent.push_back((stamp.sequence, offset));
    }

    /// Cuts the log off at `end`, and learns from what is left. Marks that are lost are written again, as the
    /// coordinator of transactions does until it hears that they are there.
    fn truncate(&mut self, end: usize) {
        self.records.truncate(end);
        self.high = self.high.min(end);
        self.senders.clear();
        let stamps = self.records.iter().enumerate().filter_map(|(offset, record)| {
            record.stamp.map(|stamp| (offset, stamp, matches!(record.body, Body::Mark)))
        });
        for (offset, stamp, mark) in stamps.collect::<Vec<_>>() {
            if mark {
                self.enter_epoch(stamp.producer, stamp.epoch);
            } else {
                self.remember(&stamp, offset);
            }
        }
        self.spans.retain(|span| span.first < end);
        let mut lost = Vec::new();
        for span in &mut self.spans {
            if let Some(ending) = span.end.take_if(|ending| ending.mark >= end) {
                lost.push((span.producer, ending));
            }
        }
        for (producer, ending) in lost {
            self.mark(producer, ending.epoch, ending.committed);
        }
    }
}
