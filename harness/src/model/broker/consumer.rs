//! The consumer's side of the port.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::cluster::ClientId;
use super::failure;
use super::fetch::{Reader, ReaderOptions, committed_only};
use super::shared::Shared;
use crate::port::{Consumer, ConsumerOptions, GroupMetadata, Message, PortError};

#[derive(Debug)]
pub(super) struct ModelConsumer {
    shared: Arc<Shared>,
    client: ClientId,
    in_group: bool,
    request_timeout: Duration,
}

impl ModelConsumer {
    pub(super) fn open(shared: &Arc<Shared>, options: &ConsumerOptions) -> Self {
        let reader = ReaderOptions {
            group: options.group.as_deref().map(Into::into),
            start: options.start,
            auto_commit: options.auto_commit && options.group.is_some(),
            committed_only: committed_only(options.isolation),
        };
        let (client, request_timeout) = shared.with(|cluster, now| {
            let client = cluster.fresh_id();
            cluster.readers.insert(client, Reader::new(reader, now));
            (client, cluster.settings.request_timeout)
        });
        let in_group = options.group.is_some();
        ModelConsumer { shared: Arc::clone(shared), client, in_group, request_timeout }
    }

    fn need_group(&self, what: &str) -> Result<(), PortError> {
        if self.in_group { Ok(()) } else { Err(failure::no_group(what)) }
    }

    /// A call is under way until the result is dropped.
    fn calling(&self, polls: bool) -> Calling<'_> {
        self.shared.with(|cluster, now| cluster.enter(self.client, now));
        Calling { shared: &self.shared, client: self.client, polls }
    }
}

#[async_trait]
impl Consumer for ModelConsumer {
    async fn subscribe(&mut self, topics: &[&str]) -> Result<(), PortError> {
        self.need_group("subscribe")?;
        let topics = topics.iter().map(|topic| (*topic).into()).collect();
        self.shared.with(|cluster, now| cluster.subscribe(self.client, topics, now));
        Ok(())
    }

    async fn assign(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError> {
        let Ok(offset) = usize::try_from(offset) else {
            let said =
                "Set partition offset error: InvalidArgument (Local: Invalid argument or configuration)";
            return Err(failure::refused("failed to assign a partition", "InvalidArgument", said));
        };
        self.shared.with(|cluster, _now| {
            cluster.notes.topics(false);
            // Of a partition that does not exist nothing ever comes.
            let id = cluster.find(topic, partition);
            cluster.assign(self.client, id, offset);
        });
        Ok(())
    }

    async fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Message>, PortError> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let calling = self.calling(true);
        let deadline = self.shared.with(|_, now| now + wait);
        let look = |cluster: &mut super::cluster::Cluster, now| {
            let polled = cluster.poll(calling.client, max, now);
            (!polled.as_ref().is_ok_and(Vec::is_empty)).then_some(polled)
        };
        self.shared.until(deadline, look).await.unwrap_or_else(|| Ok(Vec::new()))
    }

    async fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError> {
        const WHAT: &str = "failed to commit an offset";
        self.need_group("commit offsets")?;
        let calling = self.calling(false);
        let deadline = self.shared.with(|_, now| now + self.request_timeout);
        let look = |cluster: &mut super::cluster::Cluster, _now| {
            cluster.notes.health(false);
            cluster.notes.topics(false);
            cluster.up.then(|| match cluster.find(topic, partition) {
                Some(id) => cluster.commit(calling.client, id, offset),
                None => {
                    let said = "Consumer commit error: UnknownTopicOrPartition (Broker: Unknown topic or \
                                partition)";
                    Err(failure::refused(WHAT, "UnknownTopicOrPartition", said))
                }
            })
        };
        let committed = self.shared.until(deadline, look).await;
        committed.unwrap_or_else(|| Err(failure::no_answer(self.request_timeout)))
    }

    async fn end_offset(&mut self, topic: &str, partition: i32) -> Result<i64, PortError> {
        let calling = self.calling(false);
        let what = format!("failed to ask for the end of {topic}/{partition}");
        let deadline = self.shared.with(|_, now| now + self.request_timeout);
        let look = |cluster: &mut super::cluster::Cluster, _now| {
            cluster.notes.health(false);
            cluster.notes.topics(false);
            cluster.up.then(|| match cluster.find(topic, partition) {
                Some(id) => Ok(cluster.end_for(calling.client, id)),
                None => {
                    let said = "Meta data fetch error: UnknownPartition (Local: Unknown partition)";
                    Err(failure::refused(&what, "UnknownPartition", said))
                }
            })
        };
        let said = "Meta data fetch error: OperationTimedOut (Local: Timed out)";
        let answer = self.shared.until(deadline, look).await;
        answer.unwrap_or_else(|| Err(failure::refused(&what, "OperationTimedOut", said)))
    }

    async fn group_metadata(&mut self) -> Result<GroupMetadata, PortError> {
        self.need_group("take part in a transaction")?;
        let membership = self.shared.with(|cluster, _now| cluster.membership(self.client));
        membership.map(GroupMetadata::new).ok_or_else(|| failure::no_group("take part in a transaction"))
    }
}

impl Drop for ModelConsumer {
    fn drop(&mut self) {
        self.shared.with(|cluster, now| {
            cluster.leave(self.client, now);
            cluster.readers.remove(&self.client);
        });
    }
}

/// A call that is under way.
struct Calling<'a> {
    shared: &'a Shared,
    client: ClientId,
    polls: bool,
}

impl Drop for Calling<'_> {
    fn drop(&mut self) {
        self.shared.with(|cluster, now| cluster.exit(self.client, self.polls, now));
    }
}
