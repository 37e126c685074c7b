//! What one operation did, in words.

use super::line::{Line, Weight};
use super::steps::{At, Steps, call_and_result, crash_line};
use crate::history::{History, Operation, Outcome, Step};

/// The lines of a writing operation: from its steps where there are any, else from what its client knows.
pub(super) fn lines(steps: &Steps<'_>, op_id: &str) -> Vec<Line> {
    let own = steps.of_op(op_id);
    if own.is_empty() {
        return steps.operation(op_id).map(|op| from_client(steps, op, op_id)).unwrap_or_default();
    }
    let what = written(steps.history, op_id);
    let mut lines = Vec::new();
    let mut work: Option<At<'_>> = None;
    // Statements after the first line about a transaction say nothing new.
    let mut is_told = false;
    for (place, (event, step)) in own.iter().copied().enumerate() {
        let next = match kind(step) {
            Doing::Begin => {
                is_told = false;
                continue;
            }
            Doing::Work => {
                work = Some((event, step)).filter(|_| !is_told);
                continue;
            }
            Doing::Nothing => continue,
            Doing::Commit => Some(("commits".to_owned(), Weight::Turn)),
            Doing::Rollback => Some(("rolls back".to_owned(), Weight::Turn)),
            Doing::Publish if is_open(&own[..place]) => {
                Some((format!("publishes {what} before the commit"), Weight::Turn))
            }
            Doing::Publish => Some((format!("publishes {what}"), Weight::Turn)),
            Doing::Look | Doing::Other => Some((call_and_result(step), Weight::Cause)),
            Doing::Crash => None,
        };
        if let Some(done) = work.take() {
            lines.push(work_line(steps, done, op_id, &what));
            is_told = true;
        }
        lines.push(match next {
            Some((text, weight)) => Line::at(event, step.actor.clone(), text, weight),
            None => crash_line(steps, (event, step), Weight::Turn),
        });
    }
    lines.extend(work.map(|done| work_line(steps, done, op_id, &what)));
    lines
}

/// Whether these steps end within a transaction.
fn is_open(before: &[At<'_>]) -> bool {
    let ends = before.iter().rev().map(|(_, step)| kind(step));
    let mut ends =
        ends.filter(|kind| matches!(kind, Doing::Begin | Doing::Commit | Doing::Rollback | Doing::Crash));
    matches!(ends.next(), Some(Doing::Begin))
}

/// What a step means to the reader of a story.
enum Doing {
    Begin,
    Look,
    Work,
    Commit,
    Rollback,
    Publish,
    Crash,
    Other,
    Nothing,
}

fn kind(step: &Step) -> Doing {
    let begins = |word: &str| step.call.get(..word.len()).is_some_and(|s| s.eq_ignore_ascii_case(word));
    match (step.system.as_str(), step.outcome.as_str()) {
        (_, "crash") => Doing::Crash,
        ("app", _) => Doing::Nothing,
        ("db", "ok") if begins("COMMIT") => Doing::Commit,
        ("db", "ok") if begins("ROLLBACK") => Doing::Rollback,
        ("db", "ok") if begins("BEGIN") => Doing::Begin,
        ("db", "ok") if begins("SELECT") => Doing::Look,
        ("db", "ok") => Doing::Work,
        ("broker", "ok") if begins("produce") => Doing::Publish,
        (_, _) => Doing::Other,
    }
}

/// Statements of a transaction are one line, at the last of them.
fn work_line(steps: &Steps<'_>, (event, step): At<'_>, op_id: &str, what: &str) -> Line {
    let done = match outbox_id(steps.history, op_id) {
        Some(id) => format!("writes {what} as outbox id {id}"),
        None => format!("writes {what}"),
    };
    let has_commit = steps.of_op(op_id).iter().any(|(_, step)| matches!(kind(step), Doing::Commit));
    let text = if has_commit { format!("{done}, not committed yet") } else { done.clone() };
    Line::at(event, step.actor.clone(), text, Weight::Cause).or_if_continued(done)
}

/// The id that the operation took in the outbox.
pub(super) fn outbox_id(history: &History, op_id: &str) -> Option<i64> {
    history.final_outbox()?.rows.iter().find(|row| row.op_id == op_id).map(|row| row.id)
}

/// What the operation wrote: `k1 v2 (a2)`.
pub(super) fn written(history: &History, op_id: &str) -> String {
    let ledger = history.final_ledger().map(|ledger| ledger.rows).unwrap_or_default();
    let rows: Vec<String> = ledger
        .iter()
        .filter(|row| row.op_id == op_id)
        .map(|row| format!("{} v{}", row.key, row.ver))
        .collect();
    if !rows.is_empty() {
        return format!("{} ({op_id})", rows.join(", "));
    }
    let op = history.ops().iter().find(|op| op.op_id.as_deref() == Some(op_id));
    let name =
        |key: &str, ver: Option<u64>| ver.map_or_else(|| key.to_owned(), |ver| format!("{key} v{ver}"));
    let items: Vec<String> =
        op.iter().flat_map(|op| op.writes()).map(|item| name(&item.key, item.ver)).collect();
    if items.is_empty() { op_id.to_owned() } else { format!("{} ({op_id})", items.join(", ")) }
}

fn from_client(steps: &Steps<'_>, op: &Operation, op_id: &str) -> Vec<Line> {
    let who = steps.lane_of(op);
    let what = written(steps.history, op_id);
    let begin = (op.invoke_time, op.invoke_index);
    let mut lines = vec![Line::new(begin, who.clone(), format!("begins to write {what}"), Weight::Detail)];
    if let (Some(time), Some(index)) = (op.complete_time(), op.complete_index()) {
        let text = match &op.outcome {
            Outcome::Ok => format!("hears that {what} is done"),
            Outcome::Fail(reason) => format!("hears that {what} failed: {reason}"),
            Outcome::Info(reason) => format!("does not learn what became of {what}: {reason}"),
        };
        lines.push(Line::new((time, index), who, text, Weight::Cause));
    }
    lines
}
