//! The cache's clock: virtual time, counted from a fixed day so that a run tells the same dates each time.

use tokio::time::{Duration, Instant};

/// Where the clock begins: 2023-11-14 22:13:20 UTC.
const EPOCH_US: u64 = 1_700_000_000_000_000;

/// Goes on with tokio's clock from the first look at it. A copy stands until it is looked at, so that a fork
/// can be taken to another runtime.
#[derive(Debug)]
pub(crate) struct Clock {
    origin: Option<Instant>,
    origin_us: u64,
    seen_us: u64,
}

impl Default for Clock {
    fn default() -> Self {
        Clock { origin: None, origin_us: EPOCH_US, seen_us: EPOCH_US }
    }
}

impl Clone for Clock {
    fn clone(&self) -> Self {
        Clock { origin: None, origin_us: self.seen_us, seen_us: self.seen_us }
    }
}

impl Clock {
    pub(crate) fn now_us(&mut self) -> u64 {
        let now = Instant::now();
        let origin = *self.origin.get_or_insert(now);
        let passed = u64::try_from(now.duration_since(origin).as_micros()).unwrap_or(u64::MAX);
        self.seen_us = self.origin_us.saturating_add(passed);
        self.seen_us
    }

    pub(crate) fn now_ms(&mut self) -> i64 {
        i64::try_from(self.now_us() / 1000).unwrap_or(i64::MAX)
    }

    /// The instant in `after` from now.
    pub(crate) fn instant_in(after: Duration) -> Instant {
        let now = Instant::now();
        now.checked_add(after).unwrap_or(now)
    }
}
