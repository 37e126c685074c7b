//! The lines of a history: its header, and its events, read by several threads where there are many.

use std::num::NonZero;
use std::panic::resume_unwind;
use std::thread;

use super::recorded::{FORMAT_VERSION, HistoryError, Note};
use super::{Event, Header};

/// Below this a text is read by one thread: starting others costs more than they save.
const CHUNK_BYTES_MIN: usize = 1 << 20;

/// Reads the header, and gives the rest of the text.
pub(super) fn header(text: &str) -> Result<(Header, &str), HistoryError> {
    if text.is_empty() {
        return refuse(1, "the history is empty: its first line must be a header like {\"crosscheck\":1}");
    }
    let (line, rest) = text.split_once('\n').unwrap_or((text, ""));
    let header: Header = match serde_json::from_str(line) {
        Ok(header) => header,
        Err(error) => {
            let reason = without_line(&error);
            return refuse(1, &format!("not a header like {{\"crosscheck\":1}}: {reason}"));
        }
    };
    check_version(&header)?;
    Ok((header, rest))
}

/// Refuses the formats that this crate does not know.
pub(super) fn check_version(header: &Header) -> Result<(), HistoryError> {
    match header.crosscheck {
        FORMAT_VERSION => Ok(()),
        version => {
            let message =
                format!("format version {version} is not supported: this reads version {FORMAT_VERSION}");
            refuse(1, &message)
        }
    }
}

/// Reads the lines after the header. A torn last line is dropped with a note.
pub(super) fn events(text: &str) -> Result<(Vec<Event>, Vec<Note>), HistoryError> {
    let threads = thread::available_parallelism().map_or(1, NonZero::get);
    let chunks = chunks(text, threads.min(text.len() / CHUNK_BYTES_MIN).max(1));
    let mut parts: Vec<Chunk> = match chunks[..] {
        [whole] => vec![read_chunk(whole)],
        _ => thread::scope(|scope| {
            let started: Vec<_> = chunks.iter().map(|chunk| scope.spawn(|| read_chunk(chunk))).collect();
            let joined =
                started.into_iter().map(|part| part.join().unwrap_or_else(|panic| resume_unwind(panic)));
            joined.collect()
        }),
    };
    let (mut events, mut notes) = (Vec::new(), Vec::new());
    for part in &mut parts {
        // Every line before this part was an event, or it would have been refused.
        let line = events.len() + part.events.len() + 2;
        if events.is_empty() {
            events = std::mem::take(&mut part.events)
        } else {
            events.append(&mut part.events)
        }
        match part.end.take() {
            End::Whole => {}
            End::Torn => notes.push(torn(line)),
            End::Refused(message) => return refuse(line, &message),
        }
    }
    Ok((events, notes))
}

/// The note on a dropped line.
pub(super) fn torn(line: usize) -> Note {
    Note { line, message: "the last line is torn off and was dropped".to_owned() }
}

/// The error at a line.
pub(super) fn refuse<T>(line: usize, message: &str) -> Result<T, HistoryError> {
    Err(HistoryError { line, message: message.to_owned() })
}

/// The events of a part of the text, up to the first line that is none.
struct Chunk {
    events: Vec<Event>,
    end: End,
}

/// Why a part ends.
#[derive(Default)]
enum End {
    #[default]
    Whole,
    Torn,
    Refused(String),
}

impl End {
    fn take(&mut self) -> End {
        std::mem::take(self)
    }
}

/// Cuts a text into about so many parts, each of whole lines.
fn chunks(text: &str, count: usize) -> Vec<&str> {
    let mut chunks = Vec::with_capacity(count);
    let mut rest = text;
    for left in (2..=count).rev() {
        let at = rest.len() / left;
        let Some(end) = rest.as_bytes()[at..].iter().position(|byte| *byte == b'\n') else {
            break;
        };
        let (chunk, later) = rest.split_at(at + end + 1);
        chunks.push(chunk);
        rest = later;
    }
    chunks.push(rest);
    chunks
}

fn read_chunk(text: &str) -> Chunk {
    let mut chunk = Chunk { events: Vec::with_capacity(text.len() / 150), end: End::Whole };
    let mut rest = text;
    while !rest.is_empty() {
        let (line, later, is_whole) = match rest.split_once('\n') {
            Some((line, later)) => (line, later, true),
            None => (rest, "", false),
        };
        rest = later;
        match serde_json::from_str::<Event>(line) {
            Ok(event) => chunk.events.push(event),
            Err(error) => {
                chunk.end = end_at(line, is_whole, &error);
                break;
            }
        }
    }
    chunk
}

fn end_at(line: &str, is_whole: bool, error: &serde_json::Error) -> End {
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
    if !is_whole && !is_json() {
        End::Torn
    } else if line.trim().is_empty() {
        End::Refused("the line is blank".to_owned())
    } else {
        End::Refused(without_line(error))
    }
}

/// The error as a column of its line: it was parsed line by line, so its own "line 1" would mislead.
fn without_line(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(reason) => format!("{reason} (column {})", error.column()),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use super::{chunks, events};

    #[test]
    fn chunks_are_whole_lines_and_lose_nothing() {
        let text = "a\nbb\n\nccc\nd";
        for count in 1..10 {
            let parts = chunks(text, count);
            assert_eq!(parts.concat(), text);
            assert!(parts[..parts.len() - 1].iter().all(|part| part.ends_with('\n')), "{parts:?}");
        }
    }

    #[test]
    fn a_bad_line_is_numbered_the_same_whoever_reads_it() {
        let line = |index: usize| {
            format!(
                "{{\"index\":{index},\"time\":{index},\"process\":\"c\",\"type\":\"ok\",\"f\":\"final_sot\",\"value\":[]}}\n"
            )
        };
        let many = 40_000;
        let mut text: String = (0..many).map(line).collect();
        assert!(text.len() > 3 * super::CHUNK_BYTES_MIN, "it takes several threads");
        assert_eq!(events(&text).map(|(events, _)| events.len()), Ok(many));
        text.push_str("{}\n");
        text.push_str(&line(many + 1));
        assert_eq!(events(&text).map(|_| ()).map_err(|error| error.line), Err(many + 2));
    }
}
