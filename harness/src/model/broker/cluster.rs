//! The state of the cluster and of its clients, and the time that passes for them.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::clock::Clock;
use super::failure;
use super::fetch::Reader;
use super::group::Group;
use super::notes::Notes;
use super::partition::{Partition, REPLICAS};
use super::produce::{Request, Stage};
use super::producer::Sending;
use super::settings::Settings;
use super::transaction::Transactional;
use crate::model::footprint::Footprints;
use crate::port::PortError;

/// How many followers a leader has.
pub(super) const FOLLOWERS: usize = REPLICAS - 1;

/// A client: a producer or a consumer.
pub(super) type ClientId = u64;

/// A partition of a topic, by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct PartitionId {
    pub(super) topic: usize,
    pub(super) partition: usize,
}

#[derive(Debug, Clone)]
pub(super) struct Topic {
    pub(super) name: Arc<str>,
    pub(super) partitions: Vec<Partition>,
    /// How many followers follow; fewer than all while replication is held.
    pub(super) followers: usize,
    /// How many requests to produce still get lost on their way.
    pub(super) lose_requests: usize,
    /// How many acknowledgements still get lost on their way back.
    pub(super) lose_replies: usize,
}

#[derive(Debug)]
pub(super) struct Cluster {
    clock: Clock,
    pub(super) seed: u64,
    pub(super) notes: Notes,
    pub(super) settings: Settings,
    pub(super) up: bool,
    names: BTreeMap<Arc<str>, usize>,
    pub(super) topics: Vec<Topic>,
    pub(super) groups: BTreeMap<Arc<str>, Group>,
    pub(super) transactions: BTreeMap<Arc<str>, Transactional>,
    pub(super) senders: BTreeMap<ClientId, Sending>,
    pub(super) requests: BTreeMap<u64, Request>,
    pub(super) readers: BTreeMap<ClientId, Reader>,
    next_id: u64,
    /// Whether somebody who waits may have cause to look again.
    changed: bool,
}

/// What happens by itself at a time.
#[derive(Debug)]
enum Due {
    /// A producer sends a request, for the first time or again.
    Attempt(u64),
    /// A producer gives a message up.
    TimeOut(u64),
    /// Followers that lag are no longer in sync.
    Shrink(PartitionId),
    /// A consumer commits by itself.
    Commit(ClientId),
    /// A member of a group has been silent for too long.
    Silence(ClientId),
    /// A group stops waiting for members that do not join again.
    Rebalance(Arc<str>),
    /// A transaction has been open for too long.
    Abort(Arc<str>),
}

impl Cluster {
    pub(super) fn new(seed: u64, footprints: Footprints, settings: Settings) -> Self {
        Cluster {
            clock: Clock::default(),
            seed,
            notes: Notes::new(footprints),
            settings,
            up: true,
            names: BTreeMap::new(),
            topics: Vec::new(),
            groups: BTreeMap::new(),
            transactions: BTreeMap::new(),
            senders: BTreeMap::new(),
            requests: BTreeMap::new(),
            readers: BTreeMap::new(),
            next_id: 0,
            changed: false,
        }
    }

    /// The same without its clients, whose places in groups go with them.
    pub(super) fn fork(&self, footprints: Footprints) -> Self {
        let mut fork = Cluster {
            clock: self.clock.fork(),
            up: self.up,
            names: self.names.clone(),
            topics: self.topics.clone(),
            groups: self.groups.clone(),
            transactions: self.transactions.clone(),
            next_id: self.next_id,
            ..Cluster::new(self.seed, footprints, self.settings.clone())
        };
        fork.groups.values_mut().for_each(Group::forget_members);
        fork
    }

    pub(super) fn create_topic(&mut self, name: &str, count: i32, now: Duration) -> Result<(), PortError> {
        let what = format!("failed to create topic {name}");
        let count = usize::try_from(count).unwrap_or(0);
        if count == 0 {
            let said = "Admin operation error: InvalidPartitions (Broker: Invalid number of partitions)";
            return Err(failure::refused(&what, "InvalidPartitions", said));
        }
        if self.names.contains_key(name) {
            let said = "Admin operation error: TopicAlreadyExists (Broker: Topic already exists)";
            return Err(failure::refused(&what, "TopicAlreadyExists", said));
        }
        self.notes.topics(true);
        let name: Arc<str> = name.into();
        self.names.insert(Arc::clone(&name), self.topics.len());
        self.topics.push(Topic {
            name: Arc::clone(&name),
            partitions: (0..count).map(|_| Partition::new()).collect(),
            followers: FOLLOWERS,
            lose_requests: 0,
            lose_replies: 0,
        });
        self.rebalance_subscribers(&name, now);
        Ok(())
    }

    pub(super) fn topic(&self, name: &str) -> Option<usize> {
        self.names.get(name).copied()
    }

    /// The partition, if topic and partition exist.
    pub(super) fn find(&self, topic: &str, partition: i32) -> Option<PartitionId> {
        let topic = self.topic(topic)?;
        let partition = usize::try_from(partition).ok()?;
        (partition < self.topics[topic].partitions.len()).then_some(PartitionId { topic, partition })
    }

    pub(super) fn partition(&self, id: PartitionId) -> &Partition {
        &self.topics[id.topic].partitions[id.partition]
    }

    pub(super) fn partition_mut(&mut self, id: PartitionId) -> &mut Partition {
        &mut self.topics[id.topic].partitions[id.partition]
    }

    pub(super) fn note_partition(&self, id: PartitionId, write: bool) {
        self.notes.partition(&self.topics[id.topic].name, id.partition, write);
    }

    pub(super) fn fresh_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    /// Somebody who waits may have cause to look again.
    pub(super) fn change(&mut self) {
        self.changed = true;
    }

    pub(super) fn take_changed(&mut self) -> bool {
        std::mem::take(&mut self.changed)
    }

    /// Does everything that was due up to now, in the order of its time; tells what time it is.
    pub(super) fn advance(&mut self) -> Duration {
        let now = self.clock.now();
        while let Some((at, due)) = self.next_event() {
            if at > now {
                break;
            }
            self.happen(at, due);
        }
        now
    }

    /// When something is due next.
    pub(super) fn next_due(&self) -> Option<Duration> {
        self.next_event().map(|(at, _due)| at)
    }

    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.clock.instant(at)
    }

    fn happen(&mut self, at: Duration, due: Due) {
        match due {
            Due::Attempt(request) => self.attempt_again(request, at),
            Due::TimeOut(request) => self.time_out(request),
            Due::Shrink(id) => {
                let min_in_sync = self.settings.min_in_sync;
                self.note_partition(id, true);
                self.partition_mut(id).shrink();
                self.partition_mut(id).raise_high(min_in_sync);
                self.acknowledge(id);
            }
            Due::Commit(reader) => self.commit_stored(reader),
            Due::Silence(reader) => self.expel(reader, at),
            Due::Rebalance(group) => self.stop_waiting(&group, at),
            Due::Abort(id) => self.time_out_transaction(&id, at),
        }
    }

    /// What is due first. Things of one time happen in the order of this list.
    fn next_event(&self) -> Option<(Duration, Due)> {
        let mut first: Option<(Duration, Due)> = None;
        let mut offer = |at: Duration, due: &dyn Fn() -> Due| {
            if first.as_ref().is_none_or(|(earliest, _)| at < *earliest) {
                first = Some((at, due()));
            }
        };
        for (id, request) in &self.requests {
            if !matches!(request.stage, Stage::Done(_)) {
                offer(request.deadline, &|| Due::TimeOut(*id));
            }
            if let Stage::Due(at) = request.stage
                && !self.is_blocked(*id, request)
            {
                offer(at, &|| Due::Attempt(*id));
            }
        }
        // While the cluster is down nobody watches over members, transactions and followers.
        if !self.up {
            return first;
        }
        for (topic, held) in self.topics.iter().enumerate().filter(|(_, topic)| topic.followers < FOLLOWERS) {
            for (partition, state) in held.partitions.iter().enumerate() {
                if let Some(since) = state.behind_since {
                    let id = PartitionId { topic, partition };
                    offer(since + self.settings.replica_lag_max, &|| Due::Shrink(id));
                }
            }
        }
        for (id, reader) in &self.readers {
            if let Some(at) = reader.commits_at(&self.settings) {
                offer(at, &|| Due::Commit(*id));
            }
            if let Some(at) = reader.expires_at(&self.settings) {
                offer(at, &|| Due::Silence(*id));
            }
        }
        for (name, group) in &self.groups {
            if let Some(since) = group.preparing {
                offer(since + self.settings.max_poll_interval, &|| Due::Rebalance(Arc::clone(name)));
            }
        }
        for (name, transactional) in &self.transactions {
            if let Some(open) = &transactional.open {
                let at = open.since + self.settings.transaction_timeout;
                offer(at, &|| Due::Abort(Arc::clone(name)));
            }
        }
        first
    }
}
