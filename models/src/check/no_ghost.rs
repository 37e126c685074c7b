//! Ghosts: events of operations that the source of truth never committed.

use super::finding::{Evidence, Finding, Found};
use super::index::{Index, Receipt};
use crate::hash::HashMap;
use crate::history::{Operation, Outcome};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if !index.records_delivery() {
        return Finding::unknown("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    let mut finding = Finding::requiring(&["deliveries"]);
    finding.count("deliveries", index.received().len() as u64);
    finding.count("committed_writes", index.commits.len() as u64);
    let all = index.delivers.iter().chain(index.log.iter().flatten());
    match index.ledger {
        Some(ledger) => by_ledger(all, ledger.index, &mut finding),
        None => by_outcomes(all, index, &mut finding),
    }
    finding
}

/// With a ledger everything is decided: an operation committed if and only if it is there.
fn by_ledger<'i, 'h: 'i>(
    all: impl Iterator<Item = &'i Receipt<'h>>,
    ledger_index: u64,
    finding: &mut Finding,
) {
    for receipt in all.filter(|receipt| receipt.commit.is_none()) {
        finding.violated(receipt.evidence.at(), || {
            let event = &receipt.event;
            Found::new(
                format!(
                    "{} v{} of {} was delivered, but {} is not in the ledger: it never committed",
                    event.key, event.ver, event.op_id, event.op_id
                ),
                &event.key,
                &[&event.op_id],
                &[receipt.evidence, Evidence::Event(ledger_index)],
            )
        });
    }
}

/// Without one, only an operation that failed for certain accuses.
fn by_outcomes<'i, 'h: 'i>(
    all: impl Iterator<Item = &'i Receipt<'h>>,
    index: &Index<'h>,
    finding: &mut Finding,
) {
    let writers: HashMap<&str, &Operation> =
        index.history.ops().iter().filter_map(|op| Some((op.op_id.as_deref()?, op))).collect();
    let mut undecided = 0_u64;
    for receipt in all {
        let event = &receipt.event;
        match writers.get(event.op_id.as_str()).map(|op| (op, &op.outcome)) {
            Some((_, Outcome::Ok)) => {}
            Some((op, Outcome::Fail(reason))) => finding.violated(receipt.evidence.at(), || {
                let (key, ver, id) = (&event.key, event.ver, &event.op_id);
                Found::new(
                    format!("{key} v{ver} of {id} was delivered, but {id} failed: {reason}"),
                    key,
                    &[id],
                    &[receipt.evidence, Evidence::op(op)],
                )
            }),
            Some((_, Outcome::Info(_))) | None => undecided += 1,
        }
    }
    if undecided > 0 {
        finding.undecided(format!(
            "without a `final_ledger` nothing says whether the operations of {undecided} delivered events committed"
        ));
    }
}
