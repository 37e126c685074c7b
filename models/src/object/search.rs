//! Any object, by search: Wing and Gong's algorithm with Lowe's memory ("Testing for Linearizability", 2017).
//!
//! What has taken effect is remembered as a hash of 128 bits, which is one word more or less as an operation
//! takes effect or is taken back: memory does not grow with the length of the history for each state. Reads that
//! fit are taken at once, for they change nothing. Undecided operations come last, and of equal ones only the
//! first.

use super::action::{Action, Part, State, Step};
use super::{Answer, Object};
use crate::hash::{HashMap, HashSet};

/// More states are not remembered: the memory that they take is bounded.
const STATES_MAX: usize = 12_000_000;

/// The budget is asked once in so many steps.
const STEPS_BETWEEN_POLLS: u64 = 1 << 12;

pub(super) fn judge(object: Object, part: &Part, go_on: &mut dyn FnMut() -> bool) -> Answer {
    let mut search = Search::new(object, &part.steps);
    let mut steps = 0_u64;
    while search.left > 0 {
        steps += 1;
        if steps.is_multiple_of(STEPS_BETWEEN_POLLS) && !go_on() {
            return Answer::Unknown(format!("the time was over after {steps} steps of the search"));
        }
        if search.seen.len() > STATES_MAX {
            return Answer::Unknown(format!("the search gave up after {STATES_MAX} states"));
        }
        if !search.advance() && !search.back() {
            return search.contradiction();
        }
    }
    Answer::Order(search.path.iter().map(|taken| part.steps[taken.step as usize].call).collect())
}

/// An operation that took effect, and the state before it.
struct Taken {
    step: u32,
    state: u32,
    /// Nothing else was worth a try.
    is_forced: bool,
}

struct Search<'a> {
    steps: &'a [Step],
    /// The decided steps that have not taken effect, in the order in which they began; the last place is the head.
    next: Vec<u32>,
    previous: Vec<u32>,
    /// The undecided ones that matter, in the same order.
    open: Vec<u32>,
    /// By step: whether it has taken effect.
    is_taken: Vec<bool>,
    /// Decided steps by their ends, and the first of them that may not have taken effect.
    by_end: Vec<u32>,
    first_end: usize,
    /// How many decided ones have not.
    left: usize,
    states: Vec<State>,
    numbers: HashMap<State, u32>,
    state: u32,
    hash: u128,
    seen: HashSet<(u64, u64)>,
    path: Vec<Taken>,
    /// Where to go on: behind a decided step, or at a place among the undecided.
    cursor: Cursor,
    /// The longest way that was found, and what could not go on from there.
    longest: usize,
    stuck: Vec<u32>,
}

#[derive(Clone, Copy)]
enum Cursor {
    /// Nothing was tried of this state.
    Fresh,
    /// Decided steps are tried by their ends: those behind this one are left.
    Decided(Option<(u32, u32)>),
    Open(usize),
}

impl<'a> Search<'a> {
    fn new(object: Object, steps: &'a [Step]) -> Search<'a> {
        let head = steps.len() as u32;
        let mut search = Search {
            steps,
            next: vec![head; steps.len() + 1],
            previous: vec![head; steps.len() + 1],
            open: Vec::new(),
            is_taken: vec![false; steps.len()],
            by_end: Vec::new(),
            first_end: 0,
            left: 0,
            states: vec![object.initial()],
            numbers: HashMap::default(),
            state: 0,
            hash: 0,
            seen: HashSet::default(),
            path: Vec::new(),
            cursor: Cursor::Fresh,
            longest: 0,
            stuck: Vec::new(),
        };
        search.numbers.insert(object.initial(), 0);
        let needed = needed(steps);
        for (at, step) in steps.iter().enumerate() {
            let at = at as u32;
            if step.end == u32::MAX {
                if needed(&step.action) {
                    search.open.push(at);
                }
                continue;
            }
            let last = search.previous[head as usize];
            search.next[last as usize] = at;
            search.previous[at as usize] = last;
            search.next[at as usize] = head;
            search.previous[head as usize] = at;
            search.by_end.push(at);
            search.left += 1;
        }
        search.by_end.sort_by_key(|at| steps[*at as usize].end);
        search
    }

    fn head(&self) -> u32 {
        self.steps.len() as u32
    }

    /// The earliest end of what has not taken effect: whatever begins later cannot come next.
    fn deadline(&mut self) -> u32 {
        while self.by_end.get(self.first_end).is_some_and(|step| self.is_taken[*step as usize]) {
            self.first_end += 1;
        }
        self.by_end.get(self.first_end).map_or(u32::MAX, |step| self.steps[*step as usize].end)
    }

    /// Lets one more operation take effect, if one can that was not tried.
    fn advance(&mut self) -> bool {
        let deadline = self.deadline();
        if matches!(self.cursor, Cursor::Fresh) {
            if self.take_read(deadline) {
                return true;
            }
            self.cursor = Cursor::Decided(None);
        }
        if let Cursor::Decided(mut after) = self.cursor {
            while let Some(at) = self.most_urgent(deadline, after) {
                if self.try_step(at, false) {
                    return true;
                }
                after = Some((self.steps[at as usize].end, at));
            }
            self.cursor = Cursor::Open(0);
        }
        let Cursor::Open(first) = self.cursor else { return false };
        for place in first..self.open.len() {
            let at = self.open[place];
            if self.steps[at as usize].begin > deadline {
                break;
            }
            if !self.is_taken[at as usize] && self.is_first_of_equals(place) && self.try_step(at, false) {
                return true;
            }
        }
        self.remember_stuck(deadline);
        false
    }

    /// Of what can come next, and was not tried, the step that ends first.
    fn most_urgent(&self, deadline: u32, after: Option<(u32, u32)>) -> Option<u32> {
        let mut best: Option<(u32, u32)> = None;
        let mut at = self.next[self.head() as usize];
        while at != self.head() && self.steps[at as usize].begin <= deadline {
            let urgency = (self.steps[at as usize].end, at);
            if after.is_none_or(|after| after < urgency) && best.is_none_or(|best| urgency < best) {
                best = Some(urgency);
            }
            at = self.next[at as usize];
        }
        best.map(|(_, at)| at)
    }

    /// A read that fits now is taken: later it could fit no better, and it changes nothing.
    fn take_read(&mut self, deadline: u32) -> bool {
        let mut at = self.next[self.head() as usize];
        while at != self.head() && self.steps[at as usize].begin <= deadline {
            let action = &self.steps[at as usize].action;
            if action.is_pure() && action.on(&self.states[self.state as usize]).is_some() {
                self.take(at, self.state, true);
                return true;
            }
            at = self.next[at as usize];
        }
        false
    }

    fn is_first_of_equals(&self, place: usize) -> bool {
        let action = &self.steps[self.open[place] as usize].action;
        !self.open[..place]
            .iter()
            .any(|other| !self.is_taken[*other as usize] && self.steps[*other as usize].action == *action)
    }

    fn try_step(&mut self, at: u32, is_forced: bool) -> bool {
        let action = &self.steps[at as usize].action;
        if action.is_pure() {
            return false;
        }
        let Some(after) = action.on(&self.states[self.state as usize]) else { return false };
        let after = self.number(after);
        // The number of the state is mixed in apart from the marks of the steps.
        let hash = (self.hash ^ mark(at)) ^ mark(!after);
        let key = ((hash >> 64) as u64, hash as u64);
        if !self.seen.insert(key) {
            return false;
        }
        self.take(at, after, is_forced);
        true
    }

    fn number(&mut self, state: State) -> u32 {
        if let Some(number) = self.numbers.get(&state) {
            return *number;
        }
        let number = self.states.len() as u32;
        self.numbers.insert(state.clone(), number);
        self.states.push(state);
        number
    }

    fn take(&mut self, at: u32, after: u32, is_forced: bool) {
        self.path.push(Taken { step: at, state: self.state, is_forced });
        self.is_taken[at as usize] = true;
        self.state = after;
        self.hash ^= mark(at);
        self.cursor = Cursor::Fresh;
        if self.steps[at as usize].end != u32::MAX {
            self.left -= 1;
            let (previous, next) = (self.previous[at as usize], self.next[at as usize]);
            self.next[previous as usize] = next;
            self.previous[next as usize] = previous;
        }
    }

    /// Takes operations back until there is another one to try; says whether there is any.
    fn back(&mut self) -> bool {
        while let Some(Taken { step, state, is_forced }) = self.path.pop() {
            self.is_taken[step as usize] = false;
            self.state = state;
            self.hash ^= mark(step);
            let is_decided = self.steps[step as usize].end != u32::MAX;
            if is_decided {
                self.left += 1;
                let (previous, next) = (self.previous[step as usize], self.next[step as usize]);
                self.next[previous as usize] = step;
                self.previous[next as usize] = step;
                let end = self.steps[step as usize].end;
                let place = self.by_end.partition_point(|other| self.steps[*other as usize].end < end);
                self.first_end = self.first_end.min(place);
            }
            if is_forced {
                continue;
            }
            self.cursor = if is_decided {
                Cursor::Decided(Some((self.steps[step as usize].end, step)))
            } else {
                let place = self.open.iter().position(|other| *other == step).unwrap_or(self.open.len());
                Cursor::Open(place + 1)
            };
            return true;
        }
        false
    }

    fn remember_stuck(&mut self, deadline: u32) {
        if self.path.len() < self.longest || (self.path.len() == self.longest && !self.stuck.is_empty()) {
            return;
        }
        self.longest = self.path.len();
        self.stuck.clear();
        let mut at = self.next[self.head() as usize];
        while at != self.head() && self.steps[at as usize].begin <= deadline {
            self.stuck.push(at);
            at = self.next[at as usize];
        }
    }

    fn contradiction(&self) -> Answer {
        let calls = self.stuck.iter().map(|step| self.steps[*step as usize].call).collect();
        let said = format!(
            "no order explains all operations: after the {} that the longest attempt explains, none of these can come next",
            self.longest
        );
        Answer::Contradiction { kind: "no-order", calls, said }
    }
}

/// Undecided writes of what nobody ever saw or compared need not be tried: not to happen explains as much.
fn needed(steps: &[Step]) -> impl Fn(&Action) -> bool + use<> {
    let seen: HashSet<crate::foreign::Word> = steps
        .iter()
        .filter_map(|step| match &step.action {
            Action::Read(value) | Action::Cas(value, _) => Some(*value),
            _ => None,
        })
        .collect();
    move |action| match action {
        Action::Write(value) | Action::Cas(_, value) => seen.contains(value),
        action => !action.is_pure(),
    }
}

/// A word of 128 bits for a step.
fn mark(step: u32) -> u128 {
    let mix = |seed: u64| {
        let mut mixed = (u64::from(step) + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ seed;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    };
    u128::from(mix(0x5851_F42D_4C95_7F2D)) << 64 | u128::from(mix(0x1405_7B7E_F767_814F))
}
