//! Virtual time: one thread, and a clock that stands still while anybody has something to do and then jumps to
//! the next moment that somebody waits for. What runs here is over as soon as it can be, and always takes the
//! same turns: the runtime polls its tasks in the order in which they were woken.

use std::future::Future;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::oneshot;

use crate::backend::HarnessError;

/// A runtime whose clock is virtual.
///
/// # Errors
/// If the system has no more threads or memory.
pub fn runtime() -> Result<Runtime, HarnessError> {
    Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .map_err(|error| HarnessError::failed(format!("start a runtime: {error}")))
}

/// Runs in virtual time on a thread of its own, which the caller's runtime does not notice.
///
/// # Errors
/// If there is no thread to be had, or the work panics.
pub(crate) async fn run<T, F>(work: impl FnOnce() -> F + Send + 'static) -> Result<T, HarnessError>
where
    T: Send + 'static,
    F: Future<Output = T>,
{
    let (sender, receiver) = oneshot::channel();
    std::thread::Builder::new()
        .name("virtual-time".to_owned())
        .spawn(move || {
            let done = runtime().map(|runtime| runtime.block_on(work()));
            // Nobody receives only if the caller was given up.
            let _ = sender.send(done);
        })
        .map_err(|error| HarnessError::failed(format!("start a thread: {error}")))?;
    receiver.await.map_err(|_| HarnessError::failed("the model panicked; this is a bug of Crosscheck"))?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::{Instant, sleep};

    #[test]
    fn an_hour_passes_at_once() {
        let real = std::time::Instant::now();
        let runtime = super::runtime().expect("a runtime starts");
        let slept = runtime.block_on(async {
            let start = Instant::now();
            sleep(Duration::from_secs(3600)).await;
            start.elapsed()
        });
        assert_eq!(slept, Duration::from_secs(3600));
        assert!(real.elapsed() < Duration::from_secs(60));
    }
}
