//! Random numbers from a seed (SplitMix64: Steele, Lea and Flood, 2014).

/// The same numbers for the same seed, on every machine.
pub(super) struct Random {
    state: u64,
}

impl Random {
    pub(super) fn new(seed: u64) -> Random {
        Random { state: seed }
    }

    pub(super) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// A number below the bound, which is above zero.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        // The high half of a product is as even as a history needs.
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    pub(super) fn chance(&mut self, per_mille: u32) -> bool {
        self.below(1000) < u64::from(per_mille)
    }
}
