//! All checkers of histories of others by their names, with one kind of answer.
//!
//! ```
//! use crosscheck_models::checker::{Checker, Options, applicable, check};
//! use crosscheck_models::foreign::{Format, read};
//! use crosscheck_models::verdict::Verdict;
//!
//! let text = "{:process 0 :type :ok :f :add :value 1}{:process 0 :type :ok :f :read :value []}";
//! let history = read(&mut text.as_bytes(), Format::Edn)?;
//! assert_eq!(applicable(&history), [Checker::SetFull]);
//! let found = check(&history, "set".parse()?, &Options::default(), &mut || true)?;
//! assert_eq!((found.verdict, found.anomalies[0].kind), (Verdict::Violated, "lost"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;
use serde_json::{Value as Json, json};
use thiserror::Error;

use crate::collection::{self, BankOptions, SetOptions};
use crate::foreign::OpHistory;
use crate::isolation::{self, Inference, Judgement, Level, Order, ShapeError};
use crate::object::{self, Keys, Object};
use crate::session::Guarantee;
use crate::staleness::StalenessOptions;
use crate::verdict::Verdict;
use crate::weak::{self, WeakLevel};

mod applies;
mod sessions;
mod smallest;

pub use applies::applicable;
pub use smallest::SubHistory;

/// A checker of histories of others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Checker {
    /// Transactions that append to lists.
    ListAppend,
    /// Transactions that write registers.
    RwRegister,
    /// Registers whose transactions read what is committed.
    ReadCommitted,
    /// Registers whose transactions are seen whole.
    ReadAtomic,
    /// Registers whose transactions are seen after what came before them.
    Causal,
    /// Sessions that see their own writes.
    ReadYourWrites,
    /// Sessions whose reads do not go back.
    MonotonicReads,
    /// Sessions whose writes are seen in their order.
    MonotonicWrites,
    /// Sessions whose writes are seen behind what they had read.
    WritesFollowReads,
    /// The first three of these together.
    Pram,
    /// How far reads are behind.
    Staleness,
    /// A linearizable register, or one for each key.
    Register,
    /// Several registers whose transactions are linearizable.
    MultiRegister,
    /// A linearizable counter.
    LinearizableCounter,
    /// A linearizable lock.
    Mutex,
    /// A linearizable queue.
    FifoQueue,
    /// The last read of a set.
    Set,
    /// Every read of a set.
    SetFull,
    /// A counter between bounds.
    Counter,
    /// What is dequeued was enqueued.
    Queue,
    /// What goes in comes out.
    TotalQueue,
    /// Ids are unique.
    UniqueIds,
    /// Accounts keep their total.
    Bank,
    /// Reads see writes in one order.
    LongFork,
    /// Reads see writes in the order of real time.
    CausalReverse,
    /// Inserts that exclude each other.
    AdyaG2,
    /// A log gives what was sent to it, once and in order.
    Kafka,
}

const NAMES: [(&str, Checker); 27] = [
    ("list-append", Checker::ListAppend),
    ("rw-register", Checker::RwRegister),
    ("read-committed", Checker::ReadCommitted),
    ("read-atomic", Checker::ReadAtomic),
    ("causal", Checker::Causal),
    ("read-your-writes", Checker::ReadYourWrites),
    ("monotonic-reads", Checker::MonotonicReads),
    ("monotonic-writes", Checker::MonotonicWrites),
    ("writes-follow-reads", Checker::WritesFollowReads),
    ("pram", Checker::Pram),
    ("staleness", Checker::Staleness),
    ("register", Checker::Register),
    ("multi-register", Checker::MultiRegister),
    ("linearizable-counter", Checker::LinearizableCounter),
    ("mutex", Checker::Mutex),
    ("fifo-queue", Checker::FifoQueue),
    ("set", Checker::Set),
    ("set-full", Checker::SetFull),
    ("counter", Checker::Counter),
    ("queue", Checker::Queue),
    ("total-queue", Checker::TotalQueue),
    ("unique-ids", Checker::UniqueIds),
    ("bank", Checker::Bank),
    ("long-fork", Checker::LongFork),
    ("causal-reverse", Checker::CausalReverse),
    ("adya-g2", Checker::AdyaG2),
    ("kafka", Checker::Kafka),
];

/// A name that is no checker.
#[derive(Debug, Error)]
#[error("no checker is called {name:?}: they are {known}")]
pub struct UnknownChecker {
    name: String,
    known: String,
}

impl Checker {
    /// All of them.
    pub fn all() -> impl Iterator<Item = Checker> {
        NAMES.iter().map(|(_, checker)| *checker)
    }

    /// Those of the guarantees of sessions.
    pub const SESSIONS: [Checker; 5] = [
        Checker::ReadYourWrites,
        Checker::MonotonicReads,
        Checker::MonotonicWrites,
        Checker::WritesFollowReads,
        Checker::Pram,
    ];

    /// Whether a part of a history says anything by itself: not of sets and logs, where all counts.
    fn has_parts(self) -> bool {
        self <= Checker::Pram || (Checker::Register..=Checker::FifoQueue).contains(&self)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        NAMES.iter().find(|(_, checker)| *checker == self).map_or("", |(name, _)| name)
    }
}

impl Checker {
    /// What it is about, in a line.
    pub fn about(self) -> &'static str {
        match self {
            Checker::ListAppend => "transactions that append to lists",
            Checker::RwRegister => "transactions that write registers",
            Checker::ReadCommitted => "registers whose transactions read what is committed",
            Checker::ReadAtomic => "registers whose transactions are seen whole",
            Checker::Causal => "registers whose transactions are seen after what came before them",
            Checker::ReadYourWrites => "registers whose sessions see their own writes",
            Checker::MonotonicReads => "registers whose sessions never read an older version than before",
            Checker::MonotonicWrites => "registers that show a session's writes in their order",
            Checker::WritesFollowReads => "registers that show a write only with what its session had read",
            Checker::Pram => "read your writes, monotonic reads and monotonic writes together",
            Checker::Staleness => "how many versions, and how long, reads of registers are behind",
            Checker::Register => "a linearizable register, or one for each key",
            Checker::MultiRegister => "several registers whose transactions are linearizable",
            Checker::LinearizableCounter => "a linearizable counter",
            Checker::Mutex => "a linearizable lock",
            Checker::FifoQueue => "a linearizable queue",
            Checker::Set => "the last read of a set",
            Checker::SetFull => "every read of a set",
            Checker::Counter => "a counter between bounds",
            Checker::Queue => "what is dequeued was enqueued",
            Checker::TotalQueue => "what goes in comes out",
            Checker::UniqueIds => "ids are unique",
            Checker::Bank => "accounts keep their total",
            Checker::LongFork => "reads see writes in one order",
            Checker::CausalReverse => "reads see writes in the order of real time",
            Checker::AdyaG2 => "inserts that exclude each other",
            Checker::Kafka => "a log gives what was sent to it, once and in order",
        }
    }
}

impl fmt::Display for Checker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Checker {
    type Err = UnknownChecker;

    fn from_str(name: &str) -> Result<Checker, UnknownChecker> {
        let found = NAMES.iter().find(|(known, _)| *known == name).map(|(_, checker)| *checker);
        found.ok_or_else(|| {
            let known: Vec<&str> = NAMES.iter().map(|(name, _)| *name).collect();
            UnknownChecker { name: name.to_owned(), known: known.join(", ") }
        })
    }
}

/// What the checkers are told beside the history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The consistency model that transactions are judged against.
    pub level: Level,
    /// What is assumed of the versions of registers.
    pub inference: Inference,
    /// How accounts are judged.
    pub bank: BankOptions,
    /// How sets are judged.
    pub set: SetOptions,
    /// Whether an object is one, or one for each key.
    pub keys: Keys,
    /// How many keys each read of a long fork has; as many as it reads, if not given.
    pub group_size: Option<usize>,
    /// How far reads may be behind.
    pub staleness: StalenessOptions,
    /// Certificates are replayed too; one that does not explain the history makes the verdict unknown.
    pub replay: bool,
    /// The smallest part that fails by itself is looked for, where a history is violated.
    pub smallest: bool,
}

/// What one checker says of one history.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Check {
    /// The checker.
    pub checker: &'static str,
    /// The consistency model, of checkers that have one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub level: Option<&'static str>,
    /// Whether it holds.
    pub verdict: Verdict,
    /// What violates it, the worst first.
    pub anomalies: Vec<Seen>,
    /// What was seen beside, and violates nothing that was asked for.
    pub also_seen: Vec<Seen>,
    /// The weakest consistency models that are ruled out.
    pub not: Vec<&'static str>,
    /// The stronger ones.
    pub also_not: Vec<&'static str>,
    /// Why the verdict is unknown, or what limits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What it rests on.
    pub exercised: BTreeMap<&'static str, u64>,
    /// An order of the calls that shows the history valid: `{"kind", "calls"}`.
    #[serde(skip)]
    pub certificate: Option<Json>,
    /// The smallest part of the history that fails by itself, where it was asked for and found.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sub_history: Option<SubHistory>,
}

/// One kind of anomaly, with the evidence of the first.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Seen {
    /// Its name.
    pub kind: &'static str,
    /// How many there are.
    pub count: u64,
    /// The evidence as data.
    pub witness: Json,
    /// The evidence in words.
    #[serde(skip)]
    pub text: Vec<String>,
}

/// Judges a history. A violation is taken back where the history alone does not show its witness: a bug in
/// Crosscheck must not accuse anybody. `go_on` is asked now and then: once it says no, what is not decided by then
/// is unknown.
pub fn check(
    history: &OpHistory,
    checker: Checker,
    options: &Options,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Check, ShapeError> {
    let isolation = isolation::Options { level: options.level, inference: options.inference };
    let of_sessions = |guarantee, go_on: &mut dyn FnMut() -> bool| {
        sessions::of_sessions(history, guarantee, options.inference, go_on)
    };
    let collected = |checker| Ok(of_collection(collection::check(history, checker)));
    let mut found = match checker {
        Checker::ListAppend => {
            of_isolation(history, options, isolation::list_append(history, &isolation, go_on)?)
        }
        Checker::RwRegister => {
            of_isolation(history, options, isolation::rw_register(history, &isolation, go_on)?)
        }
        Checker::ReadCommitted => of_weak(history, WeakLevel::ReadCommitted, go_on)?,
        Checker::ReadAtomic => of_weak(history, WeakLevel::ReadAtomic, go_on)?,
        Checker::Causal => of_weak(history, WeakLevel::Causal, go_on)?,
        Checker::ReadYourWrites => of_sessions(Guarantee::ReadYourWrites, go_on)?,
        Checker::MonotonicReads => of_sessions(Guarantee::MonotonicReads, go_on)?,
        Checker::MonotonicWrites => of_sessions(Guarantee::MonotonicWrites, go_on)?,
        Checker::WritesFollowReads => of_sessions(Guarantee::WritesFollowReads, go_on)?,
        Checker::Pram => of_sessions(Guarantee::Pram, go_on)?,
        Checker::Staleness => sessions::of_staleness(history, options.staleness, go_on)?,
        Checker::Register => of_object(history, options, Object::Register, go_on)?,
        Checker::MultiRegister => of_object(history, options, Object::MultiRegister, go_on)?,
        Checker::LinearizableCounter => of_object(history, options, Object::Counter, go_on)?,
        Checker::Mutex => of_object(history, options, Object::Mutex, go_on)?,
        Checker::FifoQueue => of_object(history, options, Object::FifoQueue, go_on)?,
        Checker::Set => collected(collection::Checker::Set(options.set))?,
        Checker::SetFull => collected(collection::Checker::SetFull(options.set))?,
        Checker::Counter => collected(collection::Checker::Counter)?,
        Checker::Queue => collected(collection::Checker::Queue)?,
        Checker::TotalQueue => collected(collection::Checker::TotalQueue)?,
        Checker::UniqueIds => collected(collection::Checker::UniqueIds)?,
        Checker::Bank => collected(collection::Checker::Bank(options.bank))?,
        Checker::LongFork => collected(collection::Checker::LongFork(options.group_size))?,
        Checker::CausalReverse => collected(collection::Checker::CausalReverse)?,
        Checker::AdyaG2 => collected(collection::Checker::AdyaG2)?,
        Checker::Kafka => collected(collection::Checker::Kafka)?,
    };
    found.checker = checker.name();
    if options.smallest && checker.has_parts() {
        found.sub_history = smallest::smallest(history, checker, options, &found, go_on);
    }
    Ok(found)
}

fn unproved(what: &str, reason: &str) -> Option<String> {
    Some(format!("the {what} did not verify (a bug in Crosscheck): {reason}"))
}

fn of_isolation(history: &OpHistory, options: &Options, judgement: Judgement) -> Check {
    let Judgement { mut verdict, level, mut reason, .. } = judgement;
    let seen = |found: &isolation::Found| Seen {
        kind: found.kind.name(),
        count: found.count,
        witness: json!(found.witness),
        text: found.witness.text.clone(),
    };
    let (mut anomalies, mut doubt) = (Vec::new(), None);
    for found in &judgement.anomalies {
        match isolation::verify_witness(history, &found.witness) {
            Ok(()) => anomalies.push(seen(found)),
            Err(error) => doubt = unproved("witness", &error),
        }
    }
    if verdict == Verdict::Violated && anomalies.is_empty() {
        (verdict, reason) = (Verdict::Unknown, doubt);
    }
    if let Some(order) = judgement.order.as_ref().filter(|_| options.replay)
        && let Err(error) = isolation::verify_order(history, order)
    {
        (verdict, reason) = (Verdict::Unknown, unproved("order", &error));
    }
    Check {
        checker: "",
        level: Some(level.name()),
        verdict,
        anomalies,
        also_seen: judgement.also_seen.iter().map(seen).collect(),
        not: judgement.not,
        also_not: judgement.also_not,
        reason,
        exercised: judgement.exercised,
        certificate: judgement.order.filter(|_| verdict == Verdict::Valid).map(|order| match order {
            Order::Serial { calls, .. } => json!({"kind": "serial", "calls": calls}),
            Order::Snapshot { points, .. } => json!({"kind": "snapshot", "points": points}),
            Order::Commit { calls } => json!({"kind": "commit", "calls": calls}),
        }),
        sub_history: None,
    }
}

fn of_weak(
    history: &OpHistory,
    level: WeakLevel,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Check, ShapeError> {
    let found = weak::weak(history, level, go_on)?;
    let reads = found.reads.iter().map(|read| Seen {
        kind: read.kind,
        count: read.count,
        witness: json!(read.witness),
        text: read.witness.text.clone(),
    });
    let mut anomalies: Vec<Seen> = reads.collect();
    let (mut verdict, mut reason) = (found.verdict, found.reason);
    let proved = found.circle.as_ref().map(|circle| (circle, weak::verify_circle(history, level, circle)));
    if let Some((_, Err(error))) = &proved {
        reason = unproved("witness", error);
    }
    if let Some((circle, Ok(()))) = proved {
        let kind = match level {
            WeakLevel::ReadCommitted => "read-committed-cycle",
            WeakLevel::ReadAtomic => "read-atomic-cycle",
            WeakLevel::Causal => "causal-cycle",
        };
        anomalies.push(Seen { kind, count: 1, witness: json!(circle), text: circle.text.clone() });
    }
    if verdict == Verdict::Violated && anomalies.is_empty() {
        verdict = Verdict::Unknown;
    }
    Ok(Check {
        checker: "",
        level: Some(level.name()),
        verdict,
        not: if verdict == Verdict::Violated { vec![level.name()] } else { Vec::new() },
        anomalies,
        also_seen: Vec::new(),
        also_not: Vec::new(),
        reason: reason.filter(|_| verdict != Verdict::Violated),
        exercised: found.exercised,
        certificate: found.order.map(|calls| json!({"kind": "commit", "calls": calls})),
        sub_history: None,
    })
}

fn of_object(
    history: &OpHistory,
    options: &Options,
    object: Object,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Check, ShapeError> {
    let found = object::linearizable(history, object, options.keys, go_on)?;
    let (mut verdict, mut reason) = (found.verdict, found.reason.clone());
    if verdict == Verdict::Valid
        && options.replay
        && let Err(error) = object::verify_linearization(history, object, options.keys, &found)
    {
        (verdict, reason) = (Verdict::Unknown, unproved("order", &error));
    }
    let anomalies = found.witness.iter().map(|witness| Seen {
        kind: witness.kind,
        count: 1,
        witness: json!(witness),
        text: witness.text.clone(),
    });
    Ok(Check {
        checker: "",
        level: Some("linearizable"),
        verdict,
        anomalies: anomalies.collect(),
        also_seen: Vec::new(),
        not: if verdict == Verdict::Violated { vec!["linearizable"] } else { Vec::new() },
        also_not: if verdict == Verdict::Violated { vec!["strict-serializable"] } else { Vec::new() },
        reason,
        exercised: found.exercised,
        certificate: (verdict == Verdict::Valid).then(|| json!({"kind": "linear", "keys": found.orders})),
        sub_history: None,
    })
}

fn of_collection(found: collection::Collected) -> Check {
    let seen = |anomaly: &collection::Anomaly| Seen {
        kind: anomaly.kind,
        count: anomaly.count,
        witness: json!({"calls": anomaly.calls, "text": anomaly.text}),
        text: vec![anomaly.text.clone()],
    };
    let (anomalies, also_seen): (Vec<_>, Vec<_>) =
        found.anomalies.iter().partition(|anomaly| anomaly.is_violation);
    Check {
        checker: "",
        level: None,
        verdict: found.verdict,
        anomalies: anomalies.into_iter().map(seen).collect(),
        also_seen: also_seen.into_iter().map(seen).collect(),
        not: Vec::new(),
        also_not: Vec::new(),
        reason: found.reason,
        exercised: found.exercised,
        certificate: None,
        sub_history: None,
    }
}
