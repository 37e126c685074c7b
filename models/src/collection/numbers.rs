//! Unique ids, and counters between bounds.

use super::{Collected, Tally, calls_of, is_ok, line};
use crate::foreign::{Call, OpHistory, Outcome, Word};
use crate::hash::HashMap;

pub(super) fn unique_ids(history: &OpHistory) -> Collected {
    let mut tally = Tally::default();
    let mut given: HashMap<Word, u32> = HashMap::default();
    let mut composite: std::collections::BTreeMap<String, u32> = std::collections::BTreeMap::new();
    let calls: Vec<(u32, &Call)> = calls_of(history, &["generate"]).filter(|(_, call)| is_ok(call)).collect();
    tally.count("ids", calls.len());
    for (at, call) in &calls {
        let value = history.value_of(call);
        let before = match value.words() {
            [word] => given.insert(*word, *at),
            _ => composite.insert(value.to_string(), *at),
        };
        if let Some(before) = before {
            tally.add("duplicated", true, &[before, *at], || {
                let first = line(history, &history.calls()[before as usize]);
                format!("{value} was given in line {first}, and again in line {}", line(history, call))
            });
        }
    }
    tally.into_collected(calls.is_empty().then_some("no id was given"))
}

/// What happens to a counter, in the order of the file.
enum Moment {
    Attempt(i64),
    Added(i64),
    ReadBegins,
    ReadEnds,
}

/// Sums of what was added, of one sign.
#[derive(Clone, Copy, Default)]
struct Sums {
    attempted: i128,
    added: i128,
}

pub(super) fn counter(history: &OpHistory) -> Collected {
    let mut tally = Tally::default();
    let mut moments: Vec<(u32, u32, Moment)> = Vec::new();
    let mut counts = [0, 0];
    for (at, call) in calls_of(history, &["add", "inc", "increment"]) {
        let value = history.value_of(call);
        let amount = if value.is_nil() { 1 } else { value.as_int().unwrap_or(0) };
        if call.outcome != Outcome::Fail {
            counts[0] += 1;
            moments.push((call.begin, at, Moment::Attempt(amount)));
        }
        if is_ok(call) {
            moments.push((call.end, at, Moment::Added(amount)));
        }
    }
    for (at, call) in calls_of(history, &["read", "r"]).filter(|(_, call)| is_ok(call)) {
        counts[1] += 1;
        moments.push((call.begin, at, Moment::ReadBegins));
        moments.push((call.end, at, Moment::ReadEnds));
    }
    tally.count("adds", counts[0]);
    tally.count("reads", counts[1]);
    // A read that begins where an add ends has the add in it or not: the narrower claim is not made.
    moments.sort_by_key(|(place, at, moment)| {
        let rank = match moment {
            Moment::Attempt(_) => 0,
            Moment::ReadBegins => 1,
            Moment::Added(_) => 2,
            Moment::ReadEnds => 3,
        };
        (*place, rank, *at)
    });
    let (mut up, mut down) = (Sums::default(), Sums::default());
    let mut begun: HashMap<u32, (i128, i128)> = HashMap::default();
    for (_, at, moment) in moments {
        match moment {
            Moment::Attempt(amount) if amount >= 0 => up.attempted += i128::from(amount),
            Moment::Attempt(amount) => down.attempted += i128::from(amount),
            Moment::Added(amount) if amount >= 0 => up.added += i128::from(amount),
            Moment::Added(amount) => down.added += i128::from(amount),
            Moment::ReadBegins => drop(begun.insert(at, (up.added, down.added))),
            Moment::ReadEnds => {
                let (added, removed) = begun.remove(&at).unwrap_or_default();
                let (least, most) = (added + down.attempted, removed + up.attempted);
                judge_read(history, at, least, most, &mut tally);
            }
        }
    }
    tally.into_collected((counts[1] == 0).then_some("the counter was never read"))
}

fn judge_read(history: &OpHistory, at: u32, least: i128, most: i128, tally: &mut Tally) {
    let call = &history.calls()[at as usize];
    let value = history.value_of(call);
    let read = if value.is_nil() { Some(0) } else { value.as_int() };
    if !read.is_some_and(|read| (least..=most).contains(&i128::from(read))) {
        tally.add("out-of-bounds", true, &[at], || {
            format!(
                "the read of line {} gave {value}; it must lie between {least} and {most}",
                line(history, call)
            )
        });
    }
}
