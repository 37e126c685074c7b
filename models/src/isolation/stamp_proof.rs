//! Checks what timestamps and stated versions are said to show, against the history alone: it shares no code with
//! the checkers.

use super::anomaly::{Anomaly, Extent};
use super::replay::micro_operations;
use super::witness::Witness;
use crate::foreign::{Call, OpHistory, Outcome, Stamps, Value};

/// One transaction, as it stands in the history.
struct Raw<'a> {
    at: u32,
    call: &'a Call,
    mops: Vec<(bool, String, Value<'a>, Option<i64>)>,
}

impl<'a> Raw<'a> {
    fn of(history: &'a OpHistory, at: u32) -> Option<Raw<'a>> {
        let call = history.calls().get(at as usize)?;
        let mut mops = Vec::new();
        for mop in micro_operations(history, call)? {
            let parts: Vec<Value<'a>> = mop.items()?.collect();
            let is_read = matches!(parts.first()?.as_text()?, "r" | "read");
            let (key, value) = (parts.get(1)?, parts.get(2).copied());
            if let Some(value) = value.filter(|_| !is_read || call.outcome == Outcome::Ok) {
                mops.push((
                    is_read,
                    key.to_string(),
                    value,
                    parts.get(3).and_then(|version| version.as_int()),
                ));
            }
        }
        Some(Raw { at, call, mops })
    }

    /// What it wrote to a key, in order, before the micro-operation at `until`.
    fn written(&self, key: &str, until: usize) -> Vec<String> {
        let mops = self.mops[..until].iter().filter(|mop| !mop.0 && mop.1 == key);
        mops.map(|mop| mop.2.to_string()).collect()
    }
}

fn all(history: &OpHistory) -> impl Iterator<Item = Raw<'_>> {
    (0..history.calls().len() as u32).filter_map(|call| Raw::of(history, call))
}

fn elements(value: Value<'_>) -> Vec<String> {
    match value.items() {
        Some(items) => items.map(|item| item.to_string()).collect(),
        None if value.is_nil() => Vec::new(),
        None => vec![value.to_string()],
    }
}

/// Whether the history shows what the witness says of its timestamps or its versions.
pub(super) fn holds(history: &OpHistory, witness: &Witness) -> bool {
    let raws: Option<Vec<Raw<'_>>> = witness.calls.iter().map(|call| Raw::of(history, *call)).collect();
    let raws = raws.unwrap_or_default();
    let stamps: Option<Vec<Stamps>> = raws.iter().map(|raw| history.stamps(raw.call)).collect();
    let key = witness.key.as_deref().unwrap_or_default();
    match (witness.anomaly, &raws[..], stamps.as_deref()) {
        (Anomaly::InconsistentVersions, ..) => contradicts(history, key, witness.value.as_deref()),
        (Anomaly::TimestampOrder(Extent::Data), [_], Some([one])) => one.start > one.commit,
        (Anomaly::TimestampOrder(extent), [one, other], Some([before, after])) => {
            let process = |raw: &Raw<'_>| history.ops()[raw.call.telling_op() as usize].process;
            let follows = match extent {
                Extent::Realtime => history.is_timed(),
                Extent::Data | Extent::Process => process(one) == process(other),
            };
            let is_later = one.call.outcome == Outcome::Ok && one.call.end < other.call.begin;
            follows && is_later && happened(history, other) && after.start < before.commit
        }
        (Anomaly::WriteConflict, [one, other], Some([first, second])) => {
            let writes = |raw: &Raw<'_>| !raw.written(key, raw.mops.len()).is_empty();
            let overlap = second.start < first.commit && first.start < second.commit;
            let happened = happened(history, one) && happened(history, other);
            one.at != other.at && overlap && happened && writes(one) && writes(other)
        }
        (Anomaly::SnapshotRead, [reader, ..], _) => reads_otherwise(history, reader, key),
        _ => false,
    }
}

/// It is known to have happened, or something that is known to have happened read what it wrote.
fn happened(history: &OpHistory, raw: &Raw<'_>) -> bool {
    let wrote = |key: &str, values: &[String]| {
        raw.mops.iter().any(|mop| !mop.0 && mop.1 == key && values.contains(&mop.2.to_string()))
    };
    let is_read =
        || all(history).flat_map(|other| other.mops).any(|mop| mop.0 && wrote(&mop.1, &elements(mop.2)));
    raw.call.outcome == Outcome::Ok || raw.call.outcome == Outcome::Info && is_read()
}

/// Whether a read is other than what had committed when its transaction started.
fn reads_otherwise(history: &OpHistory, reader: &Raw<'_>, key: &str) -> bool {
    let Some(own) = history.stamps(reader.call) else { return false };
    let mut before: Vec<(i64, bool, u32, Vec<String>)> = Vec::new();
    for raw in all(history).filter(|raw| raw.at != reader.at && happened(history, raw)) {
        let written = raw.written(key, raw.mops.len());
        let Some(stamps) = history.stamps(raw.call).filter(|_| !written.is_empty()) else { continue };
        // Who starts and commits at once takes turns with the others that do so at that time.
        let is_moment = stamps.start == stamps.commit;
        let is_seen = stamps.commit < own.start
            || stamps.commit == own.start && (!is_moment || own.start < own.commit || raw.at < reader.at);
        if is_seen {
            before.push((stamps.commit, is_moment, raw.at, written));
        }
    }
    before.sort();
    let before: Vec<String> = before.into_iter().flat_map(|(.., written)| written).collect();
    reader.mops.iter().enumerate().filter(|(_, mop)| mop.0 && mop.1 == key).any(|(at, mop)| {
        let is_list = mop.2.items().is_some() || is_appended_to(history, key);
        let expected = [before.as_slice(), &reader.written(key, at)].concat();
        let shown = if is_list { &expected[..] } else { &expected[expected.len().saturating_sub(1)..] };
        elements(mop.2) != shown
    })
}

fn is_appended_to(history: &OpHistory, key: &str) -> bool {
    let calls = history.calls().iter().filter_map(|call| micro_operations(history, call));
    calls.flatten().filter_map(Value::items).any(|mut parts| {
        let (f, of) = (parts.next(), parts.next());
        f.and_then(Value::as_text) == Some("append") && of.is_some_and(|of| of.to_string() == key)
    })
}

/// What the history says of the version of a value.
pub(super) fn stated(history: &OpHistory, key: &str, value: &str) -> Vec<i64> {
    let mops = all(history).filter(|raw| raw.call.outcome != Outcome::Fail).flat_map(|raw| raw.mops);
    let of_value = mops.filter(|mop| mop.1 == key && mop.2.to_string() == value);
    of_value.filter_map(|mop| mop.3).collect()
}

/// Whether a value is said to be of two versions, or of one that another value is of too.
fn contradicts(history: &OpHistory, key: &str, value: Option<&str>) -> bool {
    let Some(value) = value else { return false };
    let own = stated(history, key, value);
    let mops = all(history).filter(|raw| raw.call.outcome != Outcome::Fail).flat_map(|raw| raw.mops);
    let mut others = mops.filter(|mop| mop.1 == key && mop.2.to_string() != value).filter_map(|mop| mop.3);
    own.windows(2).any(|pair| pair[0] != pair[1]) || others.any(|other| own.contains(&other))
}
