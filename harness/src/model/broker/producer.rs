//! The producer's side of the port.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::cluster::{ClientId, PartitionId};
use super::failure;
use super::membership::Membership;
use super::murmur2;
use super::partition::ProducerId;
use super::produce::{Request, Stage, Submitted};
use super::shared::Shared;
use crate::port::{Acks, GroupMetadata, GroupOffset, PortError, Position, Producer, ProducerOptions};

/// What librdkafka takes of key and payload together (`message.max.bytes`).
const MESSAGE_MAX: usize = 1_000_000;

/// What a client knows of itself as an idempotent or transactional producer.
#[derive(Debug, Default)]
pub(super) struct Sending {
    /// Its id at the broker; none for a plain producer.
    pub(super) producer: Option<ProducerId>,
    pub(super) epoch: u32,
    /// The next number of each partition.
    pub(super) next: BTreeMap<PartitionId, u32>,
    pub(super) transactional: Option<Arc<str>>,
    pub(super) phase: Phase,
    /// What the coordinator has been told to belong to the transaction.
    pub(super) partitions: BTreeSet<PartitionId>,
    /// Whether the coordinator has been told of offsets.
    pub(super) has_offsets: bool,
}

/// Where a producer is in its transactions.
#[derive(Debug, Default)]
pub(super) enum Phase {
    /// In none; so is always a producer without transactions.
    #[default]
    Ready,
    Open,
    /// In one that can only be aborted, because of this error.
    MustAbort(PortError),
    /// Of no use any more, because of this error.
    Broken(PortError),
}

#[derive(Debug)]
pub(super) struct ModelProducer {
    shared: Arc<Shared>,
    client: ClientId,
    acks: Acks,
    message_timeout: Duration,
    transactional: bool,
    request_timeout: Duration,
    /// The topics that the broker has told of.
    known: BTreeSet<usize>,
}

impl ModelProducer {
    pub(super) async fn open(shared: &Arc<Shared>, options: &ProducerOptions) -> Result<Self, PortError> {
        agree(options)?;
        let (client, request_timeout) = shared.with(|cluster, _now| {
            let client = cluster.fresh_id();
            let producer = options.idempotence.then_some(client);
            cluster.senders.insert(client, Sending { producer, ..Sending::default() });
            (client, cluster.settings.request_timeout)
        });
        // From here on dropping it forgets the client.
        let producer = ModelProducer {
            shared: Arc::clone(shared),
            client,
            acks: options.acks,
            message_timeout: options.message_timeout,
            transactional: options.transactional_id.is_some(),
            request_timeout,
            known: BTreeSet::new(),
        };
        if let Some(id) = &options.transactional_id {
            let id: Arc<str> = id.as_str().into();
            let deadline = shared.with(|_, now| now + request_timeout);
            let look = |cluster: &mut super::cluster::Cluster, now| {
                cluster.up.then(|| cluster.init_transactions(client, &id, now))
            };
            if shared.until(deadline, look).await.is_none() {
                let said = "Transaction error: Failed to initialize Producer ID: Local: Timed out";
                return Err(failure::unknown("failed to initialise transactions", "OperationTimedOut", said));
            }
        }
        Ok(producer)
    }

    /// The partition of a message. The first message to a topic asks for it, and is not sent without an answer.
    async fn locate(
        &mut self,
        topic: &str,
        partition: Option<i32>,
        key: &str,
    ) -> Result<PartitionId, PortError> {
        let known = &self.known;
        let look = |cluster: &mut super::cluster::Cluster, _now| {
            cluster.notes.topics(false);
            let found = cluster.topic(topic);
            match found.filter(|topic| known.contains(topic)) {
                None if !cluster.up => None,
                _ => Some(found.map(|found| (found, cluster.topics[found].partitions.len()))),
            }
        };
        let answer = match self.shared.with(look) {
            Some(answer) => Some(answer),
            None => {
                let deadline = self.shared.with(|_, now| now + self.message_timeout);
                self.shared.until(deadline, look).await
            }
        };
        let found = answer.ok_or_else(|| failure::not_asked(topic))?;
        let (number, count) = found.ok_or_else(|| failure::unknown_topic(topic))?;
        if !self.known.contains(&number) {
            self.known.insert(number);
        }
        let partition = match partition {
            None => murmur2::partition(key.as_bytes(), count),
            Some(asked) => usize::try_from(asked)
                .ok()
                .filter(|asked| *asked < count)
                .ok_or_else(|| failure::no_partition(topic, count, asked))?,
        };
        Ok(PartitionId { topic: number, partition })
    }

    /// Waits for what becomes of a message. Whoever stops waiting does not stop the producer.
    async fn wait(&self, id: u64, deadline: Duration) -> Result<Position, PortError> {
        let waiting = Waiting { shared: &self.shared, id };
        let outcome = self.shared.until(deadline, |cluster, _now| cluster.outcome(waiting.id)).await;
        outcome.expect("a message has an outcome at its deadline at the latest")
    }

    /// Waits until all messages are acknowledged or given up, as the end of a transaction does first.
    async fn flush(&self, what: &str) -> Result<Duration, PortError> {
        let deadline = self.shared.with(|_, now| now + self.request_timeout);
        let look = |cluster: &mut super::cluster::Cluster, _now| {
            (cluster.up && !cluster.has_requests(self.client)).then_some(())
        };
        let said = "Transaction error: Local: Timed out";
        let flushed = self.shared.until(deadline, look).await;
        flushed.ok_or_else(|| failure::unknown(what, "OperationTimedOut", said)).map(|()| deadline)
    }
}

#[async_trait]
impl Producer for ModelProducer {
    async fn produce(
        &mut self,
        topic: &str,
        partition: Option<i32>,
        key: &str,
        payload: &str,
    ) -> Result<Position, PortError> {
        let partition = self.locate(topic, partition, key).await?;
        if key.len() + payload.len() > MESSAGE_MAX {
            let said = "Message production error: MessageSizeTooLarge (Broker: Message size too large)";
            return Err(failure::refused(&failure::produce(topic), "MessageSizeTooLarge", said));
        }
        let (client, acks, timeout) = (self.client, self.acks, self.message_timeout);
        let transactional = self.transactional;
        let (submitted, deadline) = self.shared.with(|cluster, now| {
            let deadline = now + timeout;
            if let Some(refusal) = cluster.turned_away(client, transactional, topic) {
                return (Submitted::Done(Err(refusal)), deadline);
            }
            let request = Request {
                client,
                partition,
                key: key.into(),
                payload: payload.into(),
                acks,
                stamp: None,
                deadline,
                stage: Stage::Due(now),
                abandoned: false,
            };
            (cluster.submit(request, now), deadline)
        });
        match submitted {
            Submitted::Done(result) => result,
            Submitted::Waiting(id) => self.wait(id, deadline).await,
        }
    }

    async fn begin_transaction(&mut self) -> Result<(), PortError> {
        self.shared.with(|cluster, _now| cluster.begin_transaction(self.client))
    }

    async fn commit_transaction(&mut self) -> Result<(), PortError> {
        const WHAT: &str = "failed to commit a transaction";
        self.shared.with(|cluster, _now| cluster.may_end(self.client, WHAT, true))?;
        self.flush(WHAT).await?;
        self.shared.with(|cluster, now| cluster.end_transaction(self.client, WHAT, true, now))
    }

    async fn abort_transaction(&mut self) -> Result<(), PortError> {
        const WHAT: &str = "failed to abort a transaction";
        self.shared.with(|cluster, _now| cluster.may_end(self.client, WHAT, false))?;
        self.shared.with(|cluster, _now| cluster.purge(self.client));
        self.flush(WHAT).await?;
        self.shared.with(|cluster, now| cluster.end_transaction(self.client, WHAT, false, now))
    }

    async fn send_offsets_to_transaction(
        &mut self,
        offsets: &[GroupOffset<'_>],
        member: &GroupMetadata,
    ) -> Result<(), PortError> {
        const WHAT: &str = "failed to send offsets to a transaction";
        let Some(member) = member.get::<Membership>() else {
            return Err(failure::refused(
                WHAT,
                "InvalidArgument",
                "they are of a consumer of another broker",
            ));
        };
        self.shared.with(|cluster, _now| cluster.may_send_offsets(self.client, WHAT))?;
        self.flush(WHAT).await?;
        self.shared.with(|cluster, now| cluster.send_offsets(self.client, WHAT, offsets, &member, now))
    }
}

impl Drop for ModelProducer {
    fn drop(&mut self) {
        self.shared.with(|cluster, _now| {
            cluster.purge(self.client);
            cluster.senders.remove(&self.client);
        });
    }
}

/// Tells the cluster when a caller stops waiting.
struct Waiting<'a> {
    shared: &'a Shared,
    id: u64,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.shared.with(|cluster, _now| cluster.abandon(self.id));
    }
}

/// Refuses options that contradict each other, as librdkafka does.
fn agree(options: &ProducerOptions) -> Result<(), PortError> {
    let contradiction = if options.transactional_id.is_some() && !options.idempotence {
        "`transactional.id` requires `enable.idempotence=true`"
    } else if options.idempotence && options.acks != Acks::All {
        "`acks` must be set to `all` when `enable.idempotence` is true"
    } else {
        return Ok(());
    };
    let said = format!("Client creation error: {contradiction}");
    Err(failure::refused("failed to open a producer", "Client", &said))
}
