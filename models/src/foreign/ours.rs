//! Between histories of Crosscheck's own and those of others.
//!
//! To others: a write or a read of a key is `[key value]`, as Jepsen's independent keys have it, and a transaction
//! a list of micro-operations. What consumers received, effects and final reads keep their own shape, under the
//! names of their actors, which the checkers of others leave out as they do a nemesis.
//!
//! From others: reads and writes of registers, by themselves or in transactions. The rest has no place in a
//! history that is about rows with keys and versions, and is refused with its line.

use std::io::{self, Write};

use serde_json::{Value as Json, json};

use super::write::json_text;
use super::{Call, Form, Format, OpHistory, OpKind, Value, read, write_edn};
use crate::history::{
    Event, EventBody, Header, History, HistoryError, Kind, Process, Read, ReadItem, Scalar, Text, Txn,
    Write as Written, WriteItem,
};
use crate::isolation::ShapeError;

/// The key of a register that has none.
const ONLY_KEY: &str = "register";

/// Writes one of our histories as elle-cli reads them, an event a line.
///
/// # Errors
/// What `out` says.
pub fn ours_as_jsonl(history: &History, out: &mut dyn Write) -> io::Result<()> {
    for event in history.events() {
        let (f, value) = told(&event.body);
        let mut line = json!({"index": event.index, "time": event.time, "process": &event.process,
            "type": &event.kind, "f": f, "value": value});
        if let Some(error) = &event.error {
            line["error"] = json!(error);
        }
        serde_json::to_writer(&mut *out, &line)?;
        out.write_all(b"\n")?;
    }
    Ok(())
}

/// Writes one of our histories as Jepsen's EDN, an event a line. All of it lies in memory as text meanwhile.
///
/// # Errors
/// What `out` says.
pub fn ours_as_edn(history: &History, out: &mut dyn Write) -> io::Result<()> {
    let mut lines = Vec::new();
    ours_as_jsonl(history, &mut lines)?;
    let as_others = read(&mut lines.as_slice(), Format::Json).map_err(io::Error::other)?;
    write_edn(&as_others, out)
}

/// What an event says, to others.
fn told(body: &EventBody) -> (&'static str, Json) {
    let micro = |name: &str, key: &Text, value: Json| json!([name, key, value]);
    let write = |item: &WriteItem| match item.delta {
        Some(delta) => micro("add", &item.key, json!(delta)),
        None => micro("w", &item.key, json!(item.value)),
    };
    match body {
        EventBody::Write(Written { item: WriteItem { key, delta: Some(delta), .. }, .. }) => {
            ("add", json!([key, delta]))
        }
        EventBody::Write(write) => ("write", json!([write.item.key, write.item.value])),
        EventBody::Read(read) => ("read", json!([read.item.key, read.item.value])),
        EventBody::Txn(txn) => {
            let reads = txn.reads.iter().map(|item| micro("r", &item.key, json!(item.value)));
            ("txn", reads.chain(txn.writes.iter().map(write)).collect())
        }
        EventBody::Deliver(body) => ("deliver", json!(body)),
        EventBody::Effect(body) => ("effect", json!(body)),
        EventBody::Step(body) => ("step", json!(body)),
        EventBody::FinalSot(rows) => ("final-sot", json!(rows)),
        EventBody::FinalLedger(rows) => ("final-ledger", json!(rows)),
        EventBody::FinalLog(rows) => ("final-log", json!(rows)),
        EventBody::FinalCache(rows) => ("final-cache", json!(rows)),
        EventBody::FinalOutbox(rows) => ("final-outbox", json!(rows)),
    }
}

/// Takes a history of registers as one of ours. Operations of a nemesis are left out.
///
/// ```
/// use crosscheck_models::foreign::{Format, as_ours, read};
///
/// let text = "{:process 0 :type :invoke :f :write :value 3}\n{:process 0 :type :ok :f :write :value 3}";
/// let ours = as_ours(&read(&mut text.as_bytes(), Format::Edn)?)?;
/// assert_eq!(ours.ops()[0].writes()[0].key, "register");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
/// The first operation that our format has no place for.
pub fn as_ours(history: &OpHistory) -> Result<History, ShapeError> {
    let keyed = has_keys(history);
    let mut places: Vec<(u32, &Call, OpKind)> = Vec::new();
    for call in history.calls() {
        let Some(invoke) = call.invoke else {
            let line = history.ops()[call.telling_op() as usize].line;
            let message = "completes what was never invoked: our format has no such operation".to_owned();
            return Err(ShapeError { line, message });
        };
        places.push((invoke, call, OpKind::Invoke));
        places.extend(call.complete.map(|at| (at, call, history.ops()[at as usize].kind)));
    }
    places.sort_unstable_by_key(|(at, ..)| *at);
    let mut events = Vec::with_capacity(places.len());
    let lines: Vec<u32> = places.iter().map(|(at, ..)| history.ops()[*at as usize].line).collect();
    for (at, call, kind) in places {
        let op = &history.ops()[at as usize];
        let refused = |message: String| ShapeError { line: op.line, message };
        let client = history.store().as_int(op.process).and_then(|process| u64::try_from(process).ok());
        let process = client.ok_or_else(|| refused("a process is a number from 0".to_owned()))?;
        let happened = kind == OpKind::Ok;
        let id = call.invoke.unwrap_or(at);
        let body = body(history, at, &format!("op-{id}"), keyed, happened).map_err(refused)?;
        events.push(Event {
            index: events.len() as u64,
            time: op.time.and_then(|time| u64::try_from(time).ok()).unwrap_or(u64::from(at) * 1000),
            process: Process::Client(process),
            kind: match kind {
                OpKind::Invoke => Kind::Invoke,
                OpKind::Ok => Kind::Ok,
                OpKind::Fail => Kind::Fail,
                OpKind::Info => Kind::Info,
            },
            body,
            error: None,
        });
    }
    let line_of = |position: usize| lines.get(position).copied().unwrap_or_default();
    History::from_events(Header { crosscheck: 1, ..Header::default() }, events).map_err(
        |HistoryError { line, message }| ShapeError { line: line_of(line.saturating_sub(2)), message },
    )
}

/// Whether all reads and writes are of `[key value]`.
pub(super) fn has_keys(history: &OpHistory) -> bool {
    let mut single = (0..history.ops().len() as u32)
        .filter(|op| matches!(history.f(*op), "read" | "r" | "write" | "w"))
        .map(|op| history.value(op))
        .peekable();
    single.peek().is_some() && single.all(|value| value.items().is_some_and(|items| items.count() == 2))
}

fn body(history: &OpHistory, at: u32, id: &str, keyed: bool, happened: bool) -> Result<EventBody, String> {
    let (f, value) = (history.f(at), history.value(at));
    let halves = || match value.items().filter(|_| keyed).map(Iterator::collect::<Vec<_>>).as_deref() {
        Some([key, value]) => (name(*key), scalar(*value)),
        _ => (Text::from(ONLY_KEY), scalar(value)),
    };
    let (op_id, read_value) = (Text::from(id), |value: Scalar| if happened { value } else { Scalar::Null });
    Ok(match f {
        "write" | "w" => {
            let (key, value) = halves();
            EventBody::Write(Written { op_id, item: WriteItem { key, value, ..WriteItem::default() } })
        }
        "read" | "r" => {
            let (key, value) = halves();
            EventBody::Read(Read { item: ReadItem { key, value: read_value(value), ..ReadItem::default() } })
        }
        "txn" | "" => {
            let mut txn = Txn { op_id, ..Txn::default() };
            for mop in value.items().into_iter().flatten() {
                let parts: Vec<Value<'_>> = mop.items().into_iter().flatten().collect();
                match (parts.first().and_then(|f| f.as_text()), &parts[..]) {
                    (Some("r" | "read"), [_, key, rest @ ..]) => {
                        let value = read_value(rest.first().map_or(Scalar::Null, |value| scalar(*value)));
                        let ver = version(rest.get(1)).filter(|_| happened);
                        txn.reads.push(ReadItem { key: name(*key), value, ver, ..ReadItem::default() });
                    }
                    (Some("w" | "write"), [_, key, value, rest @ ..]) => {
                        let (key, value, ver) = (name(*key), scalar(*value), version(rest.first()));
                        let ver = ver.filter(|_| happened);
                        txn.writes.push(WriteItem { key, value, ver, ..WriteItem::default() });
                    }
                    _ => return Err("our format has transactions of r and w only".to_owned()),
                }
            }
            EventBody::Txn(txn)
        }
        other => {
            return Err(format!("our format has reads, writes and transactions of them, and no `{other}`"));
        }
    })
}

/// The version that a micro-operation states.
fn version(stated: Option<&Value<'_>>) -> Option<u64> {
    stated.and_then(|version| u64::try_from(version.as_int()?).ok())
}

fn name(key: Value<'_>) -> Text {
    key.as_text().map_or_else(|| Text::from(&json_text(key)), Text::from)
}

fn scalar(value: Value<'_>) -> Scalar {
    match value.form() {
        Form::Nil => Scalar::Null,
        Form::Int(number) => Scalar::Int(number),
        Form::Text(text) | Form::Name(text) => Scalar::Text(text.into()),
        _ => Scalar::Json(json_text(value).into()),
    }
}
