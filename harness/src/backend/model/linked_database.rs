//! The database behind a link.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;

use super::link::{Broken, Forget, Link};
use crate::port::{Database, DatabaseConnection, Notification, PortError, Row, SqlValue, System};

/// How long a statement may go unanswered, as with the real adapter.
const REPLY_MAX: Duration = Duration::from_secs(10);

/// A database as one role reaches it.
pub(super) struct LinkedDatabase {
    pub(super) inner: Arc<dyn Database>,
    pub(super) link: Link,
}

#[async_trait]
impl Database for LinkedDatabase {
    async fn connect(&self) -> Result<Box<dyn DatabaseConnection>, PortError> {
        let not_sent = |why: &str| PortError::not_sent(System::Db, format!("failed to connect: {why}"));
        let life = self.link.open().await.map_err(not_sent)?;
        let opened = self.link.carry(life, REPLY_MAX, self.inner.connect()).await;
        let session = opened.map_err(|broken| not_sent(broken.why))??;
        let session_id = session.session_id();
        let end: End = Arc::new(Mutex::new(Some(session)));
        self.link.note_end(life, &(Arc::clone(&end) as Arc<dyn Forget>));
        Ok(Box::new(LinkedSession { end, session_id, link: self.link.clone(), life }))
    }
}

/// The server's end of a session, while no call is under way; a reset takes it away.
type End = Arc<Mutex<Option<Box<dyn DatabaseConnection>>>>;

impl Forget for Mutex<Option<Box<dyn DatabaseConnection>>> {
    fn forget(&self) {
        drop(taken(self));
    }
}

fn taken(end: &Mutex<Option<Box<dyn DatabaseConnection>>>) -> Option<Box<dyn DatabaseConnection>> {
    end.lock().expect("no code panics while it holds a session").take()
}

/// A session over the link.
struct LinkedSession {
    end: End,
    session_id: String,
    link: Link,
    life: u64,
}

impl LinkedSession {
    /// The server's end; none once the session is lost.
    fn take(&mut self) -> Result<Box<dyn DatabaseConnection>, PortError> {
        taken(&self.end).ok_or_else(|| {
            PortError::not_sent(System::Db, "the session is lost: a statement before got no answer")
        })
    }
}

impl Drop for LinkedSession {
    fn drop(&mut self) {
        if let Some(session) = taken(&self.end) {
            self.link.give_up(Box::new(session));
        }
    }
}

/// Makes one call over the link; the session stays only if it is answered.
macro_rules! over_the_link {
    ($self:ident, $limit:expr, $session:ident => $call:expr) => {{
        let mut held = Held { session: Some($self.take()?), link: $self.link.clone() };
        let carried = match held.session.as_mut() {
            Some($session) => $self.link.carry($self.life, $limit, $call).await,
            None => return Err(PortError::not_sent(System::Db, "the session is lost")),
        };
        let answer = carried.map_err(lost)?;
        if !answer.as_ref().is_err_and(|error| error.connection_lost) {
            *$self.end.lock().expect("no code panics while it holds a session") = held.session.take();
        }
        answer
    }};
}

/// The server's end while a call is under way: a caller that gives up leaves it to the server.
struct Held {
    session: Option<Box<dyn DatabaseConnection>>,
    link: Link,
}

impl Drop for Held {
    fn drop(&mut self) {
        if let Some(session) = self.session.take() {
            self.link.give_up(Box::new(session));
        }
    }
}

#[async_trait]
impl DatabaseConnection for LinkedSession {
    async fn query(&mut self, sql: &str, params: &[SqlValue]) -> Result<Vec<Row>, PortError> {
        over_the_link!(self, REPLY_MAX, session => session.query(sql, params))
    }

    async fn execute(&mut self, sql: &str, params: &[SqlValue]) -> Result<u64, PortError> {
        over_the_link!(self, REPLY_MAX, session => session.execute(sql, params))
    }

    async fn notification(&mut self, wait: Duration) -> Result<Option<Notification>, PortError> {
        over_the_link!(self, wait + REPLY_MAX, session => session.notification(wait))
    }

    fn session_id(&self) -> String {
        self.session_id.clone()
    }
}

fn lost<T>(broken: Broken<T>) -> PortError {
    if broken.sent {
        PortError::unknown(System::Db, format!("the session is lost: {}", broken.why))
    } else {
        PortError::not_sent(System::Db, format!("the session is lost: {}", broken.why))
    }
}
