//! The commands, one a file; how they are told apart and how they end.

use std::panic::{self, AssertUnwindSafe};
use std::process::ExitCode;

use clap::{Parser, Subcommand};

mod args;
mod bench;
mod check;
mod conform;
mod convert;
mod doctor;
mod exit;
mod explore;
mod generate;
mod list;
mod matrix;
mod output;
mod replay;
mod report;
mod run;
mod session;
mod value;

pub(crate) use exit::{Exit, Stop};
pub(crate) use output::Output;

/// Finds what dual writes, outboxes, CDC pipelines and caches lose, reorder or tear apart, and shows the few
/// steps that did it
#[derive(Debug, Parser)]
#[command(version, after_help = EXIT_CODES)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

const EXIT_CODES: &str = "\
Exit codes:
  0  valid, or as expected
  1  violated, or not as expected
  2  wrong usage
  3  unknown: the observations do not decide it
  4  could not run: a server or a file is missing or malformed";

#[derive(Debug, Subcommand)]
enum Command {
    List(list::Args),
    Matrix(args::MatrixArgs),
    Run(args::RunArgs),
    Explore(explore::Args),
    Replay(args::ReplayArgs),
    Check(check::Args),
    Conform(conform::Args),
    Generate(generate::Args),
    Convert(convert::Args),
    Report(report::Args),
    Doctor(doctor::Args),
    Bench(args::BenchArgs),
}

impl Command {
    fn execute(self) -> Result<(), Stop> {
        match self {
            Command::List(args) => list::execute(&args),
            Command::Matrix(args) => matrix::execute(&args),
            Command::Run(args) => run::execute(&args),
            Command::Explore(args) => explore::execute(&args),
            Command::Replay(args) => replay::execute(&args),
            Command::Check(args) => check::execute(args),
            Command::Conform(args) => conform::execute(&args),
            Command::Generate(args) => generate::execute(&args),
            Command::Convert(args) => convert::execute(&args),
            Command::Report(args) => report::execute(&args),
            Command::Doctor(args) => doctor::execute(&args),
            Command::Bench(args) => bench::execute(&args),
        }
    }
}

/// Reads the arguments, does what they say, and explains every exit other than 0.
pub(crate) fn start() -> ExitCode {
    let cli = Cli::parse();
    panic::set_hook(Box::new(|info| {
        let place = info.location().map_or_else(String::new, |place| format!(" at {place}"));
        let what = info.payload_as_str().unwrap_or("no message");
        eprintln!("error: a bug in Crosscheck{place}: {}", what.replace('\n', " "));
    }));
    // Unwinding lets go of servers and files; the hook has said what happened.
    let ended = panic::catch_unwind(AssertUnwindSafe(|| cli.command.execute()));
    match ended {
        Ok(Ok(())) => Exit::Valid.into(),
        Ok(Err(stop)) => {
            eprintln!("{stop}");
            stop.exit.into()
        }
        Err(_) => Exit::CouldNotRun.into(),
    }
}
