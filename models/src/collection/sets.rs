//! Sets: what was added must be read.

use super::{Collected, Tally, calls_of, is_ok, line};
use crate::foreign::{Call, OpHistory, Outcome, Value, Word};
use crate::hash::{HashMap, HashSet};

const ADDS: [&str; 1] = ["add"];
const READS: [&str; 2] = ["read", "r"];

/// How sets are judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SetOptions {
    /// A read that misses an element which was there before is a violation even if later reads have it.
    pub linearizable: bool,
}

fn elements<'a>(history: &'a OpHistory, call: &Call) -> impl Iterator<Item = Value<'a>> + use<'a> {
    history.value_of(call).items().into_iter().flatten()
}

pub(super) fn last_read(history: &OpHistory) -> Collected {
    let mut tally = Tally::default();
    let adds: Vec<(u32, &Call)> = calls_of(history, &ADDS).collect();
    let reads: Vec<(u32, &Call)> = calls_of(history, &READS).filter(|(_, call)| is_ok(call)).collect();
    tally.count("adds", adds.len());
    tally.count("reads", reads.len());
    let Some((last, read)) = reads.iter().max_by_key(|(_, call)| call.end).copied() else {
        return tally.into_collected(Some("the set was never read"));
    };
    let seen: HashSet<&[Word]> = elements(history, read).map(Value::words).collect();
    let mut attempted: HashSet<&[Word]> = HashSet::default();
    for (at, add) in &adds {
        let element = history.value_of(add);
        // What is added while the read is under way may be missing from it.
        let shown = || element.to_string();
        match (add.outcome, seen.contains(element.words())) {
            (Outcome::Ok, false) if add.end < read.begin => tally.add("lost", true, &[*at, last], || {
                format!("{} was added (line {}), and the last read has it not", shown(), line(history, add))
            }),
            (Outcome::Info, true) => tally.add("recovered", false, &[*at], || {
                format!("{} was undecided, and the last read has it", shown())
            }),
            _ => {}
        }
        if add.outcome != Outcome::Fail {
            attempted.insert(element.words());
        }
    }
    for element in elements(history, read).filter(|element| !attempted.contains(element.words())) {
        tally.add("unexpected", true, &[last], || format!("the last read has {element}, which nobody added"));
    }
    tally.into_collected(None)
}

/// What is known of an element.
struct Element<'a> {
    value: Value<'a>,
    add: u32,
    /// Where it was known to be in the set first.
    known: u32,
    /// The last read that has it and the last that has it not, by their places among the reads.
    present: Option<u32>,
    absent: Option<u32>,
}

pub(super) fn every_read(history: &OpHistory, options: SetOptions) -> Collected {
    let mut tally = Tally::default();
    let mut elements: Vec<Element<'_>> = Vec::new();
    let mut numbers: HashMap<&[Word], u32> = HashMap::default();
    for (at, add) in calls_of(history, &ADDS).filter(|(_, add)| add.outcome != Outcome::Fail) {
        let value = history.value_of(add);
        match numbers.get(value.words()) {
            // What is added again is the same element, and known from the first time on.
            Some(number) => {
                let known = &mut elements[*number as usize].known;
                *known = add.end.min(*known);
            }
            None => {
                numbers.insert(value.words(), elements.len() as u32);
                elements.push(Element { value, add: at, known: add.end, present: None, absent: None });
            }
        }
    }
    let mut reads: Vec<(u32, &Call)> = calls_of(history, &READS).filter(|(_, call)| is_ok(call)).collect();
    reads.sort_by_key(|(_, read)| read.begin);
    tally.count("adds", elements.len());
    tally.count("reads", reads.len());
    find_presence(history, &reads, &numbers, &mut elements, &mut tally);
    let mut stable = 0;
    for element in &elements {
        let missing = element.absent.map(|read| reads[read as usize]);
        // Only a read that began after the element was known can have lost it.
        let missed = missing.filter(|(_, read)| element.known < read.begin);
        let is_back = element.present > element.absent;
        let shown = || element.value.to_string();
        match missed {
            Some((read, call)) if !is_back => tally.add("lost", true, &[element.add, read], || {
                format!(
                    "{} was in the set, and the read of line {} and all later ones have it not",
                    shown(),
                    line(history, call)
                )
            }),
            Some((read, call)) => tally.add("stale", options.linearizable, &[element.add, read], || {
                format!(
                    "{} was in the set, and the read of line {} has it not; later ones do",
                    shown(),
                    line(history, call)
                )
            }),
            None if element.present.is_none() => {
                tally.add("never-read", false, &[element.add], || format!("no read has {}", shown()));
            }
            None => {}
        }
        stable += usize::from(is_back);
    }
    tally.count("stable", stable);
    let undecided = if reads.is_empty() { Some("the set was never read") } else { None };
    tally.into_collected(undecided.or((stable == 0).then_some("no element was added and read")))
}

/// Goes through the reads from the last to the first. Elements that all later reads have are few enough to look
/// at one by one, for each of them is in the next read.
fn find_presence(
    history: &OpHistory,
    reads: &[(u32, &Call)],
    numbers: &HashMap<&[Word], u32>,
    elements: &mut [Element<'_>],
    tally: &mut Tally,
) {
    let mut alive: Vec<u32> = (0..elements.len() as u32).collect();
    let mut stamp = vec![u32::MAX; elements.len()];
    for (at, (call, read)) in reads.iter().enumerate().rev() {
        let at = at as u32;
        for value in self::elements(history, read) {
            let Some(number) = numbers.get(value.words()).copied() else {
                tally.add("unexpected", true, &[*call], || {
                    format!("the read of line {} has {value}, which nobody added", line(history, read))
                });
                continue;
            };
            if stamp[number as usize] == at {
                tally.add("duplicated", true, &[*call], || {
                    format!("the read of line {} has {value} twice", line(history, read))
                });
            }
            stamp[number as usize] = at;
            let element = &mut elements[number as usize];
            element.present = element.present.max(Some(at));
            element.known = element.known.min(read.end);
        }
        alive.retain(|number| {
            let is_present = stamp[*number as usize] == at;
            if !is_present {
                elements[*number as usize].absent = Some(at);
            }
            is_present
        });
    }
}
