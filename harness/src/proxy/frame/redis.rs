//! Commands in what a Redis client sends: arrays of bulk strings, or words on a line (Redis serialization
//! protocol specification, "Sending commands to a Redis server" and "Inline commands").

use super::Piece;

/// How many words of a command are told, and how much of each.
const WORDS: usize = 3;
const KEEP: usize = 64;

/// The longest line; Redis itself takes no more (`PROTO_INLINE_MAX_SIZE`).
const LINE_MAX: usize = 64 * 1024;

/// Reads one connection.
#[derive(Debug, Default)]
pub(in crate::proxy) struct Reader {
    state: State,
    /// How many words of the command are still to come.
    left: usize,
    words: Vec<String>,
}

#[derive(Debug)]
enum State {
    Line(Vec<u8>),
    Word(usize, Piece),
    /// It is not Redis' protocol.
    Blind,
}

impl Default for State {
    fn default() -> Self {
        State::Line(Vec::new())
    }
}

impl Reader {
    pub(super) fn read(&mut self, mut bytes: &[u8], request: &mut dyn FnMut(&str)) {
        while !bytes.is_empty() {
            match &mut self.state {
                State::Blind => return,
                State::Line(line) => match bytes.iter().position(|byte| *byte == b'\n') {
                    None if line.len() + bytes.len() > LINE_MAX => self.state = State::Blind,
                    None => {
                        line.extend_from_slice(bytes);
                        return;
                    }
                    Some(end) if line.len() + end > LINE_MAX => self.state = State::Blind,
                    Some(end) => {
                        line.extend_from_slice(&bytes[..end]);
                        bytes = &bytes[end + 1..];
                        let line = String::from_utf8_lossy(line).trim_end().to_owned();
                        self.state = self.line(&line, request);
                    }
                },
                State::Word(len, piece) => {
                    bytes = piece.take(bytes);
                    if piece.is_whole() {
                        let kept = &piece.kept[..piece.kept.len().min(*len)];
                        let word = String::from_utf8_lossy(kept).into_owned();
                        self.state = State::default();
                        self.word(word, request);
                    }
                }
            }
        }
    }

    fn line(&mut self, line: &str, request: &mut dyn FnMut(&str)) -> State {
        let number = |rest: &str| rest.parse::<i64>().ok();
        if self.left > 0 {
            let len = line.strip_prefix('$').and_then(number).and_then(|len| usize::try_from(len).ok());
            return match len {
                Some(len) if len <= 1 << 30 => State::Word(len, Piece::of(len + 2, KEEP)),
                _ => State::Blind,
            };
        }
        match line.strip_prefix('*') {
            Some(rest) => match number(rest) {
                Some(words) => self.left = usize::try_from(words).unwrap_or(0),
                None => return State::Blind,
            },
            None if !line.is_empty() => request(line),
            None => {}
        }
        State::default()
    }

    fn word(&mut self, word: String, request: &mut dyn FnMut(&str)) {
        self.left -= 1;
        if self.words.len() < WORDS {
            self.words.push(word);
        }
        if self.left == 0 {
            request(&std::mem::take(&mut self.words).join(" "));
        }
    }
}
