//! The database port: SQL as text, one connection a session.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::{PortError, System};

/// A database that sessions can be opened on.
#[async_trait]
pub trait Database: Send + Sync {
    /// Opens a session.
    async fn connect(&self) -> Result<Box<dyn DatabaseConnection>, PortError>;
}

/// One session. Dropping it drops the connection; a transaction that was open is then rolled back by the
/// server, once it notices.
#[async_trait]
pub trait DatabaseConnection: Send {
    /// Runs one statement and returns its rows.
    async fn query(&mut self, sql: &str, params: &[SqlValue]) -> Result<Vec<Row>, PortError>;

    /// Runs one statement and returns how many rows it affected.
    async fn execute(&mut self, sql: &str, params: &[SqlValue]) -> Result<u64, PortError>;

    /// The next notification of a channel listened to, if one comes within `wait`.
    async fn notification(&mut self, wait: Duration) -> Result<Option<Notification>, PortError>;

    /// The server's own name for this session (a process id), by which it can be asked whether the session
    /// waits for a lock.
    fn session_id(&self) -> String;
}

/// A `NOTIFY` received.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notification {
    /// The channel.
    pub channel: String,
    /// The payload.
    pub payload: String,
}

/// A parameter of a statement, or a column of a row.
///
/// Types without a case of their own (`pg_lsn`, `uuid`, `jsonb`, ..) go both ways as their text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SqlValue {
    /// SQL's null.
    Null,
    /// `boolean`.
    Bool(bool),
    /// `smallint`, `integer`, `bigint`, and the counters `oid`, `xid`, `xid8`.
    Int(i64),
    /// `text` and everything that goes as its text.
    Text(String),
    /// `bytea`.
    Bytes(Vec<u8>),
}

impl From<i64> for SqlValue {
    fn from(value: i64) -> Self {
        SqlValue::Int(value)
    }
}

impl From<u64> for SqlValue {
    /// Versions and the like; what does not fit a `bigint` does not occur (it is capped there).
    fn from(value: u64) -> Self {
        SqlValue::Int(i64::try_from(value).unwrap_or(i64::MAX))
    }
}

impl From<i32> for SqlValue {
    fn from(value: i32) -> Self {
        SqlValue::Int(value.into())
    }
}

impl From<bool> for SqlValue {
    fn from(value: bool) -> Self {
        SqlValue::Bool(value)
    }
}

impl From<&str> for SqlValue {
    fn from(value: &str) -> Self {
        SqlValue::Text(value.to_owned())
    }
}

impl From<String> for SqlValue {
    fn from(value: String) -> Self {
        SqlValue::Text(value)
    }
}

impl From<&String> for SqlValue {
    fn from(value: &String) -> Self {
        SqlValue::Text(value.clone())
    }
}

impl<T: Into<SqlValue>> From<Option<T>> for SqlValue {
    fn from(value: Option<T>) -> Self {
        value.map_or(SqlValue::Null, Into::into)
    }
}

/// A row of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    columns: Arc<[String]>,
    values: Vec<SqlValue>,
}

impl Row {
    /// A row with the names of its columns; both have the same length.
    pub fn new(columns: Arc<[String]>, values: Vec<SqlValue>) -> Self {
        assert_eq!(columns.len(), values.len(), "a row has one value a column");
        Row { columns, values }
    }

    /// The values in the order of the columns.
    pub fn values(&self) -> &[SqlValue] {
        &self.values
    }

    /// The column of that name.
    pub fn get(&self, column: &str) -> Result<&SqlValue, PortError> {
        let position = self.columns.iter().position(|name| name == column);
        position.map(|position| &self.values[position]).ok_or_else(|| {
            let have = self.columns.join(", ");
            PortError::shape(System::Db, format!("the row has no column `{column}` (it has {have})"))
        })
    }

    /// A whole number.
    pub fn int(&self, column: &str) -> Result<i64, PortError> {
        self.opt_int(column)?.ok_or_else(|| wrong(column, "a number", &SqlValue::Null))
    }

    /// A whole number, or null.
    pub fn opt_int(&self, column: &str) -> Result<Option<i64>, PortError> {
        match self.get(column)? {
            SqlValue::Int(value) => Ok(Some(*value)),
            SqlValue::Null => Ok(None),
            other @ (SqlValue::Bool(_) | SqlValue::Text(_) | SqlValue::Bytes(_)) => {
                Err(wrong(column, "a number", other))
            }
        }
    }

    /// A version: a number that is not negative.
    pub fn version(&self, column: &str) -> Result<u64, PortError> {
        let value = self.int(column)?;
        u64::try_from(value).map_err(|_| wrong(column, "a version", &SqlValue::Int(value)))
    }

    /// A text.
    pub fn text(&self, column: &str) -> Result<&str, PortError> {
        match self.get(column)? {
            SqlValue::Text(value) => Ok(value),
            other @ (SqlValue::Null | SqlValue::Bool(_) | SqlValue::Int(_) | SqlValue::Bytes(_)) => {
                Err(wrong(column, "a text", other))
            }
        }
    }
}

fn wrong(column: &str, wanted: &str, got: &SqlValue) -> PortError {
    PortError::shape(System::Db, format!("column `{column}` holds {got:?}, where {wanted} is read"))
}
