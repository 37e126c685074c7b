//! Keys, whatever they hold.

use super::super::answer::{Answer, OK, Outcome, SYNTAX, error, not_known};
use super::super::number::int;
use super::super::pattern;
use super::super::state::State;
use super::upper;

pub(super) fn del(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(args[1..].iter().filter(|key| state.remove(key)).count()))
}

pub(super) fn exists(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(args[1..].iter().filter(|key| state.exists(key)).count()))
}

pub(super) fn touch(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(args[1..].iter().filter(|key| state.entry(key).is_some()).count()))
}

pub(super) fn type_of(state: &mut State, args: &[&[u8]]) -> Outcome {
    let name = if state.exists(args[1]) {
        state.keys.get(args[1]).map_or("none", |entry| entry.value.type_name())
    } else {
        "none"
    };
    Ok(Answer::Status(name.into()))
}

pub(super) fn rename(state: &mut State, args: &[&[u8]]) -> Outcome {
    let Some(entry) = state.entry(args[1]).cloned() else { return Err(error("ERR no such key")) };
    if args[1] != args[2] {
        state.exists(args[2]);
        state.remove(args[1]);
        state.put(args[2], entry.value, entry.expires_ms);
    }
    Ok(OK)
}

pub(super) fn renamenx(state: &mut State, args: &[&[u8]]) -> Outcome {
    if !state.exists(args[1]) {
        return Err(error("ERR no such key"));
    }
    if args[1] == args[2] || state.exists(args[2]) {
        return Ok(Answer::Int(0));
    }
    rename(state, args).map(|_| Answer::Int(1))
}

pub(super) fn copy(state: &mut State, args: &[&[u8]]) -> Outcome {
    let mut replace = false;
    let mut words = args[3..].iter();
    while let Some(word) = words.next() {
        match upper(word).as_str() {
            "REPLACE" => replace = true,
            "DB" if words.next().is_some_and(|db| *db == b"0") => {}
            "DB" => return Err(error("ERR DB index is out of range")),
            _ => return Err(SYNTAX),
        }
    }
    if args[1] == args[2] {
        return Err(error("ERR source and destination objects are the same"));
    }
    let Some(entry) = state.entry(args[1]).cloned() else { return Ok(Answer::Int(0)) };
    if state.exists(args[2]) && !replace {
        return Ok(Answer::Int(0));
    }
    state.put(args[2], entry.value, entry.expires_ms);
    Ok(Answer::Int(1))
}

pub(super) fn keys(state: &mut State, args: &[&[u8]]) -> Outcome {
    let keys = state.live_keys();
    Ok(Answer::bulks(keys.iter().filter(|key| pattern::matches(args[1], key))))
}

pub(super) fn dbsize(state: &mut State, _args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(state.live_keys().len()))
}

pub(super) fn flush(state: &mut State, args: &[&[u8]]) -> Outcome {
    match &args[1..] {
        [] => {}
        [how] if ["ASYNC", "SYNC"].contains(&upper(how).as_str()) => {}
        _ => return Err(SYNTAX),
    }
    state.clear();
    Ok(OK)
}

pub(super) fn select(_state: &mut State, args: &[&[u8]]) -> Outcome {
    match int(args[1])? {
        0 => Ok(OK),
        other => Err(not_known(&format!("SELECT {other}"))),
    }
}
