//! Every schedule of a small workload: each step with each single fault on the schedule without preemption, and
//! all interleavings with at most so many preemptions (Musuvathi and Qadeer, Iterative Context Bounding for
//! Systematic Testing of Multithreaded Programs, 2007). A switch is a preemption where the one that moved last
//! could have gone on.

use super::strategy::{Mishap, mishap_turn};
use crate::runner::explored::{Driver, Scene, Turn};

/// Follows given choices, then goes on without preemption; notes what else could have been chosen.
pub(super) struct Follow {
    /// Who moves at each step from the start.
    prefix: Vec<usize>,
    /// What goes wrong at which step.
    mishap: Option<(usize, Mishap)>,
    last: Option<usize>,
    step: usize,
    preemptions: usize,
    preemptions_max: usize,
    /// The steps where somebody else could have moved, as prefixes of other schedules.
    pub(super) branches: Vec<Vec<usize>>,
    path: Vec<usize>,
    /// Whether the mishap had something to happen to.
    pub(super) hit: bool,
    /// How many steps there were.
    pub(super) steps: usize,
}

impl Follow {
    /// The schedule that begins like this.
    pub(super) fn new(prefix: Vec<usize>, preemptions_max: usize) -> Self {
        Follow {
            prefix,
            mishap: None,
            last: None,
            step: 0,
            preemptions: 0,
            preemptions_max,
            branches: Vec::new(),
            path: Vec::new(),
            hit: false,
            steps: 0,
        }
    }

    /// The schedule without preemption, with a mishap at that step.
    pub(super) fn with_mishap(step: usize, mishap: Mishap) -> Self {
        Follow { mishap: Some((step, mishap)), ..Follow::new(Vec::new(), 0) }
    }
}

impl Driver for Follow {
    fn next(&mut self, scene: &Scene<'_>) -> Option<Turn> {
        let going_on = self.last.filter(|last| scene.ready.contains(last));
        let usual = going_on.unwrap_or(scene.ready[0]);
        let chosen = match self.prefix.get(self.step) {
            Some(given) if scene.ready.contains(given) => *given,
            _ => usual,
        };
        if self.step >= self.prefix.len() && self.mishap.is_none() {
            let cost = usize::from(going_on.is_some());
            if self.preemptions + cost <= self.preemptions_max {
                for other in scene.ready.iter().filter(|other| **other != chosen) {
                    let mut branch = self.path.clone();
                    branch.push(*other);
                    self.branches.push(branch);
                }
            }
        }
        self.preemptions += usize::from(going_on.is_some_and(|last| last != chosen));
        self.last = Some(chosen);
        self.path.push(chosen);
        self.step += 1;
        self.steps = self.step;
        if let Some((at, mishap)) = &self.mishap
            && *at + 1 == self.step
            && let Some(turn) = mishap_turn(mishap, chosen, &scene.standing[chosen])
        {
            self.hit = true;
            return Some(turn);
        }
        Some(Turn::Step(chosen))
    }
}
