//! Finding deadlocks: PostgreSQL's `deadlock.c`. A waits-for graph has hard edges (to who has the lock) and soft
//! ones (to who is before one in the queue); a cycle with a soft edge is broken by another order of the queue.

use super::id::{SessionId, Slot};
use super::lock::{LockMode, LockTag, Modes};
use super::proc::Waiting;
use super::state::State;
use super::wait::deadlock_detected;
use crate::model::database::error::SqlError;

/// That `waiter` goes before `blocker` in the queue of a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Edge {
    waiter: Slot,
    blocker: Slot,
    tag: LockTag,
}

/// A session on the cycle and what it waits for.
#[derive(Debug, Clone, Copy)]
struct Link {
    pid: SessionId,
    tag: LockTag,
    mode: LockMode,
}

type Order = (LockTag, Vec<Slot>);

/// A search for cycles.
struct Search<'a> {
    state: &'a State,
    constraints: Vec<Edge>,
    orders: Vec<Order>,
    visited: Vec<Slot>,
    soft: Vec<Edge>,
    cycle: Vec<Link>,
}

enum Test {
    Hard,
    Good,
    Soft(Vec<Edge>),
}

impl State {
    /// Fails where the session waits in a cycle that no other order of queues breaks.
    pub(super) fn check_deadlock(&mut self, slot: Slot) -> Result<(), SqlError> {
        let mut search = Search {
            state: self,
            constraints: Vec::new(),
            orders: Vec::new(),
            visited: Vec::new(),
            soft: Vec::new(),
            cycle: Vec::new(),
        };
        if search.check(slot) {
            let detail = search.detail();
            return Err(deadlock_detected(Some(detail)));
        }
        for (tag, order) in std::mem::take(&mut search.orders) {
            let woken = self.locks.reorder(tag, &order);
            self.grant(&woken);
        }
        Ok(())
    }

    /// Who has a lock, with the modes.
    pub(super) fn owners(&self, tag: LockTag) -> Vec<(Slot, Modes)> {
        if let LockTag::Transaction(xid) = tag {
            let owner = self.xacts.slot(xid).filter(|_| self.xacts.is_running(xid));
            return owner.map(|slot| (slot, Modes::only(LockMode::Exclusive))).into_iter().collect();
        }
        let owners = self.locks.get(tag).map_or(&[][..], |lock| &lock.owners);
        owners.iter().map(|owner| (owner.slot, owner.modes)).collect()
    }

    pub(super) fn waits_for_lock(&self, slot: Slot) -> Option<(LockTag, LockMode)> {
        match self.procs.get(slot)?.as_ref()?.waiting {
            Some(Waiting::Lock { tag, mode }) => Some((tag, mode)),
            _ => None,
        }
    }
}

impl Search<'_> {
    /// `DeadLockCheckRecurse`: whether there is a deadlock that cannot be resolved.
    fn check(&mut self, start: Slot) -> bool {
        let edges = match self.test(start) {
            Test::Hard => return true,
            Test::Good => return false,
            Test::Soft(edges) => edges,
        };
        for edge in edges {
            self.constraints.push(edge);
            if !self.check(start) {
                return false;
            }
            self.constraints.pop();
        }
        true
    }

    fn test(&mut self, start: Slot) -> Test {
        if !self.expand() {
            return Test::Hard;
        }
        let mut starts: Vec<Slot> =
            self.constraints.iter().flat_map(|edge| [edge.waiter, edge.blocker]).collect();
        starts.push(start);
        let mut found = Test::Good;
        for slot in starts {
            self.visited.clear();
            self.soft.clear();
            self.cycle.clear();
            if self.find(slot) {
                if self.soft.is_empty() {
                    return Test::Hard;
                }
                found = Test::Soft(self.soft.clone());
            }
        }
        found
    }

    /// `FindLockCycleRecurse`.
    fn find(&mut self, slot: Slot) -> bool {
        if let Some(place) = self.visited.iter().position(|seen| *seen == slot) {
            return place == 0;
        }
        self.visited.push(slot);
        let Some((tag, mode)) = self.state.waits_for_lock(slot) else { return false };
        let link = Link { pid: self.state.proc(slot).pid, tag, mode };
        let conflicts = mode.conflicts();
        for (owner, modes) in self.state.owners(tag) {
            if owner != slot && conflicts.meets(modes) && self.find(owner) {
                self.cycle.insert(0, link);
                return true;
            }
        }
        let queue = self.queue(tag);
        for (other, wanted) in queue {
            if other == slot {
                break;
            }
            if conflicts.contains(wanted) && self.find(other) {
                self.cycle.insert(0, link);
                self.soft.push(Edge { waiter: slot, blocker: other, tag });
                return true;
            }
        }
        false
    }

    /// The queue of a lock, in the order that is being tried.
    fn queue(&self, tag: LockTag) -> Vec<(Slot, LockMode)> {
        let queue = self.state.locks.get(tag).map_or(&[][..], |lock| &lock.queue);
        let mut queue: Vec<(Slot, LockMode)> =
            queue.iter().map(|waiter| (waiter.slot, waiter.mode)).collect();
        if let Some((_, order)) = self.orders.iter().find(|(other, _)| *other == tag) {
            queue.sort_by_key(|(slot, _)| order.iter().position(|other| other == slot));
        }
        queue
    }

    /// `ExpandConstraints`: orders of queues that keep all constraints, if there are any.
    fn expand(&mut self) -> bool {
        self.orders.clear();
        for number in (0..self.constraints.len()).rev() {
            let tag = self.constraints[number].tag;
            if self.orders.iter().any(|(other, _)| *other == tag) {
                continue;
            }
            match self.sort(tag, &self.constraints[..=number]) {
                Some(order) => self.orders.push((tag, order)),
                None => return false,
            }
        }
        true
    }

    /// `TopoSort`: from the end of the queue, the last one that nobody has to come behind.
    fn sort(&self, tag: LockTag, constraints: &[Edge]) -> Option<Vec<Slot>> {
        let mut left: Vec<Slot> = self.state.locks.get(tag)?.queue.iter().map(|waiter| waiter.slot).collect();
        let mut order = Vec::new();
        while !left.is_empty() {
            let is_free = |slot: &Slot| {
                let mut own = constraints.iter().filter(|edge| edge.tag == tag && edge.waiter == *slot);
                !own.any(|edge| left.contains(&edge.blocker))
            };
            let place = left.iter().rposition(is_free)?;
            order.insert(0, left.remove(place));
        }
        Some(order)
    }

    fn detail(&self) -> String {
        let next = self.cycle.iter().cycle().skip(1);
        let lines = self.cycle.iter().zip(next).map(|(link, next)| {
            let (pid, mode, tag) = (link.pid, link.mode.name(), link.tag);
            format!("Process {pid} waits for {mode} on {tag}; blocked by process {}.", next.pid)
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}
