//! One consumer.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{FutureExt, StreamExt};
use rdkafka::consumer::{CommitMode, Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::time::{Instant, timeout_at};

use super::{Quiet, REQUEST_TIMEOUT, aside, blocking, client_config, failure};
use crate::port::{
    Consumer, ConsumerOptions, GroupMetadata, Isolation, Message, PortError, StartOffset, System,
};

/// The name that a consumer without a group gives itself: librdkafka wants one even to assign, and neither
/// joins it nor commits to it.
const NO_GROUP: &str = "crosscheck-no-group";

/// What, as the offset to store, makes librdkafka store none: it adds one, and -1001 is `INVALID`.
const STORE_NOTHING: i64 = -1002;

/// A consumer. When it is dropped it leaves its group at once, which a process that crashes does not (its
/// partitions would wait for the session timeout), and commits nothing any more, as a crash would not.
pub(super) struct KafkaConsumer {
    /// None only once dropped.
    client: Option<Arc<StreamConsumer<Quiet>>>,
    in_group: bool,
    auto_commit: bool,
    /// The next offset of each partition assigned by hand.
    assigned: BTreeMap<(String, i32), i64>,
    /// An error that came behind messages of the poll before.
    postponed: Option<PortError>,
}

impl KafkaConsumer {
    /// Opens a consumer; it connects with its first subscription or assignment.
    pub(super) async fn open(
        bootstrap: SocketAddr,
        options: &ConsumerOptions,
        context: Quiet,
    ) -> Result<Self, PortError> {
        let mut config = client_config(bootstrap);
        for (key, value) in [
            ("auto.offset.reset", start(options.start)),
            ("isolation.level", isolation(options.isolation)),
            ("enable.partition.eof", "false"),
            // Stored by `poll` instead: closing a consumer polls what is left in its queue, and what it
            // polls would be stored and committed though nobody has seen it.
            ("enable.auto.offset.store", "false"),
            ("allow.auto.create.topics", "false"),
            ("fetch.wait.max.ms", "20"),
            ("fetch.error.backoff.ms", "20"),
            ("session.timeout.ms", "6000"),
            ("heartbeat.interval.ms", "500"),
        ] {
            config.set(key, value);
        }
        let auto_commit = options.auto_commit && options.group.is_some();
        config.set("enable.auto.commit", auto_commit.to_string());
        config.set("group.id", options.group.as_deref().unwrap_or(NO_GROUP));
        let create = move || {
            let client = config.create_with_context::<_, StreamConsumer<Quiet>>(context);
            client.map_err(|error| failure::refused("failed to open a consumer", &error))
        };
        let client = Some(Arc::new(blocking(create).await?));
        Ok(KafkaConsumer {
            client,
            in_group: options.group.is_some(),
            auto_commit,
            assigned: BTreeMap::new(),
            postponed: None,
        })
    }

    fn client(&self) -> &Arc<StreamConsumer<Quiet>> {
        self.client.as_ref().expect("the client is only taken by drop")
    }

    /// Hands a message's offset to the commits of the background, as librdkafka does by default when it hands
    /// over the message.
    fn store(&self, message: &Message) {
        if self.auto_commit {
            // Fails where the partition has been taken away meanwhile: its next owner reads the message again.
            let _ = self.client().store_offset(&message.topic, message.partition, message.offset);
        }
    }

    fn need_group(&self, what: &str) -> Result<(), PortError> {
        if self.in_group {
            return Ok(());
        }
        Err(failure::not_possible("UnknownGroup", format!("a consumer without a group cannot {what}")))
    }

    /// The first message that comes until `deadline`.
    async fn first(&self, deadline: Instant) -> Result<Option<Message>, PortError> {
        loop {
            match timeout_at(deadline, self.client().recv()).await {
                Ok(Ok(message)) => return read(&message).map(Some),
                Ok(Err(error)) if failure::passes(&error) => {}
                Ok(Err(error)) => return Err(consumption(&error)),
                Err(_elapsed) => return Ok(None),
            }
        }
    }

    /// Adds what librdkafka has at hand. An error behind it is kept for the next poll, so that no message
    /// that was taken is lost with it.
    fn at_hand(&mut self, messages: &mut Vec<Message>, max: usize) {
        let client = Arc::clone(self.client());
        let mut stream = client.stream();
        while messages.len() < max {
            let next = match stream.next().now_or_never().flatten() {
                Some(Ok(message)) => read(&message),
                Some(Err(error)) if failure::passes(&error) => return,
                Some(Err(error)) => Err(consumption(&error)),
                None => return,
            };
            match next {
                Ok(message) => messages.push(message),
                Err(error) => {
                    self.postponed = Some(error);
                    return;
                }
            }
        }
    }
}

#[async_trait]
impl Consumer for KafkaConsumer {
    async fn subscribe(&mut self, topics: &[&str]) -> Result<(), PortError> {
        self.need_group("subscribe")?;
        let subscribed = self.client().subscribe(topics);
        subscribed.map_err(|error| failure::refused("failed to subscribe", &error))
    }

    async fn assign(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError> {
        self.assigned.insert((topic.to_owned(), partition), offset);
        // All anew, at where each was: messages fetched ahead are fetched again.
        let mut list = TopicPartitionList::new();
        let added = self.assigned.iter().try_for_each(|((topic, partition), offset)| {
            list.add_partition_offset(topic, *partition, Offset::Offset(*offset))
        });
        let assigned = added.and_then(|()| self.client().assign(&list));
        assigned.map_err(|error| failure::refused("failed to assign a partition", &error))
    }

    async fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Message>, PortError> {
        let mut messages = Vec::new();
        if max == 0 {
            return Ok(messages);
        }
        if let Some(error) = self.postponed.take() {
            return Err(error);
        }
        messages.extend(self.first(Instant::now() + wait).await?);
        if !messages.is_empty() {
            self.at_hand(&mut messages, max);
        }
        for message in &messages {
            self.store(message);
            if let Some(next) = self.assigned.get_mut(&(message.topic.clone(), message.partition)) {
                *next = message.offset + 1;
            }
        }
        Ok(messages)
    }

    async fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError> {
        self.need_group("commit offsets")?;
        let client = Arc::clone(self.client());
        let mut list = TopicPartitionList::new();
        let added = list.add_partition_offset(topic, partition, Offset::Offset(offset));
        added.map_err(|error| failure::refused("failed to commit an offset", &error))?;
        let call = move || client.commit(&list, CommitMode::Sync).map_err(|error| failure::commit(&error));
        match tokio::time::timeout(REQUEST_TIMEOUT, blocking(call)).await {
            Ok(committed) => committed,
            Err(_elapsed) => {
                let message = format!("no answer to a commit within {} ms", REQUEST_TIMEOUT.as_millis());
                let unknown = PortError::unknown(System::Broker, message);
                Err(PortError { connection_lost: false, ..unknown })
            }
        }
    }

    async fn end_offset(&mut self, topic: &str, partition: i32) -> Result<i64, PortError> {
        let (client, topic) = (Arc::clone(self.client()), topic.to_owned());
        let ask = move || {
            let watermarks = client.fetch_watermarks(&topic, partition, REQUEST_TIMEOUT);
            match watermarks {
                Ok((_low, high)) => Ok(high),
                Err(error) => {
                    let what = format!("failed to ask for the end of {topic}/{partition}");
                    Err(failure::refused(&what, &error))
                }
            }
        };
        blocking(ask).await
    }

    async fn group_metadata(&mut self) -> Result<GroupMetadata, PortError> {
        self.need_group("take part in a transaction")?;
        let client = Arc::clone(self.client());
        let ask = move || {
            let metadata = client.group_metadata().map(GroupMetadata::new);
            metadata.ok_or_else(|| failure::not_possible("UnknownGroup", "the consumer has no group"))
        };
        blocking(ask).await
    }
}

impl Drop for KafkaConsumer {
    fn drop(&mut self) {
        let Some(client) = self.client.take() else { return };
        let auto_commit = self.auto_commit;
        aside(move || {
            if auto_commit {
                forget_stored_offsets(&client);
            }
            drop(client);
        });
    }
}

/// librdkafka commits what is stored when a consumer closes. Whoever drops it here has crashed, and what was
/// delivered to it since the last commit of the background has to come again.
fn forget_stored_offsets(client: &StreamConsumer<Quiet>) {
    let Ok(assignment) = client.assignment() else { return };
    for element in assignment.elements() {
        // Fails where the partition has been taken away meanwhile: then nothing is stored for it.
        let _ = client.store_offset(element.topic(), element.partition(), STORE_NOTHING);
    }
}

fn consumption(error: &KafkaError) -> PortError {
    failure::unknown("failed to poll", error)
}

/// A message as the port has it.
pub(super) fn read(message: &BorrowedMessage<'_>) -> Result<Message, PortError> {
    let (topic, partition, offset) = (message.topic(), message.partition(), message.offset());
    let text = |part: &str, bytes: &[u8]| match std::str::from_utf8(bytes) {
        Ok(text) => Ok(text.to_owned()),
        Err(_) => {
            let message = format!("the {part} of {topic}/{partition}@{offset} is not UTF-8");
            Err(PortError::shape(System::Broker, message))
        }
    };
    Ok(Message {
        topic: topic.to_owned(),
        partition,
        offset,
        key: text("key", message.key().unwrap_or_default())?,
        payload: message.payload().map(|payload| text("payload", payload)).transpose()?,
    })
}

fn isolation(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::ReadUncommitted => "read_uncommitted",
        Isolation::ReadCommitted => "read_committed",
    }
}

fn start(start: StartOffset) -> &'static str {
    match start {
        StartOffset::Earliest => "earliest",
        StartOffset::Latest => "latest",
    }
}
