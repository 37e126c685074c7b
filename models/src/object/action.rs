//! What the operations of an object do, key by key.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{Keys, Object};
use crate::foreign::{Call, OpHistory, Outcome, Value, Word};
use crate::hash::HashSet;
use crate::isolation::ShapeError;

const NO_PAIR: &str = "with keys, the value of every operation is a pair: [key value]";

/// A read or a write of one of several registers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Micro {
    register: Word,
    value: Word,
    is_write: bool,
}

/// What an operation does.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Action {
    Read(Word),
    Write(Word),
    Cas(Word, Word),
    Add(i64),
    Count(i64),
    Acquire,
    Release,
    Enqueue(Word),
    Dequeue(Word),
    /// A dequeue of which nobody knows what it took.
    DequeueAny,
    /// Reads and writes of several registers, one after another and all at once.
    Txn(Arc<[Micro]>),
}

/// The state of an object.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum State {
    Value(Word),
    Count(i64),
    Held(bool),
    Queue(Vec<Word>),
    /// Several registers by their names; what is not there is nil.
    Values(BTreeMap<Word, Word>),
}

impl Action {
    /// Whether it changes nothing.
    pub(super) fn is_pure(&self) -> bool {
        match self {
            Action::Read(_) | Action::Count(_) => true,
            Action::Cas(old, new) => old == new,
            Action::Txn(micros) => micros.iter().all(|micro| !micro.is_write),
            _ => false,
        }
    }

    /// The state behind it; none where it cannot happen.
    pub(super) fn on(&self, state: &State) -> Option<State> {
        match (self, state) {
            (Action::Read(value), State::Value(now)) => (value == now).then(|| state.clone()),
            (Action::Write(value), State::Value(_)) => Some(State::Value(*value)),
            (Action::Cas(old, new), State::Value(now)) => (old == now).then_some(State::Value(*new)),
            (Action::Add(more), State::Count(now)) => now.checked_add(*more).map(State::Count),
            (Action::Count(value), State::Count(now)) => (value == now).then(|| state.clone()),
            (Action::Acquire, State::Held(is_held)) => (!is_held).then_some(State::Held(true)),
            (Action::Release, State::Held(is_held)) => is_held.then_some(State::Held(false)),
            (Action::Enqueue(item), State::Queue(items)) => {
                Some(State::Queue(items.iter().copied().chain([*item]).collect()))
            }
            (Action::Dequeue(item), State::Queue(items)) => {
                (items.first() == Some(item)).then(|| State::Queue(items[1..].to_vec()))
            }
            (Action::DequeueAny, State::Queue(items)) => {
                Some(State::Queue(items.get(1..).unwrap_or_default().to_vec()))
            }
            (Action::Txn(micros), State::Values(values)) => all_at_once(micros, values).map(State::Values),
            _ => None,
        }
    }
}

/// What the registers hold behind a transaction; none where it read what was not there.
fn all_at_once(micros: &[Micro], values: &BTreeMap<Word, Word>) -> Option<BTreeMap<Word, Word>> {
    let mut values = values.clone();
    for Micro { register, value, is_write } in micros {
        if *is_write {
            values.insert(*register, *value);
        } else if values.get(register).unwrap_or(&Word::NIL) != value {
            return None;
        }
    }
    Some(values)
}

impl Object {
    pub(super) fn initial(self) -> State {
        match self {
            Object::Register => State::Value(Word::NIL),
            Object::Counter => State::Count(0),
            Object::Mutex => State::Held(false),
            Object::FifoQueue => State::Queue(Vec::new()),
            Object::MultiRegister => State::Values(BTreeMap::new()),
        }
    }
}

/// One operation that has, or may have, happened.
#[derive(Debug, Clone)]
pub(super) struct Step {
    pub(super) call: u32,
    pub(super) begin: u32,
    /// `u32::MAX` where it may take effect at any later time, or never.
    pub(super) end: u32,
    pub(super) action: Action,
}

/// The operations of one object.
#[derive(Debug, Default)]
pub(super) struct Part {
    pub(super) key: Option<String>,
    /// In the order in which they began.
    pub(super) steps: Vec<Step>,
    /// Values that failed operations would have written.
    pub(super) failed: HashSet<Word>,
}

/// The operations of each object. Where every value of a register is a pair, as Jepsen's independent keys have it,
/// its first half is the key; of other objects where that is said.
pub(super) fn parts(history: &OpHistory, object: Object, keys: Keys) -> Result<Vec<Part>, ShapeError> {
    // A read of a list is none of a counter: with keys, it may be a pair.
    let scalars_only = object == Object::Counter && keys != Keys::Independent;
    let known = || {
        let calls = history.calls_that(names(object));
        calls.filter(|(_, call)| !scalars_only || history.value_of(call).items().is_none())
    };
    let is_pair = |value: Value<'_>| value.items().is_some_and(|items| items.count() == 2);
    let looks_so = || {
        known().next().is_some()
            && object == Object::Register
            && known().all(|(_, call)| is_pair(history.value_of(call)))
            && history.calls_that(&["read", "r", "write", "w"]).next().is_some()
    };
    let is_by_key = keys == Keys::Independent || looks_so();
    let mut parts: BTreeMap<&[Word], Part> = BTreeMap::new();
    for (at, call) in known() {
        let value = history.value_of(call);
        let mut halves = value.items().filter(|_| is_by_key);
        let (key, value) = match halves.as_mut().map(|halves| (halves.next(), halves.next())) {
            Some((Some(key), Some(value))) => (Some(key), value),
            _ if is_by_key => {
                let line = history.ops()[call.telling_op() as usize].line;
                return Err(ShapeError { line, message: NO_PAIR.to_owned() });
            }
            _ => (None, value),
        };
        let part = parts.entry(key.map_or(&[][..], Value::words)).or_insert_with(|| {
            let steps = Vec::with_capacity(if is_by_key { 0 } else { history.calls().len() });
            Part { key: key.map(|key| key.to_string()), steps, ..Part::default() }
        });
        add(history, part, at, call, value)?;
    }
    let mut parts: Vec<Part> = parts.into_values().map(sorted).collect();
    if object == Object::Counter {
        parts.iter_mut().try_for_each(|part| counted(history, part))?;
    }
    Ok(parts)
}

fn sorted(mut part: Part) -> Part {
    let began = |step: &Step| (step.begin, step.call);
    if !part.steps.is_sorted_by_key(began) {
        part.steps.sort_by_key(began);
    }
    part
}

/// What the operations of an object are called.
fn names(object: Object) -> &'static [&'static str] {
    match object {
        Object::Register => &["read", "r", "write", "w", "cas"],
        Object::Counter => &["read", "r", "add", "inc", "increment"],
        Object::Mutex => &["acquire", "release"],
        Object::FifoQueue => &["enqueue", "dequeue"],
        Object::MultiRegister => &["txn", ""],
    }
}

fn add(
    history: &OpHistory,
    part: &mut Part,
    at: u32,
    call: &Call,
    value: Value<'_>,
) -> Result<(), ShapeError> {
    let f = history.f(call.telling_op());
    let error = |message: &str| {
        let line = history.ops()[call.telling_op() as usize].line;
        ShapeError { line, message: message.to_owned() }
    };
    let scalar = |value: Value<'_>| match value.words() {
        [word] => Ok(*word),
        _ => Err(error("a value is a number, a text or a name")),
    };
    let number = |value: Value<'_>| value.as_int().ok_or_else(|| error("a counter holds whole numbers"));
    let is_counter = matches!(f, "add" | "inc" | "increment");
    let is_undecided = call.outcome == Outcome::Info;
    let action = match f {
        "read" | "r" if call.outcome != Outcome::Ok => return Ok(()),
        "read" | "r" => Action::Read(scalar(value)?),
        "write" | "w" => Action::Write(scalar(value)?),
        "cas" => {
            let halves: Vec<Value<'_>> = value.items().into_iter().flatten().collect();
            let [old, new] = halves[..] else { return Err(error("a cas has a pair of values: [old new]")) };
            Action::Cas(scalar(old)?, scalar(new)?)
        }
        _ if is_counter && value.is_nil() => Action::Add(1),
        _ if is_counter => Action::Add(number(value)?),
        "acquire" => Action::Acquire,
        "release" => Action::Release,
        "enqueue" => Action::Enqueue(scalar(value)?),
        "txn" | "" => match micros(value, call.outcome == Outcome::Ok).map_err(error)? {
            micros if micros.is_empty() => return Ok(()),
            micros => Action::Txn(micros.into()),
        },
        _ if is_undecided => Action::DequeueAny,
        _ => Action::Dequeue(scalar(value)?),
    };
    if call.outcome == Outcome::Fail {
        if let Action::Write(value) | Action::Cas(_, value) | Action::Enqueue(value) = action {
            part.failed.insert(value);
        }
        return Ok(());
    }
    part.steps.push(Step { call: at, begin: call.begin, end: call.end, action });
    Ok(())
}

/// The reads and writes of a transaction. Nobody knows what one read that is not known to have happened.
fn micros(value: Value<'_>, happened: bool) -> Result<Vec<Micro>, &'static str> {
    const SHAPE: &str =
        "a transaction is a list of micro-operations like [:w register value] or [:r register value]";
    let one = |value: Value<'_>| match value.words() {
        [word] => Ok(*word),
        _ => Err("a register and its value are a number, a text or a name each"),
    };
    let mut micros = Vec::new();
    for mop in value.items().ok_or(SHAPE)? {
        let parts: Vec<Value<'_>> = mop.items().ok_or(SHAPE)?.collect();
        // A version behind the value says nothing about real time.
        match (parts.first().and_then(|f| f.as_text()), &parts[..parts.len().min(3)]) {
            (Some("r" | "read"), [_, _] | [_, _, _]) if !happened => {}
            (Some("r" | "read"), [_, register, value]) => {
                micros.push(Micro { register: one(*register)?, value: one(*value)?, is_write: false });
            }
            (Some("w" | "write"), [_, register, value]) => {
                micros.push(Micro { register: one(*register)?, value: one(*value)?, is_write: true });
            }
            (Some("append"), _) => return Err("appends to lists: check it as list-append"),
            _ => return Err(SHAPE),
        }
    }
    Ok(micros)
}

/// Reads of a counter are of numbers.
fn counted(history: &OpHistory, part: &mut Part) -> Result<(), ShapeError> {
    for step in &mut part.steps {
        if let Action::Read(value) = step.action {
            let count = history.store().as_int(value).or((value == Word::NIL).then_some(0));
            let op = history.calls()[step.call as usize].telling_op() as usize;
            let error = || ShapeError {
                line: history.ops()[op].line,
                message: "a read of a counter gives a whole number".to_owned(),
            };
            step.action = Action::Count(count.ok_or_else(error)?);
        }
    }
    Ok(())
}
