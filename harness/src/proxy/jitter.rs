//! The seeded part of a delay.

use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::fault::{Distribution, Latency, PARETO_MOST};

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

    /// A delay, never negative.
    pub(super) fn around(&mut self, latency: &Latency) -> Duration {
        let Latency { delay, jitter, distribution } = *latency;
        if jitter.is_zero() {
            return delay;
        }
        match distribution {
            Distribution::Uniform => (delay + self.even(jitter)).saturating_sub(jitter),
            Distribution::Normal => {
                let draws: Duration = (0..4).map(|_| self.even(jitter)).sum();
                (delay + draws / 4).saturating_sub(jitter)
            }
            Distribution::Pareto => {
                // The inverse of the distribution function of the Pareto II (Lomax) distribution, shape 2.
                let survival: f64 = 1.0 - self.random.random_range(0.0..1.0);
                let excess = survival.powf(-0.5) - 1.0;
                delay + jitter.mul_f64(excess.min(f64::from(PARETO_MOST)))
            }
        }
    }

    /// Evenly from none to twice `jitter`.
    fn even(&mut self, jitter: Duration) -> Duration {
        let spread_us = u64::try_from(jitter.as_micros()).unwrap_or(u64::MAX).min(u64::MAX / 2);
        Duration::from_micros(self.random.random_range(0..=2 * spread_us))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn latency(distribution: Distribution) -> Latency {
        Latency { delay: Duration::from_millis(20), jitter: Duration::from_millis(15), distribution }
    }

    fn delays(seed: u64, stream: u64, latency: &Latency) -> Vec<Duration> {
        let mut jitter = Jitter::new(seed, stream);
        (0..4000).map(|_| jitter.around(latency)).collect()
    }

    const ALL: [Distribution; 3] = [Distribution::Uniform, Distribution::Normal, Distribution::Pareto];

    #[test]
    fn a_seed_and_a_stream_decide_the_delays() {
        for latency in ALL.map(latency) {
            assert_eq!(delays(7, 1, &latency), delays(7, 1, &latency));
            assert_ne!(delays(7, 1, &latency), delays(7, 2, &latency));
            assert_ne!(delays(7, 1, &latency), delays(8, 1, &latency));
        }
    }

    #[test]
    fn delays_stay_within_their_bounds() {
        for latency in ALL.map(latency) {
            let delays = delays(1, 1, &latency);
            assert!(delays.iter().all(|delay| (latency.least()..=latency.most()).contains(delay)));
        }
        let wide = Latency { jitter: Duration::from_millis(30), ..latency(Distribution::Uniform) };
        assert!(delays(1, 1, &wide).contains(&Duration::ZERO), "a jitter above the delay is cut off at none");
    }

    /// How many of a thousand delays are further than half the jitter from the delay, either way.
    fn far_in_1000(distribution: Distribution) -> [usize; 2] {
        let latency = latency(distribution);
        let delays = delays(3, 1, &latency);
        let half = latency.jitter / 2;
        let less = delays.iter().filter(|delay| **delay < latency.delay - half).count();
        let more = delays.iter().filter(|delay| **delay > latency.delay + half).count();
        [less / 4, more / 4]
    }

    #[test]
    fn each_distribution_has_its_shape() {
        let close = |[less, more]: [usize; 2], expected: [usize; 2]| {
            less.abs_diff(expected[0]) < 30 && more.abs_diff(expected[1]) < 30
        };
        let [uniform, normal, pareto] = ALL.map(far_in_1000);
        assert!(close(uniform, [250, 250]), "{uniform:?}");
        // Irwin and Hall with n = 4: P(|mean| > 1/2) is 1/24 on each side.
        assert!(close(normal, [42, 42]), "{normal:?}");
        // P(excess > 1/2) = (1 + 1/2)^-2.
        assert!(close(pareto, [0, 444]), "{pareto:?}");
    }
}
