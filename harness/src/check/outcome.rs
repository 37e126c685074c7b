//! What a check came to, in words for somebody whose test has just failed.

use std::fmt::Write as _;
use std::path::PathBuf;

use crosscheck_models::property::Property;
use crosscheck_models::verdict::{PropertyVerdict, Verdict};

use crate::backend::HarnessError;
use crate::judge::Judgement;
use crate::schedule::{Plan, Schedule};

/// What a check came to.
#[derive(Debug)]
pub struct Checked {
    pub(super) design: String,
    pub(super) seed: u64,
    pub(super) repeat: Repeat,
    pub(super) state: State,
}

#[derive(Debug)]
pub(super) enum State {
    Judged {
        /// What it ran on: `model`, `local`.
        backend: &'static str,
        trials: Vec<Trial>,
    },
    Skipped,
    Failed(HarnessError),
}

/// One schedule that was run and judged.
#[derive(Debug)]
pub(super) struct Trial {
    pub(super) dir: PathBuf,
    pub(super) schedule: Schedule,
    pub(super) judgement: Judgement,
}

/// What it takes to run the same test once more.
#[derive(Debug, Default)]
pub(super) struct Repeat {
    /// The package, where cargo runs the test.
    pub(super) package: Option<String>,
    /// Variables that decide what the test checks.
    pub(super) variables: Vec<(String, String)>,
    /// Whether this check is itself a replay of one schedule.
    pub(super) is_replay: bool,
}

impl Checked {
    /// Fails the test unless every claim was found valid in what was exercised.
    ///
    /// # Panics
    /// With the story of the violation, the seed, and the command that replays it; with the reason where
    /// nothing can be said; and with what to do where it could not run. A check that was skipped for want of
    /// servers passes (it said so on stderr), unless `CROSSCHECK_REQUIRE` names the backend.
    #[track_caller]
    pub fn assert_holds(&self) {
        if let Some(words) = self.objection() {
            panic!("{words}");
        }
    }

    /// What [`Checked::assert_holds`] panics with; none where the claims hold, or the check was skipped.
    pub fn objection(&self) -> Option<String> {
        match &self.state {
            State::Skipped => None,
            State::Failed(error) => Some(format!("{} could not be checked: {error}", self.design)),
            State::Judged { trials, .. } => self.violation().or_else(|| self.doubt(trials)),
        }
    }

    /// The story of the first violation, with the seed and the command that replays it; none if there is none.
    pub fn violation(&self) -> Option<String> {
        let (trial, verdict) = self.violated().next()?;
        let witness = verdict.witness.as_ref().map(ToString::to_string).unwrap_or_default();
        let others: Vec<&str> = self.violated().skip(1).map(|(_, other)| other.property.id()).collect();
        let others = if others.is_empty() { String::new() } else { format!(", and {}", others.join(", ")) };
        let ending = self.ending(trial);
        Some(format!("{} violates {}{others}\n{witness}{ending}", self.design, verdict.property))
    }

    /// The claims that were violated.
    pub fn violations(&self) -> Vec<Property> {
        self.violated().map(|(_, verdict)| verdict.property).collect()
    }

    /// Whether it was skipped, for want of servers or because the schedule to replay is another design's.
    pub fn was_skipped(&self) -> bool {
        matches!(self.state, State::Skipped)
    }

    /// What it ran on: `model`, or `local` for servers; none if it did not run.
    pub fn backend(&self) -> Option<&'static str> {
        match self.state {
            State::Judged { backend, .. } => Some(backend),
            State::Skipped | State::Failed(_) => None,
        }
    }

    /// No trial comes after one with a violation.
    fn violated(&self) -> impl Iterator<Item = (&Trial, &PropertyVerdict)> {
        let trials = match &self.state {
            State::Judged { trials, .. } => trials.as_slice(),
            State::Skipped | State::Failed(_) => &[],
        };
        trials.iter().flat_map(|trial| {
            let verdicts = trial.judgement.properties.iter().map(move |judged| (trial, &judged.verdict));
            verdicts.filter(|(_, verdict)| verdict.verdict == Verdict::Violated)
        })
    }

    /// Why nothing can be said: a trial that did not go as planned, or a claim that no trial decided.
    fn doubt(&self, trials: &[Trial]) -> Option<String> {
        let words = |trial: &Trial, what: &str, reason: &str| {
            format!("{}: it cannot be told {what}: {reason}\n{}", self.design, self.ending(trial))
        };
        for trial in trials {
            if let Some(reason) = &trial.judgement.reason {
                return Some(words(trial, "whether the claims hold", reason));
            }
        }
        // A replay shows whether one violation is still there, and need not exercise everything.
        if self.repeat.is_replay {
            return None;
        }
        let last = trials.last()?;
        last.judgement.properties.iter().map(|judged| judged.verdict.property).find_map(|property| {
            let of = |trial: &Trial| {
                let mut properties = trial.judgement.properties.iter().map(|judged| judged.verdict.clone());
                properties.find(|verdict| verdict.property == property)
            };
            let undecided = trials.iter().all(|t| of(t).is_none_or(|v| v.verdict != Verdict::Valid));
            let reason = of(last).and_then(|verdict| verdict.reason).unwrap_or_default();
            undecided.then(|| words(last, &format!("whether {property} holds"), &reason))
        })
    }

    /// Where to look, and how to see it again.
    fn ending(&self, trial: &Trial) -> String {
        let dir = quoted(&trial.dir.display().to_string());
        let mut lines = String::from("\n");
        let mut line = |name: &str, text: &str| {
            let _ = writeln!(lines, "{name:<9} {text}");
        };
        let backend = self.backend().unwrap_or_default();
        line("backend", backend);
        line("seed", &format!("{} (CROSSCHECK_SEED sets another)", self.seed));
        line("schedule", &format!("{}{}", trial.schedule.name, about(&trial.schedule, backend)));
        line("history", &format!("crosscheck check {dir}"));
        line("replay", &self.replay(&format!("{dir}/schedule.json")));
        lines
    }

    fn replay(&self, schedule: &str) -> String {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.repeat.variables.iter().map(|(name, value)| format!("{name}={}", quoted(value))));
        words.push(format!("CROSSCHECK_SCHEDULE={schedule} cargo test"));
        words.extend(self.repeat.package.iter().map(|package| format!("-p {package}")));
        // With one test thread the tests run on the main one, whose name says nothing.
        let thread = std::thread::current();
        let test = thread.name().filter(|name| *name != "main" && !name.starts_with("tokio-"));
        words.extend(test.map(|test| format!("-- --exact {test}")));
        words.join(" ")
    }
}

/// What a schedule is about; of load, what a replay of it repeats.
fn about(schedule: &Schedule, backend: &str) -> String {
    match &schedule.plan {
        Plan::Directed(_) if schedule.about.is_empty() => String::new(),
        Plan::Directed(_) => format!(": {}", schedule.about),
        Plan::Stress(_) if backend == "model" => ": random load; its replay is the same to the byte".into(),
        Plan::Stress(_) => {
            ": random load; its replay has the same operations and faults, not the same timing".into()
        }
    }
}

/// As a shell takes it for one word.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+:,=@%".contains(c);
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_takes_it_for_one_word() {
        assert_eq!(quoted("/tmp/a-b/c.json"), "/tmp/a-b/c.json");
        assert_eq!(quoted("it's here"), r"'it'\''s here'");
        assert_eq!(quoted(""), "''");
    }
}
