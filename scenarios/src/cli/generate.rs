//! `crosscheck generate`: histories of a simulated database of known strength, to try checkers on.

use std::path::PathBuf;

use crosscheck_models::generate::{Isolation, Kind, Spec, generate};

use super::{Stop, output};

/// Writes a history of known strength: a simulated database, with bugs that are switched on by name
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  crosscheck generate --kind list-append --txns 1000 --out h.jsonl
  crosscheck generate --kind rw-register --isolation read-committed --seed 7 --out weak.jsonl
  crosscheck generate --kind rw-register --isolation snapshot-isolation --timestamps --versions --out si.jsonl
  crosscheck generate --kind cas-register --clients 40 --info 20 --txns 2000 --out cas.jsonl
  crosscheck generate --kind cross-system --isolation lost-update --out events.jsonl")]
pub(crate) struct Args {
    /// list-append, rw-register, register, cas-register, set, queue, bank, kafka or cross-system
    #[arg(long, value_name = "K")]
    kind: Kind,
    /// serializable, snapshot-isolation, read-committed, read-uncommitted or lost-update
    #[arg(long, value_name = "I", default_value = "serializable")]
    isolation: Isolation,
    /// How many operations are invoked
    #[arg(long, value_name = "N", default_value_t = 1000)]
    txns: u64,
    /// What all randomness comes from
    #[arg(long, value_name = "S", default_value_t = 1)]
    seed: u64,
    /// How many clients work at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    clients: Option<u64>,
    /// How many keys are in use at once
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    keys: Option<u64>,
    /// A key is given up for a new one after so many writes
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    writes_per_key: Option<u64>,
    /// Of a thousand operations, how many end with nobody knowing whether they happened
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    info: u32,
    /// Of a thousand operations, how many fail
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = clap::value_parser!(u32).range(0..=1000))]
    fail: u32,
    /// Transactions: each says when it started and committed, by the clock of the database
    #[arg(long)]
    timestamps: bool,
    /// Transactions on registers: each read and write says the version
    #[arg(long)]
    versions: bool,
    /// The file; stdout if not given
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Writes the history.
pub(crate) fn execute(args: &Args) -> Result<(), Stop> {
    let mut spec = Spec::new(args.kind, args.isolation, args.txns, args.seed);
    spec.clients = args.clients.unwrap_or(spec.clients);
    spec.keys = args.keys.unwrap_or(spec.keys);
    spec.writes_per_key = args.writes_per_key.unwrap_or(spec.writes_per_key);
    spec.info_per_mille = args.info;
    spec.fail_per_mille = args.fail;
    (spec.timestamps, spec.versions) = (args.timestamps, args.versions);
    if args.timestamps && !matches!(args.kind, Kind::ListAppend | Kind::RwRegister) {
        return Err(Stop::usage(
            "--timestamps is for transactions: --kind list-append or --kind rw-register",
        ));
    }
    if args.versions && args.kind != Kind::RwRegister {
        return Err(Stop::usage("--versions is for transactions on registers: --kind rw-register"));
    }
    output::to_file_or_stdout(args.out.as_deref(), |out| generate(&spec, out))
}
