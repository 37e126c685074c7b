//! Streams: adding, reading and trimming.

use bytes::Bytes;
use tokio::time::Duration;

use super::super::answer::{Answer, Outcome, SYNTAX, Stop, arity, error};
use super::super::blocking::Wait;
use super::super::number::int;
use super::super::state::State;
use super::super::stream::{Fields, Id, Stream};
use super::upper;

/// How many entries Redis keeps together, and lets go together when it trims roughly
/// (`stream-node-max-entries`).
const NODE_ENTRIES: usize = 100;

/// Where a stream is cut off.
#[derive(Debug, Clone, Copy)]
enum Trim {
    Length { length: usize, roughly: bool },
    Below { first: Id, roughly: bool },
}

/// What XADD and XTRIM are told before the id.
struct Options {
    trim: Option<Trim>,
    has_limit: bool,
    make: bool,
    /// How many words were read.
    words: usize,
}

impl Options {
    /// Reads until the first word that is none of them.
    fn read(args: &[&[u8]]) -> Result<Self, Stop> {
        let mut options = Options { trim: None, has_limit: false, make: true, words: 2 };
        while let Some(word) = args.get(options.words) {
            let more = &args[options.words + 1..];
            options.words += match upper(word).as_str() {
                name @ ("MAXLEN" | "MINID") if !more.is_empty() => {
                    if options.trim.is_some() {
                        return Err(error(
                            "ERR syntax error, MAXLEN and MINID options at the same time are not compatible",
                        ));
                    }
                    let (trim, words) = Trim::read(name == "MAXLEN", more)?;
                    options.trim = Some(trim);
                    1 + words
                }
                "LIMIT" if !more.is_empty() => {
                    if int(more[0])? < 0 {
                        return Err(error("ERR The LIMIT argument must be >= 0."));
                    }
                    options.has_limit = true;
                    2
                }
                "NOMKSTREAM" => {
                    options.make = false;
                    1
                }
                _ => break,
            };
        }
        Ok(options)
    }

    fn check(&self) -> Result<(), Stop> {
        match self.trim {
            _ if !self.has_limit => Ok(()),
            None => {
                Err(error("ERR syntax error, LIMIT cannot be used without specifying a trimming strategy"))
            }
            Some(Trim::Length { roughly: false, .. } | Trim::Below { roughly: false, .. }) => {
                Err(error("ERR syntax error, LIMIT cannot be used without the special ~ option"))
            }
            Some(Trim::Length { roughly: true, .. } | Trim::Below { roughly: true, .. }) => Ok(()),
        }
    }
}

impl Trim {
    /// Reads what follows MAXLEN or MINID, and says how many words that is.
    fn read(by_length: bool, words: &[&[u8]]) -> Result<(Self, usize), Stop> {
        let (roughly, marks) = match words {
            [b"~", _, ..] => (true, 1),
            [b"=", _, ..] => (false, 1),
            _ => (false, 0),
        };
        let threshold = words.get(marks).ok_or(SYNTAX)?;
        let trim = if by_length {
            let length = int(threshold)?;
            let length =
                usize::try_from(length).map_err(|_| error("ERR The MAXLEN argument must be >= 0."))?;
            Trim::Length { length, roughly }
        } else {
            Trim::Below { first: Id::read(threshold, 0)?, roughly }
        };
        Ok((trim, marks + 1))
    }

    /// Trims, and says how many entries went. Trimmed roughly, only whole nodes go.
    fn apply(self, stream: &mut Stream) -> usize {
        match self {
            Trim::Length { length, roughly: false } => stream.trim_to_length(length),
            Trim::Below { first, roughly: false } => stream.trim_below(first),
            Trim::Length { length, roughly: true } => {
                let excess = stream.entries.len().saturating_sub(length);
                let kept = stream.entries.len() - excess / NODE_ENTRIES * NODE_ENTRIES;
                stream.trim_to_length(kept)
            }
            Trim::Below { first, roughly: true } => {
                let excess = stream.entries.range(..first).count();
                let kept = stream.entries.len() - excess / NODE_ENTRIES * NODE_ENTRIES;
                stream.trim_to_length(kept)
            }
        }
    }
}

/// The id that XADD is to give.
enum Given {
    Any,
    AnyOf { ms: u64 },
    This(Id),
}

impl Given {
    fn read(word: &[u8]) -> Result<Self, Stop> {
        if word == b"*" {
            return Ok(Given::Any);
        }
        if let Some(ms) = word.strip_suffix(b"-*") {
            return Ok(Given::AnyOf { ms: Id::read(ms, 0)?.ms });
        }
        Ok(Given::This(Id::read(word, 0)?))
    }

    fn check(&self) -> Result<(), Stop> {
        match self {
            Given::This(Id::MIN) => Err(error("ERR The ID specified in XADD must be greater than 0-0")),
            Given::Any | Given::AnyOf { .. } | Given::This(_) => Ok(()),
        }
    }

    /// The id after `last`.
    fn after(&self, last: Id, now_ms: u64) -> Result<Id, Stop> {
        let too_small =
            || error("ERR The ID specified in XADD is equal or smaller than the target stream top item");
        let exhausted =
            || error("ERR The stream has exhausted the last possible ID, unable to add more items");
        if last == Id::MAX {
            return Err(exhausted());
        }
        match *self {
            Given::This(id) => (id > last).then_some(id).ok_or_else(too_small),
            Given::Any if now_ms > last.ms => Ok(Id { ms: now_ms, seq: 0 }),
            Given::Any => last.next().ok_or_else(exhausted),
            Given::AnyOf { ms } if ms > last.ms => Ok(Id { ms, seq: 0 }),
            Given::AnyOf { ms } if ms < last.ms || last.seq == u64::MAX => Err(too_small()),
            Given::AnyOf { .. } => last.next().ok_or_else(too_small),
        }
    }
}

pub(super) fn xadd(state: &mut State, args: &[&[u8]]) -> Outcome {
    let options = Options::read(args)?;
    let given = Given::read(args.get(options.words).ok_or_else(|| arity("xadd"))?)?;
    options.check()?;
    let (trim, make, at) = (options.trim, options.make, options.words + 1);
    let fields: Fields = args[at.min(args.len())..].iter().map(|word| Bytes::copy_from_slice(word)).collect();
    if fields.len() < 2 || fields.len() % 2 == 1 {
        return Err(arity("xadd"));
    }
    given.check()?;
    if !make && !state.exists(args[1]) {
        return Ok(Answer::Nil);
    }
    let now_ms = match given {
        Given::Any => u64::try_from(state.now_ms()).unwrap_or(0),
        Given::AnyOf { .. } | Given::This(_) => 0,
    };
    let added =
        state.change_or_make(args[1], |stream: &mut Stream| match given.after(stream.last, now_ms) {
            Err(stop) => (false, Err(stop)),
            Ok(id) => {
                stream.entries.insert(id, fields);
                stream.last = id;
                if let Some(trim) = trim {
                    trim.apply(stream);
                }
                (true, Ok(id.answer()))
            }
        })?;
    state.signal(args[1]);
    added
}

pub(super) fn xtrim(state: &mut State, args: &[&[u8]]) -> Outcome {
    let options = Options::read(args)?;
    if options.words < args.len() || !options.make {
        return Err(SYNTAX);
    }
    options.check()?;
    let trim =
        options.trim.ok_or(error("ERR syntax error, XTRIM must be called with a trimming strategy"))?;
    let gone = state.change(args[1], |stream: &mut Stream| {
        let gone = trim.apply(stream);
        (gone > 0, gone)
    })?;
    Ok(Answer::count(gone.unwrap_or(0)))
}

pub(super) fn xlen(state: &mut State, args: &[&[u8]]) -> Outcome {
    Ok(Answer::count(state.container::<Stream>(args[1])?.map_or(0, |stream| stream.entries.len())))
}

pub(super) fn xdel(state: &mut State, args: &[&[u8]]) -> Outcome {
    // Redis looks at the key before it reads the ids.
    if state.container::<Stream>(args[1])?.is_none() {
        return Ok(Answer::Int(0));
    }
    let ids = ids(&args[2..])?;
    let deleted = state.change(args[1], |stream: &mut Stream| {
        let deleted = ids.iter().filter(|id| stream.entries.remove(id).is_some()).count();
        (deleted > 0, deleted)
    })?;
    Ok(Answer::count(deleted.unwrap_or(0)))
}

pub(super) fn ids(words: &[&[u8]]) -> Result<Vec<Id>, Stop> {
    words.iter().map(|word| Id::read(word, 0)).collect()
}

pub(super) fn xrange(state: &mut State, args: &[&[u8]]) -> Outcome {
    range(state, args, false)
}

pub(super) fn xrevrange(state: &mut State, args: &[&[u8]]) -> Outcome {
    range(state, args, true)
}

fn range(state: &mut State, args: &[&[u8]], reverse: bool) -> Outcome {
    let (low, high) = if reverse { (args[3], args[2]) } else { (args[2], args[3]) };
    let (low, high) = (low_bound(low)?, high_bound(high)?);
    let mut count = usize::MAX;
    for option in args[4..].chunks(2) {
        match option {
            [word, number] if upper(word) == "COUNT" => count = usize::try_from(int(number)?).unwrap_or(0),
            _ => return Err(SYNTAX),
        }
    }
    let Some(stream) = state.container::<Stream>(args[1])? else { return Ok(Answer::Array(Vec::new())) };
    if count == 0 {
        return Ok(Answer::NilArray);
    }
    Ok(Answer::Array(stream.range(low, high, reverse, count)))
}

pub(super) fn low_bound(word: &[u8]) -> Result<Id, Stop> {
    match word {
        b"-" => Ok(Id::MIN),
        b"+" => Ok(Id::MAX),
        [b'(', rest @ ..] => {
            let id = Id::read(rest, 0)?;
            id.next().ok_or(error("ERR invalid start ID for the interval"))
        }
        _ => Id::read(word, 0),
    }
}

pub(super) fn high_bound(word: &[u8]) -> Result<Id, Stop> {
    match word {
        b"-" => Ok(Id::MIN),
        b"+" => Ok(Id::MAX),
        [b'(', rest @ ..] => {
            let id = Id::read(rest, u64::MAX)?;
            id.before().ok_or(error("ERR invalid end ID for the interval"))
        }
        _ => Id::read(word, u64::MAX),
    }
}

/// What XREAD and XREADGROUP are told before the names of the streams.
pub(super) struct Reading<'a> {
    pub(super) group: Option<(&'a [u8], &'a [u8])>,
    pub(super) count: usize,
    /// None: it does not wait; a limit of none: for ever.
    block: Option<Option<Duration>>,
    pub(super) no_ack: bool,
    pub(super) streams: &'a [&'a [u8]],
    pub(super) from: &'a [&'a [u8]],
}

impl<'a> Reading<'a> {
    pub(super) fn read(args: &'a [&'a [u8]], of_group: bool) -> Result<Self, Stop> {
        let mut reading =
            Reading { group: None, count: usize::MAX, block: None, no_ack: false, streams: &[], from: &[] };
        let mut at = 1;
        while let Some(word) = args.get(at) {
            let name = upper(word);
            let next = args.get(at + 1);
            match (name.as_str(), next) {
                ("BLOCK", Some(limit)) => {
                    reading.block = Some(block_limit(limit)?);
                    at += 2;
                }
                ("COUNT", Some(count)) => {
                    let count = int(count)?;
                    reading.count =
                        usize::try_from(count).ok().filter(|count| *count > 0).unwrap_or(usize::MAX);
                    at += 2;
                }
                ("GROUP", Some(group)) if args.len() > at + 2 => {
                    if !of_group {
                        let text =
                            "ERR The GROUP option is only supported by XREADGROUP. You called XREAD instead.";
                        return Err(error(text));
                    }
                    reading.group = Some((group, args[at + 2]));
                    at += 3;
                }
                ("NOACK", _) => {
                    if !of_group {
                        let text =
                            "ERR The NOACK option is only supported by XREADGROUP. You called XREAD instead.";
                        return Err(error(text));
                    }
                    reading.no_ack = true;
                    at += 1;
                }
                ("STREAMS", Some(_)) => {
                    let names = &args[at + 1..];
                    if names.len() % 2 == 1 {
                        return Err(error(
                            "ERR Unbalanced XREAD list of streams: for each stream key an ID or '$' must be \
                             specified.",
                        ));
                    }
                    (reading.streams, reading.from) = names.split_at(names.len() / 2);
                    at = args.len();
                }
                _ => return Err(SYNTAX),
            }
        }
        if reading.streams.is_empty() {
            return Err(SYNTAX);
        }
        if of_group && reading.group.is_none() {
            return Err(error("ERR Missing GROUP option for XREADGROUP"));
        }
        Ok(reading)
    }

    /// Nothing was read: nothing is answered, or it waits for what comes after those ids.
    pub(super) fn nothing(&self, args: &[&[u8]], after: impl Iterator<Item = Bytes>) -> Outcome {
        let Some(limit) = self.block else { return Ok(Answer::NilArray) };
        let options = &args[..args.len() - 2 * self.streams.len()];
        let keys = self.streams.iter().zip(after).map(|(key, after)| {
            let key = Bytes::copy_from_slice(key);
            let mut command: Vec<Bytes> = options.iter().map(|word| Bytes::copy_from_slice(word)).collect();
            command.extend([key.clone(), after]);
            (key, command)
        });
        let (keys, in_vain) = (keys.collect(), Answer::NilArray);
        Err(Stop::Wait(Wait { keys, type_name: "stream", limit, in_vain }))
    }
}

fn block_limit(word: &[u8]) -> Result<Option<Duration>, Stop> {
    let limit = super::super::number::parse_int(word)
        .ok_or(error("ERR timeout is not an integer or out of range"))?;
    let limit_ms = u64::try_from(limit).map_err(|_| error("ERR timeout is negative"))?;
    Ok((limit_ms > 0).then(|| Duration::from_millis(limit_ms)))
}

pub(super) fn xread(state: &mut State, args: &[&[u8]]) -> Outcome {
    let reading = Reading::read(args, false)?;
    let mut after = Vec::new();
    for (key, word) in reading.streams.iter().zip(reading.from) {
        let last = state.container::<Stream>(key)?.map_or(Id::MIN, |stream| stream.last);
        after.push(match *word {
            b"$" => last,
            b">" => {
                let text = "ERR The > ID can be specified only when calling XREADGROUP using the GROUP <group> <consumer> option.";
                return Err(error(text));
            }
            word => Id::read(word, 0)?,
        });
    }
    let mut answers = Vec::new();
    for (key, after) in reading.streams.iter().zip(&after) {
        let Some(stream) = state.container::<Stream>(key)? else { continue };
        let Some(low) = after.next() else { continue };
        let entries = stream.range(low, Id::MAX, false, reading.count);
        if !entries.is_empty() {
            answers.push(Answer::Array(vec![Answer::bulk(key), Answer::Array(entries)]));
        }
    }
    if !answers.is_empty() {
        return Ok(Answer::Array(answers));
    }
    // Later `$` means what was last now.
    reading.nothing(args, after.iter().map(|id| Bytes::from(id.to_string())))
}

/// Whether the last id of the stream that the command waits for is after the one that it waits for the next of. A
/// waiting command is then answered, be the entry removed already.
pub(crate) fn has_moved_on(state: &mut State, args: &[&[u8]]) -> Result<bool, Stop> {
    let reading = Reading::read(args, upper(args[0]) == "XREADGROUP")?;
    let (Some(key), Some(word)) = (reading.streams.first(), reading.from.first()) else { return Ok(false) };
    let Some(stream) = state.container::<Stream>(key)? else { return Ok(false) };
    let after = match reading.group {
        Some((group, _)) => stream.groups.get(group).map_or(Id::MAX, |group| group.last),
        None => Id::read(word, 0)?,
    };
    Ok(stream.last > after)
}
