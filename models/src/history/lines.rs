//! The lines of a history: its header, and its events.

use super::packing::Packing;
use super::recorded::{FORMAT_VERSION, HistoryError, Note};
use super::{Event, Header, canonical};

/// Reads the line of the header.
pub(super) fn header(line: &str) -> Result<Header, HistoryError> {
    if line.is_empty() {
        return refuse(1, "the history is empty: its first line must be a header like {\"crosscheck\":1}");
    }
    let header: Header = match serde_json::from_str(line) {
        Ok(header) => header,
        Err(error) => {
            let reason = without_line(&error, 0);
            return refuse(1, &format!("not a header like {{\"crosscheck\":1}}: {reason}"));
        }
    };
    check_version(&header)?;
    Ok(header)
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

/// The note on a dropped line.
pub(super) fn torn(line: usize) -> Note {
    Note { line, message: "the last line is torn off and was dropped".to_owned() }
}

/// The error at a line.
pub(super) fn refuse<T>(line: usize, message: &str) -> Result<T, HistoryError> {
    Err(HistoryError { line, message: message.to_owned() })
}

/// Why a part ends.
pub(super) enum End {
    Whole,
    Torn,
    /// The next event bears this index, which does not come next.
    Gap(u64),
    Refused(String),
}

/// Packs lines of events, up to the first line that is none or does not come next. Only the last part of a text may end in a piece of one.
pub(super) fn events(bytes: &[u8], packing: &mut Packing) -> End {
    let (text, end) = match std::str::from_utf8(bytes) {
        Ok(text) => (text, End::Whole),
        Err(error) => valid_lines(bytes, error.valid_up_to()),
    };
    let mut rest = text;
    while !rest.is_empty() {
        let event = match canonical::event(rest) {
            Some((event, later)) => {
                rest = later;
                event
            }
            None => {
                let (line, later, is_whole) = match rest.split_once('\n') {
                    Some((line, later)) => (line, later, true),
                    None => (rest, "", false),
                };
                rest = later;
                match serde_json::from_str::<Event>(line) {
                    Ok(event) => event,
                    Err(error) => return end_at(line, is_whole, &error, 0),
                }
            }
        };
        if let Err(index) = packing.push(event) {
            return End::Gap(index);
        }
    }
    end
}

/// Reads one line, the last in which a piece may be missing. So many bytes of it were left out: that changes nothing
/// but the column of an error.
pub(super) fn line(bytes: &[u8], left_out: usize) -> Result<Event, End> {
    let text = std::str::from_utf8(bytes).map_err(|error| valid_lines(bytes, error.valid_up_to()).1)?;
    let (line, is_whole) = text.strip_suffix('\n').map_or((text, false), |line| (line, true));
    serde_json::from_str(line).map_err(|error| end_at(line, is_whole, &error, left_out))
}

/// The lines before the one that is not UTF-8. A piece of a line may have been cut within a letter.
fn valid_lines(bytes: &[u8], valid_up_to: usize) -> (&str, End) {
    let line_start = bytes[..valid_up_to].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let text = std::str::from_utf8(&bytes[..line_start]).unwrap_or_default();
    let is_whole = bytes[valid_up_to..].contains(&b'\n');
    (text, if is_whole { End::Refused("the line is not UTF-8".to_owned()) } else { End::Torn })
}

fn end_at(line: &str, is_whole: bool, error: &serde_json::Error, left_out: usize) -> End {
    let is_json = || serde_json::from_str::<serde::de::IgnoredAny>(line).is_ok();
    if !is_whole && !is_json() {
        End::Torn
    } else if line.trim().is_empty() {
        End::Refused("the line is blank".to_owned())
    } else {
        End::Refused(without_line(error, left_out))
    }
}

/// The error as a column of its line: it was parsed line by line, so its own "line 1" would mislead.
fn without_line(error: &serde_json::Error, left_out: usize) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(reason) => format!("{reason} (column {})", error.column() + left_out),
        None => text,
    }
}
