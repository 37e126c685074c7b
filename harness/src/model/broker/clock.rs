//! Virtual time since the cluster was made. A fork goes on from the time of its origin, also when it runs in
//! another runtime, whose clock began elsewhere.

use std::time::Duration;

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Clock {
    /// The time of the cluster at `origin`.
    base: Duration,
    /// When this cluster was first used; none before that.
    origin: Option<Instant>,
    /// The last time told.
    last: Duration,
}

impl Clock {
    pub(super) fn now(&mut self) -> Duration {
        let instant = Instant::now();
        let origin = *self.origin.get_or_insert(instant);
        self.last = self.last.max(self.base + instant.saturating_duration_since(origin));
        self.last
    }

    /// When it is `at`, for the runtime's timers.
    pub(super) fn instant(&self, at: Duration) -> Instant {
        self.origin.unwrap_or_else(Instant::now) + at.saturating_sub(self.base)
    }

    pub(super) fn fork(&self) -> Clock {
        Clock { base: self.last, origin: None, last: self.last }
    }
}
