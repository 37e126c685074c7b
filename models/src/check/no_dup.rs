//! Duplicates: an event delivered twice to one consumer, or twice in the log.

use super::finding::{Evidence, Finding, Found};
use super::index::{Index, Logged, Receipt};
use super::pairs::Pairs;
use crate::history::Deliver;

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if !index.records_delivery() {
        return Finding::unknown("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    let mut finding = Finding::requiring(&["deliveries"]);
    finding.count("deliveries", index.received().len() as u64);
    let mut had = Pairs::default();
    let is_again = |receipt: &&Receipt| !had.insert(receipt.lane, receipt.identity);
    for receipt in index.delivers().iter().filter(is_again) {
        finding.violated(receipt.evidence().at(), || live(index, receipt));
    }
    // In the log any two places count, in whatever partitions.
    let mut had = Pairs::default();
    for logged in index.logged().iter().filter(|logged| !had.insert(0, logged.identity)) {
        finding.violated(index.log_row(logged).1.at(), || in_log(index, logged));
    }
    finding
}

/// A duplicate and the first receipt of the same lane.
fn live(index: &Index<'_>, second: &Receipt) -> Found {
    let is_first = |first: &&Receipt| first.lane == second.lane && first.identity == second.identity;
    let first = index.delivers().iter().find(is_first).unwrap_or(second);
    let said = |receipt: &Receipt| index.said(receipt);
    twice(&said(first), &said(second), [first.evidence(), second.evidence()])
}

fn in_log(index: &Index<'_>, second: &Logged) -> Found {
    let first = index.logged().iter().find(|first| first.identity == second.identity).unwrap_or(second);
    let ((a, first), (b, second)) = (index.log_row(first), index.log_row(second));
    twice(a, b, [first, second])
}

fn twice(a: &Deliver, b: &Deliver, evidence: [Evidence; 2]) -> Found {
    Found::new(
        format!(
            "the event {} v{} of {} came twice: at {}/{}@{} and at {}/{}@{}",
            a.key, a.ver, a.op_id, a.topic, a.partition, a.offset, b.topic, b.partition, b.offset
        ),
        &a.key,
        &[&a.op_id, &b.op_id],
        &evidence,
    )
}
