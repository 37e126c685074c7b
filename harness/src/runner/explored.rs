//! Plays one schedule that is found while it is played: whenever everybody stands still, a driver says who moves
//! next.

use std::sync::Arc;
use std::time::Duration;

use crosscheck_models::history::{Event, EventBody, Kind};
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::client::work;
use super::directed::{self, Listed};
use super::{Inconclusive, Place, Run, RunRecord, end, finals, start};
use crate::backend::model::{ModelBackend, Systems};
use crate::backend::{Backend as _, HarnessError, Time, Wait};
use crate::design::Design;
use crate::gate::{Decision, Gate, StepInfo, StepKind, Whereabouts};
use crate::model::footprint::{Access, Footprints, Resource};
use crate::operation::Operation;
use crate::port::System;
use crate::schedule::{FaultOn, Move, Schedule};

/// How long, in virtual time, an actor may be under way before it counts as waiting for another.
const UNDER_WAY_MAX: Duration = Duration::from_millis(300);

/// From here on time counts as having passed over a step: the stamps of a history alone move it by less.
const TIME_PASSES: Duration = Duration::from_millis(1);

/// How long all are quiet at the end. Every service has then found nothing to do twice over; longer than its longest
/// poll there is nothing to wait for where no wall clock is.
const QUIET: Duration = Duration::from_millis(20);

/// After so many steps a run ends as it is: the walk has gone in circles.
const STEPS_MAX: usize = 2000;

/// Where an actor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Before this step.
    Before(StepInfo),
    /// It waits for a lock of the database, or for a standby.
    Waits,
    /// It waits for something else: its turn within the application, an answer that does not come.
    UnderWay,
    /// It has nothing more to do.
    Done,
}

/// What a driver can have happen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Turn {
    /// The actor takes one step.
    Step(usize),
    /// The actor crashes.
    Crash(usize),
    /// The actor's call happens, and it never hears of it.
    LoseReply(usize),
    /// The actor's call does not happen, and it never hears of it.
    LoseRequest(usize),
    /// A fault begins, and is healed at once.
    Fault(FaultOn),
    /// A fault begins.
    Inject(FaultOn),
    /// A fault ends.
    Heal(FaultOn),
    /// So many milliseconds pass, while nobody moves.
    Wait(u64),
}

/// What a driver sees when everybody stands still.
pub(crate) struct Scene<'a> {
    /// The actors, clients first.
    pub(crate) actors: &'a [Arc<str>],
    /// Where each stands.
    pub(crate) standing: &'a [Standing],
    /// Who can take a step that may change something. A service that has found nothing to do, with nothing
    /// having moved since, is not among them.
    pub(crate) ready: &'a [usize],
}

/// How a walk goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Next {
    /// With this turn.
    Take(Turn),
    /// With nothing: what comes of it is known already.
    Cut,
}

/// What a turn did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Did {
    /// Those who stand elsewhere than before, its own actor among them: it may have let others go on.
    pub(crate) moved: Vec<usize>,
    /// What was read and written, in the systems and in the history.
    pub(crate) accesses: Vec<Access>,
    /// It was no step, or time passed over it: its order matters to everything.
    pub(crate) is_global: bool,
}

/// Says who moves next.
pub(crate) trait Driver: Send {
    /// The next turn. There is somebody who can take one.
    fn next(&mut self, scene: &Scene<'_>) -> Next;

    /// What the turn before did.
    fn took(&mut self, _did: Did) {}

    /// Whether it wants to be told what its turns read and wrote.
    fn wants_footprints(&self) -> bool {
        false
    }

    /// Whether what comes of a walk to its end is looked at.
    fn looks_at_end(&self) -> bool {
        true
    }
}

/// A turn that was taken, and where it left its actor.
#[derive(Debug, Clone)]
pub(crate) struct Taken {
    pub(crate) turn: Turn,
    pub(crate) before: Option<StepInfo>,
    pub(crate) after: Standing,
}

/// A run that was explored.
pub(crate) struct Explored {
    pub(crate) record: RunRecord,
    pub(crate) taken: Vec<Taken>,
    pub(crate) actors: Vec<Arc<str>>,
}

/// Plays the operations as the driver says; none where the driver does not want to know what came of it. The
/// history stays in memory.
pub(crate) async fn play(
    design: Arc<dyn Design>,
    place: Place,
    schedule: &Schedule,
    clients: &[Vec<Operation>],
    footprints: &Footprints,
    driver: &mut dyn Driver,
) -> Result<Option<Explored>, HarnessError> {
    let layout = design.layout();
    let started = start(design, place, &layout, Gate::directed(), schedule.seed, None).await?;
    let run = started.run.clone();
    let mut working = JoinSet::new();
    let mut actors: Vec<Arc<str>> = Vec::new();
    for (slot, operations) in clients.iter().enumerate() {
        working.spawn(work(run.clone(), slot, clients.len(), Listed::new(operations.clone())));
        actors.push(format!("client-{slot}").into());
    }
    actors.extend(run.design.services().iter().map(|service| Arc::from(service.name.as_str())));
    let mut walk = Walk::new(&run, &actors);
    let walked = walk.go(footprints, driver).await;
    let taken = walk.taken;
    let rested = match walked {
        Ok(Walked::Cut) => return Ok(None),
        Ok(Walked::ToEnd) if !driver.looks_at_end() => return Ok(None),
        Ok(Walked::ToEnd) => directed::let_everyone_finish(&run, &mut working).await,
        Err(inconclusive) => Err(inconclusive),
    };
    let record = end(started, rested, &layout).await?;
    Ok(Some(Explored { record, taken, actors }))
}

/// How a walk ended.
enum Walked {
    /// Nobody can move, or it has gone in circles.
    ToEnd,
    /// What comes of it is known.
    Cut,
}

struct Walk<'a> {
    run: &'a Arc<Run>,
    actors: &'a [Arc<str>],
    /// For an actor that found nothing to do: how much had moved by then.
    idle_at: Vec<Option<u64>>,
    taken: Vec<Taken>,
    /// How many events the history had when the last turn was taken, and when that was.
    events: usize,
    since: Instant,
}

impl<'a> Walk<'a> {
    fn new(run: &'a Arc<Run>, actors: &'a [Arc<str>]) -> Self {
        let idle_at = vec![None; actors.len()];
        Walk { run, actors, idle_at, taken: Vec::new(), events: 0, since: Instant::now() }
    }

    /// Takes turns until the driver ends it or nobody can move.
    async fn go(&mut self, footprints: &Footprints, driver: &mut dyn Driver) -> Result<Walked, Inconclusive> {
        let mut before: Option<Vec<Standing>> = None;
        loop {
            let standing = self.settle().await;
            self.note_standing(&standing);
            let did = self.did(before.as_deref(), &standing, footprints);
            if before.is_some() {
                driver.took(did);
            }
            let ready = self.ready(&standing);
            if ready.is_empty() || self.taken.len() >= STEPS_MAX {
                return Ok(Walked::ToEnd);
            }
            let scene = Scene { actors: self.actors, standing: &standing, ready: &ready };
            let Next::Take(turn) = driver.next(&scene) else { return Ok(Walked::Cut) };
            self.take(&turn, &standing).await?;
            before = Some(standing);
        }
    }

    /// What the last turn did.
    fn did(&mut self, before: Option<&[Standing]>, now: &[Standing], footprints: &Footprints) -> Did {
        let mut accesses = footprints.take();
        let events = self.run.recorder.since(self.events, |events| {
            accesses.extend(events.iter().filter_map(mark));
            events.len()
        });
        self.events += events.unwrap_or_default();
        let passed = self.since.elapsed();
        self.since = Instant::now();
        let is_own = |actor: usize| self.taken.last().is_some_and(|taken| taken.turn.actor() == Some(actor));
        let moved =
            |actor: &usize| is_own(*actor) || before.is_none_or(|before| before[*actor] != now[*actor]);
        let is_step = self.taken.last().is_some_and(|taken| matches!(taken.turn, Turn::Step(_)));
        Did {
            moved: (0..self.actors.len()).filter(moved).collect(),
            accesses,
            is_global: !is_step || passed >= TIME_PASSES,
        }
    }

    /// Waits until everybody stands still.
    async fn settle(&self) -> Vec<Standing> {
        let mut changes = self.run.gate.changes();
        let mut looks = 0;
        loop {
            let mut moving = false;
            let mut standing = Vec::with_capacity(self.actors.len());
            for actor in self.actors {
                let at = match self.run.gate.whereabouts(actor) {
                    Whereabouts::Held(step) => Some(Standing::Before(step)),
                    Whereabouts::Done => Some(Standing::Done),
                    Whereabouts::Moving(step) if self.waits(actor, &step).await => Some(Standing::Waits),
                    Whereabouts::Moving(_) | Whereabouts::Away => None,
                };
                moving |= at.is_none();
                standing.push(at.unwrap_or(Standing::UnderWay));
            }
            if !moving {
                return standing;
            }
            looks += 1;
            if looks <= 3 {
                tokio::task::yield_now().await;
            } else if timeout(UNDER_WAY_MAX, changes.changed()).await.is_err() {
                return standing;
            }
        }
    }

    async fn waits(&self, actor: &str, step: &StepInfo) -> bool {
        if step.system != System::Db {
            return false;
        }
        let Some(session) = self.run.gate.session(actor) else { return false };
        match self.run.arena.lock_waits.waits(&session).await {
            Some(Wait::ForSessions(_) | Wait::ForStandby) => true,
            None => false,
        }
    }

    fn note_standing(&mut self, standing: &[Standing]) {
        let work = self.run.gate.work();
        for (idle_at, at) in self.idle_at.iter_mut().zip(standing) {
            match at {
                Standing::Before(step) if step.kind == StepKind::Idle => {
                    idle_at.get_or_insert(work);
                }
                Standing::Before(_) | Standing::Waits | Standing::UnderWay | Standing::Done => {}
            }
        }
        if let Some(Taken { turn: Turn::Step(actor), after, .. }) = self.taken.last_mut() {
            *after = standing[*actor].clone();
        }
    }

    fn ready(&self, standing: &[Standing]) -> Vec<usize> {
        let work = self.run.gate.work();
        let ready = |actor: &usize| match &standing[*actor] {
            Standing::Before(step) if step.kind == StepKind::Idle => self.idle_at[*actor] != Some(work),
            Standing::Before(_) => true,
            Standing::Waits | Standing::UnderWay | Standing::Done => false,
        };
        (0..self.actors.len()).filter(ready).collect()
    }

    async fn take(&mut self, turn: &Turn, standing: &[Standing]) -> Result<(), Inconclusive> {
        let before = turn.actor().and_then(|actor| match &standing[actor] {
            Standing::Before(step) => Some(step.clone()),
            Standing::Waits | Standing::UnderWay | Standing::Done => None,
        });
        self.taken.push(Taken { turn: turn.clone(), before, after: Standing::Waits });
        let name = |actor: usize| self.actors[actor].to_string();
        match turn {
            Turn::Step(actor) => {
                self.idle_at[*actor] = None;
                self.run.gate.grant(&self.actors[*actor], Decision::Pass);
                Ok(())
            }
            Turn::Crash(actor) => {
                self.idle_at[*actor] = None;
                directed::play_move(self.run, &Move::Crash { actor: name(*actor) }).await
            }
            Turn::LoseReply(actor) => {
                directed::play_move(self.run, &Move::LoseReply { actor: name(*actor) }).await
            }
            Turn::LoseRequest(actor) => {
                directed::play_move(self.run, &Move::LoseRequest { actor: name(*actor) }).await
            }
            Turn::Fault(on) => {
                self.run.inject(on).await?;
                self.run.heal(on).await
            }
            Turn::Inject(on) => self.run.inject(on).await,
            Turn::Heal(on) => self.run.heal(on).await,
            Turn::Wait(ms) => directed::play_move(self.run, &Move::Wait { ms: *ms }).await,
        }
    }
}

/// What an event of the history is to the order of steps: properties compare when operations began and ended, and
/// when effects came.
fn mark(event: &Event) -> Option<Access> {
    let write = match (&event.body, event.kind) {
        (EventBody::Write(_) | EventBody::Read(_) | EventBody::Txn(_), Kind::Invoke) => false,
        (EventBody::Step(_), _) => return None,
        _ => true,
    };
    Some(Access { resource: Resource::all("marks of the history"), write })
}

impl Turn {
    /// Whether something goes wrong with it.
    pub(crate) fn is_mishap(&self) -> bool {
        !matches!(self, Turn::Step(_) | Turn::Wait(_))
    }

    /// Whose turn it is.
    pub(crate) fn actor(&self) -> Option<usize> {
        match self {
            Turn::Step(actor) | Turn::Crash(actor) | Turn::LoseReply(actor) | Turn::LoseRequest(actor) => {
                Some(*actor)
            }
            Turn::Fault(_) | Turn::Inject(_) | Turn::Heal(_) | Turn::Wait(_) => None,
        }
    }
}

/// Systems with the design's tables in them, of which each run gets a copy of its own.
pub(crate) struct Template {
    systems: Systems,
    slot: Option<String>,
}

impl Template {
    /// Makes the tables and topics of the layout.
    pub(crate) async fn new(design: &dyn Design) -> Result<Template, HarnessError> {
        let layout = design.layout();
        let systems = Systems::new(design.needs(), &layout)?;
        let slot = finals::prepare(&systems.arena(), &layout).await?;
        Ok(Template { systems, slot })
    }

    /// A place for one run, and what collects the footprints of its steps.
    pub(crate) fn place(&self) -> (Place, Footprints) {
        let systems = self.systems.fork();
        let place = Place {
            arena: systems.arena(),
            backend: ModelBackend.name(),
            quiet: QUIET,
            time: Time::Virtual,
            prepared: Some(self.slot.clone()),
        };
        (place, systems.footprints)
    }
}
