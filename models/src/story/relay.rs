//! What relays saw of an operation, and how they passed it by.

use super::line::{Line, Weight};
use super::operation;
use super::steps::{At, Steps, call, crash_line, mentions, names, shortened};

/// How many of a relay's steps about one operation are worth a line.
const ABOUT_MAX: usize = 4;

/// Relays' steps that name the operation, and the crash that follows each life in which there is one.
pub(super) fn lines_about(steps: &Steps<'_>, op_id: &str) -> Vec<Line> {
    let about =
        steps.all.iter().copied().filter(|(_, step)| steps.is_relay(&step.actor) && names(step, op_id));
    let mut lines = Vec::new();
    for at in about.take(ABOUT_MAX) {
        lines.push(relay_line(at, op_id, steps));
        if let Some(crash) = crash_soon_after(steps, at) {
            lines.extend(between(steps, at, crash));
            lines.push(crash_line(steps, crash, Weight::Turn));
        }
    }
    lines
}

fn relay_line(at: At<'_>, op_id: &str, steps: &Steps<'_>) -> Line {
    let (event, step) = at;
    let what = operation::written(steps.history, op_id);
    let text = match step.system.as_str() {
        "broker" if step.call.starts_with("produce") && step.outcome == "ok" => format!("publishes {what}"),
        "broker" if step.call.starts_with("produce") => {
            format!("tries to publish {what}: {}", step.outcome)
        }
        _ if step.saw.as_deref().is_some_and(|saw| mentions(saw, op_id)) => format!("polls, and sees {what}"),
        _ => call(step),
    };
    Line::at(event, step.actor.clone(), text, Weight::Cause)
}

/// A crash counts as an effect of this step's doing if no later one of the same actor is about it.
fn crash_soon_after<'h>(steps: &Steps<'h>, at: At<'h>) -> Option<At<'h>> {
    let crash = steps.crash_after(at)?;
    let own = |other: &&At<'_>| other.1.actor == at.1.actor && other.1.system != "app";
    let gap = steps.all.iter().filter(own).filter(|(e, _)| at.0.index < e.index && e.index < crash.0.index);
    (gap.count() <= 6).then_some(crash)
}

/// What changed something between the step and the crash.
fn between(steps: &Steps<'_>, from: At<'_>, to: At<'_>) -> Vec<Line> {
    let inside = steps.all.iter().filter(|(event, step)| {
        step.actor == from.1.actor && from.0.index < event.index && event.index < to.0.index
    });
    let changes = inside.filter(|(_, step)| step.system != "app" && is_change(&step.call));
    changes.map(|(event, step)| Line::at(event, step.actor.clone(), call(step), Weight::Detail)).collect()
}

fn is_change(call: &str) -> bool {
    ["UPDATE", "DELETE", "INSERT", "produce", "commit", "COMMIT"].iter().any(|word| call.starts_with(word))
        || call.contains("advance")
}

/// How a relay that goes by outbox ids passed an id whose transaction had not committed yet: the poll that saw
/// a larger id, the transaction that had taken it, the cursor, and the first poll after the commit.
pub(super) fn lines_of_passing(steps: &Steps<'_>, lost: &str) -> Vec<Line> {
    let own = steps.of_op(lost);
    let commit = own.iter().rev().find(|(_, step)| step.system == "db" && step.call.starts_with("COMMIT"));
    let (Some((commit, _)), Some((begin, _))) = (commit, own.first()) else {
        return Vec::new();
    };
    let mut lines = Vec::new();
    if let Some(id) = operation::outbox_id(steps.history, lost) {
        let during = |(event, step): &&At<'_>| {
            begin.index < event.index && event.index < commit.index && steps.is_relay(&step.actor)
        };
        let passing = steps.all.iter().filter(during).find_map(|at| {
            let ids = ids_seen(at.1.saw.as_deref()?);
            ids.into_iter().filter(|seen| *seen > id).max().map(|seen| (*at, seen))
        });
        if let Some((poll, seen)) = passing {
            lines.extend(passed(steps, poll, id, seen));
        }
    }
    let is_seen = |at: &At<'_>| steps.is_relay(&at.1.actor) && names(at.1, lost);
    if lines.is_empty() && !steps.all.iter().any(is_seen) {
        lines.extend(taken_unnamed(steps, commit.index));
    }
    lines.extend(next_poll(steps, commit.index));
    lines
}

/// The poll that saw a larger id only, whose it was, and where the relay's cursor went.
fn passed(steps: &Steps<'_>, poll: At<'_>, id: i64, seen: i64) -> Vec<Line> {
    let (event, step) = poll;
    let text = format!("polls, and sees outbox id {seen} but not {id}");
    let mut lines = vec![Line::at(event, step.actor.clone(), text, Weight::Turn)];
    let outbox = steps.history.final_outbox().map(|outbox| outbox.rows).unwrap_or_default();
    if let Some(row) = outbox.iter().find(|row| row.id == seen) {
        lines.extend(operation::lines(steps, &row.op_id));
    }
    let cursor = steps.all.iter().find(|(later, other)| {
        later.index > event.index
            && other.actor == step.actor
            && other.call.starts_with("UPDATE")
            && mentions(&other.call, &seen.to_string())
    });
    lines.extend(cursor.map(|(event, step)| {
        let text = format!("moves past it: {}", call(step));
        Line::at(event, step.actor.clone(), text, Weight::Cause)
    }));
    lines
}

/// The first rows that a relay took after the commit, where their text was cut before it came to the operation; and
/// the crash after that.
fn taken_unnamed(steps: &Steps<'_>, commit_index: u64) -> Vec<Line> {
    let mut later = steps.all.iter().copied().filter(|(event, step)| {
        let has_rows = step.saw.as_deref().is_some_and(|saw| saw != "no rows");
        event.index > commit_index
            && steps.is_relay(&step.actor)
            && step.system == "db"
            && step.call.starts_with("SELECT")
            && has_rows
    });
    let Some(at) = later.next() else {
        return Vec::new();
    };
    let (event, step) = at;
    let count = step.saw.as_deref().and_then(|saw| saw.split(':').next()).unwrap_or_default();
    let text = format!("takes {count}: {}", call(step));
    let mut lines = vec![Line::at(event, step.actor.clone(), text, Weight::Turn)];
    lines.extend(crash_soon_after(steps, at).map(|crash| crash_line(steps, crash, Weight::Turn)));
    lines
}

/// The first look at the database that a relay took after the commit, and found nothing.
fn next_poll(steps: &Steps<'_>, commit_index: u64) -> Option<Line> {
    let mut later = steps.all.iter().filter(|(event, step)| {
        event.index > commit_index
            && steps.is_relay(&step.actor)
            && step.system == "db"
            && step.saw.as_deref() == Some("no rows")
    });
    later.next().map(|(event, step)| {
        let text = format!("polls again, and sees nothing new: {}", shortened(&step.call, 40));
        Line::at(event, step.actor.clone(), text, Weight::Cause)
    })
}

/// The first number of each row in `2 rows: (1, k1, ..) (2, k2, ..)`.
fn ids_seen(saw: &str) -> Vec<i64> {
    saw.split('(').skip(1).filter_map(|row| row.split([',', ')']).next()?.trim().parse().ok()).collect()
}
