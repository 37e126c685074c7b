//! One container: started, killed, stopped, paused and started again, and the proof of each.

use std::collections::BTreeMap;
use std::fmt;
use std::mem::ManuallyDrop;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::StreamExt;
use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{ContainerState, HostConfig, PortBinding};
use testcontainers::bollard::query_parameters::{
    InspectContainerOptions, KillContainerOptions, LogsOptionsBuilder,
};
use testcontainers::core::{ContainerPort, ExecCommand};
use testcontainers::runners::AsyncRunner;
use testcontainers::{ContainerAsync, ContainerRequest, GenericImage, ImageExt, TestcontainersError};
use tokio::io::AsyncWriteExt;

use super::daemon::{Engine, failed};
use super::image::{ImageKind, name_and_tag};
use super::recipe::Recipe;
use super::run::Run;
use crate::backend::HarnessError;
use crate::backend::hosted::HostedServer;
use crate::design::Role;

const PING_TIMEOUT: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(20);
/// How long the engine may take to end, pause or wake a container.
const STATE_BOUND: Duration = Duration::from_secs(10);
/// How long a server may take to end in good order.
const STOP_S: i32 = 30;
const TAIL_LINES: usize = 12;

/// A server in a container. Its run removes it.
pub struct Container {
    recipe: Recipe,
    version: String,
    /// Never dropped: its own drop wants a runtime and removes one container at a time. The run removes them all.
    inner: ManuallyDrop<ContainerAsync<GenericImage>>,
    docker: Docker,
    addrs: Mutex<BTreeMap<Option<Role>, SocketAddr>>,
    log: PathBuf,
    _run: Arc<Run>,
}

impl fmt::Debug for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Container").field("kind", &self.recipe.kind).field("id", &self.id()).finish()
    }
}

impl Container {
    /// Starts it for the first time, and waits until its server answers.
    pub(super) async fn begin(
        engine: &Engine,
        run: &Arc<Run>,
        image: &str,
        recipe: Recipe,
    ) -> Result<Container, HarnessError> {
        let kind = recipe.kind;
        let started = request(image, &recipe, run).start().await;
        let inner = started.map_err(|error| refused(kind, "start", &error))?;
        let mut container = Container {
            log: run.dir().join(format!("{kind}.log")),
            // A server that does not tell its version is known by its image's tag.
            version: name_and_tag(image).1.to_owned(),
            recipe,
            inner: ManuallyDrop::new(inner),
            docker: engine.docker().clone(),
            addrs: Mutex::default(),
            _run: run.clone(),
        };
        if let Some(version) = container.ready().await? {
            container.version = version;
        }
        Ok(container)
    }

    /// What the engine calls it.
    pub fn id(&self) -> &str {
        self.inner.id()
    }

    /// Which version runs.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Where its server is reached right now; another port after each start.
    pub fn addr(&self) -> Option<SocketAddr> {
        self.served_at(None)
    }

    /// Ends it without warning, paused or not; returns once it has ended.
    ///
    /// # Errors
    /// It does not run, or the engine refuses.
    pub async fn kill(&self) -> Result<(), HarnessError> {
        let killed = self.docker.kill_container(self.id(), None::<KillContainerOptions>).await;
        killed.map_err(|error| failed(&format!("kill {}", self.recipe.kind), &error))?;
        self.until("killed", |state| state.running == Some(false)).await
    }

    /// Asks it to end in good order, and waits.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn stop(&self) -> Result<(), HarnessError> {
        let stopped = self.inner.stop_with_timeout(Some(STOP_S)).await;
        stopped.map_err(|error| refused(self.recipe.kind, "stop", &error))?;
        self.until("stopped", |state| state.running == Some(false)).await
    }

    /// Makes every process of it stand still. Connections to it are still accepted, by the engine and the kernel.
    ///
    /// # Errors
    /// It does not run, or the engine refuses.
    pub async fn pause(&self) -> Result<(), HarnessError> {
        let paused = self.inner.pause().await;
        paused.map_err(|error| refused(self.recipe.kind, "pause", &error))?;
        self.until("paused", |state| state.paused == Some(true)).await
    }

    /// Lets it go on.
    ///
    /// # Errors
    /// It was not paused, or the engine refuses.
    pub async fn resume(&self) -> Result<(), HarnessError> {
        let resumed = self.inner.unpause().await;
        resumed.map_err(|error| refused(self.recipe.kind, "resume", &error))?;
        self.until("resumed", |state| state.paused == Some(false)).await
    }

    /// Starts it again with its data, if it is down, and waits until it answers: on another port.
    ///
    /// # Errors
    /// It ends before it answers, or does not answer.
    pub async fn start(&self) -> Result<(), HarnessError> {
        if self.state().await?.running == Some(true) {
            return Ok(());
        }
        self.inner.start().await.map_err(|error| refused(self.recipe.kind, "start", &error))?;
        self.ready().await.map(drop)
    }

    /// One protocol round trip on a new connection.
    ///
    /// # Errors
    /// No answer, or a refusal.
    pub async fn ping(&self, timeout: Duration) -> Result<(), HarnessError> {
        let addr = self.addr();
        let addr =
            addr.ok_or_else(|| HarnessError::failed(format!("{} was not started", self.recipe.kind)))?;
        let answer = self.recipe.ping(addr, timeout).await;
        answer.map(drop).map_err(|error| HarnessError::failed(error.to_string()))
    }

    /// Runs a command inside, and says with what it ended.
    pub(super) async fn exec(&self, command: &[&str]) -> Result<i64, HarnessError> {
        let kind = self.recipe.kind;
        let words = command.iter().map(|word| (*word).to_owned());
        let ran = self.inner.exec(ExecCommand::new(words)).await;
        let mut ran = ran.map_err(|error| refused(kind, "run a command in", &error))?;
        // It has ended once it says nothing more.
        ran.stdout_to_vec().await.map_err(|error| refused(kind, "read from", &error))?;
        let code = ran.exit_code().await.map_err(|error| refused(kind, "run a command in", &error))?;
        code.ok_or_else(|| HarnessError::failed(format!("a command in {kind} did not end")))
    }

    fn served_at(&self, role: Option<Role>) -> Option<SocketAddr> {
        self.addrs().get(&role).copied()
    }

    fn addrs(&self) -> MutexGuard<'_, BTreeMap<Option<Role>, SocketAddr>> {
        self.addrs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks up the ports of this start, follows its log, and waits until the server answers.
    async fn ready(&self) -> Result<Option<String>, HarnessError> {
        self.follow_log();
        let kind = self.recipe.kind;
        let deadline = Instant::now() + self.recipe.ready_bound();
        self.resolve().await?;
        let own = self.addr().or_else(|| self.addrs().values().next().copied());
        let addr = own.ok_or_else(|| HarnessError::failed(format!("{kind} publishes no port")))?;
        loop {
            match self.recipe.ping(addr, PING_TIMEOUT).await {
                Ok(version) => return Ok(version),
                Err(error) if Instant::now() > deadline => {
                    let waited_s = self.recipe.ready_bound().as_secs();
                    let said = self.last_words().await;
                    return Err(HarnessError::failed(format!(
                        "{kind} was not ready after {waited_s} s ({error}); its last words:\n{said}"
                    )));
                }
                Err(_) => {}
            }
            let state = self.state().await?;
            if state.running != Some(true) {
                let code = state.exit_code.unwrap_or_default();
                let said = self.last_words().await;
                return Err(HarnessError::failed(format!(
                    "{kind} ended with {code} before it was ready; its last words:\n{said}"
                )));
            }
            tokio::time::sleep(POLL).await;
        }
    }

    /// The engine publishes other ports at each start.
    async fn resolve(&self) -> Result<(), HarnessError> {
        let kind = self.recipe.kind;
        let ports = self.inner.ports().await.map_err(|error| refused(kind, "inspect", &error))?;
        let mut found = BTreeMap::new();
        for (role, port) in &self.recipe.ports {
            let published = ports.map_to_host_port_ipv4(ContainerPort::Tcp(*port));
            let published = published
                .ok_or_else(|| HarnessError::failed(format!("the port {port} of {kind} is not published")))?;
            found.insert(*role, SocketAddr::from((Ipv4Addr::LOCALHOST, published)));
        }
        *self.addrs() = found;
        Ok(())
    }

    async fn state(&self) -> Result<ContainerState, HarnessError> {
        let inspected = self.docker.inspect_container(self.id(), None::<InspectContainerOptions>).await;
        let inspected =
            inspected.map_err(|error| failed(&format!("inspect {}", self.recipe.kind), &error))?;
        Ok(inspected.state.unwrap_or_default())
    }

    async fn until(
        &self,
        what: &str,
        holds: impl Fn(&ContainerState) -> bool + Send,
    ) -> Result<(), HarnessError> {
        let deadline = Instant::now() + STATE_BOUND;
        while !holds(&self.state().await?) {
            if Instant::now() > deadline {
                let (kind, bound_s) = (self.recipe.kind, STATE_BOUND.as_secs());
                return Err(HarnessError::failed(format!("{kind} is not {what} after {bound_s} s")));
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    /// Copies what this start says to the end of the log, until the container ends.
    fn follow_log(&self) {
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        // What earlier starts said is in the file.
        let since = now.ok().and_then(|now| i32::try_from(now.as_secs()).ok());
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).follow(true);
        let is_first = !self.log.exists();
        let options = if is_first { options } else { options.since(since.unwrap_or(0)) };
        let mut lines = Box::pin(self.docker.logs(self.inner.id(), Some(options.build())));
        let log = self.log.clone();
        tokio::spawn(async move {
            let file = tokio::fs::OpenOptions::new().create(true).append(true).open(log).await;
            let Ok(mut file) = file else { return };
            while let Some(Ok(line)) = lines.next().await {
                if file.write_all(&line.into_bytes()).await.is_err() {
                    return;
                }
            }
        });
    }

    async fn last_words(&self) -> String {
        let tail = TAIL_LINES.to_string();
        let options = LogsOptionsBuilder::new().stdout(true).stderr(true).tail(&tail).build();
        let mut lines = Box::pin(self.docker.logs(self.inner.id(), Some(options)));
        let mut said = String::new();
        while let Some(Ok(line)) = lines.next().await {
            said += &line.to_string();
        }
        if said.trim().is_empty() { "(it said nothing)".to_owned() } else { said.trim_end().to_owned() }
    }
}

#[async_trait]
impl HostedServer for Arc<Container> {
    fn name(&self) -> &'static str {
        self.recipe.kind.name()
    }

    fn version(&self) -> String {
        self.version.clone()
    }

    fn addr(&self, role: Option<Role>) -> Option<SocketAddr> {
        self.served_at(role)
    }

    fn log(&self) -> Option<PathBuf> {
        Some(self.log.clone())
    }

    async fn kill(&self) -> Result<(), HarnessError> {
        Container::kill(self).await
    }

    async fn stop(&self) -> Result<(), HarnessError> {
        Container::stop(self).await
    }

    async fn pause(&self) -> Result<(), HarnessError> {
        Container::pause(self).await
    }

    async fn resume(&self) -> Result<(), HarnessError> {
        Container::resume(self).await
    }

    async fn start(&self) -> Result<(), HarnessError> {
        Container::start(self).await
    }

    async fn ping(&self, timeout: Duration) -> Result<(), HarnessError> {
        Container::ping(self, timeout).await
    }
}

fn request(image: &str, recipe: &Recipe, run: &Run) -> ContainerRequest<GenericImage> {
    let (name, tag) = name_and_tag(image);
    let mut generic = GenericImage::new(name, tag);
    let mut bindings = std::collections::HashMap::new();
    for port in recipe.ports.values() {
        let port = ContainerPort::Tcp(*port);
        if !bindings.contains_key(&port.to_string()) {
            generic = generic.with_exposed_port(port);
        }
        // Any port that is free, and on the loopback address only.
        let binding =
            PortBinding { host_ip: Some(Ipv4Addr::LOCALHOST.to_string()), host_port: Some("0".to_owned()) };
        bindings.insert(port.to_string(), Some(vec![binding]));
    }
    let mut request = generic
        .with_container_name(format!("crosscheck-{}-{}", run.id(), recipe.kind))
        .with_labels(run.labels())
        .with_startup_timeout(recipe.ready_bound())
        .with_host_config_modifier(move |config: &mut HostConfig| {
            config.publish_all_ports = Some(false);
            config.port_bindings = Some(bindings.clone());
        });
    if !recipe.command.is_empty() {
        request = request.with_cmd(recipe.command.iter());
    }
    for (name, value) in &recipe.environment {
        request = request.with_env_var(name, value);
    }
    request
}

fn refused(kind: ImageKind, doing: &str, error: &TestcontainersError) -> HarnessError {
    HarnessError::failed(format!("failed to {doing} the container of {kind}: {error}"))
}
