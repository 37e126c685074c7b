//! Histories of known strength: a simulated database with clients, whose bugs can be switched on.
//!
//! The same [`Spec`] gives the same history to the byte. Each line is an operation as elle-cli and Jepsen have
//! them, in JSON; a history of several systems is in Crosscheck's own format.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

mod database;
mod logs;
mod objects;
mod random;
mod systems;
mod transactions;

/// What kind of history it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Transactions that append to lists and read them.
    ListAppend,
    /// Transactions that write unique values to registers and read them.
    RwRegister,
    /// One register, each value written once.
    Register,
    /// One register with compare-and-set over a handful of values.
    CasRegister,
    /// A set that is added to and read.
    Set,
    /// A queue that is filled and drained.
    Queue,
    /// Transfers between accounts, and reads of all of them.
    Bank,
    /// Transactions that send to a log and poll from it.
    Kafka,
    /// A database with an outbox, a relay and a consumer.
    CrossSystem,
}

/// How strong the database is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// Every transaction takes place at one moment between its invocation and its completion.
    Serializable,
    /// Reads are of the start; who writes what another has written since fails.
    SnapshotIsolation,
    /// Reads are of what is committed at their moment.
    ReadCommitted,
    /// Writes are seen at once, and stay if their transaction fails.
    ReadUncommitted,
    /// Reads are of the start, and what others wrote since is written over.
    LostUpdate,
}

const KINDS: [(&str, Kind); 9] = [
    ("list-append", Kind::ListAppend),
    ("rw-register", Kind::RwRegister),
    ("register", Kind::Register),
    ("cas-register", Kind::CasRegister),
    ("set", Kind::Set),
    ("queue", Kind::Queue),
    ("bank", Kind::Bank),
    ("kafka", Kind::Kafka),
    ("cross-system", Kind::CrossSystem),
];

const ISOLATIONS: [(&str, Isolation); 5] = [
    ("serializable", Isolation::Serializable),
    ("snapshot-isolation", Isolation::SnapshotIsolation),
    ("read-committed", Isolation::ReadCommitted),
    ("read-uncommitted", Isolation::ReadUncommitted),
    ("lost-update", Isolation::LostUpdate),
];

fn named<T: Copy>(known: &[(&str, T)], name: &str) -> Result<T, String> {
    let found = known.iter().find(|(known, _)| *known == name).map(|(_, value)| *value);
    found.ok_or_else(|| {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        format!("{name:?} is none of {}", names.join(", "))
    })
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Kind, String> {
        named(&KINDS, name)
    }
}

impl FromStr for Isolation {
    type Err = String;

    fn from_str(name: &str) -> Result<Isolation, String> {
        named(&ISOLATIONS, name)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(KINDS.iter().find(|(_, kind)| kind == self).map_or("", |(name, _)| name))
    }
}

impl fmt::Display for Isolation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(ISOLATIONS.iter().find(|(_, isolation)| isolation == self).map_or("", |(name, _)| name))
    }
}

/// What history to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// Its kind.
    pub kind: Kind,
    /// The strength of the database. Objects that are no transactions take anything but `serializable` as stale
    /// reads and lost writes; logs and several systems each have bugs of their own for each.
    pub isolation: Isolation,
    /// How many operations are invoked.
    pub txns: u64,
    /// What all chance comes from.
    pub seed: u64,
    /// How many clients work at once.
    pub clients: u64,
    /// How many keys are in use at once.
    pub keys: u64,
    /// A key is given up for a new one after so many writes.
    pub writes_per_key: u64,
    /// Of a thousand operations, how many end with nobody knowing whether they happened.
    pub info_per_mille: u32,
    /// Of a thousand operations, how many fail.
    pub fail_per_mille: u32,
    /// Transactions say when they started and committed, by the clock of the database (`start_ts`, `commit_ts`).
    pub timestamps: bool,
    /// Reads and writes of transactions on registers say the version.
    pub versions: bool,
}

impl Spec {
    /// What is taken where nothing else is said.
    pub fn new(kind: Kind, isolation: Isolation, txns: u64, seed: u64) -> Spec {
        Spec {
            kind,
            isolation,
            txns,
            seed,
            clients: 20,
            keys: 16,
            writes_per_key: 32,
            info_per_mille: 0,
            fail_per_mille: 0,
            timestamps: false,
            versions: false,
        }
    }
}

/// Writes the history.
pub fn generate(spec: &Spec, out: &mut dyn Write) -> io::Result<()> {
    match spec.kind {
        Kind::ListAppend | Kind::RwRegister => transactions::generate(spec, out),
        Kind::Register | Kind::CasRegister | Kind::Set | Kind::Queue | Kind::Bank => {
            objects::generate(spec, out)
        }
        Kind::Kafka => logs::generate(spec, out),
        Kind::CrossSystem => systems::generate(spec, out),
    }
}

/// Lines as they come.
struct Log<'a> {
    out: &'a mut dyn Write,
    index: u64,
}

impl Log<'_> {
    fn line(&mut self, process: u64, kind: &str, f: &str, value: fmt::Arguments<'_>) -> io::Result<()> {
        self.line_with(process, kind, f, value, format_args!(""))
    }

    /// A line with further fields.
    fn line_with(
        &mut self,
        process: u64,
        kind: &str,
        f: &str,
        value: fmt::Arguments<'_>,
        more: fmt::Arguments<'_>,
    ) -> io::Result<()> {
        let (index, time) = (self.index, self.index * 1000);
        self.index += 1;
        writeln!(
            self.out,
            "{{\"index\":{index},\"time\":{time},\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value}{more}}}"
        )
    }
}
