//! `crosscheck`: the command line. It reads arguments, calls what does the work, and prints.

use std::process::ExitCode;

mod cli;

fn main() -> ExitCode {
    cli::start()
}
