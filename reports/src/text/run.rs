//! One run in a terminal.

use std::fmt::Write as _;

use crosscheck_models::verdict::{Verdict, Witness};

use super::table::{self, Cell};
use super::{Style, Tone, tone};
use crate::run::{JudgedProperty, SavedRun};
use crate::wording::{self, count};

/// Lines of a witness that fit a screen beside everything else; the report holds the whole story.
const STORY_LINES_MAX: usize = 9;

/// What the terminal shows after a run: the verdict, the properties, the stories of what was violated, the
/// faults, and how to see it again.
#[must_use]
pub fn render(run: &SavedRun, style: Style) -> String {
    let mut out = String::new();
    let verdict = run.verdict.verdict;
    let word = style.paint(tone(verdict), &verdict.to_string().to_uppercase());
    let name = style.paint(Tone::Strong, &run.info.variant);
    let _ = writeln!(out, "{word}  {name} on {}", run.info.backend);
    let _ = writeln!(out, "{}", wording::headline(run));
    if let Some(notes) = wording::notes_sentence(run) {
        let _ = writeln!(out, "{notes}");
    }
    properties(&mut out, run, style);
    for judged in &run.verdict.properties {
        if let (Verdict::Violated, Some(witness)) = (judged.verdict.verdict, &judged.verdict.witness) {
            story(&mut out, judged, witness, style);
        }
    }
    faults(&mut out, run, style);
    place(&mut out, run, style);
    out
}

fn properties(out: &mut String, run: &SavedRun, style: Style) {
    out.push('\n');
    let rows: Vec<Vec<Cell>> = run
        .verdict
        .properties
        .iter()
        .map(|judged| {
            let verdict = judged.verdict.verdict;
            vec![
                Cell::left(verdict.to_string()).toned(tone(verdict)),
                Cell::left(judged.property().id()),
                Cell::left(if judged.claimed { "" } else { "note" }).toned(Tone::Faint),
                Cell::left(detail(judged)).toned(Tone::Faint),
            ]
        })
        .collect();
    out.push_str(&table::lines(&rows, style));
}

/// What a verdict rests on: the reason of an unknown one, the number of violations, the counters.
fn detail(judged: &JudgedProperty) -> String {
    let verdict = &judged.verdict;
    let mut parts = Vec::new();
    if verdict.verdict == Verdict::Violated {
        parts.push(wording::counted(verdict.violations, "violation"));
    }
    parts.extend(verdict.reason.clone());
    let counters = wording::counters(&verdict.exercised);
    if !counters.is_empty() {
        parts.push(counters);
    }
    parts.join("; ")
}

fn story(out: &mut String, judged: &JudgedProperty, witness: &Witness, style: Style) {
    out.push('\n');
    let id = style.paint(if judged.claimed { Tone::Bad } else { Tone::Strong }, judged.property().id());
    let note = if judged.claimed { "" } else { " (not claimed)" };
    let _ = writeln!(out, "{id}{note}: {}", witness.summary);
    story_lines(out, witness, style);
}

/// How it came about, a line a moment.
pub(super) fn story_lines(out: &mut String, witness: &Witness, style: Style) {
    let rows: Vec<Vec<Cell>> = witness
        .story
        .iter()
        .take(STORY_LINES_MAX)
        .map(|line| {
            let when = line.time.map_or("at the end".to_owned(), wording::moment);
            vec![
                Cell::right(when).toned(Tone::Faint),
                Cell::left(line.who.clone()),
                Cell::left(line.text.clone()),
            ]
        })
        .collect();
    out.push_str(&table::lines(&rows, style));
    let left_out = witness.story.len().saturating_sub(STORY_LINES_MAX);
    if left_out > 0 {
        let _ = writeln!(out, "  .. and {} in the report", wording::counted(left_out as u64, "more line"));
    }
}

fn faults(out: &mut String, run: &SavedRun, style: Style) {
    out.push('\n');
    if run.faults.is_empty() {
        out.push_str("no faults were injected\n");
        return;
    }
    out.push_str("faults\n");
    let rows: Vec<Vec<Cell>> = run
        .faults
        .iter()
        .map(|fault| {
            let took = if fault.took {
                Cell::left(wording::counted(fault.hits, "hit"))
            } else {
                Cell::left("did not take").toned(Tone::Doubtful)
            };
            vec![
                Cell::left(fault.id.clone()),
                Cell::left(fault.system.clone()),
                Cell::right(wording::moment(fault.from_ns)),
                Cell::left(format!("for {}", wording::duration(fault.to_ns.saturating_sub(fault.from_ns)))),
                took,
                Cell::left(fault.detail.clone()).toned(Tone::Faint),
            ]
        })
        .collect();
    out.push_str(&table::lines(&rows, style));
}

fn place(out: &mut String, run: &SavedRun, style: Style) {
    let info = &run.info;
    let versions: Vec<String> =
        info.versions.iter().map(|(system, version)| format!("{system} {version}")).collect();
    out.push('\n');
    let mut rows = vec![
        ("seed", info.seed.to_string()),
        ("events", format!("{} in {:.1} s", count(run.history.len() as u64), info.seconds)),
    ];
    if !versions.is_empty() {
        rows.push(("ran on", versions.join(", ")));
    }
    rows.push(("replay", info.replay.clone()));
    rows.push(("report", format!("{}/report.html", info.run_dir.trim_end_matches('/'))));
    let rows: Vec<Vec<Cell>> = rows
        .into_iter()
        .map(|(name, value)| vec![Cell::left(name).toned(Tone::Faint), Cell::left(value)])
        .collect();
    out.push_str(&table::lines(&rows, style));
}
