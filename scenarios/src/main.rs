//! `crosscheck`: the command line. It reads arguments, calls what does the work, and prints.

use std::process::ExitCode;

mod cli;

/// The explorer and the checkers allocate much, and in small pieces.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::start()
}
