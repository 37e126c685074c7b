//! Logs: what Jepsen's workload for Kafka looks for.
//!
//! A send is `[:send k v]`, completed as `[:send k [offset v]]`; a poll is `[:poll]`, completed as
//! `[:poll {k [[offset v] ..]}]`. Values of a key are unique. The order of a key is that of all offsets that an
//! acknowledged send or a poll names; gaps between them mean nothing, for markers of transactions take offsets.

use std::collections::{BTreeMap, BTreeSet};

use super::{Collected, Tally, calls_of, is_ok, line, log_cycles};
use crate::foreign::{Call, OpHistory, Outcome, Value, Word};
use crate::hash::{HashMap, HashSet};

const CLIENT: [&str; 4] = ["txn", "send", "poll", "send/poll"];
/// After these a consumer may go on anywhere.
const MOVES: [&str; 5] = ["assign", "subscribe", "crash", "seek", "close"];

/// A record of the log, as a send or a poll tells of it.
#[derive(Clone)]
pub(super) struct Record {
    pub(super) key: String,
    /// Unknown where a send was not acknowledged with it.
    pub(super) offset: Option<i64>,
    pub(super) value: String,
}

/// A micro-operation.
pub(super) enum Mop {
    Send(Record),
    Poll(Vec<Record>),
}

fn pair(key: &str, value: Value<'_>) -> Record {
    let parts: Vec<Value<'_>> = value.items().into_iter().flatten().collect();
    match parts[..] {
        [offset, value] => Record { key: key.to_owned(), offset: offset.as_int(), value: value.to_string() },
        _ => Record { key: key.to_owned(), offset: None, value: value.to_string() },
    }
}

fn mops(history: &OpHistory, call: &Call) -> Vec<Mop> {
    let mut found = Vec::new();
    // What a client was told before it lost sight of the rest stands in the completion.
    let told = call.complete.filter(|_| call.outcome == Outcome::Info).map(|op| history.value(op));
    let value = told.filter(|value| value.items().is_some()).unwrap_or_else(|| history.value_of(call));
    for mop in value.items().into_iter().flatten() {
        let parts: Vec<Value<'_>> = mop.items().into_iter().flatten().collect();
        match (parts.first().and_then(|f| f.as_text()), &parts[..]) {
            (Some("send"), [_, key, value]) => found.push(Mop::Send(pair(&key.to_string(), *value))),
            (Some("poll"), [_, polled]) => {
                let mut records = Vec::new();
                let mut entries = polled.entries().into_iter().flatten();
                while let (Some(key), Some(list)) = (entries.next(), entries.next()) {
                    let key = key.to_string();
                    records.extend(list.items().into_iter().flatten().map(|record| pair(&key, record)));
                }
                found.push(Mop::Poll(records));
            }
            _ => {}
        }
    }
    found
}

/// What is known of the log: by key.
#[derive(Default)]
pub(super) struct Log {
    /// Values by offset, and the calls that tell of them.
    pub(super) offsets: BTreeMap<i64, BTreeMap<String, u32>>,
    /// Offsets by value.
    places: BTreeMap<String, BTreeSet<i64>>,
    /// Values that were sent: how their sends ended, and their calls.
    pub(super) sent: BTreeMap<String, (Outcome, u32)>,
    polled: BTreeMap<String, u32>,
    /// The offsets in their order, once all are known.
    order: HashMap<i64, usize>,
    last_polled: Option<i64>,
}

pub(super) type Logs = BTreeMap<String, Log>;

pub(super) fn log(history: &OpHistory) -> Collected {
    let mut tally = Tally::default();
    let calls: Vec<(u32, &Call, Vec<Mop>)> =
        calls_of(history, &CLIENT).map(|(at, call)| (at, call, mops(history, call))).collect();
    let mut logs = Logs::new();
    let (mut sends, mut polls) = (0, 0);
    for (at, call, mops) in &calls {
        for mop in mops {
            match mop {
                Mop::Send(record) => {
                    sends += 1;
                    note_send(&mut logs, *at, call, record);
                }
                Mop::Poll(records) if is_ok(call) => {
                    polls += records.len();
                    records.iter().for_each(|record| note_poll(&mut logs, *at, record));
                }
                Mop::Poll(_) => {}
            }
        }
    }
    tally.count("sends", sends);
    tally.count("polled", polls);
    for log in logs.values_mut() {
        log.order = log.offsets.keys().enumerate().map(|(at, offset)| (*offset, at)).collect();
    }
    let proven = proven(&logs);
    logs.iter().for_each(|(key, log)| judge_log(history, key, log, &proven, &mut tally));
    for (at, call, mops) in calls.iter().filter(|(_, call, _)| is_ok(call)) {
        judge_within(history, &logs, *at, call, mops, &mut tally);
    }
    judge_processes(history, &logs, &calls, &mut tally);
    log_cycles::judge(history, &logs, &calls, &proven, &mut tally);
    tally.into_collected((sends == 0 || polls == 0).then_some("nothing was sent and polled"))
}

fn place(logs: &mut Logs, at: u32, record: &Record) {
    let log = logs.entry(record.key.clone()).or_default();
    if let Some(offset) = record.offset {
        log.offsets.entry(offset).or_default().entry(record.value.clone()).or_insert(at);
        log.places.entry(record.value.clone()).or_default().insert(offset);
    }
}

fn note_send(logs: &mut Logs, at: u32, call: &Call, record: &Record) {
    if call.outcome != Outcome::Fail {
        place(logs, at, record);
    }
    let log = logs.entry(record.key.clone()).or_default();
    // A value that was sent again after it failed has been sent.
    let sent = log.sent.entry(record.value.clone()).or_insert((call.outcome, at));
    if call.outcome < sent.0 || sent.0 == Outcome::Fail {
        *sent = (call.outcome, at);
    }
}

fn note_poll(logs: &mut Logs, at: u32, record: &Record) {
    place(logs, at, record);
    let log = logs.entry(record.key.clone()).or_default();
    log.polled.entry(record.value.clone()).or_insert(at);
    log.last_polled = log.last_polled.max(record.offset);
}

/// Calls of which somebody polled something: they took effect, whatever their clients heard.
fn proven(logs: &Logs) -> HashSet<u32> {
    let polled = logs.values().flat_map(|log| log.polled.keys().filter_map(|value| log.sent.get(value)));
    polled.map(|(_, call)| *call).collect()
}

/// What a log shows whoever reads it.
fn judge_log(history: &OpHistory, key: &str, log: &Log, proven: &HashSet<u32>, tally: &mut Tally) {
    let shown = |at: u32| line(history, &history.calls()[at as usize]);
    for (offset, values) in log.offsets.iter().filter(|(_, values)| values.len() > 1) {
        let calls: Vec<u32> = values.values().copied().collect();
        let names: Vec<&str> = values.keys().map(String::as_str).collect();
        tally.add("inconsistent-offsets", true, &calls, || {
            format!("offset {offset} of {key} holds {} at once", names.join(" and "))
        });
    }
    for (value, offsets) in log.places.iter().filter(|(_, offsets)| offsets.len() > 1) {
        let calls: Vec<u32> =
            offsets.iter().filter_map(|offset| log.offsets.get(offset)?.get(value)).copied().collect();
        tally.add("duplicate", true, &calls, || format!("{value} is in {key} at offsets {offsets:?}"));
    }
    for (value, at) in &log.polled {
        match log.sent.get(value) {
            None => tally.add("garbage-read", true, &[*at], || {
                format!("line {} polled {value} from {key}, and nobody ever sent it", shown(*at))
            }),
            Some((Outcome::Fail, sent)) => tally.add("G1a", true, &[*at, *sent], || {
                format!(
                    "line {} polled {value} from {key}, and its send of line {} failed",
                    shown(*at),
                    shown(*sent)
                )
            }),
            Some(_) => {}
        }
    }
    let has_happened = |outcome: Outcome, at: u32| {
        outcome == Outcome::Ok || outcome == Outcome::Info && proven.contains(&at)
    };
    let unpolled = log
        .sent
        .iter()
        .filter(|(value, (outcome, at))| has_happened(*outcome, *at) && !log.polled.contains_key(*value));
    for (value, (_, sent)) in unpolled {
        let offset = log.places.get(value).and_then(|offsets| offsets.last()).copied();
        if offset.is_some_and(|offset| Some(offset) < log.last_polled) {
            tally.add("lost-write", true, &[*sent], || {
                format!(
                    "{value} of line {} was never polled from {key}, and later offsets were",
                    shown(*sent)
                )
            });
        } else {
            tally.add("unseen", false, &[*sent], || {
                format!("{value} of line {} was never polled", shown(*sent))
            });
        }
    }
}

/// How one offset follows another of its key.
enum Follows {
    Next,
    Back,
    Skip,
}

fn follows(log: Option<&Log>, before: i64, next: i64) -> Follows {
    let at = |offset: i64| log.and_then(|log| log.order.get(&offset)).copied();
    match (at(before), at(next)) {
        (Some(before), Some(next)) if next <= before => Follows::Back,
        (Some(before), Some(next)) if next > before + 1 => Follows::Skip,
        _ => Follows::Next,
    }
}

/// What one transaction shows by itself.
fn judge_within(history: &OpHistory, logs: &Logs, at: u32, call: &Call, mops: &[Mop], tally: &mut Tally) {
    let mut own: HashSet<(&str, &str)> = HashSet::default();
    let (mut polled, mut sent): (HashMap<&str, i64>, HashMap<&str, i64>) =
        (HashMap::default(), HashMap::default());
    for mop in mops {
        match mop {
            Mop::Send(record) => {
                own.insert((&record.key, &record.value));
                let Some(offset) = record.offset else { continue };
                let before = sent.insert(&record.key, offset);
                let log = logs.get(&record.key);
                if let Some(before) =
                    before.filter(|before| matches!(follows(log, *before, offset), Follows::Skip))
                {
                    // Transactions write between each other's records all the time.
                    tally.add("int-send-skip", false, &[at], || {
                        format!(
                            "line {} sent to {} at offset {before} and next at {offset}, and there is more between",
                            line(history, call),
                            record.key
                        )
                    });
                }
                if let Some(before) = before.filter(|before| offset <= *before) {
                    tally.add("int-nonmonotonic-send", true, &[at], || {
                        format!(
                            "line {} sent to {} at offset {before}, and then at {offset}",
                            line(history, call),
                            record.key
                        )
                    });
                }
            }
            Mop::Poll(records) => {
                for record in records {
                    if own.contains(&(record.key.as_str(), record.value.as_str())) {
                        tally.add("precommitted-read", true, &[at], || {
                            format!(
                                "line {} polled {} that it had sent itself",
                                line(history, call),
                                record.value
                            )
                        });
                    }
                    let Some(offset) = record.offset else { continue };
                    let Some(before) = polled.insert(&record.key, offset) else { continue };
                    judge_step(history, logs, &[at, at], record, before, &INTERNAL, true, tally);
                }
            }
        }
    }
}

const INTERNAL: [&str; 2] = ["int-nonmonotonic-poll", "int-poll-skip"];
const EXTERNAL: [&str; 2] = ["nonmonotonic-poll", "poll-skip"];

#[expect(clippy::too_many_arguments, reason = "one step of a poll, inside of a transaction or between two")]
fn judge_step(
    history: &OpHistory,
    logs: &Logs,
    calls: &[u32],
    record: &Record,
    before: i64,
    names: &[&'static str; 2],
    is_violation: bool,
    tally: &mut Tally,
) {
    let offset = record.offset.unwrap_or(before);
    let kind = match follows(logs.get(&record.key), before, offset) {
        Follows::Next => return,
        Follows::Back => names[0],
        Follows::Skip => names[1],
    };
    tally.add(kind, is_violation, calls, || {
        let place = line(history, &history.calls()[calls[calls.len() - 1] as usize]);
        format!("line {place} polled offset {offset} of {} after {before}", record.key)
    });
}

/// Where a process stands.
#[derive(Default)]
struct Stands {
    polled: BTreeMap<String, (i64, u32)>,
    sent: BTreeMap<String, (i64, u32)>,
    /// Its partitions are given and taken by the group: it may be moved at any time.
    is_subscribed: bool,
    /// What it polled while subscribed.
    consumed: HashSet<(String, String)>,
}

fn judge_processes(history: &OpHistory, logs: &Logs, calls: &[(u32, &Call, Vec<Mop>)], tally: &mut Tally) {
    let mut stands: HashMap<Word, Stands> = HashMap::default();
    let mut by_call = calls.iter().peekable();
    for (at, call) in history.calls().iter().enumerate() {
        let process = history.ops()[call.telling_op() as usize].process;
        let stand = stands.entry(process).or_default();
        let f = history.f(call.telling_op());
        if MOVES.contains(&f) {
            stand.polled.clear();
            stand.is_subscribed = f == "subscribe" || (f != "assign" && stand.is_subscribed);
        }
        let Some((at, _, mops)) = by_call.next_if(|(other, ..)| *other as usize == at) else { continue };
        if is_ok(call) {
            judge_transaction(history, logs, stand, *at, mops, tally);
        } else {
            // Where the consumer stands after it is not known.
            stand.polled.clear();
        }
    }
}

fn judge_transaction(
    history: &OpHistory,
    logs: &Logs,
    stand: &mut Stands,
    at: u32,
    mops: &[Mop],
    tally: &mut Tally,
) {
    let (mut polled, mut sent) = (BTreeSet::new(), BTreeSet::new());
    for mop in mops {
        match mop {
            Mop::Poll(records) => {
                for record in records {
                    let what = (record.key.clone(), record.value.clone());
                    if stand.is_subscribed && !stand.consumed.insert(what) {
                        tally.add("consumed-twice", false, &[at], || {
                            let place = line(history, &history.calls()[at as usize]);
                            format!(
                                "line {place} polled {} from {} again, by subscription",
                                record.value, record.key
                            )
                        });
                    }
                    let Some(offset) = record.offset else { continue };
                    let before = stand.polled.insert(record.key.clone(), (offset, at));
                    let is_first = polled.insert(&record.key);
                    if let Some((before, other)) = before.filter(|_| is_first) {
                        let is_violation = !stand.is_subscribed;
                        judge_step(
                            history,
                            logs,
                            &[other, at],
                            record,
                            before,
                            &EXTERNAL,
                            is_violation,
                            tally,
                        );
                    }
                }
            }
            Mop::Send(record) => {
                let Some(offset) = record.offset else { continue };
                let before = stand.sent.insert(record.key.clone(), (offset, at));
                let is_first = sent.insert(&record.key);
                if let Some((before, other)) = before.filter(|(before, _)| is_first && offset <= *before) {
                    tally.add("nonmonotonic-send", true, &[other, at], || {
                        let place = line(history, &history.calls()[at as usize]);
                        format!("line {place} sent to {} at offset {offset}, after {before}", record.key)
                    });
                }
            }
        }
    }
}
