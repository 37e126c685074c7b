//! Reads EDN and JSON values onto the tape.

use super::ReadError;
use super::source::Source;
use super::value::{ATOMS_MAX, Spelling, Store, Word};

/// Deeper nesting is refused: no history has it, and it would take the stack.
const DEPTH_MAX: u32 = 100;

/// Which of the two notations is read. They differ in what stands between items and in what may begin one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Notation {
    Edn,
    Json,
}

/// A field of an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Index,
    Time,
    Process,
    Type,
    F,
    Value,
    StartTs,
    CommitTs,
    Other,
}

impl Field {
    fn of(name: &[u8]) -> Field {
        match name.strip_prefix(b":").unwrap_or(name) {
            b"index" => Field::Index,
            b"time" => Field::Time,
            b"process" => Field::Process,
            b"type" => Field::Type,
            b"f" => Field::F,
            b"value" => Field::Value,
            b"start_ts" | b"start-ts" | b"sts" => Field::StartTs,
            b"commit_ts" | b"commit-ts" | b"cts" => Field::CommitTs,
            _ => Field::Other,
        }
    }
}

/// Reads values, one after the other.
pub(super) struct Reader<'a> {
    pub(super) source: Source<'a>,
    pub(super) notation: Notation,
    token: Vec<u8>,
    /// Values are read for their grammar only, and leave no name behind.
    is_muted: bool,
    /// The brace ahead had a `#` before it.
    is_set: bool,
    depth: u32,
}

impl<'a> Reader<'a> {
    pub(super) fn new(source: Source<'a>, notation: Notation) -> Self {
        Reader { source, notation, token: Vec::new(), is_muted: false, is_set: false, depth: 0 }
    }

    /// The first byte of the next value or of what closes the list; none at the end of the input.
    #[inline]
    pub(super) fn ahead(&mut self, store: &mut Store) -> Result<Option<u8>, ReadError> {
        match self.source.peek() {
            // Digits, letters, brackets, braces and quotes stand for themselves.
            Some(byte @ (b'-'..=b':' | b'A'..=b']' | b'_'..=b'}' | b'"')) => Ok(Some(byte)),
            _ => self.ahead_of_space(store),
        }
    }

    fn ahead_of_space(&mut self, store: &mut Store) -> Result<Option<u8>, ReadError> {
        loop {
            match self.source.peek() {
                Some(b' ' | b'\n' | b'\r' | b'\t' | b'\x0c') => self.source.bump(),
                Some(b',') if self.notation == Notation::Edn => self.source.bump(),
                Some(b';') if self.notation == Notation::Edn => self.source.skip_line(),
                Some(b'#') if self.notation == Notation::Edn => {
                    self.source.bump();
                    match self.source.peek() {
                        Some(b'_') => {
                            self.source.bump();
                            self.skip(store)?;
                        }
                        // A set, a regular expression and a symbolic number are values by themselves.
                        Some(b'{') => self.is_set = true,
                        Some(b'"') => {}
                        Some(b'#') => self.source.bump(),
                        _ => self.tag()?,
                    }
                }
                Some(b'^') if self.notation == Notation::Edn => {
                    self.source.bump();
                    self.skip(store)?;
                }
                Some(b'\'') if self.notation == Notation::Edn => self.source.bump(),
                other => return Ok(other),
            }
        }
    }

    /// Reads one value and forgets it.
    pub(super) fn skip(&mut self, store: &mut Store) -> Result<(), ReadError> {
        let (mark, before) = (store.mark(), self.is_muted);
        self.is_muted = true;
        self.value(store)?;
        self.is_muted = before;
        store.truncate(mark);
        Ok(())
    }

    /// Reads a whole number, or anything else that is none; leaves nothing behind.
    pub(super) fn whole(&mut self, store: &mut Store) -> Result<Option<i64>, ReadError> {
        self.ahead(store)?;
        let mut found = None;
        if self.source.take_ints(0, |value| found = Some(value)) == 0 {
            let mark = store.mark();
            self.value(store)?;
            let word = store.at(mark);
            found = store.as_int(word);
            store.truncate(mark);
        }
        Ok(found)
    }

    /// Reads one value onto the tape.
    pub(super) fn value(&mut self, store: &mut Store) -> Result<(), ReadError> {
        if self.depth >= DEPTH_MAX {
            return Err(self.source.error(format!("values are nested more than {DEPTH_MAX} deep")));
        }
        self.depth += 1;
        let read = self.value_within(store);
        self.depth -= 1;
        read
    }

    fn value_within(&mut self, store: &mut Store) -> Result<(), ReadError> {
        let is_edn = self.notation == Notation::Edn;
        match self.ahead(store)? {
            None => Err(self.source.error("the text ends where a value is expected")),
            Some(b'-' | b'+' | b'0'..=b'9') => self.number_or_name(store),
            Some(b'"') => self.text(store),
            Some(b'[') => self.sequence(store, b']', false),
            Some(b'{') => self.map_or_set(store),
            Some(b'(') if is_edn => self.sequence(store, b')', false),
            Some(b'\\') if is_edn => self.character(store),
            Some(b':') if is_edn => {
                self.source.bump();
                self.keyword(store)
            }
            Some(byte) if is_name_byte(byte) => self.symbol(store),
            Some(byte) => Err(self.source.error(format!("a value is expected, not {}", shown(byte)))),
        }
    }

    /// Reads the name of a field of an operation.
    pub(super) fn field(&mut self, store: &mut Store) -> Result<Field, ReadError> {
        let field = match self.ahead(store)? {
            Some(b':') if self.notation == Notation::Edn => {
                self.source.bump();
                if let Some(name) = self.source.short_name(is_name_byte) {
                    return Ok(Field::of(name));
                }
                self.name_token()?;
                Field::of(&self.token)
            }
            Some(b'"') => match self.source.short_text() {
                Some(name) => Field::of(name),
                None => {
                    self.text_token()?;
                    Field::of(&self.token)
                }
            },
            Some(byte) => {
                return Err(self.source.error(format!("a field's name is expected, not {}", shown(byte))));
            }
            None => return Err(self.source.error("the text ends within an operation")),
        };
        if self.notation == Notation::Json {
            self.expect_byte(store, b':')?;
        }
        Ok(field)
    }

    /// Passes what stands between two items; says whether the list ends here.
    pub(super) fn ends(&mut self, store: &mut Store, close: u8, is_first: bool) -> Result<bool, ReadError> {
        if self.notation == Notation::Json && !is_first && self.source.peek() == Some(b',') {
            return self.follows_comma(store, close);
        }
        let Some(byte) = self.ahead(store)? else {
            return Err(self.source.error(format!("the text ends before {} ", shown(close))));
        };
        if byte == close {
            self.source.bump();
            return Ok(true);
        }
        if self.notation == Notation::Json && !is_first {
            if byte == b',' {
                return self.follows_comma(store, close);
            }
            self.expect_byte(store, b',')?;
        }
        Ok(false)
    }

    /// Passes a comma of JSON, behind which something must stand.
    fn follows_comma(&mut self, store: &mut Store, close: u8) -> Result<bool, ReadError> {
        self.source.bump();
        match self.source.peek() {
            Some(b'"' | b'[' | b'{' | b'0'..=b'9') => Ok(false),
            _ if self.ahead(store)? == Some(close) => {
                Err(self.source.error("a value is expected after the comma"))
            }
            _ => Ok(false),
        }
    }

    fn expect_byte(&mut self, store: &mut Store, wanted: u8) -> Result<(), ReadError> {
        if self.source.peek() == Some(wanted) {
            self.source.bump();
            return Ok(());
        }
        match self.ahead(store)? {
            Some(byte) if byte == wanted => {
                self.source.bump();
                Ok(())
            }
            Some(byte) => {
                Err(self.source.error(format!("{} is expected, not {}", shown(wanted), shown(byte))))
            }
            None => Err(self.source.error(format!("the text ends where {} is expected", shown(wanted)))),
        }
    }

    fn map_or_set(&mut self, store: &mut Store) -> Result<(), ReadError> {
        let is_set = std::mem::take(&mut self.is_set);
        self.sequence(store, b'}', !is_set)
    }

    fn sequence(&mut self, store: &mut Store, close: u8, is_map: bool) -> Result<(), ReadError> {
        self.source.bump();
        let head = store.mark();
        store.push(Word::NIL);
        let mut count = 0_usize;
        while !self.ends(store, close, count == 0)? {
            let ints = if is_map { 0 } else { self.ints(store) };
            if ints > 0 {
                count += ints;
                self.bounded(store)?;
                continue;
            }
            self.value(store)?;
            count += 1;
            if is_map {
                if self.notation == Notation::Json {
                    self.expect_byte(store, b':')?;
                } else if self.ahead(store)? == Some(b'}') {
                    return Err(self.source.error("a map has a key without a value"));
                }
                self.value(store)?;
            }
        }
        let word = Word::head(is_map, store.mark() - head - 1)
            .ok_or_else(|| self.source.error("a list of more than 2^29 items"))?;
        store.set(head, word);
        Ok(())
    }

    /// Reads whole numbers that stand in a row, the short way.
    fn ints(&mut self, store: &mut Store) -> usize {
        let separator = if self.notation == Notation::Json { b',' } else { b' ' };
        let is_muted = self.is_muted;
        self.source.take_ints(separator, |value| {
            let word = if is_muted { Word::NIL } else { store.intern_int(value) };
            store.push(word);
        })
    }

    fn number_or_name(&mut self, store: &mut Store) -> Result<(), ReadError> {
        let is_muted = self.is_muted;
        let mut found = None;
        // No separator is one that a number can have: one number is taken.
        if self.source.take_ints(0, |value| found = Some(value)) > 0 {
            let word = found.filter(|_| !is_muted).map_or(Word::NIL, |value| store.intern_int(value));
            store.push(word);
            return self.bounded(store);
        }
        self.name_token()?;
        if let Some(value) = whole_number(&self.token) {
            let word = if self.is_muted { Word::NIL } else { store.intern_int(value) };
            store.push(word);
            return self.bounded(store);
        }
        let digits = self.token.strip_prefix(b"-").or(self.token.strip_prefix(b"+")).unwrap_or(&self.token);
        if digits.first().is_some_and(u8::is_ascii_digit) {
            if !digits.iter().all(|byte| byte.is_ascii_alphanumeric() || b"+-./".contains(byte)) {
                return Err(self.source.error("this is no number"));
            }
            return self.intern_token(store, Spelling::Number);
        }
        if self.notation == Notation::Json {
            return Err(self.source.error("a digit is expected after the sign"));
        }
        self.intern_token(store, Spelling::Name)
    }

    fn symbol(&mut self, store: &mut Store) -> Result<(), ReadError> {
        self.name_token()?;
        let constant = match self.token.as_slice() {
            b"nil" | b"null" => Word::NIL,
            b"true" => Word::TRUE,
            b"false" => Word::FALSE,
            _ if self.notation == Notation::Json => {
                return Err(self.source.error("a value is expected, not a bare word"));
            }
            _ => return self.intern_token(store, Spelling::Name),
        };
        store.push(constant);
        Ok(())
    }

    fn character(&mut self, store: &mut Store) -> Result<(), ReadError> {
        self.source.bump();
        self.token.clear();
        match self.source.next() {
            Some(byte) => self.token.push(byte),
            None => return Err(self.source.error("the text ends within a character")),
        }
        self.source.take_while(&mut self.token, |byte| byte.is_ascii_alphanumeric() || byte >= 0x80)?;
        self.intern_token(store, Spelling::Text)
    }

    fn tag(&mut self) -> Result<(), ReadError> {
        self.name_token()?;
        if self.token.is_empty() {
            return Err(self.source.error("a tag, a set or a discarded form is expected after #"));
        }
        Ok(())
    }

    fn name_token(&mut self) -> Result<(), ReadError> {
        self.token.clear();
        self.source.take_while(&mut self.token, is_name_byte)
    }

    fn text(&mut self, store: &mut Store) -> Result<(), ReadError> {
        if !self.is_muted
            && let Some(word) =
                self.source.short_text().and_then(|text| store.intern_ascii(Spelling::Text, text))
        {
            store.push(word);
            return self.bounded(store);
        }
        self.text_token()?;
        self.intern_token(store, Spelling::Text)
    }

    fn keyword(&mut self, store: &mut Store) -> Result<(), ReadError> {
        if !self.is_muted
            && let Some(word) =
                self.source.short_name(is_name_byte).and_then(|name| store.intern_ascii(Spelling::Name, name))
        {
            store.push(word);
            return self.bounded(store);
        }
        self.name_token()?;
        self.intern_token(store, Spelling::Name)
    }

    fn text_token(&mut self) -> Result<(), ReadError> {
        self.source.bump();
        self.token.clear();
        loop {
            self.source.take_while(&mut self.token, |byte| !matches!(byte, b'"' | b'\\' | b'\n'))?;
            match self.source.next() {
                Some(b'"') => return Ok(()),
                Some(b'\n') => self.token.push(b'\n'),
                Some(_) => self.escape()?,
                None => return Err(self.source.error("the text ends within a quoted text")),
            }
        }
    }

    fn escape(&mut self) -> Result<(), ReadError> {
        let plain = match self.source.next() {
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'r') => b'\r',
            Some(b'b') => 8,
            Some(b'f') => 12,
            Some(b'u') => return self.unicode(),
            Some(byte @ (b'"' | b'\\' | b'/')) => byte,
            // A regular expression or a printed Java text: kept as it is.
            Some(byte) => {
                self.token.push(b'\\');
                byte
            }
            None => return Err(self.source.error("the text ends within a quoted text")),
        };
        self.token.push(plain);
        Ok(())
    }

    fn unicode(&mut self) -> Result<(), ReadError> {
        let mut unit = self.hex4()?;
        if (0xD800..0xDC00).contains(&unit) && self.source.peek() == Some(b'\\') {
            self.source.bump();
            if self.source.next() != Some(b'u') {
                return Err(self.source.error("half a surrogate pair"));
            }
            let low = self.hex4()?;
            unit = 0x10000 + ((unit - 0xD800) << 10) + (low.wrapping_sub(0xDC00) & 0x3FF);
        }
        let character = char::from_u32(unit).unwrap_or(char::REPLACEMENT_CHARACTER);
        self.token.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
        Ok(())
    }

    fn hex4(&mut self) -> Result<u32, ReadError> {
        let mut unit = 0;
        for _ in 0..4 {
            let digit = self.source.next().and_then(|byte| char::from(byte).to_digit(16));
            unit = unit * 16 + digit.ok_or_else(|| self.source.error("four hexadecimal digits after \\u"))?;
        }
        Ok(unit)
    }

    fn intern_token(&mut self, store: &mut Store, spelling: Spelling) -> Result<(), ReadError> {
        let Ok(text) = std::str::from_utf8(&self.token) else {
            return Err(self.source.error("this is not UTF-8"));
        };
        if text.is_empty() && spelling != Spelling::Text {
            return Err(self.source.error("a name is expected"));
        }
        let word = if self.is_muted { Word::NIL } else { store.intern(spelling, text) };
        store.push(word);
        self.bounded(store)
    }

    /// The tape and the names are numbered by words: a history that needs more does not fit.
    fn bounded(&self, store: &Store) -> Result<(), ReadError> {
        if store.mark() >= u32::MAX as usize || store.atom_count() >= ATOMS_MAX {
            return Err(self.source.error("the history holds more than 2^32 values: split it"));
        }
        Ok(())
    }
}

/// A whole number of 64 bits, with EDN's `N` or without.
fn whole_number(token: &[u8]) -> Option<i64> {
    let token = token.strip_suffix(b"N").unwrap_or(token);
    let (is_negative, digits) = match token {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() {
        return None;
    }
    let mut value = 0_i64;
    for byte in digits {
        let digit = i64::from(byte.wrapping_sub(b'0'));
        if digit > 9 {
            return None;
        }
        value = value.checked_mul(10)?.checked_sub(digit)?;
    }
    if is_negative { Some(value) } else { value.checked_neg() }
}

/// What names, numbers and symbols are made of.
pub(super) fn is_name_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte >= 0x80 || b"-+._/*!?$%&=<>:#|'@".contains(&byte)
}

pub(super) fn shown(byte: u8) -> String {
    if byte.is_ascii_graphic() { format!("`{}`", char::from(byte)) } else { format!("byte {byte:#04x}") }
}
