//! A pacer: wakes who waits within tens of microseconds of the time asked for. The runtime's own timer counts
//! in milliseconds, which would be a good part of the latency of a fast operation.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// A handle to the pacer's thread, which ends with the last handle.
#[derive(Debug, Clone)]
pub(super) struct Pacer {
    sender: Sender<Alarm>,
}

#[derive(Debug)]
struct Alarm {
    at: Instant,
    wake: oneshot::Sender<()>,
}

impl Pacer {
    pub(super) fn start() -> std::io::Result<Pacer> {
        let (sender, receiver) = channel();
        std::thread::Builder::new().name("pacer".to_owned()).spawn(move || keep_time(&receiver))?;
        Ok(Pacer { sender })
    }

    /// Returns after `length`; at once, if that is nothing.
    pub(super) async fn wait(&self, length: Duration) {
        if length.is_zero() {
            return;
        }
        let (wake, woken) = oneshot::channel();
        let alarm = Alarm { at: Instant::now() + length, wake };
        if self.sender.send(alarm).is_err() || woken.await.is_err() {
            // The thread lives as long as this handle does; were it gone, the runtime's timer still is there.
            tokio::time::sleep(length).await;
        }
    }
}

fn keep_time(alarms: &Receiver<Alarm>) {
    let mut waiting: BTreeMap<(Instant, u64), oneshot::Sender<()>> = BTreeMap::new();
    for number in 0.. {
        let next = match waiting.first_key_value() {
            None => alarms.recv().map_err(|_| RecvTimeoutError::Disconnected),
            Some(((at, _), _)) => alarms.recv_timeout(at.saturating_duration_since(Instant::now())),
        };
        match next {
            Ok(alarm) => {
                waiting.insert((alarm.at, number), alarm.wake);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let now = Instant::now();
        while let Some(first) = waiting.first_entry().filter(|first| first.key().0 <= now) {
            // Who no longer waits need not be woken.
            let _ = first.remove().send(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn each_is_woken_in_its_turn_and_none_early() {
        let pacer = Pacer::start().expect("a thread can be started");
        let start = Instant::now();
        let order = std::sync::Mutex::new(Vec::new());
        let wait = async |ms: u64| {
            pacer.wait(Duration::from_millis(ms)).await;
            assert!(start.elapsed() >= Duration::from_millis(ms), "{ms} ms: woken early");
            order.lock().expect("nothing panics while it is held").push(ms);
        };
        tokio::join!(wait(60), wait(20), wait(0), wait(40));
        assert_eq!(order.into_inner().expect("nothing panicked"), [0, 20, 40, 60]);
    }
}
