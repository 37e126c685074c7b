//! The broker port: the operations of a Kafka client.

use std::any::Any;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::PortError;

/// A broker that producers and consumers can be opened on.
#[async_trait]
pub trait Broker: Send + Sync {
    /// Opens a producer. One with a transactional id initialises its transactions here: what an earlier
    /// producer of that id left open is aborted, and that producer is fenced.
    async fn producer(&self, options: &ProducerOptions) -> Result<Box<dyn Producer>, PortError>;

    /// Opens a consumer.
    async fn consumer(&self, options: &ConsumerOptions) -> Result<Box<dyn Consumer>, PortError>;
}

/// Which acknowledgements a producer waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acks {
    /// None: a message is gone once it is sent.
    Zero,
    /// Of the leader.
    One,
    /// Of all in-sync replicas.
    All,
}

/// How a producer produces. There is no default: what a design relies on, it says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProducerOptions {
    /// Which acknowledgements it waits for.
    pub acks: Acks,
    /// Whether the broker drops the producer's own retries of one message.
    pub idempotence: bool,
    /// When a message that has not been acknowledged is given up (its fate is then unknown).
    pub message_timeout: Duration,
    /// The name under which the broker knows this producer's transactions across its lives; none for a
    /// producer without transactions.
    pub transactional_id: Option<String>,
}

/// One producer.
#[async_trait]
pub trait Producer: Send {
    /// Sends one message and waits for its acknowledgement (with [`Acks::Zero`], for its being sent).
    /// `partition` none leaves the choice to the key (murmur2, as the Java client).
    async fn produce(
        &mut self,
        topic: &str,
        partition: Option<i32>,
        key: &str,
        payload: &str,
    ) -> Result<Position, PortError>;

    /// Begins a transaction, in which everything is produced until it is committed or aborted.
    async fn begin_transaction(&mut self) -> Result<(), PortError>;

    /// Commits the transaction: what was produced in it becomes visible to those that read committed, and the
    /// offsets sent to it become the group's.
    async fn commit_transaction(&mut self) -> Result<(), PortError>;

    /// Aborts the transaction.
    async fn abort_transaction(&mut self) -> Result<(), PortError>;

    /// Makes offsets (each that of the next message to read) part of the transaction, for the group that the
    /// consumer is a member of. A member that the group has gone on without is refused.
    async fn send_offsets_to_transaction(
        &mut self,
        offsets: &[GroupOffset<'_>],
        member: &GroupMetadata,
    ) -> Result<(), PortError>;
}

/// Up to where a group has read a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GroupOffset<'a> {
    /// The topic.
    pub topic: &'a str,
    /// The partition.
    pub partition: i32,
    /// The offset of the next message to read.
    pub offset: i64,
}

/// Which member of which generation of its group a consumer is; each adapter has its own notion of it.
#[derive(Clone)]
pub struct GroupMetadata(Arc<dyn Any + Send + Sync>);

impl GroupMetadata {
    pub(crate) fn new(metadata: impl Any + Send + Sync) -> Self {
        GroupMetadata(Arc::new(metadata))
    }

    /// The adapter's own; none where another adapter made it.
    pub(crate) fn get<T: Any + Send + Sync>(&self) -> Option<Arc<T>> {
        Arc::clone(&self.0).downcast().ok()
    }
}

impl fmt::Debug for GroupMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GroupMetadata").finish_non_exhaustive()
    }
}

/// Where a message lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Position {
    /// The partition.
    pub partition: i32,
    /// The offset; below zero where the acknowledgement does not tell.
    pub offset: i64,
}

/// How a consumer consumes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerOptions {
    /// The consumer group; needed to subscribe and to commit offsets.
    pub group: Option<String>,
    /// Where a group without a committed offset begins.
    pub start: StartOffset,
    /// Whether the client commits offsets by itself, in the background (librdkafka's default).
    pub auto_commit: bool,
    /// Whether messages of transactions that are open or aborted are read.
    pub isolation: Isolation,
}

/// What a consumer reads of transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Everything, as soon as it is replicated.
    ReadUncommitted,
    /// Only what is committed, and nothing behind the first transaction that is still open.
    ReadCommitted,
}

/// Where to begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOffset {
    /// At the first message there is.
    Earliest,
    /// After the last message there is.
    Latest,
}

/// One consumer.
#[async_trait]
pub trait Consumer: Send {
    /// Takes part in a group's share of the topics.
    async fn subscribe(&mut self, topics: &[&str]) -> Result<(), PortError>;

    /// Reads one partition from `offset` on, outside of any group's assignment.
    async fn assign(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError>;

    /// The messages that come within `wait`: as soon as there is one, what is at hand, `max` at most.
    async fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Message>, PortError>;

    /// Commits `offset` (that of the next message to read) for the group.
    async fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError>;

    /// The offset after the last message of the partition that this consumer may read: the high watermark,
    /// or for one that reads committed the last stable offset. The mark of a transaction takes an offset too.
    async fn end_offset(&mut self, topic: &str, partition: i32) -> Result<i64, PortError>;

    /// Which member of its group it is, to send offsets to a producer's transaction.
    async fn group_metadata(&mut self) -> Result<GroupMetadata, PortError>;
}

/// A message received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset.
    pub offset: i64,
    /// The key; empty where it has none.
    pub key: String,
    /// The payload; none for a tombstone.
    pub payload: Option<String>,
}
