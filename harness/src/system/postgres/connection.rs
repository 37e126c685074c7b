//! One session: its statements, its transaction block and its notifications.

use std::collections::HashMap;
use std::future::{Future, poll_fn};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::ToSql;
use tokio_postgres::{
    AsyncMessage, Client, Config, Connection, Error, NoTls, SimpleQueryMessage, Socket, Statement,
    tls::NoTlsStream,
};

use super::PostgresAddress;
use super::block::{Block, Control};
use super::failure::{self, Stage};
use super::value::{self, Cell, Parameter};
use crate::database::DatabaseKind;
use crate::port::{DatabaseConnection, Notification, PortError, Row, SqlValue, System};
use crate::system::cockroach;

/// How many prepared statements a session keeps; a design has far fewer texts.
const STATEMENTS_MAX: usize = 256;

/// SQLSTATE of a `COMMIT` that rolled back, as the server gives it to any other statement of a failed block.
const IN_FAILED_TRANSACTION: &str = "25P02";

/// A session.
pub(super) struct PostgresConnection {
    client: Arc<Client>,
    driver: Driver,
    // Unbounded, as the server's own queue is: a full channel would have to lose notifications or to stop
    // the task that also brings the replies.
    notifications: mpsc::UnboundedReceiver<Notification>,
    statements: HashMap<String, Prepared>,
    block: Block,
    link: Link,
    session_id: String,
    reply_timeout: Duration,
}

/// A statement that the server has parsed.
#[derive(Clone)]
struct Prepared {
    statement: Statement,
    columns: Arc<[String]>,
}

/// Whether the session can take a statement.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Link {
    Ready,
    /// A statement is under way; found at the start of another, its caller gave it up.
    Busy,
    Lost,
}

/// The task that moves bytes. It is aborted with the session, which closes the socket at once and without
/// waiting for a statement that still runs.
struct Driver {
    task: JoinHandle<()>,
    ended: Arc<OnceLock<String>>,
}

impl Drop for Driver {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl PostgresConnection {
    /// Opens a session.
    pub(super) async fn open(
        address: &PostgresAddress,
        reply_timeout: Duration,
        kind: DatabaseKind,
    ) -> Result<Self, Error> {
        let mut config = Config::new();
        config.host(address.addr.ip().to_string()).port(address.addr.port());
        config.user(&address.user).dbname(&address.database).application_name(&address.application_name);
        let (client, connection) = config.connect(NoTls).await?;
        let (sender, notifications) = mpsc::unbounded_channel();
        let ended = Arc::new(OnceLock::new());
        let task = tokio::spawn(drive(connection, sender, Arc::clone(&ended)));
        let driver = Driver { task, ended };
        let session_id = own_id(&client, kind).await?;
        Ok(PostgresConnection {
            client: Arc::new(client),
            driver,
            notifications,
            statements: HashMap::new(),
            block: Block::Idle,
            link: Link::Ready,
            session_id,
            reply_timeout,
        })
    }

    /// Sends transaction control, for which preparing would cost a round trip and bring nothing.
    async fn control(&mut self, sql: &str, control: Control) -> Result<(), PortError> {
        let client = Arc::clone(&self.client);
        let sent = async move { client.batch_execute(sql).await };
        self.exchange(Stage::Run, Some(control), sent).await?;
        if self.block.succeeded(Some(control)) {
            return Ok(());
        }
        let message = "the transaction was rolled back: a statement in it had failed before";
        Err(PortError::refused(System::Db, IN_FAILED_TRANSACTION, message))
    }

    /// The statement, parsed by the server on its first use, and its parameters.
    async fn prepare(
        &mut self,
        sql: &str,
        params: &[SqlValue],
    ) -> Result<(Prepared, Vec<Parameter>), PortError> {
        let prepared = match self.statements.get(sql) {
            Some(prepared) => prepared.clone(),
            None => self.parse(sql).await?,
        };
        value::readable(prepared.statement.columns())?;
        let params = value::parameters(&prepared.statement, params)?;
        Ok((prepared, params))
    }

    async fn parse(&mut self, sql: &str) -> Result<Prepared, PortError> {
        let client = Arc::clone(&self.client);
        let sent = async move { client.prepare(sql).await };
        let statement = self.exchange(Stage::Prepare, None, sent).await?;
        let columns = statement.columns().iter().map(|column| column.name().to_owned()).collect();
        let prepared = Prepared { statement, columns };
        if self.statements.len() >= STATEMENTS_MAX {
            self.statements.clear();
        }
        self.statements.insert(sql.to_owned(), prepared.clone());
        Ok(prepared)
    }

    /// Runs a parsed statement, in one round trip.
    async fn run<T>(
        &mut self,
        sql: &str,
        sent: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, PortError> {
        let result = self.exchange(Stage::Run, None, sent).await;
        if result.as_ref().is_err_and(is_stale) {
            self.statements.remove(sql);
        }
        result
    }

    /// Waits for the reply to what was sent, and keeps account of the session.
    async fn exchange<T>(
        &mut self,
        stage: Stage,
        control: Option<Control>,
        sent: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, PortError> {
        self.take_link()?;
        let reply = tokio::time::timeout(self.reply_timeout, sent).await;
        let failure = match reply {
            Ok(Ok(value)) => {
                self.link = Link::Ready;
                return Ok(value);
            }
            Ok(Err(error)) => failure::statement(stage, &error),
            Err(_elapsed) => {
                failure::lost(stage, format!("no reply within {} ms", self.reply_timeout.as_millis()))
            }
        };
        if failure.connection_lost {
            self.link = Link::Lost;
            self.driver.task.abort();
        } else {
            self.link = Link::Ready;
            self.block.failed(control);
        }
        Err(failure)
    }

    /// Marks the session busy, unless it cannot take a statement: then nothing is sent.
    fn take_link(&mut self) -> Result<(), PortError> {
        let reason = match self.link {
            Link::Ready if !self.client.is_closed() => {
                self.link = Link::Busy;
                return Ok(());
            }
            Link::Ready | Link::Lost => self.driver.ended.get().map_or("it was closed", String::as_str),
            Link::Busy => "the statement before was given up while it ran",
        };
        self.link = Link::Lost;
        Err(PortError::not_sent(System::Db, format!("the session is lost: {reason}")))
    }
}

#[async_trait]
impl DatabaseConnection for PostgresConnection {
    async fn query(&mut self, sql: &str, params: &[SqlValue]) -> Result<Vec<Row>, PortError> {
        if let Some(control) = control_without(params, sql) {
            self.control(sql, control).await?;
            return Ok(Vec::new());
        }
        let (prepared, params) = self.prepare(sql, params).await?;
        let (client, statement) = (Arc::clone(&self.client), prepared.statement.clone());
        let sent = async move { client.query(&statement, &borrowed(&params)).await };
        let rows = self.run(sql, sent).await?;
        rows.iter().map(|row| read(&prepared.columns, row)).collect()
    }

    async fn execute(&mut self, sql: &str, params: &[SqlValue]) -> Result<u64, PortError> {
        if let Some(control) = control_without(params, sql) {
            return self.control(sql, control).await.map(|()| 0);
        }
        let (prepared, params) = self.prepare(sql, params).await?;
        let client = Arc::clone(&self.client);
        let sent = async move { client.execute(&prepared.statement, &borrowed(&params)).await };
        self.run(sql, sent).await
    }

    async fn notification(&mut self, wait: Duration) -> Result<Option<Notification>, PortError> {
        match tokio::time::timeout(wait, self.notifications.recv()).await {
            Ok(Some(notification)) => Ok(Some(notification)),
            Ok(None) => {
                let reason = self.driver.ended.get().map_or("it was closed", String::as_str);
                Err(PortError::not_sent(System::Db, format!("the session is lost: {reason}")))
            }
            Err(_elapsed) => Ok(None),
        }
    }

    fn session_id(&self) -> String {
        self.session_id.clone()
    }
}

async fn drive(
    mut connection: Connection<Socket, NoTlsStream>,
    notifications: mpsc::UnboundedSender<Notification>,
    ended: Arc<OnceLock<String>>,
) {
    let reason = loop {
        match poll_fn(|cx| connection.poll_message(cx)).await {
            Some(Ok(AsyncMessage::Notification(received))) => {
                let (channel, payload) = (received.channel().to_owned(), received.payload().to_owned());
                // The receiver lives as long as this task: it is aborted with the session.
                let _ = notifications.send(Notification { channel, payload });
            }
            Some(Ok(_notice)) => {}
            Some(Err(error)) => break failure::describe(&error),
            None => break "it was closed".to_owned(),
        }
    };
    // Set once, here: this is the end of the only task that knows.
    let _ = ended.set(reason);
}

/// The session's id, as the server's own tables of sessions have it.
async fn own_id(client: &Client, kind: DatabaseKind) -> Result<String, Error> {
    let asked = match kind {
        DatabaseKind::Postgres => "SELECT pg_backend_pid()",
        DatabaseKind::Cockroach => cockroach::SESSION_ID,
    };
    let messages = client.simple_query(asked).await?;
    let id = messages.iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => row.get(0),
        _ => None,
    });
    Ok(id.unwrap_or_default().to_owned())
}

fn control_without(params: &[SqlValue], sql: &str) -> Option<Control> {
    if params.is_empty() { Control::of(sql) } else { None }
}

fn borrowed(params: &[Parameter]) -> Vec<&(dyn ToSql + Sync)> {
    params.iter().map(|param| param as &(dyn ToSql + Sync)).collect()
}

/// Whether the server no longer has the statement as it was parsed: after a change of a table
/// (`cached plan must not change result type`), after `DISCARD ALL`.
fn is_stale(error: &PortError) -> bool {
    let code = error.code.as_deref();
    [SqlState::FEATURE_NOT_SUPPORTED, SqlState::INVALID_SQL_STATEMENT_NAME]
        .iter()
        .any(|stale| code == Some(stale.code()))
}

fn read(columns: &Arc<[String]>, row: &tokio_postgres::Row) -> Result<Row, PortError> {
    let cell = |index: usize| {
        row.try_get::<_, Cell>(index).map(|Cell(value)| value).map_err(|error| {
            let message =
                format!("column `{}` cannot be read: {}", columns[index], failure::describe(&error));
            PortError::shape(System::Db, message)
        })
    };
    let values = (0..row.len()).map(cell).collect::<Result<Vec<_>, _>>()?;
    Ok(Row::new(Arc::clone(columns), values))
}
