//! Confirms anomalies: it shares no code with the checkers that found them, asks the history alone, and looks at as
//! much of it as one anomaly needs.

use std::hash::Hash;

use super::confirm_log::of_log;
use super::{Anomaly, Checker, SetOptions};
use crate::foreign::{Call, OpHistory, Outcome, Value, Word};
use crate::hash::{HashMap, HashSet};

/// Whether the calls of an anomaly show it.
pub(super) fn confirm(history: &OpHistory, checker: Checker, anomaly: &Anomaly) -> bool {
    let shown = Shown { history, calls: &anomaly.calls };
    match checker {
        Checker::Set(_) => shown.of_set(anomaly.kind),
        Checker::SetFull(SetOptions { .. }) => shown.of_every_read(anomaly.kind),
        Checker::Queue => anomaly.kind == "unexpected" && shown.came_too_often(),
        Checker::TotalQueue => shown.of_total_queue(anomaly.kind),
        Checker::UniqueIds => shown.two("generate").is_some_and(|(one, other)| one.words() == other.words()),
        Checker::Counter => shown.is_out_of_bounds(),
        Checker::Bank(options) => shown.of_accounts(anomaly.kind, options.total),
        Checker::LongFork(_) => shown.forks(),
        Checker::CausalReverse => shown.is_reversed(),
        Checker::AdyaG2 => {
            let key = |value: Value<'_>| value.items()?.next().map(|key| key.words().to_vec());
            shown.two("insert").is_some_and(|(one, other)| key(one).is_some() && key(one) == key(other))
        }
        Checker::Kafka => of_log(history, anomaly.kind, &anomaly.calls),
    }
}

fn counted<T: Eq + Hash>(all: impl Iterator<Item = T>) -> HashMap<T, usize> {
    let mut counts = HashMap::default();
    all.for_each(|one| *counts.entry(one).or_default() += 1);
    counts
}

/// A history, and the calls that an anomaly names.
struct Shown<'a> {
    history: &'a OpHistory,
    calls: &'a [u32],
}

impl<'a> Shown<'a> {
    fn f(&self, call: &Call) -> &'a str {
        self.history.f(call.telling_op())
    }

    fn value(&self, call: &Call) -> Value<'a> {
        self.history.value_of(call)
    }

    /// What a call gave or took, as items; a single one where it is no list.
    fn items(&self, call: &Call) -> Vec<&'a [Word]> {
        let value = self.value(call);
        match value.items() {
            Some(items) => items.map(Value::words).collect(),
            None if value.is_nil() => Vec::new(),
            None => vec![value.words()],
        }
    }

    /// A call that is named, by its place and its name.
    fn named(&self, at: usize, fs: &[&str]) -> Option<&'a Call> {
        let call = self.history.calls().get(*self.calls.get(at)? as usize)?;
        fs.contains(&self.f(call)).then_some(call)
    }

    fn read(&self, at: usize) -> Option<&'a Call> {
        self.named(at, &["read", "r"]).filter(|call| call.outcome == Outcome::Ok)
    }

    /// All calls of a name that may have happened.
    fn possible(&self, fs: &'static [&str]) -> impl Iterator<Item = &'a Call> {
        let f = |call: &Call| self.history.f(call.telling_op());
        self.history.calls().iter().filter(move |call| call.outcome != Outcome::Fail && fs.contains(&f(call)))
    }

    fn ok_reads(&self) -> impl Iterator<Item = &'a Call> {
        self.possible(&["read", "r"]).filter(|call| call.outcome == Outcome::Ok)
    }

    fn has_stranger(&self, read: &Call) -> bool {
        let added: HashSet<&[Word]> = self.possible(&["add"]).map(|add| self.value(add).words()).collect();
        self.items(read).iter().any(|element| !added.contains(element))
    }

    fn of_set(&self, kind: &str) -> bool {
        let is_last = |read: &Call| self.ok_reads().all(|other| other.end <= read.end);
        match kind {
            "lost" => self.named(0, &["add"]).zip(self.read(1)).is_some_and(|(add, read)| {
                let is_missing = !self.items(read).contains(&self.value(add).words());
                is_last(read) && is_missing && add.outcome == Outcome::Ok && add.end < read.begin
            }),
            "unexpected" => self.read(0).is_some_and(|read| is_last(read) && self.has_stranger(read)),
            _ => false,
        }
    }

    fn of_every_read(&self, kind: &str) -> bool {
        if kind == "unexpected" {
            return self.read(0).is_some_and(|read| self.has_stranger(read));
        }
        if kind == "duplicated" {
            let mut had = HashSet::default();
            return self
                .read(0)
                .is_some_and(|read| !self.items(read).into_iter().all(|item| had.insert(item)));
        }
        let Some((add, read)) = self.named(0, &["add"]).zip(self.read(1)) else { return false };
        let element = self.value(add).words();
        let has = |read: &Call| self.items(read).contains(&element);
        let is_known =
            self.possible(&["add"]).any(|add| add.end < read.begin && self.value(add).words() == element)
                || self.ok_reads().any(|other| other.end < read.begin && has(other));
        let is_back = self.ok_reads().any(|other| other.begin > read.begin && has(other));
        !has(read) && is_known && (kind == "stale" && is_back || kind == "lost" && !is_back)
    }

    /// How often each thing may have been put in by some place.
    fn put(&self, until: u32, is_certain: bool) -> HashMap<&'a [Word], usize> {
        let put = self.possible(&["enqueue"]).filter(|call| call.begin <= until);
        let put = put.filter(|call| !is_certain || call.outcome == Outcome::Ok);
        counted(put.map(|call| self.value(call).words()))
    }

    /// How often each thing had been taken by some place.
    fn taken(&self, until: u32) -> HashMap<&'a [Word], usize> {
        let taken = self.possible(&["dequeue", "drain"]);
        let taken = taken.filter(|call| call.outcome == Outcome::Ok && call.end <= until);
        counted(taken.flat_map(|call| self.items(call)))
    }

    /// Of something that a dequeue took, more had come out by then than could have been put in.
    fn came_too_often(&self) -> bool {
        let Some(dequeue) = self.named(0, &["dequeue", "drain"]) else { return false };
        let (put, taken) = (self.put(dequeue.end, false), self.taken(dequeue.end));
        self.items(dequeue).iter().any(|element| taken.get(element) > put.get(element))
    }

    fn of_total_queue(&self, kind: &str) -> bool {
        match kind {
            "lost" => self.named(0, &["enqueue"]).is_some_and(|call| {
                let element = self.value(call).words();
                self.taken(u32::MAX).get(element) < self.put(u32::MAX, true).get(element)
            }),
            "unexpected" => self.named(0, &["dequeue", "drain"]).is_some_and(|call| {
                let put = self.put(u32::MAX, false);
                self.items(call).iter().any(|element| !put.contains_key(element))
            }),
            _ => false,
        }
    }

    /// The values of two calls of a name that both happened.
    fn two(&self, f: &str) -> Option<(Value<'a>, Value<'a>)> {
        let ok = |at| self.named(at, &[f]).filter(|call| call.outcome == Outcome::Ok);
        let (one, other) = (ok(0)?, ok(1)?);
        (self.calls[0] != self.calls[1]).then(|| (self.value(one), self.value(other)))
    }

    fn is_out_of_bounds(&self) -> bool {
        let Some(read) = self.read(0) else { return false };
        let (mut least, mut most) = (0_i128, 0_i128);
        for add in self.possible(&["add", "inc", "increment"]) {
            let value = self.value(add);
            let amount = if value.is_nil() { 1 } else { i128::from(value.as_int().unwrap_or(0)) };
            let is_certain = add.outcome == Outcome::Ok && add.end < read.begin;
            if is_certain || add.begin <= read.end && amount < 0 {
                least += amount;
            }
            if is_certain || add.begin <= read.end && amount > 0 {
                most += amount;
            }
        }
        let value = self.value(read);
        let read = if value.is_nil() { Some(0) } else { value.as_int() };
        read.is_none_or(|read| i128::from(read) < least || i128::from(read) > most)
    }

    /// The balances that a read shows; what is no number is none.
    fn balances(&self, read: &Call) -> Vec<Option<i64>> {
        let entries: Vec<Value<'_>> = self.value(read).entries().into_iter().flatten().collect();
        entries.chunks(2).filter_map(|pair| pair.get(1)).map(|balance| balance.as_int()).collect()
    }

    fn of_accounts(&self, kind: &str, total: Option<i64>) -> bool {
        let Some(read) = self.read(0) else { return false };
        let sum =
            |balances: &[Option<i64>]| balances.iter().flatten().map(|one| i128::from(*one)).sum::<i128>();
        let own = self.balances(read);
        // What is usual is what most reads show.
        let is_unusual = |of: &dyn Fn(&[Option<i64>]) -> i128| {
            let counts = counted(self.ok_reads().map(|other| of(&self.balances(other))));
            let mine = of(&own);
            counts.iter().any(|(other, count)| *other != mine && Some(count) >= counts.get(&mine))
        };
        match kind {
            "nil-balance" => own.contains(&None),
            "negative-value" => own.iter().flatten().any(|balance| *balance < 0),
            "wrong-accounts" => is_unusual(&|balances| balances.len() as i128),
            "wrong-total" => match total {
                Some(total) => sum(&own) != i128::from(total),
                None => is_unusual(&sum),
            },
            _ => false,
        }
    }

    /// Each of two reads saw a write that the other did not.
    fn forks(&self) -> bool {
        let saw = |at: usize| -> Option<Vec<(&[Word], bool)>> {
            let read = self.named(at, &["read", "txn"]).filter(|call| call.outcome == Outcome::Ok)?;
            let keys = self.value(read).items()?.map(|mop| {
                let parts: Vec<Value<'_>> = mop.items().into_iter().flatten().collect();
                parts.get(1).zip(parts.get(2)).map(|(key, value)| (key.words(), !value.is_nil()))
            });
            keys.collect()
        };
        let Some((one, other)) = saw(0).zip(saw(1)) else { return false };
        let has_more = |one: &[(&[Word], bool)], other: &[(&[Word], bool)]| {
            one.iter().any(|(key, is_there)| *is_there && other.contains(&(*key, false)))
        };
        has_more(&one, &other) && has_more(&other, &one)
    }

    /// A read has a write and not another one that had ended before it began.
    fn is_reversed(&self) -> bool {
        let writes = &["write", "w"];
        let (Some(read), Some(missed), Some(later)) =
            (self.read(0), self.named(1, writes), self.named(2, writes))
        else {
            return false;
        };
        let is_keyed = self.history.calls().iter().filter(|call| writes.contains(&self.f(call)));
        let is_keyed = is_keyed.map(|call| self.value(call)).all(|value| value.items().is_some());
        // With keys, a value is a pair: the key, and what is written or read.
        let halves = |call: &Call| -> Option<(&'a [Word], Value<'a>)> {
            let value = self.value(call);
            if !is_keyed {
                return Some((&[], value));
            }
            let mut halves = value.items()?;
            Some((halves.next()?.words(), halves.next()?))
        };
        let (Some((key, read)), Some((of_missed, missed_value)), Some((of_later, later_value))) =
            (halves(read), halves(missed), halves(later))
        else {
            return false;
        };
        let seen: Vec<&[Word]> = read.items().into_iter().flatten().map(Value::words).collect();
        key == of_missed
            && key == of_later
            && missed.outcome == Outcome::Ok
            && missed.end < later.begin
            && seen.contains(&later_value.words())
            && !seen.contains(&missed_value.words())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::super::{BankOptions, Checker, SetOptions, check, confirmed, judge};
    use super::confirm;
    use crate::foreign::{Format, OpHistory, read};
    use crate::generate::{Isolation, Kind, Spec, generate};
    use crate::verdict::Verdict;

    /// Each operation as `process f value`, begun and ended before the next begins;
    /// `!` fails and `?` is not known to have happened.
    fn history(lines: &[&str]) -> OpHistory {
        let mut text = String::new();
        for (at, line) in lines.iter().enumerate() {
            let (kind, line) = match line.split_at(1) {
                ("!", rest) => ("fail", rest),
                ("?", rest) => ("info", rest),
                _ => ("ok", *line),
            };
            let (f, value) = line.split_once(' ').unwrap_or((line, "nil"));
            for kind in ["invoke", kind] {
                text.push_str(&format!("{{:process {at}, :type :{kind}, :f :{f}, :value {value}}}\n"));
            }
        }
        read(&mut text.as_bytes(), Format::Edn).expect("it is well-formed")
    }

    const CASES: [(Checker, &str, &[&str], &[&str]); 15] = [
        (SET, "lost", &["add 1", "read []"], &["add 1", "read [1]"]),
        (SET, "lost", &["add [0 1]", "read [[0 2]]"], &["add [0 1]", "read [[0 1]]"]),
        (SET, "unexpected", &["add 1", "read [1 2]"], &["add 2", "read [1 2]", "?add 1"]),
        (FULL, "lost", &["add 1", "read []"], &["add 1", "read []", "read [1]"]),
        (FULL, "duplicated", &["add 1", "read [1 1]"], &["add 1", "read [1]"]),
        (
            Checker::Queue,
            "unexpected",
            &["enqueue 1", "dequeue 1", "dequeue 1"],
            &["enqueue 1", "enqueue 1", "dequeue 1"],
        ),
        (Checker::TotalQueue, "lost", &["enqueue 1", "dequeue 2"], &["enqueue 1", "dequeue 1"]),
        (Checker::UniqueIds, "duplicated", &["generate 1", "generate 1"], &["generate 1", "generate 2"]),
        (Checker::Counter, "out-of-bounds", &["add 2", "read 1"], &["add 1", "read 1"]),
        (
            BANK,
            "wrong-total",
            &["read {0 5}", "read {0 5}", "read {0 6}"],
            &["read {0 5}", "read {0 5}", "read {0 5}"],
        ),
        (BANK, "negative-value", &["read {0 -5}"], &["read {0 5}"]),
        (
            Checker::CausalReverse,
            "causal-reverse",
            &["write 1", "write 2", "read [2]"],
            &["write 1", "write 2", "read [1 2]"],
        ),
        (Checker::AdyaG2, "G2", &["insert [1 2]", "insert [1 3]"], &["insert [1 2]", "insert [2 3]"]),
        (
            Checker::Kafka,
            "garbage-read",
            &["poll [[:poll {1 [[0 5]]}]]", "send [[:send 1 [1 6]]]"],
            &["poll [[:poll {1 [[0 5]]}]]", "send [[:send 1 [0 5]]]"],
        ),
        (
            Checker::Kafka,
            "lost-write",
            &["send [[:send 1 [0 5]]]", "send [[:send 1 [1 6]]]", "poll [[:poll {1 [[1 6]]}]]"],
            &["send [[:send 1 [0 5]]]", "send [[:send 1 [1 6]]]", "poll [[:poll {1 [[0 5] [1 6]]}]]"],
        ),
    ];
    const ISOLATIONS: [Isolation; 5] = [
        Isolation::Serializable,
        Isolation::SnapshotIsolation,
        Isolation::ReadCommitted,
        Isolation::ReadUncommitted,
        Isolation::LostUpdate,
    ];
    const SET: Checker = Checker::Set(SetOptions { linearizable: false });
    const FULL: Checker = Checker::SetFull(SetOptions { linearizable: false });
    const BANK: Checker = Checker::Bank(BankOptions { total: None, allow_negative_balances: false });

    #[test]
    fn the_calls_of_an_anomaly_show_it_and_those_of_a_history_without_it_do_not() {
        for (checker, kind, bad, good) in CASES {
            let (bad, good) = (history(bad), history(good));
            let found = check(&bad, checker);
            let anomaly = found.anomalies.iter().find(|anomaly| anomaly.kind == kind);
            let anomaly = anomaly.unwrap_or_else(|| panic!("{checker:?} did not find {kind}: {found:?}"));
            assert!(confirm(&bad, checker, anomaly), "{checker:?} {kind}");
            assert!(!confirm(&good, checker, anomaly), "{checker:?} {kind} of a history that has none");
            assert!(
                check(&good, checker).anomalies.iter().all(|other| other.kind != kind),
                "{checker:?} {kind}"
            );
        }
    }

    /// Whatever the checkers find in simulated objects of any strength, the history confirms.
    #[test]
    fn all_that_is_found_is_confirmed() {
        let mut kinds = BTreeSet::new();
        let checkers = [
            (Kind::Set, vec![SET, FULL]),
            (Kind::Queue, vec![Checker::Queue, Checker::TotalQueue]),
            (Kind::Bank, vec![BANK]),
            (Kind::Kafka, vec![Checker::Kafka]),
        ];
        for (kind, checkers) in checkers {
            for (isolation, seed) in
                ISOLATIONS.into_iter().flat_map(|one| (0..8).map(move |seed| (one, seed)))
            {
                let mut spec = Spec::new(kind, isolation, 300, seed);
                (spec.info_per_mille, spec.fail_per_mille) = (50, 50);
                let mut text = Vec::new();
                generate(&spec, &mut text).expect("memory takes everything");
                let history = read(&mut text.as_slice(), Format::Json).expect("it is well-formed");
                for checker in &checkers {
                    for anomaly in judge(&history, *checker).anomalies.iter().filter(|one| one.is_violation) {
                        assert!(
                            confirm(&history, *checker, anomaly),
                            "{checker:?} {isolation:?} {seed}: {anomaly:?}"
                        );
                        kinds.insert(anomaly.kind);
                    }
                }
            }
        }
        assert!(kinds.len() > 10, "{kinds:?}");
    }

    #[test]
    fn what_the_history_does_not_show_accuses_nobody() {
        for (checker, kind, bad, good) in CASES {
            let found = confirmed(&history(good), checker, judge(&history(bad), checker));
            assert!(found.anomalies.iter().all(|anomaly| anomaly.kind != kind), "{checker:?} {kind}");
            let is_accused = found.anomalies.iter().any(|anomaly| anomaly.is_violation);
            assert_eq!(found.verdict == Verdict::Violated, is_accused, "{checker:?} {kind}");
        }
    }

    #[test]
    fn an_element_that_is_added_again_is_the_same() {
        let twice = history(&["add 1", "add 1", "read [1]"]);
        assert!(check(&twice, FULL).anomalies.is_empty());
    }
}
