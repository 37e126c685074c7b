//! What the history says about latency and throughput.

use std::collections::BTreeMap;

use crosscheck_models::history::{History, Operation, Outcome};
use hdrhistogram::Histogram;

/// From invocation to completion.
pub(crate) fn latency_ns(operation: &Operation) -> Option<u64> {
    operation.complete_time().map(|time| time.saturating_sub(operation.invoke_time))
}

/// The `f` of an operation.
pub(crate) fn f_of(history: &History, operation: &Operation) -> &'static str {
    let at = usize::try_from(operation.invoke_index).unwrap_or(usize::MAX);
    history.event(at).map_or("", |event| event.body.f())
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
pub(crate) fn latency_rows(history: &History) -> Vec<LatencyRow> {
    let mut rows: BTreeMap<&'static str, ([u64; 3], Histogram<u64>)> = BTreeMap::new();
    for operation in history.ops() {
        let (counts, histogram) =
            rows.entry(f_of(history, operation)).or_insert_with(|| ([0; 3], histogram()));
        match &operation.outcome {
            Outcome::Ok => {
                counts[0] += 1;
                record(histogram, operation);
            }
            Outcome::Fail(_) => counts[1] += 1,
            Outcome::Info(_) => counts[2] += 1,
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
pub(crate) fn windows(history: &History) -> Windows {
    let end_ns = end_ns(history);
    let width_ns = round_up(end_ns / WINDOWS_MAX + 1);
    let length = usize::try_from(end_ns / width_ns).unwrap_or(0) + 1;
    let mut rows = vec![Window::default(); length];
    let mut latencies: Vec<Histogram<u64>> = (0..length).map(|_| histogram()).collect();
    let position = |time: u64| usize::try_from(time / width_ns).unwrap_or(0).min(length - 1);
    for operation in history.ops() {
        let Some(completed_at) = operation.complete_time() else { continue };
        let row = &mut rows[position(completed_at)];
        match &operation.outcome {
            Outcome::Ok => {
                row.ok += 1;
                record(&mut latencies[position(operation.invoke_time)], operation);
            }
            Outcome::Fail(_) => row.fail += 1,
            Outcome::Info(_) => row.info += 1,
        }
    }
    for (row, histogram) in rows.iter_mut().zip(&latencies) {
        row.ok_ns = (!histogram.is_empty())
            .then(|| [0.5, 0.95, 0.99].map(|quantile| histogram.value_at_quantile(quantile)));
    }
    Windows { width_ns, rows }
}

/// The longest time without an ok completion, as (from, to): how long the system was away for its clients.
pub(crate) fn longest_gap(history: &History) -> Option<(u64, u64)> {
    let mut times: Vec<u64> = history
        .ops()
        .iter()
        .filter(|operation| operation.is_ok())
        .filter_map(|operation| operation.complete_time())
        .collect();
    times.sort_unstable();
    times.windows(2).map(|pair| (pair[0], pair[1])).max_by_key(|(from, to)| (to - from, u64::MAX - from))
}

/// The time of the last event.
pub(crate) fn end_ns(history: &History) -> u64 {
    history.events().map(|event| event.time).max().unwrap_or(0)
}

/// A latency beyond a day counts as a day.
const LATENCY_MAX_NS: u64 = 86_400_000_000_000;

fn record(histogram: &mut Histogram<u64>, operation: &Operation) {
    let ns = latency_ns(operation).unwrap_or(0).min(LATENCY_MAX_NS);
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
    use crosscheck_models::history::{
        Event, EventBody, FORMAT_VERSION, Header, Kind, Process, Read, ReadItem,
    };

    use super::*;

    /// A hundred reads by one client, the n-th of which takes n milliseconds.
    fn reads() -> History {
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
        history(events)
    }

    fn history(events: Vec<Event>) -> History {
        let header = Header { crosscheck: FORMAT_VERSION, ..Header::default() };
        History::from_events(header, events).expect("it keeps the rules")
    }

    #[test]
    fn percentiles_are_within_a_thousandth() {
        let history = reads();
        let rows = latency_rows(&history);
        let got = rows[0].ok_ns.expect("all are ok");
        for (ns, ms) in got.into_iter().zip([50.0, 90.0, 99.0, 100.0, 100.0]) {
            assert!((ns as f64 / 1e6 - ms).abs() <= ms / 1000.0, "{ns} ns is not {ms} ms");
        }
    }

    #[test]
    fn windows_count_completions_and_file_latencies_by_beginning() {
        let history = reads();
        let windows = windows(&history);
        assert_eq!(windows.width_ns, 100_000_000);
        assert_eq!(windows.rows.iter().map(|row| row.ok).sum::<u64>(), 100);
        // 1 + 2 + .. + 13 ms = 91 ms: thirteen complete within the first window, the fourteenth begins there.
        assert_eq!(windows.rows[0].ok, 13);
        let [p50, _, p99] = windows.rows[0].ok_ns.expect("some began there");
        assert_eq!((p50 / 1_000_000, p99 / 1_000_000), (7, 14));
    }

    #[test]
    fn the_longest_gap_is_the_last_read() {
        let history = reads();
        assert_eq!(longest_gap(&history), Some((4_950_000_000, 5_050_000_000)));
        assert_eq!(longest_gap(&self::history(Vec::new())), None);
    }

    #[test]
    fn window_widths_are_round() {
        let rounded: Vec<u64> = [1, 3, 5, 11, 499, 501, u64::MAX].into_iter().map(round_up).collect();
        assert_eq!(rounded, [1, 5, 5, 20, 500, 1_000, u64::MAX]);
    }
}
