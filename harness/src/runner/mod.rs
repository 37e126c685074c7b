//! The runner: turns a design, a schedule and an arena into a history.

mod bench;
mod client;
mod directed;
mod drain;
pub(crate) mod explored;
mod finals;
mod pacer;
mod panic;
pub(crate) mod rest;
mod service;
mod stress;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crosscheck_models::history::{Event, Header};
use tokio::task::JoinSet;

pub use bench::{Bench, BenchRecord, Timed, Unbegun, bench};

use self::rest::Rest;
use crate::backend::{Arena, Backend, HarnessError, Time};
use crate::context::{Ctx, Memory, Stepper};
use crate::design::{Design, Layout, Role};
use crate::fault;
use crate::gate::Gate;
use crate::recorder::{Clock, Recorder, Writer};
use crate::schedule::{FaultOn, Plan, Schedule};
use crate::virtual_time;

/// How long a request at which a fault is to begin is waited for.
const SIGHT_MAX: Duration = Duration::from_secs(10);

/// What a run leaves in memory; its history is on disk by then.
#[derive(Debug)]
pub struct RunRecord {
    /// The first line of the history.
    pub header: Header,
    /// The history.
    pub events: Vec<Event>,
    /// The faults, in the order in which they began.
    pub faults: Vec<FaultRecord>,
    /// What was exercised, over the whole run.
    pub counters: BTreeMap<String, u64>,
    /// Actors that stood still at the end without being done.
    pub stuck: Vec<String>,
    /// Why less can be concluded from this run than from another, if that is so.
    pub doubt: Doubt,
    /// How long it took.
    pub seconds: f64,
}

/// A doubt about a whole run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Doubt {
    /// None.
    None,
    /// Not everything took place: a fault that did not take, a schedule that stalled. What was seen counts.
    Incomplete(String),
    /// Something still moved when the drain was given up: what is missing may only be late.
    StillMoving(String),
}

impl Doubt {
    /// The reason, where there is one.
    pub fn reason(&self) -> Option<&str> {
        match self {
            Doubt::None => None,
            Doubt::Incomplete(reason) | Doubt::StillMoving(reason) => Some(reason),
        }
    }
}

/// A fault that a run had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaultRecord {
    /// Which, and on what.
    pub on: FaultOn,
    /// When it began.
    pub from_ns: u64,
    /// When it was healed.
    pub to_ns: u64,
    /// Whether it was seen to be in force.
    pub took: bool,
    /// How much it hit.
    pub hits: u64,
    /// What it hit, in words; or why it did not take.
    pub detail: String,
}

/// One run in progress.
pub(crate) struct Run {
    pub(crate) design: Arc<dyn Design>,
    pub(crate) arena: Arena,
    pub(crate) gate: Arc<Gate>,
    pub(crate) memory: Arc<Memory>,
    pub(crate) recorder: Recorder,
    pub(crate) faults: std::sync::Mutex<Vec<FaultRecord>>,
    pub(crate) panics: std::sync::Mutex<Vec<String>>,
    pub(crate) quiet: Duration,
}

/// Runs a schedule of a design on a backend, and writes the history to `path`.
///
/// # Errors
/// If the systems cannot be had, or the harness itself fails. What a design or a fault does is no error.
pub async fn run(
    design: Arc<dyn Design>,
    backend: &dyn Backend,
    schedule: &Schedule,
    tag: &str,
    path: &Path,
) -> Result<RunRecord, HarnessError> {
    let place = Place::open(&*design, backend, &design.layout(), tag).await?;
    match backend.time() {
        Time::Real => play(design, place, schedule, Some(path), &Rest::AtOnce).await,
        Time::Virtual => {
            let (schedule, path) = (schedule.clone(), path.to_owned());
            let played =
                move || async move { play(design, place, &schedule, Some(&path), &Rest::AtOnce).await };
            virtual_time::run(played).await?
        }
    }
}

/// Where a run takes place.
pub(crate) struct Place {
    pub(crate) arena: Arena,
    pub(crate) backend: &'static str,
    pub(crate) quiet: Duration,
    pub(crate) time: Time,
    /// Whether the tables are there, and the slot from which the commit order is read.
    pub(crate) prepared: Option<Option<String>>,
}

impl Place {
    async fn open(
        design: &dyn Design,
        backend: &dyn Backend,
        layout: &Layout,
        tag: &str,
    ) -> Result<Place, HarnessError> {
        if let Some(reason) = backend.database().cannot_run(&design.database_features()) {
            let advice = format!("run {} on another database (--database)", design.id());
            return Err(HarnessError::Missing { what: reason, advice });
        }
        Ok(Place {
            arena: backend.open(design.needs(), layout, tag).await?,
            backend: backend.name(),
            quiet: Duration::from_millis(backend.quiet_ms()),
            time: backend.time(),
            prepared: None,
        })
    }
}

/// Plays a schedule. Without a path the history stays in memory.
pub(crate) async fn play(
    design: Arc<dyn Design>,
    place: Place,
    schedule: &Schedule,
    path: Option<&Path>,
    rest: &Rest,
) -> Result<RunRecord, HarnessError> {
    schedule
        .faults()
        .filter(|on| !on.fault.starts_with("app-"))
        .try_for_each(|on| place.arena.injector.can(on))?;
    let layout = design.layout();
    let gate = match &schedule.plan {
        Plan::Directed(_) => Gate::directed(),
        Plan::Stress(stress) => Gate::free(schedule.seed, stress.workload.pauses.clone()),
    };
    let started = start(design, place, &layout, gate, schedule.seed, path).await?;
    let load = match &schedule.plan {
        Plan::Directed(directed) => directed::play(&started.run, directed, rest).await,
        Plan::Stress(stress) => stress::play(&started.run, stress, schedule.seed).await,
    };
    end(started, load, &layout).await
}

/// A run whose services are at work.
struct Started {
    run: Arc<Run>,
    writer: Writer,
    slot: Option<String>,
    header: Header,
    services: JoinSet<()>,
}

async fn start(
    design: Arc<dyn Design>,
    place: Place,
    layout: &Layout,
    gate: Gate,
    seed: u64,
    path: Option<&Path>,
) -> Result<Started, HarnessError> {
    let Begun { run, writer, slot, header } = begin(design, place, layout, gate, seed, path).await?;
    let services = service::start_all(&run);
    Ok(Started { run, writer, slot, header, services })
}

/// Drains, reads what is left, and ends the history. `load` says whether all that was asked for took place.
async fn end(
    started: Started,
    load: Result<(), Inconclusive>,
    layout: &Layout,
) -> Result<RunRecord, HarnessError> {
    let Started { run, writer, slot, header, services } = started;
    let ended = finish(&run, services, load, layout, slot.as_deref()).await;
    let counters = run.counters();
    let faults = std::mem::take(&mut *run.lock_faults());
    let clock = run.recorder.clock().clone();
    let events = close(run, writer).await?;
    let (stuck, doubt) = ended?;
    let seconds = clock.now_ns() as f64 / 1e9;
    Ok(RunRecord { header, events, faults, counters, stuck, doubt, seconds })
}

/// A run whose systems are there and whose history is open.
struct Begun {
    run: Arc<Run>,
    writer: Writer,
    /// From which the commit order is read at the end, where the layout asks for it.
    slot: Option<String>,
    header: Header,
}

/// Opens the systems, makes what the layout says, and begins the history.
async fn begin(
    design: Arc<dyn Design>,
    place: Place,
    layout: &Layout,
    gate: Gate,
    seed: u64,
    path: Option<&Path>,
) -> Result<Begun, HarnessError> {
    let Place { arena, backend, quiet, time, prepared } = place;
    let slot = match prepared {
        Some(slot) => slot,
        None => finals::prepare(&arena, layout).await?,
    };
    let header = Header {
        crosscheck: 1,
        design: Some(design.id()),
        backend: Some(backend.to_owned()),
        seed: Some(seed),
        delta_ns: design.staleness_bound_ms().map(|ms| ms * 1_000_000),
    };
    let clock = match time {
        Time::Real => Clock::start(),
        Time::Virtual => Clock::start_virtual(),
    };
    let (recorder, writer) = match path {
        Some(path) => Recorder::start(path, &header, clock).map_err(|error| {
            HarnessError::failed(format!("write the history {}: {error}", path.display()))
        })?,
        None => Recorder::in_memory(clock),
    };
    let run = Arc::new(Run {
        design,
        arena,
        gate: Arc::new(gate),
        memory: Arc::default(),
        recorder,
        faults: std::sync::Mutex::default(),
        panics: std::sync::Mutex::default(),
        quiet,
    });
    Ok(Begun { run, writer, slot, header })
}

/// Ends the history, and gives back the systems.
async fn close(run: Arc<Run>, writer: Writer) -> Result<Vec<Event>, HarnessError> {
    let closer = run.arena.closer.clone();
    drop(run);
    let finished = match writer {
        Writer::Memory(_) => writer.finish(),
        Writer::File(_) => tokio::task::spawn_blocking(move || writer.finish())
            .await
            .map_err(|error| HarnessError::failed(error.to_string()))?,
    };
    let events = finished.map_err(|error| HarnessError::failed(format!("write the history: {error}")))?;
    closer.close().await;
    Ok(events)
}

/// Drains, stops the services and reads what is left. Returns who is stuck, and what is doubtful.
async fn finish(
    run: &Arc<Run>,
    services: JoinSet<()>,
    load: Result<(), Inconclusive>,
    layout: &Layout,
    slot: Option<&str>,
) -> Result<(Vec<String>, Doubt), HarnessError> {
    run.heal_what_is_left().await;
    run.gate.set_free();
    let fed = drain::feeds(run, layout).await;
    let drained = drain::wait(run).await;
    service::stop(services).await;
    finals::read(run, layout, slot).await?;
    let failed = run.lock_faults().iter().find(|fault| !fault.took).cloned();
    let missed = run.fault_that_hit_nothing();
    let incomplete = run
        .first_panic()
        .or_else(|| load.err().map(|Inconclusive(reason)| reason))
        .or_else(|| failed.map(|fault| format!("fault {} did not take: {}", fault.on.fault, fault.detail)))
        .or_else(|| missed.map(|id| format!("fault {id} hit nothing in any of its windows")));
    let doubt = incomplete.map_or(Doubt::None, Doubt::Incomplete);
    if let Err(error) = fed {
        return Ok((Vec::new(), Doubt::StillMoving(error.to_string())));
    }
    Ok(match drained {
        drain::Drained::Quiet => (Vec::new(), doubt),
        drain::Drained::Stuck(names) => (names, doubt),
        drain::Drained::Moving(names) => {
            let reason = format!("still moving at the end of the drain: {}", names.join(", "));
            (Vec::new(), Doubt::StillMoving(reason))
        }
    })
}

/// Why nothing can be concluded from a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Inconclusive(pub(crate) String);

impl Run {
    /// The surroundings of an actor that begins a life.
    pub(crate) fn ctx(&self, actor: &Arc<str>, role: Role) -> (Ctx, Arc<Stepper>) {
        let links = &self.arena.links[&role];
        let stepper = Arc::new(Stepper::new(self.gate.clone(), self.recorder.clone(), actor.clone()));
        (Ctx::new(links, stepper.clone(), self.memory.clone()), stepper)
    }

    /// Begins a fault of a system or a link, and notes it.
    pub(crate) async fn inject(&self, on: &FaultOn) -> Result<(), Inconclusive> {
        let sighted = match fault::Given(&on.with).at() {
            Some(at) => self.arena.injector.sight(on, &at, SIGHT_MAX).await,
            None => Ok(()),
        };
        let from_ns = self.recorder.clock().now_ns();
        let injected = match sighted {
            Ok(()) => self.arena.injector.inject(on).await,
            Err(error) => Err(error),
        };
        let (took, detail) = match &injected {
            Ok(()) => (true, String::new()),
            Err(error) => (false, error.to_string()),
        };
        let record = FaultRecord { on: on.clone(), from_ns, to_ns: u64::MAX, took, hits: 0, detail };
        self.lock_faults().push(record);
        injected.map_err(|error| Inconclusive(format!("fault {} did not take: {error}", on.fault)))
    }

    /// Ends a fault, and notes what it hit.
    pub(crate) async fn heal(&self, on: &FaultOn) -> Result<(), Inconclusive> {
        let healed = self.arena.injector.heal(on).await;
        let to_ns = self.recorder.clock().now_ns();
        let mut faults = self.lock_faults();
        let open = faults.iter_mut().rev().find(|fault| fault.on == *on && fault.to_ns == u64::MAX);
        let Some(record) = open else {
            return Err(Inconclusive(format!("fault {} is healed and was not injected", on.fault)));
        };
        record.to_ns = to_ns;
        match healed {
            Ok(hits) => {
                record.hits = hits.count;
                record.detail = hits.detail;
                Ok(())
            }
            Err(error) => {
                record.took = false;
                record.detail = error.to_string();
                Err(Inconclusive(format!("after fault {}: {error}", on.fault)))
            }
        }
    }

    /// Notes a fault of the application that the gate fired.
    pub(crate) fn note_app_fault(&self, on: FaultOn, from_ns: u64, hits: u64, detail: String) {
        let to_ns = self.recorder.clock().now_ns();
        self.lock_faults().push(FaultRecord { on, from_ns, to_ns, took: hits > 0, hits, detail });
    }

    async fn heal_what_is_left(&self) {
        let open: Vec<FaultOn> =
            self.lock_faults().iter().filter(|f| f.to_ns == u64::MAX).map(|f| f.on.clone()).collect();
        for on in open {
            // What goes wrong here is noted in the fault's record, and makes the run unknown.
            let _ = self.heal(&on).await;
        }
    }

    /// A class of faults of which no window hit anything: the run is no evidence of surviving it.
    fn fault_that_hit_nothing(&self) -> Option<String> {
        let mut hits: BTreeMap<String, u64> = BTreeMap::new();
        for fault in self.lock_faults().iter() {
            *hits.entry(fault.on.fault.clone()).or_default() += fault.hits;
        }
        hits.into_iter().find(|(_, count)| *count == 0).map(|(id, _)| id)
    }

    fn counters(&self) -> BTreeMap<String, u64> {
        let mut counters = BTreeMap::new();
        counters.insert("application_crashes".to_owned(), self.gate.crashes());
        for fault in self.lock_faults().iter() {
            *counters.entry(format!("hits_of_{}", fault.on.fault)).or_default() += fault.hits;
        }
        counters
    }

    pub(crate) fn lock_faults(&self) -> std::sync::MutexGuard<'_, Vec<FaultRecord>> {
        self.faults.lock().expect("no code panics while it holds the list of faults")
    }
}

impl FaultRecord {
    /// Which system it is a fault of: the first word of its id, or the application.
    pub fn system(&self) -> &'static str {
        match self.on.fault.split('-').next() {
            Some("db") => "db",
            Some("cache") => "cache",
            Some("broker") => "broker",
            _ => "app",
        }
    }
}
