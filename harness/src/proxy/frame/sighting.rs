//! Waiting for a request: the n-th that begins with given words, over all connections of the links that look.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use tokio::sync::Notify;

/// Counts requests that begin alike.
#[derive(Debug)]
pub struct Sighting {
    begins: String,
    nth: u64,
    seen: AtomicU64,
    came: Notify,
}

impl Sighting {
    /// Waits for the `nth` (from 1) request that begins with these words, whatever their case.
    pub fn new(begins: &str, nth: u64) -> Sighting {
        Sighting { begins: begins.to_owned(), nth, seen: AtomicU64::new(0), came: Notify::new() }
    }

    /// How many have come.
    pub fn seen(&self) -> u64 {
        self.seen.load(SeqCst)
    }

    /// Returns once the n-th has come.
    pub async fn came(&self) {
        loop {
            let noticed = self.came.notified();
            if self.seen() >= self.nth {
                return;
            }
            noticed.await;
        }
    }

    /// Whether this request is the n-th.
    pub(in crate::proxy) fn is(&self, request: &str) -> bool {
        let head = request.as_bytes().get(..self.begins.len());
        if !head.is_some_and(|head| head.eq_ignore_ascii_case(self.begins.as_bytes())) {
            return false;
        }
        self.seen.fetch_add(1, SeqCst) + 1 == self.nth
    }

    /// Tells those who wait.
    pub(in crate::proxy) fn tell(&self) {
        self.came.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_of_its_kind_is_it_and_no_other() {
        let sighting = Sighting::new("commit", 3);
        let requests = ["BEGIN", "COMMIT", "comm", "Commit", "SELECT 'COMMIT'", "COMMIT", "COMMIT"];
        let found: Vec<bool> = requests.iter().map(|request| sighting.is(request)).collect();
        assert_eq!(found, [false, false, false, false, false, true, false]);
        assert_eq!(sighting.seen(), 4);
    }
}
