//! What a measurement comes to: rates, percentiles, lag, and whether the design kept up.

use std::collections::{HashMap, HashSet};
use std::time::Duration;

use crosscheck_harness::design::Design;
use crosscheck_harness::operation::{Pauses, Workload};
use crosscheck_harness::runner::{Bench, BenchRecord, Timed};
use crosscheck_models::history::{EventBody, Kind};
use crosscheck_reports::document::{BenchRow, Percentiles};
use hdrhistogram::Histogram;

/// How long the load runs before it is measured.
pub const WARM_UP: Duration = Duration::from_secs(2);

/// How many keys all designs are measured with: as many as there are.
pub const KEYS: usize = 16;

/// In a hundred operations of every design, how many read.
pub const READS_PERCENT: u32 = 30;

/// How many clients there are at least, and in a closed loop.
const CLIENTS_MIN: u32 = 8;

/// How many clients there are at most: the servers take no more than some hundred connections.
const CLIENTS_MAX: u32 = 64;

/// How many operations a second a client is meant to do at most.
const RATE_OF_A_CLIENT: u32 = 20;

/// Which share of the operations may be missing or waiting before a design counts as saturated.
const SHORTFALL_MAX: f64 = 0.05;

/// The measurement of a design: the same load for all of them, only that its writes are of the kind that the
/// design is about. Without a rate it is a closed loop.
pub fn plan(design: &dyn Design, rate: Option<u32>, time: Duration, seed: u64) -> Bench {
    let workload = Workload {
        clients: clients(rate),
        keys: KEYS,
        rate,
        reads_percent: READS_PERCENT,
        writes: design.workload().writes,
        aborts_percent: 0,
        pauses: Pauses { percent: 0, max_ms: 0 },
    };
    Bench { workload, warm_up: WARM_UP, time, seed }
}

/// How many clients there are at such a rate, or in a closed loop.
pub fn clients(rate: Option<u32>) -> usize {
    rate.map_or(CLIENTS_MIN, |rate| (rate / RATE_OF_A_CLIENT).clamp(CLIENTS_MIN, CLIENTS_MAX)) as usize
}

/// What a design did with its load.
#[derive(Debug, Clone, PartialEq)]
pub struct Measured {
    /// The row of the document.
    pub row: BenchRow,
    /// How many committed writes never arrived downstream, though nothing more was to come.
    pub never_arrived: u64,
}

/// Reads a record. The operations that were due after the warm-up count, and what they committed.
pub fn measure(design: &dyn Design, backend: &str, bench: &Bench, record: &BenchRecord) -> Measured {
    let measured: Vec<&Timed> = record.operations.iter().filter(|op| record.measures(op.due_ns)).collect();
    let travels = if design.layout().topics.is_empty() { Vec::new() } else { travels(record) };
    let lags = travels.iter().filter(|travel| record.measures(travel.committed_ns));
    let lag_us = Micros::of(lags.clone().filter_map(|travel| travel.lag_ns(record)));
    let seconds = bench.time.as_secs_f64();
    let completed = record.operations.iter().filter(|op| op.kind == Kind::Ok && record.measures(op.done_ns));
    let row = BenchRow {
        variant: design.id(),
        backend: backend.to_owned(),
        rate_asked: bench.workload.rate.map(f64::from),
        rate_achieved: completed.count() as f64 / seconds,
        saturated: bench.workload.rate.is_some_and(|rate| {
            let asked = f64::from(rate) * seconds;
            let most = (asked * SHORTFALL_MAX).max(1.0);
            [missing(record, asked), waiting(record), grown(record, &travels)].into_iter().any(|n| n > most)
        }),
        latency_us: latencies(record, &measured).percentiles().unwrap_or_default(),
        lag_us: lag_us.percentiles(),
        errors: measured.iter().filter(|op| op.kind != Kind::Ok).count() as u64,
    };
    let never_arrived = lags.filter(|travel| travel.lag_ns(record).is_none()).count() as u64;
    Measured { row, never_arrived }
}

/// From the intended start to the answer, whatever the answer says. What was never begun counts with the time
/// that it waited: else the worst would be missing.
fn latencies(record: &BenchRecord, measured: &[&Timed]) -> Micros {
    let unbegun = (0..record.unbegun.count).map(|number| {
        let due = record.unbegun.first_due_ns as f64 + number as f64 * record.unbegun.gap_ns;
        record.unbegun.until_ns.saturating_sub((due as u64).max(record.from_ns))
    });
    Micros::of(measured.iter().map(|op| op.done_ns.saturating_sub(op.due_ns)).chain(unbegun))
}

/// How many answers are missing from those that a design gives that keeps up.
fn missing(record: &BenchRecord, asked: f64) -> f64 {
    asked - record.operations.iter().filter(|op| record.measures(op.done_ns)).count() as f64
}

/// How many operations were due at the end and not begun: no client was free.
fn waiting(record: &BenchRecord) -> f64 {
    let late = record.operations.iter().filter(|op| op.due_ns < record.to_ns && op.begun_ns >= record.to_ns);
    (late.count() as u64 + record.unbegun.count) as f64
}

/// By how much what is under way downstream grew while it was measured.
fn grown(record: &BenchRecord, travels: &[Travel]) -> f64 {
    let under_way = |at_ns: u64| {
        let is_under_way = |travel: &&Travel| {
            travel.committed_ns < at_ns
                && travel.visible_ns.map_or(!record.drained, |visible_ns| visible_ns >= at_ns)
        };
        travels.iter().filter(is_under_way).count() as f64
    };
    under_way(record.to_ns) - under_way(record.from_ns)
}

/// A change on its way from the source of truth to whoever receives it.
struct Travel {
    committed_ns: u64,
    visible_ns: Option<u64>,
}

impl Travel {
    /// How long it took. What is still under way took as long as it was waited for, at least; what is lost has
    /// no lag.
    fn lag_ns(&self, record: &BenchRecord) -> Option<u64> {
        let visible_ns = self.visible_ns.or((!record.drained).then_some(record.cut_ns));
        // An event that is published before the commit may be seen before it.
        visible_ns.map(|visible_ns| visible_ns.saturating_sub(self.committed_ns))
    }
}

/// Every commit of a write, from the end of its COMMIT to the first receipt of its event.
fn travels(record: &BenchRecord) -> Vec<Travel> {
    let mut writes: HashSet<&str> = HashSet::new();
    let mut committed: HashMap<&str, u64> = HashMap::new();
    let mut visible: HashMap<&str, u64> = HashMap::new();
    for event in &record.events {
        match &event.body {
            EventBody::Write(write) => {
                writes.insert(&write.op_id);
            }
            EventBody::Step(step) if step.call.starts_with("COMMIT") && step.outcome == "ok" => {
                if let Some(op_id) = &step.op_id {
                    committed.insert(op_id, event.time);
                }
            }
            EventBody::Deliver(deliver) => {
                let first = visible.entry(&deliver.op_id).or_insert(event.time);
                *first = event.time.min(*first);
            }
            _ => {}
        }
    }
    let travel = |(op_id, committed_ns)| Travel { committed_ns, visible_ns: visible.get(op_id).copied() };
    committed.into_iter().filter(|(op_id, _)| writes.contains(op_id)).map(travel).collect()
}

/// A histogram of microseconds, to three significant figures.
struct Micros(Histogram<u64>);

impl Micros {
    fn of(nanoseconds: impl Iterator<Item = u64>) -> Micros {
        let mut histogram = Histogram::new(3).expect("three figures are within what a histogram can keep");
        for ns in nanoseconds {
            histogram.record(ns / 1_000).expect("a histogram made without bounds grows to what it is given");
        }
        Micros(histogram)
    }

    fn percentiles(&self) -> Option<Percentiles> {
        let at = |quantile| self.0.value_at_quantile(quantile);
        (!self.0.is_empty()).then(|| Percentiles {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p99_9: at(0.999),
            max: self.0.max(),
        })
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_models::history::{Deliver, Event, Process, Step, Write, WriteItem};

    use super::*;

    const MS: u64 = 1_000_000;
    const SECOND: u64 = 1_000 * MS;

    /// One second of 100/s, after a second of warm-up.
    fn plan_of(variant: &str) -> (std::sync::Arc<dyn Design>, Bench) {
        let chosen = crate::pattern::select(&[variant.to_owned()]).expect("it is in the catalogue");
        let design = chosen.into_iter().next().expect("one pattern, one design");
        let bench =
            Bench { warm_up: Duration::from_secs(1), ..plan(&*design, Some(100), Duration::from_secs(1), 1) };
        (design, bench)
    }

    /// 200 operations on time, each answered after `took`; the first 100 are of the warm-up.
    fn record(took: impl Fn(u64) -> u64) -> BenchRecord {
        let operations = (0..200).map(|n| {
            let due_ns = n * 10 * MS;
            Timed { due_ns, begun_ns: due_ns, done_ns: due_ns + took(n), kind: Kind::Ok }
        });
        BenchRecord {
            from_ns: SECOND,
            to_ns: 2 * SECOND,
            cut_ns: 3 * SECOND,
            drained: true,
            operations: operations.collect(),
            unbegun: Default::default(),
            events: Vec::new(),
        }
    }

    fn measured(variant: &str, record: &BenchRecord) -> Measured {
        let (design, bench) = plan_of(variant);
        measure(&*design, "local", &bench, record)
    }

    fn within_a_thousandth(found: u64, wanted: u64) -> bool {
        found.abs_diff(wanted) * 1_000 <= wanted
    }

    #[test]
    fn percentiles_are_of_what_was_due_after_the_warm_up() {
        // The slowest of the warm-up would be the largest by far.
        let record = record(|n| if n < 100 { 900 * MS } else { (n - 99) * MS });
        let found = measured("sot-serializable", &record).row.latency_us;
        let Percentiles { p50, p90, p99, p99_9, max } = found;
        for (found, wanted) in [(p50, 50), (p90, 90), (p99, 99), (p99_9, 100), (max, 100)] {
            assert!(within_a_thousandth(found, wanted * 1_000), "{found} us, not {wanted} ms");
        }
    }

    #[test]
    fn latency_begins_when_the_operation_was_due() {
        let mut record = record(|_| 2 * MS);
        for operation in &mut record.operations {
            operation.begun_ns += 50 * MS;
            operation.done_ns += 50 * MS;
        }
        let row = measured("sot-serializable", &record).row;
        assert!(within_a_thousandth(row.latency_us.p50, 52_000), "{row:?}");
        // Five of a hundred were not yet begun at the end: just not more than is borne.
        assert!(!row.saturated, "{row:?}");
    }

    #[test]
    fn a_design_that_keeps_up_has_the_rate_asked_for() {
        let Measured { row, never_arrived } = measured("sot-serializable", &record(|_| 3 * MS));
        assert_eq!((row.rate_asked, row.rate_achieved), (Some(100.0), 100.0));
        assert_eq!((row.saturated, row.errors, row.lag_us, never_arrived), (false, 0, None, 0));
    }

    #[test]
    fn a_design_that_answers_too_slowly_is_saturated() {
        // Each answer takes twice the gap, one after the other.
        let slow = record(|n| n * 10 * MS + 20 * MS);
        let row = measured("sot-serializable", &slow).row;
        assert!(row.saturated && row.rate_achieved < 55.0, "{row:?}");
    }

    #[test]
    fn what_was_never_begun_counts_as_late_and_as_a_backlog() {
        let mut record = record(|_| MS);
        record.operations.truncate(190);
        let unbegun = crosscheck_harness::runner::Unbegun {
            count: 10,
            first_due_ns: 1900 * MS,
            gap_ns: 10.0 * MS as f64,
            until_ns: 3 * SECOND,
        };
        record.unbegun = unbegun;
        let row = measured("sot-serializable", &record).row;
        assert!(row.saturated, "{row:?}");
        assert!(within_a_thousandth(row.latency_us.max, 1_100_000), "{row:?}");
        assert!(within_a_thousandth(row.latency_us.p50, 1_000), "{row:?}");
    }

    #[test]
    fn failures_and_unknown_outcomes_are_errors_and_not_throughput() {
        let mut record = record(|_| MS);
        for (n, kind) in [(5, Kind::Fail), (110, Kind::Fail), (120, Kind::Info)] {
            record.operations[n].kind = kind;
        }
        let row = measured("sot-serializable", &record).row;
        assert_eq!((row.errors, row.rate_achieved, row.saturated), (2, 98.0, false));
    }

    /// A write that commits at a time, and arrives downstream where it does.
    fn writes(record: &mut BenchRecord, op_id: &str, committed_ns: u64, visible_ns: &[u64]) {
        let mut observe = |process: Process, time, kind, body| {
            let index = record.events.len() as u64;
            record.events.push(Event { index, time, process, kind, body, error: None });
        };
        let write = Write { op_id: op_id.into(), item: WriteItem::default() };
        observe(Process::Client(0), committed_ns - MS, Kind::Invoke, EventBody::Write(write));
        for (call, outcome, time) in [
            ("BEGIN", "ok", committed_ns - MS),
            ("COMMIT", "error: 40001", committed_ns - MS),
            ("COMMIT", "ok", committed_ns),
        ] {
            let (call, outcome) = (call.to_owned(), outcome.to_owned());
            let step = Step { call, outcome, op_id: Some(op_id.into()), ..Step::default() };
            observe(Process::Actor("client-0".into()), time, Kind::Ok, EventBody::Step(Box::new(step)));
        }
        for time in visible_ns {
            let deliver = Deliver { op_id: op_id.into(), ..Deliver::default() };
            observe(Process::Actor("consumer".into()), *time, Kind::Ok, EventBody::Deliver(deliver));
        }
    }

    const OUTBOX: &str = "outbox-poll-flag-single";

    #[test]
    fn lag_goes_from_the_commit_to_the_first_receipt() {
        let mut record = record(|_| MS);
        writes(&mut record, "warm-up", 500 * MS, &[900 * MS]);
        for n in 0..50 {
            let committed_ns = SECOND + n * 10 * MS;
            let first_ns = committed_ns + 7 * MS;
            writes(&mut record, &format!("c0-{n}"), committed_ns, &[first_ns, first_ns + 300 * MS]);
        }
        let Measured { row, never_arrived } = measured(OUTBOX, &record);
        let lag = row.lag_us.expect("it has a downstream");
        assert!(within_a_thousandth(lag.p50, 7_000) && within_a_thousandth(lag.max, 7_000), "{lag:?}");
        assert_eq!((row.saturated, never_arrived), (false, 0));
    }

    #[test]
    fn a_design_without_a_downstream_has_no_lag() {
        let mut record = record(|_| MS);
        writes(&mut record, "c0-1", 1500 * MS, &[]);
        let Measured { row, never_arrived } = measured("sot-serializable", &record);
        assert_eq!((row.lag_us, never_arrived), (None, 0));
    }

    #[test]
    fn an_event_before_its_commit_has_no_lag_to_wait_for() {
        let mut record = record(|_| MS);
        writes(&mut record, "c0-1", 1500 * MS, &[1400 * MS]);
        assert_eq!(measured(OUTBOX, &record).row.lag_us, Some(Percentiles::default()));
    }

    #[test]
    fn what_never_arrives_is_lost_if_all_is_quiet_and_late_if_not() {
        let mut lossy = record(|_| MS);
        writes(&mut lossy, "c0-1", 1500 * MS, &[]);
        let found = measured(OUTBOX, &lossy);
        assert_eq!((found.never_arrived, found.row.lag_us, found.row.saturated), (1, None, false));

        let mut late = BenchRecord { drained: false, ..record(|_| MS) };
        for n in 0..20 {
            writes(&mut late, &format!("c0-{n}"), 1500 * MS, &[]);
        }
        let found = measured(OUTBOX, &late);
        let lag = found.row.lag_us.expect("some changes are on their way");
        assert!(within_a_thousandth(lag.p50, 1_500_000), "{lag:?}");
        assert_eq!((found.never_arrived, found.row.saturated), (0, true));
    }

    #[test]
    fn all_designs_get_the_same_load() {
        for design in crate::design::all() {
            let Bench { workload, .. } = plan(&*design, Some(400), Duration::from_secs(1), 1);
            assert_eq!((workload.clients, workload.keys, workload.reads_percent), (20, KEYS, READS_PERCENT));
            assert_eq!((workload.pauses.percent, workload.aborts_percent), (0, 0));
        }
        assert_eq!([None, Some(1), Some(100_000)].map(clients), [8, 8, 64]);
    }
}
