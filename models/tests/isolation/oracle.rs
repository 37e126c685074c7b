//! Tries every order of the transactions of a small history.

use std::collections::BTreeMap;

use crosscheck_models::foreign::{OpHistory, Outcome};

/// A transaction as the oracle sees it.
#[derive(Debug, Clone)]
pub(crate) struct OracleTxn {
    pub(crate) begin: u32,
    pub(crate) end: u32,
    pub(crate) process: String,
    pub(crate) outcome: Outcome,
    pub(crate) mops: Vec<OracleMop>,
    /// Of each key that it wrote the version, where the history says which.
    pub(crate) versions: BTreeMap<String, i64>,
}

#[derive(Debug, Clone)]
pub(crate) enum OracleMop {
    Write(String, String),
    Read(String, Vec<String>),
}

/// What kind of object a key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Object {
    List,
    Register,
}

/// Which orders the transactions must keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeps {
    Nothing,
    Process,
    Realtime,
}

type State = BTreeMap<String, Vec<String>>;

pub(crate) fn txns(history: &OpHistory) -> Vec<OracleTxn> {
    let of = |call: &crosscheck_models::foreign::Call| {
        let mops = history.value_of(call).items().expect("a transaction").map(|mop| {
            let parts: Vec<_> = mop.items().expect("a micro-operation").collect();
            let key = parts[1].to_string();
            if parts[0].as_text() != Some("r") {
                return OracleMop::Write(key, parts[2].to_string());
            }
            let read = match parts[2].items() {
                Some(items) => items.map(|item| item.to_string()).collect(),
                None if parts[2].is_nil() => Vec::new(),
                None => vec![parts[2].to_string()],
            };
            OracleMop::Read(key, read)
        });
        OracleTxn {
            begin: call.begin,
            end: call.end,
            process: history.store().show(history.ops()[call.telling_op() as usize].process),
            outcome: call.outcome,
            mops: mops.collect(),
            versions: BTreeMap::new(),
        }
    };
    history.calls().iter().map(of).collect()
}

fn write(object: Object, state: &mut State, key: &str, value: &str) {
    let versions = state.entry(key.to_owned()).or_default();
    if object == Object::Register {
        versions.clear();
    }
    versions.push(value.to_owned());
}

/// Runs a transaction on what it sees; none if one of its reads is another.
fn run(object: Object, txn: &OracleTxn, seen: &State) -> Option<State> {
    let mut state = seen.clone();
    for mop in &txn.mops {
        match mop {
            OracleMop::Write(key, value) => write(object, &mut state, key, value),
            OracleMop::Read(..) if txn.outcome != Outcome::Ok => {}
            OracleMop::Read(key, read) => {
                if state.get(key).map_or(&[][..], Vec::as_slice) != read.as_slice() {
                    return None;
                }
            }
        }
    }
    Some(state)
}

/// One wrote an earlier version of a key than the other.
fn wrote_before(one: &OracleTxn, other: &OracleTxn) -> bool {
    one.versions.iter().any(|(key, version)| other.versions.get(key).is_some_and(|later| version < later))
}

fn precedes(keeps: Keeps, one: &OracleTxn, other: &OracleTxn) -> bool {
    match keeps {
        Keeps::Nothing => false,
        Keeps::Process => one.process == other.process && one.end < other.begin,
        Keeps::Realtime => one.end < other.begin,
    }
}

/// Whether some order of what happened, with any of what is undecided, explains all reads.
pub(crate) fn is_serializable(object: Object, txns: &[OracleTxn], keeps: Keeps) -> bool {
    let left: Vec<&OracleTxn> = txns.iter().filter(|txn| txn.outcome != Outcome::Fail).collect();
    serial(object, left, &State::new(), keeps)
}

fn serial(object: Object, left: Vec<&OracleTxn>, state: &State, keeps: Keeps) -> bool {
    if left.iter().all(|txn| txn.outcome == Outcome::Info) {
        return true;
    }
    (0..left.len()).any(|at| {
        let txn = left[at];
        let is_late = left.iter().any(|other| {
            other.outcome == Outcome::Ok && precedes(keeps, other, txn) || wrote_before(other, txn)
        });
        if is_late {
            return false;
        }
        run(object, txn, state).is_some_and(|after| {
            let mut rest = left.clone();
            rest.remove(at);
            serial(object, rest, &after, keeps)
        })
    })
}

/// Whether some order of starts and commits, with any of what is undecided, explains all reads.
pub(crate) fn is_snapshot_isolated(object: Object, txns: &[OracleTxn]) -> bool {
    let left: Vec<&OracleTxn> = txns.iter().filter(|txn| txn.outcome != Outcome::Fail).collect();
    snapshots(object, left, Vec::new(), &State::new(), &BTreeMap::new(), 0)
}

struct Started<'a> {
    txn: &'a OracleTxn,
    seen: State,
    at: u32,
}

fn snapshots(
    object: Object,
    left: Vec<&OracleTxn>,
    started: Vec<Started<'_>>,
    state: &State,
    written: &BTreeMap<String, u32>,
    now: u32,
) -> bool {
    if started.is_empty() && left.iter().all(|txn| txn.outcome == Outcome::Info) {
        return true;
    }
    let again = |skip: usize| -> Vec<Started<'_>> {
        let others = started.iter().enumerate().filter(|(at, _)| *at != skip);
        others.map(|(_, one)| Started { txn: one.txn, seen: one.seen.clone(), at: one.at }).collect()
    };
    let commits = (0..started.len()).any(|at| {
        let Started { txn, seen, at: began } = &started[at];
        let keys: Vec<&String> = txn
            .mops
            .iter()
            .filter_map(|mop| match mop {
                OracleMop::Write(key, _) => Some(key),
                OracleMop::Read(..) => None,
            })
            .collect();
        let is_first = keys.iter().all(|key| written.get(*key).is_none_or(|when| when <= began));
        let mut open = left.iter().copied().chain(started.iter().map(|other| other.txn));
        let is_late = open.any(|other| wrote_before(other, txn));
        if !is_first || is_late || run(object, txn, seen).is_none() {
            return false;
        }
        let (mut state, mut written) = (state.clone(), written.clone());
        for mop in &txn.mops {
            if let OracleMop::Write(key, value) = mop {
                write(object, &mut state, key, value);
                written.insert(key.clone(), now + 1);
            }
        }
        snapshots(object, left.clone(), again(at), &state, &written, now + 1)
    });
    commits
        || (0..left.len()).any(|at| {
            let mut rest = left.clone();
            let txn = rest.remove(at);
            // Reads that fail at the start fail at the commit too.
            if run(object, txn, state).is_none() {
                return false;
            }
            let mut begun = again(usize::MAX);
            begun.push(Started { txn, seen: state.clone(), at: now });
            snapshots(object, rest, begun, state, written, now)
        })
}
