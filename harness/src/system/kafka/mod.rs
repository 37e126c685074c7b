//! The broker port on Kafka (and what speaks its protocol), by librdkafka.
//!
//! librdkafka is a client of its own threads: it connects when it needs to and reconnects by itself, as in
//! every service that uses it. Opening a producer or a consumer therefore succeeds without a broker. What
//! may block (creating, destroying, synchronous calls) is kept off the async runtime.

mod consumer;
mod failure;
mod guest;
mod producer;
mod topic;

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use rdkafka::ClientConfig;
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::ConsumerContext;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode;

use crate::port::{Broker, Consumer, ConsumerOptions, PortError, Producer, ProducerOptions, System};
use consumer::KafkaConsumer;
use producer::KafkaProducer;

pub(crate) use guest::{Guest, groups_of};
pub use topic::{create_topic, delete_topic, read_topic};

/// How long a call of administration, a commit or a question for an offset may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// A Kafka cluster.
#[derive(Debug, Clone)]
pub struct KafkaBroker {
    bootstrap: SocketAddr,
    context: Quiet,
}

/// Called on a thread of librdkafka's own whenever a client cannot reach its broker.
pub type Unreachable = Arc<dyn Fn() + Send + Sync>;

impl KafkaBroker {
    /// The cluster that the broker at that address belongs to. The addresses that its brokers advertise are
    /// those that are talked to, so a proxy has to be what they advertise.
    pub fn new(bootstrap: SocketAddr) -> Self {
        KafkaBroker { bootstrap, context: Quiet::default() }
    }

    /// The same cluster. Its clients tell when they cannot reach it, which no call of theirs says.
    #[must_use]
    pub fn telling(self, unreachable: Unreachable) -> Self {
        KafkaBroker { context: Quiet { unreachable: Some(unreachable) }, ..self }
    }
}

#[async_trait]
impl Broker for KafkaBroker {
    async fn producer(&self, options: &ProducerOptions) -> Result<Box<dyn Producer>, PortError> {
        Ok(Box::new(KafkaProducer::open(self.bootstrap, options, self.context.clone()).await?))
    }

    async fn consumer(&self, options: &ConsumerOptions) -> Result<Box<dyn Consumer>, PortError> {
        Ok(Box::new(KafkaConsumer::open(self.bootstrap, options, self.context.clone()).await?))
    }
}

/// Keeps librdkafka's logs and global errors to itself: what concerns a call comes back from the call, and
/// standard error belongs to the command line.
#[derive(Clone, Default)]
struct Quiet {
    unreachable: Option<Unreachable>,
}

impl fmt::Debug for Quiet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quiet").finish_non_exhaustive()
    }
}

impl ClientContext for Quiet {
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: KafkaError, _reason: &str) {
        let is_unreachable = error.rdkafka_error_code() == Some(RDKafkaErrorCode::BrokerTransportFailure);
        if let Some(unreachable) = self.unreachable.as_ref().filter(|_| is_unreachable) {
            unreachable();
        }
    }
}

impl ConsumerContext for Quiet {}

/// What every client has set. Reconnecting is quick so that a healed fault is noticed soon; no other
/// default of librdkafka that a guarantee rests on is touched here.
fn client_config(bootstrap: SocketAddr) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set_log_level(RDKafkaLogLevel::Emerg);
    for (key, value) in [
        ("client.id", "crosscheck"),
        ("broker.address.family", if bootstrap.is_ipv4() { "v4" } else { "v6" }),
        ("socket.nagle.disable", "true"),
        ("socket.connection.setup.timeout.ms", "2000"),
        ("reconnect.backoff.ms", "10"),
        ("reconnect.backoff.max.ms", "200"),
        ("retry.backoff.ms", "20"),
        ("retry.backoff.max.ms", "200"),
        ("topic.metadata.refresh.fast.interval.ms", "50"),
        ("enable.metrics.push", "false"),
    ] {
        config.set(key, value);
    }
    config.set("bootstrap.servers", bootstrap.to_string());
    config
}

/// Runs what blocks on a thread of its own. librdkafka waits without end for the answer to some calls (a commit, where
/// the broker has gone): a runtime that shuts down would wait for them as long, if they were its own.
async fn blocking<T: Send + 'static>(
    call: impl FnOnce() -> Result<T, PortError> + Send + 'static,
) -> Result<T, PortError> {
    let (answer, answered) = tokio::sync::oneshot::channel();
    let thread = std::thread::Builder::new().name("kafka-call".to_owned());
    let runtime = tokio::runtime::Handle::current();
    let started = thread.spawn(move || {
        // Some clients look for the runtime when they are made.
        let _entered = runtime.enter();
        // Who asked may have given up by then.
        drop(answer.send(call()));
    });
    if let Err(error) = started {
        return Err(failure::not_possible("Client", format!("there is no thread to be had: {error}")));
    }
    match answered.await {
        Ok(result) => result,
        Err(_gone) => Err(PortError::unknown(System::Broker, "the call was stopped".to_owned())),
    }
}

/// Destroys a client on a thread of its own: librdkafka joins its threads then, and a consumer leaves its
/// group. A runtime that shuts down does not wait for it.
fn aside(destroy: impl FnOnce() + Send + 'static) {
    let thread = std::thread::Builder::new().name("kafka-destroy".to_owned());
    // Without a thread to be had the closure is dropped here, and the client with it: that only takes longer.
    let _ = thread.spawn(destroy);
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::channel;
    use std::time::Duration;

    use super::blocking;

    #[test]
    fn a_runtime_that_shuts_down_does_not_wait_for_a_call_that_never_ends() {
        let (_never, forever) = channel::<()>();
        let (done, is_down) = channel();
        std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
            let call = blocking(move || Ok(forever.recv().is_ok()));
            let gave_up =
                runtime.block_on(async { tokio::time::timeout(Duration::from_millis(10), call).await });
            assert!(gave_up.is_err(), "nothing ends the call");
            drop(runtime);
            done.send(()).expect("somebody waits");
        });
        is_down.recv_timeout(Duration::from_secs(60)).expect("the runtime is down though the call goes on");
    }
}
