//! Order over all keys: first deliveries in the commit order of the source of truth.

use super::exercise;
use super::finding::{Finding, Found};
use super::index::{Index, Receipt};
use crate::hash::{HashMap, HashSet};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if !index.records_delivery() {
        return Finding::unknown("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    if index.ledger.is_none() {
        return Finding::unknown("no `final_ledger` says in which order the writes committed");
    }
    if !index.commits.is_empty() && index.commits.iter().all(|commit| commit.position.is_none()) {
        return Finding::unknown("no row of the `final_ledger` has a `commit` position");
    }
    let meetings = exercise::meetings(index);
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
    let mut seen: HashSet<(u32, u32)> =
        HashSet::with_capacity_and_hasher(index.received().len(), Default::default());
    let mut latest: HashMap<u32, (&Receipt<'_>, u64)> = HashMap::default();
    for receipt in index.received() {
        // What never committed has no place in the order.
        let Some(commit) = receipt.commit.map(|at| &index.commits[at as usize]) else {
            continue;
        };
        if !seen.insert((receipt.lane, receipt.identity)) {
            continue;
        }
        let Some(position) = commit.position else {
            continue;
        };
        finding.count("deliveries_with_commit_position", 1);
        let (later, latest_position) = latest.entry(receipt.lane).or_insert((receipt, position));
        if position < *latest_position {
            let found = || inverted(index, later, *latest_position, receipt, position);
            finding.violated(receipt.evidence.at(), found);
        } else {
            (*later, *latest_position) = (receipt, position);
        }
    }
}

fn inverted(
    index: &Index<'_>,
    first: &Receipt<'_>,
    first_position: u64,
    second: &Receipt<'_>,
    second_position: u64,
) -> Found {
    let rows = [first, second].map(|receipt| receipt.commit.map(|at| index.commits[at as usize].evidence));
    let mut evidence = vec![first.evidence, second.evidence];
    evidence.extend(rows.into_iter().flatten());
    let (a, b) = (&first.event, &second.event);
    Found::new(
        format!(
            "{} v{} (commit {first_position}) was delivered before {} v{} (commit {second_position})",
            a.key, a.ver, b.key, b.ver
        ),
        &b.key,
        &[&a.op_id, &b.op_id],
        &evidence,
    )
}
