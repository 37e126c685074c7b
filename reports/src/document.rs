//! The documents that commands print with `--json`. Their field names are a contract with the outside.

use std::collections::BTreeMap;

use crosscheck_models::property::Property;
use crosscheck_models::verdict::{PropertyVerdict, Verdict, Witness};
use serde::{Deserialize, Serialize};

use crate::checked::CheckedHistory;
use crate::run::{FaultWindow, JudgedProperty, SavedRun};

/// What `run` and `replay` print.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunDocument {
    /// The worst verdict of the runs.
    pub verdict: Verdict,
    /// One entry a run.
    pub runs: Vec<RunEntry>,
    /// What was asked for and did not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// A variant that was asked for and did not run: nothing is said about it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The variant.
    pub variant: String,
    /// Why it cannot run here.
    pub reason: String,
}

/// One run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunEntry {
    /// The variant that ran.
    pub variant: String,
    /// The backend that it ran on.
    pub backend: String,
    /// The seed.
    pub seed: u64,
    /// The verdict on what the design claims.
    pub verdict: Verdict,
    /// Every property that was judged.
    pub properties: Vec<PropertyEntry>,
    /// The faults, one entry an id.
    pub faults: Vec<FaultEntry>,
    /// How many events the history holds.
    pub events: u64,
    /// How long the run took.
    pub seconds: f64,
    /// The directory that holds the run.
    pub run_dir: String,
}

/// A property in a run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct PropertyEntry {
    /// The property.
    pub property: Property,
    /// Whether the design claims it.
    pub claimed: bool,
    /// The verdict.
    pub verdict: Verdict,
    /// What the verdict rests on.
    pub exercised: BTreeMap<String, u64>,
    /// The evidence of a violation.
    pub witness: Option<Witness>,
}

/// A fault in a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FaultEntry {
    /// The fault's id.
    pub id: String,
    /// How often it was injected.
    pub windows: u64,
    /// How many of these were seen to take effect.
    pub took: u64,
}

/// What `matrix` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixDocument {
    /// The backend.
    pub backend: String,
    /// Whether every cell is as expected.
    pub as_expected: bool,
    /// How long it took.
    pub seconds: f64,
    /// One row a variant.
    pub rows: Vec<MatrixRow>,
    /// What was asked for and did not run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
}

/// One variant of the matrix.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixRow {
    /// The variant.
    pub variant: String,
    /// The faults of its cells with faults.
    pub faults: Vec<String>,
    /// One cell a property and fault setting.
    pub cells: Vec<MatrixCell>,
}

/// One property of one variant, with or without faults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct MatrixCell {
    /// The property.
    pub property: Property,
    /// Whether the variant's faults were injected.
    pub with_faults: bool,
    /// What is expected.
    pub expected: Expected,
    /// What the original table expected, where the project has corrected it.
    pub corrected_from: Option<Expected>,
    /// What was found.
    pub verdict: Verdict,
    /// Whether that is as expected.
    pub as_expected: bool,
    /// What the verdict rests on.
    pub exercised: BTreeMap<String, u64>,
    /// The evidence of a violation.
    pub witness: Option<Witness>,
}

/// What the ground-truth table expects of a cell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Expected {
    /// It holds.
    H,
    /// It is violated.
    V,
    /// Either: the rate is reported.
    P,
    /// It holds at the declared bound.
    B,
}

impl Expected {
    /// The letter of the table.
    #[must_use]
    pub fn letter(self) -> char {
        match self {
            Expected::H => 'H',
            Expected::V => 'V',
            Expected::P => 'P',
            Expected::B => 'B',
        }
    }
}

/// What `check` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckDocument {
    /// The worst verdict of the files.
    pub verdict: Verdict,
    /// One entry a file.
    pub files: Vec<FileEntry>,
    /// How long it took.
    pub seconds: f64,
}

/// One history that was checked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FileEntry {
    /// Its path.
    pub file: String,
    /// The format that it was read as.
    pub format: String,
    /// How many events it holds.
    pub events: u64,
    /// One entry a checker.
    pub checks: Vec<CheckEntry>,
}

/// What one checker found in one history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CheckEntry {
    /// The checker; a property of ours goes by its id.
    pub checker: String,
    /// The consistency level that was asked for, where the checker knows levels.
    pub level: Option<String>,
    /// The verdict.
    pub verdict: Verdict,
    /// The anomalies found.
    pub anomalies: Vec<AnomalyEntry>,
    /// The strongest levels that the anomalies rule out.
    pub not: Vec<String>,
    /// All further levels that are ruled out with them.
    pub also_not: Vec<String>,
    /// What the verdict rests on.
    pub exercised: BTreeMap<String, u64>,
    /// Why the verdict is unknown, or what limits it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// An order that shows the history valid, which can be replayed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<serde_json::Value>,
    /// The smallest part of the history that fails by itself: its calls, and their operations.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sub_history: Option<serde_json::Value>,
}

/// One anomaly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AnomalyEntry {
    /// Its name.
    pub kind: String,
    /// The evidence.
    pub witness: Option<Evidence>,
}

/// The evidence of an anomaly.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Evidence {
    /// In a history of ours.
    Ours(Witness),
    /// In a history of others, as its checker has it.
    Foreign(serde_json::Value),
}

/// What `bench` prints.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchDocument {
    /// One row a variant.
    pub rows: Vec<BenchRow>,
}

/// The load on one variant, and how it bore it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct BenchRow {
    /// The variant.
    pub variant: String,
    /// The backend.
    pub backend: String,
    /// Operations a second that were asked for; absent in a closed loop.
    pub rate_asked: Option<f64>,
    /// Operations a second that were completed.
    pub rate_achieved: f64,
    /// Whether the design could not keep up with the rate.
    pub saturated: bool,
    /// Latency from the intended start.
    pub latency_us: Percentiles,
    /// From the commit until the change is visible downstream; absent for a design without a downstream.
    pub lag_us: Option<Percentiles>,
    /// Operations that failed or whose outcome is unknown.
    pub errors: u64,
}

/// Percentiles in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median.
    pub p50: u64,
    /// The 90th percentile.
    pub p90: u64,
    /// The 99th percentile.
    pub p99: u64,
    /// The 99.9th percentile.
    pub p99_9: u64,
    /// The largest.
    pub max: u64,
}

impl RunDocument {
    /// The document of these runs. Without any run nothing was seen, which is unknown.
    #[must_use]
    pub fn of(runs: &[SavedRun]) -> RunDocument {
        RunDocument {
            verdict: runs.iter().map(|run| run.verdict.verdict).max().unwrap_or(Verdict::Unknown),
            runs: runs.iter().map(RunEntry::of).collect(),
            skipped: Vec::new(),
        }
    }

    /// The same, which also names what did not run.
    #[must_use]
    pub fn without(self, skipped: &[Skipped]) -> RunDocument {
        RunDocument { skipped: skipped.to_vec(), ..self }
    }
}

impl RunEntry {
    /// The entry of one run.
    #[must_use]
    pub fn of(run: &SavedRun) -> RunEntry {
        RunEntry {
            variant: run.info.variant.clone(),
            backend: run.info.backend.clone(),
            seed: run.info.seed,
            verdict: run.verdict.verdict,
            properties: run.verdict.properties.iter().map(PropertyEntry::of).collect(),
            faults: fault_entries(&run.faults),
            events: run.history.len() as u64,
            seconds: run.info.seconds,
            run_dir: run.info.run_dir.clone(),
        }
    }
}

impl FileEntry {
    /// The entry of one history.
    #[must_use]
    pub fn of(checked: &CheckedHistory) -> FileEntry {
        FileEntry {
            file: checked.file.clone(),
            format: checked.format.clone(),
            events: checked.history.len() as u64,
            checks: checked.verdicts.iter().map(CheckEntry::of).collect(),
        }
    }
}

impl CheckEntry {
    /// The entry of one of our properties, which knows no levels.
    #[must_use]
    pub fn of(verdict: &PropertyVerdict) -> CheckEntry {
        let anomaly = |witness: &Witness| AnomalyEntry {
            kind: verdict.property.id().to_owned(),
            witness: Some(Evidence::Ours(witness.clone())),
        };
        CheckEntry {
            checker: verdict.property.id().to_owned(),
            level: None,
            verdict: verdict.verdict,
            anomalies: verdict.witness.iter().map(anomaly).collect(),
            not: Vec::new(),
            also_not: Vec::new(),
            exercised: verdict.exercised.clone(),
            reason: verdict.reason.clone(),
            certificate: None,
            sub_history: None,
        }
    }
}

impl PropertyEntry {
    fn of(judged: &JudgedProperty) -> PropertyEntry {
        PropertyEntry {
            property: judged.property(),
            claimed: judged.claimed,
            verdict: judged.verdict.verdict,
            exercised: judged.verdict.exercised.clone(),
            witness: judged.verdict.witness.clone(),
        }
    }
}

fn fault_entries(faults: &[FaultWindow]) -> Vec<FaultEntry> {
    let mut by_id: BTreeMap<&str, (u64, u64)> = BTreeMap::new();
    for fault in faults {
        let (windows, took) = by_id.entry(&fault.id).or_default();
        *windows += 1;
        *took += u64::from(fault.took);
    }
    by_id.into_iter().map(|(id, (windows, took))| FaultEntry { id: id.to_owned(), windows, took }).collect()
}
