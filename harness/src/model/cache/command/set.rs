//! Sets.

use std::collections::BTreeSet;

use bytes::Bytes;

use super::super::answer::{Answer, Outcome, Stop};
use super::super::state::State;
use super::super::value::Set;

pub(super) fn sadd(state: &mut State, args: &[&[u8]]) -> Outcome {
    state.change_or_make(args[1], |set: &mut Set| {
        let added = args[2..].iter().filter(|member| set.add(member)).count();
        (added > 0, Answer::count(added))
    })
}

pub(super) fn srem(state: &mut State, args: &[&[u8]]) -> Outcome {
    let removed = state.change(args[1], |set: &mut Set| {
        let removed = args[2..].iter().filter(|member| set.members.remove(**member)).count();
        (removed > 0, removed)
    })?;
    Ok(Answer::count(removed.unwrap_or(0)))
}

pub(super) fn smembers(state: &mut State, args: &[&[u8]]) -> Outcome {
    let Some(set) = state.container::<Set>(args[1])? else { return Ok(Answer::Array(Vec::new())) };
    Ok(Answer::bulks(set.told()))
}

pub(super) fn sismember(state: &mut State, args: &[&[u8]]) -> Outcome {
    let set = state.container::<Set>(args[1])?;
    Ok(set.is_some_and(|set| set.members.contains(args[2])).into())
}

pub(super) fn smismember(state: &mut State, args: &[&[u8]]) -> Outcome {
    let set = state.container::<Set>(args[1])?;
    let has = |member: &&[u8]| Answer::from(set.is_some_and(|set| set.members.contains(*member)));
    Ok(Answer::Array(args[2..].iter().map(has).collect()))
}

pub(super) fn scard(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(state.container::<Set>(args[1])?.map_or(0, |set| set.members.len())))
}

pub(super) fn smove(state: &mut State, args: &[&[u8]]) -> Outcome {
    if state.container::<Set>(args[1])?.is_none() {
        return Ok(Answer::Int(0));
    }
    state.container::<Set>(args[2])?;
    if args[1] == args[2] {
        return sismember(state, &[args[0], args[1], args[3]]);
    }
    let removed = state.change(args[1], |set: &mut Set| {
        let removed = set.members.remove(args[3]);
        (removed, removed)
    })?;
    if removed != Some(true) {
        return Ok(Answer::Int(0));
    }
    state.change_or_make(args[2], |set: &mut Set| (set.add(args[3]), ()))?;
    Ok(Answer::Int(1))
}

pub(super) fn sinter(state: &mut State, args: &[&[u8]]) -> Outcome {
    combine(state, args, |one, two| one.intersection(two).cloned().collect())
}

pub(super) fn sunion(state: &mut State, args: &[&[u8]]) -> Outcome {
    combine(state, args, |one, two| one.union(two).cloned().collect())
}

pub(super) fn sdiff(state: &mut State, args: &[&[u8]]) -> Outcome {
    combine(state, args, |one, two| one.difference(two).cloned().collect())
}

type Members = BTreeSet<Bytes>;

fn combine(state: &mut State, args: &[&[u8]], pair: fn(&Members, &Members) -> Members) -> Outcome {
    let mut all = Vec::new();
    for key in &args[1..] {
        all.push(members(state, key)?);
    }
    let combined = all.into_iter().reduce(|one, two| pair(&one, &two)).unwrap_or_default();
    let mut told = Set::default();
    for member in &combined {
        told.add(member);
    }
    Ok(Answer::bulks(told.told()))
}

fn members(state: &mut State, key: &[u8]) -> Result<Members, Stop> {
    Ok(state.container::<Set>(key)?.map(|set| set.members.clone()).unwrap_or_default())
}
