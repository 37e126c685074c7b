//! How a violation came about, in words, for somebody who has never seen the code.
//!
//! The witness proves; the story explains. It draws on the steps that the gate saw (where the history has any):
//! what the operations concerned did, what relays saw of them, who crashed in between. It is never longer than
//! [`LINES_MAX`] lines.

use std::borrow::Cow;

use crate::history::{Event, EventBody, History, Operation, ReadItem, Source};
use crate::property::Property;
use crate::verdict::{StoryLine, Witness};
use line::{Line, Weight};
use steps::Steps;

mod copies;
mod ending;
mod line;
mod operation;
mod relay;
mod steps;

/// How many lines a story has at most.
pub const LINES_MAX: usize = 10;

/// Tells how the violation that the witness shows came about.
pub fn tell(history: &History, witness: &Witness) -> Vec<StoryLine> {
    let steps = Steps::of(history);
    let mut lines = Vec::new();
    for op_id in concerned(history, witness) {
        lines.extend(operation::lines(&steps, &op_id));
        lines.extend(relay::lines_about(&steps, &op_id));
    }
    if let Some(lost) = lost_op(history, witness) {
        lines.extend(relay::lines_of_passing(&steps, &lost));
    }
    if let Some(stale) = copies::stale_copy(history, witness) {
        lines.extend(copies::lines(&steps, &stale));
    }
    lines.extend(shown(&steps, witness));
    lines.extend(ending::lines(history, witness));
    line::chosen(lines, LINES_MAX)
}

/// The operations whose doings explain the violation.
fn concerned(history: &History, witness: &Witness) -> Vec<String> {
    let mut op_ids = witness.op_ids.clone();
    op_ids.extend(copies::stale_copy(history, witness).and_then(|stale| stale.overwritten_by));
    op_ids.sort();
    op_ids.dedup();
    op_ids
}

/// The operation whose event never came, where the violation comes from that.
fn lost_op(history: &History, witness: &Witness) -> Option<String> {
    let never_came = |op_id: &String| {
        let mut delivered = history.delivers();
        !delivered.any(|said| said.body.op_id == op_id.as_str())
    };
    match (witness.property, &witness.op_ids[..]) {
        (Property::NoLoss | Property::EffectOnce, [lost]) | (Property::Fidelity, [_, lost, _]) => {
            Some(lost.clone()).filter(never_came)
        }
        (Property::Convergence, _) => {
            let stale = copies::stale_copy(history, witness).filter(|stale| stale.store != copies::CACHE);
            stale.and_then(|stale| stale.overwritten_by).filter(never_came)
        }
        _ => None,
    }
}

/// The events of the witness themselves.
fn shown(steps: &Steps<'_>, witness: &Witness) -> Vec<Line> {
    let named = |index: &u64| usize::try_from(*index).ok().and_then(|at| steps.history.event(at));
    let events: Vec<Cow<'_, Event>> = witness.events.iter().filter_map(named).collect();
    let mut lines: Vec<Line> = events.iter().filter_map(|event| observation(event)).collect();
    if witness.property == Property::Liveness {
        lines.extend(events.iter().filter_map(|event| steps::whole_step(event)));
    }
    let is_named = |op: &&Operation| op.event_indexes().all(|index| witness.events.contains(&index));
    for op in steps.history.ops().iter().filter(is_named) {
        let of_key = |item: &&ReadItem| witness.key.as_ref().is_none_or(|key| *key == item.key);
        lines.extend(op.reads().iter().filter(of_key).map(|item| read_line(steps, op, item)));
    }
    lines
}

fn observation(event: &Event) -> Option<Line> {
    let text = match &event.body {
        EventBody::Deliver(said) => {
            format!("receives {} v{} of {} (offset {})", said.key, said.ver, said.op_id, said.offset)
        }
        EventBody::Effect(effect) => {
            format!("applies {} v{} of {} to {}", effect.key, effect.ver, effect.op_id, effect.store)
        }
        _ => return None,
    };
    Some(Line::at(event, event.process.to_string(), text, Weight::Proof))
}

fn read_line(steps: &Steps<'_>, op: &Operation, item: &ReadItem) -> Line {
    let from = match item.source {
        Some(Source::Cache) => "the cache",
        Some(Source::Db) | None => "the database",
    };
    let seen = match (item.ver, item.value.is_null()) {
        (Some(ver), _) => format!("v{ver}"),
        (None, true) => "nothing".to_owned(),
        (None, false) => item.value.to_string(),
    };
    let index = op.complete_index().unwrap_or(op.invoke_index);
    let time = op.complete_time().unwrap_or(op.invoke_time);
    let text = format!("reads {} and gets {seen} from {from}", item.key);
    Line::new((time, index), steps.lane_of(op), text, Weight::Proof)
}
