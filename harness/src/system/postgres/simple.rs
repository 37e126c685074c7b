//! Sessions by the simple query protocol, whose every message is passed on in the order in which it came:
//! results as the server's text, notices, errors, notifications. What conformance cases are run on.

use std::future::poll_fn;
use std::pin::Pin;
use std::task::{Context, Poll};

use async_trait::async_trait;
use futures_util::{FutureExt, Stream};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio_postgres::error::DbError;
use tokio_postgres::tls::NoTlsStream;
use tokio_postgres::{
    AsyncMessage, CancelToken, Client, Config, Connection, Error, NoTls, SimpleQueryMessage,
    SimpleQueryStream, Socket,
};

use super::PostgresAddress;
use super::failure::{self, Stage};
use crate::conform::{Event, Session, System};
use crate::port::PortError;

/// A PostgreSQL that conformance cases run on: one database.
pub struct PostgresCases {
    address: PostgresAddress,
    watch: Option<Wire>,
    cancels: Vec<(String, CancelToken)>,
}

impl PostgresCases {
    /// The database at that address; nothing is opened yet.
    pub fn new(address: PostgresAddress) -> Self {
        PostgresCases { address, watch: None, cancels: Vec::new() }
    }
}

impl std::fmt::Debug for PostgresCases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PostgresCases").field("address", &self.address).finish_non_exhaustive()
    }
}

/// A connection and the task of driving it, in one place: only so is the order of its messages known.
struct Wire {
    client: Client,
    connection: Connection<Socket, NoTlsStream>,
}

impl Wire {
    async fn connect(address: &PostgresAddress, name: &str) -> Result<Wire, PortError> {
        let mut config = Config::new();
        config.host(address.addr.ip().to_string()).port(address.addr.port());
        config.user(&address.user).dbname(&address.database);
        config.application_name(format!("{}/{name}", address.application_name));
        match config.connect(NoTls).await {
            Ok((client, connection)) => Ok(Wire { client, connection }),
            Err(error) => Err(failure::connect(address.addr, &error)),
        }
    }
}

#[async_trait]
impl System for PostgresCases {
    async fn open(&mut self, name: &str) -> Result<Session, PortError> {
        let mut wire = Wire::connect(&self.address, name).await?;
        let id = wire.ask("SELECT pg_backend_pid()").await?;
        self.cancels.push((id.clone(), wire.client.cancel_token()));
        Ok(Session::start(id, |texts, events| wire.serve(texts, events)))
    }

    async fn is_blocked(&mut self, session: &str, others: &[String]) -> Result<bool, PortError> {
        let mut watch = match self.watch.take() {
            Some(watch) => watch,
            None => Wire::connect(&self.address, "lock waits").await?,
        };
        let others = others.join(",");
        let sql =
            format!("SELECT pg_catalog.pg_isolation_test_session_is_blocked({session}, '{{{others}}}')");
        let answer = watch.ask(&sql).await?;
        self.watch = Some(watch);
        Ok(answer == "t")
    }

    async fn cancel(&mut self, session: &str) -> Result<(), PortError> {
        let Some((_, token)) = self.cancels.iter().find(|(id, _)| id == session) else { return Ok(()) };
        token.cancel_query(NoTls).await.map_err(|error| failure::statement(Stage::Run, &error))
    }

    async fn begin_permutation(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

impl Wire {
    /// The one value that a query returns.
    async fn ask(&mut self, sql: &str) -> Result<String, PortError> {
        let mut asked = Box::pin(self.client.simple_query(sql));
        let connection = &mut self.connection;
        let messages = poll_fn(|cx| {
            if let Poll::Ready(answer) = asked.as_mut().poll(cx) {
                return Poll::Ready(answer);
            }
            while let Poll::Ready(Some(Ok(_))) = connection.poll_message(cx) {}
            asked.as_mut().poll(cx)
        });
        let messages = messages.await.map_err(|error| failure::statement(Stage::Run, &error))?;
        let value = messages.iter().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0),
            _ => None,
        });
        Ok(value.unwrap_or_default().to_owned())
    }

    /// Sends what comes to be sent and passes on what comes back, until the session ends.
    async fn serve(mut self, mut texts: UnboundedReceiver<String>, events: UnboundedSender<Event>) {
        let mut running: Option<Pin<Box<SimpleQueryStream>>> = None;
        poll_fn(|cx| self.turn(cx, &mut texts, &mut running, &events)).await;
    }

    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        texts: &mut UnboundedReceiver<String>,
        running: &mut Option<Pin<Box<SimpleQueryStream>>>,
        events: &UnboundedSender<Event>,
    ) -> Poll<()> {
        loop {
            if running.is_none() {
                match texts.poll_recv(cx) {
                    Poll::Ready(Some(text)) => {
                        // It only puts the text into a queue, which the connection below takes it from.
                        match self.client.simple_query_raw(&text).now_or_never() {
                            Some(Ok(stream)) => *running = Some(Box::pin(stream)),
                            Some(Err(_)) | None => return ended(events),
                        }
                    }
                    Poll::Ready(None) => return Poll::Ready(()),
                    Poll::Pending => {}
                }
            }
            let message = self.connection.poll_message(cx);
            // The results that came before this message are in the stream by now.
            let (moved, is_over) = drain(cx, running, events);
            match message {
                Poll::Ready(Some(Ok(message))) => pass(events, message),
                Poll::Ready(Some(Err(_)) | None) => return ended(events),
                Poll::Pending if is_over => return ended(events),
                Poll::Pending if !moved => return Poll::Pending,
                Poll::Pending => {}
            }
        }
    }
}

fn ended(events: &UnboundedSender<Event>) -> Poll<()> {
    // Nobody listens any more where the case is over.
    let _ = events.send(Event::Lost);
    Poll::Ready(())
}

/// Passes on what of the answer has come: whether there was anything, and whether the session has ended.
fn drain(
    cx: &mut Context<'_>,
    running: &mut Option<Pin<Box<SimpleQueryStream>>>,
    events: &UnboundedSender<Event>,
) -> (bool, bool) {
    let mut moved = false;
    while let Some(stream) = running {
        let event = match stream.as_mut().poll_next(cx) {
            Poll::Pending => break,
            Poll::Ready(None) => {
                *running = None;
                Event::Ready
            }
            Poll::Ready(Some(Ok(message))) => match result(&message) {
                Some(event) => event,
                None => continue,
            },
            Poll::Ready(Some(Err(error))) => match failed(&error) {
                Some(event) => event,
                None => return (true, true),
            },
        };
        moved = true;
        let _ = events.send(event);
    }
    (moved, false)
}

fn result(message: &SimpleQueryMessage) -> Option<Event> {
    match message {
        SimpleQueryMessage::RowDescription(columns) => {
            Some(Event::Columns(columns.iter().map(|column| column.name().to_owned()).collect()))
        }
        SimpleQueryMessage::Row(row) => {
            Some(Event::Row((0..row.len()).map(|at| row.get(at).map(str::to_owned)).collect()))
        }
        SimpleQueryMessage::CommandComplete(_) => Some(Event::Complete),
        _ => None,
    }
}

/// An error that the server reported; none where the connection is gone.
fn failed(error: &Error) -> Option<Event> {
    error.as_db_error().map(|reported| Event::Failed {
        severity: reported.severity().to_owned(),
        code: reported.code().code().to_owned(),
        message: reported.message().to_owned(),
    })
}

fn pass(events: &UnboundedSender<Event>, message: AsyncMessage) {
    let event = match message {
        AsyncMessage::Notice(notice) => Event::Notice(shown(&notice)),
        AsyncMessage::Notification(received) => Event::Notification {
            from: received.process_id().to_string(),
            channel: received.channel().to_owned(),
            payload: received.payload().to_owned(),
        },
        _ => return,
    };
    let _ = events.send(event);
}

/// A notice as libpq shows it by default (PostgreSQL 15 documentation, 34.13).
fn shown(notice: &DbError) -> String {
    let mut text = format!("{}:  {}\n", notice.severity(), notice.message());
    for (title, part) in [("DETAIL", notice.detail()), ("HINT", notice.hint())] {
        text.extend(part.map(|part| format!("{title}:  {part}\n")));
    }
    text
}
