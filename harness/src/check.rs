//! The front door for tests: check a design of your own, on the servers that are here or on the model.
//!
//! Implement [`Design`] for your service, in a file beside your tests: which tables and topics it has, how to read
//! them at the end, what runs beside its clients, what a client does, and what it claims. Then a test says
//!
//! ```no_run
//! # use crosscheck_harness::check::check;
//! # use crosscheck_harness::design::Design;
//! # async fn test(our_outbox: impl Design) {
//! check(our_outbox).seed_from_env().run().await.assert_holds();
//! # }
//! ```
//!
//! The check starts PostgreSQL, Redis and Kafka as it needs them, each behind a fault proxy, and ends them again.
//! Where they are not installed it takes place on the model, says so on stderr, and needs nothing ([`On`]).
//! It plays the directed schedules of the design, then puts load on it without faults, then with faults, and
//! judges each history. A violation fails the test with a story, the seed, and the command that replays it.
//!
//! `examples/own-service` of the repository is such a service, with its tests. The smallest design:
//!
//! ```
//! use crosscheck_harness::context::Ctx;
//! use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
//! use crosscheck_harness::operation::{Operation, OperationKind};
//! use crosscheck_models::history::{ReadItem, Scalar, Source, WriteItem};
//! use crosscheck_models::property::Property;
//!
//! struct Counter;
//!
//! #[async_trait::async_trait]
//! impl Design for Counter {
//!     fn id(&self) -> String {
//!         "counter".into()
//!     }
//!
//!     fn about(&self) -> String {
//!         "one row for each key, replaced by each write".into()
//!     }
//!
//!     fn needs(&self) -> Needs {
//!         Needs { db: true, ..Needs::default() }
//!     }
//!
//!     fn claims(&self) -> Vec<Property> {
//!         vec![Property::AckDurability, Property::MonotonicReads]
//!     }
//!
//!     fn layout(&self) -> Layout {
//!         Layout {
//!             ddl: vec![
//!                 "CREATE TABLE counter (key text PRIMARY KEY, ver bigint, value bigint)".into(),
//!                 // Each write leaves a row here, in its transaction. It tells afterwards which writes
//!                 // happened, also those whose clients never heard.
//!                 "CREATE TABLE ledger (key text, ver bigint, op_id text, value bigint)".into(),
//!             ],
//!             source_of_truth: Some("SELECT key, ver, value FROM counter".into()),
//!             ledger: Some(
//!                 "SELECT *, NULL::bigint AS base_ver, NULL::bigint AS delta FROM ledger".into(),
//!             ),
//!             ..Layout::default()
//!         }
//!     }
//!
//!     async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
//!         let key = operation.key.as_str();
//!         if operation.f == OperationKind::Read {
//!             let mut item = ReadItem { key: key.into(), source: Some(Source::Db), ..ReadItem::default() };
//!             let rows = ctx.db.query("SELECT ver, value FROM counter WHERE key = $1", &[key.into()]).await?;
//!             if let Some(row) = rows.first() {
//!                 item.ver = Some(row.version("ver")?);
//!                 item.value = Scalar::Int(row.int("value")?);
//!             }
//!             return Ok(Done::read(item));
//!         }
//!         // An error (`?`) leaves open whether the write happened; the ledger will tell.
//!         let write = "WITH new AS (INSERT INTO counter VALUES ($1, 1, $2) ON CONFLICT (key) DO UPDATE \
//!                          SET ver = counter.ver + 1, value = $2 RETURNING key, ver, value) \
//!                      INSERT INTO ledger SELECT key, ver, $3, value FROM new RETURNING ver";
//!         let params = [key.into(), operation.value.into(), operation.op_id.as_str().into()];
//!         let ver = ctx.db.query_one(write, &params).await?.version("ver")?;
//!         let value = Scalar::Int(operation.value);
//!         Ok(Done::write(WriteItem { key: key.into(), value, ver: Some(ver), ..WriteItem::default() }))
//!     }
//! }
//! ```
//!
//! Environment: `CROSSCHECK_SEED` and `CROSSCHECK_SCHEDULE` (see [`Check::seed_from_env`]);
//! `CROSSCHECK_REQUIRE=local` (or `docker`, or both with a comma between) makes a check fail for want of servers,
//! that would be skipped or go to the model; `CROSSCHECK_POSTGRES_BIN`, `CROSSCHECK_REDIS_SERVER` and
//! `CROSSCHECK_KAFKA_HOME` say where the servers are, `CROSSCHECK_IMAGE_POSTGRES` (`_REDIS`, `_KAFKA`) which images
//! containers are made of, and `DOCKER_HOST` where the engine is.

mod host;
mod outcome;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crosscheck_models::property::Property;
use crosscheck_models::verdict::Verdict;

use crate::backend::HarnessError;
use crate::design::Design;
use crate::runner::run;
use crate::schedule::{FaultOn, Schedule};
use crate::{fault, judge, plan};

use host::Systems;
pub use outcome::Checked;
use outcome::{Repeat, State, Trial};

/// Which faults a check injects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Faults {
    /// None: only the directed schedules without faults, and load.
    None,
    /// The fault model that the design declares.
    All,
    /// These, by id; `db-cut@relay` on one link (or, for a fault of the application, actor) only.
    Only(Vec<&'static str>),
}

/// Where a check takes place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum On {
    /// On servers if they are installed, else in containers if there is an engine with their images, else on the
    /// model.
    #[default]
    Auto,
    /// On the model: database, cache and broker in process, in virtual time. It runs the SQL, the commands and the
    /// calls that go through the ports of [`Ctx`](crate::context::Ctx), and refuses by name what it does not know.
    /// The same seed gives the same history, byte for byte.
    Model,
    /// On servers; skipped where they are not installed. Right for a service that brings its own clients.
    Local,
    /// On servers in containers; skipped where there is no Docker engine, or an image is neither there nor can be
    /// pulled.
    Docker,
}

/// Begins a check of a design. Nothing happens until [`Check::run`].
///
/// ```no_run
/// # use crosscheck_harness::check::{Faults, check};
/// # use crosscheck_harness::design::Design;
/// # use crosscheck_models::property::Property;
/// # async fn test(our_outbox: impl Design) {
/// check(our_outbox)
///     .claims([Property::NoLoss, Property::PerKeyOrder])
///     .faults(Faults::Only(vec!["db-crash", "app-crash@relay"]))
///     .seed(7)
///     .run()
///     .await
///     .assert_holds();
/// # }
/// ```
pub fn check(design: impl Design) -> Check {
    let claims = design.claims();
    Check {
        design: Arc::new(design),
        claims,
        faults: Faults::All,
        on: On::Auto,
        seed: 1,
        time: Duration::from_secs(3),
        plays: Plays::All,
        variables: Vec::new(),
    }
}

/// A check to be run.
#[must_use = "a check does nothing until it is run"]
pub struct Check {
    design: Arc<dyn Design>,
    claims: Vec<Property>,
    faults: Faults,
    on: On,
    seed: u64,
    time: Duration,
    plays: Plays,
    variables: Vec<&'static str>,
}

/// Which schedules are played.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Plays {
    /// The design's own, and load.
    All,
    /// Load.
    Load,
    /// The one in this file.
    One(PathBuf),
}

/// What a check sets out to do.
enum Task {
    Play(Vec<Schedule>),
    Skip(String),
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("design", &self.design.id()).field("claims", &self.claims).finish()
    }
}

impl Check {
    /// Judges these properties, instead of those that the design claims.
    pub fn claims(mut self, claims: impl IntoIterator<Item = Property>) -> Self {
        self.claims = claims.into_iter().collect();
        self
    }

    /// Injects these faults.
    pub fn faults(mut self, faults: Faults) -> Self {
        self.faults = faults;
        self
    }

    /// Takes place there.
    pub fn on(mut self, on: On) -> Self {
        self.on = on;
        self
    }

    /// Takes this seed: the same seed gives the same operations, and the same faults at the same times.
    pub fn seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Takes the seed from `CROSSCHECK_SEED`. Where `CROSSCHECK_SCHEDULE` names a file, that schedule is played
    /// and nothing else: the failure of a check says how to replay it so.
    ///
    /// # Panics
    /// If `CROSSCHECK_SEED` is set and no number.
    #[track_caller]
    pub fn seed_from_env(mut self) -> Self {
        if let Some(text) = env("CROSSCHECK_SEED") {
            let Ok(seed) = text.parse() else {
                panic!("CROSSCHECK_SEED is `{text}`; set it to a whole number, or not at all");
            };
            self.seed = seed;
        }
        if let Some(path) = env("CROSSCHECK_SCHEDULE") {
            self.plays = Plays::One(PathBuf::from(path));
        }
        self
    }

    /// Names an environment variable that decides what the test checks, for the command that replays it.
    pub fn depends_on_env(mut self, variable: &'static str) -> Self {
        self.variables.push(variable);
        self
    }

    /// Puts load on the design for so long, twice: without faults and with them.
    pub fn time(mut self, time: Duration) -> Self {
        self.time = time;
        self
    }

    /// Leaves out the design's directed schedules.
    pub fn load_only(mut self) -> Self {
        self.plays = Plays::Load;
        self
    }

    /// Plays the design's directed schedules, then load without faults, then load with faults, until a claim is
    /// violated. A check that has to be skipped, or to take place on the model for want of servers, says so on
    /// stderr.
    pub async fn run(self) -> Checked {
        let (design, seed) = (self.design.id(), self.seed);
        let is_required = self.is_required();
        let repeat = Repeat {
            package: env("CARGO_PKG_NAME"),
            variables: self.variables.iter().filter_map(|n| Some(((*n).to_owned(), env(n)?))).collect(),
            is_replay: matches!(self.plays, Plays::One(_)),
        };
        let state = match self.task() {
            Ok(Task::Skip(reason)) => skipped(&design, &reason),
            Ok(Task::Play(schedules)) => match host::run(self.play(schedules)).await {
                Ok((backend, trials)) => State::Judged { backend, trials },
                Err(HarnessError::Missing { what, advice }) if !is_required => {
                    skipped(&design, &format!("{what}; {advice}"))
                }
                Err(error) => State::Failed(error),
            },
            Err(error) => State::Failed(error),
        };
        Checked { design, seed, repeat, state }
    }

    /// Runs the schedules, and says on what.
    async fn play(self, schedules: Vec<Schedule>) -> Result<(&'static str, Vec<Trial>), HarnessError> {
        let systems = host::systems(self.on, self.design.needs(), self.is_required(), &env).await?;
        if let Systems::Model { instead_of_servers: Some(reason) } = &systems {
            say(&format!("{} is checked on the model: {reason}", self.design.id()));
        }
        let _turn = systems.turn().await;
        let mut trials = Vec::new();
        for (number, schedule) in schedules.into_iter().enumerate() {
            let dir = self.run_dir(number)?;
            let written = dir.join("schedule.json");
            std::fs::write(&written, schedule.to_json()).map_err(|e| failed_to_write(&written, &e))?;
            let history = dir.join("history.jsonl");
            let record =
                run(self.design.clone(), systems.backend(), &schedule, &unique_tag(), &history).await?;
            let parsed = judge::history(&record).map_err(|error| HarnessError::failed(error.to_string()))?;
            let judgement = judge::judge(&record, &parsed, &self.claims, &[]);
            let verdict = judgement.verdict;
            if verdict == Verdict::Valid {
                // Nobody will look at it. What stays behind otherwise is no reason to fail.
                let _ = std::fs::remove_dir_all(&dir);
            }
            trials.push(Trial { dir, schedule, judgement });
            if verdict == Verdict::Violated {
                break;
            }
        }
        Ok((systems.backend().name(), trials))
    }

    /// Whether the servers that it asks for must be there.
    fn is_required(&self) -> bool {
        required(if self.on == On::Docker { "docker" } else { "local" })
    }

    fn task(&self) -> Result<Task, HarnessError> {
        if self.claims.is_empty() {
            return Err(HarnessError::failed("it claims nothing; name what it claims in `Design::claims`"));
        }
        if let Plays::One(path) = &self.plays {
            let schedule = read_schedule(path)?;
            if schedule.variant == self.design.id() {
                return Ok(Task::Play(vec![schedule]));
            }
            let (path, variant) = (path.display(), schedule.variant);
            return Ok(Task::Skip(format!("CROSSCHECK_SCHEDULE is {path}, which is one of `{variant}`")));
        }
        let faults = self.known_faults()?;
        let mut schedules = if self.plays == Plays::Load { Vec::new() } else { self.design.schedules() };
        schedules.retain(|schedule| !faults.is_empty() || schedule.fault_ids().is_empty());
        schedules.push(self.load(&[]));
        if !faults.is_empty() {
            schedules.push(self.load(&faults));
        }
        Ok(Task::Play(schedules))
    }

    fn load(&self, faults: &[FaultOn]) -> Schedule {
        let time_ms = u64::try_from(self.time.as_millis()).unwrap_or(u64::MAX);
        plan::stress(&*self.design, self.design.workload(), faults, self.seed, time_ms)
    }

    fn known_faults(&self) -> Result<Vec<FaultOn>, HarnessError> {
        let ids = match &self.faults {
            Faults::None => Vec::new(),
            Faults::All => self.design.faults(),
            Faults::Only(ids) => ids.clone(),
        };
        ids.iter()
            .map(|id| fault::parse(id).map_err(|error| HarnessError::failed(error.to_string())))
            .collect()
    }

    fn run_dir(&self, number: usize) -> Result<PathBuf, HarnessError> {
        let variant = self.design.id().replace('/', "--");
        let run = format!("{}-{}-{number}", self.seed, unique_tag());
        let dir = std::env::temp_dir().join("crosscheck-runs").join(variant).join(run);
        std::fs::create_dir_all(&dir).map_err(|e| failed_to_write(&dir, &e))?;
        Ok(dir)
    }
}

fn skipped(design: &str, reason: &str) -> State {
    say(&format!("skipped {design}: {reason}"));
    State::Skipped
}

/// Says it past the test runner, which keeps what a passing test prints to itself.
fn say(words: &str) {
    let _ = writeln!(std::io::stderr(), "{words}");
}

fn read_schedule(path: &Path) -> Result<Schedule, HarnessError> {
    let text = std::fs::read_to_string(path)
        .map_err(|e| HarnessError::failed(format!("read the schedule {}: {e}", path.display())))?;
    Schedule::parse(&text).map_err(|e| HarnessError::failed(format!("read {}: {e}", path.display())))
}

fn unique_tag() -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    format!("t{}_{count}", std::process::id())
}

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

fn required(backend: &str) -> bool {
    env("CROSSCHECK_REQUIRE").is_some_and(|list| list.split(',').any(|name| name.trim() == backend))
}

fn failed_to_write(path: &Path, error: &std::io::Error) -> HarnessError {
    HarnessError::failed(format!("write {}: {error}", path.display()))
}
