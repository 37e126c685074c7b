//! The values of a history, all of them on one tape of words.
//!
//! A word is a small whole number, a constant, the number of an interned name, or the head of a list or map
//! whose items follow it. Equal words are equal values, so that the lists of a million reads are compared as
//! slices, and a key or a value of a transaction is one `u32`.

use std::fmt;

use crate::hash::HashMap;

const TAG_SHIFT: u32 = 29;
const PAYLOAD: u32 = (1 << TAG_SHIFT) - 1;
const TAG_INT: u32 = 0;
const TAG_ATOM: u32 = 1;
const TAG_CONSTANT: u32 = 2;
const TAG_LIST: u32 = 3;
const TAG_MAP: u32 = 4;
const BIAS: i64 = 1 << (TAG_SHIFT - 1);

/// One value that is no list and no map, or the head of one that is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Word(u32);

impl Word {
    /// Nothing: EDN's `nil`, JSON's `null`.
    pub const NIL: Word = Word(TAG_CONSTANT << TAG_SHIFT);
    /// No.
    pub const FALSE: Word = Word(TAG_CONSTANT << TAG_SHIFT | 1);
    /// Yes.
    pub const TRUE: Word = Word(TAG_CONSTANT << TAG_SHIFT | 2);

    fn tag(self) -> u32 {
        self.0 >> TAG_SHIFT
    }

    fn payload(self) -> usize {
        (self.0 & PAYLOAD) as usize
    }

    /// Whether items follow this word.
    pub fn is_head(self) -> bool {
        self.tag() >= TAG_LIST
    }

    pub(super) fn small_int(value: i64) -> Option<Word> {
        let biased = value.checked_add(BIAS)?;
        (0..2 * BIAS).contains(&biased).then_some(Word(biased as u32))
    }

    pub(super) fn head(is_map: bool, items: usize) -> Option<Word> {
        let tag = if is_map { TAG_MAP } else { TAG_LIST };
        let items = u32::try_from(items).ok().filter(|items| *items <= PAYLOAD)?;
        Some(Word(tag << TAG_SHIFT | items))
    }

    /// How many words the value takes that begins with this one.
    pub(super) fn extent(self) -> usize {
        if self.is_head() { 1 + self.payload() } else { 1 }
    }
}

/// A name, a text, or a number that does not fit into a word.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Atom {
    Int(i64),
    /// A number of any other kind, as it was written.
    Number(Box<str>),
    Text(Box<str>),
    /// An EDN keyword, without its colon, or a symbol.
    Name(Box<str>),
}

/// How a text was written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Spelling {
    Number,
    Text,
    Name,
}

/// The tape and the names on it.
#[derive(Debug, Clone, Default)]
pub struct Store {
    tape: Vec<Word>,
    atoms: Vec<Atom>,
    numbers: HashMap<Box<str>, u32>,
    texts: HashMap<Box<str>, u32>,
    names: HashMap<Box<str>, u32>,
    ints: HashMap<i64, u32>,
    /// The names that were met last, by their lengths and first bytes: most of a history are a handful.
    recent: [Option<(Spelling, u32)>; 32],
}

impl Store {
    /// The value at a place on the tape.
    pub fn value(&self, at: u32) -> Value<'_> {
        let words = &self.tape[at as usize..];
        Value { store: self, words: &words[..words[0].extent()], at }
    }

    /// The words from a place on the tape on.
    pub fn words(&self, at: u32, count: u32) -> &[Word] {
        &self.tape[at as usize..at as usize + count as usize]
    }

    /// A word that stands alone, as a value.
    pub fn show(&self, word: Word) -> String {
        Value { store: self, words: &[word], at: 0 }.to_string()
    }

    /// The word of a whole number, if the history has it.
    pub fn int(&self, value: i64) -> Option<Word> {
        Word::small_int(value).or_else(|| self.ints.get(&value).map(|at| atom(*at)))
    }

    /// The whole number that a word stands for.
    pub fn as_int(&self, word: Word) -> Option<i64> {
        match word.tag() {
            TAG_INT => Some(word.payload() as i64 - BIAS),
            TAG_ATOM => match self.atoms[word.payload()] {
                Atom::Int(value) => Some(value),
                _ => None,
            },
            _ => None,
        }
    }

    /// The name or text that a word stands for.
    pub fn as_text(&self, word: Word) -> Option<&str> {
        match self.atoms.get(word.payload()).filter(|_| word.tag() == TAG_ATOM)? {
            Atom::Text(text) | Atom::Name(text) => Some(text),
            Atom::Int(_) | Atom::Number(_) => None,
        }
    }

    /// Where the next value will be.
    pub(super) fn mark(&self) -> usize {
        self.tape.len()
    }

    pub(super) fn push(&mut self, word: Word) {
        self.tape.push(word);
    }

    pub(super) fn set(&mut self, at: usize, word: Word) {
        self.tape[at] = word;
    }

    pub(super) fn truncate(&mut self, mark: usize) {
        self.tape.truncate(mark);
    }

    pub(super) fn at(&self, mark: usize) -> Word {
        self.tape[mark]
    }

    pub(super) fn intern_int(&mut self, value: i64) -> Word {
        if let Some(word) = Word::small_int(value) {
            return word;
        }
        let next = self.atoms.len() as u32;
        let at = *self.ints.entry(value).or_insert(next);
        if at == next {
            self.atoms.push(Atom::Int(value));
        }
        atom(at)
    }

    /// Interns a text; there are fewer than 2^29 of them, for each takes more than a byte of input and memory.
    pub(super) fn intern(&mut self, spelling: Spelling, text: &str) -> Word {
        let (map, make): (_, fn(Box<str>) -> Atom) = match spelling {
            Spelling::Number => (&mut self.numbers, Atom::Number),
            Spelling::Text => (&mut self.texts, Atom::Text),
            Spelling::Name => (&mut self.names, Atom::Name),
        };
        if let Some(at) = map.get(text) {
            return atom(*at);
        }
        let at = self.atoms.len() as u32 & PAYLOAD;
        map.insert(text.into(), at);
        self.atoms.push(make(text.into()));
        atom(at)
    }

    /// Interns a text of ASCII. One that was met just before is found without hashing.
    #[inline]
    pub(super) fn intern_ascii(&mut self, spelling: Spelling, text: &[u8]) -> Option<Word> {
        let first = text.first().copied().unwrap_or_default();
        let slot = (text.len() * 7 + usize::from(first)) % 32;
        if let Some((of, at)) = self.recent[slot]
            && of == spelling
            && let Atom::Text(known) | Atom::Name(known) = &self.atoms[at as usize]
            && known.as_bytes() == text
        {
            return Some(atom(at));
        }
        let word = self.intern(spelling, std::str::from_utf8(text).ok()?);
        self.recent[slot] = Some((spelling, word.payload() as u32));
        Some(word)
    }

    /// Has room for so many words more, if that much can be had at once.
    pub(super) fn reserve(&mut self, words: usize) {
        // What cannot be had now may not be needed: it was a guess.
        let _ = self.tape.try_reserve(words.min(u32::MAX as usize));
    }

    /// Whether all of another one can be appended: words number places and names.
    pub(super) fn has_room_for(&self, other: &Store) -> bool {
        self.tape.len() + other.tape.len() < u32::MAX as usize
            && self.atoms.len() + other.atoms.len() < ATOMS_MAX
    }

    /// Appends all values of another one.
    pub(super) fn append(&mut self, other: &Store) -> Moved {
        let by = self.tape.len() as u32;
        let mut moved = Moved { atoms: Vec::with_capacity(other.atoms.len()), by };
        for atom in &other.atoms {
            moved.atoms.push(match atom {
                Atom::Int(value) => self.intern_int(*value),
                Atom::Number(text) => self.intern(Spelling::Number, text),
                Atom::Text(text) => self.intern(Spelling::Text, text),
                Atom::Name(text) => self.intern(Spelling::Name, text),
            });
        }
        self.tape.extend(other.tape.iter().map(|word| moved.word(*word)));
        moved
    }

    pub(super) fn atom_count(&self) -> usize {
        self.atoms.len()
    }

    pub(super) fn shrink(&mut self) {
        self.tape.shrink_to_fit();
    }
}

/// Where the values of a store have gone that was appended to another one.
pub(super) struct Moved {
    atoms: Vec<Word>,
    by: u32,
}

impl Moved {
    /// A word, by its new number.
    #[inline]
    pub(super) fn word(&self, word: Word) -> Word {
        if word.tag() == TAG_ATOM { self.atoms[word.payload()] } else { word }
    }

    /// A place on the tape.
    pub(super) fn place(&self, at: u32) -> u32 {
        at + self.by
    }
}

/// No more names than a word can number.
pub(super) const ATOMS_MAX: usize = PAYLOAD as usize;

fn atom(at: u32) -> Word {
    Word(TAG_ATOM << TAG_SHIFT | at)
}

/// A value of a history.
#[derive(Clone, Copy)]
pub struct Value<'a> {
    store: &'a Store,
    words: &'a [Word],
    /// Where the words begin on the tape; 0 for a word that stands alone.
    at: u32,
}

/// What a value is.
#[derive(Clone, Copy)]
pub enum Form<'a> {
    /// Nothing.
    Nil,
    /// Yes or no.
    Bool(bool),
    /// A whole number of 64 bits.
    Int(i64),
    /// Any other number, as written.
    Number(&'a str),
    /// A text.
    Text(&'a str),
    /// An EDN keyword or symbol.
    Name(&'a str),
    /// A list, vector or set.
    List(Items<'a>),
    /// A map: keys and values in turn.
    Map(Items<'a>),
}

impl<'a> Value<'a> {
    /// What it is.
    pub fn form(self) -> Form<'a> {
        let word = self.words[0];
        let items = Items { store: self.store, words: &self.words[1..], at: self.at + 1 };
        match word.tag() {
            TAG_LIST => Form::List(items),
            TAG_MAP => Form::Map(items),
            TAG_ATOM => match &self.store.atoms[word.payload()] {
                Atom::Int(value) => Form::Int(*value),
                Atom::Number(text) => Form::Number(text),
                Atom::Text(text) => Form::Text(text),
                Atom::Name(text) => Form::Name(text),
            },
            TAG_INT => Form::Int(word.payload() as i64 - BIAS),
            _ if word == Word::NIL => Form::Nil,
            _ => Form::Bool(word == Word::TRUE),
        }
    }

    /// Its words: equal slices are equal values.
    pub fn words(self) -> &'a [Word] {
        self.words
    }

    /// Its items, where it is a list.
    pub fn items(self) -> Option<Items<'a>> {
        match self.form() {
            Form::List(items) => Some(items),
            _ => None,
        }
    }

    /// Its keys and values in turn, where it is a map.
    pub fn entries(self) -> Option<Items<'a>> {
        match self.form() {
            Form::Map(items) => Some(items),
            _ => None,
        }
    }

    /// The whole number that it is.
    pub fn as_int(self) -> Option<i64> {
        self.store.as_int(self.words[0])
    }

    /// The name or text that it is.
    pub fn as_text(self) -> Option<&'a str> {
        self.store.as_text(self.words[0])
    }

    /// Where it begins on the tape.
    pub(crate) fn tape_place(self) -> u32 {
        self.at
    }

    /// Whether it is nothing.
    pub fn is_nil(self) -> bool {
        self.words[0] == Word::NIL
    }
}

/// The items of a list, or the keys and values of a map.
#[derive(Clone, Copy)]
pub struct Items<'a> {
    store: &'a Store,
    words: &'a [Word],
    at: u32,
}

impl<'a> Items<'a> {
    /// The words of all items: one a word where none of them is a list or a map.
    pub fn words(self) -> &'a [Word] {
        self.words
    }
}

impl<'a> Iterator for Items<'a> {
    type Item = Value<'a>;

    fn next(&mut self) -> Option<Value<'a>> {
        let head = self.words.first()?;
        let (words, rest) = self.words.split_at(head.extent());
        let at = self.at;
        self.words = rest;
        self.at += words.len() as u32;
        Some(Value { store: self.store, words, at })
    }
}

/// As EDN spells it.
impl fmt::Display for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.form() {
            Form::Nil => f.write_str("nil"),
            Form::Bool(value) => write!(f, "{value}"),
            Form::Int(value) => write!(f, "{value}"),
            Form::Number(text) => f.write_str(text),
            Form::Text(text) => f.write_str(&serde_json::to_string(text).map_err(|_| fmt::Error)?),
            Form::Name(text) => write!(f, ":{text}"),
            Form::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.enumerate() {
                    write!(f, "{}{item}", if at > 0 { " " } else { "" })?;
                }
                f.write_str("]")
            }
            Form::Map(items) => {
                f.write_str("{")?;
                for (at, item) in items.enumerate() {
                    let gap = if at == 0 {
                        ""
                    } else if at % 2 == 0 {
                        ", "
                    } else {
                        " "
                    };
                    write!(f, "{gap}{item}")?;
                }
                f.write_str("}")
            }
        }
    }
}

impl fmt::Debug for Value<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
