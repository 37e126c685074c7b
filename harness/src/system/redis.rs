//! The cache port on Redis, by the redis crate's plain multiplexed connection: no reconnecting, no retries.

use std::net::SocketAddr;
use std::time::Duration;

use ::redis::aio::MultiplexedConnection;
use ::redis::io::tcp::TcpSettings;
use ::redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ConnectionInfo, ErrorKind, IntoConnectionInfo,
    RedisConnectionInfo, RedisError, RedisResult, ServerError, Value,
};
use async_trait::async_trait;

use crate::port::{Cache, CacheConnection, PortError, Reply, System};

/// How long opening a connection may take.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a command may go unanswered.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// A Redis server.
#[derive(Debug, Clone)]
pub struct RedisCache {
    addr: SocketAddr,
    reply_timeout: Duration,
}

impl RedisCache {
    /// A server at that address; nothing is opened yet.
    pub fn new(addr: SocketAddr) -> Self {
        RedisCache { addr, reply_timeout: REPLY_TIMEOUT }
    }

    /// The same server, with another limit on how long a command may go unanswered.
    #[must_use]
    pub fn with_reply_timeout(self, reply_timeout: Duration) -> Self {
        RedisCache { reply_timeout, ..self }
    }

    async fn open(&self) -> RedisResult<MultiplexedConnection> {
        let client = Client::open(connection_info(self.addr)?)?;
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(self.reply_timeout));
        client.get_multiplexed_async_connection_with_config(&config).await
    }
}

#[async_trait]
impl Cache for RedisCache {
    async fn connect(&self) -> Result<Box<dyn CacheConnection>, PortError> {
        match self.open().await {
            Ok(connection) => Ok(Box::new(RedisConnection { connection: Some(connection), busy: false })),
            Err(error) => {
                let message = format!("failed to connect to {}: {error}", self.addr);
                Err(PortError::not_sent(System::Cache, message))
            }
        }
    }
}

/// One connection. The socket closes when the driver's handle goes: with this value, or at the first
/// command whose outcome is unknown.
struct RedisConnection {
    connection: Option<MultiplexedConnection>,
    busy: bool,
}

#[async_trait]
impl CacheConnection for RedisConnection {
    async fn command(&mut self, args: &[&str]) -> Result<Reply, PortError> {
        let Some((name, _)) = args.split_first() else {
            return Err(PortError::refused(System::Cache, "ERR", "the command is empty"));
        };
        if self.busy {
            // Its caller dropped the command before: what it did is unknown, as is whose reply comes next.
            self.connection = None;
        }
        let Some(connection) = &mut self.connection else {
            return Err(PortError::not_sent(
                System::Cache,
                "the connection is lost: a command before was unknown",
            ));
        };
        self.busy = true;
        let result = connection.send_packed_command(&packed(args)).await;
        self.busy = false;
        let reply = match result {
            Ok(Value::ServerError(error)) => Err(server_error(name, error.code(), error.details())),
            Ok(value) => reply(value),
            Err(error) => Err(failure(name, &error)),
        };
        if reply.as_ref().is_err_and(|error| error.connection_lost) {
            self.connection = None;
        }
        reply
    }
}

fn connection_info(addr: SocketAddr) -> RedisResult<ConnectionInfo> {
    let info = ConnectionAddr::Tcp(addr.ip().to_string(), addr.port()).into_connection_info()?;
    let redis = RedisConnectionInfo::default().set_skip_set_lib_name();
    Ok(info.set_redis_settings(redis).set_tcp_settings(TcpSettings::default().set_nodelay(true)))
}

fn packed(args: &[&str]) -> Cmd {
    let mut command = Cmd::new();
    for arg in args {
        command.arg(*arg);
    }
    command
}

/// What an error of the driver says about the command.
fn failure(name: &str, error: &RedisError) -> PortError {
    match (error.kind(), error.code()) {
        (ErrorKind::Server(_) | ErrorKind::Extension, Some(code)) => server_error(name, code, error.detail()),
        _ if error.is_timeout() => PortError::unknown(System::Cache, format!("no reply to {name} in time")),
        _ => PortError::unknown(System::Cache, format!("{name} got no reply: {error}")),
    }
}

/// An error reply. A script that fails keeps what it wrote before (Redis documentation, "Scripting with
/// Lua": atomic, but not rolled back), so only errors from before its start say that nothing happened.
fn server_error(name: &str, code: &str, detail: Option<&str>) -> PortError {
    let refused = PortError::refused(System::Cache, code, detail.unwrap_or("the server gave no detail"));
    let before_start = matches!(code, "NOSCRIPT" | "LOADING" | "BUSY" | "NOAUTH" | "NOPERM" | "MASTERDOWN");
    PortError { may_have_happened: is_script(name) && !before_start, ..refused }
}

fn is_script(name: &str) -> bool {
    ["EVAL", "EVALSHA", "FCALL"].iter().any(|script| name.eq_ignore_ascii_case(script))
}

fn reply(value: Value) -> Result<Reply, PortError> {
    match value {
        Value::Nil => Ok(Reply::Nil),
        Value::Int(value) => Ok(Reply::Int(value)),
        Value::Okay => Ok(Reply::Text("OK".to_owned())),
        Value::SimpleString(text) => Ok(Reply::Text(text)),
        Value::BulkString(bytes) => match String::from_utf8(bytes) {
            Ok(text) => Ok(Reply::Text(text)),
            Err(_) => Err(PortError::shape(System::Cache, "the reply is not UTF-8")),
        },
        Value::Array(values) => {
            values.into_iter().map(reply).collect::<Result<Vec<_>, _>>().map(Reply::Array)
        }
        Value::ServerError(error) => Err(nested(&error)),
        other => Err(PortError::shape(
            System::Cache,
            format!("the reply is {other:?}, which the port does not read"),
        )),
    }
}

/// An error inside of an array (of `EXEC`, or of a script's table): its neighbours have been done.
fn nested(error: &ServerError) -> PortError {
    let message = error.details().unwrap_or("the server gave no detail");
    let refused = PortError::refused(System::Cache, error.code(), message);
    PortError { may_have_happened: true, ..refused }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_are_mapped_and_lossy_text_is_refused() {
        let text = |text: &str| Reply::Text(text.to_owned());
        let array = Value::Array(vec![Value::Nil, Value::Int(3), Value::BulkString(b"x".to_vec())]);
        assert_eq!(reply(array), Ok(Reply::Array(vec![Reply::Nil, Reply::Int(3), text("x")])));
        assert_eq!(reply(Value::Okay), Ok(text("OK")));
        assert!(reply(Value::BulkString(vec![0xFF])).is_err());
    }

    #[test]
    fn a_script_that_failed_may_have_written() {
        for (name, code, may_have_happened) in [
            ("SET", "WRONGTYPE", false),
            ("EVAL", "ERR", true),
            ("evalsha", "NOSCRIPT", false),
            ("FCALL", "ERR", true),
        ] {
            let error = server_error(name, code, None);
            assert_eq!(error.may_have_happened, may_have_happened, "{name} {code}");
            assert!(!error.connection_lost);
        }
    }
}
