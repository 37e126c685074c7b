//! The matrix as a page: variants by properties, each cell a link to the run that decided it.

use std::collections::BTreeMap;

use crosscheck_models::property::Property;
use maud::{Markup, html};

use super::page;
use crate::document::{MatrixCell, MatrixDocument, MatrixRow};
use crate::text::{Pair, columns, deviation, observed, summary};
use crate::wording;

/// Where the report of a variant's run is, by variant and whether its faults were injected. Paths are
/// relative to the page.
pub type ReportLinks = BTreeMap<(String, bool), String>;

/// The matrix as one self-contained page.
#[must_use]
pub fn render(document: &MatrixDocument, links: &ReportLinks) -> String {
    let columns = columns(document);
    let (class, word) =
        if document.as_expected { ("valid", "✓ as expected") } else { ("violated", "✗ not as expected") };
    let body = html! {
        header class={ "glance " (class) } {
            p.word { (word) }
            h1 { "The matrix on " (document.backend) }
            p.sentence { (summary(document)) "." }
        }
        main {
            (deviations(document))
            section id="matrix" {
                h2 { "Variants by properties" }
                p.faint {
                    "Two letters a cell: without faults, then with the faults of the row. H holds, V is violated, B holds at its "
                    "declared bound, ? could not tell, - is not claimed. A red cell is not as expected."
                }
                div.wide { table.matrix {
                    thead { tr {
                        th scope="col" { "variant" }
                        @for property in &columns { th scope="col" title=(property.statement()) { (property.letters()) } }
                        th scope="col" { "faults" }
                    } }
                    tbody { @for row in &document.rows { (matrix_row(row, &columns, links)) } }
                } }
                dl.properties { @for property in &columns {
                    div { dt { (property.letters()) " " (property) } dd { (property.statement()) } }
                } }
            }
            @if !document.skipped.is_empty() {
                section id="skipped" {
                    h2 { "Skipped" }
                    p.faint { "Nothing is said about these." }
                    ul { @for line in &document.skipped { li { (line.variant) ": " (line.reason) } } }
                }
            }
        }
    };
    page::page(&format!("matrix on {}: {word}", document.backend), &body)
}

fn matrix_row(row: &MatrixRow, columns: &[Property], links: &ReportLinks) -> Markup {
    html! {
        tr {
            th scope="row" { (row.variant) }
            @for property in columns {
                @let pair = Pair::of(row, *property);
                td { (letter(row, pair.calm, links)) (letter(row, pair.faulty, links)) }
            }
            td.faint { (row.faults.join(", ")) }
        }
    }
}

fn letter(row: &MatrixRow, cell: Option<&MatrixCell>, links: &ReportLinks) -> Markup {
    let Some(cell) = cell else { return html! { span.cell.none { "-" } } };
    let class = if cell.as_expected { format!("cell {}", cell.verdict) } else { "cell off".to_owned() };
    let content = html! {
        (observed(cell))
        @if !cell.as_expected { "≠" (cell.expected.letter()) }
        @if cell.corrected_from.is_some() { "*" }
    };
    let title = hint(row, cell);
    html! {
        @match links.get(&(row.variant.clone(), cell.with_faults)) {
            Some(link) => a class=(class) title=(title) href={ (link) "#properties" } { (content) },
            None => span class=(class) title=(title) { (content) },
        }
    }
}

fn hint(row: &MatrixRow, cell: &MatrixCell) -> String {
    let mut out = format!("{}: {}", cell.property, deviation(row, cell));
    if let Some(letter) = cell.corrected_from {
        out.push_str(&format!("; corrected from {}", letter.letter()));
    }
    let exercised = wording::counters(&cell.exercised);
    if cell.witness.is_some() && !exercised.is_empty() {
        out.push_str(&format!(" (exercised: {exercised})"));
    }
    out
}

fn deviations(document: &MatrixDocument) -> Markup {
    let off: Vec<(&MatrixRow, &MatrixCell)> = document
        .rows
        .iter()
        .flat_map(|row| row.cells.iter().map(move |cell| (row, cell)))
        .filter(|(_, cell)| !cell.as_expected)
        .collect();
    html! {
        @if !off.is_empty() {
            section id="deviations" {
                h2 { "Not as expected" }
                ul { @for (row, cell) in off {
                    li { b { (row.variant) " " (cell.property) } ": " (deviation(row, cell)) }
                } }
            }
        }
    }
}
