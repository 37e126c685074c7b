//! Histories that others have recorded: Jepsen's, Elle's, AWDIT's, or rows of a table.
//!
//! [`read`] takes any of the [`Format`]s, a buffer at a time, and gives an [`OpHistory`]: operations in the order
//! of the file, each with its process, type, `f` and value as Jepsen has them, invocations paired with
//! completions. Keys and values are interned ([`Store`]), so that a million transactions take a few hundred
//! megabytes. What breaks the format is refused with its line, its column and what was expected.
//!
//! ```
//! use crosscheck_models::foreign::{Format, Outcome, read};
//!
//! let text = "{:process 0, :type :invoke, :f :txn, :value [[:append 3 1] [:r 3 nil]]}
//! {:process 0, :type :ok, :f :txn, :value [[:append 3 1] [:r 3 [1]]]}";
//! let history = read(&mut text.as_bytes(), Format::Edn)?;
//! assert_eq!(history.calls().len(), 1);
//! assert_eq!(history.calls()[0].outcome, Outcome::Ok);
//! # Ok::<(), crosscheck_models::foreign::ReadError>(())
//! ```

use std::collections::BTreeSet;
use std::io::Read;

use thiserror::Error;

mod blocks;
mod call;
mod csv;
mod form;
mod format;
mod log;
mod op;
mod ours;
#[cfg(feature = "parquet")]
mod parquet;
mod part;
mod plume;
mod source;
mod value;
mod write;

pub use call::{Call, Outcome};
pub use csv::Columns;
pub use format::{Format, UnknownFormat, detect};
pub use op::{Op, OpKind, Stamps};
pub use ours::{as_ours, ours_as_edn, ours_as_jsonl};
#[cfg(feature = "parquet")]
pub use parquet::{ours_as_parquet, write_parquet};
pub use value::{Form, Items, Store, Value, Word};
pub use write::{write_edn, write_jsonl};

/// Why a history could not be read.
#[derive(Debug, Error)]
pub enum ReadError {
    /// The text breaks the rules of its format.
    #[error("line {line}, column {column}: {message}")]
    Malformed {
        /// The line, from 1.
        line: u32,
        /// The byte of the line, from 1.
        column: u64,
        /// What was expected there.
        message: String,
    },
    /// The bytes could not be had.
    #[error("cannot read it: {0}")]
    Io(#[from] std::io::Error),
}

/// A history as others record them: operations in the order of the file, and their pairs.
#[derive(Debug, Clone, Default)]
pub struct OpHistory {
    store: Store,
    ops: Vec<Op>,
    calls: Vec<Call>,
    stamped: op::Stamped,
    is_timed: bool,
    /// What the operations do, each name once.
    fs: Vec<Word>,
}

impl OpHistory {
    /// Whether the order of the operations is one of real time, and not only that of each process.
    pub fn is_timed(&self) -> bool {
        self.is_timed
    }

    /// The values of the operations.
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// All operations, in the order of the file, which is the order of real time.
    pub fn ops(&self) -> &[Op] {
        &self.ops
    }

    /// Invocations with their completions, in the order in which they were invoked. Operations of processes
    /// that are no numbers (`:nemesis`) are left out.
    pub fn calls(&self) -> &[Call] {
        &self.calls
    }

    /// The value of an operation, by its place in [`OpHistory::ops`].
    pub fn value(&self, op: u32) -> Value<'_> {
        self.store.value(self.ops[op as usize].value)
    }

    /// What an operation does: `txn`, `read`, `write`, ..
    pub fn f(&self, op: u32) -> &str {
        self.store.as_text(self.ops[op as usize].f).unwrap_or_default()
    }

    /// The calls that do one of these. Names are compared once, and not once for each call.
    pub fn calls_that(&self, names: &[&str]) -> impl Iterator<Item = (u32, &Call)> {
        let is_wanted = |f: &Word| names.contains(&self.store.as_text(*f).unwrap_or_default());
        let wanted: Vec<Word> = self.fs.iter().copied().filter(is_wanted).collect();
        let calls = self.calls.iter().enumerate();
        calls.filter_map(move |(at, call)| {
            wanted.contains(&self.ops[call.telling_op() as usize].f).then_some((at as u32, call))
        })
    }

    /// What calls do, each name once.
    pub(crate) fn names(&self) -> BTreeSet<&str> {
        let mut seen: Vec<Word> = Vec::new();
        for call in &self.calls {
            let f = self.ops[call.telling_op() as usize].f;
            if !seen.contains(&f) {
                seen.push(f);
            }
        }
        seen.into_iter().map(|f| self.store.as_text(f).unwrap_or_default()).collect()
    }

    /// The value that says most about a call: that of its completion where it is known to have happened.
    pub fn value_of(&self, call: &Call) -> Value<'_> {
        self.value(call.telling_op())
    }

    /// Whether any operation carries the timestamps of a start and a commit.
    pub fn has_stamps(&self) -> bool {
        !self.stamped.is_empty()
    }

    /// When a transaction started and committed by the clock of its database, where the history says so.
    pub fn stamps(&self, call: &Call) -> Option<Stamps> {
        let of_op = |at| self.stamps_at(at);
        call.complete.and_then(of_op).or_else(|| call.invoke.and_then(of_op))
    }

    fn stamps_at(&self, op: u32) -> Option<Stamps> {
        let found = self.stamped.binary_search_by_key(&op, |(at, _)| *at);
        found.ok().map(|found| self.stamped[found].1)
    }

    fn new(
        mut store: Store,
        ops: Vec<Op>,
        stamped: op::Stamped,
        is_timed: bool,
    ) -> Result<OpHistory, ReadError> {
        store.shrink();
        let calls = call::pair(&store, &ops)?;
        let mut fs: Vec<Word> = Vec::new();
        for op in &ops {
            if fs.last() != Some(&op.f) && !fs.contains(&op.f) {
                fs.push(op.f);
            }
        }
        Ok(OpHistory { store, ops, calls, stamped, is_timed, fs })
    }
}

/// Reads a history of a format that is named. `columns` are those of a [`Format::Csv`].
pub fn read_with(input: &mut dyn Read, format: Format, columns: &Columns) -> Result<OpHistory, ReadError> {
    read_sized(input, format, columns, None)
}

/// The same of a text of so many bytes: memory for what it holds is then asked for once.
pub fn read_sized(
    input: &mut dyn Read,
    format: Format,
    columns: &Columns,
    length: Option<u64>,
) -> Result<OpHistory, ReadError> {
    let untold = |(store, ops)| (store, ops, Vec::new());
    let (store, ops, stamped) = match format {
        Format::Edn => blocks::read(input, form::Notation::Edn, length)?,
        Format::Json => blocks::read(input, form::Notation::Json, length)?,
        Format::JepsenLog => untold(log::read(source::Source::new(input))?),
        Format::Plume => untold(plume::read(source::Source::new(input))?),
        Format::Csv => untold(csv::read(source::Source::new(input), columns)?),
    };
    OpHistory::new(store, ops, stamped, format != Format::Plume)
}

/// Reads a history of a format that is named; a table's columns by their own names.
pub fn read(input: &mut dyn Read, format: Format) -> Result<OpHistory, ReadError> {
    read_with(input, format, &Columns::default())
}
