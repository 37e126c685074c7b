//! Early events: they are out before the source of truth shows what they announce.

use super::by_key::ByKey;
use super::finding::{Evidence, Finding, Found};
use super::index::{Index, Receipt, Seen};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if index.delivers().is_empty() {
        return Finding::unknown("no `deliver` event says when anything was received");
    }
    let reads: Vec<&Seen<'_>> = index.reads.iter().filter(|read| read.is_of_db()).collect();
    if reads.is_empty() {
        return Finding::unknown("no ok `read` says what the source of truth showed");
    }
    let mut finding = Finding::requiring(&["reads_after_delivery"]);
    finding.count("deliveries", index.delivers().len() as u64);
    finding.count("db_reads", reads.len() as u64);
    let newest = newest_by_time(index);
    let mut after_delivery = 0;
    // Reads begin one after the other, nearly always: how far each key was then is looked up from where it was before.
    let mut passed = vec![0; index.keys.len()];
    for read in reads {
        let passed = &mut passed[read.key as usize];
        judge_read(read, newest.get(read.key), passed, index, &mut finding);
        after_delivery += u64::from(*passed > 0 && read.version().is_some());
    }
    finding.count("reads_after_delivery", after_delivery);
    finding
}

/// Per key, the receipts that announced a version newer than all before: versions rise with time.
fn newest_by_time<'i>(index: &'i Index<'_>) -> ByKey<&'i Receipt> {
    let mut newest: Vec<Option<u64>> = vec![None; index.keys.len()];
    let rising = index.delivers().iter().filter(|receipt| {
        let slot = &mut newest[receipt.key as usize];
        let is_newer = slot.is_none_or(|ver| receipt.ver > ver);
        if is_newer {
            *slot = Some(receipt.ver);
        }
        is_newer
    });
    let rising: Vec<&Receipt> = rising.collect();
    ByKey::group(index.keys.len(), || rising.iter().copied(), |receipt| receipt.key)
}

fn judge_read(
    read: &Seen<'_>,
    newest: &[&Receipt],
    passed: &mut usize,
    index: &Index<'_>,
    finding: &mut Finding,
) {
    let op = &index.history.ops()[read.op];
    let begin = (op.invoke_time, op.invoke_index);
    let is_before = |receipt: &&Receipt| receipt.moment() < begin;
    if newest[..*passed].last().is_some_and(|receipt| !is_before(receipt)) {
        *passed = newest.partition_point(is_before);
    }
    *passed += newest[*passed..].iter().take_while(|receipt| is_before(receipt)).count();
    let (Some(latest), Some(ver)) = (passed.checked_sub(1), read.version()) else {
        return;
    };
    if newest[latest].ver <= ver {
        return;
    }
    // The earliest event that the read contradicts tells more than the latest.
    let receipt = newest[newest.partition_point(|receipt| receipt.ver <= ver)];
    let read_evidence = Evidence::op(op);
    finding.violated(read_evidence.at(), || {
        let key = index.keys.name(receipt.key);
        Found::new(
            format!(
                "{} v{} was received before {} began to read {} from the database, which still showed {}",
                key,
                receipt.ver,
                op.process,
                key,
                read.shown()
            ),
            &key,
            &[&receipt.op_id],
            &[receipt.evidence(), read_evidence],
        )
    });
}
