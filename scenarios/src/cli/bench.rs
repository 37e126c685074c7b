//! `crosscheck bench`: throughput, latency and lag of designs side by side.

use std::sync::Arc;

use crosscheck_harness::design::Design;
use crosscheck_harness::runner;
use crosscheck_reports::document::{BenchDocument, BenchRow};
use crosscheck_reports::text;
use crosscheck_scenarios::bench::{self, Measured};
use crosscheck_scenarios::{design, pattern};

use super::Stop;
use super::args::BenchArgs;
use super::session::{self, Progress};

/// Measures one design after the other, and tells.
pub(crate) fn execute(args: &BenchArgs) -> Result<(), Stop> {
    let designs = if args.patterns.is_empty() { without_a_bug() } else { pattern::select(&args.patterns)? };
    let (designs, skipped) = session::able(args.database, designs)?;
    let rows = session::on_runtime(run(args, &designs))?;
    let document = BenchDocument { rows };
    args.output.text(|style| {
        let rows = text::render_bench(&document, style);
        format!("{}\n{rows}{}", load_in_words(args), text::skipped(&skipped))
    })?;
    args.output.document(|| &document)
}

fn without_a_bug() -> Vec<Arc<dyn Design>> {
    design::all().into_iter().filter(|design| !design.id().contains('/')).collect()
}

fn rate(args: &BenchArgs) -> Option<u32> {
    (!args.closed).then_some(args.rate)
}

async fn run(args: &BenchArgs, designs: &[Arc<dyn Design>]) -> Result<Vec<BenchRow>, Stop> {
    let progress = Progress::start(args.output, designs.len() as u64);
    let chosen = session::open_on(args.backend, args.database, designs, &progress).await?;
    let mut rows = Vec::new();
    for (number, design) in designs.iter().enumerate() {
        let id = design.id();
        progress.say(&format!("measuring {id}"));
        let plan = bench::plan(&**design, rate(args), args.time, args.seed);
        let tag = format!("{}_{number}", std::process::id());
        let record = runner::bench(design.clone(), &*chosen.backend, &plan, &tag).await?;
        let Measured { row, never_arrived } =
            bench::measure(&**design, chosen.backend.name(), &plan, &record);
        if never_arrived > 0 {
            progress.note(&format!(
                "{id}: {never_arrived} committed changes never arrived downstream; `crosscheck run {id}` tells why"
            ));
        }
        progress.done(&format!("{id}: {:.1}/s", row.rate_achieved));
        rows.push(row);
    }
    Ok(rows)
}

/// What all designs were asked to do.
fn load_in_words(args: &BenchArgs) -> String {
    let clients = bench::clients(rate(args));
    let pace = rate(args).map_or_else(
        || format!("closed loop of {clients} clients"),
        |rate| format!("{rate} operations/s on time, {clients} clients"),
    );
    format!(
        "  {pace}, {} keys, {} % reads, {} s after {} s of warm-up, seed {}",
        bench::KEYS,
        bench::READS_PERCENT,
        args.time.as_secs_f64(),
        bench::WARM_UP.as_secs(),
        args.seed
    )
}
