//! Bounded staleness: a read returns what was newest at some instant not longer than delta before it began.
//!
//! Golab, Li and Shah call this delta-atomicity; here only stale reads count, and only what is provable: a
//! version counts as overwritten from the moment at which somebody knew of a newer one.

use super::by_key::ByKey;
use super::finding::{Evidence, Finding, Found};
use super::index::{Index, Seen};
use crate::history::Operation;

pub(super) fn judge(index: &Index<'_>, delta_ns: Option<u64>) -> Finding {
    if index.reads.is_empty() {
        return Finding::unknown("there is no ok `read`");
    }
    let Some(delta_ns) = delta_ns else {
        return Finding::unknown("no bound was given: neither as an option nor as `delta_ns` in the header");
    };
    let mut finding = Finding::requiring(&["reads_of_overwritten_keys"]);
    let cached = index.reads.iter().filter(|read| !read.is_of_db()).count();
    finding.count("cache_hits", cached as u64);
    finding.count("reads", index.reads.len() as u64);
    let proofs = proofs(index);
    let mut overwritten = 0;
    for read in &index.reads {
        overwritten += judge_read(read, proofs.get(read.key), delta_ns, index, &mut finding);
    }
    finding.count("reads_of_overwritten_keys", overwritten);
    finding
}

/// That a version of a key was committed by `time`.
#[derive(Clone, Copy)]
struct Proof {
    key: u32,
    ver: u64,
    time: u64,
    op: usize,
}

/// Per key, by version: for each version the earliest proof that it or a newer one was committed.
fn proofs(index: &Index<'_>) -> ByKey<Proof> {
    let mut proofs = Vec::new();
    for (at, op) in index.history.ops().iter().enumerate() {
        if let (true, Some(time)) = (op.is_ok(), op.complete_time()) {
            for item in op.writes() {
                if let (Some(key), Some(ver)) = (index.key_number(item.key), item.ver)
                    && is_committed(index, op, key, ver)
                {
                    proofs.push(Proof { key, ver, time, op: at });
                }
            }
        }
    }
    // What the database showed was committed by then, also where its writer never learnt of it.
    for read in index.reads.iter().filter(|read| read.is_of_db()) {
        if let (Some(ver), Some(time)) = (read.item.ver, index.history.ops()[read.op].complete_time()) {
            proofs.push(Proof { key: read.key, ver, time, op: read.op });
        }
    }
    proofs.sort_unstable_by_key(|proof| (proof.ver, proof.time, proof.op));
    let mut by_key = ByKey::group(index.keys.len(), || proofs.iter().copied(), |proof| proof.key);
    for key in 0..index.keys.len() as u32 {
        let group = by_key.get_mut(key);
        for at in (1..group.len()).rev() {
            if group[at].time < group[at - 1].time {
                // The newer version proves the older one too; its own version number stays for the search.
                group[at - 1] = Proof { ver: group[at - 1].ver, ..group[at] };
            }
        }
    }
    by_key
}

/// An acknowledgement that the ledger contradicts proves nothing.
fn is_committed(index: &Index<'_>, op: &Operation, key: u32, ver: u64) -> bool {
    index.ledger.is_none()
        || index
            .commits
            .of(op.op_id.unwrap_or_default(), key)
            .any(|commit| index.commits.at(commit).ver() == Some(ver))
}

/// Whether the key had been overwritten for certain when the read began, as 0 or 1.
fn judge_read(
    read: &Seen<'_>,
    proofs: &[Proof],
    delta_ns: u64,
    index: &Index<'_>,
    finding: &mut Finding,
) -> u64 {
    let op = &index.history.ops()[read.op];
    let was_overwritten = proofs.first().is_some_and(|proof| proof.time < op.invoke_time);
    let newer = read.version().and_then(|ver| {
        let at = proofs.partition_point(|proof| proof.ver <= ver);
        proofs.get(at)
    });
    if let Some(proof) = newer
        && proof.time.saturating_add(delta_ns) < op.invoke_time
    {
        finding.violated(Evidence::op(op).at(), || stale(read, proof, index));
    }
    u64::from(was_overwritten)
}

fn stale(read: &Seen<'_>, proof: &Proof, index: &Index<'_>) -> Found {
    let ops = index.history.ops();
    let (reader, newer) = (&ops[read.op], &ops[proof.op]);
    let age_us = (reader.invoke_time - proof.time) / 1000;
    let key = &read.item.key;
    let seen = read.shown();
    Found::new(
        format!(
            "{} read {seen} of {key}, which had been overwritten at least {age_us} us before it began to read",
            reader.process
        ),
        key,
        &[newer.op_id.as_deref().unwrap_or_default(), reader.op_id.as_deref().unwrap_or_default()],
        &[Evidence::op(newer), Evidence::op(reader)],
    )
}
