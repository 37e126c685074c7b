//! `crosscheck conform`: the same concurrency cases on the model and on servers.

use std::fmt::Write;
use std::path::PathBuf;
use std::time::Instant;

use clap::ValueEnum;
use crosscheck_harness::conform::{Case, CaseError};
use crosscheck_scenarios::conformance::{self, CaseReport, ConformDocument, On, Suite};
use crosscheck_scenarios::{backends, conformance_page};

use super::session::{self, Progress};
use super::{Exit, Output, Stop, output};

/// Runs concurrency cases on the model and on servers; where they differ, the model is wrong
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  crosscheck conform harness/conformance               all of our own cases, on all that is here
  crosscheck conform specs/*.spec --backend model      foreign cases, against the outputs in ../expected
  crosscheck conform deadlock.spec --backend local --show   what PostgreSQL prints
A case is in the format of PostgreSQL's isolationtester; with `# crosscheck: redis` or `# crosscheck: kafka` as
its first line, its steps are Redis commands or Kafka operations. What is right is what the server prints; where
none runs, `expected/NAME.out` beside the case or beside its folder, or a variant `NAME_1.out`.")]
pub(crate) struct Args {
    /// Cases, or folders with cases (files that end in .spec)
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// Where the cases run
    #[arg(long, value_enum, default_value_t = Where::Auto)]
    backend: Where,
    /// Print the whole output of each run
    #[arg(long)]
    show: bool,
    /// Write what the servers print to `expected/` beside each case
    #[arg(long, conflicts_with = "markdown")]
    record: bool,
    /// Print the table of docs/conformance.md instead
    #[arg(long, conflicts_with_all = ["show", "json"])]
    markdown: bool,
    #[command(flatten)]
    output: Output,
}

/// Where cases run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Where {
    /// The model, and server processes if their programs are here
    Auto,
    /// The in-process model
    Model,
    /// Server processes of ours on loopback ports
    Local,
    /// Containers of ours
    Docker,
    /// The model and server processes; a missing server is an error
    All,
}

impl Where {
    fn on(self) -> On {
        match self {
            Where::Auto => {
                On { model: true, local: backends::missing(&environment).is_none(), docker: false }
            }
            Where::Model => On { model: true, local: false, docker: false },
            Where::Local => On { model: false, local: true, docker: false },
            Where::Docker => On { model: false, local: false, docker: true },
            Where::All => On { model: true, local: true, docker: false },
        }
    }
}

fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Runs the cases and tells how they came out.
pub(crate) fn execute(args: &Args) -> Result<(), Stop> {
    let cases = conformance::cases(&args.files)?;
    for case in &cases {
        let unused = case.spec.unused_steps();
        if !unused.is_empty() && !args.output.quiet {
            eprintln!("{}: no permutation launches {}", case.path.display(), unused.join(", "));
        }
    }
    // The table says what is recorded and how the model compares: it needs no server.
    let on = if args.markdown { On { model: true, local: false, docker: false } } else { args.backend.on() };
    let document = session::on_runtime(run(args, on, &cases))?;
    if args.markdown {
        output::print(&conformance_page::render(&document))?;
    } else {
        args.output.text(|_style| text(args, &document))?;
    }
    args.output.document(|| &document)?;
    let exit = match document.verdict {
        "valid" => Exit::Valid,
        "violated" => Exit::Violated,
        _ => Exit::Unknown,
    };
    session::ends(exit, || explain(&document))
}

async fn run(args: &Args, on: On, cases: &[Case]) -> Result<ConformDocument, Stop> {
    let began = Instant::now();
    let progress = Progress::start(args.output, cases.len() as u64);
    progress.say("starting the servers");
    let suite = Suite::start(on, cases, &environment).await?;
    let mut reports = Vec::new();
    for case in cases {
        progress.say(&format!("running {}", case.name));
        let report = suite.run(case).await?;
        progress.done(&format!("{}: {}", report.name, outcomes(&report)));
        if args.record
            && let Some(path) = conformance::record(&report)
                .map_err(|error| Stop::could_not_run(format!("cannot record {}: {error}", case.name)))?
        {
            progress.note(&format!("recorded {}", path.display()));
        }
        reports.push(report);
    }
    Ok(ConformDocument::of(reports, began))
}

fn outcomes(report: &CaseReport) -> String {
    let runs = report.runs.iter().map(|run| format!("{} {}", run.backend, run.outcome));
    runs.collect::<Vec<_>>().join(", ")
}

fn text(args: &Args, document: &ConformDocument) -> String {
    let mut out = String::new();
    for case in &document.cases {
        let _ = writeln!(out, "{:<40} {}", case.name, outcomes(case));
        for run in &case.runs {
            if args.show {
                let _ = writeln!(out, "--- {} on {}\n{}", case.name, run.system, run.text);
            }
            for line in run.difference.iter().flat_map(|difference| difference.lines()) {
                let _ = writeln!(out, "    {line}");
            }
            for what in &run.not_known {
                let _ = writeln!(out, "    not known: {what}");
            }
        }
    }
    if !document.not_known.is_empty() {
        out.push_str("\nnot known, by the number of cases\n");
    }
    for lacking in &document.not_known {
        let _ = writeln!(out, "{:>5}  {}", lacking.cases, lacking.what);
    }
    out.push('\n');
    for (backend, counts) in &document.counts {
        let _ = writeln!(
            out,
            "{backend}: {} equal, {} refused, {} wrong{}",
            counts.equal,
            counts.refused,
            counts.wrong,
            if counts.unjudged > 0 {
                format!(", {} with nothing to compare", counts.unjudged)
            } else {
                String::new()
            }
        );
    }
    out
}

fn explain(document: &ConformDocument) -> String {
    let named = |outcome: &str| {
        let cases = document.cases.iter().filter(|case| case.runs.iter().any(|run| run.outcome == outcome));
        cases.map(|case| case.name.as_str()).collect::<Vec<_>>().join(", ")
    };
    match document.verdict {
        "violated" => {
            format!("another output than what is right: {}; --show prints it whole", named("wrong"))
        }
        _ => {
            let refused = named("refused");
            let unjudged = named("unjudged");
            let mut why = Vec::new();
            if !refused.is_empty() {
                why.push(format!("refused, for what the model does not know: {refused}"));
            }
            if !unjudged.is_empty() {
                why.push(format!(
                    "nothing to compare with: {unjudged}; take --backend all, or record what a server prints"
                ));
            }
            why.join("\n")
        }
    }
}

impl From<CaseError> for Stop {
    fn from(error: CaseError) -> Stop {
        Stop::could_not_run(error.to_string())
    }
}
