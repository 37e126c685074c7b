//! A validated history: parsed and paired once, trusted from there on.

use std::borrow::Cow;

use super::blocks::ReadError;
use super::lines::{self, refuse};
use super::packed::{Chunk, Entry, Events, Observed};
use super::packing::Packing;
use super::{
    CopyRow, Deliver, Effect, Event, EventBody, Header, Kind, LedgerRow, LogRow, Operation, OutboxRow,
    Outcome, Process, SotRow, Step, Text,
};
use crate::hash::HashMap;

/// The version of the format that this crate reads and writes.
pub const FORMAT_VERSION: u32 = 1;

/// So many events that are there already are packed at a time: about as many as a block of text holds.
const CHUNK_EVENTS: usize = 4096;

/// A history in which every rule of the format holds (they stand in the documentation of this module's parent).
#[derive(Debug, Clone, PartialEq)]
pub struct History {
    header: Header,
    events: Events,
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
    pub fn from_events(header: Header, events: Vec<Event>) -> Result<History, HistoryError> {
        lines::check_version(&header)?;
        let mut recorded = Recorded::default();
        let mut packing = Packing::default();
        for event in events {
            if let Err(index) = packing.push(event) {
                recorded.take(packing.seal())?;
                return recorded.gap(index);
            }
            if packing.len() == CHUNK_EVENTS {
                recorded.take(packing.seal())?;
            }
        }
        recorded.take(packing.seal())?;
        Ok(recorded.under(header))
    }

    /// The header.
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// How many events there are.
    pub fn len(&self) -> usize {
        self.events.len()
    }

    /// Whether there is no event at all.
    pub fn is_empty(&self) -> bool {
        self.events.len() == 0
    }

    /// The event at a position, which is its index. Those that take much memory lie there as they are; the others
    /// are made from the few bytes that they take.
    pub fn event(&self, at: usize) -> Option<Cow<'_, Event>> {
        self.events.get(at)
    }

    /// The event at a position, if it lies there as it is: steps and final reads do.
    pub(crate) fn kept(&self, at: usize) -> Option<&Event> {
        match self.event(at)? {
            Cow::Borrowed(event) => Some(event),
            Cow::Owned(_) => None,
        }
    }

    /// All events; the position is the index.
    pub fn events(&self) -> impl Iterator<Item = Cow<'_, Event>> + '_ {
        self.events.iter()
    }

    /// All operations, in the order of their invocations.
    pub fn ops(&self) -> &[Operation] {
        &self.ops
    }

    /// What consumers received, in the order of the history.
    pub fn delivers(&self) -> impl Iterator<Item = Observed<Deliver>> + '_ {
        self.events.delivers()
    }

    /// How many events are packed as deliveries, and how many as effects.
    pub(crate) fn observed_counts(&self) -> (usize, usize) {
        self.events.observed_counts()
    }

    /// What consumers applied, in the order of the history.
    pub fn effects(&self) -> impl Iterator<Item = Observed<Effect>> + '_ {
        self.events.effects()
    }

    /// What the gate saw, in the order of the history.
    pub fn steps(&self) -> impl Iterator<Item = (&Event, &Step)> {
        self.events.kept().filter_map(|event| match &event.body {
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
        for event in self.events() {
            text.push_str(&event.to_json_line());
            text.push('\n');
        }
        text
    }

    fn last_final<Row>(&self, rows_of: impl Fn(&EventBody) -> Option<&Vec<Row>>) -> Option<Final<'_, Row>> {
        self.events
            .kept()
            .rev()
            .find_map(|event| rows_of(&event.body).map(|rows| Final { event, rows: rows.as_slice() }))
    }
}

/// Events that keep the rules so far, and the operations that they make.
#[derive(Default)]
pub(super) struct Recorded {
    events: Events,
    pairing: Pairing,
}

impl Recorded {
    pub(super) fn is_empty(&self) -> bool {
        self.events.len() == 0
    }

    /// Makes room for what comes of so many events, where the system gives it: it is a guess.
    pub(super) fn reserve(&mut self, events: usize) {
        // An operation is an invocation and a completion, and about every third event is another's.
        let _ = self.pairing.ops.try_reserve_exact(events / 3);
    }

    /// The line on which the next event stands, after the header.
    pub(super) fn next_line(&self) -> usize {
        self.events.len() + 2
    }

    /// Takes the events that come next, if they keep the rules.
    pub(super) fn take(&mut self, chunk: Chunk) -> Result<(), HistoryError> {
        if let Some(first) = chunk.first().filter(|first| *first != self.events.len() as u64) {
            return self.gap(first);
        }
        let mut cursor = chunk.cursor();
        let mut line = self.next_line();
        while let Some(entry) = cursor.entry() {
            let taken = match entry {
                Entry::Kept(event) => self.pairing.take(event),
                Entry::Packed(head) if head.is_observation() => {
                    cursor.pass(&head);
                    Lane::of(&mut self.pairing.lanes, &head.process, head.time)
                        .and_then(|_| observation(head.kind, head.f()))
                }
                Entry::Packed(head) => self.pairing.take(&cursor.whole(head)),
            };
            if let Err(message) = taken {
                return refuse(line, &message);
            }
            line += 1;
        }
        self.events.push(chunk);
        Ok(())
    }

    /// Refuses an event of this index, which does not come next.
    pub(super) fn gap<T>(&self, index: u64) -> Result<T, HistoryError> {
        let position = self.events.len();
        refuse(position + 2, &format!("index {index} where {position} is next: indexes count up from 0"))
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
        let Pairing { lanes, ops } = self;
        let lane = Lane::of(lanes, &event.process, event.time)?;
        if event.body.is_observation() {
            return observation(event.kind, event.body.f());
        }
        match &event.kind {
            Kind::Invoke => lane.invoke(event, ops),
            Kind::Ok => lane.complete(event, Outcome::Ok, ops),
            Kind::Fail => lane.complete(event, Outcome::Fail(reason(event)), ops),
            Kind::Info => lane.complete(event, Outcome::Info(reason(event)), ops),
        }
    }
}

impl Lane {
    /// The lane of a process, in which time does not go back.
    fn of<'a>(
        lanes: &'a mut HashMap<Process, Lane>,
        process: &Process,
        time: u64,
    ) -> Result<&'a mut Lane, String> {
        let lane = lanes.entry(*process).or_default();
        if time < lane.last_time {
            return Err(format!("time goes back for {process}: {time} after {}", lane.last_time));
        }
        lane.last_time = time;
        Ok(lane)
    }

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

fn observation(kind: Kind, f: &str) -> Result<(), String> {
    match kind {
        Kind::Ok => Ok(()),
        Kind::Invoke | Kind::Fail | Kind::Info => {
            Err(format!("`{f}` is an observation: its type must be ok"))
        }
    }
}

fn reason(event: &Event) -> Text {
    event.error.unwrap_or(Text::from("no reason was recorded"))
}
