//! The report of one run.

use std::collections::BTreeMap;

use crosscheck_models::history::History;
use crosscheck_models::verdict::Verdict;
use maud::{Markup, PreEscaped, html};

use super::embedded::{self, Embedded};
use super::page::{self, badge, colour};
use super::witness;
use crate::run::{FaultWindow, JudgedProperty, SavedRun};
use crate::statistics::{self, LatencyRow, Windows};
use crate::wording::{self, count};

const SCRIPT: &str = include_str!("../assets/report.js");

/// The report of one run, as one self-contained HTML file.
#[must_use]
pub fn render(run: &SavedRun) -> String {
    let windows = statistics::windows(&run.history);
    let embedded = embedded::embed(run, &windows);
    let verdict = run.verdict.verdict;
    let body = html! {
        (glance(run))
        main {
            (properties(run))
            (witness::sections(run))
            (timeline(run, &embedded))
            (latency(&run.history, &windows))
            (faults(&run.faults))
            (replay(run))
        }
        script type="application/json" id="run-data" { (PreEscaped(&embedded.json)) }
        script { (PreEscaped(SCRIPT)) }
    };
    page::page(&format!("{} {}: {verdict}", page::sign(verdict), run.info.variant), &body)
}

/// The verdict in one glance, and what it was found on.
fn glance(run: &SavedRun) -> Markup {
    let info = &run.info;
    let hits: u64 = run.faults.iter().map(|fault| fault.hits).sum();
    html! {
        header class={ "glance " (run.verdict.verdict) } {
            p.word { (page::sign(run.verdict.verdict)) " " (run.verdict.verdict) }
            h1 { (info.variant) }
            @if !info.title.is_empty() { p.title { (info.title) } }
            p.sentence { (wording::headline(run)) }
            @if let Some(notes) = wording::notes_sentence(run) { p.notes { (notes) } }
            dl.facts {
                (fact("backend", &info.backend))
                @for (system, version) in &info.versions { (fact(system, version)) }
                (fact("seed", &info.seed.to_string()))
                @if let Some(name) = &info.schedule_name { (fact("schedule", name)) }
                (fact("operations", &count(run.history.ops().len() as u64)))
                (fact("events", &count(run.history.len() as u64)))
                (fact("faults", &match run.faults.len() {
                    0 => "none".to_owned(),
                    windows => format!("{}, {}", wording::counted(windows as u64, "window"), wording::counted(hits, "hit")),
                }))
                (fact("took", &format!("{:.1} s", info.seconds)))
                @if !info.started_utc.is_empty() { (fact("started", &info.started_utc)) }
            }
        }
    }
}

fn fact(name: &str, value: &str) -> Markup {
    html! { div { dt { (name) } dd { (value) } } }
}

fn properties(run: &SavedRun) -> Markup {
    html! {
        section id="properties" {
            h2 { "Properties" }
            table {
                thead { tr {
                    th scope="col" { "property" } th scope="col" { "verdict" } th scope="col" { "claim" }
                    th scope="col" { "what it rests on" }
                } }
                tbody { @for judged in &run.verdict.properties { (property_row(judged)) } }
            }
            @if !run.verdict.counters.is_empty() {
                p.faint { "The run as a whole: " (wording::counters(&run.verdict.counters)) "." }
            }
        }
    }
}

fn property_row(judged: &JudgedProperty) -> Markup {
    let verdict = &judged.verdict;
    let id = judged.property().id();
    html! {
        tr class=(if judged.claimed { "claimed" } else { "note" }) {
            th scope="row" {
                @if verdict.witness.is_some() { a href={ "#witness-" (id) } { (id) } } @else { (id) }
                p.faint { (judged.property().statement()) }
            }
            td { (badge(verdict.verdict)) }
            td {
                (if judged.claimed { "claimed" } else { "not claimed, a note" })
                @if let Some(letter) = &judged.expected { p.faint { "expected " (letter) } }
            }
            td {
                @if verdict.verdict == Verdict::Violated { p { b { (wording::counted(verdict.violations, "violation")) } } }
                @if let Some(reason) = &verdict.reason { p { (reason) } }
                (counters(&verdict.exercised, &verdict.required))
            }
        }
    }
}

fn counters(exercised: &BTreeMap<String, u64>, required: &[String]) -> Markup {
    html! {
        ul.counters {
            @for (name, number) in exercised {
                @let needed = required.contains(name);
                li class=[(needed && *number == 0).then_some("zero")] {
                    b { (count(*number)) } " " (wording::counter_name(name))
                    @if needed && *number == 0 { " (needed above 0)" }
                }
            }
        }
    }
}

/// The whole run: three plots that share one axis of time.
fn timeline(run: &SavedRun, embedded: &Embedded) -> Markup {
    html! {
        section id="run" {
            h2 { "The whole run" }
            p.faint {
                "Wheel zooms, dragging pans, a click selects an operation and shows its events. "
                "With the keyboard: arrows pan, + and − zoom, 0 shows everything. All plots share one axis of time."
            }
            @if let Some(note) = &embedded.left_out { p.left-out role="note" { (note) } }
            div.controls {
                button type="button" data-zoom="in" { "zoom in" }
                button type="button" data-zoom="out" { "zoom out" }
                button type="button" data-zoom="all" { "whole run" }
                label { "find " input id="find" type="search" placeholder="key, op_id, word"; }
                output id="found" {}
            }
            (legend(&run.faults))
            figure {
                figcaption { "Operations, steps and observations: a lane per process and per system" }
                canvas id="lanes" tabindex="0" role="img" aria-label="Every operation and step over time, a lane per process and system. The tables below say the same in numbers." {}
            }
            figure {
                figcaption { "Latency of each operation (log scale), with p50, p95 and p99 of the ok ones" }
                canvas id="latency" role="img" aria-label="Latency of each operation over time, coloured by outcome. Percentiles are in the table below." {}
            }
            figure {
                figcaption { "Completions per second" }
                canvas id="rate" role="img" aria-label="Completions per second over time, by outcome. The numbers are in the table below." {}
            }
            div id="tooltip" hidden {}
            h3 { "Selected" }
            pre id="selected" tabindex="0" { "Nothing is selected yet." }
            noscript { p { "The plots need JavaScript; everything else on this page does not." } }
        }
    }
}

fn legend(faults: &[FaultWindow]) -> Markup {
    let mut ids: BTreeMap<&str, &str> = BTreeMap::new();
    for fault in faults {
        ids.entry(&fault.id).or_insert(&fault.colour);
    }
    html! {
        ul.legend aria-label="legend" {
            @for (name, shade) in [("ok", "#81BFFC"), ("info: outcome unknown", "#FFA400"), ("fail", "#FF1E90")] {
                li { span.swatch style={ "background:" (shade) } {} (name) }
            }
            li { span.swatch.step {} "step" }
            li { span.swatch.proof {} "witness" }
            @for (id, shade) in ids { li { span.swatch.band style={ "background:" (colour(shade)) } {} "fault: " (id) } }
        }
    }
}

fn latency(history: &History, windows: &Windows) -> Markup {
    html! {
        section id="numbers" {
            h2 { "Latency and throughput" }
            table.numbers {
                thead { tr {
                    @for name in ["f", "ok", "fail", "info", "p50", "p90", "p99", "p99.9", "max"] { th scope="col" { (name) } }
                } }
                tbody { @for row in statistics::latency_rows(history) { (latency_row(&row)) } }
            }
            p.faint { "Percentiles are of the ok operations, from invocation to completion." }
            @if let Some((from, to)) = statistics::longest_gap(history) {
                p { "Longest time without an ok completion: " b { (wording::duration(to - from)) } ", from " (wording::moment(from)) "." }
            }
            details {
                summary { "The windows of the plots as a table" }
                (window_table(windows))
            }
        }
    }
}

fn latency_row(row: &LatencyRow) -> Markup {
    html! {
        tr {
            th scope="row" { (row.f) }
            td { (count(row.ok)) } td { (count(row.fail)) } td { (count(row.info)) }
            @match row.ok_ns {
                Some(percentiles) => { @for ns in percentiles { td { (wording::duration(ns)) } } }
                None => td colspan="5" { "none was ok" },
            }
        }
    }
}

fn window_table(windows: &Windows) -> Markup {
    html! {
        table.numbers {
            thead { tr {
                @for name in ["from", "ok", "info", "fail", "p50", "p95", "p99"] { th scope="col" { (name) } }
            } }
            tbody {
                @for (position, row) in windows.rows.iter().enumerate() {
                    tr {
                        th scope="row" { (wording::moment(position as u64 * windows.width_ns)) }
                        td { (count(row.ok)) } td { (count(row.info)) } td { (count(row.fail)) }
                        @match row.ok_ns {
                            Some(percentiles) => { @for ns in percentiles { td { (wording::duration(ns)) } } }
                            None => td colspan="3" {},
                        }
                    }
                }
            }
        }
    }
}

fn faults(faults: &[FaultWindow]) -> Markup {
    html! {
        section id="faults" {
            h2 { "Faults" }
            @if faults.is_empty() { p { "No faults were injected." } } @else {
                table {
                    thead { tr {
                        @for name in ["fault", "hit", "from", "for", "hits", "what it did"] { th scope="col" { (name) } }
                    } }
                    tbody { @for fault in faults { tr {
                        th scope="row" { span.swatch.band style={ "background:" (colour(&fault.colour)) } {} (fault.id) }
                        td { (fault.system) }
                        td { (wording::moment(fault.from_ns)) }
                        td { (wording::duration(fault.to_ns.saturating_sub(fault.from_ns))) }
                        td { @if fault.took { (count(fault.hits)) } @else { b { "did not take" } } }
                        td { (fault.detail) }
                    } } }
                }
            }
        }
    }
}

fn replay(run: &SavedRun) -> Markup {
    html! {
        section id="replay" {
            h2 { "Run it again" }
            pre tabindex="0" { (run.info.replay) }
            p.faint { "The history, the schedule and the verdict are in " code { (run.info.run_dir) } "." }
            @if !run.info.options.is_empty() {
                details {
                    summary { "All options" }
                    dl.facts { @for (name, value) in &run.info.options { (fact(name, value)) } }
                }
            }
        }
    }
}
