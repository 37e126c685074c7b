//! Lost updates (P4 of Berenson et al., 1995): a committed write that was computed from a version which another
//! committed write had already replaced.

use super::commits::Commit;
use super::exercise;
use super::finding::{Evidence, Finding, Found};
use super::index::Index;
use crate::hash::HashMap;
use crate::history::{SotRow, Text};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    if index.ledger.is_none() {
        return Finding::unknown("no `final_ledger` says what committed on what");
    }
    let meetings = index.meetings();
    let mut finding = Finding::requiring(&["committed_writes"]);
    if meetings.has_several_writers {
        finding.required.push("overlapping_writes_per_key");
    }
    finding.count("overlapping_writes_per_key", meetings.overlapping_writes_per_key);
    exercise::count_commits(&mut finding, index);
    let modify =
        index.commits.iter().filter(|commit| commit.base_ver().is_some() || commit.delta().is_some());
    finding.count("read_modify_writes", modify.count() as u64);
    let sot = index.history.final_sot();
    let mut final_rows: HashMap<Text, (Evidence, &SotRow)> = HashMap::default();
    for (at, row) in sot.iter().flat_map(|sot| sot.rows.iter().enumerate()) {
        let event = sot.map_or(0, |sot| sot.event.index);
        final_rows.insert(row.key, (Evidence::Row(event, at), row));
    }
    for (key, versions) in index.versions().groups() {
        let chain: Vec<&Commit<'_>> = versions.iter().map(|(.., at)| index.commits.at(*at)).collect();
        let name = index.keys.name(key);
        judge_bases(&name, &chain, &mut finding);
        let is_twice = |commit: &&Commit<'_>| index.commits.of(commit.op_id(), key).nth(1).is_some();
        if chain.iter().any(is_twice) {
            judge_applied_twice(&name, &chain, &mut finding);
        }
        judge_sums(&name, &chain, &mut finding);
        if let Some((evidence, row)) = final_rows.get(&name) {
            judge_final(&chain, *evidence, row, &mut finding);
        }
    }
    finding
}

fn ver(commit: &Commit<'_>) -> u64 {
    commit.ver().unwrap_or_default()
}

/// A base must be the version just before. Where it is not, a version between was overwritten unseen; the one
/// computed from the same base says best what happened.
fn judge_bases(key: &str, chain: &[&Commit<'_>], finding: &mut Finding) {
    for (at, commit) in chain.iter().enumerate() {
        let Some(base) = commit.base_ver() else {
            continue;
        };
        // Nearly always it is: then nothing needs to be looked for.
        if at.checked_sub(1).is_none_or(|before| ver(chain[before]) <= base) {
            continue;
        }
        let from = chain[..at].partition_point(|earlier| ver(earlier) <= base);
        let between = &chain[from..at];
        let unseen = between.iter().copied().filter(|other| ver(other) < ver(commit));
        let mut unseen = unseen.peekable();
        if unseen.peek().is_none() {
            continue;
        }
        finding.violated(commit.evidence().at(), || {
            let same_base = between.iter().copied().find(|other| other.base_ver() == Some(base));
            let lost = same_base.or_else(|| unseen.last()).unwrap_or(commit);
            Found::new(
                format!(
                    "{} computed {key} v{} from v{base} and overwrote v{} of {}, which it had not seen",
                    commit.op_id(),
                    ver(commit),
                    ver(lost),
                    lost.op_id()
                ),
                key,
                &[&lost.op_id(), &commit.op_id()],
                &[lost.evidence(), commit.evidence()],
            )
        });
    }
}

fn judge_applied_twice(key: &str, chain: &[&Commit<'_>], finding: &mut Finding) {
    let mut first_of: HashMap<Text, &Commit<'_>> =
        HashMap::with_capacity_and_hasher(chain.len(), Default::default());
    for commit in chain {
        let first = *first_of.entry(commit.op_id()).or_insert(commit);
        if !std::ptr::eq(first, *commit) {
            finding.violated(commit.evidence().at(), || {
                let (id, a, b) = (commit.op_id(), ver(first), ver(commit));
                let summary = format!("{id} was applied to {key} twice, as v{a} and as v{b}");
                Found::new(summary, key, &[&id], &[first.evidence(), commit.evidence()])
            });
        }
    }
}

/// An increment makes the value before it plus its delta.
fn judge_sums(key: &str, chain: &[&Commit<'_>], finding: &mut Finding) {
    for pair in chain.windows(2) {
        let (before, after) = (pair[0], pair[1]);
        let values = (before.value().as_int(), after.value().as_int(), after.delta());
        let (Some(old), Some(new), Some(delta)) = values else {
            continue;
        };
        if ver(before).checked_add(1) == Some(ver(after)) && old.checked_add(delta) != Some(new) {
            finding.violated(after.evidence().at(), || {
                Found::new(
                    format!(
                        "{} added {delta} to {key} v{} = {old}, and made v{} = {new}",
                        after.op_id(),
                        ver(before),
                        ver(after)
                    ),
                    key,
                    &[&before.op_id(), &after.op_id()],
                    &[before.evidence(), after.evidence()],
                )
            });
        }
    }
}

/// The source of truth must hold what the increments add up to.
fn judge_final(chain: &[&Commit<'_>], row_evidence: Evidence, row: &SotRow, finding: &mut Finding) {
    let (Some(last), Some(held)) = (chain.last(), row.value.as_int()) else {
        return;
    };
    if last.delta().is_none() || ver(last) != row.ver {
        return;
    }
    let (sum, evidence) = match last.value().as_int() {
        Some(value) => (value, vec![last.evidence(), row_evidence]),
        None => match sum_from_nothing(chain) {
            Some(sum) => {
                let all = chain.iter().map(|commit| commit.evidence()).chain([row_evidence]);
                (sum, all.collect())
            }
            None => return,
        },
    };
    if sum != held {
        finding.violated(row_evidence.at(), || {
            let key = &row.key;
            let summary =
                format!("the increments of {key} add up to {sum}, but the source of truth holds {held}");
            Found::new(summary, key, &[&last.op_id()], &evidence)
        });
    }
}

/// The sum of all deltas, if every version from 1 on is there with one.
fn sum_from_nothing(chain: &[&Commit<'_>]) -> Option<i64> {
    let mut sum = 0_i64;
    for (at, commit) in chain.iter().enumerate() {
        if ver(commit) != at as u64 + 1 || !commit.value().is_null() {
            return None;
        }
        sum = sum.checked_add(commit.delta()?)?;
    }
    Some(sum)
}
