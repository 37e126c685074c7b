//! The cache behind a link.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::link::Link;
use crate::port::{Cache, CacheConnection, PortError, Reply, System};

/// How long a command may go unanswered, as with the real adapter.
const REPLY_MAX: Duration = Duration::from_secs(5);

/// A cache as one role reaches it.
pub(super) struct LinkedCache {
    pub(super) inner: Arc<dyn Cache>,
    pub(super) link: Link,
}

#[async_trait]
impl Cache for LinkedCache {
    async fn connect(&self) -> Result<Box<dyn CacheConnection>, PortError> {
        let not_sent = |why: &str| PortError::not_sent(System::Cache, format!("failed to connect: {why}"));
        let life = self.link.open().await.map_err(not_sent)?;
        let opened = self.link.carry(life, REPLY_MAX, self.inner.connect()).await;
        let connection = opened.map_err(|broken| not_sent(broken.why))??;
        Ok(Box::new(LinkedConnection { connection: Some(connection), link: self.link.clone(), life }))
    }
}

/// A connection over the link; none once a command got no answer.
struct LinkedConnection {
    connection: Option<Box<dyn CacheConnection>>,
    link: Link,
    life: u64,
}

#[async_trait]
impl CacheConnection for LinkedConnection {
    async fn command(&mut self, args: &[&str]) -> Result<Reply, PortError> {
        let Some(mut connection) = self.connection.take() else {
            return Err(PortError::not_sent(
                System::Cache,
                "the connection is lost: a command before was unknown",
            ));
        };
        let answer =
            self.link.carry(self.life, REPLY_MAX, connection.command(args)).await.map_err(|broken| {
                let message = format!("the connection is lost: {}", broken.why);
                if broken.sent {
                    PortError::unknown(System::Cache, message)
                } else {
                    PortError::not_sent(System::Cache, message)
                }
            })?;
        if !answer.as_ref().is_err_and(|error| error.connection_lost) {
            self.connection = Some(connection);
        }
        answer
    }
}
