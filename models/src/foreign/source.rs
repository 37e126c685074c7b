//! The bytes of a history, a buffer at a time, with the place in the text for messages.

use std::io::Read;

use super::ReadError;

const BUFFER_BYTES: usize = 1 << 18;

/// A longer name, number or text is refused: nothing in a history is that long, and memory stays bounded.
const TOKEN_BYTES_MAX: usize = 1 << 20;

/// Most names are shorter.
const SHORT_BYTES: usize = 24;

/// Reads bytes with one byte of look-ahead.
pub(super) struct Source<'a> {
    input: &'a mut dyn Read,
    buffer: Vec<u8>,
    at: usize,
    end: usize,
    /// How many bytes came before the buffer.
    before: u64,
    line: u32,
    /// The offset at which the line begins.
    line_start: u64,
    failure: Option<std::io::Error>,
}

impl<'a> Source<'a> {
    pub(super) fn new(input: &'a mut dyn Read) -> Self {
        Source::with_buffer(input, BUFFER_BYTES)
    }

    /// For an input that is known to be short.
    pub(super) fn with_buffer(input: &'a mut dyn Read, bytes: usize) -> Self {
        let buffer = vec![0; bytes.clamp(1, BUFFER_BYTES)];
        Source { input, buffer, at: 0, end: 0, before: 0, line: 1, line_start: 0, failure: None }
    }

    /// From a line on; the text before it was read by others.
    pub(super) fn from_line(input: &'a mut dyn Read, line: u32) -> Self {
        Source { line, ..Source::new(input) }
    }

    /// A text that is all there; `nothing` is what comes after it.
    pub(super) fn of_block(bytes: Vec<u8>, nothing: &'a mut std::io::Empty) -> Self {
        let end = bytes.len();
        Source { buffer: bytes, end, ..Source::with_buffer(nothing, 1) }
    }

    /// The text again.
    pub(super) fn into_block(self) -> Vec<u8> {
        self.buffer
    }

    /// The next byte, which stays.
    #[inline]
    pub(super) fn peek(&mut self) -> Option<u8> {
        if self.at < self.end { Some(self.buffer[self.at]) } else { self.refill() }
    }

    /// Passes the byte that was peeked.
    #[inline]
    pub(super) fn bump(&mut self) {
        if self.buffer[self.at] == b'\n' {
            self.line = self.line.saturating_add(1);
            self.line_start = self.before + self.at as u64 + 1;
        }
        self.at += 1;
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.bump();
        Some(byte)
    }

    /// Takes bytes while they are wanted, none of which is a line feed.
    #[inline]
    pub(super) fn take_while(
        &mut self,
        token: &mut Vec<u8>,
        wanted: impl Fn(u8) -> bool,
    ) -> Result<(), ReadError> {
        loop {
            let start = self.at;
            while self.at < self.end && wanted(self.buffer[self.at]) {
                self.at += 1;
            }
            token.extend_from_slice(&self.buffer[start..self.at]);
            if token.len() > TOKEN_BYTES_MAX {
                return Err(self.error("a name, number or text of more than 1 MiB: no history holds one"));
            }
            if self.at < self.end || self.refill().is_none() {
                return Ok(());
            }
        }
    }

    /// Takes the whole numbers that stand in a row here, as far as they lie within the buffer: most of what long
    /// histories are made of. Leaves the separator behind the last one.
    pub(super) fn take_ints(&mut self, separator: u8, mut push: impl FnMut(i64)) -> usize {
        let mut count = 0;
        loop {
            let bytes = &self.buffer[self.at..self.end];
            let start = usize::from(count > 0);
            if count > 0 && bytes.first() != Some(&separator) {
                return count;
            }
            let mut value = 0_i64;
            let mut length = start;
            while let Some(digit) = bytes.get(length).filter(|byte| byte.is_ascii_digit()) {
                value = value * 10 + i64::from(digit - b'0');
                length += 1;
                if length > start + 15 {
                    return count;
                }
            }
            let is_whole = bytes.get(length).is_some_and(|next| b",]) }\n".contains(next));
            if length == start || !is_whole {
                return count;
            }
            push(value);
            count += 1;
            self.at += length;
        }
    }

    /// A quoted text that is short, lies within the buffer and has nothing to unescape: passed with its quotes.
    #[inline]
    pub(super) fn short_text(&mut self) -> Option<&[u8]> {
        let inside = self.at + 1;
        let window = self.buffer.get(inside..self.end.min(inside + SHORT_BYTES))?;
        let length =
            window.iter().position(|byte| matches!(byte, b'"' | b'\\' | b'\n') || !byte.is_ascii())?;
        if window[length] != b'"' {
            return None;
        }
        self.at = inside + length + 1;
        Some(&self.buffer[inside..inside + length])
    }

    /// A name that is short and lies within the buffer, with what ends it: the name is passed.
    #[inline]
    pub(super) fn short_name(&mut self, is_part: impl Fn(u8) -> bool) -> Option<&[u8]> {
        let start = self.at;
        let window = self.buffer.get(start..self.end.min(start + SHORT_BYTES))?;
        let length = window.iter().position(|byte| !is_part(*byte) || !byte.is_ascii())?;
        if length == 0 || !window[length].is_ascii() {
            return None;
        }
        self.at = start + length;
        Some(&self.buffer[start..start + length])
    }

    /// Passes what is left of the line, without keeping it.
    pub(super) fn skip_line(&mut self) {
        while let Some(byte) = self.next() {
            if byte == b'\n' {
                return;
            }
        }
    }

    pub(super) fn line(&self) -> u32 {
        self.line
    }

    /// Says what is wrong here.
    pub(super) fn error(&self, message: impl Into<String>) -> ReadError {
        let column = self.before + self.at as u64 - self.line_start + 1;
        ReadError::Malformed { line: self.line, column, message: message.into() }
    }

    /// What ended the input, where that was no end of file.
    pub(super) fn finish(&mut self) -> Result<(), ReadError> {
        self.failure.take().map_or(Ok(()), |error| Err(ReadError::Io(error)))
    }

    #[cold]
    fn refill(&mut self) -> Option<u8> {
        if self.failure.is_some() {
            return None;
        }
        self.before += self.end as u64;
        (self.at, self.end) = (0, 0);
        loop {
            match self.input.read(&mut self.buffer) {
                Ok(0) => return None,
                Ok(count) => {
                    self.end = count;
                    return Some(self.buffer[0]);
                }
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.failure = Some(error);
                    return None;
                }
            }
        }
    }
}

/// Reads a whole number with an optional sign.
pub(super) fn int_field(source: &mut Source<'_>) -> Result<i64, ReadError> {
    let mut token = Vec::new();
    while source.peek() == Some(b' ') {
        source.bump();
    }
    source.take_while(&mut token, |byte| byte.is_ascii_digit() || byte == b'-')?;
    let number = std::str::from_utf8(&token).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| source.error("a whole number of 64 bits is expected here"))
}
