//! The Docker engine: is there one, does it answer, which images has it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt;
use testcontainers::bollard::errors::Error;
use testcontainers::bollard::query_parameters::CreateImageOptionsBuilder;
use testcontainers::bollard::{API_DEFAULT_VERSION, Docker};

use super::doctor::EngineState;
use super::image::{ImageKind, Images, name_and_tag};
use crate::backend::HarnessError;

/// An engine that has not answered after this long will not.
const ANSWER: Duration = Duration::from_secs(2);

/// The longest that any other call may take: ending a server in good order.
const CALL: Duration = Duration::from_secs(120);

/// The largest of the images is a few hundred megabytes.
const PULL: Duration = Duration::from_secs(600);

/// A Docker engine (or one that speaks its language, as Podman does) that answers.
#[derive(Clone, Debug)]
pub struct Engine {
    docker: Docker,
    at: String,
    version: String,
}

impl Engine {
    /// Looks for the engine that `DOCKER_HOST` names, or else at the usual sockets. This takes two seconds at the
    /// most. `env` is the environment: pass `&|name| std::env::var(name).ok()` from a binary.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn find(env: &(dyn Fn(&str) -> Option<String> + Sync)) -> Result<Engine, EngineState> {
        let host = env("DOCKER_HOST").filter(|host| !host.is_empty());
        let at = host.clone().or_else(|| usual_sockets(env).into_iter().find_map(existing));
        let Some(at) = at else {
            let tried = usual_sockets(env).iter().map(|path| path.display().to_string()).collect();
            return Err(EngineState::NoSocket { tried });
        };
        if let Some(socket) = at.strip_prefix("unix://").filter(|socket| !Path::new(socket).exists()) {
            return Err(EngineState::NoSocket { tried: vec![socket.to_owned()] });
        }
        let asked = tokio::time::timeout(ANSWER, ask(&at)).await;
        match asked {
            Ok(Ok((docker, version))) => Ok(Engine { docker, at, version }),
            Ok(Err(reason)) => Err(EngineState::Refused { at, reason }),
            Err(_) => Err(EngineState::NoAnswer { at, waited_ms: ANSWER.as_secs() * 1000 }),
        }
    }

    /// Its address.
    pub fn at(&self) -> &str {
        &self.at
    }

    /// Its version.
    pub fn version(&self) -> &str {
        &self.version
    }

    pub(super) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The best image of this kind that the engine has.
    ///
    /// # Errors
    /// The engine does not answer.
    pub async fn image(&self, kind: ImageKind, images: &Images) -> Result<Option<String>, HarnessError> {
        for image in images.candidates(kind) {
            match self.docker.inspect_image(image).await {
                Ok(_) => return Ok(Some(image.clone())),
                Err(error) if is_missing(&error) => {}
                Err(error) => return Err(failed(&format!("look for the image {image}"), &error)),
            }
        }
        Ok(None)
    }

    /// The best image of this kind that the engine has, or else the first of them, pulled.
    ///
    /// # Errors
    /// There is none, and none can be pulled.
    pub(super) async fn need_image(&self, kind: ImageKind, images: &Images) -> Result<String, HarnessError> {
        if let Some(image) = self.image(kind, images).await? {
            return Ok(image);
        }
        let image = &images.candidates(kind)[0];
        match tokio::time::timeout(PULL, self.pull(image)).await {
            Ok(Ok(())) => Ok(image.clone()),
            Ok(Err(error)) => Err(missing(kind, images, &words(&error))),
            Err(_) => Err(missing(kind, images, &format!("it takes longer than {} s", PULL.as_secs()))),
        }
    }

    async fn pull(&self, image: &str) -> Result<(), Error> {
        let (name, tag) = name_and_tag(image);
        let options = if name.contains('@') {
            CreateImageOptionsBuilder::new().from_image(image)
        } else {
            CreateImageOptionsBuilder::new().from_image(name).tag(tag)
        };
        let mut steps = Box::pin(self.docker.create_image(Some(options.build()), None, None));
        while let Some(step) = steps.next().await {
            step?;
        }
        Ok(())
    }
}

async fn ask(at: &str) -> Result<(Docker, String), String> {
    let timeout_s = CALL.as_secs();
    let docker = if at.starts_with("unix://") {
        Docker::connect_with_unix(at, timeout_s, API_DEFAULT_VERSION)
    } else {
        Docker::connect_with_http(at, timeout_s, API_DEFAULT_VERSION)
    };
    let docker = docker.map_err(|error| words(&error))?;
    // The client speaks as to the newest engine; an older one refuses what it does not know.
    let docker = docker.negotiate_version().await.map_err(|error| words(&error))?;
    let version = docker.version().await.map_err(|error| words(&error))?;
    Ok((docker, version.version.unwrap_or_default()))
}

/// Where engines listen: the places at which testcontainers looks, too.
fn usual_sockets(env: &dyn Fn(&str) -> Option<String>) -> Vec<PathBuf> {
    let mut sockets = vec![PathBuf::from("/var/run/docker.sock")];
    sockets.extend(env("XDG_RUNTIME_DIR").map(|dir| Path::new(&dir).join(".docker/run/docker.sock")));
    if let Some(home) = env("HOME") {
        sockets.push(Path::new(&home).join(".docker/run/docker.sock"));
        sockets.push(Path::new(&home).join(".docker/desktop/docker.sock"));
    }
    sockets
}

fn existing(socket: PathBuf) -> Option<String> {
    socket.exists().then(|| format!("unix://{}", socket.display()))
}

fn missing(kind: ImageKind, images: &Images, reason: &str) -> HarnessError {
    let tried = images.candidates(kind).join(", ");
    let pulled = &images.candidates(kind)[0];
    HarnessError::Missing {
        what: format!(
            "the engine has no image for {kind} ({tried}), and {pulled} cannot be pulled: {reason}"
        ),
        advice: images.advice(kind),
    }
}

/// Whether the engine says that there is no such thing.
pub(super) fn is_missing(error: &Error) -> bool {
    matches!(error, Error::DockerResponseServerError { status_code: 404, .. })
}

/// What was to be done, and the engine's words.
pub(super) fn failed(doing: &str, error: &Error) -> HarnessError {
    HarnessError::failed(format!("failed to {doing}: {}", words(error)))
}

fn words(error: &Error) -> String {
    match error {
        Error::DockerResponseServerError { message, .. } => message.trim().to_owned(),
        other => {
            let mut text = other.to_string();
            let mut cause = std::error::Error::source(other);
            while let Some(inner) = cause {
                let more = inner.to_string();
                if !text.contains(&more) {
                    text = format!("{text}: {more}");
                }
                cause = inner.source();
            }
            text
        }
    }
}
