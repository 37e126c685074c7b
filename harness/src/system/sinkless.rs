//! A changefeed without a sink: a session of ours reads it, and publishes what comes. The fallback where the database
//! cannot reach the broker. It has no job: who reads it remembers up to where all has been published, and asks for the
//! rest after a lost connection (CockroachDB 24.3, page "EXPERIMENTAL CHANGEFEED FOR").

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio::task::JoinHandle;
use tokio_postgres::{NoTls, SimpleQueryMessage, SimpleQueryRow};

use super::cockroach;
use super::kafka::KafkaBroker;
use super::postgres::PostgresAddress;
use crate::port::{Acks, Broker, PortError, Producer, ProducerOptions, System};

/// How long after an error it is tried again.
const AGAIN: Duration = Duration::from_millis(50);

/// How long one message may take to be acknowledged.
const MESSAGE_TIMEOUT: Duration = Duration::from_secs(10);

/// What is read, and where it goes.
pub(crate) struct Sinkless {
    pub(crate) database: PostgresAddress,
    pub(crate) table: String,
    pub(crate) broker: SocketAddr,
    pub(crate) topic: String,
}

/// A feed that is being read, for as long as this value lives.
pub(crate) struct Reading {
    upto: Arc<Mutex<String>>,
    task: JoinHandle<()>,
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Reading {
    /// Reads from that time on.
    pub(crate) fn start(feed: Sinkless, from: String) -> Reading {
        let upto = Arc::new(Mutex::new(from));
        let reached = upto.clone();
        let task = tokio::spawn(async move {
            loop {
                // A connection that breaks, or a broker that does not answer: from the last watermark anew.
                let _ = feed.read(&reached).await;
                tokio::time::sleep(AGAIN).await;
            }
        });
        Reading { upto, task }
    }

    /// Whether all that was committed up to then is published.
    pub(crate) fn is_at(&self, then: &str) -> bool {
        let upto = self.upto.lock().unwrap_or_else(PoisonError::into_inner);
        moment(&upto) >= moment(then)
    }
}

/// A timestamp of CockroachDB: nanoseconds, and behind the point a count.
fn moment(timestamp: &str) -> Option<(u128, u64)> {
    let (nanoseconds, count) = timestamp.split_once('.').unwrap_or((timestamp, "0"));
    Some((nanoseconds.parse().ok()?, count.parse().ok()?))
}

#[derive(Deserialize)]
struct Watermark {
    resolved: String,
}

impl Sinkless {
    async fn read(&self, upto: &Mutex<String>) -> Result<(), PortError> {
        let mut producer = self.producer().await?;
        let mut config = tokio_postgres::Config::new();
        config.host(self.database.addr.ip().to_string()).port(self.database.addr.port());
        config.user(&self.database.user).dbname(&self.database.database);
        let (client, connection) = config.connect(NoTls).await.map_err(lost)?;
        let connection = tokio::spawn(connection);
        let from = upto.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let read = async {
            let statement = cockroach::sinkless_changefeed(&self.table, &from);
            let mut rows = Box::pin(client.simple_query_raw(&statement).await.map_err(lost)?);
            while let Some(message) = rows.next().await {
                if let SimpleQueryMessage::Row(row) = message.map_err(lost)? {
                    self.publish(&row, &mut *producer, upto).await?;
                }
            }
            Ok(())
        };
        let read = read.await;
        connection.abort();
        read
    }

    async fn producer(&self) -> Result<Box<dyn Producer>, PortError> {
        let options = ProducerOptions {
            acks: Acks::All,
            idempotence: true,
            message_timeout: MESSAGE_TIMEOUT,
            transactional_id: None,
        };
        KafkaBroker::new(self.broker).producer(&options).await
    }

    async fn publish(
        &self,
        row: &SimpleQueryRow,
        to: &mut dyn Producer,
        upto: &Mutex<String>,
    ) -> Result<(), PortError> {
        let value = text(row, "value")?.unwrap_or_default();
        let key = text(row, "key")?;
        to.produce(&self.topic, None, key.as_deref().unwrap_or_default(), &value).await?;
        // All before it has been acknowledged.
        if let (None, Ok(watermark)) = (key, serde_json::from_str::<Watermark>(&value)) {
            *upto.lock().unwrap_or_else(PoisonError::into_inner) = watermark.resolved;
        }
        Ok(())
    }
}

fn lost(error: tokio_postgres::Error) -> PortError {
    PortError::unknown(System::Db, error.to_string())
}

/// A column of bytes, as the protocol's text form spells it (PostgreSQL 15, 8.4).
fn text(row: &SimpleQueryRow, column: &str) -> Result<Option<String>, PortError> {
    let shape = || PortError::shape(System::Db, format!("the feed's column {column} is not as documented"));
    let Some(spelled) = row.try_get(column).map_err(|_| shape())? else { return Ok(None) };
    of_hex(spelled).ok_or_else(shape).map(Some)
}

fn of_hex(spelled: &str) -> Option<String> {
    let Some(digits) = spelled.strip_prefix("\\x") else { return Some(spelled.to_owned()) };
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    String::from_utf8(pairs.map(byte).collect::<Option<Vec<u8>>>()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_and_times_are_read_as_they_are_spelled() {
        assert_eq!(of_hex("\\x5b226b31225d").as_deref(), Some("[\"k1\"]"));
        assert_eq!(of_hex("plain").as_deref(), Some("plain"));
        assert_eq!(of_hex("\\xzz"), None);
        assert!(moment("1718000000000000000.0000000002") > moment("1718000000000000000.0000000001"));
        assert!(moment("1718000000000000001") > moment("1718000000000000000.9"));
        assert_eq!(moment("nonsense"), None);
    }
}
