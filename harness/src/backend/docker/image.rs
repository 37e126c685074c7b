//! Which images containers are made of.
//!
//! An environment variable wins, and nothing else is tried. Then the official image of the version that is pinned
//! here, then the one that `scripts/images.sh` builds: whichever the engine has.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use crate::backend::HarnessError;
use crate::backend::hosted::broker::{BrokerChoice, BrokerKind};

/// A kind of server that runs in a container.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ImageKind {
    /// PostgreSQL.
    Postgres,
    /// Redis.
    Redis,
    /// Apache Kafka.
    Kafka,
    /// CockroachDB.
    Cockroach,
    /// Redpanda.
    Redpanda,
}

impl ImageKind {
    /// All of them, in the order in which they are shown.
    pub const ALL: [Self; 5] = [Self::Postgres, Self::Redis, Self::Kafka, Self::Cockroach, Self::Redpanda];

    /// The name as it is shown.
    pub fn name(self) -> &'static str {
        match self {
            Self::Postgres => "postgres",
            Self::Redis => "redis",
            Self::Kafka => "kafka",
            Self::Cockroach => "cockroach",
            Self::Redpanda => "redpanda",
        }
    }

    /// The environment variable that names another image, and wins.
    pub fn variable(self) -> &'static str {
        match self {
            Self::Postgres => "CROSSCHECK_IMAGE_POSTGRES",
            Self::Redis => "CROSSCHECK_IMAGE_REDIS",
            Self::Kafka => "CROSSCHECK_IMAGE_KAFKA",
            Self::Cockroach => "CROSSCHECK_IMAGE_COCKROACH",
            Self::Redpanda => "CROSSCHECK_IMAGE_REDPANDA",
        }
    }

    /// The official image of the version that is known to do.
    fn official(self) -> &'static str {
        match self {
            Self::Postgres => "postgres:17",
            Self::Redis => "redis:7.4",
            Self::Kafka => "apache/kafka:4.1.0",
            // From 24.3 on, a single node needs no licence key for its changefeeds.
            Self::Cockroach => "cockroachdb/cockroach:v24.3.5",
            Self::Redpanda => "redpandadata/redpanda:v24.3.5",
        }
    }

    /// The image that `scripts/images.sh` builds, where it builds one.
    fn built_here(self) -> Option<&'static str> {
        match self {
            Self::Postgres => Some("crosscheck-local/postgres:15"),
            Self::Redis => Some("crosscheck-local/redis:7"),
            Self::Kafka => Some("crosscheck-local/kafka:4.3.1"),
            Self::Cockroach | Self::Redpanda => None,
        }
    }
}

impl fmt::Display for ImageKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// The images that may be used, best first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Images {
    candidates: BTreeMap<ImageKind, Vec<String>>,
    broker: BrokerChoice,
}

impl Images {
    /// By the environment: pass `&|name| std::env::var(name).ok()` from a binary.
    pub fn from(env: &dyn Fn(&str) -> Option<String>) -> Images {
        let of = |kind: ImageKind| {
            let named = env(kind.variable()).filter(|image| !image.trim().is_empty());
            match named {
                Some(image) => vec![image.trim().to_owned()],
                None => {
                    std::iter::once(kind.official()).chain(kind.built_here()).map(str::to_owned).collect()
                }
            }
        };
        let broker = BrokerChoice::from(env);
        Images { candidates: ImageKind::ALL.into_iter().map(|kind| (kind, of(kind))).collect(), broker }
    }

    /// Which broker containers run.
    ///
    /// # Errors
    /// `CROSSCHECK_BROKER` names none.
    pub fn broker(&self) -> Result<ImageKind, HarnessError> {
        self.broker.broker().map(|kind| match kind {
            BrokerKind::Kafka => ImageKind::Kafka,
            BrokerKind::Redpanda => ImageKind::Redpanda,
        })
    }

    /// Whether designs run without an image of this kind.
    pub fn is_optional(&self, kind: ImageKind) -> bool {
        match kind {
            ImageKind::Postgres | ImageKind::Redis => false,
            ImageKind::Cockroach => true,
            ImageKind::Kafka => self.broker != BrokerChoice::Is(BrokerKind::Kafka),
            ImageKind::Redpanda => self.broker != BrokerChoice::Is(BrokerKind::Redpanda),
        }
    }

    /// The images that may serve as this kind, best first; never none.
    pub fn candidates(&self, kind: ImageKind) -> &[String] {
        &self.candidates[&kind]
    }

    /// What mends that none of them is there.
    pub fn advice(&self, kind: ImageKind) -> String {
        let name = kind.variable();
        match (self.candidates(kind), kind.built_here()) {
            ([_named], Some(_)) => format!("pull it, or unset {name}"),
            (_, Some(_)) => format!("run scripts/images.sh (Debian), or set {name} to an image that is here"),
            (_, None) => format!("pull it, or set {name} to an image that is here"),
        }
    }
}

/// An image's name and tag, as testcontainers wants them: a digest is the tag of a name that ends in `@sha256`.
pub(super) fn name_and_tag(image: &str) -> (&str, &str) {
    match image.rsplit_once(':') {
        // A registry's port is no tag.
        Some((name, tag)) if !tag.contains('/') => (name, tag),
        _ => (image, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_wins_and_leaves_no_choice() {
        let env = |name: &str| (name == "CROSSCHECK_IMAGE_REDIS").then(|| " redis:8 ".to_owned());
        let images = Images::from(&env);
        assert_eq!(images.candidates(ImageKind::Redis), ["redis:8"]);
        assert_eq!(images.advice(ImageKind::Redis), "pull it, or unset CROSSCHECK_IMAGE_REDIS");
        assert_eq!(images.candidates(ImageKind::Postgres), ["postgres:17", "crosscheck-local/postgres:15"]);
        assert_eq!(images.candidates(ImageKind::Redpanda).len(), 1);
    }

    #[test]
    fn the_broker_is_kafka_unless_another_is_named() {
        let named = |name: &'static str| {
            Images::from(&move |variable: &str| (variable == "CROSSCHECK_BROKER").then(|| name.to_owned()))
        };
        assert_eq!(named("kafka").broker(), Images::from(&|_: &str| None).broker());
        assert_eq!(named("redpanda").broker(), Ok(ImageKind::Redpanda));
        assert!(named("redpanda").is_optional(ImageKind::Kafka));
        let wrong = named("rabbit").broker().map_err(|error| error.to_string());
        let said = "CROSSCHECK_BROKER is `rabbit`; set it to kafka or redpanda, or not at all";
        assert_eq!(wrong, Err(said.to_owned()));
    }

    #[test]
    fn tags_digests_and_ports_of_registries_are_told_apart() {
        assert_eq!(name_and_tag("redis:7.4"), ("redis", "7.4"));
        assert_eq!(name_and_tag("redis"), ("redis", "latest"));
        assert_eq!(name_and_tag("host:5000/redis"), ("host:5000/redis", "latest"));
        assert_eq!(name_and_tag("host:5000/redis:7"), ("host:5000/redis", "7"));
        assert_eq!(name_and_tag("redis@sha256:ab"), ("redis@sha256", "ab"));
    }
}
