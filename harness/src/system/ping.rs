//! Is a server ready? One protocol round trip to each kind of server, on a connection of its own.
//!
//! An open port proves nothing: the kernel accepts connections for a stopped process, and a database accepts
//! them while it still recovers. Only an answer in the server's own protocol counts.

use std::net::SocketAddr;
use std::time::Duration;

use rdkafka::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use redis::IntoConnectionInfo;

use super::cockroach;

/// The role that owns every database of a local PostgreSQL.
pub const POSTGRES_USER: &str = "postgres";

/// Why a server did not answer a ping.
#[derive(Debug, thiserror::Error)]
pub enum PingError {
    /// Nothing came back in time.
    #[error("no answer from {addr} within {} ms", timeout.as_millis())]
    Timeout {
        /// Who was asked.
        addr: SocketAddr,
        /// How long the answer was awaited.
        timeout: Duration,
    },
    /// The server, or the connection to it, refused.
    #[error("{addr} did not answer: {reason}")]
    Refused {
        /// Who was asked.
        addr: SocketAddr,
        /// The driver's words.
        reason: String,
    },
}

/// Asks a PostgreSQL for its version, on a new connection.
pub async fn postgres(addr: SocketAddr, timeout: Duration) -> Result<String, PingError> {
    let said = ask_sql(addr, timeout, POSTGRES_USER, "postgres", "SHOW server_version").await?;
    Ok(said.split_whitespace().next().unwrap_or_default().to_owned())
}

/// Asks a CockroachDB for its version, on a new connection. It says `CockroachDB CCL v24.3.5 (..)`.
pub async fn cockroach(addr: SocketAddr, timeout: Duration) -> Result<String, PingError> {
    let said = ask_sql(addr, timeout, cockroach::USER, cockroach::DATABASE, "SELECT version()").await?;
    Ok(cockroach_version(&said).to_owned())
}

fn cockroach_version(said: &str) -> &str {
    let mut words = said.split_whitespace().filter_map(|word| word.strip_prefix('v'));
    words.find(|word| word.starts_with(|c: char| c.is_ascii_digit())).unwrap_or_default()
}

async fn ask_sql(
    addr: SocketAddr,
    timeout: Duration,
    user: &str,
    database: &str,
    query: &str,
) -> Result<String, PingError> {
    within(addr, timeout, async {
        let mut config = tokio_postgres::Config::new();
        config.host(addr.ip().to_string()).port(addr.port()).user(user).dbname(database);
        let (client, connection) = config.connect(tokio_postgres::NoTls).await.map_err(with_causes)?;
        let driver = tokio::spawn(connection);
        let row = client.query_one(query, &[]).await.map_err(with_causes);
        driver.abort();
        row?.try_get(0).map_err(with_causes)
    })
    .await
}

/// Asks a Redis for its version, on a new connection.
pub async fn redis(addr: SocketAddr, timeout: Duration) -> Result<String, PingError> {
    within(addr, timeout, async {
        let info = (addr.ip().to_string(), addr.port()).into_connection_info().map_err(with_causes)?;
        let client = redis::Client::open(info).map_err(with_causes)?;
        let mut connection = client.get_multiplexed_async_connection().await.map_err(with_causes)?;
        // PING fails while an append-only file is loaded, INFO does not.
        redis::cmd("PING").query_async::<()>(&mut connection).await.map_err(with_causes)?;
        let info: String =
            redis::cmd("INFO").arg("server").query_async(&mut connection).await.map_err(with_causes)?;
        let version = info.lines().find_map(|line| line.strip_prefix("redis_version:"));
        version.map(|v| v.trim().to_owned()).ok_or_else(|| "INFO names no redis_version".to_owned())
    })
    .await
}

/// Asks a Kafka broker for the cluster's metadata; ready when it names at least one broker.
pub async fn kafka(addr: SocketAddr, timeout: Duration) -> Result<(), PingError> {
    within(addr, timeout, async {
        // A refused connection is cheap to find out here, and costs the client a thread and a back-off.
        tokio::net::TcpStream::connect(addr).await.map_err(with_causes)?;
        tokio::task::spawn_blocking(move || kafka_metadata(addr, timeout)).await.map_err(with_causes)?
    })
    .await
}

fn kafka_metadata(addr: SocketAddr, timeout: Duration) -> Result<(), String> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", addr.to_string())
        .set("log_level", "0")
        .set("reconnect.backoff.ms", "10")
        .set("reconnect.backoff.max.ms", "50")
        .create()
        .map_err(with_causes)?;
    let metadata = consumer.fetch_metadata(None, timeout).map_err(with_causes)?;
    if metadata.brokers().is_empty() { Err("the metadata names no broker yet".to_owned()) } else { Ok(()) }
}

async fn within<T>(
    addr: SocketAddr,
    timeout: Duration,
    ask: impl Future<Output = Result<T, String>>,
) -> Result<T, PingError> {
    match tokio::time::timeout(timeout, ask).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(reason)) => Err(PingError::Refused { addr, reason }),
        Err(_) => Err(PingError::Timeout { addr, timeout }),
    }
}

fn with_causes(error: impl std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let words = inner.to_string();
        if !text.contains(&words) {
            text = format!("{text}: {words}");
        }
        cause = inner.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cockroach_names_its_version_among_other_words() {
        let said =
            "CockroachDB CCL v24.3.5 (x86_64-pc-linux-gnu, built 2025/02/06, go1.22.8 X:nocoverageredesign)";
        assert_eq!(cockroach_version(said), "24.3.5");
        assert_eq!(cockroach_version("something else"), "");
    }
}
