//! What events have to show against deliveries and effects.

use super::exhibits::{Exhibits, Received};
use crate::history::{Observed, Operation, Outcome, Scalar, Source};

pub(super) fn is_ghost(shown: &Exhibits<'_>) -> bool {
    let [event] = &shown.received[..] else {
        return false;
    };
    match shown.history.final_ledger() {
        Some(ledger) => {
            !ledger.rows.iter().any(|row| row.op_id == event.said.op_id && row.key == event.said.key)
        }
        None => shown.ops.iter().any(|op| {
            op.op_id.as_deref() == Some(&event.said.op_id) && matches!(op.outcome, Outcome::Fail(_))
        }),
    }
}

pub(super) fn is_early(shown: &Exhibits<'_>) -> bool {
    let ([event], [op]) = (&shown.received[..], &shown.ops[..]) else {
        return false;
    };
    let Some(receipt) = &event.live else {
        return false;
    };
    let is_later = (op.invoke_time, op.invoke_index) > (receipt.time, receipt.index);
    let is_older = op.reads().iter().any(|read| {
        let seen = if read.value == Scalar::Null { read.ver.or(Some(0)) } else { read.ver };
        read.key == event.said.key
            && read.source != Some(Source::Cache)
            && seen.is_some_and(|ver| ver < event.said.ver)
    });
    op.outcome == Outcome::Ok && is_later && is_older
}

/// A committed write of one key, from a row of the ledger or an acknowledged operation.
struct Committed<'h> {
    op_id: &'h str,
    key: &'h str,
    ver: Option<u64>,
    value: &'h Scalar,
}

fn committed<'h>(shown: &Exhibits<'h>) -> Vec<Committed<'h>> {
    let rows = shown.ledger_rows.iter().map(|row| Committed {
        op_id: &row.op_id,
        key: &row.key,
        ver: Some(row.ver),
        value: &row.value,
    });
    let mut all: Vec<Committed<'h>> = rows.collect();
    if shown.history.final_ledger().is_none() {
        for op in shown.ops.iter().filter(|op| op.outcome == Outcome::Ok) {
            all.extend(written(op));
        }
    }
    all
}

fn written(op: &Operation) -> impl Iterator<Item = Committed<'_>> {
    op.writes().iter().map(|item| Committed {
        op_id: op.op_id.as_deref().unwrap_or_default(),
        key: &item.key,
        ver: item.ver,
        value: &item.value,
    })
}

/// Whether an announcement of (`op_id`, `key`, `ver`) may stand for this commit: it names its version, or one
/// that this operation never made on this key.
fn may_announce(shown: &Exhibits<'_>, commit: &Committed<'_>, op_id: &str, key: &str, ver: u64) -> bool {
    if op_id != commit.op_id || key != commit.key {
        return false;
    }
    let ledger = shown.history.final_ledger();
    let made_by_other = ledger
        .iter()
        .flat_map(|ledger| ledger.rows)
        .any(|row| row.op_id == op_id && row.key == key && row.ver == ver && Some(row.ver) != commit.ver);
    !made_by_other
}

pub(super) fn is_lost(shown: &Exhibits<'_>) -> bool {
    let history = shown.history;
    let has_end = history.final_ledger().is_some()
        || history.final_log().is_some()
        || history.final_sot().is_some()
        || history.final_cache().is_some()
        || history.final_outbox().is_some();
    let all = shown.all_received();
    let is_recorded = shown.has_live() || history.final_log().is_some();
    has_end
        && is_recorded
        && committed(shown).iter().any(|commit| {
            !all.iter()
                .any(|Received { said, .. }| may_announce(shown, commit, &said.op_id, &said.key, said.ver))
        })
}

/// The two events in the order in which they came, if the second is the first delivery of its event. What never
/// committed has no place in any order.
fn in_order<'a, 'h>(shown: &'a Exhibits<'h>) -> Option<(&'a Received<'h>, &'a Received<'h>)> {
    let [a, b] = &shown.received[..] else {
        return None;
    };
    let (first, second) = if a.is_before(b) { (a, b) } else { (b, a) };
    let is_ghost = |event: &Received<'_>| {
        shown.history.final_ledger().is_some_and(|ledger| {
            !ledger.rows.iter().any(|row| row.op_id == event.said.op_id && row.key == event.said.key)
        })
    };
    let is_redelivery = shown.all_received().iter().any(|other| {
        other.is_in_lane_of(second)
            && other.is_before(second)
            && other.is_same_event_as(second)
            && !is_ghost(other)
    });
    let is_ordered = first.is_in_lane_of(second) && first.is_before(second) && !is_redelivery;
    (is_ordered && !is_ghost(first) && !is_ghost(second)).then_some((first, second))
}

pub(super) fn is_out_of_order(shown: &Exhibits<'_>) -> bool {
    let [a, b] = &shown.received[..] else {
        return false;
    };
    if a.said.key != b.said.key {
        return false;
    }
    if a.said.topic == b.said.topic && a.said.partition != b.said.partition {
        return true;
    }
    in_order(shown).is_some_and(|(first, second)| first.said.ver > second.said.ver)
}

pub(super) fn is_inverted(shown: &Exhibits<'_>) -> bool {
    let Some((first, second)) = in_order(shown) else {
        return false;
    };
    // The row of its version, or where its operation never made that one, any row of the operation.
    let position = |event: &Received<'_>| {
        let said = &event.said;
        let own = || shown.ledger_rows.iter().filter(|row| row.op_id == said.op_id && row.key == said.key);
        own().find(|row| row.ver == said.ver).or_else(|| own().next()).and_then(|row| row.commit)
    };
    match (position(first), position(second)) {
        (Some(earlier), Some(later)) => earlier > later,
        _ => false,
    }
}

pub(super) fn is_duplicate(shown: &Exhibits<'_>) -> bool {
    let [a, b] = &shown.received[..] else {
        return false;
    };
    let is_same_observer = match (&a.live, &b.live) {
        (Some(first), Some(second)) => first.process == second.process,
        (None, None) => true,
        (Some(_), None) | (None, Some(_)) => false,
    };
    is_same_observer && a.is_same_event_as(b)
}

pub(super) fn is_effect_not_once(shown: &Exhibits<'_>) -> bool {
    match &shown.effects[..] {
        [Observed { body: a, .. }, Observed { body: b, .. }] => {
            let is_same = match (&a.event_id, &b.event_id) {
                (Some(a), Some(b)) => a == b,
                (None, None) => a.op_id == b.op_id && a.key == b.key,
                (Some(_), None) | (None, Some(_)) => false,
            };
            a.store == b.store && is_same
        }
        [Observed { body: other, .. }] => committed(shown).iter().any(|commit| {
            !shown.history.effects().any(|Observed { body: effect, .. }| {
                effect.store == other.store
                    && may_announce(shown, commit, &effect.op_id, &effect.key, effect.ver)
            })
        }),
        _ => false,
    }
}

pub(super) fn is_unfaithful(shown: &Exhibits<'_>) -> bool {
    let commits = committed(shown);
    match (&shown.received[..], &commits[..]) {
        ([event], commits) => {
            let said = &event.said;
            commits.iter().filter(|commit| commit.key == said.key).any(|commit| {
                let is_other_payload = commit.ver == Some(said.ver) && differ(commit.value, &said.value);
                let is_other_version = commit.op_id == said.op_id
                    && commit.ver.is_some_and(|ver| ver != said.ver)
                    && may_announce(shown, commit, &said.op_id, &said.key, said.ver);
                is_other_payload || is_other_version
            })
        }
        ([a, b], []) => {
            a.said.key == b.said.key && a.said.ver == b.said.ver && differ(&a.said.value, &b.said.value)
        }
        ([a, b], commits) => commits.iter().any(|commit| is_gap(shown, a, b, commit)),
        _ => false,
    }
}

fn is_gap(shown: &Exhibits<'_>, a: &Received<'_>, b: &Received<'_>, commit: &Committed<'_>) -> bool {
    let (low, high) = (a.said.ver.min(b.said.ver), a.said.ver.max(b.said.ver));
    let Some(ver) = commit.ver.filter(|ver| low < *ver && *ver < high) else {
        return false;
    };
    let was_delivered = shown.all_received().iter().any(|Received { said, .. }| {
        said.key == commit.key
            && (said.ver == ver || may_announce(shown, commit, &said.op_id, &said.key, said.ver))
    });
    a.said.key == commit.key && b.said.key == commit.key && !was_delivered
}

fn differ(a: &Scalar, b: &Scalar) -> bool {
    *a != Scalar::Null && *b != Scalar::Null && a != b
}
