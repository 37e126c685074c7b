//! What the checks of one process share: a runtime that outlives each test's own, and the servers.

use std::future::Future;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use tokio::runtime::Runtime;
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use crate::backend::HarnessError;
use crate::backend::local::{LocalBackend, Places, Programs, default_root};
use crate::design::Needs;

/// How long the end of a check that is given up half way is waited for.
const END_MAX: Duration = Duration::from_secs(20);

/// Servers that all checks of a process share; a check has them to itself.
pub(super) struct Shared {
    pub(super) backend: LocalBackend,
    pub(super) turn: Mutex<()>,
}

/// The servers, started for the first check that needs them and ended after the last that waits for them: a
/// test binary has no moment after its last test at which they could be ended.
pub(super) async fn servers(
    needs: Needs,
    env: &(dyn Fn(&str) -> Option<String> + Sync),
) -> Result<Arc<Shared>, HarnessError> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::const_new(Weak::new());
    let mut shared = SHARED.lock().await;
    if let Some(there) = shared.upgrade().filter(|there| there.backend.has(needs)) {
        return Ok(there);
    }
    let programs = Programs::find(&env, &Places::debian());
    let backend = LocalBackend::start(needs, &programs, &default_root(&env)).await?;
    let started = Arc::new(Shared { backend, turn: Mutex::new(()) });
    *shared = Arc::downgrade(&started);
    Ok(started)
}

/// Runs on a runtime that outlives each test's own, as the servers' proxies do. Dropped half way (by a test
/// with a time limit, say), it ends the work and waits for that, so that no server outlives the process.
pub(super) async fn run<T: Send + 'static>(
    work: impl Future<Output = Result<T, HarnessError>> + Send + 'static,
) -> Result<T, HarnessError> {
    static HOST: OnceLock<Result<Runtime, String>> = OnceLock::new();
    // Made here and nowhere else: one that lost the race to be first could not be dropped within another.
    let host = HOST
        .get_or_init(|| {
            let made = tokio::runtime::Builder::new_multi_thread().enable_all().build();
            made.map_err(|error| format!("start a runtime: {error}"))
        })
        .as_ref()
        .map_err(HarnessError::failed)?;
    let (working, ended) = channel::<()>();
    let task = host.spawn(async move {
        let _working = working;
        work.await
    });
    let _guard = Guard { task: task.abort_handle(), ended };
    task.await.map_err(|error| HarnessError::failed(error.to_string()))?
}

struct Guard {
    task: AbortHandle,
    ended: Receiver<()>,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.task.abort();
        // Nothing is ever sent: this returns once the work has been dropped.
        let _ = self.ended.recv_timeout(END_MAX);
    }
}
