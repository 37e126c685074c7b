//! Groups of consumers that share a stream, and redelivery by reading what is pending.

use bytes::Bytes;

use super::super::answer::{Answer, OK, Outcome, Stop, error, refuse};
use super::super::state::State;
use super::super::stream::{Group, Id, Pending, Stream, entry_answer};
use super::stream::{Reading, ids};
use super::upper;

pub(super) fn xgroup(state: &mut State, args: &[&[u8]]) -> Outcome {
    match upper(args[1]).as_str() {
        "CREATE" => create(state, args),
        "DESTROY" => destroy(state, args),
        "CREATECONSUMER" => create_consumer(state, args),
        "DELCONSUMER" => delete_consumer(state, args),
        _ => set_id(state, args),
    }
}

const NO_STREAM: Stop = error(
    "ERR The XGROUP subcommand requires the key to exist. Note that for CREATE you may want to use the MKSTREAM \
     option to create an empty stream automatically.",
);

fn wrong_use(part: &str) -> Stop {
    refuse(format!("ERR unknown subcommand or wrong number of arguments for '{part}'. Try XGROUP HELP."))
}

/// What stands after the name of the group and the id.
fn make_stream(args: &[&[u8]]) -> Result<bool, Stop> {
    let mut make = false;
    let mut words = args[5..].iter();
    while let Some(word) = words.next() {
        match upper(word).as_str() {
            "MKSTREAM" if upper(args[1]) == "CREATE" => make = true,
            // A count for statistics, which the model does not keep.
            "ENTRIESREAD" => {
                let count = super::super::number::int(words.next().ok_or_else(|| wrong_use("CREATE"))?)?;
                if count < -1 {
                    return Err(error("ERR value for ENTRIESREAD must be positive or -1"));
                }
            }
            _ => {
                let part = String::from_utf8_lossy(args[1]).into_owned();
                return Err(wrong_use(&part));
            }
        }
    }
    Ok(make)
}

fn create(state: &mut State, args: &[&[u8]]) -> Outcome {
    let make = make_stream(args)?;
    let last = state.container::<Stream>(args[2])?.map(|stream| stream.last);
    if last.is_none() && !make {
        return Err(NO_STREAM);
    }
    let last = start(args[4], last.unwrap_or_default())?;
    state.change_or_make(args[2], |stream: &mut Stream| {
        if stream.groups.contains_key(args[3]) {
            return (false, Err(error("BUSYGROUP Consumer Group name already exists")));
        }
        stream.groups.insert(Bytes::copy_from_slice(args[3]), Group { last, ..Group::default() });
        (true, Ok(OK))
    })?
}

fn start(word: &[u8], last: Id) -> Result<Id, Stop> {
    if word == b"$" { Ok(last) } else { Id::read(word, 0) }
}

fn no_group(group: &[u8], key: &[u8]) -> Stop {
    let (group, key) = (String::from_utf8_lossy(group), String::from_utf8_lossy(key));
    refuse(format!("NOGROUP No such consumer group '{group}' for key name '{key}'"))
}

/// Changes a group that has to be there.
fn change_group(
    state: &mut State,
    args: &[&[u8]],
    change: impl FnOnce(&mut Group, Id) -> Result<Answer, Stop>,
) -> Outcome {
    let changed = state.change(args[2], |stream: &mut Stream| {
        let last = stream.last;
        match stream.groups.get_mut(args[3]) {
            None => (false, Err(no_group(args[3], args[2]))),
            Some(group) => {
                let result = change(group, last);
                (result.is_ok(), result)
            }
        }
    })?;
    changed.unwrap_or(Err(NO_STREAM))
}

fn set_id(state: &mut State, args: &[&[u8]]) -> Outcome {
    make_stream(args)?;
    change_group(state, args, |group, last| {
        // Unlike CREATE it also takes the ends of a range.
        group.last = match args[4] {
            b"-" => Id::MIN,
            b"+" => Id::MAX,
            word => start(word, last)?,
        };
        Ok(OK)
    })
}

fn destroy(state: &mut State, args: &[&[u8]]) -> Outcome {
    let destroyed = state.change(args[2], |stream: &mut Stream| {
        let was_there = stream.groups.remove(args[3]).is_some();
        (was_there, was_there)
    })?;
    state.signal(args[2]);
    destroyed.map(Answer::from).ok_or(NO_STREAM)
}

fn create_consumer(state: &mut State, args: &[&[u8]]) -> Outcome {
    change_group(state, args, |group, _| Ok(group.consumers.insert(Bytes::copy_from_slice(args[4])).into()))
}

fn delete_consumer(state: &mut State, args: &[&[u8]]) -> Outcome {
    change_group(state, args, |group, _| {
        let before = group.pending.len();
        group.pending.retain(|_, pending| pending.consumer != args[4]);
        group.consumers.remove(args[4]);
        Ok(Answer::count(before - group.pending.len()))
    })
}

pub(super) fn xack(state: &mut State, args: &[&[u8]]) -> Outcome {
    // Redis looks at the group before it reads the ids.
    let has_group =
        state.container::<Stream>(args[1])?.is_some_and(|stream| stream.groups.contains_key(args[2]));
    if !has_group {
        return Ok(Answer::Int(0));
    }
    let ids = ids(&args[3..])?;
    let acknowledged = state.change(args[1], |stream: &mut Stream| {
        let Some(group) = stream.groups.get_mut(args[2]) else { return (false, 0) };
        let acknowledged = ids.iter().filter(|id| group.pending.remove(id).is_some()).count();
        (acknowledged > 0, acknowledged)
    })?;
    Ok(Answer::count(acknowledged.unwrap_or(0)))
}

pub(super) fn xreadgroup(state: &mut State, args: &[&[u8]]) -> Outcome {
    let reading = Reading::read(args, true)?;
    let (group, consumer) = reading.group.unwrap_or_default();
    let mut after = Vec::new();
    for (key, word) in reading.streams.iter().zip(reading.from) {
        let stream = state.container::<Stream>(key)?;
        if !stream.is_some_and(|stream| stream.groups.contains_key(group)) {
            let (key, group) = (String::from_utf8_lossy(key), String::from_utf8_lossy(group));
            return Err(refuse(format!(
                "NOGROUP No such key '{key}' or consumer group '{group}' in XREADGROUP with GROUP option"
            )));
        }
        after.push(match *word {
            b">" => None,
            b"$" => {
                return Err(error(
                    "ERR The $ ID is meaningless in the context of XREADGROUP: you want to read the history of \
                     this consumer by specifying a proper ID, or use the > ID to get new messages. The $ ID would \
                     just return an empty result set.",
                ));
            }
            // The greatest id is how Redis itself writes `>`.
            word => Some(Id::read(word, 0)?).filter(|id| *id != Id::MAX),
        });
    }
    let now_ms = state.now_ms();
    let delivery = Delivery { group, consumer, count: reading.count, no_ack: reading.no_ack, now_ms };
    let mut answers = Vec::new();
    for (key, after) in reading.streams.iter().zip(&after) {
        let entries = match after {
            None => delivery.deliver(state, key)?,
            // What is pending is told also where there is nothing.
            Some(after) => Some(delivery.again(state, key, *after)?),
        };
        if let Some(entries) = entries {
            answers.push(Answer::Array(vec![Answer::bulk(key), Answer::Array(entries)]));
        }
    }
    if answers.is_empty() {
        // What is pending would have been told: each of them is `>`.
        return reading.nothing(args, reading.from.iter().map(|word| Bytes::copy_from_slice(word)));
    }
    Ok(Answer::Array(answers))
}

/// A delivery to a consumer.
struct Delivery<'a> {
    group: &'a [u8],
    consumer: &'a [u8],
    count: usize,
    no_ack: bool,
    now_ms: i64,
}

impl Delivery<'_> {
    /// New entries, which are pending from now on.
    fn deliver(&self, state: &mut State, key: &[u8]) -> Result<Option<Vec<Answer>>, Stop> {
        let delivered = state.change(key, |stream: &mut Stream| {
            let Some(group) = stream.groups.get_mut(self.group) else { return (false, None) };
            let Some(low) = group.last.next() else { return (false, None) };
            let mut answers = Vec::new();
            for (id, fields) in stream.entries.range(low..).take(self.count) {
                group.last = *id;
                if !self.no_ack {
                    let consumer = Bytes::copy_from_slice(self.consumer);
                    let pending = Pending { consumer, delivered_ms: self.now_ms, deliveries: 1 };
                    group.pending.insert(*id, pending);
                }
                answers.push(entry_answer(*id, Some(fields)));
            }
            if answers.is_empty() {
                return (false, None);
            }
            group.consumers.insert(Bytes::copy_from_slice(self.consumer));
            (true, Some(answers))
        })?;
        Ok(delivered.flatten())
    }

    /// What is pending for the consumer: delivered once more.
    fn again(&self, state: &mut State, key: &[u8], after: Id) -> Result<Vec<Answer>, Stop> {
        let again = state.change(key, |stream: &mut Stream| {
            let Some(group) = stream.groups.get_mut(self.group) else { return (false, Vec::new()) };
            group.consumers.insert(Bytes::copy_from_slice(self.consumer));
            let Some(low) = after.next() else { return (true, Vec::new()) };
            let mut answers = Vec::new();
            let own = group.pending.range_mut(low..).filter(|(_, pending)| pending.consumer == self.consumer);
            for (id, pending) in own.take(self.count) {
                let fields = stream.entries.get(id);
                if fields.is_some() {
                    pending.delivered_ms = self.now_ms;
                    pending.deliveries += 1;
                }
                answers.push(entry_answer(*id, fields));
            }
            (true, answers)
        })?;
        Ok(again.unwrap_or_default())
    }
}
