//! What the calls read and wrote, by the names that the explorer compares.
//!
//! A partition (its messages, its end, its marks and watermarks), a group (its members), an offset that a group
//! has committed, a transactional id, and the health of the cluster are one resource each.

use crate::model::footprint::{Footprints, Resource};

#[derive(Debug, Clone)]
pub(super) struct Notes(Footprints);

impl Notes {
    pub(super) fn new(footprints: Footprints) -> Self {
        Notes(footprints)
    }

    pub(super) fn partition(&self, topic: &str, partition: usize, write: bool) {
        self.note(|| Resource::one("broker partition", (topic, partition)), write);
    }

    pub(super) fn group(&self, group: &str, write: bool) {
        self.note(|| Resource::one("broker group", group), write);
    }

    pub(super) fn offset(&self, group: &str, topic: &str, partition: usize, write: bool) {
        self.note(|| Resource::one("broker offset", (group, topic, partition)), write);
    }

    pub(super) fn transaction(&self, id: &str, write: bool) {
        self.note(|| Resource::one("broker transaction", id), write);
    }

    /// Whether the cluster is up, which of its followers follow, and which requests or replies get lost.
    pub(super) fn health(&self, write: bool) {
        self.note(|| Resource::all("broker health"), write);
    }

    /// The list of topics.
    pub(super) fn topics(&self, write: bool) {
        self.note(|| Resource::all("broker topics"), write);
    }

    /// A fault that touches every partition.
    pub(super) fn all_partitions(&self) {
        self.note(|| Resource::all("broker partition"), true);
    }

    fn note(&self, resource: impl FnOnce() -> Resource, write: bool) {
        if write { self.0.write(resource) } else { self.0.read(resource) }
    }
}
