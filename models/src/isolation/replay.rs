//! Replays an order of transactions: it shares no code with the checkers that found it.

use std::collections::BTreeSet;

use super::anomaly::Extent;
use super::order::Order;
use crate::foreign::{Call, Items, OpHistory, Outcome, Value, Word};
use crate::hash::HashMap;

/// A key of a replay: its words.
type Lists<'a> = HashMap<&'a [Word], Vec<Word>>;

/// Whether the order explains every read of the history.
pub fn verify_order(history: &OpHistory, order: &Order) -> Result<(), String> {
    match order {
        Order::Serial { calls, extent } => {
            let points: Vec<(u32, bool)> =
                calls.iter().flat_map(|call| [(*call, false), (*call, true)]).collect();
            replay(history, &points, *extent)
        }
        Order::Snapshot { points, extent } => replay(history, points, *extent),
        Order::Commit { calls } => replay_commits(history, calls),
    }
}

/// Runs starts and commits: a transaction reads what was committed at its start, and no other transaction may
/// have written a key that it writes between its start and its commit.
fn replay(history: &OpHistory, points: &[(u32, bool)], extent: Extent) -> Result<(), String> {
    let mut lists: Lists<'_> = HashMap::default();
    let mut seen: HashMap<u32, Started<'_>> = HashMap::default();
    let mut done = vec![false; history.calls().len()];
    for (call, is_commit) in points {
        if !is_commit {
            let mops = mops(history, *call)?;
            let lengths = mops.iter().map(|(_, key, _)| lists.get(key).map_or(0, Vec::len)).collect();
            seen.insert(*call, Started { mops, lengths });
            continue;
        }
        let started = seen.remove(call).ok_or_else(|| format!("call {call} commits without a start"))?;
        started.commit(*call, history.calls()[*call as usize].outcome == Outcome::Ok, &mut lists)?;
        done[*call as usize] = true;
    }
    covers(history, &done)?;
    keeps_extent(history, points, extent)
}

/// A transaction that has started: what it does, and how long the list of each of its keys was then.
struct Started<'a> {
    mops: Vec<RawMop<'a>>,
    lengths: Vec<usize>,
}

impl<'a> Started<'a> {
    fn commit(&self, call: u32, is_ok: bool, lists: &mut Lists<'a>) -> Result<(), String> {
        // What it has written so far, by key: a transaction has few of them.
        let mut own: Vec<(&[Word], Vec<Word>)> = Vec::new();
        for ((is_read, key, value), length) in self.mops.iter().zip(&self.lengths) {
            let known = own.iter_mut().find(|(known, _)| known == key);
            if !is_read {
                match known {
                    Some((_, words)) => words.extend(value.words()),
                    None => own.push((key, value.words().to_vec())),
                }
            } else if is_ok {
                let committed = lists.get(key).map_or(&[][..], |list| &list[..*length]);
                let own = known.map_or(&[][..], |(_, words)| words);
                let agrees = agrees(*value, committed, own);
                agrees.then_some(()).ok_or_else(|| format!("call {call} reads {value} out of order"))?;
            }
        }
        for (key, appended) in own {
            let first = self.mops.iter().position(|(_, known, _)| *known == key);
            let list = lists.entry(key).or_default();
            if !appended.is_empty() && first.is_some_and(|first| list.len() != self.lengths[first]) {
                return Err(format!("call {call} overwrites what it did not see"));
            }
            list.extend(appended);
        }
        Ok(())
    }
}

/// Runs commits: a transaction reads, of each key, what was committed at some time before.
fn replay_commits(history: &OpHistory, calls: &[u32]) -> Result<(), String> {
    let mut lists: Lists<'_> = HashMap::default();
    let mut ends: HashMap<&[Word], BTreeSet<usize>> = HashMap::default();
    for call in calls {
        let mut own: HashMap<&[Word], Vec<Word>> = HashMap::default();
        let mops = mops(history, *call)?;
        let is_ok = history.calls()[*call as usize].outcome == Outcome::Ok;
        for (is_read, key, value) in &mops {
            if !is_read {
                own.entry(key).or_default().extend(value.words());
            } else if is_ok && !own.contains_key(key) {
                let read = value.items().map_or(&[][..], |items| items.words());
                let list = lists.get(key).map_or(&[][..], Vec::as_slice);
                let is_end = read.is_empty() || ends.get(key).is_some_and(|ends| ends.contains(&read.len()));
                let agrees = is_end && list.starts_with(read);
                agrees.then_some(()).ok_or_else(|| format!("call {call} reads {value} out of order"))?;
            }
        }
        for (key, own) in own {
            let list = lists.entry(key).or_default();
            list.extend(own);
            ends.entry(key).or_default().insert(list.len());
        }
    }
    let mut done = vec![false; history.calls().len()];
    calls.iter().for_each(|call| done[*call as usize] = true);
    covers(history, &done)
}

/// The order holds whatever happened, and nothing that failed.
fn covers(history: &OpHistory, done: &[bool]) -> Result<(), String> {
    for ((at, call), is_in) in history.calls().iter().enumerate().zip(done.iter().copied()) {
        if call.outcome == Outcome::Ok && !is_in && mops(history, at as u32).is_ok() {
            return Err(format!("the order leaves out call {at}"));
        }
        if call.outcome == Outcome::Fail && is_in {
            return Err(format!("the order holds call {at}, which failed"));
        }
    }
    Ok(())
}

/// Whoever starts later in the order has not completed before an earlier one was invoked; and the transactions
/// of a process stand in its own order.
fn keeps_extent(history: &OpHistory, points: &[(u32, bool)], extent: Extent) -> Result<(), String> {
    let mut first_end = u32::MAX;
    let mut first_of: HashMap<Word, u32> = HashMap::default();
    for (at, is_commit) in points.iter().rev().filter(|_| extent >= Extent::Process) {
        let call = &history.calls()[*at as usize];
        let of_process =
            first_of.entry(history.ops()[call.telling_op() as usize].process).or_insert(u32::MAX);
        if *is_commit {
            let is_late = extent == Extent::Realtime && history.is_timed() && first_end < call.begin;
            if is_late || *of_process < call.begin {
                return Err(format!("call {at} stands before one that had completed when it was invoked"));
            }
        } else {
            first_end = first_end.min(call.end);
            *of_process = (*of_process).min(call.end);
        }
    }
    Ok(())
}

/// A list is read with all that was committed and then the transaction's own; a register with the last of these.
fn agrees(value: Value<'_>, committed: &[Word], own: &[Word]) -> bool {
    match value.items() {
        Some(items) => items.words().strip_prefix(committed) == Some(own),
        None if value.is_nil() => committed.is_empty() && own.is_empty(),
        None => own.last().or(committed.last()) == value.words().first(),
    }
}

type RawMop<'a> = (bool, &'a [Word], Value<'a>);

fn mops(history: &OpHistory, call: u32) -> Result<Vec<RawMop<'_>>, String> {
    let known = history.calls().get(call as usize).ok_or_else(|| format!("there is no call {call}"))?;
    let parts: Option<Vec<RawMop<'_>>> =
        micro_operations(history, known).and_then(|mops| mops.map(raw_mop).collect());
    parts.ok_or_else(|| format!("call {call} is no transaction"))
}

/// What a call did, where it is a transaction.
pub(super) fn micro_operations<'a>(history: &'a OpHistory, call: &Call) -> Option<Items<'a>> {
    let is_txn = matches!(history.f(call.telling_op()), "txn" | "");
    history.value_of(call).items().filter(|_| is_txn)
}

fn raw_mop(mop: Value<'_>) -> Option<RawMop<'_>> {
    let mut parts = mop.items()?;
    let (f, key, value) = (parts.next()?, parts.next()?, parts.next()?);
    Some((matches!(f.as_text()?, "r" | "read"), key.words(), value))
}
