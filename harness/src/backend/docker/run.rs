//! Everything that one run makes in the engine, its end, and the sweep of what dead owners have left.

use std::collections::{BTreeSet, HashMap};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use futures_util::future::join_all;
use testcontainers::bollard::Docker;
use testcontainers::bollard::errors::Error;
use testcontainers::bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, RemoveContainerOptionsBuilder,
};
use testcontainers::core::client::docker_client_instance;

use super::daemon::{Engine, failed, is_missing};
use super::labels::{Owner, RUN};
use crate::backend::HarnessError;

/// Removing a container takes a moment; an engine that does not answer must not hold up the end for ever.
const REMOVE: Duration = Duration::from_secs(20);

/// The runs of this process that are not over.
static LIVE: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
static NEXT: AtomicU64 = AtomicU64::new(1);

/// What one set of containers is known by. Dropping it removes all that carries its label.
#[derive(Debug)]
pub(super) struct Run {
    id: String,
    labels: HashMap<String, String>,
    dir: PathBuf,
}

impl Run {
    /// Sweeps what dead owners have left, then begins a run of our own, with a directory for its logs.
    pub(super) async fn begin(engine: &Engine, root: &Path) -> Result<Run, HarnessError> {
        let owner = Owner::own().ok_or_else(|| HarnessError::failed("our own process is not in /proc"))?;
        sweep_of(engine.docker(), &owner).await?;
        let id = owner.run(NEXT.fetch_add(1, Ordering::Relaxed));
        let dir = root.join(format!("docker-{id}"));
        fs::create_dir_all(&dir)
            .map_err(|error| HarnessError::failed(format!("make {}: {error}", dir.display())))?;
        live().insert(id.clone());
        Ok(Run { labels: owner.labels(&id), id, dir })
    }

    /// Its name.
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// What everything that it makes carries.
    pub(super) fn labels(&self) -> &HashMap<String, String> {
        &self.labels
    }

    /// Where its logs are; it goes with the run.
    pub(super) fn dir(&self) -> &Path {
        &self.dir
    }
}

impl Drop for Run {
    fn drop(&mut self) {
        // What cannot be removed keeps its labels, and goes at the next start.
        let _ = remove_blocking(BTreeSet::from([self.id.clone()]));
        let _ = fs::remove_dir_all(&self.dir);
        live().remove(&self.id);
    }
}

/// Removes the containers and networks of every run of this process. For the end of the process: Ctrl-C, or the
/// end of a `main` whose shared set is never dropped.
///
/// # Errors
/// The engine does not answer.
pub fn shutdown_all() -> Result<(), HarnessError> {
    let runs = live().clone();
    if runs.is_empty() { Ok(()) } else { remove_blocking(runs) }
}

/// Whether this process has containers.
pub fn has_runs() -> bool {
    !live().is_empty()
}

/// Removes the containers and networks that dead owners on this machine have left. Returns their names.
///
/// # Errors
/// The engine does not answer.
pub async fn sweep(engine: &Engine) -> Result<Vec<String>, HarnessError> {
    let owner = Owner::own().ok_or_else(|| HarnessError::failed("our own process is not in /proc"))?;
    sweep_of(engine.docker(), &owner).await
}

async fn sweep_of(docker: &Docker, owner: &Owner) -> Result<Vec<String>, HarnessError> {
    remove(docker, |labels| owner.finds_dead(labels)).await
}

fn live() -> std::sync::MutexGuard<'static, BTreeSet<String>> {
    LIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// On a thread and a runtime of its own: the runtime that we are dropped on may be about to end.
fn remove_blocking(runs: BTreeSet<String>) -> Result<(), HarnessError> {
    let work = move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| HarnessError::failed(format!("start a runtime: {error}")))?;
        runtime.block_on(async {
            let docker =
                docker_client_instance().await.map_err(|error| HarnessError::failed(error.to_string()))?;
            let ours =
                |labels: &HashMap<String, String>| labels.get(RUN).is_some_and(|run| runs.contains(run));
            match tokio::time::timeout(REMOVE, remove(&docker, ours)).await {
                Ok(removed) => removed.map(drop),
                Err(_) => Err(HarnessError::failed("the Docker engine does not remove our containers")),
            }
        })
    };
    let ended = thread::spawn(work).join();
    ended.unwrap_or_else(|_| Err(HarnessError::failed("removing the containers failed")))
}

/// Removes the containers, then the networks, whose labels are of the doomed.
async fn remove(
    docker: &Docker,
    is_doomed: impl Fn(&HashMap<String, String>) -> bool,
) -> Result<Vec<String>, HarnessError> {
    let with_label = HashMap::from([("label".to_owned(), vec![RUN.to_owned()])]);
    let all = ListContainersOptionsBuilder::new().all(true).filters(&with_label).build();
    let listed = docker.list_containers(Some(all)).await.map_err(|e| failed("list containers", &e))?;
    let doomed = listed
        .into_iter()
        .filter(|container| container.labels.as_ref().is_some_and(&is_doomed))
        .filter_map(|container| container.id);
    let mut removed = Vec::new();
    for (id, result) in join_all(doomed.map(|id| remove_container(docker, id))).await {
        result.map_err(|error| failed("remove a container", &error))?;
        removed.push(id);
    }
    let listed = docker
        .list_networks(Some(ListNetworksOptionsBuilder::new().filters(&with_label).build()))
        .await
        .map_err(|error| failed("list networks", &error))?;
    for network in listed {
        let Some(name) = network.name.filter(|_| network.labels.as_ref().is_some_and(&is_doomed)) else {
            continue;
        };
        if let Err(error) = docker.remove_network(&name).await
            && !is_missing(&error)
        {
            return Err(failed("remove a network", &error));
        }
        removed.push(name);
    }
    Ok(removed)
}

/// With its volumes, paused or not.
async fn remove_container(docker: &Docker, id: String) -> (String, Result<(), Error>) {
    let options = RemoveContainerOptionsBuilder::new().force(true).v(true).build();
    let result = match docker.remove_container(&id, Some(options)).await {
        // Gone, or somebody else is removing it just now.
        Err(Error::DockerResponseServerError { status_code: 404 | 409, .. }) | Ok(()) => Ok(()),
        Err(error) => Err(error),
    };
    (id, result)
}
