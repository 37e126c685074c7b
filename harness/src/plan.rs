//! Plans a stress run: when which fault is injected where, all of it from the seed, before anything runs.

use rand::RngExt;

use crate::design::{Design, Role};
use crate::fault::{self, FaultClass};
use crate::operation::{Workload, stream};
use crate::schedule::{FaultOn, Plan, Schedule, Stress, VERSION, Window};

/// How long a fault lasts.
const WINDOW_MS: u64 = 400;

/// How long nothing is faulty between two windows.
const HEALED_MS: u64 = 250;

/// How long the load runs before the first fault, so that every connection is open by then.
const WARM_UP_MS: u64 = 500;

/// A stress schedule: load for `time_ms`, or longer if the faults need it. Every fault gets a window; while
/// there is time, all of them get another, on another link.
pub fn stress(
    design: &dyn Design,
    workload: Workload,
    faults: &[FaultOn],
    seed: u64,
    time_ms: u64,
) -> Schedule {
    let mut rng = stream(seed, "plan");
    let mut windows = Vec::new();
    let mut at_ms = WARM_UP_MS;
    let first_turn = rng.random_range(0..Role::ALL.len());
    for round in 0.. {
        for (number, on) in faults.iter().enumerate() {
            let of = on.of.clone().or_else(|| turn_of(design, &on.fault, first_turn + round + number));
            let on = FaultOn { of, ..on.clone() };
            windows.push(Window { at_ms, for_ms: rng.random_range(WINDOW_MS / 2..=WINDOW_MS), on });
            at_ms += WINDOW_MS + HEALED_MS;
        }
        if faults.is_empty() || at_ms + (WINDOW_MS + HEALED_MS) * faults.len() as u64 > time_ms {
            break;
        }
    }
    Schedule {
        crosscheck_schedule: VERSION,
        variant: design.id(),
        name: if faults.is_empty() { "stress" } else { "stress-with-faults" }.to_owned(),
        about: String::new(),
        seed,
        plan: Plan::Stress(Stress { workload, time_ms: time_ms.max(at_ms), faults: windows }),
    }
}

/// Whose turn it is to be hit: each role that is there, one after the other. A fault of a server hits all.
fn turn_of(design: &dyn Design, fault: &str, turn: usize) -> Option<String> {
    let services = design.services();
    if fault.starts_with("app-") {
        let turn = turn % (services.len() + 1);
        return Some(services.get(turn).map_or_else(|| "client".to_owned(), |service| service.name.clone()));
    }
    if !is_of_a_link(fault) {
        return None;
    }
    let mut roles = vec![Role::Client];
    if !fault.starts_with("cache-") {
        roles.extend(services.iter().map(|service| service.role));
    }
    // The clients of an outbox never talk to the broker: a cut there would hit nothing.
    if fault.starts_with("broker-") && !design.clients_publish() {
        roles.retain(|role| *role != Role::Client);
    }
    roles.sort();
    roles.dedup();
    roles.get(turn % roles.len().max(1)).map(|role| role.id().to_owned())
}

/// Whether a fault is one of a link, and not of a server.
fn is_of_a_link(id: &str) -> bool {
    fault::find(id).is_some_and(|known| known.class == FaultClass::Network)
}

/// Reads `db-crash` or `app-crash@relay`, as designs declare them. What people write is for [`fault::parse`],
/// which says what is wrong with it.
pub fn fault_on(text: &str) -> FaultOn {
    match text.split_once('@') {
        Some((fault, of)) => FaultOn::new(fault, Some(of)),
        None => FaultOn::new(text, None),
    }
}
