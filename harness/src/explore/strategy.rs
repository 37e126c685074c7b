//! How a walk through the schedules goes on: at random, or by priorities.

use rand::{Rng, RngExt};

use crate::gate::StepKind;
use crate::operation::stream;
use crate::runner::explored::{Driver, Scene, Standing, Turn};
use crate::schedule::FaultOn;

/// How many steps a small run has, about: change points and faults lie among them.
const STEPS_ABOUT: usize = 60;

/// Change points of a walk by priorities, and so the depth of the bugs for which its bound holds.
pub(super) const DEPTH: usize = 3;

/// What can go wrong once in a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mishap {
    /// Whoever is about to move crashes.
    Crash,
    /// The call of whoever is about to move happens, and it never hears of it.
    LoseReply,
    /// The call of whoever is about to move does not happen, and it never hears of it.
    LoseRequest,
    /// A fault of a system.
    Of(FaultOn),
}

/// A walk that the seed decides.
pub(super) struct Walk {
    rng: Box<dyn Rng + Send>,
    kind: Kind,
    /// At which step what goes wrong.
    mishap: Option<(usize, Mishap)>,
    step: usize,
}

enum Kind {
    /// Each time anybody; whoever moved last more often than others.
    Random { last: Option<usize> },
    /// Who has the highest priority, which drops to the lowest at the change points: probabilistic concurrency
    /// testing (Burckhardt et al., A Randomized Scheduler with Probabilistic Guarantees of Finding Bugs, 2010).
    Priorities { priority: Vec<i64>, change_points: Vec<usize> },
}

impl Walk {
    /// The walk of that number: every second one by priorities, and of each two pairs one with a mishap.
    pub(super) fn new(seed: u64, number: u64, mishaps: &[Mishap]) -> Self {
        let mut rng: Box<dyn Rng + Send> = Box::new(stream(seed, &format!("walk {number}")));
        let kind = if number.is_multiple_of(2) {
            Kind::Random { last: None }
        } else {
            let change_points = (1..DEPTH).map(|_| rng.random_range(0..STEPS_ABOUT)).collect();
            Kind::Priorities { priority: Vec::new(), change_points }
        };
        let mishap = (number % 4 >= 2 && !mishaps.is_empty())
            .then(|| (rng.random_range(0..STEPS_ABOUT), mishaps[rng.random_range(0..mishaps.len())].clone()));
        Walk { rng, kind, mishap, step: 0 }
    }

    fn pick(&mut self, scene: &Scene<'_>) -> usize {
        let ready = scene.ready;
        match &mut self.kind {
            Kind::Random { last } => {
                let again = last.filter(|actor| ready.contains(actor) && self.rng.random_range(0..100) < 55);
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
    fn next(&mut self, scene: &Scene<'_>) -> Option<Turn> {
        let actor = self.pick(scene);
        self.step += 1;
        let due = self.mishap.as_ref().is_some_and(|(at, _)| *at < self.step);
        if due && let Some((_, mishap)) = self.mishap.take() {
            match mishap_turn(&mishap, actor, &scene.standing[actor]) {
                Some(turn) => return Some(turn),
                // It needs a call, and this is none: the next step may be one.
                None => self.mishap = Some((self.step, mishap)),
            }
        }
        Some(Turn::Step(actor))
    }
}

/// The mishap as a turn of that actor; none where it has nothing to happen to.
pub(super) fn mishap_turn(mishap: &Mishap, actor: usize, at: &Standing) -> Option<Turn> {
    let Standing::Before(step) = at else { return None };
    match mishap {
        Mishap::Crash => (step.kind != StepKind::Between).then_some(Turn::Crash(actor)),
        Mishap::LoseReply => (step.kind == StepKind::Call).then_some(Turn::LoseReply(actor)),
        Mishap::LoseRequest => (step.kind == StepKind::Call).then_some(Turn::LoseRequest(actor)),
        Mishap::Of(on) => Some(Turn::Fault(on.clone())),
    }
}

/// What the faults that a design claims to survive come to, one at a time.
pub(super) fn mishaps(faults: &[&str]) -> Vec<Mishap> {
    let mut mishaps = Vec::new();
    for fault in faults {
        let id = fault.split('@').next().unwrap_or(fault);
        let more = match id.split_once('-') {
            Some(("app", "crash")) => vec![Mishap::Crash],
            Some(("app", "lost-reply") | (_, "cut-replies")) => vec![Mishap::LoseReply],
            Some(("app", "lost-request") | (_, "cut-requests" | "refuse")) => vec![Mishap::LoseRequest],
            Some((_, "cut" | "reset")) => vec![Mishap::LoseReply, Mishap::LoseRequest],
            Some((_, "crash" | "restart")) => {
                vec![Mishap::Of(FaultOn { fault: id.to_owned(), of: None })]
            }
            _ => Vec::new(),
        };
        mishaps.extend(more.into_iter().filter(|mishap| !mishaps.contains(mishap)).collect::<Vec<_>>());
    }
    mishaps
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_can_be_cut_lose_requests_and_replies() {
        let crash = Mishap::Of(FaultOn { fault: "db-crash".to_owned(), of: None });
        assert_eq!(
            mishaps(&["app-crash@relay", "db-cut", "db-crash", "db-latency", "broker-cut-replies"]),
            [Mishap::Crash, Mishap::LoseReply, Mishap::LoseRequest, crash]
        );
    }
}
