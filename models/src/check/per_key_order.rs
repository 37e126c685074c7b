//! Order per key: first deliveries by version, and one partition.
//!
//! An event that announces what never committed has no place in that order: it is a ghost, and `no-ghost`
//! accuses it. So where a ledger tells which events those are, they are left out here.

use std::collections::hash_map::Entry;

use super::finding::{Finding, Found};
use super::index::{Index, Receipt};
use crate::hash::{HashMap, HashSet};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if !index.records_delivery() {
        return Finding::unknown("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    let mut finding = Finding::requiring(&["keys_with_several_deliveries"]);
    judge_order(index, &mut finding);
    judge_partitions(index, &mut finding);
    finding
}

fn judge_order(index: &Index<'_>, finding: &mut Finding) {
    let mut seen: HashSet<(u32, u32)> =
        HashSet::with_capacity_and_hasher(index.received().len(), Default::default());
    let mut newest: HashMap<(u32, u32), (&Receipt<'_>, u64)> = HashMap::default();
    for receipt in index.received() {
        if index.ledger.is_some() && receipt.commit.is_none() {
            finding.count("ghosts_left_out", 1);
            continue;
        }
        if !seen.insert((receipt.lane, receipt.identity)) {
            finding.count("redeliveries", 1);
            continue;
        }
        finding.count("first_deliveries", 1);
        match newest.entry((receipt.lane, receipt.key)) {
            Entry::Vacant(slot) => {
                slot.insert((receipt, 1));
            }
            Entry::Occupied(mut slot) => {
                let (newer, count) = slot.get_mut();
                *count += 1;
                if *count == 2 {
                    finding.count("keys_with_several_deliveries", 1);
                }
                if receipt.event.ver < newer.event.ver {
                    finding.violated(receipt.evidence.at(), || out_of_order(newer, receipt));
                } else {
                    *newer = receipt;
                }
            }
        }
    }
}

fn out_of_order(newer: &Receipt<'_>, older: &Receipt<'_>) -> Found {
    let (first, second) = (&newer.event, &older.event);
    Found::new(
        format!("{} v{} was delivered after v{}", second.key, second.ver, first.ver),
        &second.key,
        &[&first.op_id, &second.op_id],
        &[newer.evidence, older.evidence],
    )
}

fn judge_partitions(index: &Index<'_>, finding: &mut Finding) {
    let mut homes: HashMap<(&str, u32), &Receipt<'_>> = HashMap::default();
    for receipt in index.received() {
        let home = *homes.entry((&receipt.event.topic, receipt.key)).or_insert(receipt);
        if home.event.partition != receipt.event.partition {
            finding.violated(receipt.evidence.at(), || {
                let (first, second) = (&home.event, &receipt.event);
                Found::new(
                    format!(
                        "events of {} lie in two partitions of {}: v{} in {}, v{} in {}",
                        first.key, first.topic, first.ver, first.partition, second.ver, second.partition
                    ),
                    &first.key,
                    &[&first.op_id, &second.op_id],
                    &[home.evidence, receipt.evidence],
                )
            });
        }
    }
}
