//! Lost events: committed, and never delivered by the time all was quiet.

use super::commits::Commit;
use super::exercise;
use super::finding::{Evidence, Finding, Found};
use super::index::{Index, Receipt};

pub(super) fn judge(index: &Index<'_>) -> Finding {
    let mut finding = Finding::requiring(&["committed_writes"]);
    exercise::count_commits(&mut finding, index);
    finding.count("deliveries", index.received().len() as u64);
    if let Some(reason) = missing(index) {
        finding.undecided(reason);
        return finding;
    }
    for (commit, _) in index.commits.iter().zip(index.delivered()).filter(|(_, is_delivered)| !**is_delivered)
    {
        let at = commit.evidence().at();
        finding.violated(at, || lost(commit, index));
    }
    finding
}

/// What the history would have to hold for an absence to mean something.
fn missing(index: &Index<'_>) -> Option<&'static str> {
    if !index.records_delivery() {
        return Some("nothing says what was delivered: no `deliver` event and no `final_log`");
    }
    if index.ledger.is_none() && end(index).is_none() {
        return Some(
            "no `final_ledger` or other final read says that the history does not just end too early",
        );
    }
    None
}

fn lost(commit: &Commit<'_>, index: &Index<'_>) -> Found {
    let key = index.key_of(commit);
    let name = commit.ver().map_or_else(|| key.to_string(), |ver| format!("{key} v{ver}"));
    let committed = if index.ledger.is_some() { "is in the ledger" } else { "was acknowledged" };
    let mut evidence = vec![commit.evidence()];
    evidence.extend(terminator(commit, index));
    if index.ledger.is_none() && index.history.final_log().is_none() {
        evidence.extend(end(index).map(Evidence::Event));
    }
    Found::new(
        format!("{name} of {} {committed}, and was never delivered", commit.op_id()),
        &key,
        &[&commit.op_id()],
        &evidence,
    )
}

/// What shows that deliveries were recorded, and so that this one did not happen: the final log, or another
/// delivery, best of a later version of the same key.
fn terminator(commit: &Commit<'_>, index: &Index<'_>) -> Vec<Evidence> {
    if let Some(log) = index.history.final_log() {
        return vec![Evidence::Event(log.event.index)];
    }
    let is_other = |receipt: &&Receipt| !index.is_of(receipt, commit);
    let is_later =
        |receipt: &&Receipt| receipt.key == commit.key && commit.ver().is_some_and(|ver| receipt.ver > ver);
    let others = || index.delivers().iter().filter(is_other);
    let receipt =
        others().find(is_later).or_else(|| others().next_back()).or_else(|| index.delivers().last());
    receipt.map(|receipt| index.shown_beside(receipt, commit)).unwrap_or_default()
}

/// The first final read of any kind other than the ledger.
fn end(index: &Index<'_>) -> Option<u64> {
    let history = index.history;
    let finals = [
        history.final_log().map(|read| read.event.index),
        history.final_sot().map(|read| read.event.index),
        history.final_cache().map(|read| read.event.index),
        history.final_outbox().map(|read| read.event.index),
    ];
    finals.into_iter().flatten().next()
}
