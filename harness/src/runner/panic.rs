//! Panics of the code under test. To the systems a panic is a crash of the actor; but nobody asked for it, so
//! the run says so and is not called valid.

use std::any::Any;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;

use super::Run;

impl Run {
    /// Awaits code of the design; what it panics with is noted, and returned as the error.
    pub(crate) async fn guarded<T>(&self, actor: &str, code: impl Future<Output = T>) -> Result<T, String> {
        // Whatever the panic left half done is dropped with the actor's life.
        AssertUnwindSafe(code).catch_unwind().await.map_err(|panic| {
            let words = format!("{actor} panicked: {}", text(&*panic));
            self.panics.lock().expect("no code panics while it holds the list of panics").push(words.clone());
            words
        })
    }

    /// The first panic of the run, if there was one.
    pub(crate) fn first_panic(&self) -> Option<String> {
        self.panics.lock().expect("no code panics while it holds the list of panics").first().cloned()
    }
}

/// What a panic says.
pub(super) fn text(panic: &(dyn Any + Send)) -> &str {
    let fixed = panic.downcast_ref::<&str>().copied();
    fixed.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("with no text")
}
