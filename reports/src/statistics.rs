//! What the history says about latency and throughput.

use std::collections::BTreeMap;

use crosscheck_models::history::{Event, EventBody, Kind, Process};
use hdrhistogram::Histogram;

/// A client operation: its invocation, and its completion if there is one.
pub(crate) struct Operation<'a> {
    pub(crate) invoke: &'a Event,
    pub(crate) completion: Option<&'a Event>,
}

impl Operation<'_> {
    /// Ok, fail or info; an operation without a completion is info.
    pub(crate) fn outcome(&self) -> Kind {
        self.completion.map_or(Kind::Info, |event| event.kind)
    }

    /// From invocation to completion.
    pub(crate) fn latency_ns(&self) -> Option<u64> {
        self.completion.map(|event| event.time.saturating_sub(self.invoke.time))
    }
}

/// The name of `f`, as the history spells it.
pub(crate) fn f_name(body: &EventBody) -> &'static str {
    match body {
        EventBody::Write(_) => "write",
        EventBody::Read(_) => "read",
        EventBody::Txn(_) => "txn",
        EventBody::Deliver(_) => "deliver",
        EventBody::Effect(_) => "effect",
        EventBody::Step(_) => "step",
        EventBody::FinalSot(_) => "final_sot",
        EventBody::FinalLedger(_) => "final_ledger",
        EventBody::FinalLog(_) => "final_log",
        EventBody::FinalCache(_) => "final_cache",
        EventBody::FinalOutbox(_) => "final_outbox",
    }
}

/// Whether `f` is an operation of a client, with an invocation and a completion.
pub(crate) fn is_operation(body: &EventBody) -> bool {
    match body {
        EventBody::Write(_) | EventBody::Read(_) | EventBody::Txn(_) => true,
        EventBody::Deliver(_)
        | EventBody::Effect(_)
        | EventBody::Step(_)
        | EventBody::FinalSot(_)
        | EventBody::FinalLedger(_)
        | EventBody::FinalLog(_)
        | EventBody::FinalCache(_)
        | EventBody::FinalOutbox(_) => false,
    }
}

/// The client operations, in the order of their invocations.
pub(crate) fn paired(events: &[Event]) -> Vec<Operation<'_>> {
    let mut operations: Vec<Operation<'_>> = Vec::new();
    let mut open: BTreeMap<&Process, usize> = BTreeMap::new();
    for event in events.iter().filter(|event| is_operation(&event.body)) {
        match event.kind {
            Kind::Invoke => {
                open.insert(&event.process, operations.len());
                operations.push(Operation { invoke: event, completion: None });
            }
            Kind::Ok | Kind::Fail | Kind::Info => {
                if let Some(position) = open.remove(&event.process) {
                    operations[position].completion = Some(event);
                }
            }
        }
    }
    operations
}

/// Counts and latencies of one `f`.
pub(crate) struct LatencyRow {
    pub(crate) f: &'static str,
    pub(crate) ok: u64,
    pub(crate) fail: u64,
    pub(crate) info: u64,
    /// Latencies of the ok operations at p50, p90, p99, p99.9 and the maximum, where there is any.
    pub(crate) ok_ns: Option<[u64; 5]>,
}

/// The latency of each `f`, from histograms with three significant digits.
pub(crate) fn latency_rows(operations: &[Operation<'_>]) -> Vec<LatencyRow> {
    let mut rows: BTreeMap<&'static str, ([u64; 3], Histogram<u64>)> = BTreeMap::new();
    for operation in operations {
        let (counts, histogram) =
            rows.entry(f_name(&operation.invoke.body)).or_insert_with(|| ([0; 3], histogram()));
        match operation.outcome() {
            Kind::Ok => {
                counts[0] += 1;
                record(histogram, operation);
            }
            Kind::Fail => counts[1] += 1,
            Kind::Info | Kind::Invoke => counts[2] += 1,
        }
    }
    rows.into_iter()
        .map(|(f, ([ok, fail, info], histogram))| LatencyRow {
            f,
            ok,
            fail,
            info,
            ok_ns: (ok > 0)
                .then(|| [0.5, 0.9, 0.99, 0.999, 1.0].map(|quantile| histogram.value_at_quantile(quantile))),
        })
        .collect()
}

/// Completions and latencies in windows of equal width.
pub(crate) struct Windows {
    pub(crate) width_ns: u64,
    pub(crate) rows: Vec<Window>,
}

/// One window of time.
#[derive(Default, Clone)]
pub(crate) struct Window {
    /// Completions within it.
    pub(crate) ok: u64,
    pub(crate) info: u64,
    pub(crate) fail: u64,
    /// p50, p95 and p99 of the ok operations that began within it.
    pub(crate) ok_ns: Option<[u64; 3]>,
}

/// How many windows the plots have at most.
const WINDOWS_MAX: u64 = 80;

/// Divides the run into windows, each a round number of time units wide.
pub(crate) fn windows(operations: &[Operation<'_>], end_ns: u64) -> Windows {
    let width_ns = round_up(end_ns / WINDOWS_MAX + 1);
    let length = usize::try_from(end_ns / width_ns).unwrap_or(0) + 1;
    let mut rows = vec![Window::default(); length];
    let mut latencies: Vec<Histogram<u64>> = (0..length).map(|_| histogram()).collect();
    let position = |time: u64| usize::try_from(time / width_ns).unwrap_or(0).min(length - 1);
    for operation in operations {
        let Some(completion) = operation.completion else { continue };
        let row = &mut rows[position(completion.time)];
        match completion.kind {
            Kind::Ok => {
                row.ok += 1;
                record(&mut latencies[position(operation.invoke.time)], operation);
            }
            Kind::Fail => row.fail += 1,
            Kind::Info | Kind::Invoke => row.info += 1,
        }
    }
    for (row, histogram) in rows.iter_mut().zip(&latencies) {
        row.ok_ns = (!histogram.is_empty())
            .then(|| [0.5, 0.95, 0.99].map(|quantile| histogram.value_at_quantile(quantile)));
    }
    Windows { width_ns, rows }
}

/// The longest time without an ok completion, as (from, to): how long the system was away for its clients.
pub(crate) fn longest_gap(operations: &[Operation<'_>]) -> Option<(u64, u64)> {
    let mut times: Vec<u64> = operations
        .iter()
        .filter(|operation| operation.outcome() == Kind::Ok)
        .filter_map(|operation| operation.completion.map(|event| event.time))
        .collect();
    times.sort_unstable();
    times.windows(2).map(|pair| (pair[0], pair[1])).max_by_key(|(from, to)| (to - from, u64::MAX - from))
}

/// The time of the last event.
pub(crate) fn end_ns(events: &[Event]) -> u64 {
    events.iter().map(|event| event.time).max().unwrap_or(0)
}

/// A latency beyond a day counts as a day.
const LATENCY_MAX_NS: u64 = 86_400_000_000_000;

fn record(histogram: &mut Histogram<u64>, operation: &Operation<'_>) {
    let ns = operation.latency_ns().unwrap_or(0).min(LATENCY_MAX_NS);
    histogram.record(ns).expect("the histogram grows by itself, and a day of nanoseconds fits");
}

fn histogram() -> Histogram<u64> {
    Histogram::new(3).expect("three significant digits are within what a histogram allows")
}

/// The next 1, 2 or 5 times a power of ten.
fn round_up(number: u64) -> u64 {
    let mut power = 1_u64;
    loop {
        for factor in [1, 2, 5] {
            match power.checked_mul(factor) {
                Some(candidate) if candidate >= number => return candidate,
                Some(_) => {}
                None => return number,
            }
        }
        match power.checked_mul(10) {
            Some(next) => power = next,
            None => return number,
        }
    }
}

#[cfg(test)]
mod tests {
    use crosscheck_models::history::{Read, ReadItem};

    use super::*;

    /// A hundred reads by one client, the n-th of which takes n milliseconds.
    fn reads() -> Vec<Event> {
        let event = |index, time, kind| Event {
            index,
            time,
            process: Process::Client(0),
            kind,
            body: EventBody::Read(Read { item: ReadItem { key: "k".into(), ..ReadItem::default() } }),
            error: None,
        };
        let mut events = Vec::new();
        let mut now = 0;
        for n in 1..=100_u64 {
            events.push(event(2 * n - 2, now, Kind::Invoke));
            now += n * 1_000_000;
            events.push(event(2 * n - 1, now, Kind::Ok));
        }
        events
    }

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let events = reads();
        let rows = latency_rows(&paired(&events));
        let got = rows[0].ok_ns.expect("all are ok");
        for (ns, ms) in got.into_iter().zip([50.0, 90.0, 99.0, 100.0, 100.0]) {
            assert!((ns as f64 / 1e6 - ms).abs() <= ms / 1000.0, "{ns} ns is not {ms} ms");
        }
    }

    #[test]
    fn windows_count_completions_and_file_latencies_by_beginning() {
        let events = reads();
        let windows = windows(&paired(&events), end_ns(&events));
        assert_eq!(windows.width_ns, 100_000_000);
        assert_eq!(windows.rows.iter().map(|row| row.ok).sum::<u64>(), 100);
        // 1 + 2 + .. + 13 ms = 91 ms: thirteen complete within the first window, the fourteenth begins there.
        assert_eq!(windows.rows[0].ok, 13);
        let [p50, _, p99] = windows.rows[0].ok_ns.expect("some began there");
        assert_eq!((p50 / 1_000_000, p99 / 1_000_000), (7, 14));
    }

    #[test]
    fn the_longest_gap_is_the_last_read() {
        let events = reads();
        assert_eq!(longest_gap(&paired(&events)), Some((4_950_000_000, 5_050_000_000)));
        assert_eq!(longest_gap(&[]), None);
    }

    #[test]
    fn window_widths_are_round() {
        let rounded: Vec<u64> = [1, 3, 5, 11, 499, 501, u64::MAX].into_iter().map(round_up).collect();
        assert_eq!(rounded, [1, 5, 5, 20, 500, 1_000, u64::MAX]);
    }
}
