//! Versions that the history states: `[:w key value version]` and `[:r key value version]`, as a version column
//! gives them. The order of the versions of a key is then known, and not inferred.

use super::anomaly::Anomaly;
use super::found::Findings;
use super::register_order::Inferred;
use super::txns::{Act, Txns};
use super::versions::direct;
use crate::foreign::Word;
use crate::hash::HashMap;

/// The versions that are stated, and of which values.
#[derive(Default)]
pub(super) struct Stated {
    /// By key and value: the version, and the first transaction that says so.
    versions: HashMap<(u32, Word), (i64, u32)>,
}

impl Stated {
    /// Notes what is said of values that were installed. Two who give one value two versions contradict each other.
    pub(super) fn of(txns: &Txns<'_>, inferred: &Inferred, findings: &mut Findings) -> Stated {
        let mut stated = Stated::default();
        for (at, version) in &txns.stated {
            let mop = &txns.mops[*at as usize];
            let (Act::Write(value) | Act::Read(value)) = mop.act else { continue };
            if value == Word::NIL || inferred.version(mop.key, value).is_none() {
                continue;
            }
            let (known, by) = *stated.versions.entry((mop.key, value)).or_insert((*version, mop.txn));
            if known != *version {
                report(txns, [by, mop.txn], mop.key, value, findings);
            }
        }
        stated
    }

    /// The version of a value.
    pub(super) fn has(&self, key: u32, value: Word) -> bool {
        self.versions.contains_key(&(key, value))
    }

    /// Adds which version comes directly after which. Two values cannot be of one version.
    pub(super) fn add_order(
        &self,
        txns: &Txns<'_>,
        inferred: &Inferred,
        pairs: &mut Vec<(u32, u32)>,
        findings: &mut Findings,
    ) {
        let mut all: Vec<(u32, i64, u32, Word, u32)> = self
            .versions
            .iter()
            .filter_map(|((key, value), (version, by))| {
                Some((*key, *version, inferred.version(*key, *value)?, *value, *by))
            })
            .collect();
        all.sort_unstable();
        for pair in all.windows(2) {
            let [(key, version, number, ..), (next_key, next_version, next, value, by)] = pair else {
                continue;
            };
            if key != next_key {
                continue;
            }
            if version == next_version {
                let first = pair[0].4;
                report(txns, [first, *by], *key, *value, findings);
            } else {
                pairs.push((*number, *next));
            }
        }
    }
}

fn report(txns: &Txns<'_>, by: [u32; 2], key: u32, value: Word, findings: &mut Findings) {
    let anomaly = Anomaly::InconsistentVersions;
    findings.add(anomaly, || direct(txns, anomaly, &by, key, Some(value)));
}
