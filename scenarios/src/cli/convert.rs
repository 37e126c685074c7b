//! `crosscheck convert`: a history in the format of another tool.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use clap::ValueEnum;
use crosscheck_models::foreign::{
    self, Columns, OpHistory, as_ours, ours_as_edn, ours_as_jsonl, write_edn, write_jsonl,
};
use crosscheck_models::history::History;
use crosscheck_scenarios::run_dir;

use super::check::{Format, detect, format};
use super::output::Out;
use super::{Stop, check, output};

/// Writes a history in the format of another tool
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  crosscheck convert crosscheck-runs/latest --to edn --out history.edn
  crosscheck convert history.edn --to crosscheck     what Jepsen recorded of registers, as one of ours
  crosscheck convert crosscheck-runs/latest --to parquet -o history.parquet
  crosscheck convert rows.csv --to jsonl --columns key=account,process=session")]
pub(crate) struct Args {
    /// A history, or the directory of a run
    #[arg(value_name = "FILE|RUN_DIR")]
    path: PathBuf,
    /// The format that is wanted
    #[arg(long, value_enum)]
    to: To,
    /// crosscheck, edn, json, jsonl, jepsen-log, plume, awdit or csv; told by the file if not given
    #[arg(long, value_name = "F", value_parser = format)]
    format: Option<Format>,
    /// Which column of a table is what, as in key=account,process=session
    #[arg(long, value_name = "ROLE=NAME,..", value_parser = check::columns)]
    columns: Option<Columns>,
    /// The file; stdout if not given
    #[arg(long, short, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// The formats that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum To {
    /// Ours: a header, then one event a line
    Crosscheck,
    /// Jepsen's: one operation a line
    Edn,
    /// Elle-cli's: one operation a line
    Jsonl,
    /// A table for query engines: one event a row; only where it was built with the feature `parquet`
    Parquet,
}

/// Few need it, and it takes a minute more to build.
const WITHOUT_PARQUET: &str = "this crosscheck was built without Parquet: build one that has it with \
    `cargo build --release --features parquet`";

/// A history, whoever recorded it.
enum Recorded {
    Ours(History),
    Others(Box<OpHistory>),
}

/// Reads the history whole, then writes it: what is refused leaves no piece of a file.
pub(crate) fn execute(args: &Args) -> Result<(), Stop> {
    if args.to == To::Parquet && cfg!(not(feature = "parquet")) {
        return Err(Stop::could_not_run(WITHOUT_PARQUET));
    }
    let recorded = load(args).map_err(Stop::could_not_run)?;
    let recorded = match (recorded, args.to) {
        (Recorded::Others(history), To::Crosscheck) => {
            as_ours(&history).map(Recorded::Ours).map_err(|error| {
                Stop::could_not_run(format!(
                    "{}: {error}; --to edn, --to jsonl and --to parquet take it",
                    args.path.display()
                ))
            })?
        }
        (recorded, _) => recorded,
    };
    output::to_file_or_stdout(args.out.as_deref(), |out| write(&recorded, args.to, out))
}

fn load(args: &Args) -> Result<Recorded, String> {
    let path = &args.path;
    let format = match args.format {
        Some(format) => format,
        None => detect(path)?,
    };
    match format {
        Format::Crosscheck => {
            let file = if path.is_dir() { &path.join(run_dir::HISTORY) } else { path };
            let (history, notes) = run_dir::load_history(file).map_err(|error| error.to_string())?;
            for note in notes {
                eprintln!("note: {}, line {}: {}", file.display(), note.line, note.message);
            }
            Ok(Recorded::Ours(history))
        }
        Format::Others(format) => {
            others(path, format, args.columns.as_ref()).map(Box::new).map(Recorded::Others)
        }
    }
}

fn others(path: &Path, format: foreign::Format, columns: Option<&Columns>) -> Result<OpHistory, String> {
    let mut file = File::open(path).map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    let columns = columns.cloned().unwrap_or_default();
    foreign::read_with(&mut file, format, &columns).map_err(|error| format!("{}: {error}", path.display()))
}

fn write(recorded: &Recorded, to: To, out: &mut Out<'_>) -> io::Result<()> {
    match (recorded, to) {
        (Recorded::Ours(history), To::Crosscheck) => {
            writeln!(out, "{}", history.header().to_json_line())?;
            history.events().try_for_each(|event| writeln!(out, "{}", event.to_json_line()))
        }
        (Recorded::Ours(history), To::Edn) => ours_as_edn(history, out),
        #[cfg(feature = "parquet")]
        (Recorded::Ours(history), To::Parquet) => foreign::ours_as_parquet(history, out),
        #[cfg(feature = "parquet")]
        (Recorded::Others(history), To::Parquet) => foreign::write_parquet(history, out),
        #[cfg(not(feature = "parquet"))]
        (_, To::Parquet) => Err(io::Error::other(WITHOUT_PARQUET)),
        (Recorded::Ours(history), To::Jsonl) => ours_as_jsonl(history, out),
        (Recorded::Others(history), To::Jsonl) => write_jsonl(history, out),
        (Recorded::Others(history), To::Edn | To::Crosscheck) => write_edn(history, out),
    }
}
