//! Measures a design: load without faults and without pauses, in which every operation is due at a time of
//! its own, whatever the answers do. So what waits because the design is slow counts as slow, and is not left
//! out ("coordinated omission": Gil Tene, How NOT to Measure Latency, 2013).

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use crosscheck_models::history::{Event, Kind};
use rand::{Rng, RngExt};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::client::{Source, work};
use super::pacer::Pacer;
use super::{Begun, Place, Run, begin, close, drain, service};
use crate::backend::{Backend, HarnessError, Time};
use crate::design::{Design, Layout};
use crate::gate::Gate;
use crate::operation::{Generator, Operation, Workload, stream};
use crate::recorder::Clock;

/// How long after the end operations are still begun that were due before it. A short stall at the end is
/// then measured to its end; a design that cannot keep up is not waited for.
const GRACE: Duration = Duration::from_secs(1);

/// How long clients may take to end their last operation.
const REST_MAX: Duration = Duration::from_secs(40);

/// How long changes may take to arrive downstream after the load.
const ARRIVAL_MAX: Duration = Duration::from_secs(10);

/// A measurement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bench {
    /// The load; without a rate each client begins its next operation when its last one is done. Its pauses
    /// are left out.
    pub workload: Workload,
    /// How long the load runs before it is measured: connections, first metadata, caches.
    pub warm_up: Duration,
    /// How long the load is measured.
    pub time: Duration,
    /// What all randomness comes from.
    pub seed: u64,
}

/// Where the history goes: events are measured in memory and nobody reads them later.
const NOWHERE: &str = "/dev/null";

/// What a measurement saw. All times are nanoseconds on one clock.
#[derive(Debug)]
pub struct BenchRecord {
    /// When the warm-up was over.
    pub from_ns: u64,
    /// When the load was over.
    pub to_ns: u64,
    /// When changes were no longer waited for.
    pub cut_ns: u64,
    /// Whether the services were done by then: what has not arrived downstream is lost, and not late.
    pub drained: bool,
    /// Every operation that was begun, also in the warm-up.
    pub operations: Vec<Timed>,
    /// The operations that were due and never begun.
    pub unbegun: Unbegun,
    /// The history.
    pub events: Vec<Event>,
}

impl BenchRecord {
    /// Whether a moment lies in the time that is measured.
    pub fn measures(&self, at_ns: u64) -> bool {
        (self.from_ns..self.to_ns).contains(&at_ns)
    }
}

/// One operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timed {
    /// When it was due.
    pub due_ns: u64,
    /// When it was sent.
    pub begun_ns: u64,
    /// When it was answered.
    pub done_ns: u64,
    /// What came of it: ok, fail or info.
    pub kind: Kind,
}

/// Operations that were due and never begun, one after the other at even gaps.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Unbegun {
    /// How many.
    pub count: u64,
    /// When the first was due.
    pub first_due_ns: u64,
    /// What lies between two.
    pub gap_ns: f64,
    /// Until when they waited.
    pub until_ns: u64,
}

/// Runs the load on a design on a backend. `tag` is unique among runs.
///
/// # Errors
/// If the systems cannot be had, or a client never ends.
pub async fn bench(
    design: Arc<dyn Design>,
    backend: &dyn Backend,
    bench: &Bench,
    tag: &str,
) -> Result<BenchRecord, HarnessError> {
    let path = Path::new(NOWHERE);
    let mut workload = bench.workload.clone();
    workload.pauses.percent = 0;
    let gate = Gate::free(bench.seed, workload.pauses.clone());
    // Nothing is judged, so nothing needs the commit order, whose slot would have the server keep its log.
    let layout = Layout { commit_order_of: None, ..design.layout() };
    if backend.time() == Time::Virtual {
        return Err(HarnessError::Missing {
            what: "there is nothing to measure in virtual time".to_owned(),
            advice: "take --backend local".to_owned(),
        });
    }
    let place = Place::open(&*design, backend, &layout, tag).await?;
    let Begun { run, writer, .. } = begin(design, place, &layout, gate, bench.seed, Some(path)).await?;
    let services = service::start_all(&run);
    let clock = run.recorder.clock().clone();
    let from_ns = clock.now_ns() + nanoseconds(bench.warm_up);
    let to_ns = from_ns + nanoseconds(bench.time);
    let arrivals = Arc::new(Arrivals::new(bench.seed, &workload, clock.now_ns(), to_ns));
    let loaded = load(&run, &arrivals, workload.clients).await;
    let drained = services.is_empty() || timeout(ARRIVAL_MAX, drain::wait(&run)).await.is_ok_and(is_quiet);
    let cut_ns = clock.now_ns();
    service::stop(services).await;
    let panic = run.first_panic();
    let events = close(run, writer).await?;
    let operations = loaded?;
    if let Some(panic) = panic {
        return Err(HarnessError::failed(panic));
    }
    Ok(BenchRecord { from_ns, to_ns, cut_ns, drained, operations, unbegun: arrivals.unbegun(), events })
}

fn is_quiet(drained: drain::Drained) -> bool {
    match drained {
        drain::Drained::Quiet => true,
        drain::Drained::Stuck(_) | drain::Drained::Moving(_) => false,
    }
}

fn nanoseconds(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// Has all clients work until nothing is due any more.
async fn load(run: &Arc<Run>, arrivals: &Arc<Arrivals>, slots: usize) -> Result<Vec<Timed>, HarnessError> {
    let pacer =
        Pacer::start().map_err(|error| HarnessError::failed(format!("cannot start a thread: {error}")))?;
    let timed: Arc<Mutex<Vec<Timed>>> = Arc::default();
    let mut clients = JoinSet::new();
    for slot in 0..slots {
        let source = Paced {
            arrivals: arrivals.clone(),
            pacer: pacer.clone(),
            clock: run.recorder.clock().clone(),
            due_ns: 0,
            timed: timed.clone(),
        };
        clients.spawn(work(run.clone(), slot, slots, source));
    }
    let until = Duration::from_nanos(arrivals.end_ns.saturating_sub(run.recorder.clock().now_ns()));
    let worked = async { while clients.join_next().await.is_some() {} };
    if timeout(until + REST_MAX, worked).await.is_err() {
        let seconds = REST_MAX.as_secs();
        return Err(HarnessError::failed(format!(
            "a client did not end its last operation within {seconds} s after the load; \
             `crosscheck run` shows where it stands"
        )));
    }
    Ok(std::mem::take(&mut *lock(&timed)))
}

/// When which operation is due: one in each gap, at a random moment of it, so that operations do not march in
/// step. It is settled by the seed alone; who is free takes the next.
struct Arrivals {
    next: Mutex<Next>,
    start_ns: u64,
    end_ns: u64,
    gap_ns: Option<f64>,
}

struct Next {
    generator: Generator,
    moments: Box<dyn Rng + Send>,
    taken: u64,
}

impl Arrivals {
    fn new(seed: u64, workload: &Workload, start_ns: u64, end_ns: u64) -> Self {
        let generator = Generator::new(seed, 0, workload);
        let next = Next { generator, moments: Box::new(stream(seed, "arrivals")), taken: 0 };
        let gap_ns = workload.rate.map(|rate| 1e9 / f64::from(rate.max(1)));
        Arrivals { next: Mutex::new(next), start_ns, end_ns, gap_ns }
    }

    /// The next operation, and when it is due; none once all that were due are taken.
    fn take(&self, now_ns: u64) -> Option<(u64, Operation)> {
        let mut next = lock(&self.next);
        let due_ns = match self.gap_ns {
            None => now_ns,
            Some(_) if now_ns >= self.given_up_ns() => return None,
            Some(gap_ns) => {
                let moment: f64 = next.moments.random();
                self.start_ns + ((next.taken as f64 + moment) * gap_ns) as u64
            }
        };
        if due_ns >= self.end_ns {
            return None;
        }
        next.taken += 1;
        Some((due_ns, next.generator.next_operation()))
    }

    fn given_up_ns(&self) -> u64 {
        self.end_ns.saturating_add(nanoseconds(GRACE))
    }

    fn unbegun(&self) -> Unbegun {
        let Some(gap_ns) = self.gap_ns else { return Unbegun::default() };
        let taken = lock(&self.next).taken;
        let all = ((self.end_ns - self.start_ns) as f64 / gap_ns) as u64;
        Unbegun {
            count: all.saturating_sub(taken),
            first_due_ns: self.start_ns + (taken as f64 * gap_ns) as u64,
            gap_ns,
            until_ns: self.given_up_ns(),
        }
    }
}

/// The operations that one client takes.
struct Paced {
    arrivals: Arc<Arrivals>,
    pacer: Pacer,
    clock: Clock,
    due_ns: u64,
    timed: Arc<Mutex<Vec<Timed>>>,
}

impl Source for Paced {
    fn next(&mut self) -> Option<(Duration, Operation)> {
        let now_ns = self.clock.now_ns();
        let (due_ns, operation) = self.arrivals.take(now_ns)?;
        self.due_ns = due_ns;
        Some((Duration::from_nanos(due_ns.saturating_sub(now_ns)), operation))
    }

    async fn wait(&mut self, length: Duration) {
        self.pacer.wait(length).await;
    }

    fn done(&mut self, begun_ns: u64, done_ns: u64, kind: Kind) {
        lock(&self.timed).push(Timed { due_ns: self.due_ns, begun_ns, done_ns, kind });
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().expect("no code panics while it holds what clients share")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operation::{OperationKind, Pauses};

    const SECOND: u64 = 1_000_000_000;

    fn arrivals(seed: u64, rate: Option<u32>) -> Arrivals {
        let workload = Workload {
            clients: 4,
            keys: 4,
            rate,
            reads_percent: 50,
            writes: OperationKind::Write,
            aborts_percent: 0,
            pauses: Pauses { percent: 0, max_ms: 0 },
        };
        Arrivals::new(seed, &workload, SECOND, 2 * SECOND)
    }

    /// What is taken by clients that ask at these times.
    fn taken(arrivals: &Arrivals, mut asked_at: impl FnMut(usize) -> u64) -> Vec<(u64, Operation)> {
        (0..).map_while(|n| arrivals.take(asked_at(n))).collect()
    }

    #[test]
    fn what_is_due_when_does_not_depend_on_when_clients_are_free() {
        let promptly = taken(&arrivals(3, Some(100)), |n| SECOND + n as u64 * SECOND / 100);
        let all_at_the_end = taken(&arrivals(3, Some(100)), |_| 2 * SECOND);
        assert_eq!(promptly, all_at_the_end);
        assert_ne!(promptly, taken(&arrivals(4, Some(100)), |_| 2 * SECOND));
    }

    #[test]
    fn every_gap_has_one_operation_at_a_moment_of_its_own() {
        let taken = taken(&arrivals(1, Some(100)), |_| SECOND);
        assert_eq!(taken.len(), 100);
        let gap = SECOND / 100;
        for (n, (due_ns, _)) in taken.iter().enumerate() {
            assert_eq!((due_ns - SECOND) / gap, n as u64);
        }
        let moments: std::collections::BTreeSet<u64> =
            taken.iter().map(|(due_ns, _)| (due_ns - SECOND) % gap).collect();
        assert!(moments.len() > 90, "they march in step");
    }

    #[test]
    fn what_no_client_came_to_is_counted_with_its_time() {
        let arrivals = arrivals(1, Some(100));
        for _ in 0..30 {
            assert!(arrivals.take(SECOND).is_some());
        }
        assert!(arrivals.take(arrivals.given_up_ns()).is_none());
        let unbegun = arrivals.unbegun();
        assert_eq!((unbegun.count, unbegun.first_due_ns), (70, SECOND + 30 * SECOND / 100));
    }

    #[test]
    fn in_a_closed_loop_an_operation_is_due_when_a_client_is_free() {
        let arrivals = arrivals(1, None);
        let now = SECOND + 7;
        assert_eq!(arrivals.take(now).map(|(due_ns, _)| due_ns), Some(now));
        assert!(arrivals.take(2 * SECOND).is_none());
        assert_eq!(arrivals.unbegun(), Unbegun::default());
    }
}
