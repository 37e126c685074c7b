//! Statements in what a PostgreSQL client sends (PostgreSQL 17, chapter 53.7 "Message Formats").

use std::collections::HashMap;

use super::Piece;

/// How much of a message is looked at; a longer statement is told by its beginning.
const KEEP: usize = 4096;

/// How many prepared statements and portals are known by name; clients have far fewer.
const NAMES_MAX: usize = 10_000;

const SSL_REQUEST: u32 = 80_877_103;
const GSS_REQUEST: u32 = 80_877_104;

/// Reads one connection.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Reader {
    state: State,
    head: Vec<u8>,
    statements: HashMap<String, String>,
    portals: HashMap<String, String>,
}

#[derive(Debug, Default)]
enum State {
    /// Before the startup message, which has no type.
    #[default]
    Startup,
    StartupBody(Piece),
    Head,
    Body(u8, Piece),
    /// It is not PostgreSQL's protocol, or it is encrypted.
    Blind,
}

impl Reader {
    pub(super) fn read(&mut self, mut bytes: &[u8], request: &mut dyn FnMut(&str)) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Blind => return,
                State::Startup => {
                    bytes = self.fill_head(bytes, 4);
                    if let Some(len) = self.body_len(0) {
                        self.state = State::StartupBody(Piece::of(len, 4));
                    }
                }
                State::Head => {
                    bytes = self.fill_head(bytes, 5);
                    let kind = self.head.first().copied();
                    if let (Some(kind), Some(len)) = (kind, self.body_len(1)) {
                        self.state = State::Body(kind, Piece::of(len, KEEP));
                    }
                }
                State::StartupBody(piece) | State::Body(_, piece) => bytes = piece.take(bytes),
            }
            self.end_whole(request);
        }
    }

    fn fill_head<'b>(&mut self, bytes: &'b [u8], len: usize) -> &'b [u8] {
        let (own, rest) = bytes.split_at((len - self.head.len()).min(bytes.len()));
        self.head.extend_from_slice(own);
        rest
    }

    /// The length of what follows a whole head, which counts itself; the head is done with then.
    fn body_len(&mut self, from: usize) -> Option<usize> {
        let len = self.head.get(from..from + 4)?;
        let len = u32::from_be_bytes(len.try_into().ok()?);
        self.head.clear();
        match len.checked_sub(4) {
            // The largest startup message is 10000 bytes, the largest other one 1 GB.
            Some(len) if len < if from == 0 { 10_000 } else { 1 << 30 } => usize::try_from(len).ok(),
            _ => {
                self.state = State::Blind;
                None
            }
        }
    }

    fn end_whole(&mut self, request: &mut dyn FnMut(&str)) {
        match &mut self.state {
            State::StartupBody(piece) if piece.is_whole() => {
                let code: Option<[u8; 4]> = piece.kept.as_slice().try_into().ok();
                self.state = match code.map(u32::from_be_bytes) {
                    // It is followed by another startup message, or by bytes that cannot be read.
                    Some(SSL_REQUEST | GSS_REQUEST) => State::Startup,
                    Some(_) => State::Head,
                    None => State::Blind,
                };
            }
            State::Body(kind, piece) if piece.is_whole() => {
                let (kind, body) = (*kind, std::mem::take(&mut piece.kept));
                self.state = State::Head;
                self.message(kind, &body, request);
            }
            _ => {}
        }
    }

    fn message(&mut self, kind: u8, body: &[u8], request: &mut dyn FnMut(&str)) {
        let mut words = body.split(|byte| *byte == 0).map(|word| String::from_utf8_lossy(word).into_owned());
        let mut word = || words.next().unwrap_or_default();
        match kind {
            b'Q' => statements(&word()).for_each(request),
            b'P' => {
                let (name, sql) = (word(), word());
                remember(&mut self.statements, name, sql);
            }
            b'B' => {
                let (portal, statement) = (word(), word());
                if let Some(sql) = self.statements.get(&statement).cloned() {
                    remember(&mut self.portals, portal, sql);
                }
            }
            b'E' => {
                if let Some(sql) = self.portals.get(&word()) {
                    request(sql.trim());
                }
            }
            b'C' => {
                let named = word();
                match named.split_at_checked(1) {
                    Some(("S", name)) => drop(self.statements.remove(name)),
                    Some(("P", name)) => drop(self.portals.remove(name)),
                    _ => {}
                }
            }
            _ => {}
        }
    }
}

fn remember(names: &mut HashMap<String, String>, name: String, sql: String) {
    if names.len() < NAMES_MAX || names.contains_key(&name) {
        names.insert(name, sql);
    }
}

/// The statements of a text, which semicolons outside of quotes separate.
fn statements(text: &str) -> impl Iterator<Item = &str> {
    let mut quote = None;
    let parts = text.split(move |letter| {
        match (quote, letter) {
            (None, '\'' | '"') => quote = Some(letter),
            (Some(open), letter) if letter == open => quote = None,
            _ => {}
        }
        quote.is_none() && letter == ';'
    });
    parts.map(str::trim).filter(|statement| !statement.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_of_several_statements_is_told_one_by_one() {
        let told: Vec<&str> = statements("BEGIN; INSERT INTO t VALUES ('a;b');\n COMMIT ;").collect();
        assert_eq!(told, ["BEGIN", "INSERT INTO t VALUES ('a;b')", "COMMIT"]);
    }

    #[test]
    fn an_encrypted_connection_is_not_seen() {
        let mut reader = Reader::default();
        let mut told = Vec::new();
        let hello = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3];
        reader.read(&hello, &mut |text| told.push(text.to_owned()));
        assert!(told.is_empty() && matches!(reader.state, State::Blind));
    }
}
