//! How stale the reads of registers are: by how many versions, and for how long.
//!
//! A read is behind by each version that is newer than the one it returned and was known before the read began. A
//! version is *known* from the moment at which its write ended well, or at which somebody had read it, whichever
//! came first. It is *newer* than another if its write began when the other was known; or, where values are
//! versions themselves ([`StalenessOptions::has_versions`]), if it is the greater number. What was under way at the
//! same time is not counted, so every number is a lower bound: no read is called staler than it was. A read is
//! behind for as long as the first of those versions had been known when it began.
//!
//! This is the staleness by versions and by time of Bailis et al. ("Probabilistically Bounded Staleness", 2012).
//! Without a bound nothing is violated, and the numbers are what there is to see.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::foreign::{OpHistory, Outcome, Word};
use crate::hash::HashMap;
use crate::isolation::ShapeError;
use crate::session::ops::{Deed, Deeds, INITIAL, NOWHERE};
use crate::verdict::Verdict;

mod verify;

pub use verify::verify_stale_read;

/// How staleness is judged.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StalenessOptions {
    /// A read may be behind by so many versions.
    pub versions_max: Option<u64>,
    /// A read may be behind for so many milliseconds.
    pub ms_max: Option<u64>,
    /// Values are versions: the greater is the newer, and one may be written more than once.
    pub has_versions: bool,
}

/// A version, and how it is known.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KnownVersion {
    /// Its value; none for the initial version.
    pub value: Option<String>,
    /// The call that wrote it, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write: Option<u32>,
    /// The call whose end shows it first; none where it was not known when the read began.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub known_by: Option<u32>,
}

/// A read that was behind.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StaleRead {
    /// The key.
    pub key: String,
    /// The call that read.
    pub read: u32,
    /// What it returned.
    pub returned: KnownVersion,
    /// Newer versions that were known before: as many as it takes to show it.
    pub newer: Vec<KnownVersion>,
    /// How many there are in all.
    pub versions_behind: u64,
    /// For how long, where the history has times.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub behind_ns: Option<u64>,
    /// Every call that it rests on, in the order of the history.
    pub calls: Vec<u32>,
    /// The same in words.
    pub text: Vec<String>,
}

/// How stale the reads of a history are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Staleness {
    /// Whether all are within the bounds.
    pub verdict: Verdict,
    /// How many reads are behind by more versions than they may be, and the worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_versions: Option<(u64, StaleRead)>,
    /// How many reads are behind for longer than they may be, and the worst.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub by_time: Option<(u64, StaleRead)>,
    /// How many reads are behind at all, and the worst by versions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stale: Option<(u64, StaleRead)>,
    /// Why the verdict is unknown, or what limits it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What the verdict rests on, and how stale reads are: the 50th and 99th of a hundred, and the worst.
    pub exercised: BTreeMap<&'static str, u64>,
}

/// One version of a key.
#[derive(Clone, Copy)]
struct KeyVersion {
    value: Word,
    write: Option<u32>,
    /// What makes it newer: where its write began, or its number.
    rank: i64,
    /// Where it is known from, and by which call; `u32::MAX` where it never is.
    known: u32,
    known_by: u32,
}

/// How stale one read is.
#[derive(Clone, Copy)]
struct Behind {
    /// The read.
    deed: u32,
    versions: u64,
    ns: Option<u64>,
}

/// Measures a history. `go_on` is asked now and then: once it says no, the verdict is unknown.
pub fn staleness(
    history: &OpHistory,
    options: StalenessOptions,
    go_on: &mut dyn FnMut() -> bool,
) -> Result<Staleness, ShapeError> {
    let deeds = if options.has_versions { Deeds::with_repeats(history)? } else { Deeds::of(history)? };
    let mut by_key: Vec<Vec<u32>> = vec![Vec::new(); deeds.key_count()];
    deeds.deeds.iter().enumerate().for_each(|(at, deed)| by_key[deed.key as usize].push(at as u32));
    let mut all: Vec<Behind> = Vec::new();
    let mut is_over = false;
    for list in &by_key {
        if !go_on() {
            is_over = true;
            break;
        }
        measure(&deeds, options, list, &mut all)?;
    }
    Ok(judged(&deeds, options, &by_key, &all, is_over))
}

fn number(deeds: &Deeds<'_>, deed: &Deed) -> Result<i64, ShapeError> {
    let line = || deeds.history.ops()[deeds.history.calls()[deed.call as usize].telling_op() as usize].line;
    let message = "where values are versions, they are whole numbers".to_owned();
    deeds.history.store().as_int(deed.value).ok_or_else(|| ShapeError { line: line(), message })
}

/// All versions of a key that were written, or read where they are numbers.
fn versions(
    deeds: &Deeds<'_>,
    options: StalenessOptions,
    list: &[u32],
) -> Result<Vec<KeyVersion>, ShapeError> {
    let calls = deeds.history.calls();
    let mut places: HashMap<Word, usize> = HashMap::default();
    let mut found: Vec<KeyVersion> = Vec::new();
    for at in list {
        let deed = &deeds.deeds[*at as usize];
        let is_initial = !deed.is_write && deed.value == Word::NIL;
        let is_version = options.has_versions || deed.is_write && deeds.is_source(*at);
        if is_initial || !is_version {
            continue;
        }
        let rank = match options.has_versions {
            true => number(deeds, deed)?,
            false => i64::from(calls[deed.call as usize].begin),
        };
        let write = deed.is_write.then_some(deed.call);
        let next = found.len();
        let place = *places.entry(deed.value).or_insert(next);
        if place == next {
            found.push(KeyVersion { value: deed.value, write, rank, known: u32::MAX, known_by: 0 });
        }
        found[place].write = found[place].write.or(write);
    }
    for at in list {
        let deed = &deeds.deeds[*at as usize];
        let call = &calls[deed.call as usize];
        if let Some(place) = places.get(&deed.value).filter(|_| call.outcome == Outcome::Ok)
            && (call.end, deed.call) < (found[*place].known, u32::MAX)
        {
            (found[*place].known, found[*place].known_by) = (call.end, deed.call);
        }
    }
    found.sort_unstable_by_key(|version| (version.rank, version.write));
    Ok(found)
}

/// Versions of a key from the oldest to the newest.
struct Ranked {
    versions: Vec<KeyVersion>,
    places: HashMap<Word, usize>,
    /// From each on, the place of the one that is known first.
    first_known: Vec<usize>,
}

impl Ranked {
    fn of(versions: Vec<KeyVersion>) -> Ranked {
        let places = versions.iter().enumerate().map(|(at, version)| (version.value, at)).collect();
        let mut first_known: Vec<usize> = (0..versions.len()).collect();
        for at in (1..versions.len()).rev() {
            if versions[first_known[at]].known < versions[at - 1].known {
                first_known[at - 1] = first_known[at];
            }
        }
        Ranked { versions, places, first_known }
    }

    /// Where the versions begin that are newer than the one that was read; none where nobody can say.
    fn newer_than(&self, options: StalenessOptions, read: &Deed) -> Option<usize> {
        if read.source == INITIAL || options.has_versions && read.value == Word::NIL {
            return Some(0);
        }
        let at = *self.places.get(&read.value).filter(|_| options.has_versions || read.source != NOWHERE)?;
        let returned = &self.versions[at];
        let limit = if options.has_versions { returned.rank } else { i64::from(returned.known) };
        Some(self.versions.partition_point(|version| version.rank <= limit))
    }
}

fn measure(
    deeds: &Deeds<'_>,
    options: StalenessOptions,
    list: &[u32],
    all: &mut Vec<Behind>,
) -> Result<(), ShapeError> {
    let ranked = Ranked::of(versions(deeds, options, list)?);
    let calls = deeds.history.calls();
    let mut known: Vec<(u32, usize)> =
        ranked.versions.iter().enumerate().map(|(at, version)| (version.known, at)).collect();
    known.sort_unstable();
    let mut reads: Vec<(u32, u32)> = list
        .iter()
        .filter(|at| !deeds.deeds[**at as usize].is_write)
        .map(|at| (calls[deeds.deeds[*at as usize].call as usize].begin, *at))
        .collect();
    reads.sort_unstable();
    // Counts the versions that are known so far, by their places.
    let mut counts = Counts(vec![0; ranked.versions.len() + 1]);
    let mut next = known.iter().peekable();
    for (begin, at) in reads {
        while let Some((_, place)) = next.next_if(|(known, _)| *known < begin) {
            counts.add(*place);
        }
        let Some(from) = ranked.newer_than(options, &deeds.deeds[at as usize]) else { continue };
        let versions = counts.from(from);
        let ns = match ranked.first_known.get(from).filter(|_| versions > 0) {
            None => time_of_begin(deeds, at).map(|_| 0),
            Some(first) => between(deeds, ranked.versions[*first].known, at),
        };
        all.push(Behind { deed: at, versions, ns });
    }
    Ok(())
}

fn time_of_begin(deeds: &Deeds<'_>, at: u32) -> Option<i64> {
    let call = deeds.of_call(at);
    // What is known of one that has no invocation is when its process was done with the last.
    let place = call.invoke.or(call.begin.checked_sub(1))?;
    deeds.history.ops()[place as usize].time
}

/// How long something had been known when a read began.
fn between(deeds: &Deeds<'_>, known: u32, at: u32) -> Option<u64> {
    let known = deeds.history.ops()[known as usize].time?;
    Some(u64::try_from(time_of_begin(deeds, at)?.saturating_sub(known)).unwrap_or(0))
}

/// A Fenwick tree over places.
struct Counts(Vec<u64>);

impl Counts {
    fn add(&mut self, place: usize) {
        let mut at = place + 1;
        while at < self.0.len() {
            self.0[at] += 1;
            at += at & at.wrapping_neg();
        }
    }

    fn before(&self, place: usize) -> u64 {
        let (mut at, mut sum) = (place, 0);
        while at > 0 {
            sum += self.0[at];
            at -= at & at.wrapping_neg();
        }
        sum
    }

    fn from(&self, place: usize) -> u64 {
        self.before(self.0.len() - 1) - self.before(place)
    }
}

const NS_PER_MS: u64 = 1_000_000;
const NS_PER_US: u64 = 1_000;

fn judged(
    deeds: &Deeds<'_>,
    options: StalenessOptions,
    by_key: &[Vec<u32>],
    all: &[Behind],
    is_over: bool,
) -> Staleness {
    let worst = |is_bad: &dyn Fn(&Behind) -> bool, is_by_time: bool| {
        let bad = all.iter().filter(|behind| is_bad(behind));
        let key = |behind: &&Behind| match is_by_time {
            true => (behind.ns.unwrap_or(0), behind.versions, std::cmp::Reverse(behind.deed)),
            false => (behind.versions, behind.ns.unwrap_or(0), std::cmp::Reverse(behind.deed)),
        };
        let count = bad.clone().count() as u64;
        let shown = if is_by_time { 1 } else { options.versions_max.unwrap_or(0).saturating_add(1) };
        bad.max_by_key(key).map(|behind| (count, stale_read(deeds, options, by_key, behind, shown)))
    };
    let is_many = |behind: &Behind| options.versions_max.is_some_and(|max| behind.versions > max);
    let is_long = |behind: &Behind| {
        let max = options.ms_max.map(|ms| ms.saturating_mul(NS_PER_MS));
        behind.ns.zip(max).is_some_and(|(ns, max)| ns > max)
    };
    let has_times = all.iter().any(|behind| behind.ns.is_some());
    let mut found = Staleness {
        verdict: Verdict::Valid,
        by_versions: worst(&is_many, false),
        by_time: worst(&is_long, true),
        stale: worst(&|behind| behind.versions > 0, false),
        reason: None,
        exercised: distribution(deeds, all),
    };
    let undecided = if is_over {
        Some("the time was over before all keys were looked at")
    } else if all.is_empty() {
        Some("the history holds no reads of known versions")
    } else if options.ms_max.is_some() && !has_times {
        Some("the history has no times to hold a bound in milliseconds against")
    } else {
        None
    };
    if found.by_versions.is_some() || found.by_time.is_some() {
        found.verdict = Verdict::Violated;
    } else if let Some(reason) = undecided {
        (found.verdict, found.reason) = (Verdict::Unknown, Some(reason.to_owned()));
    } else if options.versions_max.is_none() && options.ms_max.is_none() {
        found.reason = Some("no bound is given: this measures, and judges nothing".to_owned());
    }
    found
}

fn distribution(deeds: &Deeds<'_>, all: &[Behind]) -> BTreeMap<&'static str, u64> {
    let mut versions: Vec<u64> = all.iter().map(|behind| behind.versions).collect();
    let mut times: Vec<u64> = all.iter().filter_map(|behind| behind.ns).map(|ns| ns / NS_PER_US).collect();
    versions.sort_unstable();
    times.sort_unstable();
    let writes = deeds.deeds.iter().filter(|deed| deed.is_write).count() as u64;
    let mut found = BTreeMap::from([
        ("keys", deeds.key_count() as u64),
        ("reads", all.len() as u64),
        ("reads that are behind", versions.iter().filter(|count| **count > 0).count() as u64),
        ("writes", writes),
    ]);
    let names = [
        ["versions behind, p50", "versions behind, p99", "versions behind, max"],
        ["microseconds behind, p50", "microseconds behind, p99", "microseconds behind, max"],
    ];
    for (sorted, names) in [versions, times].iter().zip(names) {
        for (name, per_cent) in names.into_iter().zip([50, 99, 100]) {
            // The smallest value that so many of a hundred do not exceed.
            let rank = (sorted.len() * per_cent).div_ceil(100).checked_sub(1);
            if let Some(value) = rank.and_then(|rank| sorted.get(rank)) {
                found.insert(name, *value);
            }
        }
    }
    found
}

fn stale_read(
    deeds: &Deeds<'_>,
    options: StalenessOptions,
    by_key: &[Vec<u32>],
    behind: &Behind,
    shown: u64,
) -> StaleRead {
    let read = deeds.deeds[behind.deed as usize];
    let begin = deeds.of_call(behind.deed).begin;
    // The versions of this key were found before without an error.
    let ranked = Ranked::of(versions(deeds, options, &by_key[read.key as usize]).unwrap_or_default());
    let from = ranked.newer_than(options, &read).unwrap_or(ranked.versions.len());
    let show = |version: &KeyVersion| KnownVersion {
        value: Some(deeds.history.store().show(version.value)),
        write: version.write,
        known_by: (version.known < begin).then_some(version.known_by),
    };
    let mut newer: Vec<&KeyVersion> =
        ranked.versions[from..].iter().filter(|version| version.known < begin).collect();
    // The first that was known shows for how long, and the next by how many.
    newer.sort_by_key(|version| version.known);
    newer.truncate(usize::try_from(shown).unwrap_or(usize::MAX));
    let returned = ranked.places.get(&read.value).filter(|_| read.value != Word::NIL);
    let returned = returned.map_or(KnownVersion { value: None, write: None, known_by: None }, |at| {
        let version = &ranked.versions[*at];
        KnownVersion { known_by: (version.known != u32::MAX).then_some(version.known_by), ..show(version) }
    });
    let newer: Vec<KnownVersion> = newer.into_iter().map(show).collect();
    let mut calls: Vec<u32> = newer
        .iter()
        .chain([&returned])
        .flat_map(|version| version.write.into_iter().chain(version.known_by))
        .chain([read.call])
        .collect();
    calls.sort_unstable();
    calls.dedup();
    let text = words(deeds, behind, &returned, &newer);
    let (key, versions_behind) = (deeds.key_name(read.key), behind.versions);
    StaleRead { key, read: read.call, returned, newer, versions_behind, behind_ns: behind.ns, calls, text }
}

fn words(deeds: &Deeds<'_>, behind: &Behind, returned: &KnownVersion, newer: &[KnownVersion]) -> Vec<String> {
    let line = |call: u32| {
        let call = &deeds.history.calls()[call as usize];
        deeds.history.ops()[call.telling_op() as usize].line
    };
    let read = deeds.deeds[behind.deed as usize];
    let time = behind.ns.map_or(String::new(), |ns| format!(", for {} us", ns / NS_PER_US));
    let first = format!(
        "line {} read {} from {}, which was behind by {} version(s){time}",
        line(read.call),
        returned.value.as_deref().unwrap_or("the initial version"),
        deeds.key_name(read.key),
        behind.versions,
    );
    let rest = newer.iter().map(|version| {
        let value = version.value.as_deref().unwrap_or_default();
        let known = version.known_by.map_or(0, line);
        match version.write.filter(|write| Some(*write) != version.known_by) {
            Some(write) => {
                format!(
                    "{value} was written in line {}, and known by line {known} before the read began",
                    line(write)
                )
            }
            None => format!("{value} was known by line {known} before the read began"),
        }
    });
    [first].into_iter().chain(rest).collect()
}
