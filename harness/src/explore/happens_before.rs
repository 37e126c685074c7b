//! Which schedules are the same but for the order of steps that commute.
//!
//! Two steps depend on each other if one actor takes both, or if one wrote what the other read or wrote: in the
//! systems (rows, ranges, sequences, transaction ids, snapshots, locks, commits, offsets, keys) or in the marks of the
//! history (an operation's end against another's beginning). Never from what a step calls itself. Two beginnings of
//! schedules with the same steps and the same dependences between them are one Mazurkiewicz trace: they lead to the
//! same state, and what can follow on one can follow on the other.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use crate::model::footprint::Access;
use crate::runner::explored::Did;

/// The steps of a run so far, with what each depends on.
#[derive(Debug, Clone, Default)]
pub(super) struct Trace {
    steps: Vec<Step>,
    /// The same for the same trace, in whatever order its steps were taken.
    hash: u64,
}

#[derive(Debug, Clone)]
struct Step {
    hash: u64,
    did: Arc<Did>,
}

impl Trace {
    /// Adds what a turn did. Takes time in proportion to the steps before and their accesses.
    pub(super) fn add(&mut self, did: Did) {
        let mut causes: Vec<u64> =
            self.steps.iter().filter(|before| depend(&before.did, &did)).map(|before| before.hash).collect();
        causes.sort_unstable();
        let mut hasher = DefaultHasher::new();
        (&did.moved, &causes).hash(&mut hasher);
        let hash = hasher.finish();
        self.hash = self.hash.wrapping_add(hash);
        self.steps.push(Step { hash, did: Arc::new(did) });
    }

    /// How many steps there are.
    pub(super) fn len(&self) -> usize {
        self.steps.len()
    }

    /// The first steps.
    pub(super) fn first(&self, steps: usize) -> Trace {
        let steps = self.steps[..steps.min(self.steps.len())].to_vec();
        let hash = steps.iter().map(|step| step.hash).fold(0, u64::wrapping_add);
        Trace { steps, hash }
    }

    /// The hash of the whole.
    pub(super) fn hash(&self) -> u64 {
        self.hash
    }
}

fn depend(one: &Did, two: &Did) -> bool {
    one.is_global
        || two.is_global
        || one.moved.iter().any(|actor| two.moved.contains(actor))
        || conflict(&one.accesses, &two.accesses)
}

fn conflict(one: &[Access], two: &[Access]) -> bool {
    one.iter().any(|access| two.iter().any(|other| access.conflicts(other)))
}

/// A state of a search: what has happened but for the order of steps that commute, who moved last (for whether the
/// next turn is a preemption), and who is ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) struct State {
    trace: u64,
    last: Option<usize>,
    ready: u64,
}

impl State {
    /// The state after these steps.
    pub(super) fn new(trace: &Trace, last: Option<usize>, ready: &[usize]) -> Self {
        let ready = ready.iter().fold(0_u64, |bits, actor| bits | 1 << (actor % 64));
        State { trace: trace.hash(), last, ready }
    }
}

/// One turn from a state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Edge {
    to: State,
    is_preemption: bool,
    /// Nobody can go on there.
    is_end: bool,
}

/// States that were gone on from: with how many preemptions left at most, and where to.
///
/// A state is skipped only if it was gone on from with the same one moving last, the same ones ready and at least as
/// many preemptions left: then everything that can follow has been queued already, also under the bound on preemptions.
/// (Musuvathi and Qadeer, Partial-Order Reduction for Context-Bounded State Exploration, 2007.)
#[derive(Debug, Default)]
pub(super) struct States {
    left: HashMap<State, usize>,
    edges: HashMap<State, BTreeSet<Edge>>,
    start: Option<State>,
    ends: HashSet<u64>,
}

impl States {
    /// Whether everything that can follow is known; notes the state where it is not.
    pub(super) fn is_known(&mut self, state: State, preemptions_left: usize) -> bool {
        match self.left.get_mut(&state) {
            Some(left) if *left >= preemptions_left => true,
            Some(left) => {
                *left = preemptions_left;
                false
            }
            None => {
                self.left.insert(state, preemptions_left);
                false
            }
        }
    }

    /// Notes where all schedules begin.
    pub(super) fn begins(&mut self, state: State) {
        self.start = Some(state);
    }

    /// How many schedules there are with so many preemptions at most; none where none was noted.
    pub(super) fn count(&self, preemptions: usize) -> Option<u64> {
        self.start.map(|start| self.schedules(start, preemptions))
    }

    /// Notes that these steps are all of a schedule; whether they are the first to be.
    pub(super) fn ends(&mut self, trace: &Trace) -> bool {
        self.ends.insert(trace.hash())
    }

    /// Notes that a turn leads from one state to another.
    pub(super) fn leads(&mut self, from: State, is_preemption: bool, to: State, is_end: bool) {
        self.edges.entry(from).or_default().insert(Edge { to, is_preemption, is_end });
    }

    /// How many schedules begin in a state and take so many preemptions at most, once all that it leads to is known:
    /// schedules that differ only in the order of steps that commute are counted one by one, but each state is looked
    /// at once. Takes time in proportion to the states. Saturates.
    fn schedules(&self, from: State, preemptions_left: usize) -> u64 {
        let mut counted: HashMap<(State, usize), u64> = HashMap::new();
        let mut open = vec![(from, preemptions_left)];
        while let Some((state, left)) = open.last().copied() {
            let affordable = |edge: &&Edge| usize::from(edge.is_preemption) <= left;
            let after = |edge: &Edge| (edge.to, left - usize::from(edge.is_preemption));
            let edges = || self.edges.get(&state).into_iter().flatten().filter(affordable);
            let before = open.len();
            open.extend(
                edges().filter(|edge| !edge.is_end).map(after).filter(|to| !counted.contains_key(to)),
            );
            if open.len() > before {
                continue;
            }
            let of = |edge: &Edge| if edge.is_end { 1 } else { counted[&after(edge)] };
            let count = edges().map(of).fold(0, u64::saturating_add);
            counted.insert((state, left), count);
            open.pop();
        }
        counted[&(from, preemptions_left)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::footprint::Resource;

    fn step(actor: usize, item: u32, write: bool) -> Did {
        let accesses = vec![Access { resource: Resource::one("rows", item), write }];
        Did { moved: vec![actor], accesses, is_global: false }
    }

    fn hash(steps: &[Did]) -> u64 {
        let mut trace = Trace::default();
        steps.iter().for_each(|did| trace.add(did.clone()));
        trace.hash()
    }

    #[test]
    fn steps_that_commute_are_the_same_in_either_order() {
        let (a, b) = (step(0, 1, true), step(1, 2, true));
        assert_eq!(hash(&[a.clone(), b.clone()]), hash(&[b, a]));
        let (a, b) = (step(0, 1, false), step(1, 1, false));
        assert_eq!(hash(&[a.clone(), b.clone()]), hash(&[b, a]));
    }

    #[test]
    fn steps_that_meet_are_not() {
        let (a, b) = (step(0, 1, true), step(1, 1, false));
        assert_ne!(hash(&[a.clone(), b.clone()]), hash(&[b, a]));
        let (a, b) = (step(0, 1, false), Did { is_global: true, ..step(1, 2, false) });
        assert_ne!(hash(&[a.clone(), b.clone()]), hash(&[b, a]));
    }

    #[test]
    fn a_state_with_more_preemptions_left_is_gone_on_from_again() {
        let mut states = States::default();
        let state = |ready: &[usize]| State::new(&Trace::default(), None, ready);
        assert!(!states.is_known(state(&[0, 1]), 1));
        assert!(states.is_known(state(&[0, 1]), 1));
        assert!(states.is_known(state(&[0, 1]), 0));
        assert!(!states.is_known(state(&[0, 1]), 2));
        assert!(!states.is_known(state(&[0]), 2));
    }

    /// Two ways to the same state, each with two ways on, of which one is a preemption.
    #[test]
    fn schedules_through_one_state_are_counted_one_by_one() {
        let state = |number: u64| State { trace: number, last: None, ready: 0 };
        let mut states = States::default();
        states.leads(state(0), false, state(1), false);
        states.leads(state(0), true, state(2), false);
        states.leads(state(1), false, state(3), false);
        states.leads(state(2), false, state(3), false);
        states.leads(state(3), false, state(4), true);
        states.leads(state(3), true, state(5), true);
        assert_eq!(states.schedules(state(0), 0), 1);
        assert_eq!(states.schedules(state(0), 1), 3);
        assert_eq!(states.schedules(state(0), 2), 4);
    }
}
