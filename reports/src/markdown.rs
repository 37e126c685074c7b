//! Runs as Markdown: `summary.md`, and the step summary of a CI job.

use std::fmt::Write as _;

use crosscheck_models::verdict::{Verdict, Witness};

use crate::run::{RunInfo, SavedRun};
use crate::wording;

/// The runs as Markdown: a table of verdicts, then the story of every violated claim.
#[must_use]
pub fn render(runs: &[SavedRun]) -> String {
    let mut out = String::from("# Crosscheck\n\n");
    out.push_str("| run | backend | seed | verdict | claims | faults |\n|---|---|---|---|---|---|\n");
    for run in runs {
        row(&mut out, run);
    }
    for run in runs {
        section(&mut out, run);
    }
    out
}

fn row(out: &mut String, run: &SavedRun) {
    let claims: Vec<String> = run
        .verdict
        .properties
        .iter()
        .filter(|judged| judged.claimed)
        .map(|judged| format!("{} {}", sign(judged.verdict.verdict), judged.property()))
        .collect();
    let hits: u64 = run.faults.iter().map(|fault| fault.hits).sum();
    let faults = if run.faults.is_empty() {
        "none".to_owned()
    } else {
        format!("{}, {}", wording::counted(run.faults.len() as u64, "window"), wording::counted(hits, "hit"))
    };
    let RunInfo { variant, backend, seed, .. } = &run.info;
    let verdict = run.verdict.verdict;
    let _ = writeln!(
        out,
        "| {} | {} | {seed} | {} **{verdict}** | {} | {faults} |",
        escaped(variant),
        escaped(backend),
        sign(verdict),
        claims.join("<br>")
    );
}

fn section(out: &mut String, run: &SavedRun) {
    let _ = writeln!(out, "\n## {}\n\n{}", escaped(&run.info.variant), escaped(&wording::headline(run)));
    if let Some(notes) = wording::notes_sentence(run) {
        let _ = writeln!(out, "\n{}", escaped(&notes));
    }
    for judged in run.verdict.claimed(Verdict::Violated) {
        if let Some(witness) = &judged.verdict.witness {
            story(out, witness);
        }
    }
    let _ = write!(out, "\nReplay:\n\n{}", code_block(&run.info.replay));
}

fn story(out: &mut String, witness: &Witness) {
    let _ = write!(out, "\n### {} violated\n\n{}", witness.property, code_block(&witness.to_string()));
}

/// A fenced block whose fence is longer than any run of backticks within.
fn code_block(text: &str) -> String {
    let mut longest = 0;
    let mut current = 0;
    for character in text.chars() {
        current = if character == '`' { current + 1 } else { 0 };
        longest = longest.max(current);
    }
    let fence = "`".repeat(3.max(longest + 1));
    format!("{fence}text\n{}\n{fence}\n", text.trim_end())
}

fn sign(verdict: Verdict) -> &'static str {
    match verdict {
        Verdict::Valid => "✓",
        Verdict::Unknown => "?",
        Verdict::Violated => "✗",
    }
}

/// Text that Markdown and the HTML within it leave as it is.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '&' => out.push_str("&amp;"),
            '\n' | '\r' => out.push(' '),
            '|' | '*' | '_' | '`' | '[' | ']' | '\\' | '#' => {
                out.push('\\');
                out.push(character);
            }
            _ => out.push(character),
        }
    }
    out
}
