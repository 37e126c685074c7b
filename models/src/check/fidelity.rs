//! Fidelity: events say what was committed, and leave no version out.

use std::collections::hash_map::Entry;

use super::by_key::ByKey;
use super::finding::{Finding, Found};
use super::index::{Commit, Index, Receipt};
use crate::hash::HashMap;

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if !index.records_delivery() {
        return Finding::unknown("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    let mut finding = Finding::requiring(&["payloads_compared", "keys_with_several_deliveries"]);
    let versions = index.versions();
    judge_against_commits(index, &versions, &mut finding);
    judge_against_each_other(index, &mut finding);
    judge_gaps(index, &versions, &mut finding);
    if index.ledger.is_none() && !index.history.ops().iter().any(|op| op.is_ok() && !op.writes.is_empty()) {
        finding.undecided("no `final_ledger` and no ok write says what was committed");
    }
    finding
}

fn judge_against_commits(index: &Index<'_>, versions: &ByKey<(u32, u64, u32)>, finding: &mut Finding) {
    let mut compared = 0;
    for receipt in index.received() {
        let event = &receipt.event;
        let of_key = versions.get(receipt.key);
        let at = of_key.partition_point(|(_, ver, _)| *ver < event.ver);
        for (_, ver, commit) in &of_key[at..] {
            if *ver != event.ver {
                break;
            }
            let commit = &index.commits[*commit as usize];
            compared += u64::from(!commit.value.is_null() && !event.value.is_null());
            if event.value.contradicts(commit.value) {
                finding.violated(receipt.evidence.at(), || wrong_payload(receipt, commit));
            }
        }
        let own = receipt.commit.map(|at| &index.commits[at as usize]);
        if let Some(commit) = own.filter(|own| own.ver.is_some_and(|ver| ver != event.ver)) {
            finding.violated(receipt.evidence.at(), || wrong_version(receipt, commit));
        }
    }
    finding.count("payloads_compared", compared);
}

fn wrong_payload(receipt: &Receipt<'_>, commit: &Commit<'_>) -> Found {
    let event = &receipt.event;
    Found::new(
        format!(
            "{} v{} was delivered with the payload {}, but {} was committed",
            event.key, event.ver, event.value, commit.value
        ),
        &event.key,
        &[&event.op_id, commit.op_id],
        &[receipt.evidence, commit.evidence],
    )
}

fn wrong_version(receipt: &Receipt<'_>, commit: &Commit<'_>) -> Found {
    let event = &receipt.event;
    let made = commit.ver.unwrap_or_default();
    Found::new(
        format!("{} was delivered as {} v{}, but made v{made}", event.op_id, event.key, event.ver),
        &event.key,
        &[&event.op_id],
        &[receipt.evidence, commit.evidence],
    )
}

fn judge_against_each_other(index: &Index<'_>, finding: &mut Finding) {
    let mut first_of: HashMap<(u32, u64), &Receipt<'_>> =
        HashMap::with_capacity_and_hasher(index.received().len(), Default::default());
    for receipt in index.received().iter().filter(|receipt| !receipt.event.value.is_null()) {
        match first_of.entry((receipt.key, receipt.event.ver)) {
            Entry::Vacant(slot) => {
                slot.insert(receipt);
            }
            Entry::Occupied(slot) if slot.get().event.value != receipt.event.value => {
                finding.violated(receipt.evidence.at(), || two_payloads(slot.get(), receipt));
            }
            Entry::Occupied(_) => {}
        }
    }
}

fn two_payloads(first: &Receipt<'_>, second: &Receipt<'_>) -> Found {
    let (a, b) = (&first.event, &second.event);
    Found::new(
        format!("{} v{} was delivered with two payloads: {} and {}", a.key, a.ver, a.value, b.value),
        &a.key,
        &[&a.op_id, &b.op_id],
        &[first.evidence, second.evidence],
    )
}

/// A version that was committed, lies between two delivered ones of its key, and was not delivered.
fn judge_gaps(index: &Index<'_>, versions: &ByKey<(u32, u64, u32)>, finding: &mut Finding) {
    let mut delivered: Vec<&Receipt<'_>> = index.received().iter().collect();
    delivered.sort_by_key(|receipt| receipt.event.ver);
    let delivered = ByKey::group(index.keys.len(), delivered, |receipt| receipt.key);
    // An event of the same operation under another version is a wrong version, not a gap.
    let is_delivered = index.delivered();
    let mut several = 0;
    for (key, receipts) in delivered.groups() {
        let (Some(first), Some(last)) = (receipts.first(), receipts.last()) else {
            continue;
        };
        several += u64::from(first.event.ver != last.event.ver);
        let mut at = 0;
        for (_, ver, commit) in versions.get(key) {
            while at < receipts.len() && receipts[at].event.ver < *ver {
                at += 1;
            }
            let is_inside = at > 0 && at < receipts.len();
            if is_inside && receipts[at].event.ver != *ver && !is_delivered[*commit as usize] {
                let (below, above) = (receipts[at - 1], receipts[at]);
                let commit = &index.commits[*commit as usize];
                let moment = below.evidence.at().max(above.evidence.at());
                finding.violated(moment, || left_out(index, below, above, commit));
            }
        }
    }
    finding.count("keys_with_several_deliveries", several);
}

fn left_out(index: &Index<'_>, below: &Receipt<'_>, above: &Receipt<'_>, commit: &Commit<'_>) -> Found {
    let mut evidence = vec![commit.evidence];
    evidence.extend(index.shown_beside(below, commit));
    evidence.extend(index.shown_beside(above, commit));
    let (low, high) = (&below.event, &above.event);
    let ver = commit.ver.unwrap_or_default();
    Found::new(
        format!(
            "{} v{} and v{} were delivered, and v{ver} between them never was",
            low.key, low.ver, high.ver
        ),
        &low.key,
        &[&low.op_id, commit.op_id, &high.op_id],
        &evidence,
    )
}
