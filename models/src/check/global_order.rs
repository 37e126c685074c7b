//! Order over all keys: first deliveries in the commit order of the source of truth.

use super::finding::{Finding, Found};
use super::index::{Index, Receipt};
use crate::hash::HashMap;

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if !index.records_delivery() {
        return Finding::unknown("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    if index.ledger.is_none() {
        return Finding::unknown("no `final_ledger` says in which order the writes committed");
    }
    if !index.commits.is_empty() && index.commits.iter().all(|commit| commit.position().is_none()) {
        return Finding::unknown("no row of the `final_ledger` has a `commit` position");
    }
    let meetings = index.meetings();
    let mut finding = Finding::requiring(&["deliveries_with_commit_position"]);
    if meetings.has_several_writers {
        finding.required.push("overlapping_writes");
    }
    finding.count("deliveries_with_commit_position", 0);
    finding.count("overlapping_writes", meetings.overlapping_writes);
    judge_order(index, &mut finding);
    finding
}

fn judge_order(index: &Index<'_>, finding: &mut Finding) {
    let mut with_position = 0;
    let mut latest: HashMap<u32, (&Receipt, u64)> = HashMap::default();
    for receipt in index.received() {
        // What never committed has no place in the order.
        let Some(commit) = receipt.commit().map(|at| index.commits.at(at)) else {
            continue;
        };
        if receipt.is_again {
            continue;
        }
        let Some(position) = commit.position() else {
            continue;
        };
        with_position += 1;
        let (later, latest_position) = latest.entry(receipt.lane).or_insert((receipt, position));
        if position < *latest_position {
            let found = || inverted(index, later, *latest_position, receipt, position);
            finding.violated(receipt.evidence().at(), found);
        } else {
            (*later, *latest_position) = (receipt, position);
        }
    }
    finding.count("deliveries_with_commit_position", with_position);
}

fn inverted(
    index: &Index<'_>,
    first: &Receipt,
    first_position: u64,
    second: &Receipt,
    second_position: u64,
) -> Found {
    let rows = [first, second].map(|receipt| receipt.commit().map(|at| index.commits.at(at).evidence()));
    let mut evidence = vec![first.evidence(), second.evidence()];
    evidence.extend(rows.into_iter().flatten());
    let [a_key, b_key] = [first, second].map(|receipt| index.keys.name(receipt.key));
    Found::new(
        format!(
            "{} v{} (commit {first_position}) was delivered before {} v{} (commit {second_position})",
            a_key, first.ver, b_key, second.ver
        ),
        &b_key,
        &[&first.op_id, &second.op_id],
        &evidence,
    )
}
