//! Hashes.

use bytes::Bytes;

use super::super::answer::{Answer, OK, OVERFLOW, Outcome, arity, error};
use super::super::number::{int, parse_int};
use super::super::state::State;
use super::super::value::Hash;

pub(super) fn hset(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(set_pairs(state, args, "hset")?))
}

pub(super) fn hmset(state: &mut State, args: &[&[u8]]) -> Outcome {
    set_pairs(state, args, "hmset")?;
    Ok(OK)
}

fn set_pairs(state: &mut State, args: &[&[u8]], name: &str) -> Result<usize, super::super::answer::Stop> {
    if args.len() % 2 == 1 {
        return Err(arity(name));
    }
    state.change_or_make(args[1], |hash: &mut Hash| {
        (true, args[2..].chunks(2).filter(|pair| hash.set(pair[0], pair[1])).count())
    })
}

pub(super) fn hsetnx(state: &mut State, args: &[&[u8]]) -> Outcome {
    state.change_or_make(args[1], |hash: &mut Hash| {
        let is_new = hash.get(args[2]).is_none();
        if is_new {
            hash.set(args[2], args[3]);
        }
        (is_new, is_new.into())
    })
}

pub(super) fn hincrby(state: &mut State, args: &[&[u8]]) -> Outcome {
    let by = int(args[3])?;
    state.change_or_make(args[1], |hash: &mut Hash| {
        let held = match hash.get(args[2]) {
            None => Some(0),
            Some(held) => parse_int(held),
        };
        let Some(held) = held else { return (false, Err(error("ERR hash value is not an integer"))) };
        let Some(sum) = held.checked_add(by) else { return (false, Err(OVERFLOW)) };
        hash.set(args[2], sum.to_string().as_bytes());
        (true, Ok(Answer::Int(sum)))
    })?
}

pub(super) fn hdel(state: &mut State, args: &[&[u8]]) -> Outcome {
    let removed = state.change(args[1], |hash: &mut Hash| {
        let removed = args[2..].iter().filter(|field| hash.remove(field)).count();
        (removed > 0, removed)
    })?;
    Ok(Answer::count(removed.unwrap_or(0)))
}

pub(super) fn hget(state: &mut State, args: &[&[u8]]) -> Outcome {
    let hash = state.container::<Hash>(args[1])?;
    Ok(Answer::maybe(hash.and_then(|hash| hash.get(args[2]))))
}

pub(super) fn hmget(state: &mut State, args: &[&[u8]]) -> Outcome {
    let hash = state.container::<Hash>(args[1])?;
    let get = |field: &&[u8]| Answer::maybe(hash.and_then(|hash| hash.get(field)));
    Ok(Answer::Array(args[2..].iter().map(get).collect()))
}

pub(super) fn hexists(state: &mut State, args: &[&[u8]]) -> Outcome {
    let hash = state.container::<Hash>(args[1])?;
    Ok(hash.is_some_and(|hash| hash.get(args[2]).is_some()).into())
}

pub(super) fn hlen(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(state.container::<Hash>(args[1])?.map_or(0, Hash::len)))
}

pub(super) fn hstrlen(state: &mut State, args: &[&[u8]]) -> Outcome {
    let hash = state.container::<Hash>(args[1])?;
    Ok(Answer::count(hash.and_then(|hash| hash.get(args[2])).map_or(0, Bytes::len)))
}

pub(super) fn hgetall(state: &mut State, args: &[&[u8]]) -> Outcome {
    tell(state, args[1], |(field, value)| vec![field, value])
}

pub(super) fn hkeys(state: &mut State, args: &[&[u8]]) -> Outcome {
    tell(state, args[1], |(field, _)| vec![field])
}

pub(super) fn hvals(state: &mut State, args: &[&[u8]]) -> Outcome {
    tell(state, args[1], |(_, value)| vec![value])
}

fn tell(state: &mut State, key: &[u8], part: fn(&(Bytes, Bytes)) -> Vec<&Bytes>) -> Outcome {
    let Some(hash) = state.container::<Hash>(key)? else { return Ok(Answer::Array(Vec::new())) };
    Ok(Answer::bulks(hash.iter().flat_map(part)))
}
