//! Writes that are seen out of their order, and inserts that exclude each other.

use std::collections::BTreeMap;

use super::{Collected, Tally, calls_of, is_ok, line};
use crate::foreign::{Call, OpHistory, Outcome, Value, Word};
use crate::hash::{HashMap, HashSet};

/// Splits `[key value]`, as Jepsen's independent keys have it, where all values are such pairs.
fn keyed<'a>(value: Value<'a>, is_keyed: bool) -> (String, Value<'a>) {
    let mut halves = value.items().filter(|_| is_keyed);
    match halves.as_mut().map(|halves| (halves.next(), halves.next())) {
        Some((Some(key), Some(value))) => (key.to_string(), value),
        _ => (String::new(), value),
    }
}

/// What is written to one key, and what is read of it.
#[derive(Default)]
struct Writes<'a> {
    /// By value: when its write began, and its call.
    begun: HashMap<&'a [Word], (u32, u32)>,
    /// Writes that are known to have happened, by their ends.
    ended: Vec<(u32, &'a [Word], u32)>,
}

/// Whoever sees a write sees all that had ended before it began: strict serializability demands it.
pub(super) fn causal_reverse(history: &OpHistory) -> Collected {
    let mut tally = Tally::default();
    let writes: Vec<(u32, &Call)> = calls_of(history, &["write", "w"]).collect();
    let reads: Vec<(u32, &Call)> =
        calls_of(history, &["read", "r"]).filter(|(_, call)| is_ok(call)).collect();
    tally.count("writes", writes.len());
    tally.count("reads", reads.len());
    let is_keyed = writes.iter().all(|(_, call)| history.value_of(call).items().is_some());
    let mut keys: BTreeMap<String, Writes<'_>> = BTreeMap::new();
    for (at, call) in &writes {
        let (key, value) = keyed(history.value_of(call), is_keyed);
        let key = keys.entry(key).or_default();
        key.begun.insert(value.words(), (call.begin, *at));
        if is_ok(call) {
            key.ended.push((call.end, value.words(), *at));
        }
    }
    keys.values_mut().for_each(|key| key.ended.sort_unstable());
    for (at, call) in &reads {
        let (key, value) = keyed(history.value_of(call), is_keyed);
        let Some(writes) = keys.get(&key) else { continue };
        let seen: HashSet<&[Word]> = value.items().into_iter().flatten().map(Value::words).collect();
        let latest = seen.iter().filter_map(|value| writes.begun.get(value)).max().copied();
        let Some((begin, later)) = latest else { continue };
        // As long as none is missing, these are no more than were seen.
        let mut before = writes.ended.iter().take_while(|(end, ..)| *end < begin);
        if let Some((.., missed)) = before.find(|(_, value, _)| !seen.contains(*value)) {
            tally.add("causal-reverse", true, &[*at, *missed, later], || {
                let (_, value) = keyed(history.value_of(&history.calls()[*missed as usize]), is_keyed);
                format!(
                    "the read of line {} has a write that began after {value} was written, and not {value} itself",
                    line(history, call)
                )
            });
        }
    }
    let is_empty = writes.is_empty() || reads.is_empty();
    tally.into_collected(is_empty.then_some("nothing was written and read"))
}

/// Of two inserts that each first look whether the other is there, at most one succeeds (Adya's G2).
pub(super) fn adya_g2(history: &OpHistory) -> Collected {
    let mut tally = Tally::default();
    let mut inserted: BTreeMap<String, u32> = BTreeMap::new();
    let mut count = 0;
    for (at, call) in calls_of(history, &["insert"]).filter(|(_, call)| call.outcome == Outcome::Ok) {
        count += 1;
        let (key, _) = keyed(history.value_of(call), true);
        if let Some(before) = inserted.insert(key.clone(), at) {
            tally.add("G2", true, &[before, at], || {
                let first = line(history, &history.calls()[before as usize]);
                format!("both inserts of {key} succeeded, in lines {first} and {}", line(history, call))
            });
        }
    }
    tally.count("inserts", count);
    tally.into_collected((count == 0).then_some("nothing was inserted"))
}
