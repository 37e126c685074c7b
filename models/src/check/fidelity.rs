//! Fidelity: events say what was committed, and leave no version out.

use std::collections::hash_map::Entry;

use super::by_key::ByKey;
use super::commits::Commit;
use super::finding::{Finding, Found};
use super::index::{Index, Receipt, Version};
use crate::hash::HashMap;

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if !index.records_delivery() {
        return Finding::unknown("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    let mut finding = Finding::requiring(&["payloads_compared", "keys_with_several_deliveries"]);
    let versions = index.versions();
    if !judge_against_commits(index, versions, &mut finding) {
        judge_against_each_other(index, &mut finding);
    }
    judge_gaps(index, versions, &mut finding);
    if index.ledger.is_none() && !index.history.ops().iter().any(|op| op.is_ok() && !op.writes().is_empty()) {
        finding.undecided("no `final_ledger` and no ok write says what was committed");
    }
    finding
}

/// Gives whether every payload was compared with a committed one and is it: then no two differ.
fn judge_against_commits(index: &Index<'_>, versions: &ByKey<Version>, finding: &mut Finding) -> bool {
    let mut compared = 0;
    let mut all_agree = true;
    for receipt in index.received() {
        let of_key = versions.get(receipt.key);
        let at = of_key.partition_point(|(_, ver, _)| *ver < receipt.ver);
        let mut agrees = receipt.value.is_null();
        for (_, ver, commit) in &of_key[at..] {
            if *ver != receipt.ver {
                break;
            }
            let commit = index.commits.at(*commit);
            compared += u64::from(!commit.value().is_null() && !receipt.value.is_null());
            agrees |= commit.value() == receipt.value;
            if receipt.value.contradicts(&commit.value()) {
                all_agree = false;
                finding.violated(receipt.evidence().at(), || wrong_payload(index, receipt, commit));
            }
        }
        all_agree &= agrees;
        let own = receipt.commit().map(|at| index.commits.at(at));
        if let Some(commit) = own.filter(|own| own.ver().is_some_and(|ver| ver != receipt.ver)) {
            finding.violated(receipt.evidence().at(), || wrong_version(index, receipt, commit));
        }
    }
    finding.count("payloads_compared", compared);
    all_agree
}

fn wrong_payload(index: &Index<'_>, receipt: &Receipt, commit: &Commit<'_>) -> Found {
    let (key, Receipt { ver, value, op_id, .. }) = (index.keys.name(receipt.key), receipt);
    Found::new(
        format!("{key} v{ver} was delivered with the payload {value}, but {} was committed", commit.value()),
        &key,
        &[op_id, &commit.op_id()],
        &[receipt.evidence(), commit.evidence()],
    )
}

fn wrong_version(index: &Index<'_>, receipt: &Receipt, commit: &Commit<'_>) -> Found {
    let (key, Receipt { ver, op_id, .. }) = (index.keys.name(receipt.key), receipt);
    let made = commit.ver().unwrap_or_default();
    Found::new(
        format!("{op_id} was delivered as {key} v{ver}, but made v{made}"),
        &key,
        &[op_id],
        &[receipt.evidence(), commit.evidence()],
    )
}

fn judge_against_each_other(index: &Index<'_>, finding: &mut Finding) {
    let mut first_of: HashMap<(u32, u64), &Receipt> =
        HashMap::with_capacity_and_hasher(index.received().len(), Default::default());
    for receipt in index.received().iter().filter(|receipt| !receipt.value.is_null()) {
        match first_of.entry((receipt.key, receipt.ver)) {
            Entry::Vacant(slot) => {
                slot.insert(receipt);
            }
            Entry::Occupied(slot) if slot.get().value != receipt.value => {
                finding.violated(receipt.evidence().at(), || two_payloads(index, slot.get(), receipt));
            }
            Entry::Occupied(_) => {}
        }
    }
}

fn two_payloads(index: &Index<'_>, first: &Receipt, second: &Receipt) -> Found {
    let (key, ver) = (index.keys.name(first.key), first.ver);
    Found::new(
        format!("{key} v{ver} was delivered with two payloads: {} and {}", first.value, second.value),
        &key,
        &[&first.op_id, &second.op_id],
        &[first.evidence(), second.evidence()],
    )
}

/// A version that was committed, lies between two delivered ones of its key, and was not delivered.
fn judge_gaps(index: &Index<'_>, versions: &ByKey<Version>, finding: &mut Finding) {
    let mut delivered = ByKey::group(index.keys.len(), || index.received().iter(), |receipt| receipt.key);
    // An event of the same operation under another version is a wrong version, not a gap.
    let is_delivered = index.delivered();
    let mut several = 0;
    for key in 0..index.keys.len() as u32 {
        let receipts = delivered.get_mut(key);
        receipts.sort_by_key(|receipt| receipt.ver);
        let (Some(first), Some(last)) = (receipts.first(), receipts.last()) else {
            continue;
        };
        several += u64::from(first.ver != last.ver);
        let mut at = 0;
        for (_, ver, commit) in versions.get(key) {
            while at < receipts.len() && receipts[at].ver < *ver {
                at += 1;
            }
            let is_inside = at > 0 && at < receipts.len();
            if is_inside && receipts[at].ver != *ver && !is_delivered[*commit as usize] {
                let (below, above) = (receipts[at - 1], receipts[at]);
                let commit = index.commits.at(*commit);
                let moment = below.evidence().at().max(above.evidence().at());
                finding.violated(moment, || left_out(index, below, above, commit));
            }
        }
    }
    finding.count("keys_with_several_deliveries", several);
}

fn left_out(index: &Index<'_>, below: &Receipt, above: &Receipt, commit: &Commit<'_>) -> Found {
    let mut evidence = vec![commit.evidence()];
    evidence.extend(index.shown_beside(below, commit));
    evidence.extend(index.shown_beside(above, commit));
    let key = index.keys.name(below.key);
    let ver = commit.ver().unwrap_or_default();
    Found::new(
        format!("{key} v{} and v{} were delivered, and v{ver} between them never was", below.ver, above.ver),
        &key,
        &[&below.op_id, &commit.op_id(), &above.op_id],
        &evidence,
    )
}
