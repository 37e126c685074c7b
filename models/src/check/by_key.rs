//! Items grouped by the number of their key, in one allocation.

/// Groups of items. Within a group the items keep the order in which they came.
pub(super) struct ByKey<T> {
    items: Vec<T>,
    /// Where the group of each key begins; one more for the end.
    starts: Vec<usize>,
}

impl<T: Copy> ByKey<T> {
    /// Groups items by `key_of`, whose results are below `keys_count`, in O(n). The items are asked for twice.
    pub(super) fn group<I: Iterator<Item = T>>(
        keys_count: usize,
        items: impl Fn() -> I,
        key_of: impl Fn(&T) -> u32,
    ) -> ByKey<T> {
        let mut starts = vec![0; keys_count + 1];
        let mut first = None;
        for item in items() {
            starts[key_of(&item) as usize + 1] += 1;
            first.get_or_insert(item);
        }
        for key in 0..keys_count {
            starts[key + 1] += starts[key];
        }
        let mut next = starts.clone();
        let mut grouped = first.map(|first| vec![first; starts[keys_count]]).unwrap_or_default();
        for item in items() {
            let at = &mut next[key_of(&item) as usize];
            grouped[*at] = item;
            *at += 1;
        }
        ByKey { items: grouped, starts }
    }

    pub(super) fn get(&self, key: u32) -> &[T] {
        let key = key as usize;
        &self.items[self.starts[key]..self.starts[key + 1]]
    }

    pub(super) fn get_mut(&mut self, key: u32) -> &mut [T] {
        let key = key as usize;
        &mut self.items[self.starts[key]..self.starts[key + 1]]
    }

    /// The groups in the order of keys, empty ones too.
    pub(super) fn groups(&self) -> impl Iterator<Item = (u32, &[T])> {
        (0..self.starts.len() as u32 - 1).map(|key| (key, self.get(key)))
    }
}
