//! How a walk through the schedules goes on: at random, or by priorities.

use std::collections::BTreeMap;

use rand::{Rng, RngExt};

use crate::gate::StepKind;
use crate::operation::stream;
use crate::port::System;
use crate::runner::explored::{Driver, Next, Scene, Standing, Turn};
use crate::schedule::FaultOn;

/// How many steps a small run has, about: change points and faults lie among them.
const STEPS_ABOUT: usize = 60;

/// How often whoever moved last moves again, in a random walk.
const AGAIN_PERCENT: [u32; 4] = [30, 60, 85, 95];

/// Change points of a walk by priorities, and so the depth of the bugs for which its bound holds.
pub(super) const DEPTH: u32 = 3;

/// What can go wrong once in a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mishap {
    /// What.
    what: What,
    /// To whom: a client, or the service of that name; none is everybody.
    of: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    /// Whoever is about to move crashes.
    Crash,
    /// The call of whoever is about to move happens, and it never hears of it.
    LoseReply(Option<System>),
    /// The call of whoever is about to move does not happen, and it never hears of it.
    LoseRequest(Option<System>),
    /// A fault of a system, which is over at once.
    Of(FaultOn),
    /// A fault of a system that lasts for some steps.
    During(FaultOn),
}

/// A walk that the seed decides.
pub(super) struct Walk {
    rng: Box<dyn Rng + Send>,
    kind: Kind,
    /// At which step what goes wrong.
    mishap: Option<(usize, Mishap)>,
    /// How often the same goes wrong once more, at the next call that it can happen to: faults of real systems last
    /// for several calls.
    again: usize,
    /// A fault that began, and the step before which it ends.
    lasting: Option<(usize, FaultOn)>,
    /// At which step how long nothing happens.
    wait: Option<(usize, u64)>,
    step: usize,
}

enum Kind {
    /// Each time anybody; whoever moved last more often than others, and in some walks nearly always.
    Random { last: Option<usize>, again_percent: u32 },
    /// Whoever moved last goes on, but for the places where designs say that the work of the application lies between
    /// two calls, and the ends of operations: there somebody else moves in so many of a hundred cases.
    AtPoints { last: Option<usize>, at_points_percent: u32, between_percent: u32 },
    /// Who has the highest priority, which drops to the lowest at the change points: probabilistic concurrency
    /// testing (Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, 2010).
    Priorities { priority: Vec<i64>, change_points: Vec<usize> },
}

impl Walk {
    /// The walk of that number: every second one by priorities, of each two fours one with a mishap, and of each two
    /// eights one with a wait, where there is a time to wait for.
    pub(super) fn new(seed: u64, number: u64, mishaps: &[Mishap], wait_ms: Option<u64>) -> Self {
        let mut rng: Box<dyn Rng + Send> = Box::new(stream(seed, &format!("walk {number}")));
        let mut percent = |percents: &[u32]| percents[rng.random_range(0..percents.len())];
        let kind = match number % 6 {
            0 | 4 => {
                let (at_points_percent, between_percent) = (percent(&[30, 60]), percent(&[10, 30]));
                Kind::AtPoints { last: None, at_points_percent, between_percent }
            }
            2 => Kind::Random { last: None, again_percent: percent(&AGAIN_PERCENT) },
            _ => {
                let change_points = (1..DEPTH).map(|_| rng.random_range(0..STEPS_ABOUT)).collect();
                Kind::Priorities { priority: Vec::new(), change_points }
            }
        };
        let mishap = if number % 8 >= 4 { one_of(&mut *rng, mishaps) } else { None };
        let again = if number % 16 >= 12 { rng.random_range(1..=5) } else { 0 };
        let wait = wait_ms.filter(|_| number % 16 >= 8).map(|ms| {
            // What went wrong shows only when nobody puts it right for a while.
            let soon = mishap.as_ref().filter(|_| rng.random_range(0..2) == 0).map(|(step, _)| *step);
            let from = soon.unwrap_or_else(|| rng.random_range(0..STEPS_ABOUT));
            (from + rng.random_range(0..STEPS_ABOUT / 4), ms)
        });
        Walk { rng, kind, mishap, again, lasting: None, wait, step: 0 }
    }

    /// Whether it is one by priorities.
    pub(super) fn is_by_priorities(&self) -> bool {
        matches!(self.kind, Kind::Priorities { .. })
    }

    fn pick(&mut self, scene: &Scene<'_>) -> usize {
        let ready = scene.ready;
        match &mut self.kind {
            Kind::Random { last, again_percent } => {
                let goes_on = self.rng.random_range(0..100) < *again_percent;
                let again = last.filter(|actor| goes_on && ready.contains(actor));
                let actor = again.unwrap_or_else(|| ready[self.rng.random_range(0..ready.len())]);
                *last = Some(actor);
                actor
            }
            Kind::AtPoints { last, at_points_percent, between_percent } => {
                let switches_percent = match last.map(|last| &scene.standing[last]) {
                    Some(Standing::Before(step)) if step.kind == StepKind::Point => *at_points_percent,
                    Some(Standing::Before(step)) if step.kind == StepKind::Between => *between_percent,
                    _ => 1,
                };
                let goes_on = self.rng.random_range(0..100) >= switches_percent;
                let again = last.filter(|actor| goes_on && ready.contains(actor));
                let actor = again.unwrap_or_else(|| ready[self.rng.random_range(0..ready.len())]);
                *last = Some(actor);
                actor
            }
            Kind::Priorities { priority, change_points } => {
                while priority.len() < scene.actors.len() {
                    priority.push(i64::from(self.rng.random_range(1..1_000_000_u32)));
                }
                let best = |priority: &[i64]| {
                    ready.iter().copied().max_by_key(|actor| priority[*actor]).unwrap_or(ready[0])
                };
                if let Some(at) = change_points.iter().position(|point| *point == self.step) {
                    let lowered = best(priority);
                    priority[lowered] = -i64::try_from(at).unwrap_or(0);
                }
                best(priority)
            }
        }
    }
}

impl Driver for Walk {
    fn next(&mut self, scene: &Scene<'_>) -> Next {
        let actor = self.pick(scene);
        self.step += 1;
        if self.wait.is_some_and(|(at, _)| at < self.step)
            && let Some((_, ms)) = self.wait.take()
        {
            return Next::Take(Turn::Wait(ms));
        }
        if self.lasting.as_ref().is_some_and(|(until, _)| *until < self.step)
            && let Some((_, on)) = self.lasting.take()
        {
            return Next::Take(Turn::Heal(on));
        }
        let due = self.mishap.as_ref().is_some_and(|(at, _)| *at < self.step);
        if due && let Some((_, mishap)) = self.mishap.take() {
            match mishap.turn(actor, scene) {
                Some(turn) => {
                    if let Turn::Inject(on) = &turn {
                        let steps = self.rng.random_range(1..STEPS_ABOUT);
                        self.lasting = Some((self.step + steps, on.clone()));
                    } else if self.again > 0 {
                        self.again -= 1;
                        self.mishap = Some((self.step, mishap));
                    }
                    return Next::Take(turn);
                }
                // It needs a call of somebody, and this is none: the next step may be one.
                None => self.mishap = Some((self.step, mishap)),
            }
        }
        Next::Take(Turn::Step(actor))
    }
}

/// One of the mishaps, and the step at which it happens: each kind as often as every other, however many forms it has.
/// What lasts begins early, so that there is something left to happen meanwhile.
fn one_of(rng: &mut (dyn Rng + Send), mishaps: &[Mishap]) -> Option<(usize, Mishap)> {
    let mut kinds: BTreeMap<String, Vec<&Mishap>> = BTreeMap::new();
    for mishap in mishaps {
        kinds.entry(mishap.what.kind()).or_default().push(mishap);
    }
    let of_kind = kinds.values().nth(rng.random_range(0..kinds.len().max(1)))?;
    let mishap = of_kind[rng.random_range(0..of_kind.len())].clone();
    let steps = if matches!(mishap.what, What::During(_)) { STEPS_ABOUT / 3 } else { STEPS_ABOUT };
    Some((rng.random_range(0..steps), mishap))
}

impl What {
    /// What it is about, in a word.
    fn kind(&self) -> String {
        match self {
            What::Crash => "crash".to_owned(),
            What::LoseReply(_) => "lost replies".to_owned(),
            What::LoseRequest(_) => "lost requests".to_owned(),
            What::Of(on) | What::During(on) => on.fault.clone(),
        }
    }
}

impl Mishap {
    /// As a turn, with that actor about to move; none where it has nothing to happen to.
    pub(super) fn turn(&self, actor: usize, scene: &Scene<'_>) -> Option<Turn> {
        match &self.what {
            What::Of(on) => return Some(Turn::Fault(on.clone())),
            What::During(on) => return Some(Turn::Inject(on.clone())),
            What::Crash | What::LoseReply(_) | What::LoseRequest(_) => {}
        }
        let name = &*scene.actors[actor];
        let is_meant =
            |of: &str| name == of || name.strip_prefix(of).is_some_and(|rest| rest.starts_with('-'));
        let Standing::Before(step) = &scene.standing[actor] else { return None };
        if !self.of.as_deref().is_none_or(is_meant) {
            return None;
        }
        let is_call = |system: &Option<System>| {
            step.kind == StepKind::Call && system.is_none_or(|of| of == step.system)
        };
        match &self.what {
            What::Crash if step.kind != StepKind::Between => Some(Turn::Crash(actor)),
            What::LoseReply(system) if is_call(system) => Some(Turn::LoseReply(actor)),
            What::LoseRequest(system) if is_call(system) => Some(Turn::LoseRequest(actor)),
            _ => None,
        }
    }
}

/// What the faults of a design come to, one at a time. Those that only make a system slow or stand still are other
/// orders of steps.
pub(super) fn mishaps(faults: &[impl AsRef<str>]) -> Vec<Mishap> {
    let mut mishaps: Vec<Mishap> = Vec::new();
    for fault in faults {
        let fault = fault.as_ref();
        let (id, of) = fault.split_once('@').map_or((fault, None), |(id, of)| (id, Some(of.to_owned())));
        let (system, kind) = id.split_once('-').unwrap_or((id, ""));
        let system =
            [System::Db, System::Cache, System::Broker].into_iter().find(|known| known.id() == system);
        let on = FaultOn::new(id, of.as_deref());
        let what = match (system, kind) {
            (None, "crash") => vec![What::Crash],
            (None, "lost-reply") | (Some(_), "cut-replies") => vec![What::LoseReply(system)],
            (None, "lost-request") | (Some(_), "cut-requests" | "refuse") => vec![What::LoseRequest(system)],
            (Some(_), "cut") => {
                vec![What::LoseReply(system), What::LoseRequest(system), What::During(on)]
            }
            (Some(_), "reset") => vec![What::LoseReply(system), What::LoseRequest(system), What::Of(on)],
            (Some(_), "crash" | "restart" | "flush") => vec![What::Of(on)],
            (Some(_), "sync-wait") => vec![What::During(on)],
            _ => Vec::new(),
        };
        for what in what {
            let mishap = Mishap { what, of: of.clone() };
            if !mishaps.contains(&mishap) {
                mishaps.push(mishap);
            }
        }
    }
    mishaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_can_be_cut_lose_requests_and_replies() {
        let on = |id: &str, of: Option<&str>| FaultOn::new(id, of);
        let mishap = |what, of: Option<&str>| Mishap { what, of: of.map(str::to_owned) };
        assert_eq!(
            mishaps(&["app-crash@relay", "db-cut@client", "db-crash", "db-latency", "broker-cut-replies"]),
            [
                mishap(What::Crash, Some("relay")),
                mishap(What::LoseReply(Some(System::Db)), Some("client")),
                mishap(What::LoseRequest(Some(System::Db)), Some("client")),
                mishap(What::During(on("db-cut", Some("client"))), Some("client")),
                mishap(What::Of(on("db-crash", None)), None),
                mishap(What::LoseReply(Some(System::Broker)), None),
            ]
        );
    }
}
