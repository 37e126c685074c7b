//! One session as the runner sees it: what came from it, taken in piece by piece.
//!
//! Notices print when they are taken in, and a step counts as done when its first result is there, so the order
//! of what is printed depends on when events are taken in. The rules are those of libpq (PostgreSQL 15,
//! `fe-protocol3.c`): whatever has come is taken in up to the end of a result, with the notices right after it.

use std::collections::VecDeque;
use std::fmt::Write;

use super::event::Event;
use super::session::Session;
use super::table;

/// What a statement came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// Done, with nothing to show.
    Done,
    /// A table.
    Table { columns: Vec<String>, rows: Vec<Vec<Option<String>>> },
    /// An error of the server.
    Failed { severity: String, code: String, message: String },
    /// A text.
    Text(String),
    /// The session ended.
    Lost,
}

/// The names of a result's columns, and its rows.
type Table = (Vec<String>, Vec<Vec<Option<String>>>);

/// How far the answer to what was sent has come.
#[derive(Debug, Clone, PartialEq, Eq)]
enum State {
    /// Nothing was sent, or all is answered.
    Idle,
    /// The next result is not there yet.
    Busy,
    /// A result is there and was not taken.
    Ready(Answer),
}

/// A session with what came from it.
pub(super) struct Conversation {
    /// The session's name.
    pub(super) name: String,
    /// How many notices came.
    pub(super) notices: u32,
    /// Whether notices are shown; those of the control connection are not.
    shows_notices: bool,
    session: Session,
    come: VecDeque<Event>,
    state: State,
    table: Option<Table>,
    notifications: VecDeque<(String, String, String)>,
}

impl Conversation {
    /// A conversation that begins.
    pub(super) fn new(name: &str, session: Session, shows_notices: bool) -> Self {
        Conversation {
            name: name.to_owned(),
            notices: 0,
            shows_notices,
            session,
            come: VecDeque::new(),
            state: State::Idle,
            table: None,
            notifications: VecDeque::new(),
        }
    }

    /// The id by which the system knows the session.
    pub(super) fn id(&self) -> &str {
        self.session.id()
    }

    /// Sends a text; false where the session has ended.
    pub(super) fn send(&mut self, text: &str) -> bool {
        self.state = State::Busy;
        self.session.send(text)
    }

    /// Takes in what has come; true where the first result is not there yet.
    pub(super) fn is_busy(&mut self, out: &mut String) -> bool {
        while let Some(event) = self.session.at_hand() {
            self.come.push_back(event);
        }
        self.take_in(out);
        self.state == State::Busy
    }

    /// Waits until something comes.
    pub(super) async fn wait(&mut self) {
        let event = self.session.event().await.unwrap_or(Event::Lost);
        self.come.push_back(event);
    }

    /// The next result of what was sent; none when all of it is answered.
    pub(super) async fn answer(&mut self, out: &mut String) -> Option<Answer> {
        while self.is_busy(out) {
            self.wait().await;
        }
        match std::mem::replace(&mut self.state, State::Busy) {
            State::Ready(answer) => Some(answer),
            State::Idle | State::Busy => {
                self.state = State::Idle;
                None
            }
        }
    }

    /// The next notification that came: from whom, its channel, its payload.
    pub(super) fn notification(&mut self, out: &mut String) -> Option<(String, String, String)> {
        self.is_busy(out);
        self.notifications.pop_front()
    }

    fn take_in(&mut self, out: &mut String) {
        while let Some(event) = self.come.pop_front() {
            let event = match event {
                Event::Notice(text) => {
                    if self.shows_notices {
                        let _ = write!(out, "{}: {text}", self.name);
                    }
                    self.notices += 1;
                    continue;
                }
                Event::Notification { from, channel, payload } => {
                    self.notifications.push_back((from, channel, payload));
                    continue;
                }
                event => event,
            };
            if self.state != State::Busy {
                // A result that nobody has taken yet comes first; what comes to an idle session is left for later.
                self.come.push_front(event);
                return;
            }
            self.go_on(event);
        }
    }

    fn go_on(&mut self, event: Event) {
        match event {
            Event::Columns(columns) => self.table = Some((columns, Vec::new())),
            Event::Row(row) => {
                if let Some((_, rows)) = &mut self.table {
                    rows.push(row);
                }
            }
            Event::Complete => {
                self.state = State::Ready(match self.table.take() {
                    Some((columns, rows)) => Answer::Table { columns, rows },
                    None => Answer::Done,
                });
            }
            Event::Failed { severity, code, message } => {
                self.table = None;
                self.state = State::Ready(Answer::Failed { severity, code, message });
            }
            Event::Text(text) => self.state = State::Ready(Answer::Text(text)),
            Event::Lost => {
                self.state = State::Ready(Answer::Lost);
                self.come.clear();
                self.come.push_back(Event::Ready);
            }
            Event::Ready | Event::Notice(_) | Event::Notification { .. } => self.state = State::Idle,
        }
    }
}

impl Answer {
    /// What is printed of it.
    pub(super) fn print(&self, out: &mut String) {
        match self {
            Answer::Done => {}
            Answer::Table { columns, rows } => table::print(out, columns, rows),
            Answer::Failed { severity, message, .. } => {
                let _ = writeln!(out, "{severity}:  {message}");
            }
            Answer::Text(text) => {
                let _ = writeln!(out, "{text}");
            }
            Answer::Lost => out.push_str(LOST),
        }
    }
}

/// What libpq says when the server closes the connection.
const LOST: &str = "server closed the connection unexpectedly\n\tThis probably means the server terminated \
                    abnormally\n\tbefore or while processing the request.\n\n";

#[cfg(test)]
mod tests {
    use super::*;

    async fn printed(events: Vec<Event>) -> (String, Vec<Answer>) {
        let session = Session::start(String::new(), |mut texts, come| async move {
            while texts.recv().await.is_some() {
                events.iter().for_each(|event| come.send(event.clone()).unwrap_or_default());
            }
        });
        let mut conversation = Conversation::new("s1", session, true);
        let mut out = String::new();
        assert!(conversation.send("x"));
        let mut answers = Vec::new();
        while let Some(answer) = conversation.answer(&mut out).await {
            out.push_str("* ");
            answer.print(&mut out);
            answers.push(answer);
        }
        (out, answers)
    }

    fn notice(text: &str) -> Event {
        Event::Notice(format!("NOTICE:  {text}\n"))
    }

    #[tokio::test]
    async fn notices_right_after_a_result_come_before_it_and_those_within_the_next_after() {
        let column = Event::Columns(vec!["n".to_owned()]);
        let row = Event::Row(vec![Some("1".to_owned())]);
        let events = vec![
            notice("a"),
            Event::Complete,
            notice("b"),
            column,
            notice("c"),
            row,
            Event::Complete,
            Event::Ready,
        ];
        let (out, answers) = printed(events).await;
        assert_eq!(answers.len(), 2);
        insta::assert_snapshot!(out, @r"
        s1: NOTICE:  a
        s1: NOTICE:  b
        * s1: NOTICE:  c
        * n
        -
        1
        (1 row)
        ");
    }

    #[tokio::test]
    async fn an_error_throws_away_the_rows_before_it() {
        let failed = Event::Failed {
            severity: "ERROR".into(),
            code: "22012".into(),
            message: "division by zero".into(),
        };
        let events = vec![Event::Columns(vec!["n".to_owned()]), failed, Event::Ready];
        assert_eq!(printed(events).await.0, "* ERROR:  division by zero\n");
    }

    #[tokio::test]
    async fn an_end_of_the_session_is_told_once() {
        let (out, answers) = printed(vec![Event::Lost]).await;
        assert_eq!(answers, [Answer::Lost]);
        assert!(out.contains("server closed the connection unexpectedly"));
    }
}
