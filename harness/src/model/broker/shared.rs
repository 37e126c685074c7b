//! The cluster as its clients share it, and how a call waits.

use std::pin::pin;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::cluster::Cluster;

#[derive(Debug)]
pub(super) struct Shared {
    cluster: Mutex<Cluster>,
    /// Wakes every call that waits, after a change of the cluster.
    changed: Notify,
}

impl Shared {
    pub(super) fn new(cluster: Cluster) -> Self {
        Shared { cluster: Mutex::new(cluster), changed: Notify::new() }
    }

    /// Does something with the cluster as it is now.
    pub(super) fn with<T>(&self, act: impl FnOnce(&mut Cluster, Duration) -> T) -> T {
        let mut cluster = self.lock();
        let now = cluster.advance();
        let result = act(&mut cluster, now);
        self.release(cluster);
        result
    }

    /// Looks again and again until there is an answer: at once, whenever the cluster has changed and whenever
    /// something was due. Gives up at `deadline`, after a last look.
    pub(super) async fn until<T>(
        &self,
        deadline: Duration,
        mut look: impl FnMut(&mut Cluster, Duration) -> Option<T>,
    ) -> Option<T> {
        loop {
            // Made before looking, so that no change after the look is missed.
            let changed = pin!(self.changed.notified());
            let wake = {
                let mut cluster = self.lock();
                let now = cluster.advance();
                let answer = look(&mut cluster, now);
                let due = cluster.next_due().map_or(deadline, |due| due.min(deadline));
                let wake = cluster.instant(due);
                self.release(cluster);
                if answer.is_some() || now >= deadline {
                    return answer;
                }
                wake
            };
            tokio::select! {
                biased;
                () = changed => {}
                () = sleep_until(wake) => {}
            }
        }
    }

    fn release(&self, mut cluster: MutexGuard<'_, Cluster>) {
        let changed = cluster.take_changed();
        drop(cluster);
        if changed {
            self.changed.notify_waiters();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Cluster> {
        self.cluster.lock().expect("no code panics while it holds the cluster")
    }
}
