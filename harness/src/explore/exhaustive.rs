//! Every schedule of a small workload: each step with each single fault on the schedule without preemption, and
//! all interleavings with at most so many preemptions (Musuvathi and Qadeer, Iterative Context Bounding for
//! Systematic Testing of Multithreaded Programs, 2007). A switch is a preemption where the one that moved last
//! could have gone on.

use std::sync::{Arc, Mutex};

use super::happens_before::{State, States, Trace};
use super::strategy::Mishap;
use crate::runner::explored::{Did, Driver, Next, Scene, Turn};

/// The states that all walks of a search have seen.
pub(super) type Known = Arc<Mutex<States>>;

/// The beginning of a schedule: what another one did up to a step, and somebody else then.
#[derive(Debug, Clone, Default)]
pub(super) struct Branch {
    of: Arc<Played>,
    steps: usize,
    then: Option<usize>,
}

/// Who moved, and what it did.
#[derive(Debug, Default)]
struct Played {
    path: Vec<usize>,
    trace: Trace,
}

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
    /// The steps where somebody else could have moved, and who.
    others: Vec<(usize, usize)>,
    path: Vec<usize>,
    /// How many steps have been told of.
    told: usize,
    /// Whether the mishap had something to happen to.
    pub(super) hit: bool,
    /// Where states are skipped from which everything that follows is known.
    known: Option<Known>,
    trace: Trace,
    /// Where it came from, and whether that turn was a preemption.
    from: Option<(State, bool)>,
    /// What follows on where it stopped is known.
    is_cut: bool,
    /// Nobody looks at what came of it.
    only_looks: bool,
}

impl Follow {
    /// The schedule that begins like this, and then goes on without preemption.
    pub(super) fn beginning(prefix: Vec<usize>) -> Self {
        Follow { prefix, ..Follow::default() }
    }

    /// The same, which only finds out where others branch off.
    pub(super) fn branch(branch: &Branch, preemptions_max: usize) -> Self {
        let mut prefix = branch.of.path[..branch.steps].to_vec();
        prefix.extend(branch.then);
        let trace = branch.of.trace.first(branch.steps);
        Follow { prefix, trace, preemptions_max, only_looks: true, ..Follow::default() }
    }

    /// The other schedules that begin as this one did.
    pub(super) fn branches(self) -> impl Iterator<Item = Branch> {
        let of = Arc::new(Played { path: self.path, trace: self.trace });
        self.others.into_iter().map(move |(steps, other)| Branch { of: of.clone(), steps, then: Some(other) })
    }

    /// The same, which nobody looks at the end of.
    pub(super) fn only_looking(self) -> Self {
        Follow { only_looks: true, ..self }
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

    /// Notes where it is, and says whether all that follows is known.
    fn arrives(&mut self, scene: &Scene<'_>) -> bool {
        let Some(known) = &self.known else { return false };
        // What is known of the steps before is known from the schedule that this one branches off from.
        if self.path.len() + 1 < self.prefix.len() {
            return false;
        }
        let left = self.preemptions_max.saturating_sub(self.preemptions);
        let state = State::new(&self.trace, self.last, scene.ready);
        let mut known = known.lock().expect("no code panics while it holds the states");
        if self.path.is_empty() {
            known.begins(state);
        }
        if let Some((from, is_preemption)) = self.from {
            known.leads(from, is_preemption, state, false);
        }
        self.from = Some((state, false));
        self.path.len() >= self.prefix.len() && known.is_known(state, left)
    }

    /// How it began, if it went on to its end, and no other one did that takes the same steps but for the order of
    /// those that commute; notes that nobody could go on there.
    pub(super) fn ended(&self) -> Option<Vec<usize>> {
        if self.is_cut {
            return None;
        }
        if let (Some(known), Some((from, is_preemption))) = (&self.known, self.from) {
            let end = State::new(&self.trace, self.last, &[]);
            let mut known = known.lock().expect("no code panics while it holds the states");
            known.leads(from, is_preemption, end, true);
            if !known.ends(&self.trace) {
                return None;
            }
        }
        Some(self.prefix.clone())
    }

    /// Notes who else could move now.
    fn note_others(&mut self, scene: &Scene<'_>, chosen: usize, is_preemption: bool) {
        if self.preemptions + usize::from(is_preemption) > self.preemptions_max {
            return;
        }
        let step = self.path.len();
        let others = scene.ready.iter().filter(|other| **other != chosen);
        self.others.extend(others.map(|other| (step, *other)));
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
        if self.mishap.is_none() && self.arrives(scene) {
            self.is_cut = true;
            return Next::Cut;
        }
        if step >= self.prefix.len() && self.mishap.is_none() {
            self.note_others(scene, chosen, going_on.is_some());
        }
        let is_preemption = going_on.is_some_and(|last| last != chosen);
        self.preemptions += usize::from(is_preemption);
        self.from = self.from.map(|(state, _)| (state, is_preemption));
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
        self.told += 1;
        if self.known.is_some() && self.told > self.trace.len() {
            self.trace.add(did);
        }
    }

    fn wants_footprints(&self) -> bool {
        self.known.is_some()
    }

    fn looks_at_end(&self) -> bool {
        !self.only_looks
    }
}
