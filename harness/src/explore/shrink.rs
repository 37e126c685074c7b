//! Shrinks a schedule that violates a property: fewer clients, fewer operations, fewer faults, fewer moves.
//! proptest drives it, and keeps a change only if the violation stays.

use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};

use crate::schedule::{Directed, Move};

/// How many attempts are made.
const ATTEMPTS_MAX: u32 = 4000;

/// The smallest schedule found that still violates; `violates` plays one.
pub(super) fn shrink(start: Directed, violates: impl Fn(&Directed) -> bool) -> Directed {
    let config =
        Config { failure_persistence: None, max_shrink_iters: ATTEMPTS_MAX, ..Config::with_cases(1) };
    let test = |directed: Directed| {
        if violates(&directed) { Err(TestCaseError::fail("violated")) } else { Ok(()) }
    };
    let tree = ScheduleTree { current: start.clone(), before: None, next: 0, kept: false };
    match TestRunner::new(config).run_one(tree, test) {
        Err(TestError::Fail(_, smallest)) => smallest,
        Ok(_) | Err(TestError::Abort(_)) => start,
    }
}

/// A schedule and the ways to make it smaller, each tried in turn.
#[derive(Debug)]
struct ScheduleTree {
    current: Directed,
    before: Option<Directed>,
    /// The number of the change to be tried next.
    next: usize,
    /// Whether a change was kept since the first of them was tried: then all are worth trying again.
    kept: bool,
}

impl ScheduleTree {
    fn try_next(&mut self) -> bool {
        loop {
            while let Some(smaller) = smaller(&self.current, self.next) {
                if smaller != self.current {
                    self.before = Some(std::mem::replace(&mut self.current, smaller));
                    return true;
                }
                self.next += 1;
            }
            if !std::mem::take(&mut self.kept) {
                return false;
            }
            self.next = 0;
        }
    }
}

impl ValueTree for ScheduleTree {
    type Value = Directed;

    fn current(&self) -> Directed {
        self.current.clone()
    }

    fn simplify(&mut self) -> bool {
        // The last change was kept: what came after it may now be at its place.
        self.kept |= self.before.take().is_some();
        self.try_next()
    }

    fn complicate(&mut self) -> bool {
        let Some(before) = self.before.take() else { return false };
        self.current = before;
        self.next += 1;
        self.try_next()
    }
}

/// The change of that number: drop an operation, drop half of the moves, drop one move or fault, join what a
/// dropped move had torn apart. None after the last.
fn smaller(from: &Directed, number: usize) -> Option<Directed> {
    let operations: usize = from.clients.iter().map(Vec::len).sum();
    let mut number = number;
    if number < operations {
        return Some(without_operation(from, number));
    }
    number -= operations;
    let count = from.moves.len();
    let mut size = (count / 2).max(1);
    while size >= 1 && count > 0 {
        let chunks = count.div_ceil(size);
        if number < chunks {
            let from_move = number * size;
            return Some(without_moves(from, from_move..(from_move + size).min(count)));
        }
        number -= chunks;
        size /= 2;
    }
    None
}

fn without_operation(from: &Directed, number: usize) -> Directed {
    let mut smaller = from.clone();
    let mut left = number;
    for client in &mut smaller.clients {
        if left < client.len() {
            client.remove(left);
            break;
        }
        left -= client.len();
    }
    while smaller.clients.len() > 1 && smaller.clients.last().is_some_and(Vec::is_empty) {
        smaller.clients.pop();
    }
    let gone = |actor: &str| {
        actor
            .strip_prefix("client-")
            .and_then(|slot| slot.parse::<usize>().ok())
            .is_some_and(|slot| smaller.clients.get(slot).is_none_or(Vec::is_empty))
    };
    smaller.moves.retain(|step| !actor_of(step).is_some_and(gone));
    smaller
}

/// Without these moves; a fault that begins there goes with its end.
fn without_moves(from: &Directed, range: std::ops::Range<usize>) -> Directed {
    let mut smaller = from.clone();
    let gone: Vec<Move> = smaller.moves.drain(range).collect();
    for step in gone {
        let other = match step {
            Move::Inject(on) => Move::Heal(on),
            Move::Heal(on) => Move::Inject(on),
            Move::Run { .. }
            | Move::Start { .. }
            | Move::Crash { .. }
            | Move::LoseReply { .. }
            | Move::LoseRequest { .. }
            | Move::Wait { .. } => continue,
        };
        if let Some(at) = smaller.moves.iter().position(|step| *step == other) {
            smaller.moves.remove(at);
        }
    }
    smaller
}

fn actor_of(step: &Move) -> Option<&str> {
    match step {
        Move::Run { actor, .. }
        | Move::Start { actor }
        | Move::Crash { actor }
        | Move::LoseReply { actor }
        | Move::LoseRequest { actor } => Some(actor),
        Move::Wait { .. } | Move::Inject(_) | Move::Heal(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::Operation;

    fn schedule() -> Directed {
        let write = |id: &str| Operation::write(id, "k1", 1);
        Directed {
            clients: vec![vec![write("a1"), write("a2")], vec![write("b1")]],
            moves: vec![
                Move::op("client-0"),
                Move::to_idle("relay"),
                Move::op("client-1"),
                Move::crash("relay"),
                Move::op("client-0"),
            ],
        }
    }

    #[test]
    fn what_the_violation_needs_stays_and_the_rest_goes() {
        let needs_the_crash = |directed: &Directed| directed.moves.contains(&Move::crash("relay"));
        let smallest = shrink(schedule(), needs_the_crash);
        assert_eq!(smallest.moves, [Move::crash("relay")]);
        assert_eq!(smallest.clients.iter().map(Vec::len).sum::<usize>(), 0);
    }

    #[test]
    fn a_client_whose_operations_are_dropped_moves_no_more() {
        let needs_a_write =
            |directed: &Directed| directed.clients.iter().flatten().any(|op| op.op_id == "b1");
        let smallest = shrink(schedule(), needs_a_write);
        assert_eq!(smallest.moves, []);
        assert_eq!(smallest.clients, [vec![], vec![Operation::write("b1", "k1", 1)]]);
    }
}
