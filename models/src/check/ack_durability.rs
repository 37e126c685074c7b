//! Durability of acknowledgements: what a client was told is done is in the source of truth.

use super::finding::{Evidence, Finding, Found};
use super::index::Index;
use crate::hash::HashMap;
use crate::history::{Final, Operation, SotRow, Text, WriteItem};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    let sot = index.history.final_sot();
    if index.ledger.is_none() && sot.is_none() {
        return Finding::unknown("no `final_ledger` and no `final_sot` says what was there at the end");
    }
    let mut finding = Finding::requiring(&["acknowledged_writes"]);
    let mut acknowledged = 0;
    let rows = sot.map(|sot| (sot, rows_by_key(sot)));
    for (op, item) in index.acknowledged() {
        acknowledged += 1;
        judge_by_ledger(op, item, index, &mut finding);
        if let Some((sot, rows)) = &rows {
            judge_by_sot(op, item, sot.event.index, rows, &mut finding);
        }
    }
    finding.count("acknowledged_writes", acknowledged);
    if index.ledger.is_none() && index.acknowledged().any(|(_, item)| item.ver.is_none()) {
        finding.undecided("no `final_ledger` says whether the writes without a version are there");
    }
    finding
}

fn rows_by_key<'h>(sot: Final<'h, SotRow>) -> HashMap<Text, (usize, &'h SotRow)> {
    sot.rows.iter().enumerate().map(|(at, row)| (row.key, (at, row))).collect()
}

fn judge_by_ledger(op: &Operation, item: &WriteItem, index: &Index<'_>, finding: &mut Finding) {
    let (Some(ledger), Some(op_id), Some(key)) = (index.ledger, op.op_id, index.key_number(item.key)) else {
        return;
    };
    if index.commits.of(op_id, key).next().is_none() {
        finding.violated(ledger.index.max(Evidence::op(op).at()), || {
            let (key, process) = (&item.key, &op.process);
            let summary =
                format!("{process} was told that {op_id} on {key} is done, but it is not in the ledger");
            Found::new(summary, key, &[&op_id], &[Evidence::op(op), Evidence::Event(ledger.index)])
        });
    }
}

fn judge_by_sot(
    op: &Operation,
    item: &WriteItem,
    sot_index: u64,
    rows: &HashMap<Text, (usize, &SotRow)>,
    finding: &mut Finding,
) {
    let Some(ver) = item.ver.filter(|ver| *ver > 0) else {
        return;
    };
    let row = rows.get(&item.key);
    if row.is_some_and(|(_, row)| row.ver >= ver) {
        return;
    }
    let (held, evidence) = match row {
        Some((at, row)) => (format!("v{}", row.ver), Evidence::Row(sot_index, *at)),
        None => ("nothing".to_owned(), Evidence::Event(sot_index)),
    };
    finding.violated(sot_index.max(Evidence::op(op).at()), || {
        let (key, process) = (&item.key, &op.process);
        let summary =
            format!("{process} was told that it made {key} v{ver}, but the source of truth holds {held}");
        Found::new(summary, key, &[op.op_id.as_deref().unwrap_or_default()], &[Evidence::op(op), evidence])
    });
}
