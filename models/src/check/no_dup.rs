//! Duplicates: an event delivered twice to one consumer, or twice in the log.

use std::collections::hash_map::Entry;

use super::finding::{Finding, Found};
use super::index::{Index, Receipt};
use crate::hash::HashMap;

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if !index.records_delivery() {
        return Finding::unknown("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    let mut finding = Finding::requiring(&["deliveries"]);
    finding.count("deliveries", index.received().len() as u64);
    judge_receipts(&index.delivers, |receipt| receipt.lane, &mut finding);
    // In the log any two places count, in whatever partitions.
    judge_receipts(index.log.as_deref().unwrap_or_default(), |_| 0, &mut finding);
    finding
}

fn judge_receipts(receipts: &[Receipt<'_>], lane: impl Fn(&Receipt<'_>) -> u32, finding: &mut Finding) {
    let mut first_of = HashMap::with_capacity_and_hasher(receipts.len(), Default::default());
    for receipt in receipts {
        match first_of.entry((lane(receipt), receipt.identity)) {
            Entry::Vacant(slot) => {
                slot.insert(receipt);
            }
            Entry::Occupied(slot) => {
                finding.violated(receipt.evidence.at(), || twice(slot.get(), receipt));
            }
        }
    }
}

fn twice(first: &Receipt<'_>, second: &Receipt<'_>) -> Found {
    let (a, b) = (&first.event, &second.event);
    Found::new(
        format!(
            "the event {} v{} of {} came twice: at {}/{}@{} and at {}/{}@{}",
            a.key, a.ver, a.op_id, a.topic, a.partition, a.offset, b.topic, b.partition, b.offset
        ),
        &a.key,
        &[&a.op_id, &b.op_id],
        &[first.evidence, second.evidence],
    )
}
