//! Transactions of a history: what each read and wrote, keys numbered, values interned.

use thiserror::Error;

use crate::foreign::{OpHistory, Outcome, Value, Word};
use crate::hash::HashMap;

/// The history is well-formed, and not one that this checker can judge.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("line {line}: {message}")]
pub struct ShapeError {
    /// The line of the operation.
    pub line: u32,
    /// What was expected.
    pub message: String,
}

/// What kind of objects the keys are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `[:append k v]` and `[:r k [v ..]]`.
    List,
    /// `[:w k v]` and `[:r k v]`.
    Register,
}

/// One transaction.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Txn {
    /// Its place among the calls of the history.
    pub(crate) call: u32,
    pub(crate) begin: u32,
    /// `u32::MAX` unless it is known to have happened by some place.
    pub(crate) end: u32,
    pub(crate) process: Word,
    pub(crate) first_mop: u32,
    pub(crate) mops: u32,
    pub(crate) outcome: Outcome,
}

/// One micro-operation.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mop {
    pub(crate) txn: u32,
    pub(crate) key: u32,
    pub(crate) act: Act,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Act {
    Write(Word),
    /// The elements, as a slice of the tape.
    ReadList {
        at: u32,
        count: u32,
    },
    Read(Word),
}

/// All transactions, in the order in which they were invoked.
pub(crate) struct Txns<'a> {
    pub(crate) history: &'a OpHistory,
    pub(crate) txns: Vec<Txn>,
    pub(crate) mops: Vec<Mop>,
    /// A place on the tape where each key stands.
    pub(crate) keys: Vec<Value<'a>>,
    /// Which micro-operation wrote a value.
    pub(crate) writers: HashMap<(u32, Word), u32>,
    /// Operations that are no transactions.
    pub(crate) ignored: u64,
    /// Versions that micro-operations on registers state.
    pub(crate) stated: Vec<(u32, i64)>,
    pub(crate) kind: Kind,
}

impl<'a> Txns<'a> {
    /// No transactions.
    pub(crate) fn empty(history: &'a OpHistory, kind: Kind) -> Txns<'a> {
        Txns {
            history,
            txns: Vec::new(),
            mops: Vec::new(),
            keys: Vec::new(),
            writers: HashMap::default(),
            ignored: 0,
            stated: Vec::new(),
            kind,
        }
    }

    pub(crate) fn of(history: &'a OpHistory, kind: Kind) -> Result<Txns<'a>, ShapeError> {
        let calls = history.calls();
        let mut builder = Builder {
            kind,
            key_words: HashMap::default(),
            key_lists: HashMap::default(),
            made: Txns {
                txns: Vec::with_capacity(calls.len()),
                mops: Vec::with_capacity(calls.len() * 2),
                writers: HashMap::with_capacity_and_hasher(calls.len(), Default::default()),
                ..Txns::empty(history, kind)
            },
        };
        for (at, call) in calls.iter().enumerate() {
            let op = call.telling_op();
            let value = history.value(op);
            let is_txn = matches!(history.f(op), "txn" | "") && value.items().is_some();
            if !is_txn {
                builder.made.ignored += 1;
                continue;
            }
            let process = history.ops()[op as usize].process;
            builder.made.txns.push(Txn {
                call: at as u32,
                begin: call.begin,
                end: call.end,
                process,
                first_mop: builder.made.mops.len() as u32,
                mops: 0,
                outcome: call.outcome,
            });
            builder.mops(op, value)?;
        }
        Ok(builder.made)
    }

    pub(crate) fn mops_of(&self, txn: u32) -> &[Mop] {
        let txn = &self.txns[txn as usize];
        &self.mops[txn.first_mop as usize..(txn.first_mop + txn.mops) as usize]
    }

    pub(crate) fn list(&self, at: u32, count: u32) -> &'a [Word] {
        self.history.store().words(at, count)
    }

    pub(crate) fn is_of_lists(&self) -> bool {
        self.kind == Kind::List
    }

    pub(crate) fn key_name(&self, key: u32) -> String {
        self.keys[key as usize].to_string()
    }

    pub(crate) fn show(&self, word: Word) -> String {
        self.history.store().show(word)
    }
}

struct Builder<'a> {
    kind: Kind,
    key_words: HashMap<Word, u32>,
    key_lists: HashMap<&'a [Word], u32>,
    made: Txns<'a>,
}

impl<'a> Builder<'a> {
    fn mops(&mut self, op: u32, value: Value<'a>) -> Result<(), ShapeError> {
        let txn = self.made.txns.len() as u32 - 1;
        let happened = self.made.txns[txn as usize].outcome == Outcome::Ok;
        for mop in value.items().into_iter().flatten() {
            let mut parts = mop.items().ok_or_else(|| self.error(op, "a micro-operation is a list"))?;
            let (f, key, value, version) = (parts.next(), parts.next(), parts.next(), parts.next());
            let is_read = f.and_then(|f| f.as_text()).is_some_and(|f| matches!(f, "r" | "read"));
            let is_whole = value.is_some() || is_read && !happened;
            let is_version = |version: Value<'_>| version.is_nil() || version.as_int().is_some();
            let is_short = version.is_none_or(|version| self.kind == Kind::Register && is_version(version));
            let (Some(f), Some(key), true, true, None) = (f, key, is_whole, is_short, parts.next()) else {
                return Err(
                    self.error(op, "a micro-operation is a list like [:append key value], [:r key nil] or, of registers, [:w key value version]")
                );
            };
            let act = match (f.as_text().unwrap_or_default(), self.kind) {
                ("r" | "read", _) if !happened => continue,
                ("r" | "read", Kind::List) => self.read_list(op, value)?,
                ("r" | "read", Kind::Register) => Act::Read(self.scalar(op, value)?),
                ("append", Kind::List) | ("w" | "write", Kind::Register) => {
                    Act::Write(self.scalar(op, value)?)
                }
                ("append", Kind::Register) => {
                    return Err(self.error(op, "appends to lists: check it as list-append"));
                }
                ("w" | "write", Kind::List) => {
                    return Err(self.error(op, "writes of registers: check it as rw-register"));
                }
                (other, _) => {
                    let message = format!("{other:?} is no micro-operation: they are r, w and append");
                    return Err(self.error(op, &message));
                }
            };
            let key = self.key(key);
            self.push(op, Mop { txn, key, act })?;
            if let Some(version) = version.and_then(Value::as_int) {
                self.made.stated.push((self.made.mops.len() as u32 - 1, version));
            }
        }
        Ok(())
    }

    fn push(&mut self, op: u32, mop: Mop) -> Result<(), ShapeError> {
        let at = self.made.mops.len() as u32;
        if let Act::Write(value) = mop.act
            && let Some(first) = self.made.writers.insert((mop.key, value), at)
        {
            let first = &self.made.txns[self.made.mops[first as usize].txn as usize];
            let history = self.made.history;
            let line = history.ops()[history.calls()[first.call as usize].telling_op() as usize].line;
            let message = format!(
                "writes {} to key {} as line {line} does: the checker needs every written value of a key to be unique",
                self.made.show(value),
                self.made.key_name(mop.key),
            );
            return Err(self.error(op, &message));
        }
        self.made.mops.push(mop);
        self.made.txns[mop.txn as usize].mops += 1;
        Ok(())
    }

    fn key(&mut self, key: Value<'a>) -> u32 {
        let next = self.made.keys.len() as u32;
        let at = match key.words() {
            [word] => *self.key_words.entry(*word).or_insert(next),
            words => *self.key_lists.entry(words).or_insert(next),
        };
        if at == next {
            self.made.keys.push(key);
        }
        at
    }

    fn read_list(&self, op: u32, value: Option<Value<'a>>) -> Result<Act, ShapeError> {
        let Some(value) = value.filter(|value| !value.is_nil()) else {
            return Ok(Act::ReadList { at: 0, count: 0 });
        };
        let items = value.items().ok_or_else(|| self.error(op, "a read of a list gives a list or nil"))?;
        if items.words().iter().any(|word| word.is_head()) {
            return Err(self.error(op, "the elements of a list are numbers, texts or names"));
        }
        Ok(Act::ReadList { at: value.tape_place() + 1, count: items.words().len() as u32 })
    }

    fn scalar(&self, op: u32, value: Option<Value<'a>>) -> Result<Word, ShapeError> {
        match value.map_or(&[Word::NIL][..], Value::words) {
            [word] if !word.is_head() => Ok(*word),
            _ => Err(self.error(op, "a value is a number, a text or a name")),
        }
    }

    fn error(&self, op: u32, message: &str) -> ShapeError {
        ShapeError { line: self.made.history.ops()[op as usize].line, message: message.to_owned() }
    }
}
