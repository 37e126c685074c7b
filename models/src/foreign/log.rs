//! The lines that `jepsen.util` logs: `INFO  jepsen.util - 0<TAB>:invoke<TAB>:read<TAB>nil`.
//!
//! Lines of others in between are passed over. The time of an operation is not taken: the order of the lines is.

use super::ReadError;
use super::form::{Notation, Reader, is_name_byte};
use super::op::{Op, OpKind};
use super::source::Source;
use super::value::{Spelling, Store, Word};

const LINE_BYTES_MAX: usize = 16 << 20;

pub(super) fn read(mut source: Source<'_>) -> Result<(Store, Vec<Op>), ReadError> {
    let (mut store, mut ops) = (Store::default(), Vec::new());
    let mut line = Vec::new();
    while source.peek().is_some() {
        let number = source.line();
        line.clear();
        while let Some(byte) = source.next().filter(|byte| *byte != b'\n') {
            if line.len() == LINE_BYTES_MAX {
                return Err(source.error("a line of more than 16 MiB: no log has one"));
            }
            line.push(byte);
        }
        if let Some(text) = after_logger(&line) {
            let op = operation(text, &mut store).map_err(|message| ReadError::Malformed {
                line: number,
                column: (line.len() - text.len()) as u64 + 1,
                message,
            })?;
            ops.extend(op.map(|op| Op { index: ops.len() as i64, line: number, ..op }));
        }
    }
    source.finish()?;
    Ok((store, ops))
}

/// What the logger says, where it is Jepsen's.
fn after_logger(line: &[u8]) -> Option<&[u8]> {
    const LOGGER: &[u8] = b"jepsen.util";
    let at = line.windows(LOGGER.len()).position(|window| window == LOGGER)?;
    let rest = line[at + LOGGER.len()..].trim_ascii_start();
    Some(rest.strip_prefix(b"-").unwrap_or(rest).trim_ascii_start())
}

/// Reads process, type, f and value; whatever follows is the error. Other messages of the logger are none.
fn operation(text: &[u8], store: &mut Store) -> Result<Option<Op>, String> {
    let mut words = text.splitn(4, |byte| byte.is_ascii_whitespace());
    let (Some(process), Some(kind), Some(f)) = (words.next(), words.next(), words.next()) else {
        return Ok(None);
    };
    let rest = words.next().unwrap_or(b"nil");
    let Some(kind) =
        kind.strip_prefix(b":").and_then(|name| std::str::from_utf8(name).ok()).and_then(OpKind::of)
    else {
        return Ok(None);
    };
    let (process, f) = (name(process, store)?, name(f, store)?);
    let value = store.mark() as u32;
    let mut rest = if rest.trim_ascii().is_empty() { b"nil" } else { rest };
    let length = rest.len();
    let mut reader = Reader::new(Source::with_buffer(&mut rest, length), Notation::Edn);
    match reader.value(store) {
        Ok(()) => Ok(Some(Op { index: 0, time: None, process, f, value, line: 0, kind })),
        Err(ReadError::Malformed { message, .. }) => Err(message),
        Err(ReadError::Io(error)) => Err(error.to_string()),
    }
}

fn name(text: &[u8], store: &mut Store) -> Result<Word, String> {
    let text = std::str::from_utf8(text).map_err(|_| "this is not UTF-8".to_owned())?;
    if let Ok(number) = text.parse() {
        return Ok(store.intern_int(number));
    }
    let name = text.strip_prefix(':').unwrap_or(text);
    let is_name = !name.is_empty() && name.bytes().all(is_name_byte);
    Ok(store.intern(if is_name { Spelling::Name } else { Spelling::Text }, name))
}
