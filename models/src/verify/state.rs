//! What events have to show against the state that clients read and that was left at the end.

use super::exhibits::Exhibits;
use crate::check::{FaultWindow, Options};
use crate::history::{CopyRow, Event, LedgerRow, Operation, Outcome, ReadItem, Scalar, SotRow, Source, Step};

pub(super) fn is_diverged(shown: &Exhibits<'_>) -> bool {
    let ([copy], Some(sot), Some(copies)) =
        (&shown.copy_rows[..], shown.history.final_sot(), shown.history.final_cache())
    else {
        return false;
    };
    let is_unknown_key = !sot.rows.iter().any(|row| row.key == copy.key) && says_something(copy);
    let disagrees = |row: &&&SotRow| {
        let is_other_version = copy.ver.is_some_and(|ver| ver != row.ver);
        let is_other_value =
            copy.value != Scalar::Null && row.value != Scalar::Null && copy.value != row.value;
        row.key == copy.key && says_something(copy) && (is_other_version || is_other_value)
    };
    let is_missing = |row: &&&SotRow| {
        let is_there =
            |entry: &CopyRow| entry.store == copy.store && entry.key == row.key && says_something(entry);
        copy.store != "cache" && row.ver > 0 && !copies.rows.iter().any(is_there)
    };
    is_unknown_key || shown.sot_rows.iter().any(|row| disagrees(&row) || is_missing(&row))
}

fn says_something(copy: &CopyRow) -> bool {
    copy.ver.is_some_and(|ver| ver > 0) || copy.value != Scalar::Null
}

fn version(read: &ReadItem) -> Option<u64> {
    match (&read.value, read.ver) {
        (_, Some(ver)) => Some(ver),
        (Scalar::Null, None) => Some(0),
        (_, None) => None,
    }
}

/// A version of the key that the operation shows to be committed when it completes.
fn shows_version(shown: &Exhibits<'_>, op: &Operation, key: &str, above: u64) -> bool {
    let ledger = shown.history.final_ledger();
    let is_in_ledger = |ver: u64| match &ledger {
        Some(ledger) => ledger
            .rows
            .iter()
            .any(|row| Some(&row.op_id) == op.op_id.as_ref() && row.key == key && row.ver == ver),
        None => true,
    };
    let has_written = op
        .writes()
        .iter()
        .any(|item| item.key == key && item.ver.is_some_and(|ver| ver > above && is_in_ledger(ver)));
    let has_read = op.reads().iter().any(|item| {
        item.key == key && item.source != Some(Source::Cache) && item.ver.is_some_and(|ver| ver > above)
    });
    op.outcome == Outcome::Ok && (has_written || has_read)
}

pub(super) fn is_stale(shown: &Exhibits<'_>, delta_ns: u64) -> bool {
    let [first, second] = shown.ops[..] else {
        return false;
    };
    [(first, second), (second, first)].into_iter().any(|(newer, reader)| {
        let is_late = newer
            .complete_time()
            .is_some_and(|known| u128::from(known) + u128::from(delta_ns) < u128::from(reader.invoke_time));
        let is_old =
            |read: &ReadItem| version(read).is_some_and(|ver| shows_version(shown, newer, &read.key, ver));
        reader.outcome == Outcome::Ok && is_late && reader.reads().iter().any(is_old)
    })
}

/// The two operations are of one process, the first completed before the second began, and no info lies
/// between them or ends the first.
fn are_of_one_session(shown: &Exhibits<'_>, first: &Operation, second: &Operation) -> bool {
    let is_between = |op: &&Operation| {
        op.process == first.process
            && (first.invoke_index..second.invoke_index).contains(&op.invoke_index)
            && matches!(op.outcome, Outcome::Info(_))
    };
    first.process == second.process
        && first.complete_index().is_some_and(|done| done < second.invoke_index)
        && !shown.history.ops().iter().any(|op| is_between(&op))
}

pub(super) fn is_going_back(shown: &Exhibits<'_>) -> bool {
    if let [a, b] = &shown.effects[..] {
        let (first, second) = (&a.body, &b.body);
        let is_in_order = (a.time, a.index) < (b.time, b.index);
        let is_back = if is_in_order { first.ver > second.ver } else { first.ver < second.ver };
        return first.store == second.store && first.key == second.key && is_back;
    }
    match shown.ops[..] {
        [first, second] => {
            let goes_back = |later: &ReadItem| {
                first.reads().iter().any(|earlier| is_newer(earlier, later)) && first.outcome == Outcome::Ok
            };
            are_of_one_session(shown, first, second)
                && second.outcome == Outcome::Ok
                && second.reads().iter().any(goes_back)
        }
        [op] => {
            let pairs = op.reads().iter().enumerate();
            pairs.clone().any(|(at, earlier)| op.reads()[at..].iter().any(|later| is_newer(earlier, later)))
        }
        _ => false,
    }
}

fn is_newer(earlier: &ReadItem, later: &ReadItem) -> bool {
    match (version(earlier), version(later)) {
        (Some(before), Some(now)) => earlier.key == later.key && now < before,
        _ => false,
    }
}

pub(super) fn is_older_than_own_write(shown: &Exhibits<'_>) -> bool {
    let [writer, reader] = shown.ops[..] else {
        return false;
    };
    let is_older = |read: &ReadItem| {
        writer.writes().iter().any(|item| {
            let versions = (item.ver, version(read));
            item.key == read.key && matches!(versions, (Some(own), Some(seen)) if seen < own)
        })
    };
    are_of_one_session(shown, writer, reader)
        && writer.outcome == Outcome::Ok
        && reader.outcome == Outcome::Ok
        && reader.reads().iter().any(is_older)
}

pub(super) fn is_lost_update(shown: &Exhibits<'_>) -> bool {
    let rows = &shown.ledger_rows[..];
    if let [row] = shown.sot_rows[..] {
        return is_wrong_sum(row, rows);
    }
    let [a, b] = rows else {
        return false;
    };
    let (old, new) = if a.ver <= b.ver { (a, b) } else { (b, a) };
    let is_unseen = new.base_ver.is_some_and(|base| base < old.ver) && old.ver < new.ver;
    let is_twice = old.op_id == new.op_id;
    old.key == new.key && (is_unseen || is_twice || is_miscounted(old, new))
}

fn is_miscounted(old: &LedgerRow, new: &LedgerRow) -> bool {
    match (&old.value, new.delta, &new.value) {
        (Scalar::Int(before), Some(delta), Scalar::Int(after)) => {
            new.ver - old.ver == 1 && i128::from(*before) + i128::from(delta) != i128::from(*after)
        }
        _ => false,
    }
}

/// What the source of truth holds is not what the last increment made, or not the sum of all.
fn is_wrong_sum(row: &SotRow, rows: &[&LedgerRow]) -> bool {
    let Scalar::Int(held) = row.value else {
        return false;
    };
    if rows.iter().any(|other| other.key != row.key || other.delta.is_none()) {
        return false;
    }
    if let [LedgerRow { ver, value: Scalar::Int(made), .. }] = rows {
        return *ver == row.ver && *made != held;
    }
    let mut versions: Vec<u64> = rows.iter().map(|other| other.ver).collect();
    versions.sort_unstable();
    let is_complete = versions.iter().copied().eq(1..=row.ver);
    let sum: i128 = rows.iter().filter_map(|other| other.delta).map(i128::from).sum();
    is_complete && sum != i128::from(held)
}

pub(super) fn is_undone_acknowledgement(shown: &Exhibits<'_>) -> bool {
    let [op] = shown.ops[..] else {
        return false;
    };
    let history = shown.history;
    let is_undone = op.writes().iter().any(|item| {
        let is_not_in_ledger = history.final_ledger().is_some_and(|ledger| {
            !ledger.rows.iter().any(|row| Some(&row.op_id) == op.op_id.as_ref() && row.key == item.key)
        });
        let is_not_in_sot = history.final_sot().is_some_and(|sot| {
            let is_enough = |row: &SotRow| row.key == item.key && item.ver.is_some_and(|ver| row.ver >= ver);
            item.ver.is_some_and(|ver| ver > 0) && !sot.rows.iter().any(is_enough)
        });
        is_not_in_ledger || is_not_in_sot
    });
    op.outcome == Outcome::Ok && is_undone
}

pub(super) fn is_stalled(shown: &Exhibits<'_>, options: &Options) -> bool {
    match shown.steps[..] {
        [] => !options.stuck.is_empty(),
        [a, b, c] => {
            [(a, b, c), (a, c, b), (b, a, c), (b, c, a), (c, a, b), (c, b, a)].into_iter().any(|roles| {
                let (begun, (waited, victim), (held, holder)) = roles;
                let (Some(from), Some(held_from)) = (victim.since, holder.since) else {
                    return false;
                };
                let windows = || options.fault_windows.iter();
                let in_window = |w: &FaultWindow, from: u64, to: u64| w.from_ns < to && from < w.to_ns;
                let is_well =
                    !windows().any(|w| w.system == victim.system && in_window(w, from, waited.time));
                let is_held_up = windows().any(|w| {
                    w.system == holder.system
                        && in_window(w, held_from, held.time)
                        && in_window(w, from, waited.time)
                });
                waited.time.saturating_sub(from) > options.stall_ns
                    && victim.actor != holder.actor
                    && is_well
                    && is_held_up
                    && held_from < waited.time
                    && from < held.time
                    && begun.0.time < waited.time
                    && is_in_transaction(shown, begun, (held, holder), &victim.system)
            })
        }
        _ => false,
    }
}

/// Whether the holder had begun a transaction in the system and, between that and its call, neither ended it
/// nor died.
fn is_in_transaction(
    shown: &Exhibits<'_>,
    (begin, begun): (&Event, &Step),
    (held, holder): (&Event, &Step),
    system: &str,
) -> bool {
    let between = shown.history.steps().filter(|(event, step)| {
        step.actor == holder.actor && begin.index < event.index && event.index < held.index
    });
    let over = |step: &Step| {
        let ends = step.call.starts_with("COMMIT")
            || step.call.starts_with("ROLLBACK")
            || step.call.starts_with("END");
        (step.system == system && ends) || (step.system == "app" && step.outcome != "ok")
    };
    (begun.call.starts_with("BEGIN") || begun.call.starts_with("START TRANSACTION"))
        && begun.outcome == "ok"
        && begun.actor == holder.actor
        && begun.system == system
        && begin.index < held.index
        && !between.into_iter().any(|(_, step)| over(step))
}
