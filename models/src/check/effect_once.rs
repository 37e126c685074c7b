//! Effects downstream: exactly one for each committed version, in every store that has effects.

use super::commits::Commit;
use super::exercise;
use super::finding::{Evidence, Finding, Found};
use super::index::{Applied, Index};
use super::pairs::Pairs;
use crate::history::Text;

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if index.effects.is_empty() {
        return Finding::unknown("no `effect` event says what was applied downstream");
    }
    let mut finding = Finding::requiring(&["effects", "committed_writes"]);
    finding.count("effects", index.effects.len() as u64);
    exercise::count_commits(&mut finding, index);
    count_redeliveries(index, &mut finding);
    let stores = judge_doubled(index, &mut finding);
    if index.ledger.is_some() {
        judge_missing(index, &stores, &mut finding);
    } else {
        finding.undecided("no `final_ledger` says which effects there have to be");
    }
    finding
}

/// What an effect has to withstand.
fn count_redeliveries(index: &Index<'_>, finding: &mut Finding) {
    let mut had = Pairs::default();
    let again = index.delivers().iter().filter(|receipt| !had.insert(0, receipt.identity)).count();
    finding.count("redeliveries", again as u64);
}

/// Gives the first effect of each store, in order.
fn judge_doubled<'i>(index: &'i Index<'_>, finding: &mut Finding) -> Vec<&'i Applied> {
    let mut stores: Vec<&Applied> = Vec::new();
    for applied in &index.effects {
        if applied.is_again {
            finding.violated(applied.index, || doubled(index, applied));
        } else if !stores.iter().any(|first| first.store == applied.store) {
            stores.push(applied);
        }
    }
    stores
}

fn doubled(index: &Index<'_>, second: &Applied) -> Found {
    let is_first = |first: &&Applied| first.store == second.store && first.identity == second.identity;
    let first = index.effects.iter().find(is_first).unwrap_or(second);
    let key = index.keys.name(first.key);
    Found::new(
        format!("{key} v{} of {} took effect twice in {}", first.ver, first.op_id, first.store),
        &key,
        &[&first.op_id, &second.op_id],
        &[Evidence::Event(first.index), Evidence::Event(second.index)],
    )
}

fn judge_missing(index: &Index<'_>, stores: &[&Applied], finding: &mut Finding) {
    for first in stores {
        let of_store = index.effects.iter().filter(|applied| applied.store == first.store);
        let is_applied = index.covered(of_store.map(|applied| (applied.commit(), applied.ver)));
        for (commit, _) in index.commits.iter().zip(is_applied).filter(|(_, is_applied)| !is_applied) {
            finding.violated(commit.evidence().at(), || missing(index, commit, first.store));
        }
    }
}

/// Another effect of the store shows that its effects were recorded, and so that this one did not happen. One of
/// the same operation needs its own commit beside it: alone it could pass for the missing one.
fn missing(index: &Index<'_>, commit: &Commit<'_>, store: Text) -> Found {
    let key = index.key_of(commit);
    let is_of = |applied: &&Applied| applied.key == commit.key && applied.op_id == commit.op_id();
    let of_store = || index.effects.iter().filter(|applied| applied.store == store);
    let other = of_store().find(|applied| !is_of(applied));
    let mut evidence = vec![commit.evidence()];
    if let Some(applied) = other.or_else(|| of_store().next()) {
        evidence.push(Evidence::Event(applied.index));
        let own = applied.commit().filter(|_| is_of(&applied));
        evidence.extend(own.map(|own| index.commits.at(own).evidence()));
    }
    let name = commit.ver().map_or_else(|| key.to_string(), |ver| format!("{key} v{ver}"));
    let summary = format!("{name} of {} is in the ledger, and never took effect in {store}", commit.op_id());
    Found::new(summary, &key, &[&commit.op_id()], &evidence)
}
