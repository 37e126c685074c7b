//! Checks a witness against the history alone: it shares no code with the checkers.

use std::collections::BTreeSet;

use super::anomaly::{Anomaly, Extent, Family};
use super::replay::micro_operations;
use super::stamp_proof;
use super::witness::{Step, Why, Witness};
use crate::foreign::{OpHistory, Outcome, Value};

/// A transaction as it stands in the history.
struct Raw<'a> {
    mops: Vec<(bool, String, Value<'a>)>,
    outcome: Outcome,
}

impl<'a> Raw<'a> {
    fn of(history: &'a OpHistory, call: u32) -> Option<Raw<'a>> {
        let known = history.calls().get(call as usize)?;
        let mut mops = Vec::new();
        for mop in micro_operations(history, known)? {
            let parts: Vec<Value<'a>> = mop.items()?.collect();
            let is_read = matches!(parts.first()?.as_text()?, "r" | "read");
            if let [_, key, value, ..] = parts[..] {
                mops.push((is_read, key.to_string(), value));
            }
        }
        Some(Raw { mops, outcome: known.outcome })
    }

    fn reads(&self, key: &str) -> std::vec::IntoIter<(usize, Vec<String>)> {
        let is_ok = self.outcome == Outcome::Ok;
        let reads = self.mops.iter().enumerate().filter(move |(_, mop)| is_ok && mop.0 && mop.1 == key);
        reads.map(|(at, mop)| (at, elements(mop.2))).collect::<Vec<_>>().into_iter()
    }

    /// Reads before the transaction wrote the key itself.
    fn external(&self, key: &str) -> Vec<Vec<String>> {
        let wrote = self.mops.iter().position(|mop| !mop.0 && mop.1 == key).unwrap_or(usize::MAX);
        self.reads(key).filter(|(at, _)| *at < wrote).map(|(_, list)| list).collect()
    }

    /// Whether such a read has this version as the newest; nothing is the initial one.
    fn saw_newest(&self, key: &str, value: Option<&String>) -> bool {
        self.external(key).iter().any(|list| list.last() == value)
    }

    fn write_of(&self, key: &str, value: &str) -> Option<usize> {
        self.mops.iter().position(|mop| !mop.0 && mop.1 == key && mop.2.to_string() == value)
    }
}

/// A list has its elements; a register has its value as the only one, and none at the beginning.
fn elements(value: Value<'_>) -> Vec<String> {
    match value.items() {
        Some(items) => items.map(|item| item.to_string()).collect(),
        None if value.is_nil() => Vec::new(),
        None => vec![value.to_string()],
    }
}

fn require(holds: bool, claim: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(format!("the history does not show that {claim}")) }
}

/// Whether the history shows what the witness says.
pub fn verify_witness(history: &OpHistory, witness: &Witness) -> Result<(), String> {
    let raws: Option<Vec<Raw<'_>>> = witness.calls.iter().map(|call| Raw::of(history, *call)).collect();
    let raws = raws.ok_or("a call of the witness is no transaction")?;
    match witness.anomaly {
        Anomaly::Cycle(family, extent) => verify_cycle(history, witness, &raws, family, extent),
        direct => verify_direct(history, witness, &raws, direct),
    }
}

fn verify_direct(
    history: &OpHistory,
    witness: &Witness,
    raws: &[Raw<'_>],
    anomaly: Anomaly,
) -> Result<(), String> {
    let key = witness.key.as_deref().unwrap_or_default();
    let value = witness.value.as_deref().unwrap_or_default();
    let first = raws.first().ok_or("a witness names its calls")?;
    let mut reads = first.reads(key);
    let has = |list: &[String]| list.iter().any(|element| element == value);
    let holds = match (anomaly, raws) {
        (Anomaly::GarbageRead, [_]) => {
            let is_written = (0..history.calls().len() as u32)
                .any(|call| Raw::of(history, call).is_some_and(|raw| raw.write_of(key, value).is_some()));
            !is_written && reads.any(|(_, list)| has(&list))
        }
        (Anomaly::DuplicateElements, [_]) => {
            reads.any(|(_, list)| list.iter().filter(|element| *element == value).count() > 1)
        }
        (Anomaly::IncompatibleOrder, [_, other]) => reads.any(|(_, one)| {
            other.reads(key).any(|(_, other)| !one.starts_with(&other) && !other.starts_with(&one))
        }),
        (Anomaly::CyclicVersions, _) if is_register(history, key) => has_circle(history, key, value),
        (Anomaly::CyclicVersions, [own, reader]) => {
            // Something that the same transaction appended before comes after the element, or is not there.
            let at = own.write_of(key, value).unwrap_or(0);
            let before = || own.mops[..at].iter().filter(|mop| !mop.0 && mop.1 == key);
            reader.reads(key).any(|(_, list)| {
                let place = list.iter().position(|element| element == value);
                place.is_some_and(|place| {
                    before().any(|mop| !list[..place].iter().any(|element| *element == mop.2.to_string()))
                })
            })
        }
        (Anomaly::FutureRead, [own]) => {
            let written = own.write_of(key, value);
            reads.any(|(at, list)| written.is_some_and(|written| at < written) && has(&list))
        }
        (Anomaly::Internal, [own]) => contradicts_itself(own, key),
        (Anomaly::G1a, [_, failed]) => {
            failed.outcome == Outcome::Fail
                && failed.write_of(key, value).is_some()
                && reads.any(|(_, list)| has(&list))
        }
        (Anomaly::DirtyUpdate, [_, failed, committed]) => {
            let is_built_upon = |list: &[String]| {
                let at = list.iter().position(|element| element == value);
                at.is_some_and(|at| list[at..].iter().any(|later| committed.write_of(key, later).is_some()))
            };
            failed.outcome == Outcome::Fail
                && committed.outcome != Outcome::Fail
                && failed.write_of(key, value).is_some()
                && reads.any(|(_, list)| is_built_upon(&list))
        }
        (Anomaly::G1b, [_, writer]) => {
            let at = writer.write_of(key, value);
            let is_overwritten =
                at.is_some_and(|at| writer.mops[at + 1..].iter().any(|mop| !mop.0 && mop.1 == key));
            let ends_so = first.saw_newest(key, witness.value.as_ref());
            witness.calls[0] != witness.calls[1] && is_overwritten && ends_so
        }
        (Anomaly::LostUpdate, [_, other]) => {
            let writes = |raw: &Raw<'_>| raw.mops.iter().any(|mop| !mop.0 && mop.1 == key);
            let others = other.external(key);
            witness.calls[0] != witness.calls[1]
                && first.external(key).iter().any(|read| others.contains(read))
                && writes(first)
                && writes(other)
        }
        _ => stamp_proof::holds(history, witness),
    };
    require(holds, &format!("{anomaly} on key {key}, value {value}"))
}

/// Replays one key of a transaction: what it read must be what it read before and appended since. Registers have
/// what was written last.
fn contradicts_itself(raw: &Raw<'_>, key: &str) -> bool {
    let is_register =
        raw.mops.iter().any(|mop| mop.1 == key && mop.2.items().is_none() && mop.0 && !mop.2.is_nil());
    let (mut known, mut appended): (Option<Vec<String>>, Vec<String>) = (None, Vec::new());
    for (is_read, _, value) in raw.mops.iter().filter(|mop| mop.1 == key) {
        if !is_read {
            if is_register {
                known = Some(vec![value.to_string()]);
            } else {
                appended.push(value.to_string());
            }
            continue;
        }
        let read = elements(*value);
        let agrees = match &known {
            None => read.ends_with(&appended),
            Some(before) => read == [before.as_slice(), appended.as_slice()].concat(),
        };
        if !agrees {
            return true;
        }
        (known, appended) = (Some(read), Vec::new());
    }
    false
}

fn verify_cycle(
    history: &OpHistory,
    witness: &Witness,
    raws: &[Raw<'_>],
    family: Family,
    extent: Extent,
) -> Result<(), String> {
    let steps = &witness.steps;
    let distinct: BTreeSet<u32> = witness.calls.iter().copied().collect();
    require(
        steps.len() > 1 && steps.len() == raws.len() && distinct.len() == raws.len(),
        "the calls are a cycle",
    )?;
    for (at, step) in steps.iter().enumerate() {
        let next = (at + 1) % steps.len();
        require(
            step.from == witness.calls[at] && step.to == witness.calls[next],
            "the steps follow each other",
        )?;
        verify_step(history, witness, step, &raws[at], &raws[next])?;
    }
    let is_rw = |at: usize| matches!(steps[at % steps.len()].why, Why::Rw { .. });
    let rw = (0..steps.len()).filter(|at| is_rw(*at)).count();
    let is_adjacent = (0..steps.len()).any(|at| is_rw(at) && is_rw(at + 1));
    let has_wr = steps.iter().any(|step| matches!(step.why, Why::Wr { .. }));
    let is_family = match family {
        Family::G0 => rw == 0 && !has_wr,
        Family::G1c => rw == 0 && has_wr,
        Family::GSingle => rw == 1,
        Family::GNonadjacent => rw > 1 && !is_adjacent,
        Family::G2 => rw > 1 && is_adjacent,
    };
    let has_process = steps.iter().any(|step| step.why == Why::Process);
    let has_realtime = steps.iter().any(|step| step.why == Why::Realtime);
    let is_extent = match extent {
        Extent::Data => !has_process && !has_realtime,
        Extent::Process => has_process && !has_realtime,
        Extent::Realtime => has_realtime,
    };
    require(is_family && is_extent, &format!("the cycle is one of {}", witness.anomaly))
}

fn verify_step(
    history: &OpHistory,
    witness: &Witness,
    step: &Step,
    from: &Raw<'_>,
    to: &Raw<'_>,
) -> Result<(), String> {
    let span = |call: u32| &history.calls()[call as usize];
    let (earlier, later) = (span(step.from), span(step.to));
    let process = |call: u32| history.ops()[span(call).telling_op() as usize].process;
    let holds = match &step.why {
        Why::Realtime => history.is_timed() && earlier.end < later.begin,
        Why::Process => {
            process(step.from) == process(step.to)
                && earlier.outcome == Outcome::Ok
                && earlier.end < later.begin
        }
        Why::Wr { key, value } => from.write_of(key, value).is_some() && to.saw_newest(key, Some(value)),
        Why::Ww { key, value, next } => {
            from.write_of(key, value).is_some()
                && to.write_of(key, next).is_some()
                && follows(history, witness, key, Some(value), next)
        }
        Why::Rw { key, value, next } => {
            from.saw_newest(key, value.as_ref())
                && to.write_of(key, next).is_some()
                && follows(history, witness, key, value.as_ref(), next)
        }
    };
    require(holds, &format!("call {} comes before call {}, {}", step.from, step.to, step.why))
}

/// Whether `next` was installed after `value`: a read of the witness has them in this order, or has `value` last
/// of what committed, and no read of the history has `next`.
fn follows(history: &OpHistory, witness: &Witness, key: &str, value: Option<&String>, next: &str) -> bool {
    if is_register(history, key) {
        return value.is_none_or(|value| precedes(history, key, value, next));
    }
    let shown = witness.seen_in.iter().filter_map(|call| Raw::of(history, *call));
    shown.flat_map(|raw| raw.reads(key)).any(|(_, list)| {
        let after = match value {
            None => Some(0),
            Some(value) => list.iter().position(|element| element == value).map(|at| at + 1),
        };
        let place = list.iter().position(|element| element == next);
        match (after, place) {
            (Some(after), Some(place)) => place >= after,
            (Some(_), None) => !is_read_anywhere(history, key, next),
            (None, _) => false,
        }
    })
}

fn is_read_anywhere(history: &OpHistory, key: &str, value: &str) -> bool {
    (0..history.calls().len() as u32)
        .filter_map(|call| Raw::of(history, call))
        .flat_map(|raw| raw.reads(key))
        .any(|(_, list)| list.iter().any(|element| element == value))
}

/// Whether a key was written as a register is.
fn is_register(history: &OpHistory, key: &str) -> bool {
    let mut mops = history.calls().iter().filter_map(|call| micro_operations(history, call)).flatten();
    mops.any(|mop| {
        let parts: Vec<Value<'_>> = mop.items().into_iter().flatten().take(2).collect();
        matches!(parts[..], [f, of] if matches!(f.as_text(), Some("w" | "write")) && of.to_string() == key)
    })
}

/// Whether one version of a register came before another: somebody met the one and had ended before somebody
/// else met the other; or met the one and then wrote the other; `nil` comes before all.
fn precedes(history: &OpHistory, key: &str, value: &str, next: &str) -> bool {
    if value == "nil" {
        return next != "nil";
    }
    let meets = |call: u32, version: &str| {
        Raw::of(history, call).is_some_and(|raw| {
            let read =
                raw.external(key).iter().any(|list| list.last().map_or("nil", String::as_str) == version);
            read || raw.write_of(key, version).is_some()
        })
    };
    let (stated, later) = (stamp_proof::stated(history, key, value), stamp_proof::stated(history, key, next));
    if stated.iter().any(|version| later.iter().any(|later| version < later)) {
        return true;
    }
    let process = |call: u32| history.ops()[history.calls()[call as usize].telling_op() as usize].process;
    let calls = || 0..history.calls().len() as u32;
    calls().filter(|one| meets(*one, value)).any(|one| {
        let end = history.calls()[one as usize].end;
        calls().filter(|other| meets(*other, next)).any(|other| {
            let is_after = end < history.calls()[other as usize].begin;
            let then_wrote = || Raw::of(history, one).is_some_and(|raw| raw.write_of(key, next).is_some());
            let is_known = history.is_timed() || process(one) == process(other);
            is_after && is_known || one == other && then_wrote()
        })
    })
}

/// Whether a version of a register comes before itself.
fn has_circle(history: &OpHistory, key: &str, value: &str) -> bool {
    let raws = (0..history.calls().len() as u32).filter_map(|call| Raw::of(history, call));
    let written = raws.flat_map(|raw| raw.mops).filter(|mop| !mop.0 && mop.1 == key);
    let mut versions: BTreeSet<String> = written.map(|mop| mop.2.to_string()).collect();
    versions.insert("nil".to_owned());
    let (mut reached, mut open) = (BTreeSet::new(), vec![value.to_owned()]);
    while let Some(version) = open.pop() {
        for next in versions.iter().filter(|next| **next != version && precedes(history, key, &version, next))
        {
            if next == value {
                return true;
            }
            if reached.insert(next.clone()) {
                open.push(next.clone());
            }
        }
    }
    false
}
