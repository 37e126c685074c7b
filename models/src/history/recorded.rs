//! A validated history: parsed and paired once, trusted from there on.

use super::blocks::ReadError;
use super::lines::{self, refuse};
use super::{
    CopyRow, Deliver, Effect, Event, EventBody, Header, Kind, LedgerRow, LogRow, Operation, OutboxRow,
    Outcome, Process, SotRow, Step, Text,
};
use crate::hash::HashMap;

/// The version of the format that this crate reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// A history in which every rule of the format holds (they stand in the documentation of this module's parent).
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    header: Header,
    events: Vec<Event>,
    ops: Vec<Operation>,
}

/// What is wrong with a history, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {message}")]
pub struct HistoryError {
    /// The line, from 1; the header is line 1.
    pub line: usize,
    /// The reason.
    pub message: String,
}

/// Something about a history that a reader should know, and that does not make it unreadable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Note {
    /// The line, from 1.
    pub line: usize,
    /// What it is.
    pub message: String,
}

/// A final read: the event and its rows.
#[derive(Debug, PartialEq)]
pub struct Final<'h, Row> {
    /// The event that holds it.
    pub event: &'h Event,
    /// All rows that were there.
    pub rows: &'h [Row],
}

impl<Row> Clone for Final<'_, Row> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<Row> Copy for Final<'_, Row> {}

impl History {
    /// Reads a history from its text. A last line that was torn off by a crash is dropped with a note.
    ///
    /// # Errors
    /// The first line that breaks a rule of the format, with the reason.
    pub fn parse(text: &str) -> Result<(History, Vec<Note>), HistoryError> {
        History::parse_bytes(text.as_bytes())
    }

    /// Reads a history from the bytes of a file. Bytes that are not UTF-8 are refused, except in a torn last line.
    ///
    /// # Errors
    /// As [`History::parse`].
    pub fn parse_bytes(mut bytes: &[u8]) -> Result<(History, Vec<Note>), HistoryError> {
        let length = bytes.len() as u64;
        History::read(&mut bytes, Some(length)).map_err(|error| match error {
            ReadError::Malformed(error) => error,
            // Memory does not refuse; a line can be too long for any history all the same.
            ReadError::Io(error) => HistoryError { line: 1, message: error.to_string() },
        })
    }

    /// Takes events as a history, if they keep the rules.
    ///
    /// # Errors
    /// The first event that breaks a rule, as the line on which it would stand.
    pub fn from_events(header: Header, mut events: Vec<Event>) -> Result<History, HistoryError> {
        lines::check_version(&header)?;
        let mut recorded = Recorded::default();
        recorded.take_all(&mut events)?;
        Ok(recorded.under(header))
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// All events; the position is the index.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    /// All operations, in the order of their invocations.
    pub fn ops(&self) -> &[Operation] {
        &self.ops
    }

    /// What consumers received, in the order of the history.
    pub fn delivers(&self) -> impl Iterator<Item = (&Event, &Deliver)> {
        self.events.iter().filter_map(|event| match &event.body {
            EventBody::Deliver(deliver) => Some((event, deliver)),
            _ => None,
        })
    }

    /// What consumers applied, in the order of the history.
    pub fn effects(&self) -> impl Iterator<Item = (&Event, &Effect)> {
        self.events.iter().filter_map(|event| match &event.body {
            EventBody::Effect(effect) => Some((event, effect)),
            _ => None,
        })
    }

    /// What the gate saw, in the order of the history.
    pub fn steps(&self) -> impl Iterator<Item = (&Event, &Step)> {
        self.events.iter().filter_map(|event| match &event.body {
            EventBody::Step(step) => Some((event, &**step)),
            _ => None,
        })
    }

    /// The last final read of the source of truth.
    pub fn final_sot(&self) -> Option<Final<'_, SotRow>> {
        self.last_final(|body| if let EventBody::FinalSot(rows) = body { Some(rows) } else { None })
    }

    /// The last final read of the ledger.
    pub fn final_ledger(&self) -> Option<Final<'_, LedgerRow>> {
        self.last_final(|body| if let EventBody::FinalLedger(rows) = body { Some(rows) } else { None })
    }

    /// The last final read of the topics.
    pub fn final_log(&self) -> Option<Final<'_, LogRow>> {
        self.last_final(|body| if let EventBody::FinalLog(rows) = body { Some(rows) } else { None })
    }

    /// The last final read of the copies.
    pub fn final_cache(&self) -> Option<Final<'_, CopyRow>> {
        self.last_final(|body| if let EventBody::FinalCache(rows) = body { Some(rows) } else { None })
    }

    /// The last final read of the outbox table.
    pub fn final_outbox(&self) -> Option<Final<'_, OutboxRow>> {
        self.last_final(|body| if let EventBody::FinalOutbox(rows) = body { Some(rows) } else { None })
    }

    /// The history as text, as [`History::parse`] reads it.
    pub fn to_text(&self) -> String {
        let mut text = self.header.to_json_line();
        text.push('\n');
        for event in &self.events {
            text.push_str(&event.to_json_line());
            text.push('\n');
        }
        text
    }

    fn last_final<Row>(&self, rows_of: impl Fn(&EventBody) -> Option<&Vec<Row>>) -> Option<Final<'_, Row>> {
        self.events
            .iter()
            .rev()
            .find_map(|event| rows_of(&event.body).map(|rows| Final { event, rows: rows.as_slice() }))
    }
}

/// Events that keep the rules so far, and the operations that they make.
#[derive(Default)]
pub(super) struct Recorded {
    events: Vec<Event>,
    pairing: Pairing,
}

impl Recorded {
    pub(super) fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Makes room for so many events, where the system gives it: it is a guess.
    pub(super) fn reserve(&mut self, events: usize) {
        let _ = self.events.try_reserve_exact(events);
        // An operation is an invocation and a completion, and about every third event is another's.
        let _ = self.pairing.ops.try_reserve_exact(events / 3);
    }

    /// The line on which the next event stands, after the header.
    pub(super) fn next_line(&self) -> usize {
        self.events.len() + 2
    }

    /// Takes all events, and leaves the room that they were in.
    pub(super) fn take_all(&mut self, events: &mut Vec<Event>) -> Result<(), HistoryError> {
        for (event, position) in events.iter().zip(self.events.len()..) {
            if event.index != position as u64 {
                let message =
                    format!("index {} where {position} is next: indexes count up from 0", event.index);
                return refuse(position + 2, &message);
            }
            if let Err(message) = self.pairing.take(event) {
                return refuse(position + 2, &message);
            }
        }
        if self.events.capacity() == 0 {
            self.events = std::mem::take(events);
        } else {
            self.events.append(events);
        }
        Ok(())
    }

    pub(super) fn under(self, header: Header) -> History {
        History { header, events: self.events, ops: self.pairing.ops }
    }
}

#[derive(Default)]
struct Pairing {
    lanes: HashMap<Process, Lane>,
    ops: Vec<Operation>,
}

#[derive(Default)]
struct Lane {
    session: u32,
    /// The open operation, as a position in `ops`, and its `f`.
    open: Option<(usize, &'static str)>,
    last_time: u64,
}

impl Pairing {
    fn take(&mut self, event: &Event) -> Result<(), String> {
        let lane = self.lanes.entry(event.process).or_default();
        if event.time < lane.last_time {
            let Event { time, process, .. } = event;
            return Err(format!("time goes back for {process}: {time} after {}", lane.last_time));
        }
        lane.last_time = event.time;
        if event.body.is_observation() {
            return observation(event);
        }
        match &event.kind {
            Kind::Invoke => lane.invoke(event, &mut self.ops),
            Kind::Ok => lane.complete(event, Outcome::Ok, &mut self.ops),
            Kind::Fail => lane.complete(event, Outcome::Fail(reason(event)), &mut self.ops),
            Kind::Info => lane.complete(event, Outcome::Info(reason(event)), &mut self.ops),
        }
    }
}

impl Lane {
    fn invoke(&mut self, event: &Event, ops: &mut Vec<Operation>) -> Result<(), String> {
        if let Some((open, _)) = self.open {
            let (process, index) = (&event.process, ops[open].invoke_index);
            return Err(format!("{process} invokes while its operation of index {index} is still open"));
        }
        let op = Operation::invoked(event, self.session)
            .ok_or_else(|| format!("`{}` cannot be invoked", event.body.f()))?;
        self.open = Some((ops.len(), event.body.f()));
        ops.push(op);
        Ok(())
    }

    fn complete(&mut self, event: &Event, outcome: Outcome, ops: &mut [Operation]) -> Result<(), String> {
        let Some((open, invoked)) = self.open.take() else {
            return Err(format!(
                "a completion without an invocation: {} has no open operation",
                event.process
            ));
        };
        let f = event.body.f();
        if f != invoked {
            return Err(format!("completes `{f}`, but {} has invoked `{invoked}`", event.process));
        }
        if matches!(outcome, Outcome::Info(_)) {
            self.session += 1;
        }
        ops[open].complete(event, outcome)
    }
}

fn observation(event: &Event) -> Result<(), String> {
    match event.kind {
        Kind::Ok => Ok(()),
        Kind::Invoke | Kind::Fail | Kind::Info => {
            Err(format!("`{}` is an observation: its type must be ok", event.body.f()))
        }
    }
}

fn reason(event: &Event) -> Text {
    event.error.unwrap_or(Text::from("no reason was recorded"))
}
