//! Which pairs of small numbers have been met.

use crate::hash::HashSet;

/// So many first numbers have a table each: there are few consumers, partitions and stores.
const TABLES: u32 = 64;

/// A set of pairs.
#[derive(Default)]
pub(super) struct Pairs {
    /// By the first number, a bit for each second one.
    tables: Vec<Vec<u64>>,
    others: HashSet<(u32, u32)>,
}

impl Pairs {
    /// Whether the pair is new.
    pub(super) fn insert(&mut self, first: u32, second: u32) -> bool {
        if first >= TABLES {
            return self.others.insert((first, second));
        }
        let (table, word, bit) = (first as usize, second as usize / 64, 1_u64 << (second % 64));
        if self.tables.len() <= table {
            self.tables.resize_with(table + 1, Vec::new);
        }
        let table = &mut self.tables[table];
        if table.len() <= word {
            table.resize(word + 1, 0);
        }
        let is_new = table[word] & bit == 0;
        table[word] |= bit;
        is_new
    }
}
