//! What an actor is given: its ports, each behind the gate, its points, and a place to note what it received
//! and what it did.

mod addresses;
mod memory;
mod ports;
mod step;

use std::sync::Arc;
use std::time::Duration;

use crosscheck_models::history::{Deliver, Effect, EventBody};

pub use addresses::{Addresses, DatabaseAddress};
pub(crate) use memory::Memory;
pub use ports::{BrokerPort, CachePort, DbPort};
pub(crate) use step::Stepper;

use crate::gate::{Decision, StepKind};
use crate::port::{Message, PortError, System};

/// The systems as one actor reaches them: its own links, through which it alone can be cut off.
#[derive(Clone)]
pub struct Links {
    /// The database.
    pub database: Option<Arc<dyn crate::port::Database>>,
    /// The cache.
    pub cache: Option<Arc<dyn crate::port::Cache>>,
    /// The broker.
    pub broker: Option<Arc<dyn crate::port::Broker>>,
    /// The same, for clients that are not ours.
    pub addresses: Addresses,
    /// Put before every topic, group, transactional id, slot and cache key, so that runs share servers without meeting.
    pub prefix: String,
}

impl std::fmt::Debug for Links {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Links").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

/// An actor's surroundings. Dropping it drops the actor's connections.
#[derive(Debug)]
pub struct Ctx {
    /// The database.
    pub db: DbPort,
    /// The cache.
    pub cache: CachePort,
    /// The broker.
    pub broker: BrokerPort,
    stepper: Arc<Stepper>,
    memory: Arc<Memory>,
    addresses: Addresses,
    prefix: String,
}

impl Ctx {
    pub(crate) fn new(links: &Links, stepper: Arc<Stepper>, memory: Arc<Memory>) -> Self {
        Ctx {
            db: DbPort::new(links.database.clone(), stepper.clone()),
            cache: CachePort::new(links.cache.clone(), stepper.clone()),
            broker: BrokerPort::new(links.broker.clone(), links.prefix.clone(), stepper.clone()),
            stepper,
            memory,
            addresses: links.addresses.clone(),
            prefix: links.prefix.clone(),
        }
    }

    /// The actor's name.
    pub fn actor(&self) -> &str {
        self.stepper.actor()
    }

    /// A name that no other run uses, for what servers share: replication slots, cache keys.
    pub fn unique(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Where the systems are, for a service with clients of its own.
    ///
    /// What goes through them is hit by the faults of links and servers. It is no step: the gate can hold, crash
    /// and pause the actor at its points only, and stories tell of those. Connections have to be dropped with
    /// the actor's future, or a crash leaves them open.
    pub fn addresses(&self) -> &Addresses {
        &self.addresses
    }

    /// What all actors of this run share in memory, as the threads of one process do: a mutex, say. It is made
    /// when first asked for. State in fields of a design would be shared by runs that have nothing in common.
    pub fn shared<T: Default + Send + Sync + 'static>(&self) -> Arc<T> {
        self.memory.of()
    }

    /// A named place between two calls: here the actor can be held, paused or crashed.
    ///
    /// # Errors
    /// If the schedule puts an error here.
    pub async fn point(&mut self, name: &str) -> Result<(), PortError> {
        match self.stepper.pass(System::App, name, StepKind::Point).await {
            Decision::Pass => Ok(()),
            Decision::LoseRequest | Decision::LoseReply | Decision::Error => Err(PortError::refused(
                System::App,
                "injected",
                format!("the schedule puts an error at {name}"),
            )),
        }
    }

    /// Says that there is nothing to do at the moment, and waits for `poll`.
    pub async fn idle(&mut self, poll: Duration) {
        self.stepper.pass(System::App, "idle", StepKind::Idle).await;
        if self.stepper.is_free() {
            tokio::time::sleep(poll).await;
        }
    }

    /// Notes that an event was received, now.
    pub fn deliver(&mut self, message: &Message, event: Deliver) {
        let topic = message.topic.strip_prefix(&self.prefix).unwrap_or(&message.topic).to_owned();
        let deliver =
            Deliver { topic: topic.into(), partition: message.partition, offset: message.offset, ..event };
        self.stepper.observe(EventBody::Deliver(deliver));
    }

    /// Notes that an effect took place, now.
    pub fn effect(&mut self, effect: Effect) {
        self.stepper.observe(EventBody::Effect(effect));
    }

    /// The operation on whose behalf the next steps are made.
    pub(crate) fn on_behalf_of(&mut self, op_id: Option<&str>) {
        self.stepper.on_behalf_of(op_id);
    }

    /// Stands between two operations until the gate lets the client go on.
    pub(crate) async fn between(&mut self) {
        self.stepper.pass(System::App, "next operation", StepKind::Between).await;
    }
}
