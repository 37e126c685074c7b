//! Plans a stress run: when which fault is injected where, all of it from the seed, before anything runs.

use rand::RngExt;

use crate::design::{Design, Role};
use crate::fault::{self, FaultClass};
use crate::operation::{Workload, stream};
use crate::schedule::{FaultOn, Plan, Schedule, Stress, VERSION, Window};

/// How long nothing is faulty between two windows that must not overlap.
const HEALED_MS: u64 = 250;

/// How long the load runs before the first fault, so that every connection is open by then.
const WARM_UP_MS: u64 = 500;

/// How the faults of a stress run are laid out in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nemesis {
    /// From the beginning of one to that of the next. Less than they last makes them overlap.
    pub every_ms: u64,
    /// How long each lasts at most; it lasts half as long at least.
    pub for_ms: u64,
    /// How many begin together.
    pub together: usize,
    /// With which chance one has a window, in percent; in the first round each has one.
    pub percent: u32,
}

impl Default for Nemesis {
    fn default() -> Self {
        Nemesis { every_ms: 650, for_ms: 400, together: 1, percent: 100 }
    }
}

/// A stress schedule: load for `time_ms`, or longer if the faults need it. Every fault gets a window; while
/// there is time, all of them get another, on another link.
pub fn stress(
    design: &dyn Design,
    workload: Workload,
    faults: &[FaultOn],
    seed: u64,
    time_ms: u64,
) -> Schedule {
    stress_with(design, workload, faults, seed, time_ms, Nemesis::default())
}

/// Like [`stress`], with faults laid out as asked. Two that would be in each other's way (both of one server as a
/// whole, say) come one after the other all the same.
pub fn stress_with(
    design: &dyn Design,
    workload: Workload,
    faults: &[FaultOn],
    seed: u64,
    time_ms: u64,
    nemesis: Nemesis,
) -> Schedule {
    let windows = windows(design, faults, seed, time_ms, nemesis);
    let end_ms = windows.iter().map(|window| window.at_ms + nemesis.for_ms + HEALED_MS).max();
    Schedule {
        crosscheck_schedule: VERSION,
        variant: design.id(),
        name: if faults.is_empty() { "stress" } else { "stress-with-faults" }.to_owned(),
        about: String::new(),
        seed,
        plan: Plan::Stress(Stress {
            workload,
            time_ms: time_ms.max(end_ms.unwrap_or(WARM_UP_MS)),
            faults: windows,
        }),
    }
}

fn windows(
    design: &dyn Design,
    faults: &[FaultOn],
    seed: u64,
    time_ms: u64,
    nemesis: Nemesis,
) -> Vec<Window> {
    let Nemesis { every_ms, for_ms, together, percent } = nemesis;
    let (every_ms, for_ms, together) = (every_ms.max(1), for_ms.max(1), together.max(1));
    let mut rng = stream(seed, "plan");
    let first_turn = rng.random_range(0..Role::ALL.len());
    let mut windows: Vec<Window> = Vec::new();
    let mut at_ms = WARM_UP_MS;
    let round_ms = every_ms * faults.len().div_ceil(together) as u64;
    for round in 0.. {
        for (number, on) in faults.iter().enumerate() {
            let is_left_out = round > 0 && percent < 100 && rng.random_range(0..100) >= percent;
            if !is_left_out {
                let turn = first_turn + round + number;
                let of = on.of.clone().or_else(|| turn_of(design, &on.fault, turn));
                let on = FaultOn { of, ..on.clone() };
                let for_ms = rng.random_range(for_ms.div_ceil(2)..=for_ms);
                let at_ms = after_conflicts(&windows, &on, at_ms, for_ms);
                windows.push(Window { at_ms, for_ms, on });
            }
            if (number + 1) % together == 0 || number + 1 == faults.len() {
                at_ms += every_ms;
            }
        }
        if faults.is_empty() || at_ms + round_ms > time_ms {
            break;
        }
    }
    windows.sort_by_key(|window| window.at_ms);
    windows
}

/// When a window can begin at the earliest without being in another's way.
fn after_conflicts(windows: &[Window], on: &FaultOn, at_ms: u64, for_ms: u64) -> u64 {
    let mut at_ms = at_ms;
    let overlaps = |window: &&Window, at_ms: u64| {
        window.at_ms < at_ms + for_ms + HEALED_MS && at_ms < window.at_ms + window.for_ms + HEALED_MS
    };
    while let Some(other) =
        windows.iter().find(|window| overlaps(window, at_ms) && are_in_the_way(&window.on, on))
    {
        at_ms = other.at_ms + other.for_ms + HEALED_MS;
    }
    at_ms
}

/// Whether two faults cannot be in force together: the same twice, two of one actor, or two of one server as a whole.
fn are_in_the_way(one: &FaultOn, other: &FaultOn) -> bool {
    let class = |on: &FaultOn| fault::find(&on.fault).map(|known| (known.system, known.class));
    match (class(one), class(other)) {
        (Some((system, class)), Some((other_system, other_class))) if system == other_system => {
            match (class, other_class) {
                (FaultClass::Network, FaultClass::Network) => one.fault == other.fault,
                (FaultClass::Network, _) | (_, FaultClass::Network) => false,
                (FaultClass::Application, FaultClass::Application) => one.of == other.of,
                _ => true,
            }
        }
        _ => false,
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{OperationKind, Pauses};

    struct Nothing;

    #[async_trait::async_trait]
    impl Design for Nothing {
        fn id(&self) -> String {
            "nothing".to_owned()
        }
        fn about(&self) -> String {
            String::new()
        }
        fn needs(&self) -> crate::design::Needs {
            crate::design::Needs { db: true, cache: true, broker: true }
        }
        fn claims(&self) -> Vec<crosscheck_models::property::Property> {
            Vec::new()
        }
        fn layout(&self) -> crate::design::Layout {
            crate::design::Layout::default()
        }
        async fn operate(
            &self,
            _ctx: &mut crate::context::Ctx,
            _operation: &crate::operation::Operation,
        ) -> Result<crate::design::Done, crate::design::Failure> {
            Ok(crate::design::Done::default())
        }
    }

    fn laid_out(faults: &[&str], seed: u64, nemesis: Nemesis) -> Vec<Window> {
        let faults: Vec<FaultOn> = faults.iter().map(|text| fault_on(text)).collect();
        let workload = Workload {
            clients: 1,
            keys: 1,
            rate: None,
            reads_percent: 0,
            writes: OperationKind::Write,
            aborts_percent: 0,
            pauses: Pauses { percent: 0, max_ms: 0 },
        };
        match stress_with(&Nothing, workload, &faults, seed, 20_000, nemesis).plan {
            Plan::Stress(stress) => {
                assert!(stress.faults.iter().all(|window| window.at_ms + window.for_ms < stress.time_ms));
                stress.faults
            }
            Plan::Directed(_) => Vec::new(),
        }
    }

    const FAULTS: [&str; 5] =
        ["db-crash", "db-pause", "db-cut@client", "cache-reset@client", "app-crash@client"];

    #[test]
    fn a_seed_decides_the_windows() {
        let nemesis = Nemesis { together: 2, percent: 50, ..Nemesis::default() };
        assert_eq!(laid_out(&FAULTS, 7, nemesis), laid_out(&FAULTS, 7, nemesis));
        assert_ne!(laid_out(&FAULTS, 7, nemesis), laid_out(&FAULTS, 8, nemesis));
    }

    #[test]
    fn windows_come_as_often_and_last_as_long_as_asked() {
        let nemesis = Nemesis { every_ms: 2000, for_ms: 1000, ..Nemesis::default() };
        let windows = laid_out(&FAULTS, 1, nemesis);
        let begins: Vec<u64> = windows.iter().take(4).map(|window| window.at_ms).collect();
        assert_eq!(begins, [500, 2500, 4500, 6500]);
        assert!(windows.iter().all(|window| (500..=1000).contains(&window.for_ms)));
    }

    #[test]
    fn every_fault_has_a_window_whatever_the_chance() {
        let windows = laid_out(&FAULTS, 1, Nemesis { percent: 1, ..Nemesis::default() });
        for fault in FAULTS.map(fault_on) {
            assert!(windows.iter().any(|window| window.on == fault), "{fault}");
        }
        assert!(windows.len() < laid_out(&FAULTS, 1, Nemesis::default()).len() / 2);
    }

    #[test]
    fn faults_combine_unless_they_are_in_each_others_way() {
        for nemesis in [
            Nemesis { together: 3, ..Nemesis::default() },
            Nemesis { every_ms: 100, for_ms: 900, ..Nemesis::default() },
        ] {
            let windows = laid_out(&FAULTS, 3, nemesis);
            let overlap = |one: &Window, other: &Window| {
                one.at_ms < other.at_ms + other.for_ms && other.at_ms < one.at_ms + one.for_ms
            };
            let mut combined = 0;
            for (number, one) in windows.iter().enumerate() {
                for other in windows[number + 1..].iter().filter(|other| overlap(one, other)) {
                    assert!(!are_in_the_way(&one.on, &other.on), "{one:?} and {other:?}");
                    combined += 1;
                }
            }
            assert!(combined > 5, "{combined}");
        }
    }
}
