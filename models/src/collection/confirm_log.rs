//! Confirms what is wrong with a log, from the history alone.

use std::collections::BTreeSet;

use crate::foreign::{Call, OpHistory, Outcome, Value, Word};
use crate::hash::{HashMap, HashSet};

/// What is in a log: a key and a value.
type What<'a> = (&'a [Word], &'a [Word]);

/// One record that a call sent or polled, in the order of the call.
struct Told<'a> {
    is_send: bool,
    key: &'a [Word],
    offset: Option<i64>,
    value: &'a [Word],
}

/// Whether the calls show the anomaly.
pub(super) fn of_log(history: &OpHistory, kind: &str, calls: &[u32]) -> bool {
    let log = Log { history };
    let Some(named) =
        calls.iter().map(|at| history.calls().get(*at as usize)).collect::<Option<Vec<&Call>>>()
    else {
        return false;
    };
    match (kind, &named[..]) {
        ("inconsistent-offsets", _) => log.has_two(&named, |told| (told.key, told.offset), |told| told.value),
        ("duplicate", _) => log.has_two(&named, Told::what, |told| told.offset),
        ("garbage-read", [poll]) => {
            let sent = log.sent(|_| true);
            log.polled(poll).iter().any(|told| !sent.contains(&told.what()))
        }
        ("G1a", [poll, send]) => {
            let (own, sent) = (log.sent_by(send), log.sent(|call| call.outcome != Outcome::Fail));
            let is_failed = |what: &What<'_>| own.contains(what) && !sent.contains(what);
            log.polled(poll).iter().any(|told| is_failed(&told.what()))
        }
        ("lost-write", [send]) => log.loses(send),
        ("int-nonmonotonic-send", [call]) => goes_back(&log.steps(call, true)),
        ("int-nonmonotonic-poll", [call, _]) => goes_back(&log.steps(call, false)),
        ("int-poll-skip", [call, _]) => log.skips(&log.steps(call, false)),
        ("nonmonotonic-poll" | "poll-skip", [one, other]) => {
            log.goes_on_wrong(one, other, kind == "poll-skip")
        }
        ("nonmonotonic-send", [one, other]) => log.sends_back(one, other),
        ("precommitted-read", [call]) => log.polls_own(call),
        ("G1c" | "G1c-process" | "G1c-realtime", _) => log.is_circle(&named, kind),
        _ => false,
    }
}

impl<'a> Told<'a> {
    fn what(&self) -> What<'a> {
        (self.key, self.value)
    }
}

/// Whether one of the steps, of a key from an offset to another, does not go on.
fn goes_back(steps: &[(&[Word], i64, i64)]) -> bool {
    steps.iter().any(|(_, before, next)| next <= before)
}

fn is_ok(call: &Call) -> bool {
    call.outcome == Outcome::Ok
}

struct Log<'a> {
    history: &'a OpHistory,
}

impl<'a> Log<'a> {
    /// What a call told of the log: `[:send k v]` or `[:send k [offset v]]`, `[:poll {k [[offset v] ..]}]`.
    fn told(&self, call: &Call) -> Vec<Told<'a>> {
        if !matches!(self.history.f(call.telling_op()), "txn" | "send" | "poll" | "send/poll") {
            return Vec::new();
        }
        // Of one whose end nobody knows, the completion may tell more.
        let completion =
            call.complete.filter(|_| call.outcome == Outcome::Info).map(|op| self.history.value(op));
        let value = completion.filter(|value| value.items().is_some()).unwrap_or(self.history.value_of(call));
        let record = |is_send: bool, key: Value<'a>, said: Value<'a>| {
            let halves: Vec<Value<'a>> = said.items().into_iter().flatten().collect();
            let (offset, value) = match halves[..] {
                [offset, value] => (offset.as_int(), value),
                _ => (None, said),
            };
            Told { is_send, key: key.words(), offset, value: value.words() }
        };
        let mut told = Vec::new();
        for mop in value.items().into_iter().flatten() {
            let parts: Vec<Value<'a>> = mop.items().into_iter().flatten().collect();
            match (parts.first().and_then(|f| f.as_text()), &parts[..]) {
                (Some("send"), [_, key, said]) => told.push(record(true, *key, *said)),
                (Some("poll"), [_, polled]) => {
                    let entries: Vec<Value<'a>> = polled.entries().into_iter().flatten().collect();
                    for pair in entries.chunks_exact(2) {
                        let records = pair[1].items().into_iter().flatten();
                        told.extend(records.map(|said| record(false, pair[0], said)));
                    }
                }
                _ => {}
            }
        }
        told
    }

    /// What a call polled, if it happened.
    fn polled(&self, call: &Call) -> Vec<Told<'a>> {
        let told = if is_ok(call) { self.told(call) } else { Vec::new() };
        told.into_iter().filter(|told| !told.is_send).collect()
    }

    fn all_polled(&self) -> impl Iterator<Item = Told<'a>> + '_ {
        self.history.calls().iter().flat_map(|call| self.polled(call))
    }

    fn sent_by(&self, call: &Call) -> HashSet<What<'a>> {
        self.told(call).iter().filter(|told| told.is_send).map(Told::what).collect()
    }

    /// What was sent by some of the calls.
    fn sent(&self, is_wanted: impl Fn(&Call) -> bool) -> HashSet<What<'a>> {
        let calls = self.history.calls().iter().filter(|call| is_wanted(call));
        calls.flat_map(|call| self.told(call)).filter(|told| told.is_send).map(|told| told.what()).collect()
    }

    /// Whether the calls tell two things where there can be but one; records without an offset do not count.
    fn has_two<K: Eq + std::hash::Hash, V: Eq + Copy>(
        &self,
        calls: &[&Call],
        place: impl Fn(&Told<'a>) -> K,
        thing: impl Fn(&Told<'a>) -> V,
    ) -> bool {
        let may_be = calls.iter().filter(|call| call.outcome != Outcome::Fail);
        let mut first: HashMap<K, V> = HashMap::default();
        let told = may_be.flat_map(|call| self.told(call)).filter(|told| told.offset.is_some());
        let mut told = told;
        told.any(|told| {
            let thing = thing(&told);
            *first.entry(place(&told)).or_insert(thing) != thing
        })
    }

    /// Whether it took effect: its client was told so, or somebody polled what it sent.
    fn has_happened(&self, call: &Call) -> bool {
        let sent = self.sent_by(call);
        is_ok(call)
            || call.outcome == Outcome::Info && self.all_polled().any(|polled| sent.contains(&polled.what()))
    }

    /// Something that it sent lies before what was polled, and nobody polled it.
    fn loses(&self, send: &Call) -> bool {
        let mut unpolled = self.sent_by(send);
        let mut newest: HashMap<&[Word], Option<i64>> = HashMap::default();
        for polled in self.all_polled() {
            unpolled.remove(&polled.what());
            let newest = newest.entry(polled.key).or_default();
            *newest = polled.offset.max(*newest);
        }
        let is_passed = |told: &Told<'_>| {
            told.offset.is_some() && newest.get(told.key).is_some_and(|newest| told.offset < *newest)
        };
        self.has_happened(send)
            && self.told(send).iter().any(|told| unpolled.contains(&told.what()) && is_passed(told))
    }

    /// The offsets of one key that follow each other in a call.
    fn steps(&self, call: &Call, is_send: bool) -> Vec<(&'a [Word], i64, i64)> {
        let told = if is_ok(call) { self.told(call) } else { Vec::new() };
        let mut last: HashMap<&[Word], i64> = HashMap::default();
        let told = told.iter().filter(|told| told.is_send == is_send);
        let step = |told: &Told<'a>| {
            let next = told.offset?;
            last.insert(told.key, next).map(|before| (told.key, before, next))
        };
        told.filter_map(step).collect()
    }

    /// The offsets of all records of some keys.
    fn offsets(&self, keys: &HashSet<&[Word]>) -> HashMap<&'a [Word], BTreeSet<i64>> {
        let mut offsets: HashMap<&[Word], BTreeSet<i64>> = HashMap::default();
        for call in self.history.calls().iter().filter(|call| call.outcome != Outcome::Fail) {
            for told in self.told(call).iter().filter(|told| told.is_send || is_ok(call)) {
                if let Some(offset) = told.offset.filter(|_| keys.contains(told.key)) {
                    offsets.entry(told.key).or_default().insert(offset);
                }
            }
        }
        offsets
    }

    /// Whether there is a record between the offsets of one of the steps.
    fn skips(&self, steps: &[(&[Word], i64, i64)]) -> bool {
        let offsets = self.offsets(&steps.iter().map(|(key, ..)| *key).collect());
        steps.iter().filter(|(_, before, next)| before < next).any(|(key, before, next)| {
            let between = offsets.get(key).and_then(|offsets| offsets.range(before + 1..).next());
            between.is_some_and(|offset| offset < next)
        })
    }

    /// A consumer that was not moved goes on behind, or leaves something out.
    fn goes_on_wrong(&self, one: &Call, other: &Call, is_skip: bool) -> bool {
        let steps = self.between(&self.polled(one), &self.polled(other));
        let is_wrong = || if is_skip { self.skips(&steps) } else { goes_back(&steps) };
        self.is_later(one, other) && !self.is_moved_between(one, other) && is_wrong()
    }

    /// From the last offset of each key to its first one later.
    fn between(&self, before: &[Told<'a>], next: &[Told<'a>]) -> Vec<(&'a [Word], i64, i64)> {
        let offsets = |told: &Told<'a>| told.offset.map(|offset| (told.key, offset));
        let last: HashMap<&[Word], i64> = before.iter().filter_map(offsets).collect();
        let first: HashMap<&[Word], i64> = next.iter().rev().filter_map(offsets).collect();
        first.into_iter().filter_map(|(key, first)| Some((key, *last.get(key)?, first))).collect()
    }

    fn process(&self, call: &Call) -> Word {
        self.history.ops()[call.telling_op() as usize].process
    }

    fn is_later(&self, one: &Call, other: &Call) -> bool {
        self.process(one) == self.process(other) && one.begin < other.begin
    }

    /// Between two calls of a process it was moved, or lost sight of where it stands; or its group moves it.
    fn is_moved_between(&self, one: &Call, other: &Call) -> bool {
        let own = self.history.calls().iter().filter(|call| self.process(call) == self.process(one));
        let mut is_subscribed = false;
        for call in own.filter(|call| call.begin < other.begin) {
            let f = self.history.f(call.telling_op());
            let is_move = matches!(f, "assign" | "subscribe" | "crash" | "seek" | "close");
            let is_client = matches!(f, "txn" | "send" | "poll" | "send/poll");
            is_subscribed = f == "subscribe" || f != "assign" && is_subscribed;
            if call.begin > one.begin && (is_move || is_client && !is_ok(call)) {
                return true;
            }
        }
        is_subscribed
    }

    fn sends_back(&self, one: &Call, other: &Call) -> bool {
        let sent = |call: &Call| -> Vec<Told<'a>> {
            let told = if is_ok(call) { self.told(call) } else { Vec::new() };
            told.into_iter().filter(|told| told.is_send).collect()
        };
        self.is_later(one, other) && goes_back(&self.between(&sent(one), &sent(other)))
    }

    fn polls_own(&self, call: &Call) -> bool {
        let told = if is_ok(call) { self.told(call) } else { Vec::new() };
        let mut own = HashSet::default();
        told.iter().any(|told| {
            if told.is_send {
                own.insert(told.what());
            }
            !told.is_send && own.contains(&told.what())
        })
    }

    /// Each call comes before the next, and the last before the first.
    fn is_circle(&self, calls: &[&Call], kind: &str) -> bool {
        let polls = |one: &Call, other: &Call| {
            let sent = self.sent_by(one);
            self.polled(other).iter().any(|told| sent.contains(&told.what()))
        };
        let follows = |one: &Call, other: &Call| {
            let is_after = one.end < other.begin;
            let by_process = kind != "G1c" && self.process(one) == self.process(other) && is_after;
            let by_time = kind == "G1c-realtime" && self.history.is_timed() && is_after;
            by_process || by_time || polls(one, other)
        };
        let next = |at: usize| calls[(at + 1) % calls.len()];
        calls.len() > 1
            && calls.iter().all(|call| self.has_happened(call))
            && (0..calls.len()).all(|at| follows(calls[at], next(at)))
            && (0..calls.len()).any(|at| polls(calls[at], next(at)))
    }
}
