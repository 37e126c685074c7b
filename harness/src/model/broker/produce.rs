//! Messages on their way to the log: attempts, retries, acknowledgements, and giving up.
//!
//! A producer tries again until the message is acknowledged or its time is over, as librdkafka does, also when
//! nobody waits for it any more. A plain producer thereby duplicates what was appended and not acknowledged, and
//! lets a later message overtake one that has to be sent again. The messages of an idempotent one carry numbers:
//! the leader drops those that it has, and the producer keeps their order.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::{ClientId, Cluster, FOLLOWERS, PartitionId};
use super::failure;
use super::partition::{Appended, REMEMBERED, Stamp};
use super::producer::Phase;
use crate::port::{Acks, PortError, Position};

/// A message that a producer has been handed.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) client: ClientId,
    pub(super) partition: PartitionId,
    pub(super) key: Arc<str>,
    pub(super) payload: Arc<str>,
    pub(super) acks: Acks,
    /// Given with the first attempt, where the producer is idempotent.
    pub(super) stamp: Option<Stamp>,
    pub(super) deadline: Duration,
    pub(super) stage: Stage,
    /// Whether the caller has stopped waiting for it.
    pub(super) abandoned: bool,
}

/// How far a message has come.
#[derive(Debug)]
pub(super) enum Stage {
    /// To be sent at that time.
    Due(Duration),
    /// To be sent when the cluster is well again.
    Parked,
    /// At the leader, at that offset; replicas in sync lack it.
    Appended(usize),
    /// Acknowledged or given up.
    Done(Result<Position, PortError>),
}

/// What became of a message at once.
pub(super) enum Submitted {
    Done(Result<Position, PortError>),
    Waiting(u64),
}

impl Cluster {
    /// Takes a message over from the application and sends it.
    pub(super) fn submit(&mut self, mut request: Request, now: Duration) -> Submitted {
        let id = self.fresh_id();
        if !self.is_blocked(id, &request) {
            self.attempt(&mut request, now);
        }
        match request.stage {
            Stage::Done(result) => Submitted::Done(result),
            Stage::Due(_) | Stage::Parked | Stage::Appended(_) => {
                self.requests.insert(id, request);
                Submitted::Waiting(id)
            }
        }
    }

    /// What became of a message, once that is known. It is then forgotten.
    pub(super) fn outcome(&mut self, id: u64) -> Option<Result<Position, PortError>> {
        match self.requests.remove(&id)? {
            Request { stage: Stage::Done(result), .. } => Some(result),
            pending => {
                self.requests.insert(id, pending);
                None
            }
        }
    }

    /// The caller does not wait any more; the producer goes on trying.
    pub(super) fn abandon(&mut self, id: u64) {
        if let Some(request) = self.requests.get_mut(&id) {
            request.abandoned = true;
        }
        self.forget_abandoned();
    }

    /// The messages of a producer that is gone are not sent (again).
    pub(super) fn purge(&mut self, client: ClientId) {
        self.requests.retain(|_, request| request.client != client);
    }

    /// Whether the producer still waits for one of its messages.
    pub(super) fn has_requests(&self, client: ClientId) -> bool {
        let open = |request: &Request| request.client == client && !matches!(request.stage, Stage::Done(_));
        self.requests.values().any(open)
    }

    /// Whether an idempotent producer holds a message back: an earlier one to the partition has to be sent
    /// (again), or too many are under way.
    pub(super) fn is_blocked(&self, id: u64, request: &Request) -> bool {
        if self.requests.is_empty() || !self.is_idempotent(request.client) {
            return false;
        }
        let mut under_way = 0;
        for (_, earlier) in self.requests.range(..id) {
            if earlier.client == request.client && earlier.partition == request.partition {
                match earlier.stage {
                    Stage::Due(_) | Stage::Parked => return true,
                    Stage::Appended(_) => under_way += 1,
                    Stage::Done(_) => {}
                }
            }
        }
        under_way >= REMEMBERED
    }

    pub(super) fn attempt_again(&mut self, id: u64, now: Duration) {
        if let Some(mut request) = self.requests.remove(&id) {
            self.attempt(&mut request, now);
            if let Stage::Done(_) = request.stage {
                self.change();
            }
            self.requests.insert(id, request);
            self.forget_abandoned();
        }
    }

    pub(super) fn time_out(&mut self, id: u64) {
        let Some(request) = self.requests.get_mut(&id) else { return };
        let topic = &self.topics[request.partition.topic].name;
        request.stage = Stage::Done(Err(failure::timed_out(topic)));
        let (client, was_tried) = (request.client, request.stamp.is_some());
        let phase = self.senders.get_mut(&client).map(|sending| &mut sending.phase);
        if let Some(phase @ Phase::Open) = phase {
            *phase = Phase::MustAbort(failure::timed_out(topic));
        }
        if was_tried {
            self.enter_next_epoch(client);
        }
        self.change();
        self.forget_abandoned();
    }

    /// Tells the producers of a partition what is now on all replicas in sync.
    pub(super) fn acknowledge(&mut self, id: PartitionId) {
        self.change();
        if self.requests.is_empty() {
            return;
        }
        let high = self.partition(id).high();
        for request in self.requests.values_mut().filter(|request| request.partition == id) {
            if let Stage::Appended(offset) = request.stage
                && offset < high
            {
                request.stage = Stage::Done(Ok(position(id, offset)));
            }
        }
        self.forget_abandoned();
    }

    /// Copies what the leader has to the followers that follow, and acknowledges it.
    pub(super) fn replicate(&mut self, id: PartitionId, now: Duration) {
        let (followers, min_in_sync) = (self.topics[id.topic].followers, self.settings.min_in_sync);
        let partition = self.partition_mut(id);
        partition.replicate(followers);
        if followers < FOLLOWERS {
            partition.behind_since.get_or_insert(now);
        }
        partition.raise_high(min_in_sync);
        self.acknowledge(id);
    }

    /// Requests that were not answered because the leader went, and those that wait for better times, are sent
    /// (again).
    pub(super) fn send_again(&mut self, at: Duration, of: impl Fn(PartitionId) -> bool) {
        for request in self.requests.values_mut().filter(|request| of(request.partition)) {
            if let Stage::Parked | Stage::Appended(_) = request.stage {
                request.stage = Stage::Due(at);
            }
        }
        self.change();
    }

    fn attempt(&mut self, request: &mut Request, now: Duration) {
        request.stage = self.send(request, now);
    }

    fn send(&mut self, request: &mut Request, now: Duration) -> Stage {
        let (id, again) = (request.partition, Stage::Due(now + self.settings.retry_backoff));
        self.note_partition(id, true);
        self.notes.health(false);
        if !self.up {
            return Stage::Parked;
        }
        if self.lose(id, |topic| &mut topic.lose_requests) {
            // Without acknowledgements nobody notices.
            return if request.acks == Acks::Zero { Stage::Done(Ok(untold(id))) } else { again };
        }
        if request.acks == Acks::All && self.partition(id).in_sync_count() < self.settings.min_in_sync {
            return Stage::Parked;
        }
        if let Err(error) = self.prepare(request, now) {
            return Stage::Done(Err(error));
        }
        let appended = self.partition_mut(id).append(request.stamp, &request.key, &request.payload);
        let offset = match appended {
            Appended::At(offset) => {
                self.replicate(id, now);
                offset
            }
            Appended::Before(offset) => offset,
            Appended::OutOfOrder => return Stage::Done(Err(self.out_of_order(request))),
            Appended::Fenced => return Stage::Done(Err(self.fenced_at_leader(request))),
        };
        if request.acks != Acks::Zero && self.lose(id, |topic| &mut topic.lose_replies) {
            return again;
        }
        match request.acks {
            Acks::Zero => Stage::Done(Ok(untold(id))),
            Acks::All if self.partition(id).high() <= offset => Stage::Appended(offset),
            Acks::One | Acks::All => Stage::Done(Ok(position(id, offset))),
        }
    }

    /// What an idempotent producer does before it sends a message: it numbers the message and makes the
    /// partition part of the transaction.
    fn prepare(&mut self, request: &mut Request, now: Duration) -> Result<(), PortError> {
        let topic = Arc::clone(&self.topics[request.partition.topic].name);
        let joins = self.senders.get(&request.client).is_some_and(|sending| {
            sending.transactional.is_some() && !sending.partitions.contains(&request.partition)
        });
        if joins
            && !self.add_to_transaction(request.client, now, |open| open.partitions.insert(request.partition))
        {
            self.fence(request.client, "Failed to add partitions to transaction");
            let said = "Message production error: PurgeQueue (Local: Purged in queue)";
            return Err(failure::unknown(&failure::produce(&topic), "PurgeQueue", said));
        }
        let Some(sending) = self.senders.get_mut(&request.client) else { return Ok(()) };
        if joins {
            sending.partitions.insert(request.partition);
        }
        if let (None, Some(producer)) = (request.stamp, sending.producer) {
            let next = sending.next.entry(request.partition).or_default();
            let (sequence, transactional) = (*next, sending.transactional.is_some());
            *next += 1;
            request.stamp = Some(Stamp { producer, epoch: sending.epoch, sequence, transactional });
        }
        Ok(())
    }

    /// The leader lacks messages that it has acknowledged to this producer, which can go on no more.
    fn out_of_order(&mut self, request: &Request) -> PortError {
        let said = "Message production error: OutOfOrderSequenceNumber (Broker: Broker received an out of order \
                    sequence number)";
        let what = failure::produce(&self.topics[request.partition.topic].name);
        let code = "OutOfOrderSequenceNumber";
        if let Some(sending) = self.senders.get_mut(&request.client) {
            sending.phase = Phase::Broken(failure::fatal(&what, code, said));
        }
        failure::unknown(&what, code, said)
    }

    fn fenced_at_leader(&mut self, request: &Request) -> PortError {
        let said = "Message production error: InvalidProducerEpoch (Broker: Producer attempted an operation with \
                    an old epoch)";
        let what = failure::produce(&self.topics[request.partition.topic].name);
        self.fence(request.client, "transactional producer fenced by newer producer instance");
        failure::unknown(&what, "InvalidProducerEpoch", said)
    }

    /// After a message whose fate is not known a producer numbers anew, in another epoch.
    fn enter_next_epoch(&mut self, client: ClientId) {
        let Some(sending) = self.senders.get_mut(&client) else { return };
        if let Some(entry) = sending.transactional.as_ref().and_then(|id| self.transactions.get_mut(id)) {
            // The coordinator gives no epoch to a producer that has been fenced: it has yet to learn of it.
            if entry.epoch != sending.epoch {
                return;
            }
            entry.epoch += 1;
        }
        sending.epoch += 1;
        sending.next.clear();
        for request in self.requests.values_mut().filter(|request| request.client == client) {
            if let Stage::Due(_) | Stage::Parked = request.stage {
                request.stamp = None;
            }
        }
    }

    fn is_idempotent(&self, client: ClientId) -> bool {
        self.senders.get(&client).is_some_and(|sending| sending.producer.is_some())
    }

    /// Whether a fault takes this one.
    fn lose(&mut self, id: PartitionId, of: impl Fn(&mut super::cluster::Topic) -> &mut usize) -> bool {
        let left = of(&mut self.topics[id.topic]);
        if *left == 0 {
            return false;
        }
        *left -= 1;
        self.notes.health(true);
        true
    }

    fn forget_abandoned(&mut self) {
        self.requests.retain(|_, request| !(request.abandoned && matches!(request.stage, Stage::Done(_))));
    }
}

fn position(id: PartitionId, offset: usize) -> Position {
    Position { partition: number(id.partition), offset: offset as i64 }
}

fn untold(id: PartitionId) -> Position {
    Position { partition: number(id.partition), offset: -1 }
}

/// The number of a partition, as the port has it.
pub(super) fn number(partition: usize) -> i32 {
    i32::try_from(partition).expect("a topic is made with at most i32::MAX partitions")
}
