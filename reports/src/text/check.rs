//! A checked history in a terminal.

use std::borrow::Cow;
use std::fmt::Write as _;

use crosscheck_models::history::Event;
use crosscheck_models::verdict::{PropertyVerdict, Verdict, Witness};

use super::run::story_lines;
use super::table::{self, Cell};
use super::{Style, Tone, tone};
use crate::checked::CheckedHistory;
use crate::wording;

/// How much is said of a checked history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Detail {
    /// The verdicts, what they rest on, and the story of each violation.
    Verdicts,
    /// Also what each property claims, and the lines of the history that prove a violation.
    Explained,
}

/// What the terminal shows of one history: the verdict on a line, a line a property, then the stories.
#[must_use]
pub fn render(checked: &CheckedHistory, detail: Detail, style: Style) -> String {
    let mut out = String::new();
    let verdict = checked.verdict();
    let word = style.paint(tone(verdict), &verdict.to_string().to_uppercase());
    let file = style.paint(Tone::Strong, &checked.file);
    let events = wording::counted(checked.history.len() as u64, "event");
    let _ = writeln!(out, "{word}  {file}: {events}");
    for note in &checked.notes {
        let _ = writeln!(out, "  note: line {}: {}", note.line, note.message);
    }
    if checked.verdicts.is_empty() {
        out.push_str("  it holds nothing that a property is about\n");
    }
    let rows: Vec<Vec<Cell>> = checked.verdicts.iter().map(|verdict| row(verdict, detail)).collect();
    out.push_str(&table::lines(&rows, style));
    for judged in &checked.verdicts {
        if let Some(witness) = &judged.witness {
            violation(&mut out, checked, witness, detail, style);
        }
    }
    out
}

/// The verdict on a line of its own, for several histories at once.
#[must_use]
pub fn render_line(checked: &CheckedHistory, style: Style) -> String {
    let worst = checked.verdict();
    let names: Vec<&str> = checked
        .verdicts
        .iter()
        .filter(|judged| judged.verdict == worst && worst != Verdict::Valid)
        .map(|judged| judged.property.id())
        .collect();
    let what = if names.is_empty() {
        match checked.verdicts.len() {
            1 => "1 property judged".to_owned(),
            count => format!("{count} properties judged"),
        }
    } else {
        names.join(", ")
    };
    format!("{}  {}: {what}\n", style.verdict(worst), checked.file)
}

fn row(judged: &PropertyVerdict, detail: Detail) -> Vec<Cell> {
    let verdict = Cell::left(judged.verdict.to_string()).toned(tone(judged.verdict));
    let mut cells = vec![verdict, Cell::left(judged.property.id())];
    if detail == Detail::Explained {
        cells.push(Cell::left(judged.property.statement()));
    }
    cells.push(Cell::left(basis(judged)).toned(Tone::Faint));
    cells
}

/// What a verdict rests on.
fn basis(judged: &PropertyVerdict) -> String {
    let mut parts = Vec::new();
    if judged.verdict == Verdict::Violated {
        parts.push(wording::counted(judged.violations, "violation"));
    }
    parts.extend(judged.reason.clone());
    let counters = wording::counters(&judged.exercised);
    if !counters.is_empty() {
        parts.push(counters);
    }
    parts.join("; ")
}

fn violation(out: &mut String, checked: &CheckedHistory, witness: &Witness, detail: Detail, style: Style) {
    let _ = writeln!(out, "\n{}: {}", style.paint(Tone::Bad, witness.property.id()), witness.summary);
    story_lines(out, witness, style);
    if detail == Detail::Explained {
        out.push_str("  proved by these lines of the history\n");
        for event in proof(checked, witness) {
            let _ = writeln!(out, "    {}", event.to_json_line());
        }
    }
}

fn proof<'c>(checked: &'c CheckedHistory, witness: &'c Witness) -> impl Iterator<Item = Cow<'c, Event>> {
    let named = |index: &u64| usize::try_from(*index).ok().and_then(|at| checked.history.event(at));
    witness.events.iter().filter_map(named)
}
