//! Operations as maps: `{:index 0, :time 1, :process 0, :type :invoke, :f :txn, :value [..]}`, in EDN or JSON,
//! one after the other or in one vector.

use super::ReadError;
use super::form::{Field, Notation, Reader, shown};
use super::value::{Store, Word};

/// What an operation says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpKind {
    /// It begins.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen.
    Fail,
    /// Nobody knows.
    Info,
}

impl OpKind {
    /// As Jepsen spells it.
    pub fn name(self) -> &'static str {
        match self {
            OpKind::Invoke => "invoke",
            OpKind::Ok => "ok",
            OpKind::Fail => "fail",
            OpKind::Info => "info",
        }
    }

    pub(super) fn of(name: &str) -> Option<OpKind> {
        [OpKind::Invoke, OpKind::Ok, OpKind::Fail, OpKind::Info].into_iter().find(|kind| kind.name() == name)
    }
}

/// One operation of the file.
#[derive(Debug, Clone, Copy)]
pub struct Op {
    /// Its index as the file has it; its place in the file where the file has none.
    pub index: i64,
    /// Its time in nanoseconds, where the file has one.
    pub time: Option<i64>,
    /// Its process: a number for a client, a name for others.
    pub process: Word,
    /// What it does.
    pub f: Word,
    /// Where its value is on the tape.
    pub(super) value: u32,
    /// Its line in the file, from 1.
    pub line: u32,
    /// Whether it begins, or how it ended.
    pub kind: OpKind,
}

/// When a transaction started and committed, by the clock of the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamps {
    /// What had been committed until then, it read.
    pub start: i64,
    /// From then on, others read what it wrote.
    pub commit: i64,
}

/// Operations by their places, with the timestamps that they carry.
pub(super) type Stamped = Vec<(u32, Stamps)>;

/// Reads operations, one after the other.
pub(super) struct OpReader<'a> {
    pub(super) forms: Reader<'a>,
    pub(super) store: Store,
    pub(super) ops: Vec<Op>,
    /// The places of those to which the file gives no index.
    pub(super) unindexed: Vec<usize>,
    pub(super) stamped: Stamped,
}

/// The fields of an operation as they come.
#[derive(Default)]
struct Fields {
    index: Option<i64>,
    time: Option<i64>,
    process: Option<Word>,
    kind: Option<OpKind>,
    f: Option<Word>,
    value: Option<u32>,
    start: Option<i64>,
    commit: Option<i64>,
}

impl<'a> OpReader<'a> {
    pub(super) fn new(forms: Reader<'a>) -> Self {
        OpReader::going_on(forms, Store::default(), Vec::new(), Vec::new())
    }

    /// The operations before these have been read.
    pub(super) fn going_on(forms: Reader<'a>, store: Store, ops: Vec<Op>, stamped: Stamped) -> Self {
        OpReader { forms, store, ops, unindexed: Vec::new(), stamped }
    }

    /// Reads all operations, or all that are left.
    pub(super) fn finish(mut self) -> Result<(Store, Vec<Op>, Stamped), ReadError> {
        let first = self.forms.ahead(&mut self.store)?;
        let close = match first {
            _ if !self.ops.is_empty() => None,
            Some(b'[') => Some(b']'),
            Some(b'(') if self.forms.notation == Notation::Edn => Some(b')'),
            _ => None,
        };
        match close {
            Some(close) => self.vector(close)?,
            None => self.lines()?,
        }
        self.forms.source.finish()?;
        Ok((self.store, self.ops, self.stamped))
    }

    fn vector(&mut self, close: u8) -> Result<(), ReadError> {
        self.forms.source.bump();
        while !self.forms.ends(&mut self.store, close, self.ops.is_empty())? {
            self.op()?;
        }
        match self.forms.ahead(&mut self.store)? {
            None => Ok(()),
            Some(byte) => Err(self
                .forms
                .source
                .error(format!("nothing is expected after the vector, not {}", shown(byte)))),
        }
    }

    /// Reads operations to the end of the text.
    pub(super) fn lines(&mut self) -> Result<(), ReadError> {
        while self.forms.ahead(&mut self.store)?.is_some() {
            self.op()?;
        }
        Ok(())
    }

    fn op(&mut self) -> Result<(), ReadError> {
        let line = match self.forms.ahead(&mut self.store)? {
            Some(b'{') => self.forms.source.line(),
            Some(byte) => {
                let message = format!("an operation, a map in braces, is expected, not {}", shown(byte));
                return Err(self.forms.source.error(message));
            }
            None => return Err(self.forms.source.error("the text ends where an operation is expected")),
        };
        self.forms.source.bump();
        let mut fields = Fields::default();
        let mut is_first = true;
        while !self.forms.ends(&mut self.store, b'}', is_first)? {
            is_first = false;
            self.field(&mut fields)?;
        }
        self.add(line, fields)
    }

    fn field(&mut self, fields: &mut Fields) -> Result<(), ReadError> {
        let field = self.forms.field(&mut self.store)?;
        let mark = self.store.mark();
        match field {
            Field::Value => {
                fields.value = Some(mark as u32);
                self.forms.value(&mut self.store)?;
            }
            Field::Index => fields.index = self.forms.whole(&mut self.store)?,
            Field::Time => fields.time = self.forms.whole(&mut self.store)?,
            Field::StartTs => fields.start = self.forms.whole(&mut self.store)?,
            Field::CommitTs => fields.commit = self.forms.whole(&mut self.store)?,
            Field::Process => fields.process = Some(self.scalar(mark)?),
            Field::F => fields.f = Some(self.scalar(mark)?),
            Field::Type => {
                let word = self.scalar(mark)?;
                let name = self.store.as_text(word).unwrap_or_default();
                let kind = OpKind::of(name);
                fields.kind = Some(kind.ok_or_else(|| {
                    self.forms.source.error("the type of an operation is invoke, ok, fail or info")
                })?);
            }
            Field::Other => self.forms.skip(&mut self.store)?,
        }
        Ok(())
    }

    /// Reads a value that leaves nothing on the tape.
    fn scalar(&mut self, mark: usize) -> Result<Word, ReadError> {
        self.forms.value(&mut self.store)?;
        let word = self.store.at(mark);
        self.store.truncate(mark);
        if word.is_head() {
            return Err(self.forms.source.error("a number or a name is expected here, not a list or a map"));
        }
        Ok(word)
    }

    fn add(&mut self, line: u32, fields: Fields) -> Result<(), ReadError> {
        let Some(kind) = fields.kind else {
            return Err(self.forms.source.error("the operation that ends here has no type"));
        };
        let Some(process) = fields.process else {
            return Err(self.forms.source.error("the operation that ends here has no process"));
        };
        let value = match fields.value {
            Some(value) => value,
            None => {
                let mark = self.store.mark();
                self.store.push(Word::NIL);
                mark as u32
            }
        };
        let index = fields.index.unwrap_or_else(|| {
            self.unindexed.push(self.ops.len());
            self.ops.len() as i64
        });
        let f = fields.f.unwrap_or(Word::NIL);
        if let (Some(start), Some(commit)) = (fields.start, fields.commit) {
            self.stamped.push((self.ops.len() as u32, Stamps { start, commit }));
        }
        self.ops.push(Op { index, time: fields.time, process, f, value, line, kind });
        Ok(())
    }
}

/// Whether operations of this process are those of a client.
pub(super) fn is_client(store: &Store, process: Word) -> bool {
    store.as_int(process).is_some()
}
