//! An exploration as a page: for each violation the shrunk schedule, what it does on the model, and beside it what
//! the same moves did on real servers.

use maud::{Markup, html};

use super::page;
use crate::explored::{Confirmed, ExploreDocument, ExploreResult, Violation};
use crate::wording;

/// The exploration as one self-contained page.
#[must_use]
pub fn render_explored(document: &ExploreDocument) -> String {
    let (class, word) =
        if document.as_expected { ("valid", "✓ as expected") } else { ("violated", "✗ not as expected") };
    let schedules: u64 = document.results.iter().map(|result| result.schedules).sum();
    let violations: usize = document.results.iter().map(|result| result.violations.len()).sum();
    let body = html! {
        header class={ "glance " (class) } {
            p.word { (word) }
            h1 { "Schedules explored on the model" }
            p.sentence {
                (document.results.len()) " variants, " (schedules) " schedules, " (violations) " violations found."
            }
        }
        main {
            @for result in &document.results { (one(result)) }
            @for line in &document.skipped { p { "Skipped: " (line.variant) ": " (line.reason) } }
        }
    };
    page::page(&format!("exploration: {word}"), &body)
}

fn one(result: &ExploreResult) -> Markup {
    html! {
        section id=(anchor(&result.variant)) {
            h2 { (result.variant) }
            p {
                (result.schedules) " schedules in " (format!("{:.2}", result.seconds)) " s; looked at: "
                (wording::counters(&result.coverage)) "."
            }
            @for (reason, count) in &result.inconclusive_because {
                p { "Could not be judged: " (count) " (" (reason) ")" }
            }
            @if result.violations.is_empty() { p { "No violation was found." } }
            @for missed in &result.missed { p { b { "Not found: " } (missed) } }
            @for violation in &result.violations { (violated(violation)) }
            @if !result.fault_points.is_empty() {
                h3 { "Single faults that violate a property, on the schedule without preemption" }
                ul { @for point in &result.fault_points { li { (point.property) ": " (point.fault) } } }
            }
        }
    }
}

fn violated(violation: &Violation) -> Markup {
    let faults = if violation.with_faults { "with a fault" } else { "without faults" };
    html! {
        section.witness {
            h3 { (violation.property) " violated " (faults) ", at schedule " (violation.at_schedule) }
            @if !violation.expected { p { b { "The ground truth says that it holds." } } }
            p.summary { (violation.witness.summary) }
            p.faint { "The claim: " (violation.property.statement()) "." }
            h4 { "The moves" }
            ol { @for step in &violation.witness.moves { li { (step) } } }
            p.faint { "After the last one everybody goes on freely. Replay: " code {
                "crosscheck replay " (violation.witness.schedule)
            } }
            div.beside {
                div { h4 { "On the model" } (story(&violation.witness.story)) }
                div { (real(violation.confirmed.as_ref())) }
            }
        }
    }
}

fn real(confirmed: Option<&Confirmed>) -> Markup {
    let Some(confirmed) = confirmed else {
        return html! { h4 { "On real servers" } p.faint { "Not asked for: " code { "--confirm local" } " replays it." } };
    };
    let Confirmed { backend, times, reproduced, versions, summary, story: told } = confirmed;
    let named: Vec<String> = versions.iter().map(|(name, version)| format!("{name} {version}")).collect();
    html! {
        h4 { "On " (backend) ": " (reproduced) " of " (times) }
        p.faint { (named.join(", ")) }
        @if *reproduced == 0 {
            p { b { "Model error?" }
                " No replay violated the property: the model is wrong here, or the schedule leaves a race open." }
        } @else {
            p.summary { (summary) }
            (story(told))
        }
    }
}

fn story(lines: &[String]) -> Markup {
    html! {
        @if lines.is_empty() { p.faint { "The summary says it all." } }
        ol.told { @for line in lines { li { (line) } } }
    }
}

fn anchor(variant: &str) -> String {
    variant.replace('/', "--")
}
