//! SCAN: the keys page by page. They lie in the order of a hash of their names and the cursor is a place in it, so
//! that a key which is there all the while is told, whatever comes and goes beside it (Redis documentation of
//! SCAN).

use bytes::Bytes;

use super::super::answer::{Answer, Outcome, SYNTAX, Stop, error};
use super::super::number::int;
use super::super::state::State;
use super::super::value::{Container, Hash, Set, Zset};
use super::super::{number, pattern};
use super::upper;
use crate::model::footprint::hashed;

/// How many keys a page has, unless told (`COUNT`).
const PAGE: usize = 10;

struct Options<'a> {
    pattern: Option<&'a [u8]>,
    count: usize,
    type_name: Option<String>,
}

impl<'a> Options<'a> {
    fn read(words: &[&'a [u8]], with_type: bool) -> Result<Self, Stop> {
        let mut options = Options { pattern: None, count: PAGE, type_name: None };
        for pair in words.chunks(2) {
            let [name, value] = pair else { return Err(SYNTAX) };
            match upper(name).as_str() {
                "MATCH" => options.pattern = Some(value),
                "COUNT" => {
                    let count = int(value)?;
                    options.count = usize::try_from(count).ok().filter(|count| *count > 0).ok_or(SYNTAX)?;
                }
                "TYPE" if with_type => {
                    options.type_name = Some(String::from_utf8_lossy(value).to_ascii_lowercase());
                }
                _ => return Err(SYNTAX),
            }
        }
        Ok(options)
    }

    fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| pattern::matches(pattern, name))
    }
}

fn cursor(bytes: &[u8]) -> Result<u64, Stop> {
    let text = std::str::from_utf8(bytes).ok();
    text.and_then(|text| text.parse().ok()).ok_or(error("ERR invalid cursor"))
}

pub(super) fn scan(state: &mut State, args: &[&[u8]]) -> Outcome {
    let from = cursor(args[1])?;
    let options = Options::read(&args[2..], true)?;
    // From one on: zero is the beginning, and the end.
    let place = |key: &Bytes| (hashed(key.as_ref()) >> 32) + 1;
    let mut keys: Vec<(u64, Bytes)> =
        state.live_keys().into_iter().map(|key| (place(&key), key)).filter(|(at, _)| *at > from).collect();
    keys.sort_unstable();
    // Keys at one place are told together.
    let last = keys.get(options.count - 1).map(|(at, _)| *at);
    let end = last.map_or(keys.len(), |last| keys.partition_point(|(at, _)| *at <= last));
    let next = if end < keys.len() { last.unwrap_or(0) } else { 0 };
    let is_wanted = |key: &Bytes| {
        let held = state.keys.get(key).map(|entry| entry.value.type_name());
        let is_of_type = options.type_name.as_deref().is_none_or(|name| held == Some(name));
        options.matches(key) && is_of_type
    };
    let told = keys[..end].iter().map(|(_, key)| key).filter(|key| is_wanted(key));
    let told = Answer::bulks(told);
    Ok(page(next, told))
}

fn page(next: u64, told: Answer) -> Answer {
    Answer::Array(vec![Answer::Bulk(Bytes::from(next.to_string())), told])
}

pub(super) fn hscan(state: &mut State, args: &[&[u8]]) -> Outcome {
    scan_one(state, args, |hash: &Hash, options| {
        let fields = hash.iter().filter(|(field, _)| options.matches(field));
        fields.flat_map(|(field, value)| [field.clone(), value.clone()]).collect()
    })
}

pub(super) fn sscan(state: &mut State, args: &[&[u8]]) -> Outcome {
    scan_one(state, args, |set: &Set, options| {
        set.told().into_iter().filter(|member| options.matches(member)).cloned().collect()
    })
}

pub(super) fn zscan(state: &mut State, args: &[&[u8]]) -> Outcome {
    scan_one(state, args, |zset: &Zset, options| {
        let members = zset.iter().filter(|(_, member)| options.matches(member));
        members.flat_map(|(score, member)| [member.clone(), Bytes::from(number::score_text(score))]).collect()
    })
}

/// A container is told in one page, as Redis does with small ones.
fn scan_one<C: Container>(
    state: &mut State,
    args: &[&[u8]],
    told: fn(&C, &Options<'_>) -> Vec<Bytes>,
) -> Outcome {
    cursor(args[2])?;
    // Redis looks at the key before it reads the options.
    let held = state.container::<C>(args[1])?;
    let Some(held) = held else {
        return Ok(page(0, Answer::Array(Vec::new())));
    };
    let options = Options::read(&args[3..], false)?;
    Ok(page(0, Answer::bulks(&told(held, &options))))
}
