//! A design under test: how it keeps its systems in step, what it claims, and where its state lies.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use async_trait::async_trait;
use crosscheck_models::history::{CopyRow, ReadItem, WriteItem};
use crosscheck_models::property::Property;

use crate::context::Ctx;
use crate::database::Feature;
use crate::operation::{Operation, OperationKind, Pauses, Workload};
use crate::port::{CacheConnection, PortError};
use crate::schedule::Schedule;

/// A way of keeping two or more systems in step. Implement it for a service of your own to have its claims
/// checked; [`crate::check`] begins with a small example.
///
/// What the verdicts need of a design:
///
/// - Each writing transaction counts up a version of its key, under the lock of the key's row, and adds a row to
///   a ledger: which operation made which version. The ledger is not part of what is under test. It settles what
///   became of operations whose clients heard nothing, so it must not be derived from what may go missing.
/// - An event names its key, version and operation ([`Layout::decode`]), and who receives it says so
///   ([`Ctx::deliver`]); who acts on it, too ([`Ctx::effect`]).
/// - A service that finds nothing to do says so ([`Ctx::idle`]). What is missing once all are idle is lost.
/// - An error of an operation leaves open whether it happened, unless [`Failure::Aborted`] says that it did not.
/// - Delicate moments between two calls have names ([`Ctx::point`]): there, load takes its time and faults strike.
#[async_trait]
pub trait Design: Send + Sync + 'static {
    /// Its id; `design/bug` for a named twin with a bug.
    fn id(&self) -> String;

    /// How it works, in a sentence.
    fn about(&self) -> String;

    /// The systems that it needs.
    fn needs(&self) -> Needs;

    /// What it asks of its database beyond tables and transactions. On a database that lacks one of these it is
    /// not run.
    fn database_features(&self) -> Vec<Feature> {
        Vec::new()
    }

    /// What it claims. Only claims make a verdict; other violations are notes.
    fn claims(&self) -> Vec<Property>;

    /// Whether clients publish to the broker themselves.
    fn clients_publish(&self) -> bool {
        false
    }

    /// The faults that it claims to survive, by id; `app-crash@relay` for one actor or link only.
    fn faults(&self) -> Vec<&'static str> {
        vec!["app-crash"]
    }

    /// Tables and topics, and how to read them at the end.
    fn layout(&self) -> Layout;

    /// The load of a stress run: unless a design says otherwise, transactions that overlap, at a rate with which
    /// a relay keeps up. One that lags behind sees every gap closed by the time it comes to it, and shows nothing.
    fn workload(&self) -> Workload {
        Workload {
            clients: 8,
            keys: 8,
            rate: Some(120),
            reads_percent: 34,
            writes: OperationKind::Write,
            aborts_percent: 0,
            pauses: Pauses { percent: 25, max_ms: 25 },
        }
    }

    /// For bounded staleness: the bound, in milliseconds.
    fn staleness_bound_ms(&self) -> Option<u64> {
        None
    }

    /// Directed schedules that show what it does at its delicate moments.
    fn schedules(&self) -> Vec<Schedule> {
        Vec::new()
    }

    /// Relays, consumers, and whatever else runs beside the clients.
    fn services(&self) -> Vec<Service> {
        Vec::new()
    }

    /// Does one operation of a client. It may keep connections in `ctx` from one operation to the next.
    ///
    /// # Errors
    /// [`Failure::Aborted`] only where the operation provably had no effect and never will.
    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure>;

    /// What the cache holds at the end for these keys, read without filling it. `prefix` is what
    /// [`Ctx::unique`] puts before a name.
    ///
    /// # Errors
    /// If the cache does not answer.
    async fn final_cache(
        &self,
        _cache: &mut dyn CacheConnection,
        _prefix: &str,
        _keys: &[String],
    ) -> Result<Vec<CopyRow>, PortError> {
        Ok(Vec::new())
    }
}

/// The systems that a design needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Needs {
    /// A database.
    pub db: bool,
    /// A cache.
    pub cache: bool,
    /// A broker.
    pub broker: bool,
}

/// Where a design's state lies. The queries name their columns as the history does.
#[derive(Debug, Clone, Default)]
pub struct Layout {
    /// Statements that make the tables, and rows that are there from the start. `{prefix}` stands for what
    /// [`Ctx::unique`] puts before a name.
    pub ddl: Vec<String>,
    /// Topics, with how many partitions.
    pub topics: Vec<(String, i32)>,
    /// Tables whose committed changes the database itself publishes (a changefeed), with the topic of each.
    pub changefeeds: Vec<(String, String)>,
    /// Reads `key, ver, value` of the source of truth.
    pub source_of_truth: Option<String>,
    /// Reads `key, ver, op_id, value, base_ver, delta` of the ledger (the last two may be null).
    pub ledger: Option<String>,
    /// The ledger's table (with columns `key` and `ver`), whose rows a logical slot shows in commit order.
    pub commit_order_of: Option<String>,
    /// Reads `id, key, ver, op_id, state` of the outbox.
    pub outbox: Option<String>,
    /// For each projection: its name, and a query that reads `key, ver, value`.
    pub projections: Vec<(String, String)>,
    /// Turns a message of a topic (key, payload) into the event that it carries.
    pub decode: Option<Decode>,
}

impl Layout {
    /// The tables that it makes, in order.
    pub fn tables(&self) -> Vec<String> {
        let name = |statement: &String| {
            let mut words = statement.split_whitespace();
            let is =
                |word: Option<&str>, known: &str| word.is_some_and(|word| word.eq_ignore_ascii_case(known));
            let makes = is(words.next(), "create") && is(words.next(), "table");
            let name = words.find(|word| !["if", "not", "exists"].contains(&word.to_lowercase().as_str()))?;
            let name = name.split('(').next().unwrap_or(name);
            (makes && !name.is_empty()).then(|| name.to_owned())
        };
        self.ddl.iter().filter_map(name).collect()
    }
}

/// Turns a message (key, payload) into an event; none where it carries none.
pub type Decode = fn(&str, &str) -> Option<crosscheck_models::history::Deliver>;

/// What came of an operation.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Done {
    /// What was read.
    pub reads: Vec<ReadItem>,
    /// What was written, with the versions that were made.
    pub writes: Vec<WriteItem>,
}

impl Done {
    /// One key was read.
    pub fn read(item: ReadItem) -> Self {
        Done { reads: vec![item], writes: Vec::new() }
    }

    /// One key was written.
    pub fn write(item: WriteItem) -> Self {
        Done { reads: Vec::new(), writes: vec![item] }
    }
}

/// Why an operation did not say that it is done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// It had no effect, and never will have.
    #[error("{0}")]
    Aborted(String),
    /// It may have had an effect, or may have it later.
    #[error("{0}")]
    Unknown(String),
}

/// Unless a design says otherwise, an error leaves the outcome unknown.
impl From<PortError> for Failure {
    fn from(error: PortError) -> Self {
        Failure::Unknown(error.to_string())
    }
}

/// Whose link to a system it is. Each can be cut by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// The service that clients call.
    Client,
    /// What carries changes from the source of truth elsewhere.
    Relay,
    /// What receives events.
    Consumer,
}

impl Role {
    /// All roles.
    pub const ALL: [Role; 3] = [Role::Client, Role::Relay, Role::Consumer];

    /// The word that schedules use.
    pub fn id(self) -> &'static str {
        match self {
            Role::Client => "client",
            Role::Relay => "relay",
            Role::Consumer => "consumer",
        }
    }
}

/// The life of a service: it goes on until it is stopped, or ends with an error and is started again.
pub type Life = Pin<Box<dyn Future<Output = Result<(), PortError>> + Send>>;

/// A restartable part of a design that runs beside the clients.
#[derive(Clone)]
pub struct Service {
    /// Its name: `relay`, `consumer`, ..
    pub name: String,
    /// Whose links it uses.
    pub role: Role,
    /// Begins a life. State that outlives a life lies in the systems.
    pub body: Arc<dyn Fn(Ctx) -> Life + Send + Sync>,
}

impl std::fmt::Debug for Service {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Service").field("name", &self.name).field("role", &self.role).finish_non_exhaustive()
    }
}

impl Service {
    /// A service from an async function of its surroundings.
    pub fn new<F, L>(name: &str, role: Role, body: F) -> Self
    where
        F: Fn(Ctx) -> L + Send + Sync + 'static,
        L: Future<Output = Result<(), PortError>> + Send + 'static,
    {
        Service { name: name.to_owned(), role, body: Arc::new(move |ctx| Box::pin(body(ctx))) }
    }
}
