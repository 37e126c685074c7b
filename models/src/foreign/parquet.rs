//! Histories as Parquet files, an event a row, for DuckDB, Spark, DataFusion and whoever else reads them.
//!
//! | column | what |
//! |---|---|
//! | `index`, `time_ns` | the place in the history, and the nanoseconds since its start |
//! | `process` or `actor` | the number of a client, or the name of who is none |
//! | `type`, `f` | `invoke`, `ok`, `fail` or `info`; `write`, `read`, `txn`, `deliver`, .. |
//! | `op_id`, `key`, `value`, `value_int` | the value as JSON text, and as a number where it is a whole one |
//! | `version`, `base_version`, `delta` | what a write made of what |
//! | `source`, `store` | where a read was answered, what an effect went to |
//! | `topic`, `partition`, `offset`, `event_id` | where an event stands in the log |
//! | `error` | why it failed, or why nobody knows |
//! | `body` | all that the event says, as JSON text |
//!
//! What an event does not say is null. The header of one of our histories is the file's metadata `crosscheck`.

//! Histories as Parquet files, an event a row, for DuckDB, Spark, DataFusion and whoever else reads them.
//!
//! | column | what |
//! |---|---|
//! | `index`, `time_ns` | the place in the history, and the nanoseconds since its start |
//! | `process` or `actor` | the number of a client, or the name of who is none |
//! | `type`, `f` | `invoke`, `ok`, `fail` or `info`; `write`, `read`, `txn`, `deliver`, .. |
//! | `op_id`, `key`, `value`, `value_int` | the value as JSON text, and as a number where it is a whole one |
//! | `version`, `base_version`, `delta` | what a write made of what |
//! | `source`, `store` | where a read was answered, what an effect went to |
//! | `topic`, `partition`, `offset`, `event_id` | where an event stands in the log |
//! | `error` | why it failed, or why nobody knows |
//! | `body` | all that the event says, as JSON text |
//!
//! What an event does not say is null. The header of one of our histories is the file's metadata `crosscheck`.

use std::borrow::Cow;
use std::io::{self, Write};
use std::sync::Arc;

use parquet::basic::Type as Physical;
use parquet::data_type::{ByteArray, ByteArrayType, Int64Type};
use parquet::errors::ParquetError;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;
use serde_json::to_string;

use super::ours::has_keys;
use super::write::json_text;
use super::{OpHistory, Value};
use crate::history::{Event, EventBody, History, Kind, Process, ReadItem, Scalar, Source, Text, WriteItem};

/// So many rows lie in memory before they are written.
const GROUP_ROWS: usize = 1 << 16;

/// The columns, in the order of [`Row::cells`].
const SCHEMA: &str = "message history {
    required int64 index; optional int64 time_ns; optional int64 process; optional binary actor (UTF8);
    required binary type (UTF8); required binary f (UTF8);
    optional binary op_id (UTF8); optional binary key (UTF8); optional binary value (UTF8); optional int64 value_int;
    optional int64 version; optional int64 base_version; optional int64 delta;
    optional binary source (UTF8); optional binary store (UTF8);
    optional binary topic (UTF8); optional int64 partition; optional int64 offset; optional binary event_id (UTF8);
    optional binary error (UTF8); optional binary body (UTF8);
}";

/// Writes one of our histories as a Parquet file.
///
/// # Errors
/// What `out` says, and a number that has no place in 63 bits.
pub fn ours_as_parquet<W: Write + Send>(history: &History, out: W) -> io::Result<()> {
    let header = KeyValue::new("crosscheck".to_owned(), history.header().to_json_line());
    let mut table = Table::new(out, vec![header])?;
    for event in history.events() {
        table.add(&Row::of_event(&event)?)?;
    }
    table.finish()
}

/// Writes a history of others as a Parquet file.
///
/// # Errors
/// What `out` says.
pub fn write_parquet<W: Write + Send>(history: &OpHistory, out: W) -> io::Result<()> {
    let is_keyed = has_keys(history);
    let mut table = Table::new(out, Vec::new())?;
    for at in 0..history.ops().len() as u32 {
        table.add(&Row::of_op(history, at, is_keyed))?;
    }
    table.finish()
}

/// What one event says; what it does not say is null.
#[derive(Default)]
struct Row<'a> {
    index: i64,
    time_ns: Option<i64>,
    process: Option<i64>,
    actor: Option<&'a str>,
    kind: &'static str,
    f: &'a str,
    op_id: Option<&'a str>,
    key: Option<Cow<'a, str>>,
    value: Option<String>,
    value_int: Option<i64>,
    version: Option<i64>,
    base_version: Option<i64>,
    delta: Option<i64>,
    source: Option<&'static str>,
    store: Option<&'a str>,
    topic: Option<&'a str>,
    partition: Option<i64>,
    offset: Option<i64>,
    event_id: Option<&'a str>,
    error: Option<&'a str>,
    body: Option<String>,
}

impl<'a> Row<'a> {
    fn of_event(event: &'a Event) -> io::Result<Row<'a>> {
        let whole = |number: u64| {
            i64::try_from(number).map_err(|_| {
                let message =
                    format!("event {}: {number} is more than a column of Parquet holds", event.index);
                io::Error::new(io::ErrorKind::InvalidData, message)
            })
        };
        let optional = |number: Option<u64>| number.map(whole).transpose();
        let mut row = Row { index: whole(event.index)?, time_ns: Some(whole(event.time)?), ..Row::default() };
        match &event.process {
            Process::Client(number) => row.process = Some(whole(*number)?),
            Process::Actor(name) => row.actor = Some(name.as_str()),
        }
        (row.kind, row.f) = (type_name(event.kind), event.body.f());
        row.error = event.error.as_ref().map(Text::as_str);
        row.body = Some(value_text(&event.body)?);
        match &event.body {
            EventBody::Write(write) => {
                let WriteItem { key, value, delta, ver, base_ver } = &write.item;
                row.op_id = Some(&write.op_id);
                row.of_key(key, value);
                (row.version, row.base_version, row.delta) = (optional(*ver)?, optional(*base_ver)?, *delta);
            }
            EventBody::Read(read) => {
                let ReadItem { key, ver, value, source } = &read.item;
                row.of_key(key, value);
                row.version = optional(*ver)?;
                row.source = source.map(|source| match source {
                    Source::Db => "db",
                    Source::Cache => "cache",
                });
            }
            EventBody::Deliver(event) => {
                row.of_key(&event.key, &event.value);
                row.op_id = Some(&event.op_id);
                row.version = Some(whole(event.ver)?);
                row.topic = Some(&event.topic);
                (row.partition, row.offset) = (Some(event.partition.into()), Some(event.offset));
                row.event_id = event.event_id.as_ref().map(Text::as_str);
            }
            EventBody::Effect(effect) => {
                row.of_key(&effect.key, &Scalar::Null);
                row.op_id = Some(&effect.op_id);
                (row.version, row.store) = (Some(whole(effect.ver)?), Some(effect.store.as_str()));
                row.event_id = effect.event_id.as_ref().map(Text::as_str);
            }
            EventBody::Txn(txn) => row.op_id = Some(&txn.op_id),
            EventBody::Step(step) => row.op_id = step.op_id.as_ref().map(Text::as_str),
            EventBody::FinalSot(_)
            | EventBody::FinalLedger(_)
            | EventBody::FinalLog(_)
            | EventBody::FinalCache(_)
            | EventBody::FinalOutbox(_) => {}
        }
        Ok(row)
    }

    fn of_key(&mut self, key: &'a Text, value: &Scalar) {
        self.key = Some(Cow::Borrowed(key));
        self.value_int = value.as_int();
        self.value = (!value.is_null()).then(|| serde_json::json!(value).to_string());
    }

    fn of_op(history: &'a OpHistory, at: u32, is_keyed: bool) -> Row<'a> {
        let (op, value) = (&history.ops()[at as usize], history.value(at));
        let process = history.store().as_int(op.process);
        let mut row = Row {
            index: op.index,
            time_ns: op.time,
            process,
            actor: history.store().as_text(op.process).filter(|_| process.is_none()),
            kind: op.kind.name(),
            f: history.f(at),
            body: Some(json_text(value)).filter(|_| !value.is_nil()),
            ..Row::default()
        };
        let is_single = matches!(row.f, "read" | "r" | "write" | "w" | "cas" | "add" | "enqueue" | "dequeue");
        let halves: Option<Vec<Value<'_>>> = value.items().filter(|_| is_keyed).map(Iterator::collect);
        let told = match halves.as_deref() {
            Some([key, value]) if is_single => {
                row.key = Some(key.as_text().map_or_else(|| json_text(*key).into(), Cow::Borrowed));
                Some(*value)
            }
            _ => Some(value).filter(|_| is_single),
        };
        if let Some(value) = told.filter(|value| !value.is_nil()) {
            (row.value, row.value_int) = (Some(json_text(value)), value.as_int());
        }
        row
    }

    /// Its cells, in the order of the columns.
    fn cells(&self) -> [Cell<'_>; 21] {
        [
            Cell::Int(self.index),
            int(self.time_ns),
            int(self.process),
            text(self.actor),
            Cell::Text(self.kind),
            Cell::Text(self.f),
            text(self.op_id),
            text(self.key.as_deref()),
            text(self.value.as_deref()),
            int(self.value_int),
            int(self.version),
            int(self.base_version),
            int(self.delta),
            text(self.source),
            text(self.store),
            text(self.topic),
            int(self.partition),
            int(self.offset),
            text(self.event_id),
            text(self.error),
            text(self.body.as_deref()),
        ]
    }
}

enum Cell<'a> {
    Null,
    Int(i64),
    Text(&'a str),
}

fn int(value: Option<i64>) -> Cell<'static> {
    value.map_or(Cell::Null, Cell::Int)
}

fn text(value: Option<&str>) -> Cell<'_> {
    value.map_or(Cell::Null, Cell::Text)
}

/// The rows of a column that are not written yet: the values that are there, and for each row whether one is.
struct Column {
    is_required: bool,
    levels: Vec<i16>,
    values: Values,
}

enum Values {
    Ints(Vec<i64>),
    Texts(Vec<ByteArray>),
}

impl Column {
    fn add(&mut self, cell: &Cell<'_>) {
        let is_there = match (&mut self.values, cell) {
            (Values::Ints(values), Cell::Int(value)) => {
                values.push(*value);
                true
            }
            (Values::Texts(values), Cell::Text(value)) => {
                values.push(ByteArray::from(*value));
                true
            }
            _ => false,
        };
        self.levels.push(is_there.into());
    }

    fn clear(&mut self) {
        self.levels.clear();
        match &mut self.values {
            Values::Ints(values) => values.clear(),
            Values::Texts(values) => values.clear(),
        }
    }
}

/// A file that grows by groups of rows.
struct Table<W: Write + Send> {
    file: SerializedFileWriter<W>,
    columns: Vec<Column>,
    rows: usize,
}

impl<W: Write + Send> Table<W> {
    fn new(out: W, metadata: Vec<KeyValue>) -> io::Result<Table<W>> {
        let schema = Arc::new(parse_message_type(SCHEMA).map_err(refused)?);
        let column = |field: &Arc<parquet::schema::types::Type>| Column {
            is_required: !field.is_optional(),
            levels: Vec::new(),
            values: match field.get_physical_type() {
                Physical::INT64 => Values::Ints(Vec::new()),
                _ => Values::Texts(Vec::new()),
            },
        };
        let columns = schema.get_fields().iter().map(column).collect();
        let properties = WriterProperties::builder().set_key_value_metadata(Some(metadata)).build();
        let file = SerializedFileWriter::new(out, schema, Arc::new(properties)).map_err(refused)?;
        Ok(Table { file, columns, rows: 0 })
    }

    fn add(&mut self, row: &Row<'_>) -> io::Result<()> {
        self.columns.iter_mut().zip(row.cells()).for_each(|(column, cell)| column.add(&cell));
        self.rows += 1;
        if self.rows == GROUP_ROWS { self.write_group().map_err(refused) } else { Ok(()) }
    }

    fn finish(mut self) -> io::Result<()> {
        if self.rows > 0 {
            self.write_group().map_err(refused)?;
        }
        self.file.close().map(|_| ()).map_err(refused)
    }

    fn write_group(&mut self) -> Result<(), ParquetError> {
        let mut group = self.file.next_row_group()?;
        for column in &mut self.columns {
            let Some(mut writer) = group.next_column()? else { break };
            let levels = (!column.is_required).then_some(&column.levels[..]);
            match &column.values {
                Values::Ints(values) => writer.typed::<Int64Type>().write_batch(values, levels, None)?,
                Values::Texts(values) => writer.typed::<ByteArrayType>().write_batch(values, levels, None)?,
            };
            writer.close()?;
            column.clear();
        }
        group.close()?;
        self.rows = 0;
        Ok(())
    }
}

fn type_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Invoke => "invoke",
        Kind::Ok => "ok",
        Kind::Fail => "fail",
        Kind::Info => "info",
    }
}

/// All that an event says, as JSON.
fn value_text(body: &EventBody) -> serde_json::Result<String> {
    match body {
        EventBody::Write(value) => to_string(value),
        EventBody::Read(value) => to_string(value),
        EventBody::Txn(value) => to_string(value),
        EventBody::Deliver(value) => to_string(value),
        EventBody::Effect(value) => to_string(value),
        EventBody::Step(value) => to_string(value),
        EventBody::FinalSot(rows) => to_string(rows),
        EventBody::FinalLedger(rows) => to_string(rows),
        EventBody::FinalLog(rows) => to_string(rows),
        EventBody::FinalCache(rows) => to_string(rows),
        EventBody::FinalOutbox(rows) => to_string(rows),
    }
}

/// The file's own error where there is one: it says what the disk said.
fn refused(error: ParquetError) -> io::Error {
    match error {
        ParquetError::External(inner) => match inner.downcast::<io::Error>() {
            Ok(error) => *error,
            Err(inner) => io::Error::other(inner),
        },
        other => io::Error::other(other),
    }
}
