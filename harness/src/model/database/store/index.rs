//! An index: keys in order, each with the versions that have it. It has an entry for every version, also where
//! PostgreSQL has one for a chain of versions with the same keys (HOT).
//!
//! Its leaf pages are kept in mind, without their contents: serializable transactions lock them.

use std::collections::BTreeMap;
use std::ops::Bound;

use super::catalog::Key;
use super::heap::with_value;
use super::id::RowId;
use crate::model::database::value::Value;

/// What entries can take of a leaf page.
const LEAF_BYTES: usize = 8192 - 24 - 16 - 4;
/// Where the rightmost page is split that grows at its end (the fill factor of leaf pages).
const RIGHTMOST_FILL_BYTES: usize = LEAF_BYTES * 9 / 10;

#[derive(Debug, Clone)]
struct Leaf {
    /// The lowest key that can lie here.
    low: Key,
    id: u32,
    bytes: usize,
}

/// A leaf page came to be too full, and the upper part of it moved to a new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Split {
    pub(super) old: u32,
    pub(super) new: u32,
}

/// An index.
#[derive(Debug, Clone)]
pub(super) struct Index {
    entries: BTreeMap<Key, Vec<RowId>>,
    leaves: Vec<Leaf>,
    leaves_made: u32,
    has_page: bool,
}

impl Default for Index {
    fn default() -> Self {
        let leaf = Leaf { low: Key::default(), id: 1, bytes: 0 };
        Index { entries: BTreeMap::new(), leaves: vec![leaf], leaves_made: 1, has_page: false }
    }
}

/// A bound of a range: the first columns of keys.
pub(crate) type KeyBound = Bound<Box<[Value]>>;

impl Index {
    pub(super) fn emptied(&self) -> Index {
        Index::default()
    }

    /// Whether it has a page: it gets its first with its first entry, and keeps it.
    pub(super) fn has_page(&self) -> bool {
        self.has_page
    }

    /// The versions with exactly this key.
    pub(super) fn get(&self, key: &[Value]) -> &[RowId] {
        self.entries.get(key).map_or(&[], Vec::as_slice)
    }

    /// The entries between two bounds in the order of keys.
    pub(super) fn range<'a>(
        &'a self,
        low: &'a KeyBound,
        high: &'a KeyBound,
    ) -> impl Iterator<Item = (&'a Key, &'a [RowId])> {
        let from = match low {
            Bound::Included(key) | Bound::Excluded(key) => Bound::Included(&**key),
            Bound::Unbounded => Bound::Unbounded,
        };
        let entries = self.entries.range::<[Value], _>((from, Bound::Unbounded));
        let entries = entries.skip_while(move |(key, _)| match low {
            Bound::Excluded(low) => key.starts_with(low),
            Bound::Included(_) | Bound::Unbounded => false,
        });
        let entries = entries.take_while(move |(key, _)| match high {
            Bound::Included(high) => key[..high.len().min(key.len())] <= **high,
            Bound::Excluded(high) => key[..high.len().min(key.len())] < **high,
            Bound::Unbounded => true,
        });
        entries.map(|(key, rows)| (key, rows.as_slice()))
    }

    /// Adds an entry.
    pub(super) fn insert(&mut self, key: Key, row: RowId) -> Option<Split> {
        self.has_page = true;
        let leaf = self.leaf_number(&key);
        self.leaves[leaf].bytes += entry_bytes(&key);
        let full = self.leaves[leaf].bytes > LEAF_BYTES;
        self.entries.entry(key).or_default().push(row);
        if full { self.split(leaf) } else { None }
    }

    /// Removes an entry.
    pub(super) fn remove(&mut self, key: &[Value], row: RowId) {
        let Some(rows) = self.entries.get_mut(key) else { return };
        let before = rows.len();
        rows.retain(|other| *other != row);
        let removed = before - rows.len();
        if rows.is_empty() {
            self.entries.remove(key);
        }
        let leaf = self.leaf_number(key);
        let bytes = &mut self.leaves[leaf].bytes;
        *bytes = bytes.saturating_sub(removed * entry_bytes(key));
    }

    /// The leaf page on which the key lies, or would lie.
    pub(super) fn leaf(&self, key: &[Value]) -> u32 {
        self.leaves[self.leaf_number(key)].id
    }

    /// The leaf pages that a scan between the bounds reads, in its order.
    pub(super) fn leaves(&self, low: &KeyBound, high: &KeyBound) -> impl Iterator<Item = u32> {
        let first = match low {
            Bound::Included(key) | Bound::Excluded(key) => self.leaf_number(key),
            Bound::Unbounded => 0,
        };
        let last = match high {
            Bound::Included(high) | Bound::Excluded(high) => {
                self.leaves.partition_point(|leaf| leaf.low[..high.len().min(leaf.low.len())] <= **high)
            }
            Bound::Unbounded => self.leaves.len(),
        };
        self.leaves[first..last.max(first + 1)].iter().map(|leaf| leaf.id)
    }

    fn leaf_number(&self, key: &[Value]) -> usize {
        if self.leaves.len() == 1 {
            return 0;
        }
        self.leaves.partition_point(|leaf| *leaf.low <= *key).max(1) - 1
    }

    fn split(&mut self, number: usize) -> Option<Split> {
        let rightmost = number + 1 == self.leaves.len();
        let keep = if rightmost { RIGHTMOST_FILL_BYTES } else { LEAF_BYTES / 2 };
        let leaf = &self.leaves[number];
        let mut kept = 0;
        let within = self.entries.range::<[Value], _>((Bound::Included(&*leaf.low), Bound::Unbounded));
        let mut beyond = within.skip_while(|(key, rows)| {
            kept += rows.len() * entry_bytes(key);
            kept <= keep
        });
        let low = beyond.next().map(|(key, _)| key.clone()).filter(|key| **key > *leaf.low)?;
        self.leaves_made += 1;
        let split = Split { old: leaf.id, new: self.leaves_made };
        let upper = Leaf { low, id: split.new, bytes: leaf.bytes.saturating_sub(keep) };
        self.leaves[number].bytes = keep;
        self.leaves.insert(number + 1, upper);
        Some(split)
    }
}

fn entry_bytes(key: &[Value]) -> usize {
    const HEADER_BYTES: usize = 8;
    const POINTER_BYTES: usize = 4;
    let bytes = key.iter().fold(HEADER_BYTES, |bytes, value| with_value(bytes, None, value));
    bytes.next_multiple_of(8) + POINTER_BYTES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(values: &[i64]) -> Key {
        values.iter().map(|value| Value::Int(*value)).collect()
    }

    fn index(keys: impl IntoIterator<Item = Key>) -> Index {
        let mut index = Index::default();
        for (place, key) in (1..).zip(keys) {
            index.insert(key, RowId::new(0, place));
        }
        index
    }

    #[test]
    fn a_range_is_bounded_by_the_first_columns_of_keys() {
        let index = index([key(&[1, 1]), key(&[1, 2]), key(&[2, 1]), key(&[3, 1])]);
        let found = |low: KeyBound, high: KeyBound| -> Vec<u32> {
            index.range(&low, &high).flat_map(|(_, rows)| rows).map(|row| row.place()).collect()
        };
        assert_eq!(found(Bound::Included(key(&[1])), Bound::Included(key(&[1]))), [1, 2]);
        assert_eq!(found(Bound::Excluded(key(&[1])), Bound::Unbounded), [3, 4]);
        assert_eq!(found(Bound::Unbounded, Bound::Excluded(key(&[2]))), [1, 2]);
        assert_eq!(found(Bound::Included(key(&[1, 2])), Bound::Included(key(&[2]))), [2, 3]);
    }

    #[test]
    fn a_small_index_is_one_page_and_a_large_one_is_split_in_order() {
        let index = index((0..1000).map(|value| key(&[value])));
        assert_eq!(index.leaf(&key(&[0])), 1);
        assert!(index.leaves.len() > 1, "1000 entries of 20 bytes do not fit on one page");
        assert!(index.leaves.is_sorted_by(|one, two| one.low < two.low));
        let low = Bound::Included(key(&[0]));
        assert_eq!(index.leaves(&low, &Bound::Included(key(&[0]))).collect::<Vec<_>>(), [1]);
        assert_eq!(index.leaves(&low, &Bound::Unbounded).count(), index.leaves.len());
    }
}
