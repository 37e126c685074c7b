//! The witness of each violated property: a picture, and the story in words.

use crosscheck_models::verdict::{StoryLine, Verdict, Witness};
use maud::{Markup, html};

use super::drawing;
use super::page::badge;
use crate::picture::Picture;
use crate::run::{JudgedProperty, SavedRun};
use crate::wording;

/// A section for each violated property, claims first.
pub(super) fn sections(run: &SavedRun) -> Markup {
    let violated = |claimed| {
        run.verdict
            .properties
            .iter()
            .filter(move |judged| judged.claimed == claimed && judged.verdict.verdict == Verdict::Violated)
    };
    html! {
        @for judged in violated(true).chain(violated(false)) {
            @if let Some(witness) = &judged.verdict.witness { (section(run, judged, witness)) }
        }
    }
}

fn section(run: &SavedRun, judged: &JudgedProperty, witness: &Witness) -> Markup {
    let id = witness.property.id();
    let picture = Picture::of(run, witness);
    let (from_ns, to_ns) = moments(witness).unwrap_or_else(|| picture.span_ns());
    html! {
        section.witness id={ "witness-" (id) } {
            h2 { "Witness: " (id) " " (badge(Verdict::Violated)) @if !judged.claimed { span.faint { " not claimed" } } }
            p.summary { (witness.summary) }
            p.faint { "The claim: " (witness.property.statement()) "." }
            (drawing::draw(&picture, witness))
            ol.story {
                @for (position, line) in witness.story.iter().enumerate() { (story_line(id, position + 1, line)) }
            }
            p {
                button type="button" data-from=(from_ns) data-to=(to_ns) { "show in the whole run" }
                @if !witness.events.is_empty() {
                    span.faint { " The evidence: " @for index in &witness.events { a href={ "#i" (index) } { "#" (index) } " " } }
                }
            }
        }
    }
}

/// From the first to the last moment of the story, without what is only seen at the end.
fn moments(witness: &Witness) -> Option<(u64, u64)> {
    let times = || witness.story.iter().filter_map(|line| line.time);
    Some((times().min()?, times().max()?))
}

fn story_line(id: &str, number: usize, line: &StoryLine) -> Markup {
    html! {
        li id={ "story-" (id) "-" (number) } {
            span.when { (line.time.map_or("at the end".to_owned(), wording::moment)) }
            span.who { (line.who) }
            span.text {
                (line.text)
                @if let Some(index) = line.index { " " a.event href={ "#i" (index) } { "#" (index) } }
            }
        }
    }
}
