//! What the checks of one process share: a runtime that outlives each test's own, and the servers.

use std::future::Future;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::thread;
use std::time::{Duration, Instant};

use tokio::runtime::Runtime;
use tokio::sync::{Mutex, MutexGuard};
use tokio::task::AbortHandle;

use super::On;
use crate::backend::docker::{self, DockerBackend, Engine, Images};
use crate::backend::local::{Finding, LocalBackend, Places, Programs, default_root, has_sets};
use crate::backend::model::ModelBackend;
use crate::backend::{Backend, HarnessError};
use crate::design::Needs;

/// How long the end of the servers is waited for.
const END_MAX: Duration = Duration::from_secs(20);

/// How many checks are under way in this process.
static UNDER_WAY: AtomicUsize = AtomicUsize::new(0);

/// The environment, handed in.
type Env<'a> = &'a (dyn Fn(&str) -> Option<String> + Sync);

/// Where a check takes place.
pub(super) enum Systems {
    /// On the model; of its own, so checks need not take turns.
    Model {
        /// Why, where servers were looked for.
        instead_of_servers: Option<String>,
    },
    /// On servers.
    Servers(Arc<Shared>),
}

/// Servers that all checks of a process share; a check has them to itself.
pub(super) struct Shared {
    backend: Real,
    turn: Mutex<()>,
}

/// What servers run in.
enum Real {
    Local(LocalBackend),
    Docker(DockerBackend),
}

impl Real {
    fn has(&self, needs: Needs) -> bool {
        match self {
            Real::Local(backend) => backend.has(needs),
            Real::Docker(backend) => backend.has(needs),
        }
    }

    fn backend(&self) -> &dyn Backend {
        match self {
            Real::Local(backend) => backend,
            Real::Docker(backend) => backend,
        }
    }
}

impl Systems {
    pub(super) fn backend(&self) -> &dyn Backend {
        match self {
            Systems::Model { .. } => &ModelBackend,
            Systems::Servers(shared) => shared.backend.backend(),
        }
    }

    /// Waits until nobody else has them.
    pub(super) async fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        match self {
            Systems::Model { .. } => None,
            Systems::Servers(shared) => Some(shared.turn.lock().await),
        }
    }
}

/// What `on` says. Programs that are missing are replaced by containers or the model, one whose variable is wrong
/// is not: who sets it wants that program.
pub(super) async fn systems(
    on: On,
    needs: Needs,
    is_required: bool,
    env: Env<'_>,
) -> Result<Systems, HarnessError> {
    match on {
        On::Model => return Ok(Systems::Model { instead_of_servers: None }),
        On::Docker => return containers(needs, env).await.map(Systems::Servers),
        On::Auto | On::Local => {}
    }
    match servers(needs, env).await {
        Ok(shared) => Ok(Systems::Servers(shared)),
        Err(HarnessError::Missing { what, advice }) if !is_required => {
            let programs = Programs::find(&env, &Places::debian());
            let is_wrong = |(_, finding): &(_, Finding)| matches!(finding, Finding::Wrong { .. });
            if programs.findings().iter().any(is_wrong) {
                return Err(HarnessError::failed(format!("{what}; {advice}")));
            }
            if on == On::Local {
                return Err(HarnessError::Missing { what, advice });
            }
            match docker::Doctor::examine(env).await.complaint() {
                None => containers(needs, env).await.map(Systems::Servers),
                Some(_) => Ok(Systems::Model { instead_of_servers: Some(format!("{what}; {advice}")) }),
            }
        }
        Err(error) => Err(error),
    }
}

/// The servers, started for the first check that needs them and ended after the last that waits for them: a
/// test binary has no moment after its last test at which they could be ended.
async fn servers(needs: Needs, env: Env<'_>) -> Result<Arc<Shared>, HarnessError> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::const_new(Weak::new());
    shared(&SHARED, needs, async {
        let programs = Programs::find(&env, &Places::debian());
        LocalBackend::start(needs, &programs, &default_root(&env)).await.map(Real::Local)
    })
    .await
}

/// The same in containers.
async fn containers(needs: Needs, env: Env<'_>) -> Result<Arc<Shared>, HarnessError> {
    static SHARED: Mutex<Weak<Shared>> = Mutex::const_new(Weak::new());
    shared(&SHARED, needs, async {
        let engine = Engine::find(env).await?;
        let images = Images::from(&env);
        DockerBackend::start(needs, &engine, &images, &default_root(&env)).await.map(Real::Docker)
    })
    .await
}

async fn shared(
    place: &Mutex<Weak<Shared>>,
    needs: Needs,
    start: impl Future<Output = Result<Real, HarnessError>>,
) -> Result<Arc<Shared>, HarnessError> {
    let mut shared = place.lock().await;
    if let Some(there) = shared.upgrade().filter(|there| there.backend.has(needs)) {
        return Ok(there);
    }
    let started = Arc::new(Shared { backend: start.await?, turn: Mutex::new(()) });
    *shared = Arc::downgrade(&started);
    Ok(started)
}

/// Runs on a runtime that outlives each test's own, as the servers' proxies do. The last one returns when the
/// servers have ended; so does one that is dropped half way (by a test with a time limit, say).
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
    let under_way = UnderWay::begin();
    let task = host.spawn(async move {
        let _under_way = under_way;
        work.await
    });
    let _end = End(task.abort_handle());
    task.await.map_err(|error| HarnessError::failed(error.to_string()))?
}

/// Counts a check for as long as its work is not dropped.
struct UnderWay;

impl UnderWay {
    fn begin() -> Self {
        UNDER_WAY.fetch_add(1, Ordering::SeqCst);
        UnderWay
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        UNDER_WAY.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Ends the work, if it has not ended, and waits for what nobody else waits for: the end of the servers. The
/// process may end right after its last test.
struct End(AbortHandle);

impl Drop for End {
    fn drop(&mut self) {
        self.0.abort();
        let deadline = Instant::now() + END_MAX;
        let is_last = || self.0.is_finished() && UNDER_WAY.load(Ordering::SeqCst) == 0;
        while (!self.0.is_finished() || is_last() && (has_sets() || docker::has_runs()))
            && Instant::now() < deadline
        {
            thread::sleep(Duration::from_millis(2));
        }
    }
}
