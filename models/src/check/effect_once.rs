//! Effects downstream: exactly one for each committed version, in every store that has effects.

use std::collections::hash_map::Entry;

use super::exercise;
use super::finding::{Evidence, Finding, Found};
use super::index::{Applied, Commit, Index};
use crate::hash::HashMap;

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
    let mut identities: Vec<u32> = index.delivers.iter().map(|receipt| receipt.identity).collect();
    identities.sort_unstable();
    let all = identities.len();
    identities.dedup();
    finding.count("redeliveries", (all - identities.len()) as u64);
}

/// Gives the first effect of each store, in order.
fn judge_doubled<'i, 'h>(index: &'i Index<'h>, finding: &mut Finding) -> Vec<&'i Applied> {
    let mut stores: Vec<&Applied> = Vec::new();
    let mut numbers: HashMap<&str, u32> = HashMap::default();
    let mut first_of = HashMap::with_capacity_and_hasher(index.effects.len(), Default::default());
    for applied in &index.effects {
        let store = *numbers.entry(&applied.effect.store).or_insert_with(|| {
            stores.push(applied);
            stores.len() as u32 - 1
        });
        match first_of.entry((store, applied.identity)) {
            Entry::Vacant(slot) => {
                slot.insert(applied);
            }
            Entry::Occupied(slot) => finding.violated(applied.index, || doubled(slot.get(), applied)),
        }
    }
    stores
}

fn doubled(first: &Applied, second: &Applied) -> Found {
    let (a, b) = (&first.effect, &second.effect);
    Found::new(
        format!("{} v{} of {} took effect twice in {}", a.key, a.ver, a.op_id, a.store),
        &a.key,
        &[&a.op_id, &b.op_id],
        &[Evidence::Event(first.index), Evidence::Event(second.index)],
    )
}

fn judge_missing(index: &Index<'_>, stores: &[&Applied], finding: &mut Finding) {
    for first in stores {
        let store = &first.effect.store;
        let of_store = index.effects.iter().filter(|applied| applied.effect.store == *store);
        let is_applied = index.covered(of_store.map(|applied| (applied.commit, applied.effect.ver)));
        for (commit, _) in index.commits.iter().zip(is_applied).filter(|(_, is_applied)| !is_applied) {
            finding.violated(commit.evidence.at(), || missing(index, commit, store));
        }
    }
}

/// Another effect of the store shows that its effects were recorded, and so that this one did not happen. One of
/// the same operation needs its own commit beside it: alone it could pass for the missing one.
fn missing(index: &Index<'_>, commit: &Commit<'_>, store: &str) -> Found {
    let key = index.key_of(commit);
    let is_of = |applied: &&Applied| applied.key == commit.key && applied.effect.op_id == commit.op_id;
    let of_store = || index.effects.iter().filter(|applied| applied.effect.store == store);
    let other = of_store().find(|applied| !is_of(applied));
    let mut evidence = vec![commit.evidence];
    if let Some(applied) = other.or_else(|| of_store().next()) {
        evidence.push(Evidence::Event(applied.index));
        let own = applied.commit.filter(|_| is_of(&applied));
        evidence.extend(own.map(|own| index.commits[own as usize].evidence));
    }
    let name = commit.ver.map_or_else(|| key.to_owned(), |ver| format!("{key} v{ver}"));
    let summary = format!("{name} of {} is in the ledger, and never took effect in {store}", commit.op_id);
    Found::new(summary, key, &[commit.op_id], &evidence)
}
