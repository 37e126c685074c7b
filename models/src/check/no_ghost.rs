//! Ghosts: events of operations that the source of truth never committed.

use super::finding::{Evidence, Finding, Found};
use super::index::{Index, Logged, Receipt};
use crate::hash::HashMap;
use crate::history::{Operation, Outcome, Text};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if !index.records_delivery() {
        return Finding::unknown("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    let mut finding = Finding::requiring(&["deliveries"]);
    finding.count("deliveries", index.received().len() as u64);
    finding.count("committed_writes", index.commits.len() as u64);
    match index.ledger {
        Some(ledger) => by_ledger(index, ledger.index, &mut finding),
        None => by_outcomes(index, &mut finding),
    }
    finding
}

/// What was announced, live or in the log.
struct Announced {
    key: Text,
    ver: u64,
    op_id: Text,
    evidence: Evidence,
}

fn live(receipt: &Receipt, index: &Index<'_>) -> Announced {
    let Receipt { ver, op_id, .. } = *receipt;
    Announced { key: index.keys.name(receipt.key), ver, op_id, evidence: receipt.evidence() }
}

fn in_log(logged: &Logged, index: &Index<'_>) -> Announced {
    let (row, evidence) = index.log_row(logged);
    Announced { key: row.key, ver: row.ver, op_id: row.op_id, evidence }
}

/// With a ledger everything is decided: an operation committed if and only if it is there.
fn by_ledger(index: &Index<'_>, ledger_index: u64, finding: &mut Finding) {
    let of_nobody = index.delivers().iter().filter(|receipt| receipt.commit().is_none());
    let of_nobody_in_log = index.logged().iter().filter(|logged| !logged.is_of_commit());
    let ghosts = of_nobody.map(|receipt| live(receipt, index));
    for ghost in ghosts.chain(of_nobody_in_log.map(|logged| in_log(logged, index))) {
        finding.violated(ghost.evidence.at(), || {
            let Announced { key, ver, op_id, evidence } = ghost;
            Found::new(
                format!("{key} v{ver} of {op_id} was delivered, but {op_id} is not in the ledger: it never committed"),
                &key,
                &[&op_id],
                &[evidence, Evidence::Event(ledger_index)],
            )
        });
    }
}

/// Without one, only an operation that failed for certain accuses.
fn by_outcomes(index: &Index<'_>, finding: &mut Finding) {
    let writers: HashMap<Text, &Operation> =
        index.history.ops().iter().filter_map(|op| Some((op.op_id?, op))).collect();
    let mut undecided = 0_u64;
    let delivered = index.delivers().iter().map(|receipt| live(receipt, index));
    for announced in delivered.chain(index.logged().iter().map(|logged| in_log(logged, index))) {
        let Announced { key, ver, op_id: id, evidence } = announced;
        match writers.get(&id).map(|op| (op, &op.outcome)) {
            Some((_, Outcome::Ok)) => {}
            Some((op, Outcome::Fail(reason))) => finding.violated(evidence.at(), || {
                Found::new(
                    format!("{key} v{ver} of {id} was delivered, but {id} failed: {reason}"),
                    &key,
                    &[&id],
                    &[evidence, Evidence::op(op)],
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
