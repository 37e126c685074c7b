//! Queues: what goes in comes out, and nothing else.

use super::{Collected, Tally, calls_of, is_ok, line};
use crate::foreign::{Call, OpHistory, Outcome, Value, Word};
use crate::hash::HashMap;

const ENQUEUES: [&str; 1] = ["enqueue"];
const DEQUEUES: [&str; 2] = ["dequeue", "drain"];

/// The elements that a dequeue or a drain took.
fn taken<'a>(history: &'a OpHistory, call: &Call) -> impl Iterator<Item = Value<'a>> + use<'a> {
    let value = history.value_of(call);
    let items = value.items();
    let single = items.is_none().then_some(value).filter(|value| !value.is_nil());
    items.into_iter().flatten().chain(single)
}

/// Enqueues that may have happened and dequeues that did, at the places that matter.
pub(super) fn queue(history: &OpHistory) -> Collected {
    let mut tally = Tally::default();
    let mut moments: Vec<(u32, bool, u32, &Call)> = Vec::new();
    for (at, call) in calls_of(history, &ENQUEUES).filter(|(_, call)| call.outcome != Outcome::Fail) {
        moments.push((call.begin, false, at, call));
    }
    tally.count("enqueues", moments.len());
    for (at, call) in calls_of(history, &DEQUEUES).filter(|(_, call)| is_ok(call)) {
        moments.push((call.end, true, at, call));
    }
    tally.count("dequeues", moments.len() - tally.exercised["enqueues"] as usize);
    moments.sort_by_key(|(moment, is_dequeue, at, _)| (*moment, *is_dequeue, *at));
    let mut inside: HashMap<&[Word], u64> = HashMap::default();
    for (_, is_dequeue, at, call) in moments {
        if !is_dequeue {
            *inside.entry(history.value_of(call).words()).or_insert(0) += 1;
            continue;
        }
        for element in taken(history, call) {
            match inside.get_mut(element.words()).filter(|count| **count > 0) {
                Some(count) => *count -= 1,
                None => tally.add("unexpected", true, &[at], || {
                    format!(
                        "line {} dequeued {element}, and all of them that were enqueued had been dequeued",
                        line(history, call)
                    )
                }),
            }
        }
    }
    let undecided = tally.exercised.values().any(|count| *count == 0);
    tally.into_collected(undecided.then_some("nothing was enqueued and dequeued"))
}

/// How often an element was attempted, enqueued for sure, and dequeued.
#[derive(Default)]
struct Passed {
    attempts: u64,
    enqueued: u64,
    dequeued: u64,
    calls: Vec<u32>,
}

pub(super) fn total_queue(history: &OpHistory) -> Collected {
    let mut tally = Tally::default();
    let mut passed: HashMap<&[Word], Passed> = HashMap::default();
    let mut order: Vec<Value<'_>> = Vec::new();
    let mut counts = [0, 0];
    for (at, call) in calls_of(history, &ENQUEUES).filter(|(_, call)| call.outcome != Outcome::Fail) {
        counts[0] += 1;
        let element = history.value_of(call);
        order.push(element);
        let passed = passed.entry(element.words()).or_default();
        passed.attempts += 1;
        passed.enqueued += u64::from(is_ok(call));
        passed.calls.push(at);
    }
    for (at, call) in calls_of(history, &DEQUEUES).filter(|(_, call)| is_ok(call)) {
        counts[1] += 1;
        for element in taken(history, call) {
            order.push(element);
            let passed = passed.entry(element.words()).or_default();
            passed.dequeued += 1;
            passed.calls.push(at);
        }
    }
    tally.count("enqueues", counts[0]);
    tally.count("dequeues", counts[1]);
    for element in order {
        // Each element is told of once.
        let Some(Passed { attempts, enqueued, dequeued, calls }) = passed.remove(element.words()) else {
            continue;
        };
        if dequeued < enqueued {
            tally.add("lost", true, &calls, || format!("{element} was enqueued, and never came out"));
        }
        if attempts == 0 {
            tally.add("unexpected", true, &calls, || format!("{element} came out, and nobody enqueued it"));
        } else if dequeued > attempts {
            tally.add("duplicated", false, &calls, || {
                format!("{element} came out more often than it went in")
            });
        }
        if attempts > enqueued && dequeued > enqueued {
            tally.add("recovered", false, &calls, || format!("{element} was undecided, and came out"));
        }
    }
    tally.into_collected((counts[1] == 0).then_some("nothing was dequeued"))
}
