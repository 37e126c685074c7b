//! SET and its kin: setting a string under conditions and for a time.

use super::super::answer::{Answer, OK, Outcome, SYNTAX, Stop, refuse};
use super::super::number::int;
use super::super::state::State;
use super::text::text;
use super::upper;

/// When a key is to end.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Ends<'a> {
    /// Never, or when it was to end before (`keep`).
    Unsaid { keep: bool },
    /// GETEX .. PERSIST.
    Never,
    /// By an option and its argument.
    By { seconds: bool, from_now: bool, amount: &'a [u8] },
}

/// What SET was given besides key and value.
struct Options<'a> {
    only_new: bool,
    only_there: bool,
    get: bool,
    ends: Ends<'a>,
}

impl<'a> Options<'a> {
    fn read(words: &[&'a [u8]], of_set: bool) -> Result<Self, Stop> {
        let unsaid = Ends::Unsaid { keep: false };
        let mut options = Options { only_new: false, only_there: false, get: false, ends: unsaid };
        let mut words = words.iter();
        while let Some(word) = words.next() {
            let ends_unsaid = options.ends == unsaid;
            match upper(word).as_str() {
                "NX" if of_set && !options.only_there => options.only_new = true,
                "XX" if of_set && !options.only_new => options.only_there = true,
                "GET" if of_set => options.get = true,
                "KEEPTTL" if of_set && ends_unsaid => options.ends = Ends::Unsaid { keep: true },
                "PERSIST" if !of_set && ends_unsaid => options.ends = Ends::Never,
                word @ ("EX" | "PX" | "EXAT" | "PXAT") if ends_unsaid => {
                    let amount = words.next().ok_or(SYNTAX)?;
                    options.ends =
                        Ends::By { seconds: word.starts_with('E'), from_now: !word.ends_with("AT"), amount };
                }
                // The same once more is no conflict.
                "KEEPTTL" if of_set && options.ends == (Ends::Unsaid { keep: true }) => {}
                "PERSIST" if !of_set && options.ends == Ends::Never => {}
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }
}

/// The moment at which the key ends: above zero, and within the range of milliseconds.
fn moment(state: &mut State, seconds: bool, from_now: bool, amount: &[u8], name: &str) -> Result<i64, Stop> {
    let amount = int(amount)?;
    let invalid = || refuse(format!("ERR invalid expire time in '{name}' command"));
    if amount <= 0 {
        return Err(invalid());
    }
    let amount_ms = amount.checked_mul(if seconds { 1000 } else { 1 }).ok_or_else(invalid)?;
    let base_ms = if from_now { state.now_ms() } else { 0 };
    amount_ms.checked_add(base_ms).ok_or_else(invalid)
}

pub(super) fn set(state: &mut State, args: &[&[u8]]) -> Outcome {
    let options = Options::read(&args[3..], true)?;
    let key = args[1];
    let expires_ms = match options.ends {
        Ends::By { seconds, from_now, amount } => Some(moment(state, seconds, from_now, amount, "set")?),
        Ends::Unsaid { .. } | Ends::Never => None,
    };
    let held = if options.get { Answer::maybe(state.text(key)?) } else { OK };
    let is_there = state.exists(key);
    if (options.only_new && is_there) || (options.only_there && !is_there) {
        return Ok(if options.get { held } else { Answer::Nil });
    }
    let kept_ms = match options.ends {
        Ends::Unsaid { keep: true } => state.entry(key).and_then(|entry| entry.expires_ms),
        Ends::Unsaid { keep: false } | Ends::Never | Ends::By { .. } => None,
    };
    state.put(key, text(args[2]), expires_ms.or(kept_ms));
    Ok(held)
}

pub(super) fn setnx(state: &mut State, args: &[&[u8]]) -> Outcome {
    let is_there = state.exists(args[1]);
    if !is_there {
        state.put(args[1], text(args[2]), None);
    }
    Ok((!is_there).into())
}

pub(super) fn setex(state: &mut State, args: &[&[u8]]) -> Outcome {
    set_for(state, args, true, "setex")
}

pub(super) fn psetex(state: &mut State, args: &[&[u8]]) -> Outcome {
    set_for(state, args, false, "psetex")
}

fn set_for(state: &mut State, args: &[&[u8]], seconds: bool, name: &str) -> Outcome {
    let expires_ms = moment(state, seconds, true, args[2], name)?;
    state.exists(args[1]);
    state.put(args[1], text(args[3]), Some(expires_ms));
    Ok(OK)
}

pub(super) fn getex(state: &mut State, args: &[&[u8]]) -> Outcome {
    let options = Options::read(&args[2..], false)?;
    let key = args[1];
    let Some(held) = state.text(key)?.cloned() else { return Ok(Answer::Nil) };
    match options.ends {
        Ends::Unsaid { .. } => {}
        Ends::Never => {
            if state.entry(key).is_some_and(|entry| entry.expires_ms.is_some()) {
                state.set_expiry(key, None);
            }
        }
        Ends::By { seconds, from_now, amount } => {
            let expires_ms = moment(state, seconds, from_now, amount, "getex")?;
            if expires_ms <= state.now_ms() {
                state.remove(key);
            } else {
                state.set_expiry(key, Some(expires_ms));
            }
        }
    }
    Ok(Answer::Bulk(held))
}
