//! What was delivered and not acknowledged: looking at it, and claiming it for another consumer.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::super::answer::{Answer, Outcome, SYNTAX, Stop, error, refuse};
use super::super::number::int;
use super::super::state::State;
use super::super::stream::{Group, Id, Pending, Stream, entry_answer};
use super::stream::{high_bound, low_bound};
use super::upper;

fn no_such(group: &[u8], key: &[u8]) -> Stop {
    let (group, key) = (String::from_utf8_lossy(group), String::from_utf8_lossy(key));
    refuse(format!("NOGROUP No such key '{key}' or consumer group '{group}'"))
}

pub(super) fn xpending(state: &mut State, args: &[&[u8]]) -> Outcome {
    let query = if args.len() > 3 { Some(Query::read(&args[3..])?) } else { None };
    let now_ms = state.now_ms();
    let stream = state.container::<Stream>(args[1])?;
    let group = stream.and_then(|stream| stream.groups.get(args[2]));
    let group = group.ok_or_else(|| no_such(args[2], args[1]))?;
    Ok(match query {
        None => summary(group),
        Some(query) => query.run(group, now_ms),
    })
}

/// How much is pending, from where to where, and for whom.
fn summary(group: &Group) -> Answer {
    let (Some((first, _)), Some((last, _))) =
        (group.pending.first_key_value(), group.pending.last_key_value())
    else {
        return Answer::Array(vec![Answer::Int(0), Answer::Nil, Answer::Nil, Answer::NilArray]);
    };
    let mut shares: BTreeMap<&Bytes, usize> = BTreeMap::new();
    for pending in group.pending.values() {
        *shares.entry(&pending.consumer).or_default() += 1;
    }
    let share = |(consumer, count): (&Bytes, usize)| {
        let count = Answer::Bulk(Bytes::from(count.to_string()));
        Answer::Array(vec![Answer::Bulk(consumer.clone()), count])
    };
    let shares = Answer::Array(shares.into_iter().map(share).collect());
    Answer::Array(vec![Answer::count(group.pending.len()), first.answer(), last.answer(), shares])
}

/// XPENDING with a range.
struct Query<'a> {
    idle_ms: i64,
    low: Id,
    high: Id,
    count: usize,
    consumer: Option<&'a [u8]>,
}

impl<'a> Query<'a> {
    fn read(words: &[&'a [u8]]) -> Result<Self, Stop> {
        let (idle_ms, words) = match words {
            [word, idle, rest @ ..] if upper(word) == "IDLE" => (int(idle)?, rest),
            _ => (0, words),
        };
        let (low, high, count, consumer) = match words {
            [low, high, count] => (low, high, count, None),
            [low, high, count, consumer] => (low, high, count, Some(*consumer)),
            _ => return Err(SYNTAX),
        };
        let count = usize::try_from(int(count)?).unwrap_or(0);
        Ok(Query { idle_ms, low: low_bound(low)?, high: high_bound(high)?, count, consumer })
    }

    fn run(&self, group: &Group, now_ms: i64) -> Answer {
        if self.low > self.high {
            return Answer::Array(Vec::new());
        }
        let idle_ms = |pending: &Pending| (now_ms - pending.delivered_ms).max(0);
        let wanted = group.pending.range(self.low..=self.high).filter(|(_, pending)| {
            self.consumer.is_none_or(|consumer| pending.consumer == consumer)
                && idle_ms(pending) >= self.idle_ms
        });
        let told = wanted.take(self.count).map(|(id, pending)| {
            let consumer = Answer::Bulk(pending.consumer.clone());
            let counts = [Answer::Int(idle_ms(pending)), Answer::Int(pending.deliveries)];
            Answer::Array([id.answer(), consumer].into_iter().chain(counts).collect())
        });
        Answer::Array(told.collect())
    }
}

/// How many entries one XAUTOCLAIM claims, unless told.
const CLAIMED: usize = 100;

/// How many pending entries XAUTOCLAIM looks at for each that it may claim.
const LOOKED_AT_EACH: usize = 10;

pub(super) fn xautoclaim(state: &mut State, args: &[&[u8]]) -> Outcome {
    let idle_text = "ERR Invalid min-idle-time argument for XAUTOCLAIM";
    let idle_ms = super::super::number::parse_int(args[4]).ok_or(error(idle_text))?.max(0);
    let low = low_bound(args[5])?;
    let (mut count, mut only_ids) = (CLAIMED, false);
    let mut words = args[6..].iter();
    while let Some(word) = words.next() {
        match (upper(word).as_str(), words.as_slice().first()) {
            ("COUNT", Some(number)) => {
                let text = "ERR COUNT must be > 0";
                let number = super::super::number::parse_int(number).ok_or(error(text))?;
                count = usize::try_from(number).ok().filter(|count| *count > 0).ok_or(error(text))?;
                words.next();
            }
            ("JUSTID", _) => only_ids = true,
            _ => return Err(SYNTAX),
        }
    }
    let now_ms = state.now_ms();
    let claim = Claim { consumer: args[3], idle_ms, now_ms, only_ids };
    let claimed = state.change(args[1], |stream: &mut Stream| {
        let Stream { entries, groups, .. } = stream;
        let Some(group) = groups.get_mut(args[2]) else { return (false, None) };
        (true, Some(claim.pass_over(entries, group, low, count)))
    })?;
    claimed.flatten().ok_or_else(|| no_such(args[2], args[1]))
}

/// What is claimed, and for whom.
struct Claim<'a> {
    consumer: &'a [u8],
    idle_ms: i64,
    now_ms: i64,
    only_ids: bool,
}

impl Claim<'_> {
    /// Passes over what is pending, from `low` on.
    fn pass_over(
        &self,
        entries: &BTreeMap<Id, Vec<Bytes>>,
        group: &mut Group,
        low: Id,
        count: usize,
    ) -> Answer {
        let ids: Vec<Id> = group.pending.range(low..).map(|(id, _)| *id).collect();
        let (mut claimed, mut deleted, mut looked_at) = (Vec::new(), Vec::new(), 0);
        let mut left = count;
        for id in &ids {
            if left == 0 || looked_at == count.saturating_mul(LOOKED_AT_EACH) {
                break;
            }
            looked_at += 1;
            if !entries.contains_key(id) {
                group.pending.remove(id);
                deleted.push(id.answer());
                left -= 1;
                continue;
            }
            if let Some(answer) = self.take(entries, group, *id) {
                claimed.push(answer);
                left -= 1;
            }
        }
        let next = ids.get(looked_at).copied().unwrap_or(Id::MIN);
        Answer::Array(vec![next.answer(), Answer::Array(claimed), Answer::Array(deleted)])
    }

    /// Takes one entry over, if it has been idle long enough.
    fn take(&self, entries: &BTreeMap<Id, Vec<Bytes>>, group: &mut Group, id: Id) -> Option<Answer> {
        let pending = group.pending.get_mut(&id)?;
        if self.now_ms - pending.delivered_ms < self.idle_ms {
            return None;
        }
        let consumer = Bytes::copy_from_slice(self.consumer);
        group.consumers.insert(consumer.clone());
        pending.consumer = consumer;
        pending.delivered_ms = self.now_ms;
        if self.only_ids {
            return Some(id.answer());
        }
        pending.deliveries += 1;
        Some(entry_answer(id, entries.get(&id)))
    }
}

pub(super) fn xclaim(state: &mut State, args: &[&[u8]]) -> Outcome {
    let has_group =
        state.container::<Stream>(args[1])?.is_some_and(|stream| stream.groups.contains_key(args[2]));
    let idle_text = "ERR Invalid min-idle-time argument for XCLAIM";
    if !has_group {
        return Err(no_such(args[2], args[1]));
    }
    let idle_ms = super::super::number::parse_int(args[4]).ok_or(error(idle_text))?.max(0);
    let ids: Vec<Id> = args[5..].iter().map_while(|word| Id::read(word, 0).ok()).collect();
    let mut only_ids = false;
    for word in &args[5 + ids.len()..] {
        match upper(word).as_str() {
            "JUSTID" => only_ids = true,
            option @ ("IDLE" | "TIME" | "RETRYCOUNT" | "FORCE" | "LASTID") => {
                return Err(super::super::answer::not_known(&format!("XCLAIM .. {option}")));
            }
            _ => {
                let word = String::from_utf8_lossy(word);
                return Err(refuse(format!("ERR Unrecognized XCLAIM option '{word}'")));
            }
        }
    }
    let claim = Claim { consumer: args[3], idle_ms, now_ms: state.now_ms(), only_ids };
    let claimed = state.change(args[1], |stream: &mut Stream| {
        let Stream { entries, groups, .. } = stream;
        let Some(group) = groups.get_mut(args[2]) else { return (false, Vec::new()) };
        let mut claimed = Vec::new();
        for id in &ids {
            if entries.contains_key(id) {
                claimed.extend(claim.take(entries, group, *id));
            } else {
                group.pending.remove(id);
            }
        }
        (true, claimed)
    })?;
    Ok(Answer::Array(claimed.unwrap_or_default()))
}
