//! Sorted sets.

use bytes::Bytes;

use super::super::answer::{Answer, NOT_AN_INTEGER, Outcome, SYNTAX, Stop, error};
use super::super::number::{self, float};
use super::super::state::State;
use super::super::value::Zset;
use super::list::positive;
use super::upper;

/// What ZADD was given before its scores.
#[derive(Default)]
struct Options {
    only_new: bool,
    only_there: bool,
    only_greater: bool,
    only_less: bool,
    count_changed: bool,
    add: bool,
}

impl Options {
    /// The options, and how many words they are.
    fn read(words: &[&[u8]]) -> (Self, usize) {
        let mut options = Options::default();
        for (at, word) in words.iter().enumerate() {
            match upper(word).as_str() {
                "NX" => options.only_new = true,
                "XX" => options.only_there = true,
                "GT" => options.only_greater = true,
                "LT" => options.only_less = true,
                "CH" => options.count_changed = true,
                "INCR" => options.add = true,
                _ => return (options, at),
            }
        }
        (options, words.len())
    }

    fn check(&self, pairs: usize) -> Result<(), Stop> {
        if self.only_new && self.only_there {
            return Err(error("ERR XX and NX options at the same time are not compatible"));
        }
        if self.only_new && (self.only_greater || self.only_less) || self.only_greater && self.only_less {
            return Err(error("ERR GT, LT, and/or NX options at the same time are not compatible"));
        }
        if self.add && pairs > 1 {
            return Err(error("ERR INCR option supports a single increment-element pair"));
        }
        Ok(())
    }

    /// The score that the member has from now on; none leaves it as it is.
    fn new_score(&self, held: Option<f64>, given: f64) -> Result<Option<f64>, Stop> {
        let Some(held) = held else { return Ok((!self.only_there).then_some(given)) };
        if self.only_new {
            return Ok(None);
        }
        let new = if self.add { held + given } else { given };
        if new.is_nan() {
            return Err(error("ERR resulting score is not a number (NaN)"));
        }
        let is_refused = (self.only_greater && new <= held) || (self.only_less && new >= held);
        Ok((!is_refused).then_some(new))
    }
}

pub(super) fn zadd(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (options, words) = Options::read(&args[2..]);
    add(state, args[1], &args[2 + words..], &options)
}

pub(super) fn zincrby(state: &mut State, args: &[&[u8]]) -> Outcome {
    add(state, args[1], &args[2..], &Options { add: true, ..Options::default() })
}

/// What was done to the members.
#[derive(Default)]
struct Done {
    added: usize,
    changed: usize,
    last: Option<f64>,
}

fn add(state: &mut State, key: &[u8], pairs: &[&[u8]], options: &Options) -> Outcome {
    if pairs.is_empty() || pairs.len() % 2 == 1 {
        return Err(SYNTAX);
    }
    options.check(pairs.len() / 2)?;
    let mut scores = Vec::with_capacity(pairs.len() / 2);
    for pair in pairs.chunks(2) {
        scores.push((float(pair[0])?, pair[1]));
    }
    let done = state.change_or_make(key, |zset: &mut Zset| {
        let mut done = Done::default();
        for (given, member) in scores {
            if let Err(stop) = add_one(zset, member, given, options, &mut done) {
                return (done.added + done.changed > 0, Err(stop));
            }
        }
        (done.added + done.changed > 0, Ok(done))
    })??;
    Ok(match options.add {
        true => done.last.map_or(Answer::Nil, score_answer),
        false => Answer::count(done.added + if options.count_changed { done.changed } else { 0 }),
    })
}

fn add_one(
    zset: &mut Zset,
    member: &[u8],
    given: f64,
    options: &Options,
    done: &mut Done,
) -> Result<(), Stop> {
    let held = zset.score(member);
    if let Some(new) = options.new_score(held, given)? {
        done.last = Some(new);
        if held.is_none() {
            done.added += 1;
        } else if held != Some(new) {
            done.changed += 1;
        }
        if held != Some(new) {
            zset.set(member, new);
        }
    }
    Ok(())
}

pub(super) fn score_answer(score: f64) -> Answer {
    Answer::Bulk(Bytes::from(number::score_text(score)))
}

pub(super) fn zrem(state: &mut State, args: &[&[u8]]) -> Outcome {
    let removed = state.change(args[1], |zset: &mut Zset| {
        let removed = args[2..].iter().filter(|member| zset.remove(member).is_some()).count();
        (removed > 0, removed)
    })?;
    Ok(Answer::count(removed.unwrap_or(0)))
}

pub(super) fn zscore(state: &mut State, args: &[&[u8]]) -> Outcome {
    let zset = state.container::<Zset>(args[1])?;
    Ok(zset.and_then(|zset| zset.score(args[2])).map_or(Answer::Nil, score_answer))
}

pub(super) fn zmscore(state: &mut State, args: &[&[u8]]) -> Outcome {
    let zset = state.container::<Zset>(args[1])?;
    let score = |member: &&[u8]| zset.and_then(|zset| zset.score(member));
    Ok(Answer::Array(
        args[2..].iter().map(|member| score(member).map_or(Answer::Nil, score_answer)).collect(),
    ))
}

pub(super) fn zcard(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(state.container::<Zset>(args[1])?.map_or(0, Zset::len)))
}

pub(super) fn zrank(state: &mut State, args: &[&[u8]]) -> Outcome {
    rank(state, args, false)
}

pub(super) fn zrevrank(state: &mut State, args: &[&[u8]]) -> Outcome {
    rank(state, args, true)
}

fn rank(state: &mut State, args: &[&[u8]], from_end: bool) -> Outcome {
    let Some(zset) = state.container::<Zset>(args[1])? else { return Ok(Answer::Nil) };
    let is_it = |(_, member): (f64, &Bytes)| member == args[2];
    let rank = if from_end { zset.iter().rev().position(is_it) } else { zset.iter().position(is_it) };
    Ok(rank.map_or(Answer::Nil, Answer::count))
}

pub(super) fn zpopmin(state: &mut State, args: &[&[u8]]) -> Outcome {
    pop(state, args, false)
}

pub(super) fn zpopmax(state: &mut State, args: &[&[u8]]) -> Outcome {
    pop(state, args, true)
}

fn pop(state: &mut State, args: &[&[u8]], highest: bool) -> Outcome {
    let count = match args[2..] {
        [] => 1,
        [count] => positive(count)?,
        _ => return Err(SYNTAX),
    };
    let popped = pop_first(state, args[1], highest, count)?;
    let told = popped.into_iter().flat_map(|(score, member)| [Answer::Bulk(member), score_answer(score)]);
    Ok(Answer::Array(told.collect()))
}

/// Takes members from an end, with their scores.
pub(super) fn pop_first(
    state: &mut State,
    key: &[u8],
    highest: bool,
    count: usize,
) -> Result<Vec<(f64, Bytes)>, Stop> {
    let popped = state.change(key, |zset: &mut Zset| {
        let mut popped = Vec::new();
        while popped.len() < count {
            let Some((score, member)) = (if highest { zset.last() } else { zset.first() }).cloned() else {
                break;
            };
            zset.remove(&member);
            popped.push((score.0, member));
        }
        (!popped.is_empty(), popped)
    })?;
    Ok(popped.unwrap_or_default())
}

/// A number of a LIMIT.
pub(super) fn limit_number(bytes: &[u8]) -> Result<i64, Stop> {
    number::parse_int(bytes).ok_or(NOT_AN_INTEGER)
}
