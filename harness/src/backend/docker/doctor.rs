//! What `crosscheck doctor` says about the docker backend.

use std::fmt;

use serde::Serialize;

use super::daemon::Engine;
use super::image::{ImageKind, Images};
use crate::backend::HarnessError;

/// Whether there is a Docker engine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "state")]
pub enum EngineState {
    /// It answers.
    Here {
        /// Its address.
        at: String,
        /// Its version.
        version: String,
    },
    /// There is no socket to reach one by.
    NoSocket {
        /// Where one was looked for.
        tried: Vec<String>,
    },
    /// It takes connections, and then nothing comes.
    NoAnswer {
        /// Its address.
        at: String,
        /// How long an answer was awaited.
        waited_ms: u64,
    },
    /// It, or the way to it, refuses.
    Refused {
        /// Its address.
        at: String,
        /// In its words.
        reason: String,
    },
}

impl EngineState {
    /// What is wrong; nothing if it is there.
    fn complaint(&self) -> Option<(String, &'static str)> {
        match self {
            EngineState::Here { .. } => None,
            EngineState::NoSocket { tried } => Some((
                format!("there is no socket of a Docker engine: looked at {}", tried.join(", ")),
                "run scripts/docker.sh (Debian), start Docker, or set DOCKER_HOST",
            )),
            EngineState::NoAnswer { at, waited_ms } => Some((
                format!("the Docker engine at {at} does not answer within {waited_ms} ms"),
                "restart it, or set DOCKER_HOST to another",
            )),
            EngineState::Refused { at, reason } => Some((
                format!("the Docker engine at {at} cannot be used: {reason}"),
                "start it, or set DOCKER_HOST to another",
            )),
        }
    }
}

impl From<EngineState> for HarnessError {
    fn from(state: EngineState) -> HarnessError {
        match state.complaint() {
            Some((what, advice)) => HarnessError::Missing { what, advice: advice.to_owned() },
            None => HarnessError::failed("the Docker engine answers, and was taken for one that does not"),
        }
    }
}

/// Whether an engine has an image of some kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ImageState {
    /// Of which kind.
    pub image: ImageKind,
    /// Whether designs run without it.
    pub optional: bool,
    /// The one that will be used.
    pub found: Option<String>,
    /// Those that were looked for.
    pub tried: Vec<String>,
    /// What mends it, if none is there.
    pub advice: Option<String>,
}

/// The engine, and its images.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Doctor {
    /// Whether containers of PostgreSQL, Redis and Kafka can be started without anything being pulled.
    pub ready: bool,
    /// The engine.
    pub engine: EngineState,
    /// Its images, in the order of [`ImageKind::ALL`]; none without an engine.
    pub images: Vec<ImageState>,
}

impl Doctor {
    /// Asks the engine. `env` is the environment: pass `&|name| std::env::var(name).ok()` from a binary.
    pub async fn examine(env: &(dyn Fn(&str) -> Option<String> + Sync)) -> Doctor {
        let images = Images::from(env);
        match Engine::find(env).await {
            Err(state) => Doctor::of(state, &images, &[]),
            Ok(engine) => {
                let mut found = Vec::new();
                for kind in ImageKind::ALL {
                    match engine.image(kind, &images).await {
                        Ok(image) => found.push((kind, image)),
                        Err(error) => {
                            let (at, reason) = (engine.at().to_owned(), error.to_string());
                            return Doctor::of(EngineState::Refused { at, reason }, &images, &[]);
                        }
                    }
                }
                let (at, version) = (engine.at().to_owned(), engine.version().to_owned());
                Doctor::of(EngineState::Here { at, version }, &images, &found)
            }
        }
    }

    /// What to say about such an engine, with the images that were found.
    pub fn of(engine: EngineState, images: &Images, found: &[(ImageKind, Option<String>)]) -> Doctor {
        let of = |(kind, found): &(ImageKind, Option<String>)| ImageState {
            image: *kind,
            optional: images.is_optional(*kind),
            found: found.clone(),
            tried: images.candidates(*kind).to_vec(),
            advice: found.is_none().then(|| images.advice(*kind)),
        };
        let images: Vec<ImageState> = found.iter().map(of).collect();
        let are_met = images.iter().all(|line| line.optional || line.found.is_some());
        Doctor { ready: matches!(engine, EngineState::Here { .. }) && are_met, engine, images }
    }

    /// What keeps it from being ready, and what mends that; nothing if it is.
    pub fn complaint(&self) -> Option<String> {
        if let Some((what, advice)) = self.engine.complaint() {
            return Some(format!("{what}; {advice}"));
        }
        let missing = self.images.iter().filter(|line| !line.optional && line.found.is_none());
        let words: Vec<String> = missing
            .map(|line| {
                let advice = line.advice.as_deref().unwrap_or_default();
                format!("the engine has no image for {} ({}); {advice}", line.image, line.tried.join(", "))
            })
            .collect();
        (!words.is_empty()).then(|| words.join("\n"))
    }
}

impl fmt::Display for Doctor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.engine {
            EngineState::Here { at, version } => write!(f, "{:<10} {version:<15} {at}", "engine")?,
            other => {
                let (what, advice) = other.complaint().unwrap_or_default();
                write!(f, "{:<10} missing: {what}\n{:<10} -> {advice}", "engine", "")?;
            }
        }
        for line in &self.images {
            match (&line.found, &line.advice) {
                (Some(image), _) => write!(f, "\n{:<10} {image}", line.image)?,
                (None, advice) => {
                    let missing = if line.optional { "not here, optional" } else { "missing" };
                    let advice = advice.as_deref().unwrap_or_default();
                    let tried = line.tried.join(", ");
                    write!(f, "\n{:<10} {missing}: looked for {tried}\n{:<10} -> {advice}", line.image, "")?;
                }
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> Images {
        Images::from(&|_: &str| None)
    }

    fn here() -> EngineState {
        EngineState::Here { at: "unix:///var/run/docker.sock".to_owned(), version: "20.10.24".to_owned() }
    }

    #[test]
    fn no_docker() {
        let state = EngineState::NoSocket { tried: vec!["/var/run/docker.sock".to_owned()] };
        let doctor = Doctor::of(state, &images(), &[]);
        assert!(!doctor.ready);
        insta::assert_snapshot!(doctor, @"
        engine     missing: there is no socket of a Docker engine: looked at /var/run/docker.sock
                   -> run scripts/docker.sh (Debian), start Docker, or set DOCKER_HOST
        ");
    }

    #[test]
    fn an_engine_that_does_not_answer_or_refuses() {
        let at = "tcp://10.0.0.1:2375".to_owned();
        let silent = Doctor::of(EngineState::NoAnswer { at: at.clone(), waited_ms: 2000 }, &images(), &[]);
        insta::assert_snapshot!(silent.complaint().unwrap_or_default(), @"the Docker engine at tcp://10.0.0.1:2375 does not answer within 2000 ms; restart it, or set DOCKER_HOST to another");
        let state = EngineState::Refused { at, reason: "Connection refused (os error 111)".to_owned() };
        let refuses = Doctor::of(state, &images(), &[]);
        insta::assert_snapshot!(refuses.complaint().unwrap_or_default(), @"the Docker engine at tcp://10.0.0.1:2375 cannot be used: Connection refused (os error 111); start it, or set DOCKER_HOST to another");
    }

    #[test]
    fn docker_without_images() {
        let found = ImageKind::ALL.map(|kind| (kind, None));
        let doctor = Doctor::of(here(), &images(), &found);
        assert!(!doctor.ready);
        insta::assert_snapshot!(doctor, @"
        engine     20.10.24        unix:///var/run/docker.sock
        postgres   missing: looked for postgres:17, crosscheck-local/postgres:15
                   -> run scripts/images.sh (Debian), or set CROSSCHECK_IMAGE_POSTGRES to an image that is here
        redis      missing: looked for redis:7.4, crosscheck-local/redis:7
                   -> run scripts/images.sh (Debian), or set CROSSCHECK_IMAGE_REDIS to an image that is here
        kafka      missing: looked for apache/kafka:4.1.0, crosscheck-local/kafka:4.3.1
                   -> run scripts/images.sh (Debian), or set CROSSCHECK_IMAGE_KAFKA to an image that is here
        cockroach  not here, optional: looked for cockroachdb/cockroach:v24.3.5
                   -> pull it, or set CROSSCHECK_IMAGE_COCKROACH to an image that is here
        redpanda   not here, optional: looked for redpandadata/redpanda:v24.3.5
                   -> pull it, or set CROSSCHECK_IMAGE_REDPANDA to an image that is here
        ");
        insta::assert_snapshot!(doctor.complaint().unwrap_or_default(), @"
        the engine has no image for postgres (postgres:17, crosscheck-local/postgres:15); run scripts/images.sh (Debian), or set CROSSCHECK_IMAGE_POSTGRES to an image that is here
        the engine has no image for redis (redis:7.4, crosscheck-local/redis:7); run scripts/images.sh (Debian), or set CROSSCHECK_IMAGE_REDIS to an image that is here
        the engine has no image for kafka (apache/kafka:4.1.0, crosscheck-local/kafka:4.3.1); run scripts/images.sh (Debian), or set CROSSCHECK_IMAGE_KAFKA to an image that is here
        ");
    }

    #[test]
    fn docker_with_images() {
        let found = ImageKind::ALL.map(|kind| {
            let image = images().candidates(kind).last().cloned();
            (kind, image.filter(|_| !images().is_optional(kind)))
        });
        let doctor = Doctor::of(here(), &images(), &found);
        assert!(doctor.ready);
        assert_eq!(doctor.complaint(), None);
        insta::assert_snapshot!(doctor, @"
        engine     20.10.24        unix:///var/run/docker.sock
        postgres   crosscheck-local/postgres:15
        redis      crosscheck-local/redis:7
        kafka      crosscheck-local/kafka:4.3.1
        cockroach  not here, optional: looked for cockroachdb/cockroach:v24.3.5
                   -> pull it, or set CROSSCHECK_IMAGE_COCKROACH to an image that is here
        redpanda   not here, optional: looked for redpandadata/redpanda:v24.3.5
                   -> pull it, or set CROSSCHECK_IMAGE_REDPANDA to an image that is here
        ");
    }
}
