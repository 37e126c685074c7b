//! Transactional isolation: which anomalies a history has, and which consistency models it rules out.
//!
//! [`list_append`] judges histories whose keys are lists, [`rw_register`] those whose keys are registers with
//! unique values. Both build the graph of dependencies between transactions and look for its cycles, as Elle does
//! (Kingsbury and Alvaro, VLDB 2020), in time that grows with the size of the history. An anomaly comes with the
//! smallest cycle that was found and why each of its edges holds; [`verify_witness`] checks it against the
//! history alone. What is valid comes with an order of the transactions, which [`verify_order`] replays.
//!
//! Where each transaction that happened carries the timestamps of its start and its commit (`start_ts` and
//! `commit_ts`, or `:start-ts` and `:commit-ts`), snapshot isolation is judged by these, and nothing is inferred.
//!
//! ```
//! use crosscheck_models::foreign::{Format, read};
//! use crosscheck_models::isolation::{Options, list_append, verify_witness};
//! use crosscheck_models::verdict::Verdict;
//!
//! // Two transactions read the same list and both append to it.
//! let text = "{:process 0, :type :invoke, :f :txn, :value [[:r 1 nil] [:append 1 1]]}
//! {:process 1, :type :invoke, :f :txn, :value [[:r 1 nil] [:append 1 2]]}
//! {:process 0, :type :ok, :f :txn, :value [[:r 1 []] [:append 1 1]]}
//! {:process 1, :type :ok, :f :txn, :value [[:r 1 []] [:append 1 2]]}";
//! let history = read(&mut text.as_bytes(), Format::Edn)?;
//! let found = list_append(&history, &Options::default(), &mut || true)?;
//! assert_eq!(found.verdict, Verdict::Violated);
//! assert_eq!(found.not, ["ROLA", "cursor-stability"]);
//! verify_witness(&history, &found.anomalies[0].witness)?;
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::BTreeMap;

use serde::Serialize;

use crate::foreign::{OpHistory, Outcome};
use crate::verdict::Verdict;

mod anomaly;
mod cycle;
mod found;
mod graph;
mod level;
mod list_append;
mod log_cycles;
mod order;
mod proof;
mod register_order;
mod replay;
mod rw_register;
mod search;
mod sources;
mod stamp_proof;
mod stated;
mod timestamps;
mod txns;
mod versions;
mod witness;

pub use anomaly::{Anomaly, Extent, Family};
pub use level::{Level, UnknownLevel, ruled_out};
pub(crate) use log_cycles::{LogCycle, LogEdge, log_cycles};
pub use order::Order;
pub use proof::verify_witness;
pub use register_order::Inference;
pub use replay::verify_order;
pub use sources::ReadAnomaly;
pub(crate) use sources::Sources;
pub use txns::ShapeError;
pub use witness::{Step, Why, Witness};

use found::Findings;
use graph::Edges;
use search::Dependencies;
use timestamps::Stamped;
use txns::{Kind, Txns};

/// What a history is judged against.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Options {
    /// The consistency model.
    pub level: Level,
    /// What is assumed of the versions of registers.
    pub inference: Inference,
}

/// One kind of anomaly in a history.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Found {
    /// Which.
    pub kind: Anomaly,
    /// How many: of direct anomalies each, of cycles the components of the graph that have one.
    pub count: u64,
    /// The evidence of the first.
    pub witness: Witness,
}

/// What a history was found to be.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Judgement {
    /// Whether it is of the level.
    pub verdict: Verdict,
    /// The level.
    #[serde(serialize_with = "as_text")]
    pub level: Level,
    /// What the level forbids, the worst first.
    pub anomalies: Vec<Found>,
    /// What was found too, and the level allows.
    pub also_seen: Vec<Found>,
    /// The weakest consistency models that the history is none of.
    pub not: Vec<&'static str>,
    /// The stronger ones, which it is none of either.
    pub also_not: Vec<&'static str>,
    /// Why the verdict is unknown, or what limits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the verdict rests on.
    pub exercised: BTreeMap<&'static str, u64>,
    /// An order of the transactions that shows the history valid.
    #[serde(skip)]
    pub order: Option<Order>,
}

fn as_text<S: serde::Serializer>(level: &Level, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(level.name())
}

/// Judges transactions of appends and reads of lists. `go_on` is asked now and then: once it says no, what is
/// not decided by then is unknown.
pub fn list_append(
    history: &OpHistory,
    options: &Options,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Judgement, ShapeError> {
    let txns = Txns::of(history, Kind::List)?;
    let mut findings = Findings::default();
    let stamped = timestamps::judge(&txns, options.level, &mut findings, go_on);
    if let Stamped::Judged(order) = stamped {
        return Ok(by_timestamps(&txns, options.level, findings, order));
    }
    let versions = versions::Versions::of(&txns, &mut findings);
    if search::is_over(search::extent_of(options.level), &mut findings, go_on) {
        return Ok(judgement(&txns, options.level, findings, None));
    }
    let mut edges = Edges::new(txns.txns.len());
    list_append::add_dependencies(&txns, &versions, &mut edges);
    let dependencies = Dependencies {
        txns: &txns,
        committed: &versions.committed,
        unordered: &|| list_append::unordered(&txns, &versions),
        explain: &|from, to, kind| list_append::explain(&txns, &versions, from, to, kind),
    };
    let order = search::cycles(&dependencies, edges, options.level, &mut findings, go_on);
    Ok(stamped.noted(judgement(&txns, options.level, findings, order)))
}

/// Judges transactions of writes and reads of registers with unique values. Unless an inference is allowed, all
/// that is known of the versions is that the initial one is the first: a verdict of valid rests on what could be
/// inferred, and comes with an order of all transactions where one was found. Where micro-operations state the
/// version, as `[:w key value version]`, the order of the versions is known.
pub fn rw_register(
    history: &OpHistory,
    options: &Options,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Judgement, ShapeError> {
    let txns = Txns::of(history, Kind::Register)?;
    let mut findings = Findings::default();
    let stamped = timestamps::judge(&txns, options.level, &mut findings, go_on);
    if let Stamped::Judged(order) = stamped {
        return Ok(by_timestamps(&txns, options.level, findings, order));
    }
    let registers = rw_register::Registers::of(&txns, &mut findings);
    if search::is_over(search::extent_of(options.level), &mut findings, go_on) {
        return Ok(judgement(&txns, options.level, findings, None));
    }
    let inferred = register_order::Inferred::of(&txns, &registers, options.inference, &mut findings);
    let edges = || {
        let mut edges = Edges::new(txns.txns.len());
        rw_register::add_dependencies(&registers, &inferred, &mut edges);
        edges
    };
    let dependencies = Dependencies {
        txns: &txns,
        committed: &registers.committed,
        unordered: &Vec::new,
        explain: &|from, to, kind| rw_register::explain(&txns, &registers, &inferred, from, to, kind),
    };
    let order = search::cycles(&dependencies, edges(), options.level, &mut findings, go_on);
    let order = order.and_then(|order| match order {
        Order::Serial { extent, .. } => {
            let first = search::serial_order(&txns, &registers.committed, edges(), options.level)?;
            let mut total = edges();
            rw_register::add_total_order(&registers, &inferred, &first, &mut total);
            let second = search::serial_order(&txns, &registers.committed, total, options.level)?;
            let calls = second.into_iter().map(|txn| txns.txns[txn as usize].call).collect();
            Some(Order::Serial { calls, extent })
        }
        Order::Snapshot { .. } if inferred.is_stated => Some(order),
        // What came before what among versions is not known well enough for these.
        Order::Snapshot { .. } | Order::Commit { .. } => None,
    });
    Ok(stamped.noted(judgement(&txns, options.level, findings, order)))
}

/// What the timestamps of the transactions say.
fn by_timestamps(txns: &Txns<'_>, level: Level, findings: Findings, order: Option<Order>) -> Judgement {
    let mut judged = judgement(txns, level, findings, order);
    if judged.verdict != Verdict::Unknown {
        judged.reason = Some("judged by the timestamps of starts and commits in the history".to_owned());
    }
    judged
}

fn judgement(txns: &Txns<'_>, level: Level, findings: Findings, order: Option<Order>) -> Judgement {
    let (found, undecided) = findings.into_found();
    let (not, also_not) = ruled_out(found.iter().map(|(anomaly, ..)| *anomaly));
    let found = found.into_iter().map(|(kind, count, witness)| Found { kind, count, witness });
    let (anomalies, also_seen): (Vec<Found>, Vec<Found>) = found.partition(|found| level.forbids(found.kind));
    let open: Vec<&str> =
        undecided.iter().filter(|anomaly| level.forbids(**anomaly)).map(|anomaly| anomaly.name()).collect();
    let (verdict, reason) = match (anomalies.is_empty(), open.is_empty()) {
        (false, _) => (Verdict::Violated, None),
        (true, false) => {
            let reason = format!("the time was over before {} could be ruled out", open.join(", "));
            (Verdict::Unknown, Some(reason))
        }
        (true, true) if txns.txns.is_empty() => {
            (Verdict::Unknown, Some("the history holds no transactions".to_owned()))
        }
        (true, true) if order.is_none() => {
            let reason = "no anomaly was found under the order of versions that could be inferred, which is not proved";
            (Verdict::Valid, Some(reason.to_owned()))
        }
        (true, true) => (Verdict::Valid, None),
    };
    // What a weak level allows beside cycles, no order explains; that reads change within a transaction, an
    // order of commits does.
    let is_of_commits = matches!(order, Some(Order::Commit { .. }));
    let is_explained = also_seen.iter().all(|found| match found.kind {
        Anomaly::Cycle(..) => true,
        kind => is_of_commits && matches!(kind, Anomaly::Internal | Anomaly::LostUpdate),
    });
    let order = order.filter(|_| verdict == Verdict::Valid && is_explained);
    let exercised = exercised(txns);
    Judgement { verdict, level, anomalies, also_seen, not, also_not, reason, exercised, order }
}

fn exercised(txns: &Txns<'_>) -> BTreeMap<&'static str, u64> {
    let count = |outcome: Outcome| txns.txns.iter().filter(|txn| txn.outcome == outcome).count() as u64;
    BTreeMap::from([
        ("transactions", txns.txns.len() as u64),
        ("ok", count(Outcome::Ok)),
        ("failed", count(Outcome::Fail)),
        ("info", count(Outcome::Info)),
        ("keys", txns.keys.len() as u64),
        ("micro-operations", txns.mops.len() as u64),
        ("ignored", txns.ignored),
    ])
}
