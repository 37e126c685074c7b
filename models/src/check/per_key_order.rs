//! Order per key: first deliveries by version, and one partition.
//!
//! An event that announces what never committed has no place in that order: it is a ghost, and `no-ghost`
//! accuses it. So where a ledger tells which events those are, they are left out here.

use std::collections::hash_map::Entry;

use super::finding::{Finding, Found};
use super::index::{Index, Receipt};
use crate::hash::HashMap;
use crate::history::Text;

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
    let (mut ghosts, mut again, mut first, mut several) = (0, 0, 0, 0);
    let mut newest: HashMap<(u32, u32), (&Receipt, u64)> = HashMap::default();
    for receipt in index.received() {
        if index.ledger.is_some() && receipt.commit().is_none() {
            ghosts += 1;
            continue;
        }
        if receipt.is_again {
            again += 1;
            continue;
        }
        first += 1;
        match newest.entry((receipt.lane, receipt.key)) {
            Entry::Vacant(slot) => {
                slot.insert((receipt, 1));
            }
            Entry::Occupied(mut slot) => {
                let (newer, count) = slot.get_mut();
                *count += 1;
                several += u64::from(*count == 2);
                if receipt.ver < newer.ver {
                    finding.violated(receipt.evidence().at(), || out_of_order(index, newer, receipt));
                } else {
                    *newer = receipt;
                }
            }
        }
    }
    let counts = [
        ("ghosts_left_out", ghosts),
        ("redeliveries", again),
        ("first_deliveries", first),
        ("keys_with_several_deliveries", several),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        finding.count(name, count);
    }
}

fn out_of_order(index: &Index<'_>, newer: &Receipt, older: &Receipt) -> Found {
    let key = index.keys.name(older.key);
    Found::new(
        format!("{key} v{} was delivered after v{}", older.ver, newer.ver),
        &key,
        &[&newer.op_id, &older.op_id],
        &[newer.evidence(), older.evidence()],
    )
}

fn judge_partitions(index: &Index<'_>, finding: &mut Finding) {
    let mut homes: HashMap<(Text, u32), &Receipt> = HashMap::default();
    for receipt in index.received() {
        let home = *homes.entry((receipt.topic, receipt.key)).or_insert(receipt);
        if home.partition != receipt.partition {
            finding.violated(receipt.evidence().at(), || {
                let (first, second, key) = (home, receipt, index.keys.name(receipt.key));
                Found::new(
                    format!(
                        "events of {} lie in two partitions of {}: v{} in {}, v{} in {}",
                        key, first.topic, first.ver, first.partition, second.ver, second.partition
                    ),
                    &key,
                    &[&first.op_id, &second.op_id],
                    &[home.evidence(), receipt.evidence()],
                )
            });
        }
    }
}
