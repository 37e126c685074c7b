//! `crosscheck matrix`: every variant, without and with its faults, against the ground truth.

use std::sync::Arc;
use std::time::Instant;

use crosscheck_harness::design::Design;
use crosscheck_harness::schedule::Schedule;
use crosscheck_reports::document::{MatrixDocument, MatrixRow, Skipped};
use crosscheck_reports::run::SavedRun;
use crosscheck_reports::{html, json, text};
use crosscheck_scenarios::matrix::{had_faults, judge_row, schedules, was_stress};
use crosscheck_scenarios::trial::Trials;
use crosscheck_scenarios::{design, ground_truth, pattern};

use super::args::MatrixArgs;
use super::session::{self, Progress};
use super::{Exit, Stop};

/// Runs the rows, judges them and tells.
pub(crate) fn execute(args: &MatrixArgs) -> Result<(), Stop> {
    let designs = if args.patterns.is_empty() { design::all() } else { pattern::select(&args.patterns)? };
    let (designs, skipped) = session::able(args.database, designs)?;
    let plans: Vec<(Arc<dyn Design>, Vec<Schedule>)> =
        designs.iter().map(|design| (design.clone(), schedules(&**design, args.seed, true))).collect();
    let (document, links) = session::on_runtime(run(args, &designs, skipped, &plans))?;
    save(args, &document, &links)?;
    args.output.text(|style| text::render_matrix(&document, style))?;
    args.output.document(|| &document)?;
    let exit = if document.as_expected { Exit::Valid } else { Exit::Violated };
    session::ends(exit, || explain(&document))
}

async fn run(
    args: &MatrixArgs,
    designs: &[Arc<dyn Design>],
    skipped: Vec<Skipped>,
    plans: &[(Arc<dyn Design>, Vec<Schedule>)],
) -> Result<(MatrixDocument, html::ReportLinks), Stop> {
    let started = Instant::now();
    let runs_planned = plans.iter().map(|(_, schedules)| schedules.len() as u64).sum();
    let progress = Progress::start(args.output, runs_planned);
    let chosen = session::open_on(args.backend, args.database, designs, &progress).await?;
    let trials = Trials::new(&args.out);
    let mut rows = Vec::new();
    let mut links = html::ReportLinks::new();
    for (design, schedules) in plans {
        let mut runs = Vec::new();
        for schedule in schedules {
            progress.say(&format!("running {} {}", design.id(), schedule.name));
            let saved = trials.run(design, &*chosen.backend, schedule).await?;
            progress.done(&format!("{} {} ({:.1} s)", design.id(), schedule.name, saved.info.seconds));
            runs.push(saved);
        }
        link(&runs, &mut links);
        if let Some(row) = ground_truth::row(&design.id()) {
            rows.push(judge_row(&row.on(args.database.kind()), &runs));
        }
    }
    let as_expected = rows.iter().flat_map(|row| &row.cells).all(|cell| cell.as_expected);
    let seconds = started.elapsed().as_secs_f64();
    let backend = chosen.backend.name().to_owned();
    Ok((MatrixDocument { backend, as_expected, seconds, rows, skipped }, links))
}

/// A cell links to a run that decided it: a directed one, where there is one.
fn link(runs: &[SavedRun], links: &mut html::ReportLinks) {
    for run in
        runs.iter().rev().filter(|run| !was_stress(run)).chain(runs.iter().filter(|run| was_stress(run)))
    {
        let path = format!("{}/report.html", run.info.run_dir);
        let absolute = std::path::absolute(&path).map_or(path, |path| path.display().to_string());
        links.entry((run.info.variant.clone(), had_faults(run))).or_insert(absolute);
    }
}

fn save(args: &MatrixArgs, document: &MatrixDocument, links: &html::ReportLinks) -> Result<(), Stop> {
    let files =
        [("matrix.json", json::render(document)), ("matrix.html", html::render_matrix(document, links))];
    for (name, text) in files {
        let path = args.out.join(name);
        std::fs::write(&path, text)
            .map_err(|error| Stop::could_not_run(format!("cannot write {}: {error}", path.display())))?;
    }
    Ok(())
}

fn explain(document: &MatrixDocument) -> String {
    let mut cells = Vec::new();
    for MatrixRow { variant, cells: all, .. } in &document.rows {
        for cell in all.iter().filter(|cell| !cell.as_expected) {
            let faults = if cell.with_faults { "with" } else { "without" };
            cells.push(format!(
                "{variant} {} {faults} faults: {} where {} is expected",
                cell.property,
                cell.verdict,
                cell.expected.letter()
            ));
        }
    }
    format!("not as expected:\n  {}", cells.join("\n  "))
}
