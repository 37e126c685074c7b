//! What was there at the end.

use super::line::Line;
use crate::history::{EventBody, History, Scalar};
use crate::property::Property;
use crate::verdict::Witness;

/// The rows of final reads that the witness names, or what it says is missing, as lines without a time.
pub(super) fn lines(history: &History, witness: &Witness) -> Vec<Line> {
    match witness.property {
        Property::NoLoss | Property::NoGhost | Property::AckDurability | Property::EffectOnce => {
            let who = if witness.property == Property::NoLoss { "consumers" } else { "ledger" };
            let is_about_the_end = witness.events.iter().any(|index| is_final(history, *index));
            let line = || Line::at_the_end(who, witness.summary.clone());
            is_about_the_end.then(line).into_iter().collect()
        }
        Property::Fidelity if witness.op_ids.len() == 3 => {
            vec![Line::at_the_end("consumers", witness.summary.clone())]
        }
        Property::Liveness => vec![Line::at_the_end("liveness", witness.summary.clone())],
        _ => witness.rows.iter().filter_map(|(event, row)| row_line(history, *event, *row)).collect(),
    }
}

fn is_final(history: &History, index: u64) -> bool {
    let event = usize::try_from(index).ok().and_then(|at| history.event(at));
    event.is_some_and(|event| match &event.body {
        EventBody::FinalSot(_)
        | EventBody::FinalLedger(_)
        | EventBody::FinalLog(_)
        | EventBody::FinalCache(_)
        | EventBody::FinalOutbox(_) => true,
        EventBody::Write(_)
        | EventBody::Read(_)
        | EventBody::Txn(_)
        | EventBody::Deliver(_)
        | EventBody::Effect(_)
        | EventBody::Step(_) => false,
    })
}

fn row_line(history: &History, event: u64, row: usize) -> Option<Line> {
    let event = usize::try_from(event).ok().and_then(|at| history.event(at))?;
    match &event.body {
        EventBody::FinalSot(rows) => {
            let row = rows.get(row)?;
            let text = format!("{} is at v{}{}", row.key, row.ver, equals(&row.value));
            Some(Line::at_the_end("source of truth", text))
        }
        EventBody::FinalLedger(rows) => {
            let row = rows.get(row)?;
            let base = row.base_ver.map(|base| format!(", computed from v{base}")).unwrap_or_default();
            let commit = row.commit.map(|commit| format!(", commit {commit}")).unwrap_or_default();
            let text = format!("{} v{} is of {}{base}{commit}", row.key, row.ver, row.op_id);
            Some(Line::at_the_end("ledger", text))
        }
        EventBody::FinalLog(rows) => {
            let row = rows.get(row)?;
            let place = format!("{}/{} offset {}", row.topic, row.partition, row.offset);
            Some(Line::at_the_end("log", format!("{} v{} of {} is at {place}", row.key, row.ver, row.op_id)))
        }
        EventBody::FinalCache(rows) => {
            let row = rows.get(row)?;
            let ver = row.ver.map(|ver| format!(" is at v{ver}")).unwrap_or_default();
            Some(Line::at_the_end(&row.store, format!("{}{ver}{}", row.key, equals(&row.value))))
        }
        _ => None,
    }
}

fn equals(value: &Scalar) -> String {
    if value.is_null() { String::new() } else { format!(" = {value}") }
}
