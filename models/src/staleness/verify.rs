//! Checks a stale read against the definition: each newer version by itself.

use super::{KnownVersion, StaleRead, StalenessOptions};
use crate::foreign::{Call, OpHistory, Outcome};
use crate::session::ops::Deeds;

/// Checks that the history shows the read to be behind by all the versions that are named.
pub fn verify_stale_read(
    history: &OpHistory,
    options: StalenessOptions,
    stale: &StaleRead,
) -> Result<(), String> {
    let deeds = Deeds::with_repeats(history).map_err(|error| error.to_string())?;
    let call = |at: u32| history.calls().get(at as usize).copied();
    let does = |at: u32, is_write: bool, value: &Option<String>| {
        deeds.deeds.iter().any(|deed| {
            let shown = history.store().show(deed.value);
            let is_value = value.as_ref().map_or(shown == "nil", |value| *value == shown);
            deed.call == at && deed.is_write == is_write && is_value && deeds.key_name(deed.key) == stale.key
        })
    };
    let shows = |at: u32, version: &KnownVersion| {
        let is_ok = call(at).is_some_and(|call| call.outcome == Outcome::Ok);
        is_ok && (does(at, true, &version.value) || does(at, false, &version.value))
    };
    let read = call(stale.read).ok_or("no such call")?;
    if !does(stale.read, false, &stale.returned.value) {
        return Err("the call did not read that".to_owned());
    }
    let mut values: Vec<&Option<String>> = stale.newer.iter().map(|version| &version.value).collect();
    values.sort_unstable();
    values.dedup();
    if values.len() != stale.newer.len() || stale.newer.is_empty() {
        return Err("a version is named twice, or none".to_owned());
    }
    for version in &stale.newer {
        let known = version.known_by.filter(|at| shows(*at, version)).and_then(call);
        let is_known = known.is_some_and(|known| known.end < read.begin);
        let is_newer = if options.has_versions {
            let number = |version: &KnownVersion| version.value.as_deref()?.parse::<i64>().ok();
            stale.returned.value.is_none() || number(version) > number(&stale.returned)
        } else {
            let write = version.write.filter(|at| does(*at, true, &version.value)).and_then(call);
            write.is_some_and(|write| is_behind(&write, &stale.returned, &shows, &call))
        };
        if !(is_known && is_newer) {
            return Err(format!("the history does not show {:?} newer, and known", version.value));
        }
    }
    let first = stale.newer.iter().filter_map(|version| call(version.known_by?)).map(|call| call.end).min();
    let time = |place: u32| history.ops().get(place as usize).and_then(|op| op.time);
    let begin = read.invoke.or(read.begin.checked_sub(1)).and_then(time);
    let ns = first.and_then(time).zip(begin).map(|(known, begin)| begin.saturating_sub(known).max(0) as u64);
    if ns == stale.behind_ns { Ok(()) } else { Err("it is not behind for so long".to_owned()) }
}

/// Whether a write began when the version that was returned was known.
fn is_behind(
    write: &Call,
    returned: &KnownVersion,
    shows: &dyn Fn(u32, &KnownVersion) -> bool,
    call: &dyn Fn(u32) -> Option<Call>,
) -> bool {
    match (&returned.value, returned.known_by) {
        (None, _) => true,
        (Some(_), Some(by)) => shows(by, returned) && call(by).is_some_and(|known| known.end < write.begin),
        (Some(_), None) => false,
    }
}
