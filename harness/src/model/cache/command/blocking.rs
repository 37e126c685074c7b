//! Taking an item, and waiting for one where there is none.

use bytes::Bytes;
use tokio::time::Duration;

use super::super::answer::{Answer, Outcome, Stop, error};
use super::super::blocking::Wait;
use super::super::number;
use super::super::state::State;
use super::list::{End, move_item, take};
use super::zset::pop_first;

/// A timeout in seconds; zero is no end.
fn timeout(bytes: &[u8]) -> Result<Option<Duration>, Stop> {
    let seconds = number::parse_float(bytes).ok_or(error("ERR timeout is not a float or out of range"))?;
    // Redis counts in milliseconds, rounds up, and takes what does not fit for a number below zero.
    let limit_ms = number::truncated((seconds * 1000.0).ceil());
    let limit_ms = u64::try_from(limit_ms).map_err(|_| error("ERR timeout is negative"))?;
    Ok((limit_ms > 0).then(|| Duration::from_millis(limit_ms)))
}

/// A wait for any of the keys, of which the command takes any number.
fn wait_for_any(args: &[&[u8]], type_name: &'static str, limit: Option<Duration>) -> Stop {
    let copied = |word: &&[u8]| Bytes::copy_from_slice(word);
    let (keys, last) = (&args[1..args.len() - 1], &args[args.len() - 1]);
    let keys = keys.iter().map(|key| (copied(key), vec![copied(&args[0]), copied(key), copied(last)]));
    Stop::Wait(Wait { keys: keys.collect(), type_name, limit, in_vain: Answer::NilArray })
}

pub(super) fn blpop(state: &mut State, args: &[&[u8]]) -> Outcome {
    pop(state, args, End::Left)
}

pub(super) fn brpop(state: &mut State, args: &[&[u8]]) -> Outcome {
    pop(state, args, End::Right)
}

fn pop(state: &mut State, args: &[&[u8]], end: End) -> Outcome {
    let (keys, last) = (&args[1..args.len() - 1], args[args.len() - 1]);
    let limit = timeout(last)?;
    for key in keys {
        if let Some(item) = take(state, key, end)? {
            return Ok(Answer::Array(vec![Answer::bulk(key), Answer::Bulk(item)]));
        }
    }
    Err(wait_for_any(args, "list", limit))
}

pub(super) fn blmove(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (from, to) = (End::read(args[3])?, End::read(args[4])?);
    let limit = timeout(args[5])?;
    move_or_wait(state, args, from, to, limit)
}

pub(super) fn brpoplpush(state: &mut State, args: &[&[u8]]) -> Outcome {
    let limit = timeout(args[3])?;
    move_or_wait(state, args, End::Right, End::Left, limit)
}

fn move_or_wait(state: &mut State, args: &[&[u8]], from: End, to: End, limit: Option<Duration>) -> Outcome {
    match move_item(state, args[1], args[2], from, to)? {
        Some(item) => Ok(Answer::Bulk(item)),
        None => {
            let command = args.iter().map(|word| Bytes::copy_from_slice(word)).collect();
            let keys = vec![(Bytes::copy_from_slice(args[1]), command)];
            Err(Stop::Wait(Wait { keys, type_name: "list", limit, in_vain: Answer::Nil }))
        }
    }
}

pub(super) fn bzpopmin(state: &mut State, args: &[&[u8]]) -> Outcome {
    pop_score(state, args, false)
}

pub(super) fn bzpopmax(state: &mut State, args: &[&[u8]]) -> Outcome {
    pop_score(state, args, true)
}

fn pop_score(state: &mut State, args: &[&[u8]], highest: bool) -> Outcome {
    let (keys, last) = (&args[1..args.len() - 1], args[args.len() - 1]);
    let limit = timeout(last)?;
    for key in keys {
        let popped = pop_first(state, key, highest, 1)?;
        if let Some((score, member)) = popped.into_iter().next() {
            let score = Answer::Bulk(Bytes::from(number::score_text(score)));
            return Ok(Answer::Array(vec![Answer::bulk(key), Answer::Bulk(member), score]));
        }
    }
    Err(wait_for_any(args, "zset", limit))
}
