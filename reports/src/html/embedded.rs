//! The data of a run within its page: what the plots are drawn from.
//!
//! Events are tuples without names, in the order of [`FIELDS`]: a hundred thousand operations stay below a
//! third of what their JSON lines take. The script puts the names back.

use crosscheck_models::history::{Event, EventBody, Kind, Process};
use serde::Serialize;

use super::page::colour;
use crate::run::SavedRun;
use crate::statistics::{self, Windows};
use crate::wording::count;

/// The fields of an event in their order; `error` only where there is one.
const FIELDS: [&str; 7] = ["index", "time", "process", "type", "f", "value", "error"];

/// How much of a history a page holds; a browser opens this in a second or two.
const BYTES_MAX: usize = 24_000_000;

/// A single value beyond this is a final read of very many rows; the page says so instead.
const VALUE_BYTES_MAX: usize = 100_000;

/// The data, and a sentence on what was left out.
pub(super) struct Embedded {
    pub(super) json: String,
    pub(super) left_out: Option<String>,
}

#[derive(Serialize)]
struct Frame<'a> {
    fields: [&'static str; 7],
    end: u64,
    faults: Vec<Fault<'a>>,
    window: u64,
    windows: Vec<Row>,
    proof: Vec<u64>,
}

#[derive(Serialize)]
struct Fault<'a> {
    id: &'a str,
    system: &'a str,
    colour: &'a str,
    from: u64,
    to: u64,
    took: bool,
    hits: u64,
    detail: &'a str,
}

/// ok, info, fail; p50, p95, p99 of the ok ones.
type Row = (u64, u64, u64, Option<[u64; 3]>);

/// Writes a run's data as JSON that may stand within a script element.
pub(super) fn embed(run: &SavedRun, windows: &Windows) -> Embedded {
    let frame = Frame {
        fields: FIELDS,
        end: statistics::end_ns(&run.history),
        faults: faults(run),
        window: windows.width_ns,
        windows: windows.rows.iter().map(|row| (row.ok, row.info, row.fail, row.ok_ns)).collect(),
        proof: proof(run),
    };
    let mut json = text(&frame);
    // The frame's closing brace makes room for the events.
    json.pop();
    json.push_str(",\"events\":[\n");
    let left_out = events(&mut json, run, &frame.proof);
    json.push_str("]}");
    Embedded { json: harmless(json), left_out }
}

/// Appends events until the page is full; what the witnesses rest on is always there.
fn events(json: &mut String, run: &SavedRun, proof: &[u64]) -> Option<String> {
    let mut first = true;
    let mut left_out: Option<(u64, u64)> = None;
    for event in run.history.events() {
        if json.len() > BYTES_MAX && proof.binary_search(&event.index).is_err() {
            let (number, _) = left_out.get_or_insert((0, event.time));
            *number += 1;
            continue;
        }
        if !first {
            json.push_str(",\n");
        }
        first = false;
        push_event(json, &event);
    }
    left_out.map(|(number, since)| {
        format!(
            "The history is too large for one page: {} of {} events, from {} on, are left out of the lanes and \
             of the latency dots. The lines, the tables and the verdicts count them all; history.jsonl holds them.",
            count(number),
            count(run.history.len() as u64),
            crate::wording::moment(since),
        )
    })
}

fn push_event(json: &mut String, event: &Event) {
    let kind = match event.kind {
        Kind::Invoke => "\"invoke\"",
        Kind::Ok => "\"ok\"",
        Kind::Fail => "\"fail\"",
        Kind::Info => "\"info\"",
    };
    let process = match &event.process {
        Process::Client(number) => number.to_string(),
        Process::Actor(name) => text(name),
    };
    let value = value(&event.body);
    let f = event.body.f();
    json.push_str(&format!("[{},{},{process},{kind},\"{f}\",", event.index, event.time));
    if value.len() > VALUE_BYTES_MAX {
        json.push_str(&text(&format!(
            "{} bytes, left out here: see history.jsonl",
            count(value.len() as u64)
        )));
    } else {
        json.push_str(&value);
    }
    if let Some(error) = &event.error {
        json.push(',');
        json.push_str(&text(error));
    }
    json.push(']');
}

fn value(body: &EventBody) -> String {
    match body {
        EventBody::Write(value) => text(value),
        EventBody::Read(value) => text(value),
        EventBody::Txn(value) => text(value),
        EventBody::Deliver(value) => text(value),
        EventBody::Effect(value) => text(value),
        EventBody::Step(value) => text(value),
        EventBody::FinalSot(value) => text(value),
        EventBody::FinalLedger(value) => text(value),
        EventBody::FinalLog(value) => text(value),
        EventBody::FinalCache(value) => text(value),
        EventBody::FinalOutbox(value) => text(value),
    }
}

/// The only thing that cannot be written is a value that was made by hand from text that is no JSON.
fn text<Value: Serialize + ?Sized>(value: &Value) -> String {
    serde_json::to_string(value)
        .unwrap_or_else(|error| serde_json::Value::String(format!("cannot be shown: {error}")).to_string())
}

fn faults(run: &SavedRun) -> Vec<Fault<'_>> {
    run.faults
        .iter()
        .map(|fault| Fault {
            id: &fault.id,
            system: &fault.system,
            colour: colour(&fault.colour),
            from: fault.from_ns,
            to: fault.to_ns,
            took: fault.took,
            hits: fault.hits,
            detail: &fault.detail,
        })
        .collect()
}

/// The events that any witness proves or tells, ascending.
fn proof(run: &SavedRun) -> Vec<u64> {
    let witnesses = run.verdict.properties.iter().filter_map(|judged| judged.verdict.witness.as_ref());
    let mut indices: Vec<u64> = witnesses
        .flat_map(|witness| {
            witness.events.iter().copied().chain(witness.story.iter().filter_map(|line| line.index))
        })
        .collect();
    indices.sort_unstable();
    indices.dedup();
    indices
}

/// Within a script element only `<` can end it or open a comment; in JSON it stands in texts alone.
fn harmless(json: String) -> String {
    if json.contains('<') { json.replace('<', "\\u003c") } else { json }
}
