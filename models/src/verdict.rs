//! Three-valued verdicts, what they rest on, and the witness of a violation.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::property::Property;

/// The answer to "does this hold?". Ordered by how bad it is, so that `max` merges several.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// No violation was found, and the observations were enough to find one.
    Valid,
    /// The observations do not decide it: something was not recorded, not exercised, or ran out of budget.
    Unknown,
    /// Violated, with a witness.
    Violated,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Valid => "valid",
            Verdict::Unknown => "unknown",
            Verdict::Violated => "violated",
        })
    }
}

/// What one property's checker found in one history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PropertyVerdict {
    /// The property that was judged.
    pub property: Property,
    /// The verdict on the history as it is given.
    pub verdict: Verdict,
    /// How many violations there are in all; the witness shows the first of them.
    pub violations: u64,
    /// What the verdict rests on: how often the history exercised what could have gone wrong.
    pub exercised: BTreeMap<String, u64>,
    /// Names of the counters in `exercised` that must be above zero for `valid` to mean anything.
    pub required: Vec<String>,
    /// Why the verdict is unknown, as a sentence; absent otherwise.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reason: Option<String>,
    /// The smallest evidence of the first violation; present exactly when violated.
    pub witness: Option<Witness>,
}

impl PropertyVerdict {
    /// The names of the required counters that stand at zero.
    pub fn unexercised(&self) -> impl Iterator<Item = &str> {
        self.required
            .iter()
            .map(String::as_str)
            .filter(|name| self.exercised.get(*name).is_none_or(|n| *n == 0))
    }

    /// The verdict where a vacuous `valid` does not count: unknown if a required counter stands at zero.
    #[must_use]
    pub fn strictly(mut self) -> Self {
        if self.verdict == Verdict::Valid {
            let vacuous = self.vacuous_reason();
            if vacuous.is_some() {
                self.reason = vacuous;
                self.verdict = Verdict::Unknown;
            }
        }
        self
    }

    /// Whether it is unknown for no other reason than that something was not exercised: another run that
    /// exercises it may fill the gap.
    pub fn is_vacuous(&self) -> bool {
        self.verdict == Verdict::Unknown && self.reason.is_some() && self.reason == self.vacuous_reason()
    }

    fn vacuous_reason(&self) -> Option<String> {
        let missing: Vec<&str> = self.unexercised().collect();
        (!missing.is_empty()).then(|| format!("not exercised: {} is 0", missing.join(", ")))
    }
}

/// The smallest evidence that a property is violated.
///
/// `events` alone form a history in which the property is violated too; take any of them away and it is
/// not. The story is for people: it may name further events that explain how it came about.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Witness {
    /// The violated property.
    pub property: Property,
    /// What happened, in one sentence that names the event, key and versions.
    pub summary: String,
    /// The key that it happened to, where it is one key.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub key: Option<String>,
    /// The operations concerned.
    pub op_ids: Vec<String>,
    /// The `index` of each event that proves it, ascending.
    pub events: Vec<u64>,
    /// For final reads among `events`: which of their rows matter, as (event index, row position).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rows: Vec<(u64, usize)>,
    /// How it came about, in order of time.
    pub story: Vec<StoryLine>,
}

/// One line of the story: who did what, when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoryLine {
    /// When, in nanoseconds since the start of the run; absent for what is true at the end.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<u64>,
    /// The lane: an actor, a client process, or a system.
    pub who: String,
    /// What happened, in words.
    pub text: String,
    /// The event of the history that says so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub index: Option<u64>,
}

impl fmt::Display for Witness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.summary)?;
        let lane = self.story.iter().map(|line| line.who.len()).max().unwrap_or(0);
        for line in &self.story {
            match line.time {
                Some(ns) => {
                    let micros = ns / 1000;
                    write!(f, "  {:>6}.{:03} ms", micros / 1000, micros % 1000)?;
                }
                None => write!(f, "  {:>13}", "at the end")?,
            }
            writeln!(f, "  {:<lane$}  {}", line.who, line.text)?;
        }
        Ok(())
    }
}
