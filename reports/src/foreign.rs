//! What is said of a history that somebody else has recorded.

use std::fmt::Write as _;

use crosscheck_models::checker::{Check, Seen};
use crosscheck_models::verdict::Verdict;

use crate::document::{AnomalyEntry, CheckEntry, Evidence, FileEntry};
use crate::text::{Detail, Style};
use crate::wording;

/// A history of others and what was found in it.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedForeign {
    /// Where it was read from.
    pub file: String,
    /// The format that it was read as.
    pub format: String,
    /// How many lines of operations it holds.
    pub events: u64,
    /// One a checker.
    pub checks: Vec<Check>,
}

impl CheckedForeign {
    /// The worst verdict. Where nothing was judged, nothing is known.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.checks.iter().map(|check| check.verdict).max().unwrap_or(Verdict::Unknown)
    }

    /// Why it is not valid, in a sentence; absent if it is.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let verdict = self.verdict();
        let worst = self.checks.iter().find(|check| check.verdict == verdict)?;
        let why = match verdict {
            Verdict::Valid => return None,
            Verdict::Unknown => worst.reason.clone().unwrap_or_else(|| "nothing was judged".to_owned()),
            Verdict::Violated => kinds(&worst.anomalies),
        };
        Some(format!("{}: {} is {verdict}: {why}", self.file, worst.checker))
    }

    /// The entry of its file in the document.
    #[must_use]
    pub fn entry(&self, detail: Detail) -> FileEntry {
        let check = |check: &Check| CheckEntry {
            checker: check.checker.to_owned(),
            level: check.level.map(str::to_owned),
            verdict: check.verdict,
            anomalies: check.anomalies.iter().map(anomaly).collect(),
            not: check.not.iter().map(ToString::to_string).collect(),
            also_not: check.also_not.iter().map(ToString::to_string).collect(),
            exercised: check.exercised.iter().map(|(name, count)| (name.to_string(), *count)).collect(),
            reason: check.reason.clone(),
            certificate: check.certificate.clone().filter(|_| detail == Detail::Explained),
            sub_history: check.sub_history.as_ref().map(|part| serde_json::json!(part)),
        };
        FileEntry {
            file: self.file.clone(),
            format: self.format.clone(),
            events: self.events,
            checks: self.checks.iter().map(check).collect(),
        }
    }

    /// The verdict on a line of its own, for several files at once.
    #[must_use]
    pub fn line(&self, style: Style) -> String {
        let worst = self.verdict();
        let of = |check: &Check| match check.verdict {
            Verdict::Violated => format!("{} ({})", check.checker, kinds(&check.anomalies)),
            Verdict::Valid | Verdict::Unknown => check.checker.to_owned(),
        };
        let checks: Vec<String> = self.checks.iter().map(of).collect();
        format!("{}  {}: {}\n", style.verdict(worst), self.file, checks.join(", "))
    }

    /// What the terminal shows: the verdict on a line, a paragraph a checker, and the evidence.
    #[must_use]
    pub fn text(&self, detail: Detail, style: Style) -> String {
        let mut out = String::new();
        let operations = wording::counted(self.events, "event");
        let _ =
            writeln!(out, "{}  {}: {operations} ({})", style.verdict(self.verdict()), self.file, self.format);
        for check in &self.checks {
            // A string takes everything.
            let _ = of_check(&mut out, check, detail);
        }
        out
    }
}

fn anomaly(seen: &Seen) -> AnomalyEntry {
    AnomalyEntry { kind: seen.kind.to_owned(), witness: Some(Evidence::Foreign(seen.witness.clone())) }
}

fn kinds(seen: &[Seen]) -> String {
    let names: Vec<&str> = seen.iter().map(|seen| seen.kind).collect();
    names.join(", ")
}

fn of_check(out: &mut String, check: &Check, detail: Detail) -> std::fmt::Result {
    let level = check.level.map_or(String::new(), |level| format!(" ({level})"));
    let seen = check.exercised.iter().filter(|(_, count)| **count > 0);
    let counters: Vec<String> =
        seen.map(|(name, count)| format!("{count} {}", name.replace('_', " "))).collect();
    writeln!(out, "  {} {}{level}: {}", check.verdict, check.checker, counters.join(", "))?;
    if let Some(reason) = &check.reason {
        writeln!(out, "    {reason}")?;
    }
    for seen in &check.anomalies {
        evidence(out, seen, "")?;
    }
    if !check.not.is_empty() {
        writeln!(out, "    not {}", check.not.join(", "))?;
    }
    if !check.also_not.is_empty() {
        writeln!(out, "    and so not {}", check.also_not.join(", "))?;
    }
    for seen in &check.also_seen {
        evidence(out, seen, " (not asked for)")?;
    }
    if let Some(part) = check.sub_history.as_ref().filter(|_| detail == Detail::Explained) {
        let size = if part.is_minimal { "the smallest part" } else { "a part" };
        writeln!(out, "    {size} that has {} by itself:", part.kind)?;
        part.operations.iter().try_for_each(|operation| writeln!(out, "      {operation}"))?;
    }
    match &check.certificate {
        Some(certificate) if detail == Detail::Explained => writeln!(out, "    certificate: {certificate}"),
        _ => Ok(()),
    }
}

fn evidence(out: &mut String, seen: &Seen, remark: &str) -> std::fmt::Result {
    let times = if seen.count == 1 { String::new() } else { format!(", {} times", seen.count) };
    writeln!(out, "    {}{times}{remark}", seen.kind)?;
    for line in &seen.text {
        writeln!(out, "      {line}")?;
    }
    Ok(())
}
