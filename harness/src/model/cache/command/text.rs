//! Strings, and the numbers in them.

use bytes::Bytes;

use super::super::answer::{Answer, NOT_AN_INTEGER, OK, OVERFLOW, Outcome, Stop, arity, error};
use super::super::number::{int, parse_int};
use super::super::state::State;
use super::super::value::Value;

/// The longest string (`proto-max-bulk-len`).
const TEXT_BYTES_MAX: usize = 512 << 20;

const TOO_LONG: Stop = error("ERR string exceeds maximum allowed size (proto-max-bulk-len)");

pub(super) fn get(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::maybe(state.text(args[1])?))
}

pub(super) fn getdel(state: &mut State, args: &[&[u8]]) -> Outcome {
    let held = Answer::maybe(state.text(args[1])?);
    state.remove(args[1]);
    Ok(held)
}

pub(super) fn getset(state: &mut State, args: &[&[u8]]) -> Outcome {
    let held = Answer::maybe(state.text(args[1])?);
    state.put(args[1], text(args[2]), None);
    Ok(held)
}

pub(super) fn strlen(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(state.text(args[1])?.map_or(0, Bytes::len)))
}

pub(super) fn mget(state: &mut State, args: &[&[u8]]) -> Outcome {
    let held = args[1..].iter().map(|key| state.text(key).map_or(Answer::Nil, Answer::maybe));
    Ok(Answer::Array(held.collect()))
}

pub(super) fn mset(state: &mut State, args: &[&[u8]]) -> Outcome {
    put_pairs(state, args, "mset")?;
    Ok(OK)
}

pub(super) fn msetnx(state: &mut State, args: &[&[u8]]) -> Outcome {
    if args.len().is_multiple_of(2) {
        return Err(arity("msetnx"));
    }
    // All keys are looked at, so that the footprint does not depend on their order.
    let there = args[1..].chunks(2).filter(|pair| state.exists(pair[0])).count();
    if there > 0 {
        return Ok(Answer::Int(0));
    }
    put_pairs(state, args, "msetnx")?;
    Ok(Answer::Int(1))
}

fn put_pairs(state: &mut State, args: &[&[u8]], name: &str) -> Result<(), Stop> {
    if args.len().is_multiple_of(2) {
        return Err(arity(name));
    }
    for pair in args[1..].chunks(2) {
        state.exists(pair[0]);
        state.put(pair[0], text(pair[1]), None);
    }
    Ok(())
}

pub(super) fn incr(state: &mut State, args: &[&[u8]]) -> Outcome {
    add(state, args[1], 1)
}

pub(super) fn decr(state: &mut State, args: &[&[u8]]) -> Outcome {
    add(state, args[1], -1)
}

pub(super) fn incrby(state: &mut State, args: &[&[u8]]) -> Outcome {
    let by = int(args[2])?;
    add(state, args[1], by)
}

pub(super) fn decrby(state: &mut State, args: &[&[u8]]) -> Outcome {
    let by = int(args[2])?.checked_neg().ok_or(error("ERR decrement would overflow"))?;
    add(state, args[1], by)
}

fn add(state: &mut State, key: &[u8], by: i64) -> Outcome {
    let held = match state.text(key)? {
        None => 0,
        Some(held) => parse_int(held).ok_or(NOT_AN_INTEGER)?,
    };
    let sum = held.checked_add(by).ok_or(OVERFLOW)?;
    replace(state, key, Bytes::from(sum.to_string()));
    Ok(Answer::Int(sum))
}

pub(super) fn append(state: &mut State, args: &[&[u8]]) -> Outcome {
    let mut whole = state.text(args[1])?.map(|held| held.to_vec()).unwrap_or_default();
    if whole.len() + args[2].len() > TEXT_BYTES_MAX {
        return Err(TOO_LONG);
    }
    whole.extend_from_slice(args[2]);
    let length = whole.len();
    replace(state, args[1], Bytes::from(whole));
    Ok(Answer::count(length))
}

pub(super) fn getrange(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (start, end) = (int(args[2])?, int(args[3])?);
    let held = state.text(args[1])?.cloned().unwrap_or_default();
    let length = i64::try_from(held.len()).unwrap_or(i64::MAX);
    if start < 0 && end < 0 && start > end {
        return Ok(Answer::bulk(b""));
    }
    let from_end = |at: i64| if at < 0 { (at.saturating_add(length)).max(0) } else { at };
    let (start, end) = (from_end(start), from_end(end).min(length - 1));
    if length == 0 || start > end {
        return Ok(Answer::bulk(b""));
    }
    let at = |at: i64| usize::try_from(at).unwrap_or(0);
    Ok(Answer::Bulk(held.slice(at(start)..=at(end))))
}

pub(super) fn setrange(state: &mut State, args: &[&[u8]]) -> Outcome {
    let offset = int(args[2])?;
    let offset = usize::try_from(offset).map_err(|_| error("ERR offset is out of range"))?;
    let mut whole = state.text(args[1])?.map(|held| held.to_vec()).unwrap_or_default();
    if args[3].is_empty() {
        return Ok(Answer::count(whole.len()));
    }
    let end = offset.saturating_add(args[3].len());
    if end > TEXT_BYTES_MAX {
        return Err(TOO_LONG);
    }
    whole.resize(whole.len().max(end), 0);
    whole[offset..end].copy_from_slice(args[3]);
    let length = whole.len();
    replace(state, args[1], Bytes::from(whole));
    Ok(Answer::count(length))
}

/// Another text under the same key, which ends when it was to end.
fn replace(state: &mut State, key: &[u8], new: Bytes) {
    let expires_ms = state.entry(key).and_then(|entry| entry.expires_ms);
    state.put(key, Value::Text(new), expires_ms);
}

pub(super) fn text(bytes: &[u8]) -> Value {
    Value::Text(Bytes::copy_from_slice(bytes))
}
