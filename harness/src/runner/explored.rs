//! Plays one schedule that is found while it is played: whenever everybody stands still, a driver says who moves
//! next.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::work;
use super::directed::{self, Listed};
use super::{Inconclusive, Place, Run, RunRecord, end, finals, start};
use crate::backend::model::{ModelBackend, Systems};
use crate::backend::{Backend as _, HarnessError, Time, Wait};
use crate::design::Design;
use crate::gate::{Decision, Gate, StepInfo, StepKind, Whereabouts};
use crate::model::footprint::{Access, Footprints};
use crate::operation::Operation;
use crate::port::System;
use crate::schedule::{FaultOn, Move, Schedule};

/// How long, in virtual time, an actor may be under way before it counts as waiting for another.
const UNDER_WAY_MAX: Duration = Duration::from_millis(300);

/// After so many steps a run ends as it is: the walk has gone in circles.
const STEPS_MAX: usize = 2000;

/// Where an actor stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Standing {
    /// Before this step.
    Before(StepInfo),
    /// It waits for a lock, or for its turn within the application.
    Waits,
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

/// Says who moves next; none ends the walk, and everybody runs freely.
pub(crate) trait Driver: Send {
    /// The next turn.
    fn next(&mut self, scene: &Scene<'_>) -> Option<Turn>;

    /// What the turn just taken read and wrote.
    fn took(&mut self, _turn: &Turn, _accesses: Vec<Access>) {}
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

/// Plays the operations as the driver says. The history stays in memory.
pub(crate) async fn play(
    design: Arc<dyn Design>,
    place: Place,
    schedule: &Schedule,
    clients: &[Vec<Operation>],
    footprints: &Footprints,
    driver: &mut dyn Driver,
) -> Result<Explored, HarnessError> {
    let layout = design.layout();
    let started = start(design, place, &layout, Gate::directed(), schedule.seed, None).await?;
    let run = started.run.clone();
    let (walked, taken, actors) = walk(&run, clients, footprints, driver).await;
    let record = end(started, walked, &layout).await?;
    Ok(Explored { record, taken, actors })
}

/// Starts everybody, and takes turns until the driver ends it or nobody can move.
async fn walk(
    run: &Arc<Run>,
    clients: &[Vec<Operation>],
    footprints: &Footprints,
    driver: &mut dyn Driver,
) -> (Result<(), Inconclusive>, Vec<Taken>, Vec<Arc<str>>) {
    let slots = clients.len();
    let mut working = JoinSet::new();
    for (slot, operations) in clients.iter().enumerate() {
        working.spawn(work(run.clone(), slot, slots, Listed::new(operations.clone())));
    }
    let mut actors: Vec<Arc<str>> = (0..slots).map(|slot| format!("client-{slot}").into()).collect();
    actors.extend(run.design.services().iter().map(|service| Arc::from(service.name.as_str())));
    let mut walk = Walk { run, actors: &actors, idle_at: vec![None; actors.len()], taken: Vec::new() };
    while walk.taken.len() < STEPS_MAX {
        let standing = walk.settle().await;
        walk.note_standing(&standing);
        drop(footprints.take());
        let ready = walk.ready(&standing);
        let scene = Scene { actors: &actors, standing: &standing, ready: &ready };
        let Some(turn) = (if ready.is_empty() { None } else { driver.next(&scene) }) else { break };
        if let Err(inconclusive) = walk.take(&turn, &standing).await {
            return (Err(inconclusive), walk.taken, actors);
        }
        driver.took(&turn, footprints.take());
    }
    let taken = walk.taken;
    let rested = directed::let_everyone_finish(run, &mut working).await;
    (rested, taken, actors)
}

struct Walk<'a> {
    run: &'a Arc<Run>,
    actors: &'a [Arc<str>],
    /// For an actor that found nothing to do: how much had moved by then.
    idle_at: Vec<Option<u64>>,
    taken: Vec<Taken>,
}

impl Walk<'_> {
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
                standing.push(at.unwrap_or(Standing::Waits));
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
                Standing::Before(_) | Standing::Waits | Standing::Done => {}
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
            Standing::Waits | Standing::Done => false,
        };
        (0..self.actors.len()).filter(ready).collect()
    }

    async fn take(&mut self, turn: &Turn, standing: &[Standing]) -> Result<(), Inconclusive> {
        let before = turn.actor().and_then(|actor| match &standing[actor] {
            Standing::Before(step) => Some(step.clone()),
            Standing::Waits | Standing::Done => None,
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
        }
    }
}

impl Turn {
    /// Whose turn it is.
    pub(crate) fn actor(&self) -> Option<usize> {
        match self {
            Turn::Step(actor) | Turn::Crash(actor) | Turn::LoseReply(actor) | Turn::LoseRequest(actor) => {
                Some(*actor)
            }
            Turn::Fault(_) => None,
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
            quiet: Duration::from_millis(ModelBackend.quiet_ms()),
            time: Time::Virtual,
            prepared: Some(self.slot.clone()),
        };
        (place, systems.footprints)
    }
}
