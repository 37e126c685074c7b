//! Events as lines of JSON: `index, time, process, type, f, value` and, where something went wrong, `error`.

use std::fmt;

use serde::de::{self, Deserialize, DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde::ser::{Serialize, SerializeStruct, Serializer};

use super::{Event, EventBody, Header, Kind, Process, Text};

impl EventBody {
    /// The `f` of the event, as on disk.
    pub fn f(&self) -> &'static str {
        self.name().as_str()
    }

    fn name(&self) -> Name {
        match self {
            EventBody::Write(_) => Name::Write,
            EventBody::Read(_) => Name::Read,
            EventBody::Txn(_) => Name::Txn,
            EventBody::Deliver(_) => Name::Deliver,
            EventBody::Effect(_) => Name::Effect,
            EventBody::Step(_) => Name::Step,
            EventBody::FinalSot(_) => Name::FinalSot,
            EventBody::FinalLedger(_) => Name::FinalLedger,
            EventBody::FinalLog(_) => Name::FinalLog,
            EventBody::FinalCache(_) => Name::FinalCache,
            EventBody::FinalOutbox(_) => Name::FinalOutbox,
        }
    }

    /// Whether it is an observation, which happens at once, and not an operation, which begins and ends.
    pub fn is_observation(&self) -> bool {
        !matches!(self, EventBody::Write(_) | EventBody::Read(_) | EventBody::Txn(_))
    }
}

impl Event {
    /// The event as one line, without the line's end.
    pub fn to_json_line(&self) -> String {
        serde_json::to_string(self).expect("an event has no map with keys that are not text")
    }
}

impl Header {
    /// The header as one line, without the line's end.
    pub fn to_json_line(&self) -> String {
        serde_json::to_string(self).expect("a header has only plain fields")
    }
}

impl Serialize for Event {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = 6 + usize::from(self.error.is_some());
        let mut line = serializer.serialize_struct("Event", fields)?;
        line.serialize_field("index", &self.index)?;
        line.serialize_field("time", &self.time)?;
        line.serialize_field("process", &self.process)?;
        line.serialize_field("type", &self.kind)?;
        line.serialize_field("f", self.body.f())?;
        match &self.body {
            EventBody::Write(value) => line.serialize_field("value", value)?,
            EventBody::Read(value) => line.serialize_field("value", value)?,
            EventBody::Txn(value) => line.serialize_field("value", value)?,
            EventBody::Deliver(value) => line.serialize_field("value", value)?,
            EventBody::Effect(value) => line.serialize_field("value", value)?,
            EventBody::Step(value) => line.serialize_field("value", value)?,
            EventBody::FinalSot(rows) => line.serialize_field("value", rows)?,
            EventBody::FinalLedger(rows) => line.serialize_field("value", rows)?,
            EventBody::FinalLog(rows) => line.serialize_field("value", rows)?,
            EventBody::FinalCache(rows) => line.serialize_field("value", rows)?,
            EventBody::FinalOutbox(rows) => line.serialize_field("value", rows)?,
        }
        if let Some(error) = &self.error {
            line.serialize_field("error", error)?;
        }
        line.end()
    }
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EventVisitor)
    }
}

impl<'de> Deserialize<'de> for Process {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ProcessVisitor)
    }
}

/// The values of `f`.
#[derive(Clone, Copy, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Name {
    Write,
    Read,
    Txn,
    Deliver,
    Effect,
    Step,
    FinalSot,
    FinalLedger,
    FinalLog,
    FinalCache,
    FinalOutbox,
}

impl Name {
    fn as_str(self) -> &'static str {
        match self {
            Name::Write => "write",
            Name::Read => "read",
            Name::Txn => "txn",
            Name::Deliver => "deliver",
            Name::Effect => "effect",
            Name::Step => "step",
            Name::FinalSot => "final_sot",
            Name::FinalLedger => "final_ledger",
            Name::FinalLog => "final_log",
            Name::FinalCache => "final_cache",
            Name::FinalOutbox => "final_outbox",
        }
    }
}

/// Reads a `value` once its `f` is known: straight into the type, with nothing in between.
impl<'de> DeserializeSeed<'de> for Name {
    type Value = EventBody;

    fn deserialize<D: Deserializer<'de>>(self, value: D) -> Result<EventBody, D::Error> {
        Ok(match self {
            Name::Write => EventBody::Write(Deserialize::deserialize(value)?),
            Name::Read => EventBody::Read(Deserialize::deserialize(value)?),
            Name::Txn => EventBody::Txn(Deserialize::deserialize(value)?),
            Name::Deliver => EventBody::Deliver(Deserialize::deserialize(value)?),
            Name::Effect => EventBody::Effect(Deserialize::deserialize(value)?),
            Name::Step => EventBody::Step(Deserialize::deserialize(value)?),
            Name::FinalSot => EventBody::FinalSot(Deserialize::deserialize(value)?),
            Name::FinalLedger => EventBody::FinalLedger(Deserialize::deserialize(value)?),
            Name::FinalLog => EventBody::FinalLog(Deserialize::deserialize(value)?),
            Name::FinalCache => EventBody::FinalCache(Deserialize::deserialize(value)?),
            Name::FinalOutbox => EventBody::FinalOutbox(Deserialize::deserialize(value)?),
        })
    }
}

#[derive(serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum Field {
    Index,
    Time,
    Process,
    Type,
    F,
    Value,
    Error,
}

struct EventVisitor;

impl<'de> Visitor<'de> for EventVisitor {
    type Value = Event;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an event: an object with index, time, process, type, f and value")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Event, A::Error> {
        let mut line = Line::default();
        while let Some(field) = map.next_key::<Field>()? {
            match field {
                Field::Index => once(&mut line.index, "index", map.next_value()?)?,
                Field::Time => once(&mut line.time, "time", map.next_value()?)?,
                Field::Process => once(&mut line.process, "process", map.next_value()?)?,
                Field::Type => once(&mut line.kind, "type", map.next_value()?)?,
                Field::F => once(&mut line.name, "f", map.next_value()?)?,
                Field::Value => match line.name {
                    Some(name) => once(&mut line.body, "value", map.next_value_seed(name)?)?,
                    None => once(&mut line.raw, "value", map.next_value()?)?,
                },
                Field::Error => once(&mut line.error, "error", map.next_value()?)?,
            }
        }
        line.finish()
    }
}

#[derive(Default)]
struct Line {
    index: Option<u64>,
    time: Option<u64>,
    process: Option<Process>,
    kind: Option<Kind>,
    name: Option<Name>,
    body: Option<EventBody>,
    /// A value that came before its `f`.
    raw: Option<serde_json::Value>,
    error: Option<Option<Text>>,
}

impl Line {
    fn finish<E: de::Error>(self) -> Result<Event, E> {
        let need = |name| E::missing_field(name);
        let name = self.name.ok_or_else(|| need("f"))?;
        let body = match (self.body, self.raw) {
            (Some(_), Some(_)) => return Err(E::duplicate_field("value")),
            (Some(body), None) => body,
            (None, Some(raw)) => name.deserialize(raw).map_err(E::custom)?,
            (None, None) => return Err(need("value")),
        };
        Ok(Event {
            index: self.index.ok_or_else(|| need("index"))?,
            time: self.time.ok_or_else(|| need("time"))?,
            process: self.process.ok_or_else(|| need("process"))?,
            kind: self.kind.ok_or_else(|| need("type"))?,
            body,
            error: self.error.flatten(),
        })
    }
}

fn once<T, E: de::Error>(slot: &mut Option<T>, name: &'static str, value: T) -> Result<(), E> {
    match slot.replace(value) {
        None => Ok(()),
        Some(_) => Err(E::duplicate_field(name)),
    }
}

struct ProcessVisitor;

impl Visitor<'_> for ProcessVisitor {
    type Value = Process;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a process: a number from 0 or a name")
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Process, E> {
        Ok(Process::Client(number))
    }

    fn visit_str<E: de::Error>(self, name: &str) -> Result<Process, E> {
        Ok(Process::Actor(name.into()))
    }
}
