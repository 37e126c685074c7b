//! Early events: they are out before the source of truth shows what they announce.

use super::by_key::ByKey;
use super::finding::{Evidence, Finding, Found};
use super::index::{Index, Receipt, Seen};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if index.delivers.is_empty() {
        return Finding::unknown("no `deliver` event says when anything was received");
    }
    let reads: Vec<&Seen<'_>> = index.reads.iter().filter(|read| read.is_of_db()).collect();
    if reads.is_empty() {
        return Finding::unknown("no ok `read` says what the source of truth showed");
    }
    let mut finding = Finding::requiring(&["reads_after_delivery"]);
    finding.count("deliveries", index.delivers.len() as u64);
    finding.count("db_reads", reads.len() as u64);
    let newest = newest_by_time(index);
    for read in reads {
        judge_read(read, newest.get(read.key), index, &mut finding);
    }
    finding
}

/// Per key, the receipts that announced a version newer than all before: versions rise with time.
fn newest_by_time<'i, 'h>(index: &'i Index<'h>) -> ByKey<&'i Receipt<'h>> {
    let mut newest: Vec<Option<u64>> = vec![None; index.keys.len()];
    let rising = index.delivers.iter().filter(|receipt| {
        let slot = &mut newest[receipt.key as usize];
        let is_newer = slot.is_none_or(|ver| receipt.event.ver > ver);
        if is_newer {
            *slot = Some(receipt.event.ver);
        }
        is_newer
    });
    let rising = rising.collect();
    ByKey::group(index.keys.len(), rising, |receipt| receipt.key)
}

fn judge_read(read: &Seen<'_>, newest: &[&Receipt<'_>], index: &Index<'_>, finding: &mut Finding) {
    let op = &index.history.ops()[read.op];
    let begin = (op.invoke_time, op.invoke_index);
    let before = newest.partition_point(|receipt| receipt.moment < begin);
    let (Some(latest), Some(ver)) = (before.checked_sub(1), read.version()) else {
        return;
    };
    finding.count("reads_after_delivery", 1);
    if newest[latest].event.ver <= ver {
        return;
    }
    // The earliest event that the read contradicts tells more than the latest.
    let receipt = newest[newest.partition_point(|receipt| receipt.event.ver <= ver)];
    let read_evidence = Evidence::op(op);
    finding.violated(read_evidence.at(), || {
        let event = &receipt.event;
        Found::new(
            format!(
                "{} v{} was received before {} began to read {} from the database, which still showed {}",
                event.key,
                event.ver,
                op.process,
                event.key,
                read.shown()
            ),
            &event.key,
            &[&event.op_id],
            &[receipt.evidence, read_evidence],
        )
    });
}
