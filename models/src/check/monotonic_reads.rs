//! Monotonic reads (Terry et al., Session Guarantees, 1994): per session and key, and per copy and key, what is
//! seen never goes back.

use std::collections::hash_map::Entry;

use super::finding::{Evidence, Finding, Found};
use super::index::{Applied, Index};
use crate::hash::HashMap;

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if index.reads.is_empty() && index.effects.is_empty() {
        return Finding::unknown("there is no ok `read` and no `effect`");
    }
    let mut finding = Finding::requiring(&["later_observations"]);
    let again = judge_reads(index, &mut finding) + judge_effects(index, &mut finding);
    finding.count("later_observations", again);
    let cached = index.reads.iter().filter(|read| !read.is_of_db()).count();
    finding.count("cache_hits", cached as u64);
    finding
}

/// Gives how many reads had an earlier one in their session.
fn judge_reads(index: &Index<'_>, finding: &mut Finding) -> u64 {
    let ops = index.history.ops();
    let mut newest: HashMap<(u32, u32), (u64, usize)> = HashMap::default();
    let mut again = 0;
    for read in &index.reads {
        let Some(ver) = read.version() else {
            continue;
        };
        match newest.entry((index.sessions[read.op], read.key)) {
            Entry::Vacant(slot) => {
                slot.insert((ver, read.op));
            }
            Entry::Occupied(mut slot) => {
                again += 1;
                let (before, earlier) = *slot.get();
                if ver < before {
                    let (first, second) = (&ops[earlier], &ops[read.op]);
                    finding.violated(Evidence::op(second).at(), || {
                        let key = &read.item.key;
                        let now = read.shown();
                        Found::new(
                            format!("{} read {key} v{before} and later {now}", second.process),
                            key,
                            &[],
                            &[Evidence::op(first), Evidence::op(second)],
                        )
                    });
                } else {
                    slot.insert((ver, read.op));
                }
            }
        }
    }
    again
}

/// Gives how many effects had an earlier one on their store and key.
fn judge_effects(index: &Index<'_>, finding: &mut Finding) -> u64 {
    let mut newest: HashMap<(&str, u32), &Applied> = HashMap::default();
    let mut again = 0;
    for applied in &index.effects {
        match newest.entry((&applied.effect.store, applied.key)) {
            Entry::Vacant(slot) => {
                slot.insert(applied);
            }
            Entry::Occupied(mut slot) => {
                again += 1;
                let newer = *slot.get();
                if applied.effect.ver < newer.effect.ver {
                    finding.violated(applied.index, || went_back(newer, applied));
                } else {
                    slot.insert(applied);
                }
            }
        }
    }
    again
}

fn went_back(newer: &Applied, older: &Applied) -> Found {
    let (first, second) = (&newer.effect, &older.effect);
    Found::new(
        format!("{} went back: it applied {} v{} after v{}", second.store, second.key, second.ver, first.ver),
        &second.key,
        &[&first.op_id, &second.op_id],
        &[Evidence::Event(newer.index), Evidence::Event(older.index)],
    )
}
