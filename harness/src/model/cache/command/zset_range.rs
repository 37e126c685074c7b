//! Ranges of sorted sets: by rank, by score, by member.

use bytes::Bytes;

use super::super::answer::{Answer, Outcome, SYNTAX, Stop, error};
use super::super::number::{self, int};
use super::super::state::State;
use super::super::value::Zset;
use super::list::span;
use super::upper;
use super::zset::{limit_number, score_answer};

/// What a range goes by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Rank,
    Score,
    Member,
}

/// An end of a range.
#[derive(Debug, Clone)]
enum Bound<T> {
    Lowest,
    Highest,
    With(T),
    Without(T),
}

impl<T: PartialOrd> Bound<T> {
    fn is_below(&self, value: &T) -> bool {
        match self {
            Bound::Lowest => true,
            Bound::Highest => false,
            Bound::With(bound) => bound <= value,
            Bound::Without(bound) => bound < value,
        }
    }

    fn is_above(&self, value: &T) -> bool {
        match self {
            Bound::Lowest => false,
            Bound::Highest => true,
            Bound::With(bound) => bound >= value,
            Bound::Without(bound) => bound > value,
        }
    }
}

fn score_bound(bytes: &[u8]) -> Result<Bound<f64>, Stop> {
    // Where no digits stand, C's strtod reads a zero.
    let read = |bytes: &[u8]| if bytes.is_empty() { Some(0.0) } else { number::parse_float(bytes) };
    let bound = match bytes.strip_prefix(b"(") {
        Some(rest) => read(rest).map(Bound::Without),
        None => read(bytes).map(Bound::With),
    };
    bound.ok_or(error("ERR min or max is not a float"))
}

fn member_bound(bytes: &[u8]) -> Result<Bound<Bytes>, Stop> {
    match bytes {
        b"-" => Ok(Bound::Lowest),
        b"+" => Ok(Bound::Highest),
        [b'[', rest @ ..] => Ok(Bound::With(Bytes::copy_from_slice(rest))),
        [b'(', rest @ ..] => Ok(Bound::Without(Bytes::copy_from_slice(rest))),
        _ => Err(error("ERR min or max not valid string range item")),
    }
}

/// A range of a sorted set as a command asks for it.
struct Range {
    by: By,
    reverse: bool,
    with_scores: bool,
    limit: Option<(i64, i64)>,
}

impl Range {
    fn read(by: Option<By>, reverse: Option<bool>, words: &[&[u8]]) -> Result<Self, Stop> {
        let fixed = by;
        let mut range = Range {
            by: by.unwrap_or(By::Rank),
            reverse: reverse.unwrap_or(false),
            with_scores: false,
            limit: None,
        };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            match upper(word).as_str() {
                "WITHSCORES" if fixed != Some(By::Member) => range.with_scores = true,
                "LIMIT" if fixed != Some(By::Rank) => {
                    let (Some(skip), Some(count)) = (words.next(), words.next()) else { return Err(SYNTAX) };
                    range.limit = Some((limit_number(skip)?, limit_number(count)?));
                }
                "REV" if reverse.is_none() => range.reverse = true,
                "BYSCORE" if fixed.is_none() => range.by = By::Score,
                "BYLEX" if fixed.is_none() => range.by = By::Member,
                _ => return Err(SYNTAX),
            }
        }
        if range.limit.is_some_and(|(_, count)| count != -1) && range.by == By::Rank {
            let text =
                "ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX";
            return Err(error(text));
        }
        if range.with_scores && range.by == By::Member {
            let text = "ERR syntax error, WITHSCORES not supported in combination with BYLEX";
            return Err(error(text));
        }
        Ok(range)
    }

    fn run(&self, state: &mut State, key: &[u8], start: &[u8], end: &[u8]) -> Outcome {
        let (low, high) = if self.reverse { (end, start) } else { (start, end) };
        let found = match self.by {
            By::Rank => {
                let (start, end) = (int(start)?, int(end)?);
                let zset = state.container::<Zset>(key)?;
                zset.map(|zset| self.by_rank(zset, start, end))
            }
            By::Score => {
                let (low, high) = (score_bound(low)?, score_bound(high)?);
                let zset = state.container::<Zset>(key)?;
                zset.map(|zset| self.filtered(zset, |score, _| low.is_below(&score) && high.is_above(&score)))
            }
            By::Member => {
                let (low, high) = (member_bound(low)?, member_bound(high)?);
                let zset = state.container::<Zset>(key)?;
                zset.map(|zset| {
                    self.filtered(zset, |_, member| low.is_below(member) && high.is_above(member))
                })
            }
        };
        let mut answers = Vec::new();
        for (score, member) in found.unwrap_or_default() {
            answers.push(Answer::Bulk(member));
            if self.with_scores {
                answers.push(score_answer(score));
            }
        }
        Ok(Answer::Array(answers))
    }

    fn by_rank(&self, zset: &Zset, start: i64, end: i64) -> Vec<(f64, Bytes)> {
        let places = span(start, end, zset.len());
        let owned = |(score, member): (f64, &Bytes)| (score, member.clone());
        if self.reverse {
            zset.iter().rev().skip(places.start).take(places.len()).map(owned).collect()
        } else {
            zset.iter().skip(places.start).take(places.len()).map(owned).collect()
        }
    }

    fn filtered(&self, zset: &Zset, is_in: impl Fn(f64, &Bytes) -> bool) -> Vec<(f64, Bytes)> {
        let mut found: Vec<(f64, Bytes)> = zset
            .iter()
            .filter(|(score, member)| is_in(*score, member))
            .map(|(score, member)| (score, member.clone()))
            .collect();
        if self.reverse {
            found.reverse();
        }
        let Some((skip, count)) = self.limit else { return found };
        // Below zero, a number to skip leaves nothing, and a count leaves all.
        let skip = usize::try_from(skip).unwrap_or(usize::MAX);
        found.into_iter().skip(skip).take(usize::try_from(count).unwrap_or(usize::MAX)).collect()
    }
}

pub(super) fn zrange(state: &mut State, args: &[&[u8]]) -> Outcome {
    Range::read(None, None, &args[4..])?.run(state, args[1], args[2], args[3])
}

pub(super) fn zrevrange(state: &mut State, args: &[&[u8]]) -> Outcome {
    Range::read(Some(By::Rank), Some(true), &args[4..])?.run(state, args[1], args[2], args[3])
}

pub(super) fn zrangebyscore(state: &mut State, args: &[&[u8]]) -> Outcome {
    Range::read(Some(By::Score), Some(false), &args[4..])?.run(state, args[1], args[2], args[3])
}

pub(super) fn zrevrangebyscore(state: &mut State, args: &[&[u8]]) -> Outcome {
    Range::read(Some(By::Score), Some(true), &args[4..])?.run(state, args[1], args[2], args[3])
}

pub(super) fn zrangebylex(state: &mut State, args: &[&[u8]]) -> Outcome {
    Range::read(Some(By::Member), Some(false), &args[4..])?.run(state, args[1], args[2], args[3])
}

pub(super) fn zcount(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (low, high) = (score_bound(args[2])?, score_bound(args[3])?);
    let Some(zset) = state.container::<Zset>(args[1])? else { return Ok(Answer::Int(0)) };
    let is_in = |score: f64| low.is_below(&score) && high.is_above(&score);
    Ok(Answer::count(zset.iter().filter(|(score, _)| is_in(*score)).count()))
}

pub(super) fn zremrangebyscore(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (low, high) = (score_bound(args[2])?, score_bound(args[3])?);
    remove(state, args[1], |zset| {
        let is_in = |score: f64| low.is_below(&score) && high.is_above(&score);
        zset.iter().filter(|(score, _)| is_in(*score)).map(|(_, member)| member.clone()).collect()
    })
}

pub(super) fn zremrangebyrank(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (start, end) = (int(args[2])?, int(args[3])?);
    remove(state, args[1], |zset| {
        let places = span(start, end, zset.len());
        zset.iter().skip(places.start).take(places.len()).map(|(_, member)| member.clone()).collect()
    })
}

fn remove(state: &mut State, key: &[u8], which: impl Fn(&Zset) -> Vec<Bytes>) -> Outcome {
    let removed = state.change(key, |zset: &mut Zset| {
        let members = which(zset);
        for member in &members {
            zset.remove(member);
        }
        (!members.is_empty(), members.len())
    })?;
    Ok(Answer::count(removed.unwrap_or(0)))
}
