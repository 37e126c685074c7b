//! Reads and writes of registers, session by session: of transactions, or of single operations.

use crate::foreign::{Call, OpHistory, Outcome, Value, Word};
use crate::hash::HashMap;
use crate::isolation::ShapeError;

/// The source of a read of what was there at first.
pub(crate) const INITIAL: u32 = u32::MAX;
/// The source of a read of what nobody wrote, or of which nobody can say who did.
pub(crate) const NOWHERE: u32 = u32::MAX - 1;

/// One read or write.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deed {
    /// Its place among the calls of the history.
    pub(crate) call: u32,
    /// Its place within the call.
    pub(crate) mop: u32,
    pub(crate) session: u32,
    /// Its place within the session.
    pub(crate) place: u32,
    pub(crate) key: u32,
    pub(crate) value: Word,
    pub(crate) is_write: bool,
    /// Who wrote what it read; of a write, itself.
    pub(crate) source: u32,
}

/// All deeds of a history that say something: reads of what happened, and all writes.
pub(crate) struct Deeds<'a> {
    pub(crate) history: &'a OpHistory,
    pub(crate) deeds: Vec<Deed>,
    /// By session, its deeds in their order.
    pub(crate) sessions: Vec<Vec<u32>>,
    keys: Vec<Value<'a>>,
    /// By key and value.
    writers: HashMap<(u32, Word), u32>,
    /// Reads of what nobody wrote.
    pub(crate) garbage: Vec<u32>,
}

const NAMES: [&str; 7] = ["txn", "", "read", "r", "write", "w", "cas"];

impl<'a> Deeds<'a> {
    /// Refuses a value that is written twice to a key.
    pub(crate) fn of(history: &'a OpHistory) -> Result<Deeds<'a>, ShapeError> {
        Deeds::read(history, true)
    }

    /// A value that is written again has the first writer as its source.
    pub(crate) fn with_repeats(history: &'a OpHistory) -> Result<Deeds<'a>, ShapeError> {
        Deeds::read(history, false)
    }

    fn read(history: &'a OpHistory, is_unique: bool) -> Result<Deeds<'a>, ShapeError> {
        let made = Deeds {
            history,
            deeds: Vec::with_capacity(history.calls().len()),
            sessions: Vec::new(),
            keys: Vec::new(),
            writers: HashMap::default(),
            garbage: Vec::new(),
        };
        let mut builder = Builder {
            made,
            key_words: HashMap::default(),
            key_lists: HashMap::default(),
            session_numbers: HashMap::default(),
            is_by_key: is_by_key(history),
            is_unique,
        };
        for (at, call) in history.calls().iter().enumerate() {
            if NAMES.contains(&history.f(call.telling_op())) {
                builder.call(at as u32, call)?;
            }
        }
        Ok(builder.linked())
    }

    pub(crate) fn of_call(&self, at: u32) -> Call {
        self.history.calls()[self.deeds[at as usize].call as usize]
    }

    /// Whether it is known to have happened when its call ended.
    pub(crate) fn is_acked(&self, at: u32) -> bool {
        self.of_call(at).outcome == Outcome::Ok
    }

    /// Whether it is the write that reads of its value are of.
    pub(crate) fn is_source(&self, at: u32) -> bool {
        let deed = &self.deeds[at as usize];
        self.writers.get(&(deed.key, deed.value)) == Some(&at)
    }

    fn is_later_own(&self, writer: u32, read: &Deed) -> bool {
        let writer = &self.deeds[writer as usize];
        writer.session == read.session && writer.place > read.place
    }

    pub(crate) fn key_name(&self, key: u32) -> String {
        self.keys[key as usize].to_string()
    }

    pub(crate) fn key_count(&self) -> usize {
        self.keys.len()
    }

    pub(crate) fn line(&self, at: u32) -> u32 {
        self.history.ops()[self.of_call(at).telling_op() as usize].line
    }

    pub(crate) fn session_name(&self, session: u32) -> String {
        let first = self.sessions[session as usize].first().copied().unwrap_or_default();
        let op = self.of_call(first).telling_op();
        self.history.store().show(self.history.ops()[op as usize].process)
    }
}

/// Whether the values of single operations are pairs of a key and a value, as Jepsen's independent keys have it.
fn is_by_key(history: &OpHistory) -> bool {
    let is_pair = |value: Value<'_>| value.items().is_some_and(|items| items.count() == 2);
    let single = || {
        let calls = history.calls().iter().filter(|call| match history.f(call.telling_op()) {
            "read" | "r" => call.outcome == Outcome::Ok,
            "write" | "w" => true,
            _ => false,
        });
        calls.map(|call| history.value_of(call))
    };
    single().next().is_some() && single().all(is_pair)
}

struct Builder<'a> {
    made: Deeds<'a>,
    key_words: HashMap<Word, u32>,
    key_lists: HashMap<&'a [Word], u32>,
    session_numbers: HashMap<Word, u32>,
    is_by_key: bool,
    is_unique: bool,
}

impl<'a> Builder<'a> {
    fn call(&mut self, at: u32, call: &Call) -> Result<(), ShapeError> {
        let history = self.made.history;
        let op = call.telling_op();
        let (f, value) = (history.f(op), history.value(op));
        if matches!(f, "txn" | "") {
            for (mop, parts) in value.items().into_iter().flatten().enumerate() {
                self.mop(at, mop as u32, parts)?;
            }
            return Ok(());
        }
        if matches!(f, "read" | "r") && call.outcome != Outcome::Ok {
            return Ok(());
        }
        let halves: Vec<Value<'a>> = value.items().into_iter().flatten().collect();
        let (key, value) = match (self.is_by_key, &halves[..]) {
            (true, [key, value]) => (key.words(), *value),
            _ => (&[Word::NIL][..], value),
        };
        let shown = halves.first().copied().filter(|_| self.is_by_key).unwrap_or(value);
        let key = self.key(key, shown);
        match f {
            "read" | "r" => self.add(at, 0, key, value, false),
            "write" | "w" => self.add(at, 0, key, value, true),
            _ => {
                let halves: Vec<Value<'a>> = value.items().into_iter().flatten().collect();
                let [old, new] = halves[..] else {
                    return Err(self.error(at, "a cas has a pair of values: [old new]"));
                };
                self.add(at, 0, key, old, false)?;
                self.add(at, 1, key, new, true)
            }
        }
    }

    fn mop(&mut self, at: u32, mop: u32, value: Value<'a>) -> Result<(), ShapeError> {
        let mut parts = value.items().into_iter().flatten();
        let (Some(f), Some(key)) = (parts.next(), parts.next()) else {
            return Err(self.error(at, "a micro-operation is a list like [:w key value] or [:r key nil]"));
        };
        let value = parts.next();
        let number = self.key(key.words(), key);
        match (f.as_text(), value) {
            (Some("r" | "read"), Some(value)) => self.add(at, mop, number, value, false),
            (Some("r" | "read"), None) => Ok(()),
            (Some("w" | "write"), Some(value)) => self.add(at, mop, number, value, true),
            _ => Err(self.error(at, "micro-operations on registers are r and w")),
        }
    }

    fn key(&mut self, words: &'a [Word], shown: Value<'a>) -> u32 {
        let next = self.made.keys.len() as u32;
        let key = match words {
            [word] => *self.key_words.entry(*word).or_insert(next),
            words => *self.key_lists.entry(words).or_insert(next),
        };
        if key == next {
            self.made.keys.push(shown);
        }
        key
    }

    fn add(
        &mut self,
        call: u32,
        mop: u32,
        key: u32,
        value: Value<'a>,
        is_write: bool,
    ) -> Result<(), ShapeError> {
        let Some(value) = value.words().first().copied().filter(|word| !word.is_head()) else {
            return Err(self.error(call, "a value is a number, a text or a name"));
        };
        let history = self.made.history;
        let known = &history.calls()[call as usize];
        if !is_write && known.outcome != Outcome::Ok {
            return Ok(());
        }
        let next = self.made.sessions.len() as u32;
        let process = history.ops()[known.telling_op() as usize].process;
        let session = *self.session_numbers.entry(process).or_insert(next);
        if session == next {
            self.made.sessions.push(Vec::new());
        }
        let at = self.made.deeds.len() as u32;
        let place = self.made.sessions[session as usize].len() as u32;
        if is_write {
            self.note_writer(call, key, value, at)?;
        }
        self.made.sessions[session as usize].push(at);
        self.made.deeds.push(Deed { call, mop, session, place, key, value, is_write, source: at });
        Ok(())
    }

    /// What failed may be tried again with the same value; nothing else is written twice.
    fn note_writer(&mut self, call: u32, key: u32, value: Word, at: u32) -> Result<(), ShapeError> {
        let outcome = |call: u32| self.made.history.calls()[call as usize].outcome;
        let before =
            self.made.writers.get(&(key, value)).map(|before| self.made.deeds[*before as usize].call);
        match before {
            Some(_) if outcome(call) == Outcome::Fail || !self.is_unique => return Ok(()),
            Some(before) if outcome(before) != Outcome::Fail => {
                let history = self.made.history;
                let line = history.ops()[history.calls()[before as usize].telling_op() as usize].line;
                let message = format!(
                    "writes {} to key {} as line {line} does: the checker needs every written value of a key to be unique",
                    history.store().show(value),
                    self.made.key_name(key),
                );
                return Err(self.error(call, &message));
            }
            _ => {}
        }
        self.made.writers.insert((key, value), at);
        Ok(())
    }

    fn error(&self, call: u32, message: &str) -> ShapeError {
        let history = self.made.history;
        let op = history.calls()[call as usize].telling_op() as usize;
        ShapeError { line: history.ops()[op].line, message: message.to_owned() }
    }

    /// Finds the source of each read.
    fn linked(self) -> Deeds<'a> {
        let mut made = self.made;
        for at in 0..made.deeds.len() {
            let deed = made.deeds[at];
            if deed.is_write {
                continue;
            }
            let writer = made.writers.get(&(deed.key, deed.value)).copied();
            made.deeds[at].source = match writer {
                // Nothing may be what was there at first, or what was written.
                Some(_) if deed.value == Word::NIL => NOWHERE,
                // Nobody reads what it writes itself later.
                Some(writer) if made.is_later_own(writer, &deed) => NOWHERE,
                Some(writer) => writer,
                None if deed.value == Word::NIL => INITIAL,
                None => NOWHERE,
            };
            if writer.is_none() && deed.value != Word::NIL {
                made.garbage.push(at as u32);
            }
        }
        made
    }
}
