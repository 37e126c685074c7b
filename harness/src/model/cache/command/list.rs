//! Lists.

use bytes::Bytes;

use super::super::answer::{Answer, OK, Outcome, SYNTAX, Stop, error};
use super::super::number::int;
use super::super::state::State;
use super::super::value::List;
use super::upper;

/// An end of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    Left,
    Right,
}

impl End {
    pub(super) fn read(word: &[u8]) -> Result<Self, Stop> {
        match upper(word).as_str() {
            "LEFT" => Ok(End::Left),
            "RIGHT" => Ok(End::Right),
            _ => Err(SYNTAX),
        }
    }

    fn push(self, list: &mut List, item: Bytes) {
        match self {
            End::Left => list.push_front(item),
            End::Right => list.push_back(item),
        }
    }

    pub(super) fn pop(self, list: &mut List) -> Option<Bytes> {
        match self {
            End::Left => list.pop_front(),
            End::Right => list.pop_back(),
        }
    }
}

pub(super) fn lpush(state: &mut State, args: &[&[u8]]) -> Outcome {
    push(state, args, End::Left)
}

pub(super) fn rpush(state: &mut State, args: &[&[u8]]) -> Outcome {
    push(state, args, End::Right)
}

fn push(state: &mut State, args: &[&[u8]], end: End) -> Outcome {
    state.change_or_make(args[1], |list: &mut List| push_all(list, &args[2..], end))
}

fn push_all(list: &mut List, items: &[&[u8]], end: End) -> (bool, Answer) {
    for item in items {
        end.push(list, Bytes::copy_from_slice(item));
    }
    (true, Answer::count(list.len()))
}

pub(super) fn lpushx(state: &mut State, args: &[&[u8]]) -> Outcome {
    push_if_there(state, args, End::Left)
}

pub(super) fn rpushx(state: &mut State, args: &[&[u8]]) -> Outcome {
    push_if_there(state, args, End::Right)
}

fn push_if_there(state: &mut State, args: &[&[u8]], end: End) -> Outcome {
    let pushed = state.change(args[1], |list: &mut List| push_all(list, &args[2..], end))?;
    Ok(pushed.unwrap_or(Answer::Int(0)))
}

pub(super) fn lpop(state: &mut State, args: &[&[u8]]) -> Outcome {
    pop(state, args, End::Left, "lpop")
}

pub(super) fn rpop(state: &mut State, args: &[&[u8]]) -> Outcome {
    pop(state, args, End::Right, "rpop")
}

fn pop(state: &mut State, args: &[&[u8]], end: End, name: &str) -> Outcome {
    let count = match args[2..] {
        [] => None,
        [count] => Some(positive(count)?),
        _ => return Err(super::super::answer::arity(name)),
    };
    let popped = state.change(args[1], |list: &mut List| {
        let popped: Vec<Bytes> = (0..count.unwrap_or(1)).map_while(|_| end.pop(list)).collect();
        (!popped.is_empty(), popped)
    })?;
    Ok(match (popped, count) {
        (None, None) => Answer::Nil,
        (None, Some(_)) => Answer::NilArray,
        (Some(popped), None) => Answer::maybe(popped.first()),
        (Some(popped), Some(_)) => Answer::bulks(&popped),
    })
}

/// A count that may be zero.
pub(super) fn positive(bytes: &[u8]) -> Result<usize, Stop> {
    let text = "ERR value is out of range, must be positive";
    let count = super::super::number::parse_int(bytes).ok_or(error(text))?;
    usize::try_from(count).map_err(|_| error(text))
}

/// Takes one item of a list, and tells whether there was one.
pub(super) fn take(state: &mut State, key: &[u8], end: End) -> Result<Option<Bytes>, Stop> {
    let taken = state.change(key, |list: &mut List| {
        let item = end.pop(list);
        (item.is_some(), item)
    })?;
    Ok(taken.flatten())
}

pub(super) fn lmove(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (from, to) = (End::read(args[3])?, End::read(args[4])?);
    Ok(move_item(state, args[1], args[2], from, to)?.map_or(Answer::Nil, Answer::Bulk))
}

pub(super) fn rpoplpush(state: &mut State, args: &[&[u8]]) -> Outcome {
    let moved = move_item(state, args[1], args[2], End::Right, End::Left)?;
    Ok(moved.map_or(Answer::Nil, Answer::Bulk))
}

/// Moves one item between lists, or within one.
pub(super) fn move_item(
    state: &mut State,
    source: &[u8],
    target: &[u8],
    from: End,
    to: End,
) -> Result<Option<Bytes>, Stop> {
    if state.container::<List>(source)?.is_none() {
        return Ok(None);
    }
    // Both are looked at before anything is taken.
    state.container::<List>(target)?;
    let expires_ms = state.entry(source).and_then(|entry| entry.expires_ms);
    let Some(item) = take(state, source, from)? else { return Ok(None) };
    state.change_or_make(target, |list: &mut List| {
        to.push(list, item.clone());
        (true, ())
    })?;
    if source == target && expires_ms.is_some() {
        state.set_expiry(target, expires_ms);
    }
    Ok(Some(item))
}

pub(super) fn llen(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(state.container::<List>(args[1])?.map_or(0, List::len)))
}

/// The places from `start` to `stop`, counted from the end where below zero, as far as there are any.
pub(super) fn span(start: i64, stop: i64, length: usize) -> std::ops::Range<usize> {
    let signed = i64::try_from(length).unwrap_or(i64::MAX);
    let from_end = |at: i64| if at < 0 { at.saturating_add(signed) } else { at };
    let start = usize::try_from(from_end(start).max(0)).unwrap_or(usize::MAX);
    let end = usize::try_from(from_end(stop).saturating_add(1).max(0)).unwrap_or(usize::MAX).min(length);
    if start >= end { 0..0 } else { start..end }
}

pub(super) fn lrange(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (start, stop) = (int(args[2])?, int(args[3])?);
    let Some(list) = state.container::<List>(args[1])? else { return Ok(Answer::Array(Vec::new())) };
    Ok(Answer::bulks(list.range(span(start, stop, list.len()))))
}

pub(super) fn ltrim(state: &mut State, args: &[&[u8]]) -> Outcome {
    let (start, stop) = (int(args[2])?, int(args[3])?);
    state.change(args[1], |list: &mut List| {
        let kept = span(start, stop, list.len());
        list.truncate(kept.end);
        list.drain(..kept.start);
        (true, ())
    })?;
    Ok(OK)
}

/// The place that an index names.
fn place(index: i64, length: usize) -> Option<usize> {
    let signed = i64::try_from(length).unwrap_or(i64::MAX);
    let at = if index < 0 { index.saturating_add(signed) } else { index };
    usize::try_from(at).ok().filter(|at| *at < length)
}

pub(super) fn lindex(state: &mut State, args: &[&[u8]]) -> Outcome {
    // Redis looks at the key before it reads the number.
    let list = state.container::<List>(args[1])?;
    let Some(list) = list else { return Ok(Answer::Nil) };
    let index = int(args[2])?;
    Ok(Answer::maybe(place(index, list.len()).and_then(|at| list.get(at))))
}

pub(super) fn lset(state: &mut State, args: &[&[u8]]) -> Outcome {
    if state.container::<List>(args[1])?.is_none() {
        return Err(error("ERR no such key"));
    }
    let index = int(args[2])?;
    let set = state.change(args[1], |list: &mut List| {
        let item = place(index, list.len()).and_then(|at| list.get_mut(at));
        let is_there = item.is_some();
        if let Some(item) = item {
            *item = Bytes::copy_from_slice(args[3]);
        }
        (is_there, is_there)
    })?;
    if set == Some(true) { Ok(OK) } else { Err(error("ERR index out of range")) }
}

pub(super) fn linsert(state: &mut State, args: &[&[u8]]) -> Outcome {
    let after = match upper(args[2]).as_str() {
        "BEFORE" => 0,
        "AFTER" => 1,
        _ => return Err(SYNTAX),
    };
    let length = state.change(args[1], |list: &mut List| {
        let Some(at) = list.iter().position(|item| item == args[3]) else { return (false, Answer::Int(-1)) };
        list.insert(at + after, Bytes::copy_from_slice(args[4]));
        (true, Answer::count(list.len()))
    })?;
    Ok(length.unwrap_or(Answer::Int(0)))
}

pub(super) fn lrem(state: &mut State, args: &[&[u8]]) -> Outcome {
    let count = int(args[2])?;
    let removed = state.change(args[1], |list: &mut List| {
        let removed = remove_items(list, args[3], count);
        (removed > 0, removed)
    })?;
    Ok(Answer::count(removed.unwrap_or(0)))
}

/// The first `count` ones, the last ones where it is below zero, all where it is zero.
fn remove_items(list: &mut List, item: &[u8], count: i64) -> usize {
    let wanted = match usize::try_from(count.unsigned_abs()) {
        Ok(0) | Err(_) => usize::MAX,
        Ok(count) => count,
    };
    let places: Vec<usize> =
        list.iter().enumerate().filter(|(_, other)| *other == item).map(|(at, _)| at).collect();
    let taken = wanted.min(places.len());
    let places = if count < 0 { &places[places.len() - taken..] } else { &places[..taken] };
    for at in places.iter().rev() {
        list.remove(*at);
    }
    taken
}
