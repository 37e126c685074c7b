//! How a copy came to hold, or a reader to see, what had been overwritten.

use super::line::{Line, Weight};
use super::operation;
use super::steps::{At, Steps, call, call_and_result, names};
use crate::history::{CopyRow, EventBody, History, Observed, Operation, ReadItem, Source, Step};
use crate::property::Property;
use crate::verdict::Witness;

/// The copy that readers and writers fill, command by command.
pub(super) const CACHE: &str = "cache";

/// An old version of a key, seen where a newer one should be.
pub(super) struct Stale {
    pub(super) key: String,
    /// Which copy held it.
    pub(super) store: String,
    /// The last event at which it was seen.
    pub(super) seen_at: u64,
    /// The operation that overwrote it.
    pub(super) overwritten_by: Option<String>,
}

/// The stale copy that the witness is about, if it is about one.
pub(super) fn stale_copy(history: &History, witness: &Witness) -> Option<Stale> {
    let key = witness.key.clone()?;
    let (store, ver, seen_at) = match witness.property {
        Property::Convergence => {
            let (event, copy) =
                witness.rows.iter().find_map(|(event, row)| copy_row(history, *event, *row))?;
            // A row of another key only shows that the projection is there: it has nothing of this one.
            let ver = if copy.key == key { copy.ver.unwrap_or(0) } else { 0 };
            (copy.store.to_string(), ver, event)
        }
        Property::BoundedStaleness | Property::MonotonicReads | Property::ReadYourWrites => {
            let (op, item) = last_read(history, witness)?;
            let is_cached = item.source == Some(Source::Cache);
            let store = if is_cached { CACHE } else { "database" };
            (store.to_owned(), item.ver.unwrap_or(0), op.complete_index()?)
        }
        _ => return None,
    };
    let overwritten_by = overwriting(history, &key, ver);
    Some(Stale { key, store, seen_at, overwritten_by })
}

fn copy_row(history: &History, event: u64, row: usize) -> Option<(u64, &CopyRow)> {
    let at = usize::try_from(event).ok()?;
    match &history.kept(at)?.body {
        EventBody::FinalCache(rows) => rows.get(row).map(|copy| (event, copy)),
        _ => None,
    }
}

fn last_read<'h>(history: &'h History, witness: &Witness) -> Option<(&'h Operation, &'h ReadItem)> {
    let is_named = |op: &&Operation| op.event_indexes().all(|index| witness.events.contains(&index));
    let op = history.ops().iter().rev().find(is_named)?;
    op.reads().iter().find(|item| Some(item.key.as_str()) == witness.key.as_deref()).map(|item| (op, item))
}

/// The operation that made the next version.
fn overwriting(history: &History, key: &str, ver: u64) -> Option<String> {
    let ledger = history.final_ledger().map(|ledger| ledger.rows).unwrap_or_default();
    let in_ledger = ledger.iter().filter(|row| row.key == key && row.ver > ver).min_by_key(|row| row.ver);
    if let Some(row) = in_ledger {
        return Some(row.op_id.to_string());
    }
    let written = history.ops().iter().filter(|op| op.is_ok()).flat_map(|op| {
        op.writes().iter().filter(|item| item.key == key).filter_map(move |item| Some((item.ver?, op)))
    });
    let next = written.filter(|(made, _)| *made > ver).min_by_key(|(made, _)| *made);
    next.and_then(|(_, op)| op.op_id.as_deref().map(str::to_owned))
}

/// Who put the old version there: into the cache by the last fill before it was seen, into a projection by the
/// last effects.
pub(super) fn lines(steps: &Steps<'_>, stale: &Stale) -> Vec<Line> {
    match stale.store.as_str() {
        CACHE => fill_lines(steps, stale),
        "database" => Vec::new(),
        _ => effect_lines(steps, stale),
    }
}

fn fill_lines(steps: &Steps<'_>, stale: &Stale) -> Vec<Line> {
    let before = steps.all.iter().rev().filter(|(event, _)| event.index < stale.seen_at);
    let mut fills = before.filter(|(_, step)| {
        let is_by_overwriter =
            step.op_id.is_some() && step.op_id.as_deref() == stale.overwritten_by.as_deref();
        is_fill(step) && ends_in(&step.call, &stale.key) && !is_by_overwriter
    });
    let Some((event, step)) = fills.next().copied() else {
        return Vec::new();
    };
    let text = format!("puts it into the cache: {}", call(step));
    let mut lines = vec![Line::at(event, step.actor.clone(), text, Weight::Turn)];
    lines.extend(source_of_fill(steps, (event, step), stale));
    lines
}

/// What the one who filled had read before, for the same operation.
fn source_of_fill(steps: &Steps<'_>, fill: At<'_>, stale: &Stale) -> Option<Line> {
    let op_id = fill.1.op_id.as_deref()?;
    let own = steps.of_op(op_id).iter().filter(|(event, _)| event.index < fill.0.index);
    let is_writer = steps.operation(op_id).is_some();
    let mut reads = own.filter(|(_, step)| step.system == "db" && names(step, &stale.key) && !is_writer);
    reads.next_back().map(|(event, step)| {
        let text = format!("reads {} from the database: {}", stale.key, call_and_result(step));
        Line::at(event, step.actor.clone(), text, Weight::Turn)
    })
}

/// A cache command that sets something, and was not turned down.
fn is_fill(step: &Step) -> bool {
    const SETTERS: [&str; 12] = [
        "SET", "SETEX", "PSETEX", "SETNX", "GETSET", "MSET", "HSET", "HMSET", "HSETNX", "EVAL", "EVALSHA",
        "FCALL",
    ];
    let verb = step.call.split_whitespace().next().unwrap_or_default().to_ascii_uppercase();
    let is_refused = matches!(step.saw.as_deref(), Some("0" | "nothing"));
    step.system == "cache"
        && step.outcome != "lost-request"
        && !is_refused
        && SETTERS.contains(&verb.as_str())
}

/// Whether a word of the command is this key, alone or after a prefix of the run.
fn ends_in(call: &str, key: &str) -> bool {
    call.split_whitespace().any(|word| {
        word.strip_suffix(key).is_some_and(|prefix| !prefix.ends_with(|c: char| c.is_ascii_alphanumeric()))
    })
}

fn effect_lines(steps: &Steps<'_>, stale: &Stale) -> Vec<Line> {
    let on_key =
        steps.history.effects().filter(|seen| seen.body.key == stale.key && seen.body.store == stale.store);
    let on_key: Vec<_> = on_key.collect();
    let last = &on_key[on_key.len().saturating_sub(2)..];
    let mut lines: Vec<Line> = last
        .iter()
        .map(|Observed { index, time, process, body: effect }| {
            let text =
                format!("applies {} v{} of {} to {}", effect.key, effect.ver, effect.op_id, effect.store);
            Line::new((*time, *index), process.to_string(), text, Weight::Turn)
        })
        .collect();
    for applied in last {
        lines.extend(operation::lines(steps, &applied.body.op_id));
    }
    lines
}
