//! Which schedules are the same but for the order of steps that commute.
//!
//! Two steps depend on each other if one actor takes both, or if one wrote what the other read or wrote: in the
//! systems (rows, ranges, sequences, transaction ids, snapshots, locks, commits, offsets, keys) or in the marks of the
//! history (an operation's end against another's beginning). Never from what a step calls itself. Two beginnings of
//! schedules with the same steps and the same dependences between them are one Mazurkiewicz trace: they lead to the
//! same state, and what can follow on one can follow on the other.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};

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
    did: Did,
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
        self.steps.push(Step { hash, did });
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

/// States that were gone on from: with how many preemptions left at most.
///
/// A state is skipped only if it was gone on from with the same one moving last, the same ones ready and at least as
/// many preemptions left: then everything that can follow has been queued already, also under the bound on preemptions.
/// (Musuvathi and Qadeer, Partial-Order Reduction for Context-Bounded State Exploration, 2007.)
#[derive(Debug, Default)]
pub(super) struct States(HashMap<(u64, Option<usize>, u64), usize>);

impl States {
    /// Whether everything that can follow is known; notes the state where it is not.
    pub(super) fn is_known(
        &mut self,
        trace: &Trace,
        last: Option<usize>,
        ready: &[usize],
        preemptions_left: usize,
    ) -> bool {
        let ready = ready.iter().fold(0_u64, |bits, actor| bits | 1 << (actor % 64));
        let known = self.0.entry((trace.hash(), last, ready));
        match known {
            std::collections::hash_map::Entry::Occupied(left) if *left.get() >= preemptions_left => true,
            std::collections::hash_map::Entry::Occupied(mut left) => {
                left.insert(preemptions_left);
                false
            }
            std::collections::hash_map::Entry::Vacant(place) => {
                place.insert(preemptions_left);
                false
            }
        }
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
        let trace = Trace::default();
        assert!(!states.is_known(&trace, None, &[0, 1], 1));
        assert!(states.is_known(&trace, None, &[0, 1], 1));
        assert!(states.is_known(&trace, None, &[0, 1], 0));
        assert!(!states.is_known(&trace, None, &[0, 1], 2));
        assert!(!states.is_known(&trace, None, &[0], 2));
    }
}
