//! Hash maps for short keys by the million.
//!
//! The standard hasher withstands keys chosen to collide, at several times the cost. Here the keys are those of
//! a history that somebody wants checked; the worst that bad ones do is to make that slow. Nothing iterates over
//! these maps where the order could reach a verdict.

use std::hash::{BuildHasherDefault, Hasher};

/// A hash map with the hasher of this module.
pub(crate) type HashMap<K, V> = std::collections::HashMap<K, V, BuildHasherDefault<WordHasher>>;

/// A hash set with the hasher of this module.
pub(crate) type HashSet<K> = std::collections::HashSet<K, BuildHasherDefault<WordHasher>>;

/// Rotates, mixes in a word, multiplies: the function that rustc uses for its own maps.
#[derive(Default)]
pub(crate) struct WordHasher {
    state: u64,
}

impl WordHasher {
    fn add(&mut self, word: u64) {
        self.state = (self.state.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
    }
}

impl Hasher for WordHasher {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            self.add(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        if !rest.is_empty() {
            self.add(u64::from_le_bytes(last));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.add(u64::from(value));
    }

    fn write_u32(&mut self, value: u32) {
        self.add(u64::from(value));
    }

    fn write_u64(&mut self, value: u64) {
        self.add(value);
    }

    fn write_usize(&mut self, value: usize) {
        self.add(value as u64);
    }

    /// The best bits are the high ones, and the maps look at the low ones too.
    fn finish(&self) -> u64 {
        self.state.rotate_left(26)
    }
}
