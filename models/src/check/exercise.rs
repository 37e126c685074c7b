//! Counters that several checkers share: how much of what could go wrong took place.

use std::collections::BTreeSet;

use super::by_key::ByKey;
use super::finding::Finding;
use super::index::Index;
use crate::history::{Operation, Process};

/// How writes met.
pub(super) struct Meetings {
    /// Committed writes that began while another one, of any key, was under way.
    pub(super) overlapping_writes: u64,
    /// Committed writes that began while another one of the same key was under way.
    pub(super) overlapping_writes_per_key: u64,
    /// Whether more than one process wrote: a single writer has nothing to race with.
    pub(super) has_several_writers: bool,
}

pub(super) fn meetings(index: &Index<'_>) -> Meetings {
    let mut spans: Vec<(u32, u64, u64)> = Vec::new();
    let mut writers: BTreeSet<&Process> = BTreeSet::new();
    let mut last_writer = None;
    for op in index.history.ops() {
        for item in op.writes() {
            // A write whose client never heard of it met others all the same, if the ledger has it. When it
            // ended nobody knows; that it had begun to be unknown is the least.
            if let (Some(key), Some(end)) = (index.key_number(item.key), op.complete_time())
                && (op.is_ok() || is_in_ledger(index, op, key))
            {
                if last_writer.replace(&op.process) != Some(&op.process) {
                    writers.insert(&op.process);
                }
                spans.push((key, op.invoke_time, end));
            }
        }
    }
    spans.sort_unstable_by_key(|(_, from, to)| (*from, *to));
    let overlapping_writes = overlaps(&spans);
    let by_key = ByKey::group(index.keys.len(), || spans.iter().copied(), |(key, ..)| *key);
    Meetings {
        overlapping_writes,
        overlapping_writes_per_key: by_key.groups().map(|(_, spans)| overlaps(spans)).sum(),
        has_several_writers: writers.len() > 1,
    }
}

fn is_in_ledger(index: &Index<'_>, op: &Operation, key: u32) -> bool {
    index.ledger.is_some() && index.commits.of(op.op_id.unwrap_or_default(), key).next().is_some()
}

/// How many spans, in order of their beginnings, begin before all earlier ones have ended.
fn overlaps(spans: &[(u32, u64, u64)]) -> u64 {
    let mut last_end = 0;
    let mut count = 0;
    for (_, from, to) in spans {
        count += u64::from(*from < last_end);
        last_end = last_end.max(*to);
    }
    count
}

/// Counts commits, and the keys that have more than one version.
pub(super) fn count_commits(finding: &mut Finding, index: &Index<'_>) {
    let several = index.versions().groups().filter(|(_, versions)| versions.len() > 1).count();
    finding.count("committed_writes", index.commits.len() as u64);
    finding.count("keys_with_several_versions", several as u64);
}
