//! What consumers read, and from where.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use super::cluster::{ClientId, Cluster, PartitionId};
use super::failure;
use super::group::MemberId;
use super::produce::number;
use super::settings::{Heartbeats, Settings};
use crate::port::{Isolation, Message, PortError, StartOffset};

/// How a consumer consumes.
#[derive(Debug)]
pub(super) struct ReaderOptions {
    pub(super) group: Option<Arc<str>>,
    pub(super) start: StartOffset,
    pub(super) auto_commit: bool,
    pub(super) committed_only: bool,
}

/// Where a consumer reads a partition next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    /// Where the group has got to, which is not known yet.
    Unresolved,
    At(usize),
}

/// A consumer as the cluster sees it, with what its client keeps.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) options: ReaderOptions,
    opened: Duration,
    /// What it subscribes to; nothing unless it is to be in a group.
    pub(super) topics: Vec<Arc<str>>,
    pub(super) member: Option<MemberId>,
    /// The generation that the client knows of.
    pub(super) known: u64,
    /// The generation that its partitions are of.
    pub(super) applied: u64,
    pub(super) by_hand: BTreeSet<PartitionId>,
    pub(super) places: BTreeMap<PartitionId, Place>,
    /// Polled, and to be committed by the client itself.
    pub(super) stored: BTreeMap<PartitionId, i64>,
    pub(super) committed: BTreeMap<PartitionId, i64>,
    pub(super) next_commit: Option<Duration>,
    /// Which of its partitions comes first in the next poll.
    turn: usize,
    pub(super) last_poll: Duration,
    last_call: Duration,
    /// How many calls are under way.
    pub(super) calls: usize,
    /// It has left because it did not poll, and has yet to tell the application.
    pub(super) poll_exceeded: bool,
    /// It has been thrown out and has yet to notice.
    pub(super) is_expelled: bool,
    /// Topics whose absence the application has been told of.
    told_missing: BTreeSet<Arc<str>>,
}

impl Reader {
    pub(super) fn new(options: ReaderOptions, now: Duration) -> Self {
        Reader {
            options,
            opened: now,
            topics: Vec::new(),
            member: None,
            known: 0,
            applied: 0,
            by_hand: BTreeSet::new(),
            places: BTreeMap::new(),
            stored: BTreeMap::new(),
            committed: BTreeMap::new(),
            next_commit: None,
            turn: 0,
            last_poll: now,
            last_call: now,
            calls: 0,
            poll_exceeded: false,
            is_expelled: false,
            told_missing: BTreeSet::new(),
        }
    }

    /// When it commits by itself next. A process that stands still does not.
    pub(super) fn commits_at(&self, settings: &Settings) -> Option<Duration> {
        let runs = settings.heartbeats == Heartbeats::Background || self.calls > 0;
        self.next_commit.filter(|_| runs)
    }

    /// When its group loses patience with it, as long as it does nothing.
    pub(super) fn expires_at(&self, settings: &Settings) -> Option<Duration> {
        if self.member.is_none() || self.is_expelled || self.calls > 0 {
            return None;
        }
        let poll = self.last_poll + settings.max_poll_interval;
        Some(match settings.heartbeats {
            Heartbeats::Background => poll,
            Heartbeats::Calls => poll.min(self.last_call + settings.session_timeout),
        })
    }

    /// Its group has heard of it.
    pub(super) fn show_life(&mut self, now: Duration) {
        self.last_call = now;
    }

    /// The next of the times at which the client commits.
    fn schedule_commit(&mut self, now: Duration, interval: Duration) {
        let age = now.saturating_sub(self.opened).as_nanos();
        let passed = u32::try_from(age / interval.as_nanos().max(1)).unwrap_or(u32::MAX - 1);
        self.next_commit.get_or_insert(self.opened + interval * (passed + 1));
    }
}

impl Cluster {
    /// A call of a consumer begins: it shows that it lives.
    pub(super) fn enter(&mut self, client: ClientId, now: Duration) {
        if let Some(reader) = self.readers.get_mut(&client) {
            reader.calls += 1;
            reader.last_call = now;
        }
    }

    /// A call of a consumer is over.
    pub(super) fn exit(&mut self, client: ClientId, polled: bool, now: Duration) {
        if let Some(reader) = self.readers.get_mut(&client) {
            reader.calls -= 1;
            reader.last_call = now;
            if polled {
                reader.last_poll = now;
            }
        }
    }

    /// Reads a partition from `offset` on, whatever the group says.
    pub(super) fn assign(&mut self, client: ClientId, id: Option<PartitionId>, offset: usize) {
        let Some(reader) = self.readers.get_mut(&client) else { return };
        let by_hand = &mut reader.by_hand;
        if let Some(id) = id {
            by_hand.insert(id);
            reader.places.insert(id, Place::At(offset));
        }
        reader.places.retain(|id, _| by_hand.contains(id));
    }

    /// What is at hand for a consumer, `max` messages at most.
    pub(super) fn poll(
        &mut self,
        client: ClientId,
        max: usize,
        now: Duration,
    ) -> Result<Vec<Message>, PortError> {
        if let Some(error) = self.missing_or_late(client) {
            return Err(error);
        }
        self.notes.health(false);
        let mut messages = Vec::new();
        if !self.up || !self.follow_group(client, now) {
            return Ok(messages);
        }
        let Some(mut reader) = self.readers.remove(&client) else { return Ok(messages) };
        self.resolve(&mut reader);
        self.read(&mut reader, max, &mut messages);
        if reader.options.auto_commit && !messages.is_empty() {
            self.store(&mut reader, &messages, now);
        }
        self.readers.insert(client, reader);
        Ok(messages)
    }

    /// The end of a partition, as that consumer may see it.
    pub(super) fn end_for(&self, client: ClientId, id: PartitionId) -> i64 {
        self.note_partition(id, false);
        let committed_only = self.readers.get(&client).is_none_or(|reader| reader.options.committed_only);
        self.visible_end(id, committed_only) as i64
    }

    /// What the client tells once: that it left its group, or that a topic does not exist.
    fn missing_or_late(&mut self, client: ClientId) -> Option<PortError> {
        const WHAT: &str = "failed to poll";
        let up = self.up;
        let reader = self.readers.get_mut(&client)?;
        if std::mem::take(&mut reader.poll_exceeded) {
            let said = "Message consumption error: PollExceeded (Local: Maximum application poll interval \
                        (max.poll.interval.ms) exceeded)";
            return Some(failure::unknown(WHAT, "PollExceeded", said));
        }
        let topics: Vec<_> =
            reader.topics.iter().filter(|topic| !reader.told_missing.contains(*topic)).cloned().collect();
        let missing = topics.into_iter().find(|topic| self.topic(topic).is_none()).filter(|_| up)?;
        self.notes.topics(false);
        self.readers.get_mut(&client)?.told_missing.insert(missing);
        let said = "Message consumption error: UnknownTopicOrPartition (Broker: Unknown topic or partition)";
        Some(failure::unknown(WHAT, "UnknownTopicOrPartition", said))
    }

    /// Finds out where the group has got to. An offset that an open transaction is about to replace is waited
    /// for by those that read committed (KIP-447).
    fn resolve(&self, reader: &mut Reader) {
        let Some(name) = &reader.options.group else { return };
        let committed_only = reader.options.committed_only;
        for (id, place) in &mut reader.places {
            if *place != Place::Unresolved {
                continue;
            }
            self.note_offset(name, *id, false);
            let group = self.groups.get(name);
            if committed_only && group.is_some_and(|group| group.is_unstable(*id)) {
                continue;
            }
            let offset = group.and_then(|group| group.offsets.get(id)).copied();
            *place = Place::At(match offset.and_then(|offset| usize::try_from(offset).ok()) {
                Some(offset) => offset,
                None => self.start(*id, reader.options.start, committed_only),
            });
        }
    }

    fn read(&self, reader: &mut Reader, max: usize, messages: &mut Vec<Message>) {
        let committed_only = reader.options.committed_only;
        let (count, first) = (reader.places.len(), reader.turn);
        for step in 0..count {
            let turn = (first + step) % count;
            let Some((id, place)) = reader.places.iter_mut().nth(turn) else { return };
            let Place::At(from) = *place else { continue };
            self.note_partition(*id, false);
            let partition = self.partition(*id);
            // What was read is not there any more, or never was: begin as a group without offsets does.
            let from = if from > partition.end() {
                self.start(*id, reader.options.start, committed_only)
            } else {
                from
            };
            let (topic, number) = (&self.topics[id.topic].name, number(id.partition));
            let before = messages.len();
            let next = partition.read(from, committed_only, max - before, |offset, key, payload| {
                messages.push(Message {
                    topic: topic.to_string(),
                    partition: number,
                    offset: offset as i64,
                    key: key.to_string(),
                    payload: Some(payload.to_string()),
                });
            });
            *place = Place::At(next);
            if messages.len() > before {
                reader.turn = (turn + 1) % count;
            }
            if messages.len() >= max {
                return;
            }
        }
    }

    /// Hands over to the commits of the background what the application has been handed.
    fn store(&self, reader: &mut Reader, messages: &[Message], now: Duration) {
        let Some(group) = &reader.options.group else { return };
        for message in messages {
            if let Some(id) = self.find(&message.topic, message.partition) {
                reader.stored.insert(id, message.offset + 1);
                // The commit comes later, in the step of somebody else.
                self.note_offset(group, id, true);
            }
        }
        reader.schedule_commit(now, self.settings.auto_commit_interval);
    }

    fn start(&self, id: PartitionId, start: StartOffset, committed_only: bool) -> usize {
        self.note_partition(id, false);
        match start {
            StartOffset::Earliest => 0,
            StartOffset::Latest => self.visible_end(id, committed_only),
        }
    }

    fn visible_end(&self, id: PartitionId, committed_only: bool) -> usize {
        let partition = self.partition(id);
        if committed_only { partition.stable() } else { partition.high() }
    }
}

/// Whether only committed messages are read.
pub(super) fn committed_only(isolation: Isolation) -> bool {
    match isolation {
        Isolation::ReadUncommitted => false,
        Isolation::ReadCommitted => true,
    }
}
