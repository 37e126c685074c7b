//! The cache port: Redis commands as such.

use async_trait::async_trait;

use super::{PortError, System};

/// A cache that connections can be opened on.
#[async_trait]
pub trait Cache: Send + Sync {
    /// Opens a connection.
    async fn connect(&self) -> Result<Box<dyn CacheConnection>, PortError>;
}

/// One connection.
#[async_trait]
pub trait CacheConnection: Send {
    /// Sends one command with its arguments and returns the reply. An error reply of the server is a
    /// refusal; a connection that breaks after the command was sent leaves it unknown.
    async fn command(&mut self, args: &[&str]) -> Result<Reply, PortError>;
}

/// A reply of Redis.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Nothing there.
    Nil,
    /// A whole number.
    Int(i64),
    /// A bulk string or a status (`OK`).
    Text(String),
    /// Several replies.
    Array(Vec<Reply>),
}

impl Reply {
    /// The text, or none where there is nothing.
    pub fn into_text(self) -> Result<Option<String>, PortError> {
        match self {
            Reply::Nil => Ok(None),
            Reply::Text(text) => Ok(Some(text)),
            other @ (Reply::Int(_) | Reply::Array(_)) => {
                Err(PortError::shape(System::Cache, format!("the reply is {other:?}, where a text is read")))
            }
        }
    }

    /// The number.
    pub fn into_int(self) -> Result<i64, PortError> {
        match self {
            Reply::Int(value) => Ok(value),
            other @ (Reply::Nil | Reply::Text(_) | Reply::Array(_)) => Err(PortError::shape(
                System::Cache,
                format!("the reply is {other:?}, where a number is read"),
            )),
        }
    }
}
