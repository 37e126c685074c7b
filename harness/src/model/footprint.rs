//! What a step read and wrote in the systems of the model. Two steps commute if neither wrote what the other
//! read or wrote; that is what the explorer's partial-order reduction rests on.

use std::hash::{Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard};

/// Something that a step can read or write: a row, a range of an index, a sequence, a partition's end, a key of
/// the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Resource {
    space: u64,
    item: Option<u64>,
}

impl Resource {
    /// All of a space: every row of a table, every key of a cache.
    pub fn all(space: &str) -> Self {
        Resource { space: hashed(space), item: None }
    }

    /// One item of a space.
    pub fn one(space: &str, item: impl Hash) -> Self {
        Resource { space: hashed(space), item: Some(hashed(item)) }
    }

    /// Whether the two have anything in common.
    pub fn overlaps(&self, other: &Resource) -> bool {
        self.space == other.space
            && match (self.item, other.item) {
                (Some(one), Some(two)) => one == two,
                (None, _) | (_, None) => true,
            }
    }
}

/// A resource, and whether it was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Access {
    /// What.
    pub resource: Resource,
    /// Whether it was written, or only read.
    pub write: bool,
}

impl Access {
    /// Whether the order of the two matters.
    pub fn conflicts(&self, other: &Access) -> bool {
        (self.write || other.write) && self.resource.overlaps(&other.resource)
    }
}

/// Collects the accesses of the step that is being taken. All systems of one run share one; a clone is the same.
/// Until it is switched on it costs a lock and collects nothing.
#[derive(Debug, Clone, Default)]
pub struct Footprints(Arc<Mutex<Option<Vec<Access>>>>);

impl Footprints {
    /// From now on accesses are collected.
    pub fn switch_on(&self) {
        self.lock().get_or_insert_default();
    }

    /// Whether accesses are collected. Ask before computing what is costly to name.
    pub fn are_on(&self) -> bool {
        self.lock().is_some()
    }

    /// Notes a read.
    pub fn read(&self, resource: impl FnOnce() -> Resource) {
        self.note(resource, false);
    }

    /// Notes a write.
    pub fn write(&self, resource: impl FnOnce() -> Resource) {
        self.note(resource, true);
    }

    /// What was collected since the last call, sorted, each once.
    pub fn take(&self) -> Vec<Access> {
        let mut taken = self.lock().as_mut().map(std::mem::take).unwrap_or_default();
        taken.sort_unstable();
        taken.dedup();
        taken
    }

    fn note(&self, resource: impl FnOnce() -> Resource, write: bool) {
        if let Some(accesses) = self.lock().as_mut() {
            accesses.push(Access { resource: resource(), write });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Vec<Access>>> {
        self.0.lock().expect("no code panics while it holds the footprints")
    }
}

/// FNV-1a: the same on every machine and in every run.
pub(crate) fn hashed(value: impl Hash) -> u64 {
    struct Fnv(u64);
    impl Hasher for Fnv {
        fn finish(&self) -> u64 {
            self.0
        }
        fn write(&mut self, bytes: &[u8]) {
            for byte in bytes {
                self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
            }
        }
    }
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    value.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_meets_every_item_of_its_space_and_no_other() {
        let all = Resource::all("table 1");
        assert!(all.overlaps(&Resource::one("table 1", "k1")));
        assert!(!all.overlaps(&Resource::one("table 2", "k1")));
        assert!(!Resource::one("table 1", "k1").overlaps(&Resource::one("table 1", "k2")));
    }

    #[test]
    fn two_reads_commute_and_a_write_does_not() {
        let access = |write| Access { resource: Resource::all("t"), write };
        assert!(!access(false).conflicts(&access(false)));
        assert!(access(false).conflicts(&access(true)));
    }

    #[test]
    fn nothing_is_collected_before_it_is_switched_on() {
        let footprints = Footprints::default();
        footprints.write(|| Resource::all("t"));
        assert_eq!(footprints.take(), []);
        footprints.switch_on();
        footprints.write(|| Resource::all("t"));
        footprints.write(|| Resource::all("t"));
        assert_eq!(footprints.take().len(), 1);
    }
}
