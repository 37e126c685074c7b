//! When keys end.

use super::super::answer::{Answer, Outcome, Stop, error, refuse};
use super::super::number::int;
use super::super::state::State;
use super::upper;

pub(super) fn expire(state: &mut State, args: &[&[u8]]) -> Outcome {
    set_expiry(state, args, true, true, "expire")
}

pub(super) fn pexpire(state: &mut State, args: &[&[u8]]) -> Outcome {
    set_expiry(state, args, false, true, "pexpire")
}

pub(super) fn expireat(state: &mut State, args: &[&[u8]]) -> Outcome {
    set_expiry(state, args, true, false, "expireat")
}

pub(super) fn pexpireat(state: &mut State, args: &[&[u8]]) -> Outcome {
    set_expiry(state, args, false, false, "pexpireat")
}

/// Under which conditions the end of a key is set.
#[derive(Default)]
struct Conditions {
    only_without: bool,
    only_with: bool,
    only_later: bool,
    only_sooner: bool,
}

impl Conditions {
    fn read(words: &[&[u8]]) -> Result<Self, Stop> {
        let mut conditions = Conditions::default();
        for word in words {
            match upper(word).as_str() {
                "NX" => conditions.only_without = true,
                "XX" => conditions.only_with = true,
                "GT" => conditions.only_later = true,
                "LT" => conditions.only_sooner = true,
                _ => {
                    let word = String::from_utf8_lossy(word);
                    return Err(refuse(format!("ERR Unsupported option {word}")));
                }
            }
        }
        if conditions.only_without
            && (conditions.only_with || conditions.only_later || conditions.only_sooner)
        {
            let text = "ERR NX and XX, GT or LT options at the same time are not compatible";
            return Err(error(text));
        }
        if conditions.only_later && conditions.only_sooner {
            return Err(error("ERR GT and LT options at the same time are not compatible"));
        }
        Ok(conditions)
    }

    /// A key that never ends is later than any.
    fn permit(&self, now: Option<i64>, new: i64) -> bool {
        !(self.only_without && now.is_some()
            || self.only_with && now.is_none()
            || self.only_later && now.is_none_or(|now| new <= now)
            || self.only_sooner && now.is_some_and(|now| new >= now))
    }
}

fn set_expiry(state: &mut State, args: &[&[u8]], seconds: bool, from_now: bool, name: &str) -> Outcome {
    let conditions = Conditions::read(&args[3..])?;
    let amount = int(args[2])?;
    let invalid = || refuse(format!("ERR invalid expire time in '{name}' command"));
    let amount_ms = amount.checked_mul(if seconds { 1000 } else { 1 }).ok_or_else(invalid)?;
    let now_ms = state.now_ms();
    let new_ms = amount_ms.checked_add(if from_now { now_ms } else { 0 }).ok_or_else(invalid)?;
    let Some(entry) = state.entry(args[1]) else { return Ok(Answer::Int(0)) };
    if !conditions.permit(entry.expires_ms, new_ms) {
        return Ok(Answer::Int(0));
    }
    if new_ms <= now_ms {
        state.remove(args[1]);
    } else {
        state.set_expiry(args[1], Some(new_ms));
    }
    Ok(Answer::Int(1))
}

pub(super) fn persist(state: &mut State, args: &[&[u8]]) -> Outcome {
    let had_end = state.entry(args[1]).is_some_and(|entry| entry.expires_ms.is_some());
    if had_end {
        state.set_expiry(args[1], None);
    }
    Ok(had_end.into())
}

pub(super) fn ttl(state: &mut State, args: &[&[u8]]) -> Outcome {
    end_of(state, args[1], |end_ms, now_ms| (end_ms - now_ms).max(0).saturating_add(500) / 1000)
}

pub(super) fn pttl(state: &mut State, args: &[&[u8]]) -> Outcome {
    end_of(state, args[1], |end_ms, now_ms| (end_ms - now_ms).max(0))
}

pub(super) fn expiretime(state: &mut State, args: &[&[u8]]) -> Outcome {
    end_of(state, args[1], |end_ms, _| end_ms.saturating_add(500) / 1000)
}

pub(super) fn pexpiretime(state: &mut State, args: &[&[u8]]) -> Outcome {
    end_of(state, args[1], |end_ms, _| end_ms)
}

/// -2 without the key, -1 where it does not end.
fn end_of(state: &mut State, key: &[u8], told: fn(i64, i64) -> i64) -> Outcome {
    if !state.exists(key) {
        return Ok(Answer::Int(-2));
    }
    let Some(end_ms) = state.keys.get(key).and_then(|entry| entry.expires_ms) else {
        return Ok(Answer::Int(-1));
    };
    let now_ms = state.now_ms();
    Ok(Answer::Int(told(end_ms, now_ms)))
}
