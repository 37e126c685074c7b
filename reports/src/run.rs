//! A saved run: what ran and where, the faults, the verdicts, the history.

use std::collections::BTreeMap;

use crosscheck_models::history::History;
use crosscheck_models::property::Property;
use crosscheck_models::verdict::{PropertyVerdict, Verdict};
use serde::{Deserialize, Serialize};

/// What ran, where and how: `run.json`.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct RunInfo {
    /// The variant: `design/bug`, or a design.
    pub variant: String,
    /// What the design is, in one line.
    pub title: String,
    /// `model`, `local` or `docker`.
    pub backend: String,
    /// The version that each system reported.
    pub versions: BTreeMap<String, String>,
    /// The seed that all randomness came from.
    pub seed: u64,
    /// The options of the run, as given or by default.
    pub options: BTreeMap<String, String>,
    /// When it started, in UTC, for people; nothing is ordered by it.
    pub started_utc: String,
    /// How long it took.
    pub seconds: f64,
    /// The directory that holds the run.
    pub run_dir: String,
    /// The command line that replays it.
    pub replay: String,
    /// The directed schedule that decided who moved when; absent in a stress run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub schedule_name: Option<String>,
}

/// A span of time in which a fault was injected: a line of `faults.jsonl`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct FaultWindow {
    /// The fault's stable id: `app-crash`, `db-cut-replies`, ..
    pub id: String,
    /// The system or actor that it hit.
    pub system: String,
    /// Its colour in every plot, as `#RRGGBB`.
    pub colour: String,
    /// When it was injected, in nanoseconds since the start of the run.
    pub from_ns: u64,
    /// When it was healed.
    pub to_ns: u64,
    /// Whether it was seen to take effect.
    pub took: bool,
    /// How many calls, connections or steps it hit.
    pub hits: u64,
    /// What it did, in words.
    pub detail: String,
}

/// A property's verdict, and whether the design claims that property.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct JudgedProperty {
    /// Whether the design claims it; a property that is not claimed is a note.
    pub claimed: bool,
    /// The letter that the expected table holds for it, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expected: Option<String>,
    /// What the checker found.
    #[serde(flatten)]
    pub verdict: PropertyVerdict,
}

impl JudgedProperty {
    /// The property that was judged.
    #[must_use]
    pub fn property(&self) -> Property {
        self.verdict.property
    }
}

/// The verdict of the whole run: `verdict.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunVerdict {
    /// The worst verdict of the claimed properties, or unknown where the run itself cannot be relied on.
    pub verdict: Verdict,
    /// Every property that was judged, claimed or not.
    pub properties: Vec<JudgedProperty>,
    /// What the run exercised as a whole.
    pub counters: BTreeMap<String, u64>,
    /// Why the run as a whole is unknown: a fault that did not take, an actor that never came to rest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

impl RunVerdict {
    /// The claimed properties that came out as `verdict`.
    pub fn claimed(&self, verdict: Verdict) -> impl Iterator<Item = &JudgedProperty> {
        self.properties.iter().filter(move |judged| judged.claimed && judged.verdict.verdict == verdict)
    }

    /// Why the verdict is unknown: the run's own reason, else the first reason of a claimed property.
    #[must_use]
    pub fn unknown_reason(&self) -> Option<&str> {
        self.reason
            .as_deref()
            .or_else(|| self.claimed(Verdict::Unknown).find_map(|judged| judged.verdict.reason.as_deref()))
    }
}

/// Everything that a report is made from.
#[derive(Debug, Clone, PartialEq)]
pub struct SavedRun {
    /// What ran, where and how.
    pub info: RunInfo,
    /// The faults that were injected, in order of time.
    pub faults: Vec<FaultWindow>,
    /// The verdicts.
    pub verdict: RunVerdict,
    /// The history.
    pub history: History,
}
