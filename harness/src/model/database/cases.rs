//! What conformance cases run on: sessions by the simple query protocol, whose every message is passed on in the
//! order in which PostgreSQL would send it.

use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};

use super::ModelDatabase;
use super::calendar;
use super::sql::{Answer, SqlSession, Warning};
use super::store::SessionId;
use super::types::Type;
use super::value::Value;
use crate::conform::{Dates, Event, Session, System};
use crate::port::PortError;

/// A database of the model that conformance cases run on.
#[derive(Debug)]
pub(crate) struct DatabaseCases {
    database: ModelDatabase,
    dates: Dates,
}

impl DatabaseCases {
    /// On that database, with dates printed like that.
    pub(crate) fn new(database: ModelDatabase, dates: Dates) -> Self {
        DatabaseCases { database, dates }
    }
}

#[async_trait]
impl System for DatabaseCases {
    async fn open(&mut self, name: &str) -> Result<Session, PortError> {
        let mut session = self.database.open();
        let id = session.store_session().id().to_string();
        let name = format!("isolation/{name}");
        session.set("application_name", &name).map_err(super::error::SqlError::into_port)?;
        let dates = self.dates;
        Ok(Session::start(id, move |texts, events| serve(session, texts, Out { events, dates })))
    }

    async fn is_blocked(&mut self, session: &str, others: &[String]) -> Result<bool, PortError> {
        let Ok(pid) = session.parse() else { return Ok(false) };
        let pid = SessionId(pid);
        let holders = self.database.store.blocking_pids(pid);
        Ok(self.database.store.is_waiting(pid)
            && holders.iter().any(|holder| others.contains(&holder.to_string())))
    }

    async fn cancel(&mut self, session: &str) -> Result<(), PortError> {
        if let Ok(pid) = session.parse() {
            self.database.store.cancel(SessionId(pid));
        }
        Ok(())
    }

    async fn begin_permutation(&mut self) -> Result<(), PortError> {
        Ok(())
    }
}

/// Nobody listens any more where the case is over, so that sending has no need to succeed.
struct Out {
    events: UnboundedSender<Event>,
    dates: Dates,
}

impl Out {
    fn say(&self, event: Event) {
        let _ = self.events.send(event);
    }

    fn warn(&self, warnings: Vec<Warning>) {
        for warning in warnings {
            self.say(Event::Notice(format!("{}:  {}\n", warning.severity, warning.message)));
        }
    }

    fn cell(&self, value: &Value, kind: Type) -> Option<String> {
        match value {
            Value::Date(day) if self.dates == Dates::Regress => Some(calendar::us_date_text(*day)),
            other => other.output(kind),
        }
    }

    fn answer(&self, answer: &Answer) {
        if let Some(columns) = &answer.columns {
            self.say(Event::Columns(columns.iter().map(|(name, _)| name.to_string()).collect()));
            for row in &answer.rows {
                let cells = row.iter().zip(columns.iter());
                self.say(Event::Row(cells.map(|(value, (_, kind))| self.cell(value, *kind)).collect()));
            }
        }
        self.say(Event::Complete);
    }
}

async fn serve(mut session: SqlSession, mut texts: UnboundedReceiver<String>, out: Out) {
    loop {
        tokio::select! {
            biased;
            text = texts.recv() => {
                let Some(text) = text else { return };
                if !answer(&mut session, &text, &out).await {
                    return;
                }
            }
            () = session.store_session().notice_arrives() => {}
        }
        if session.store_session().is_terminated() {
            out.say(Event::Lost);
            return;
        }
        notify(&mut session, &out);
    }
}

/// Runs a text; false where the session has ended over it.
async fn answer(session: &mut SqlSession, text: &str, out: &Out) -> bool {
    // Notices go out at once, results when all is done.
    let mut answers = Vec::new();
    let result = session
        .simple(text, |warnings, answer| {
            if !warnings.is_empty() {
                answers.drain(..).for_each(|answer| out.answer(&answer));
                out.warn(warnings);
            }
            answers.push(answer);
        })
        .await;
    answers.iter().for_each(|answer| out.answer(answer));
    out.warn(session.take_warnings());
    let mut ended = false;
    if let Err(error) = result {
        ended = error.fatal;
        let severity = if error.fatal { "FATAL" } else { "ERROR" }.to_owned();
        out.say(Event::Failed { severity, code: error.code.to_owned(), message: error.message });
    }
    if ended {
        out.say(Event::Lost);
        return false;
    }
    notify(session, out);
    out.say(Event::Ready);
    true
}

/// Notifications go out between transactions.
fn notify(session: &mut SqlSession, out: &Out) {
    while let Some(notice) = session.store_session().next_notice() {
        out.say(Event::Notification {
            from: notice.sender.to_string(),
            channel: notice.channel.to_string(),
            payload: notice.payload.to_string(),
        });
    }
}
