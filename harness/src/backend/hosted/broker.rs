//! Which broker servers are started.

use crate::backend::HarnessError;

/// The environment variable that says so: `kafka`, or `redpanda`.
const BROKER: &str = "CROSSCHECK_BROKER";

/// The environment variable that has changefeeds read by sessions of ours: `sinkless`. For a CockroachDB that may not
/// publish by itself.
const CHANGEFEED: &str = "CROSSCHECK_CHANGEFEED";

/// Whether changefeeds are without a sink.
pub(crate) fn is_sinkless(env: &dyn Fn(&str) -> Option<String>) -> bool {
    env(CHANGEFEED).as_deref() == Some("sinkless")
}

/// A broker that speaks Kafka's protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum BrokerKind {
    /// Apache Kafka.
    Kafka,
    /// Redpanda.
    Redpanda,
}

/// What the environment says; not judged before a broker is needed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum BrokerChoice {
    Is(BrokerKind),
    /// The variable says something else.
    Unknown(String),
}

impl BrokerChoice {
    /// Kafka, unless the environment says otherwise.
    pub(crate) fn from(env: &dyn Fn(&str) -> Option<String>) -> BrokerChoice {
        match env(BROKER).as_deref() {
            None | Some("" | "kafka") => BrokerChoice::Is(BrokerKind::Kafka),
            Some("redpanda") => BrokerChoice::Is(BrokerKind::Redpanda),
            Some(other) => BrokerChoice::Unknown(other.to_owned()),
        }
    }

    /// The broker.
    ///
    /// # Errors
    /// The variable names none.
    pub(crate) fn broker(&self) -> Result<BrokerKind, HarnessError> {
        match self {
            BrokerChoice::Is(kind) => Ok(*kind),
            BrokerChoice::Unknown(name) => Err(HarnessError::failed(format!(
                "{BROKER} is `{name}`; set it to kafka or redpanda, or not at all"
            ))),
        }
    }
}
