//! What a session says, in the order in which it says it.

/// Something that came from a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A result with these columns begins.
    Columns(Vec<String>),
    /// A row of it, in the server's text form.
    Row(Vec<Option<String>>),
    /// A statement is done.
    Complete,
    /// A statement failed, and what was to follow it is not run.
    Failed {
        /// `ERROR`, `FATAL`.
        severity: String,
        /// The SQLSTATE.
        code: String,
        /// What the server said, without detail and hint.
        message: String,
    },
    /// The text of an answer that is no table: of a cache, of a broker.
    Text(String),
    /// A notice, with its severity, as `psql` shows it, newline included.
    Notice(String),
    /// A notification, from the session with that id.
    Notification {
        /// The id of the session that sent it.
        from: String,
        /// The channel.
        channel: String,
        /// The payload.
        payload: String,
    },
    /// All that was sent is done: the session takes the next text.
    Ready,
    /// The session ended.
    Lost,
}
