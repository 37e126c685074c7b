//! The sessions of a case, and the system that they are on.

use std::future::Future;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::event::Event;
use crate::port::PortError;

/// A session: texts go in, events come out. A task of its own does the work, so that it goes on while others are
/// waited for.
#[derive(Debug)]
pub struct Session {
    id: String,
    texts: mpsc::UnboundedSender<String>,
    events: mpsc::UnboundedReceiver<Event>,
    task: JoinHandle<()>,
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Session {
    /// A session with that id, whose work a task does: it takes texts from the first channel's end and gives
    /// events into the second's.
    pub fn start<Work>(
        id: String,
        work: impl FnOnce(mpsc::UnboundedReceiver<String>, mpsc::UnboundedSender<Event>) -> Work,
    ) -> Session
    where
        Work: Future<Output = ()> + Send + 'static,
    {
        let (texts, to_do) = mpsc::unbounded_channel();
        let (done, events) = mpsc::unbounded_channel();
        Session { id, texts, events, task: tokio::spawn(work(to_do, done)) }
    }

    /// The id by which the system knows it; empty where it knows none.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Sends a text; false where the session has ended.
    pub(super) fn send(&self, text: &str) -> bool {
        self.texts.send(text.to_owned()).is_ok()
    }

    /// The next event; none once the session has ended.
    pub(super) async fn event(&mut self) -> Option<Event> {
        self.events.recv().await
    }

    /// An event that has come already.
    pub(super) fn at_hand(&mut self) -> Option<Event> {
        self.events.try_recv().ok()
    }
}

/// A system that cases run on.
#[async_trait]
pub trait System: Send {
    /// Opens a session.
    async fn open(&mut self, name: &str) -> Result<Session, PortError>;

    /// Whether a session waits for a lock that one of the others holds.
    async fn is_blocked(&mut self, session: &str, others: &[String]) -> Result<bool, PortError>;

    /// Asks for what a session does to be given up.
    async fn cancel(&mut self, session: &str) -> Result<(), PortError>;

    /// A permutation begins; nothing of the last one may be left in the way.
    async fn begin_permutation(&mut self) -> Result<(), PortError>;
}
