//! A line of final reads that is longer than a block: several threads read its pieces, each of them whole rows as
//! Crosscheck writes them. From the first piece on that looks otherwise the rest is read as one.

use super::canonical::{self, Place};
use super::lines::{self, End};
use super::{Event, EventBody, Text};

/// Where one row of a piece ends and the next begins; such a text may also lie within a value, and then the piece
/// that ends there is none.
const BETWEEN_ROWS: &[u8] = b"},{\"";

/// A piece of a line of final reads.
#[derive(Clone)]
pub(super) struct Piece {
    /// The event, without its rows.
    pub(super) head: Event,
    pub(super) place: Place,
}

/// What a piece adds to its event: rows, and an error if it is the last and has one.
pub(super) type Added = (EventBody, Option<Text>);

impl Piece {
    /// The piece that these bytes begin with, and where its rows begin.
    pub(super) fn first(bytes: &[u8]) -> Option<(Piece, usize)> {
        let (head, start) = canonical::head_of_rows(bytes)?;
        Some((Piece { head, place: Place { is_first: true, is_last: false } }, start))
    }

    /// Where a piece of these bytes can end.
    pub(super) fn end(bytes: &[u8]) -> Option<usize> {
        bytes.windows(BETWEEN_ROWS.len()).rposition(|found| found == BETWEEN_ROWS).map(|at| at + 1)
    }

    pub(super) fn read(&self, bytes: &[u8]) -> Option<Added> {
        let text = std::str::from_utf8(bytes).ok()?;
        let text = text.strip_suffix('\n').unwrap_or(text);
        canonical::piece(text, &self.head.body, self.place)
    }
}

/// A line of which pieces were taken.
pub(super) struct LongLine {
    event: Event,
    /// The text up to the rows.
    start: Vec<u8>,
    /// How much of the line was read as rows.
    read_bytes: usize,
    /// The line again without what was read, if not all can be read in pieces.
    unread: Vec<u8>,
    left_out: usize,
}

impl LongLine {
    pub(super) fn new(head: Event, start: &[u8]) -> LongLine {
        let read_bytes = start.len();
        LongLine { event: head, start: start.to_vec(), read_bytes, unread: Vec::new(), left_out: 0 }
    }

    /// Takes the next piece, without the text up to the rows.
    pub(super) fn take(&mut self, bytes: &[u8], added: Option<Added>) {
        match added {
            Some((rows, error)) if self.unread.is_empty() => {
                append(&mut self.event.body, rows);
                self.event.error = error;
                self.read_bytes += bytes.len();
            }
            _ if self.unread.is_empty() => {
                // Behind other rows a piece begins with a comma.
                let comma = usize::from(bytes.first() == Some(&b','));
                self.unread.append(&mut self.start);
                self.left_out = self.read_bytes + comma - self.unread.len();
                self.unread.extend_from_slice(&bytes[comma..]);
            }
            _ => self.unread.extend_from_slice(bytes),
        }
    }

    /// The event, once all pieces were taken.
    pub(super) fn finish(mut self) -> Result<Event, End> {
        if self.unread.is_empty() {
            return Ok(self.event);
        }
        let rest = lines::line(&self.unread, self.left_out)?;
        append(&mut self.event.body, rest.body);
        self.event.error = rest.error;
        Ok(self.event)
    }
}

/// The rows of a line are all of one kind.
fn append(rows: &mut EventBody, added: EventBody) {
    match (rows, added) {
        (EventBody::FinalLedger(rows), EventBody::FinalLedger(mut added)) => rows.append(&mut added),
        (EventBody::FinalLog(rows), EventBody::FinalLog(mut added)) => rows.append(&mut added),
        _ => {}
    }
}
