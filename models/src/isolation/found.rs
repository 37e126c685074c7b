//! What was found on the way: of each anomaly how many, and the first with its evidence.

use std::collections::BTreeMap;

use super::anomaly::Anomaly;
use super::witness::Witness;

/// Anomalies by kind.
#[derive(Default)]
pub(super) struct Findings {
    found: BTreeMap<Anomaly, (u64, Witness)>,
    /// Kinds of cycles that were looked for until the budget ran out.
    pub(super) undecided: Vec<Anomaly>,
}

impl Findings {
    /// Counts one; its evidence is made for the first alone.
    pub(super) fn add(&mut self, anomaly: Anomaly, witness: impl FnOnce() -> Witness) {
        self.found.entry(anomaly).or_insert_with(|| (0, witness())).0 += 1;
    }

    pub(super) fn has(&self, anomaly: Anomaly) -> bool {
        self.found.contains_key(&anomaly)
    }

    pub(super) fn into_found(self) -> (Vec<(Anomaly, u64, Witness)>, Vec<Anomaly>) {
        let found =
            self.found.into_iter().map(|(anomaly, (count, witness))| (anomaly, count, witness)).collect();
        (found, self.undecided)
    }
}
