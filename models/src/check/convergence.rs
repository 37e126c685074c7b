//! Convergence: once all is quiet, every copy says what the source of truth says.

use std::collections::BTreeMap;

use super::finding::{Evidence, Finding, Found};
use super::index::Index;
use crate::hash::{HashMap, HashSet};
use crate::history::{CopyRow, Final, SotRow};

/// The copy that may leave entries out; every other is a projection, which may not.
const CACHE: &str = "cache";

pub(super) fn judge(index: &Index<'_>) -> Finding {
    let Some(sot) = index.history.final_sot() else {
        return Finding::unknown("no `final_sot` says what the source of truth held at the end");
    };
    let Some(copies) = index.history.final_cache() else {
        return Finding::unknown("no `final_cache` says what the copies held at the end");
    };
    let mut finding = Finding::requiring(&["copies_compared"]);
    finding.count("copies_compared", 0);
    let truth: HashMap<&str, (usize, &SotRow)> =
        sot.rows.iter().enumerate().map(|(at, row)| (row.key.as_str(), (at, row))).collect();
    let ends = Ends { sot, copies, truth };
    for at in 0..copies.rows.len() {
        ends.judge_entry(at, &mut finding);
    }
    ends.judge_missing(&mut finding);
    finding
}

/// Both ends of the comparison.
struct Ends<'h> {
    sot: Final<'h, SotRow>,
    copies: Final<'h, CopyRow>,
    truth: HashMap<&'h str, (usize, &'h SotRow)>,
}

impl Ends<'_> {
    fn judge_entry(&self, at: usize, finding: &mut Finding) {
        let copy = &self.copies.rows[at];
        if is_empty(copy) {
            return;
        }
        finding.count("copies_compared", 1);
        let completed = self.copies.event.index.max(self.sot.event.index);
        let entry = Evidence::Row(self.copies.event.index, at);
        match self.truth.get(copy.key.as_str()) {
            Some((row_at, row)) if differs(copy, row) => finding.violated(completed, || {
                let truth = Evidence::Row(self.sot.event.index, *row_at);
                Found::new(diverged(copy, row), &copy.key, &[], &[entry, truth])
            }),
            Some(_) => {}
            None => finding.violated(completed, || {
                let summary = format!(
                    "{} holds {} {}, which the source of truth does not have",
                    copy.store,
                    copy.key,
                    held(copy)
                );
                Found::new(summary, &copy.key, &[], &[entry, Evidence::Event(self.sot.event.index)])
            }),
        }
    }

    /// A projection holds all keys; what shows that there is one is any row of it.
    fn judge_missing(&self, finding: &mut Finding) {
        let mut projections: BTreeMap<&str, (usize, HashSet<&str>)> = BTreeMap::new();
        for (at, copy) in self.copies.rows.iter().enumerate().filter(|(_, copy)| copy.store != CACHE) {
            let (_, keys) = projections.entry(&copy.store).or_insert_with(|| (at, HashSet::default()));
            if !is_empty(copy) {
                keys.insert(&copy.key);
            }
        }
        let completed = self.copies.event.index.max(self.sot.event.index);
        for (store, (first, keys)) in projections {
            let missing = |row: &&SotRow| row.ver > 0 && !keys.contains(row.key.as_str());
            for row in self.sot.rows.iter().filter(missing) {
                finding.violated(completed, || self.missing(store, first, row));
            }
        }
    }

    fn missing(&self, store: &str, terminator: usize, row: &SotRow) -> Found {
        let other = &self.copies.rows[terminator].key;
        let rows = [&row.key, other].map(|key| self.truth.get(key.as_str()).map(|(at, _)| *at));
        let mut evidence = vec![Evidence::Row(self.copies.event.index, terminator)];
        evidence.extend(rows.into_iter().flatten().map(|at| Evidence::Row(self.sot.event.index, at)));
        let summary =
            format!("{store} has no row for {}, but the source of truth holds v{}", row.key, row.ver);
        Found::new(summary, &row.key, &[], &evidence)
    }
}

/// An entry that says "nothing here", or version 0 of it.
fn is_empty(copy: &CopyRow) -> bool {
    copy.ver.unwrap_or(0) == 0 && copy.value.is_null()
}

fn differs(copy: &CopyRow, row: &SotRow) -> bool {
    copy.ver.is_some_and(|ver| ver != row.ver) || copy.value.contradicts(&row.value)
}

fn held(copy: &CopyRow) -> String {
    copy.ver.map_or_else(|| copy.value.to_string(), |ver| format!("v{ver}"))
}

fn diverged(copy: &CopyRow, row: &SotRow) -> String {
    let CopyRow { store, key, .. } = copy;
    if copy.ver.is_some_and(|ver| ver != row.ver) {
        return format!("{store} holds {key} {}, but the source of truth holds v{}", held(copy), row.ver);
    }
    format!("{store} holds {key} = {}, but the source of truth holds {}", copy.value, row.value)
}
