//! The broker behind a link. Kafka's client connects again and sends again by itself until a message times out,
//! and so does this.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{sleep, timeout};

use super::link::{Broken, Link};
use crate::port::{
    Broker, Consumer, ConsumerOptions, GroupMetadata, GroupOffset, Message, PortError, Position, Producer,
    ProducerOptions, System,
};

/// How long a request other than of a message may go unanswered, as with the real adapter.
const REQUEST_MAX: Duration = Duration::from_secs(10);

/// A broker as one role reaches it.
pub(super) struct LinkedBroker {
    pub(super) inner: Arc<dyn Broker>,
    pub(super) link: Link,
}

#[async_trait]
impl Broker for LinkedBroker {
    async fn producer(&self, options: &ProducerOptions) -> Result<Box<dyn Producer>, PortError> {
        Ok(Box::new(LinkedProducer {
            inner: self.inner.producer(options).await?,
            link: self.link.clone(),
            idempotence: options.idempotence || options.transactional_id.is_some(),
            message_timeout: options.message_timeout,
        }))
    }

    async fn consumer(&self, options: &ConsumerOptions) -> Result<Box<dyn Consumer>, PortError> {
        let inner = self.inner.consumer(options).await?;
        Ok(Box::new(LinkedConsumer { inner, link: self.link.clone() }))
    }
}

struct LinkedProducer {
    inner: Box<dyn Producer>,
    link: Link,
    idempotence: bool,
    message_timeout: Duration,
}

#[async_trait]
impl Producer for LinkedProducer {
    async fn produce(
        &mut self,
        topic: &str,
        partition: Option<i32>,
        key: &str,
        payload: &str,
    ) -> Result<Position, PortError> {
        let (link, inner, idempotence) = (&self.link, &mut self.inner, self.idempotence);
        let sending = async {
            // What the broker made of a message whose acknowledgement was lost: to an idempotent producer that
            // sends it again it says the same once more.
            let mut settled: Option<Result<Position, PortError>> = None;
            loop {
                let Ok(life) = link.open().await else {
                    link.until_changed().await;
                    continue;
                };
                let sent = match settled.take() {
                    Some(answer) => link.carry(life, REQUEST_MAX, async { answer }).await,
                    None => {
                        link.carry(life, REQUEST_MAX, inner.produce(topic, partition, key, payload)).await
                    }
                };
                match sent {
                    Ok(answer) => return answer,
                    Err(Broken { unheard, .. }) => settled = unheard.filter(|_| idempotence),
                }
            }
        };
        timeout(self.message_timeout, sending).await.unwrap_or_else(|_| {
            let message = format!("failed to produce to {topic}: no acknowledgement in time");
            let unknown = PortError::unknown(System::Broker, message);
            Err(PortError { code: Some("MessageTimedOut".to_owned()), connection_lost: false, ..unknown })
        })
    }

    async fn begin_transaction(&mut self) -> Result<(), PortError> {
        self.inner.begin_transaction().await
    }

    async fn commit_transaction(&mut self) -> Result<(), PortError> {
        requested(&self.link, self.inner.commit_transaction()).await
    }

    async fn abort_transaction(&mut self) -> Result<(), PortError> {
        requested(&self.link, self.inner.abort_transaction()).await
    }

    async fn send_offsets_to_transaction(
        &mut self,
        offsets: &[GroupOffset<'_>],
        member: &GroupMetadata,
    ) -> Result<(), PortError> {
        requested(&self.link, self.inner.send_offsets_to_transaction(offsets, member)).await
    }
}

struct LinkedConsumer {
    inner: Box<dyn Consumer>,
    link: Link,
}

#[async_trait]
impl Consumer for LinkedConsumer {
    async fn subscribe(&mut self, topics: &[&str]) -> Result<(), PortError> {
        self.inner.subscribe(topics).await
    }

    async fn assign(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError> {
        self.inner.assign(topic, partition, offset).await
    }

    async fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Message>, PortError> {
        if self.link.is_blocked() {
            sleep(wait).await;
            return Ok(Vec::new());
        }
        self.inner.poll(wait, max).await
    }

    async fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError> {
        requested(&self.link, self.inner.commit(topic, partition, offset)).await
    }

    async fn end_offset(&mut self, topic: &str, partition: i32) -> Result<i64, PortError> {
        requested(&self.link, self.inner.end_offset(topic, partition)).await
    }

    async fn group_metadata(&mut self) -> Result<GroupMetadata, PortError> {
        self.inner.group_metadata().await
    }
}

/// One request, once the link lets it through; what is not answered is not sent a second time.
async fn requested<T>(link: &Link, call: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
    let silent = |sent: bool| {
        let error = if sent { PortError::unknown } else { PortError::not_sent };
        let error = error(System::Broker, "no answer in time".to_owned());
        PortError { connection_lost: false, ..error }
    };
    let reached = async {
        loop {
            match link.open().await {
                Ok(life) => return life,
                Err(_) => link.until_changed().await,
            }
        }
    };
    let Ok(life) = timeout(REQUEST_MAX, reached).await else { return Err(silent(false)) };
    link.carry(life, REQUEST_MAX, call).await.unwrap_or_else(|broken| Err(silent(broken.sent)))
}
