//! The seeded part of a delay.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Delays of one direction of one connection: the same seed and stream give the same delays.
#[derive(Debug)]
pub(super) struct Jitter {
    random: ChaCha8Rng,
}

impl Jitter {
    pub(super) fn new(seed: u64, stream: u64) -> Jitter {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        random.set_stream(stream);
        Jitter { random }
    }

    /// A delay within `jitter` of `delay`, never negative.
    pub(super) fn around(&mut self, delay: Duration, jitter: Duration) -> Duration {
        let spread_us = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX).min(u64::MAX / 2);
        let offset = Duration::from_micros(self.random.random_range(0..=2 * spread_us));
        (delay + offset).saturating_sub(jitter)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DELAY: Duration = Duration::from_millis(20);
    const SPREAD: Duration = Duration::from_millis(30);

    fn delays(seed: u64, stream: u64) -> Vec<Duration> {
        let mut jitter = Jitter::new(seed, stream);
        (0..1000).map(|_| jitter.around(DELAY, SPREAD)).collect()
    }

    #[test]
    fn a_seed_and_a_stream_decide_the_delays() {
        assert_eq!(delays(7, 1), delays(7, 1));
        assert_ne!(delays(7, 1), delays(7, 2));
        assert_ne!(delays(7, 1), delays(8, 1));
    }

    #[test]
    fn delays_stay_within_the_jitter() {
        let delays = delays(1, 1);
        assert!(delays.iter().all(|delay| *delay <= DELAY + SPREAD));
        assert!(delays.contains(&Duration::ZERO), "a jitter above the delay is cut off at none");
        assert!(delays.iter().any(|delay| *delay > DELAY + SPREAD / 2));
    }
}
