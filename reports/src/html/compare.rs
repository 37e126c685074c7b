//! Several runs side by side.

use std::collections::BTreeSet;

use crosscheck_models::property::Property;
use maud::{Markup, html};

use super::page::{self, badge};
use crate::run::SavedRun;
use crate::statistics::{self, LatencyRow};
use crate::wording::{self, count};

/// Verdicts, latencies and throughput of several runs, a column a run.
#[must_use]
pub fn render(runs: &[SavedRun]) -> String {
    let body = html! {
        header.glance { h1 { (wording::counted(runs.len() as u64, "run")) " side by side" } }
        main {
            (verdicts(runs))
            (numbers(runs))
            (places(runs))
        }
    };
    page::page("runs side by side", &body)
}

fn heads(first: &str, runs: &[SavedRun]) -> Markup {
    html! {
        thead { tr {
            th scope="col" { (first) }
            @for run in runs { th scope="col" { (run.info.variant) p.faint { (run.info.backend) ", seed " (run.info.seed) } } }
        } }
    }
}

fn verdicts(runs: &[SavedRun]) -> Markup {
    let judged: BTreeSet<Property> =
        runs.iter().flat_map(|run| run.verdict.properties.iter().map(|judged| judged.property())).collect();
    html! {
        section id="verdicts" {
            h2 { "Verdicts" }
            div.wide { table {
                (heads("property", runs))
                tbody {
                    tr { th scope="row" { "the run" } @for run in runs { td { (badge(run.verdict.verdict)) } } }
                    @for property in judged { tr {
                        th scope="row" title=(property.statement()) { (property) }
                        @for run in runs { td { (verdict(run, property)) } }
                    } }
                    tr { th scope="row" { "in words" } @for run in runs { td { (wording::headline(run)) } } }
                }
            } }
        }
    }
}

fn verdict(run: &SavedRun, property: Property) -> Markup {
    html! {
        @match run.verdict.properties.iter().find(|judged| judged.property() == property) {
            Some(judged) => {
                (badge(judged.verdict.verdict))
                @if judged.verdict.violations > 0 { " " (wording::counted(judged.verdict.violations, "violation")) }
                @if !judged.claimed { span.faint { " not claimed" } }
            }
            None => span.faint { "not judged" },
        }
    }
}

fn numbers(runs: &[SavedRun]) -> Markup {
    let rows: Vec<Vec<LatencyRow>> = runs.iter().map(|run| statistics::latency_rows(&run.history)).collect();
    let fs: BTreeSet<&str> = rows.iter().flatten().map(|row| row.f).collect();
    html! {
        section id="numbers" {
            h2 { "Latency and throughput" }
            div.wide { table.numbers {
                (heads("", runs))
                tbody {
                    @for f in fs {
                        @let of_f: Vec<Option<&LatencyRow>> = rows.iter().map(|rows| rows.iter().find(|row| row.f == f)).collect();
                        tr { th scope="row" { (f) " ok / fail / info" } @for row in &of_f { td { (outcomes(*row)) } } }
                        @for (position, name) in ["p50", "p90", "p99", "p99.9", "max"].into_iter().enumerate() {
                            tr { th scope="row" { (f) " " (name) } @for row in &of_f { td { (percentile(*row, position)) } } }
                        }
                    }
                    tr { th scope="row" { "ok completions a second" } @for run in runs { td { (rate(run)) } } }
                    tr { th scope="row" { "longest without an ok" } @for run in runs { td { (gap(run)) } } }
                }
            } }
        }
    }
}

fn outcomes(row: Option<&LatencyRow>) -> String {
    row.map_or("-".to_owned(), |row| format!("{} / {} / {}", count(row.ok), count(row.fail), count(row.info)))
}

fn percentile(row: Option<&LatencyRow>, position: usize) -> String {
    let ns = row.and_then(|row| row.ok_ns).and_then(|percentiles| percentiles.get(position).copied());
    ns.map_or("-".to_owned(), wording::duration)
}

/// Ok completions a second between the first invocation and the last completion.
fn rate(run: &SavedRun) -> String {
    let operations = run.history.ops();
    let ok = statistics::latency_rows(&run.history).iter().map(|row| row.ok).sum::<u64>();
    let first = operations.first().map_or(0, |operation| operation.invoke_time);
    let last = operations.iter().filter_map(|operation| operation.complete_time()).max();
    match last.map(|last| last.saturating_sub(first)) {
        Some(ns) if ns > 0 => format!("{:.1}", ok as f64 * 1e9 / ns as f64),
        Some(_) | None => "-".to_owned(),
    }
}

fn gap(run: &SavedRun) -> String {
    statistics::longest_gap(&run.history).map_or("-".to_owned(), |(from, to)| wording::duration(to - from))
}

fn places(runs: &[SavedRun]) -> Markup {
    html! {
        section id="places" {
            h2 { "Where they are" }
            @for run in runs {
                h3 { (run.info.variant) ", seed " (run.info.seed) }
                p { (wording::counted(run.faults.len() as u64, "fault window")) ", " code { (run.info.run_dir) } }
                pre tabindex="0" { (run.info.replay) }
            }
        }
    }
}
