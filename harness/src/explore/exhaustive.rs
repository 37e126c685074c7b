//! Every schedule of a small workload: each step with each single fault on the schedule without preemption, and
//! all interleavings with at most so many preemptions (Musuvathi and Qadeer, Iterative Context Bounding for
//! Systematic Testing of Multithreaded Programs, 2007). A switch is a preemption where the one that moved last
//! could have gone on.

use std::sync::{Arc, Mutex};

use super::happens_before::{States, Trace};
use super::strategy::Mishap;
use crate::runner::explored::{Did, Driver, Next, Scene, Turn};

/// The states that all walks of a search have seen.
pub(super) type Known = Arc<Mutex<States>>;

/// Follows given choices, then goes on without preemption; notes what else could have been chosen.
#[derive(Default)]
pub(super) struct Follow {
    /// Who moves at each step from the start.
    prefix: Vec<usize>,
    /// What goes wrong at which step.
    mishap: Option<(usize, Mishap)>,
    last: Option<usize>,
    preemptions: usize,
    preemptions_max: usize,
    /// The steps where somebody else could have moved, as prefixes of other schedules.
    pub(super) branches: Vec<Vec<usize>>,
    path: Vec<usize>,
    /// Whether the mishap had something to happen to.
    pub(super) hit: bool,
    /// Where states are skipped from which everything that follows is known.
    known: Option<Known>,
    trace: Trace,
    /// It only counts.
    counts: bool,
}

impl Follow {
    /// The schedule that begins like this.
    pub(super) fn new(prefix: Vec<usize>, preemptions_max: usize) -> Self {
        Follow { prefix, preemptions_max, ..Follow::default() }
    }

    /// The same, which nobody looks at the end of.
    pub(super) fn counting(self) -> Self {
        Follow { counts: true, ..self }
    }

    /// The same, cut where all that follows is known.
    pub(super) fn skipping(self, known: &Known) -> Self {
        Follow { known: Some(Arc::clone(known)), ..self }
    }

    /// The schedule without preemption, with a mishap at that step.
    pub(super) fn with_mishap(step: usize, mishap: Mishap) -> Self {
        Follow { mishap: Some((step, mishap)), ..Follow::default() }
    }

    /// How many steps there were.
    pub(super) fn steps(&self) -> usize {
        self.path.len()
    }

    fn is_known(&self, scene: &Scene<'_>) -> bool {
        let Some(known) = &self.known else { return false };
        let left = self.preemptions_max.saturating_sub(self.preemptions);
        let mut known = known.lock().expect("no code panics while it holds the states");
        known.is_known(&self.trace, self.last, scene.ready, left)
    }

    /// Notes who else could move now.
    fn branch(&mut self, scene: &Scene<'_>, chosen: usize, is_preemption: bool) {
        if self.preemptions + usize::from(is_preemption) > self.preemptions_max {
            return;
        }
        for other in scene.ready.iter().filter(|other| **other != chosen) {
            let mut branch = self.path.clone();
            branch.push(*other);
            self.branches.push(branch);
        }
    }
}

impl Driver for Follow {
    fn next(&mut self, scene: &Scene<'_>) -> Next {
        let step = self.path.len();
        let going_on = self.last.filter(|last| scene.ready.contains(last));
        let usual = going_on.unwrap_or(scene.ready[0]);
        let chosen = match self.prefix.get(step) {
            Some(given) if scene.ready.contains(given) => *given,
            _ => usual,
        };
        if step >= self.prefix.len() && self.mishap.is_none() {
            if self.is_known(scene) {
                return Next::Cut;
            }
            self.branch(scene, chosen, going_on.is_some());
        }
        self.preemptions += usize::from(going_on.is_some_and(|last| last != chosen));
        self.last = Some(chosen);
        self.path.push(chosen);
        if let Some((at, mishap)) = &self.mishap
            && *at == step
            && let Some(turn) = mishap.turn(chosen, scene)
        {
            self.hit = true;
            return Next::Take(turn);
        }
        Next::Take(Turn::Step(chosen))
    }

    fn took(&mut self, did: Did) {
        if self.known.is_some() {
            self.trace.add(did);
        }
    }

    fn looks_at_end(&self) -> bool {
        !self.counts
    }
}
