//! What a run of a case is worth, by the outputs that count as right.

use std::fmt::Write;

use super::run::Transcript;

/// How a run compares with what is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The same, to the byte.
    Equal,
    /// The system said what it does not know (SQLSTATE 0A000), and the case as a whole counts as refused.
    Refused {
        /// What it does not know, in its words.
        not_known: Vec<String>,
    },
    /// Another output, or an end before the end.
    Wrong {
        /// Where the two part.
        difference: String,
    },
    /// There was nothing to compare with.
    Unjudged,
}

impl Outcome {
    /// Judges a run by any of these outputs.
    pub fn of(transcript: &Transcript, right: &[String]) -> Outcome {
        if right.contains(&transcript.text) {
            return Outcome::Equal;
        }
        if !transcript.not_known.is_empty() {
            return Outcome::Refused { not_known: transcript.not_known.clone() };
        }
        let Some(closest) = right.iter().max_by_key(|right| lines_in_common(right, &transcript.text)) else {
            return match &transcript.stopped {
                Some(why) => Outcome::Wrong { difference: format!("! {why}\n") },
                None => Outcome::Unjudged,
            };
        };
        let mut difference = difference(closest, &transcript.text);
        if let Some(why) = &transcript.stopped {
            let _ = writeln!(difference, "! {why}");
        }
        Outcome::Wrong { difference }
    }

    /// The word for it in tables and documents.
    pub fn id(&self) -> &'static str {
        match self {
            Outcome::Equal => "equal",
            Outcome::Refused { .. } => "refused",
            Outcome::Wrong { .. } => "wrong",
            Outcome::Unjudged => "unjudged",
        }
    }
}

fn lines_in_common(one: &str, other: &str) -> usize {
    one.lines().zip(other.lines()).take_while(|(one, other)| one == other).count()
}

/// Where two outputs part first: the permutation, some lines before, and the lines of both after.
fn difference(right: &str, got: &str) -> String {
    const BEFORE: usize = 4;
    const AFTER: usize = 8;
    let common = lines_in_common(right, got);
    let (right, got): (Vec<&str>, Vec<&str>) = (right.lines().collect(), got.lines().collect());
    let mut out = String::new();
    let head = right[..common].iter().rposition(|line| line.starts_with("starting permutation:"));
    if let Some(head) = head.filter(|head| head + BEFORE < common) {
        let _ = writeln!(out, "  {}\n  ..", right[head]);
    }
    for line in &right[common.saturating_sub(BEFORE)..common] {
        let _ = writeln!(out, "  {line}");
    }
    let tail = same_tail(&right[common..], &got[common..]);
    for (sign, lines) in [('-', &right[common..right.len() - tail]), ('+', &got[common..got.len() - tail])] {
        for line in lines.iter().take(AFTER) {
            let _ = writeln!(out, "{sign} {line}");
        }
        if lines.len() > AFTER {
            let _ = writeln!(out, "{sign} .. {} lines more", lines.len() - AFTER);
        }
    }
    if common == right.len() && common == got.len() {
        out.push_str("! they differ in the newline at their end\n");
    }
    out
}

fn same_tail(one: &[&str], other: &[&str]) -> usize {
    one.iter().rev().zip(other.iter().rev()).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn transcript(text: &str, not_known: &[&str]) -> Transcript {
        let not_known = not_known.iter().map(|&what| what.to_owned()).collect();
        Transcript { text: text.to_owned(), not_known, ..Transcript::default() }
    }

    #[test]
    fn a_run_is_equal_refused_or_wrong() {
        let right = ["a\nb\n".to_owned(), "a\nc\n".to_owned()];
        let of = |text: &str, not_known: &[&str]| Outcome::of(&transcript(text, not_known), &right).id();
        assert_eq!(of("a\nc\n", &[]), "equal");
        assert_eq!(of("a\nc\n", &["MERGE"]), "equal", "the servers refuse things, too");
        assert_eq!(of("a\nd\n", &["MERGE"]), "refused");
        assert_eq!(of("a\nd\n", &[]), "wrong");
        assert_eq!(Outcome::of(&transcript("a", &[]), &[]).id(), "unjudged");
    }

    #[test]
    fn a_difference_shows_where_the_two_part() {
        let right = "head\nstarting permutation: x\n1\n2\n3\n4\n5\n6\nend\n";
        let got = "head\nstarting permutation: x\n1\n2\n3\n4\n5\n7\n8\nend\n";
        insta::assert_snapshot!(difference(right, got), @r"
          starting permutation: x
          ..
          2
          3
          4
          5
        - 6
        + 7
        + 8
        ");
    }
}
