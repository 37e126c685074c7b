//! The matrix: every variant, without and with its faults, against the ground truth.
//!
//! A cell that must break is decided by directed schedules, which show the bug every time. A cell that must
//! hold is decided by every run of its row, directed and under stress, and only counts if what could have
//! gone wrong was exercised.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosscheck_harness::backend::{Backend, HarnessError};
use crosscheck_harness::design::Design;
use crosscheck_harness::plan;
use crosscheck_harness::schedule::{FaultOn, Schedule};
use crosscheck_models::verdict::{PropertyVerdict, Verdict};
use crosscheck_reports::document::{Expected, MatrixCell, MatrixRow};
use crosscheck_reports::run::SavedRun;

use crate::ground_truth::{Cell, Row};
use crate::trial::Trials;

/// How long a stress run of the matrix lasts, at least.
pub const STRESS_MS: u64 = 2500;

/// The schedules that decide a row: directed ones, and with `stress` a generated one for each fault setting.
pub fn schedules(design: &dyn Design, seed: u64, stress: bool) -> Vec<Schedule> {
    let mut schedules: Vec<Schedule> =
        design.schedules().into_iter().map(|schedule| Schedule { seed, ..schedule }).collect();
    if stress {
        let faults: Vec<FaultOn> = design.faults().iter().map(|id| plan::fault_on(id)).collect();
        schedules.push(plan::stress(design, design.workload(), &[], seed, STRESS_MS));
        if !faults.is_empty() {
            schedules.push(plan::stress(design, design.workload(), &faults, seed, STRESS_MS));
        }
    }
    schedules
}

/// Runs all that decides a row.
///
/// # Errors
/// If something could not run.
pub async fn run_row(
    trials: &Trials,
    design: &Arc<dyn Design>,
    backend: &dyn Backend,
    schedules: &[Schedule],
    mut done: impl FnMut(&SavedRun),
) -> Result<Vec<SavedRun>, HarnessError> {
    let mut runs = Vec::new();
    for schedule in schedules {
        let saved = trials.run(design, backend, schedule).await?;
        done(&saved);
        runs.push(saved);
    }
    Ok(runs)
}

/// Judges a row by its runs.
pub fn judge_row(row: &Row, runs: &[SavedRun]) -> MatrixRow {
    let mut faults: Vec<String> =
        runs.iter().flat_map(|run| run.faults.iter().map(|f| f.id.clone())).collect();
    faults.sort();
    faults.dedup();
    let cells = row.cells.iter().map(|cell| judge_cell(cell, runs)).collect();
    MatrixRow { variant: row.variant.clone(), faults, cells }
}

/// Whether a run had faults.
pub fn had_faults(run: &SavedRun) -> bool {
    run.info.options.get("faults").is_some_and(|faults| faults != "none")
}

/// Whether a run was generated, and not directed.
pub fn was_stress(run: &SavedRun) -> bool {
    run.info.schedule_name.as_deref().is_some_and(|name| name.starts_with("stress"))
}

fn judge_cell(cell: &Cell, runs: &[SavedRun]) -> MatrixCell {
    let found: Vec<(&SavedRun, &PropertyVerdict)> = runs
        .iter()
        .filter(|run| had_faults(run) == cell.with_faults)
        .filter_map(|run| {
            let judged = run.verdict.properties.iter().find(|judged| judged.property() == cell.property)?;
            Some((run, &judged.verdict))
        })
        .collect();
    let (directed, stress): (Vec<_>, Vec<_>) = found.iter().copied().partition(|(run, _)| !was_stress(run));
    let mut exercised = sum(&found);
    if !stress.is_empty() {
        let violated = stress.iter().filter(|(_, verdict)| verdict.verdict == Verdict::Violated).count();
        exercised.insert("stress_runs".to_owned(), stress.len() as u64);
        exercised.insert("stress_runs_that_violated".to_owned(), violated as u64);
    }
    let deciding = match cell.expected {
        Expected::V => &directed,
        Expected::H | Expected::P | Expected::B => &found,
    };
    let violation = deciding.iter().find(|(_, verdict)| verdict.verdict == Verdict::Violated);
    let verdict = match violation {
        Some(_) => Verdict::Violated,
        None => together(deciding, &exercised),
    };
    let as_expected = match cell.expected {
        Expected::H | Expected::B => verdict == Verdict::Valid,
        Expected::V => verdict == Verdict::Violated,
        Expected::P => true,
    };
    MatrixCell {
        property: cell.property,
        with_faults: cell.with_faults,
        expected: cell.expected,
        corrected_from: cell.corrected_from,
        verdict,
        as_expected,
        exercised,
        witness: violation.and_then(|(_, verdict)| verdict.witness.clone()),
    }
}

/// What runs without a violation say together: valid, if each was conclusive or merely did not exercise what
/// another did.
fn together(found: &[(&SavedRun, &PropertyVerdict)], exercised: &BTreeMap<String, u64>) -> Verdict {
    let all_exercised = found.iter().any(|(_, verdict)| verdict.verdict == Verdict::Valid)
        && found
            .iter()
            .flat_map(|(_, verdict)| &verdict.required)
            .all(|name| exercised.get(name).is_some_and(|count| *count > 0));
    let conclusive =
        found.iter().all(|(_, verdict)| verdict.verdict == Verdict::Valid || verdict.is_vacuous());
    if all_exercised && conclusive { Verdict::Valid } else { Verdict::Unknown }
}

fn sum(found: &[(&SavedRun, &PropertyVerdict)]) -> BTreeMap<String, u64> {
    let mut sums = BTreeMap::new();
    for (name, count) in found.iter().flat_map(|(_, verdict)| &verdict.exercised) {
        *sums.entry(name.clone()).or_default() += count;
    }
    sums
}
