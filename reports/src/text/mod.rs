//! What the terminal shows: after a run, a matrix, a benchmark, a check.

mod bench;
mod check;
mod matrix;
mod run;
mod table;

pub use bench::render as render_bench;
pub use check::{Detail, render as render_check, render_line as render_check_line};
pub use matrix::{render as render_matrix, skipped};
pub use run::render;

pub(crate) use matrix::{Pair, columns, deviation, observed, summary};

use crosscheck_models::verdict::Verdict;

/// How text is emphasised.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// Not at all: for files, pipes and terminals without colour.
    Plain,
    /// With ANSI escape sequences.
    Ansi,
}

/// What a piece of text says, which decides its colour.
#[derive(Debug, Clone, Copy)]
enum Tone {
    Good,
    Bad,
    Doubtful,
    Faint,
    Strong,
}

impl Style {
    /// A verdict as the word that begins a line.
    pub(crate) fn verdict(self, verdict: Verdict) -> String {
        self.paint(tone(verdict), &verdict.to_string().to_uppercase())
    }

    fn paint(self, tone: Tone, text: &str) -> String {
        let code = match (self, tone) {
            (Style::Plain, _) => return text.to_owned(),
            (Style::Ansi, Tone::Good) => "32",
            (Style::Ansi, Tone::Bad) => "1;31",
            (Style::Ansi, Tone::Doubtful) => "33",
            (Style::Ansi, Tone::Faint) => "2",
            (Style::Ansi, Tone::Strong) => "1",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn tone(verdict: Verdict) -> Tone {
    match verdict {
        Verdict::Valid => Tone::Good,
        Verdict::Unknown => Tone::Doubtful,
        Verdict::Violated => Tone::Bad,
    }
}
