//! A history from a file of any size: blocks of whole lines, read by several threads while those before them are
//! paired, so that no more of the text lies in memory than what is being read.

use std::io::{self, Read};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use super::lines::{self, End, refuse};
use super::long_line::{Added, LongLine, Piece};
use super::packed::Chunk;
use super::packing::Packing;
use super::recorded::{HistoryError, Note, Recorded};
use super::{Header, History};

/// So much is read at a time: little enough to stay in a cache.
const BLOCK_BYTES: usize = 512 << 10;

/// So many blocks wait for each reader, so that none waits for a block.
const WAITING_EACH: usize = 2;

/// A longer line is refused. The final reads of a history lie on one line each: those of ten million events take
/// a few hundred MiB.
const LINE_BYTES_MAX: usize = 2 << 30;

/// Why a history could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The system refused.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// A line breaks a rule of the format.
    #[error(transparent)]
    Malformed(#[from] HistoryError),
}

impl History {
    /// Reads a history from a file, a block at a time. `length` is how long it is, in bytes, where that is known:
    /// memory for what it holds is then asked for once. A last line that was torn off by a crash is dropped with a
    /// note; bytes that are not UTF-8 are refused, except in such a line.
    ///
    /// Time and memory are linear in what it holds; of the text a few blocks for each core lie in memory.
    ///
    /// ```
    /// use crosscheck_models::history::History;
    ///
    /// let mut file = "{\"crosscheck\":1}\n".as_bytes();
    /// let (history, notes) = History::read(&mut file, None)?;
    /// assert!(history.is_empty() && notes.is_empty());
    /// # Ok::<(), crosscheck_models::history::ReadError>(())
    /// ```
    ///
    /// # Errors
    /// The first line that breaks a rule of the format, with the reason; or what the system says.
    pub fn read(input: &mut dyn Read, length: Option<u64>) -> Result<(History, Vec<Note>), ReadError> {
        History::read_in_blocks(input, length, BLOCK_BYTES)
    }

    fn read_in_blocks(
        input: &mut dyn Read,
        length: Option<u64>,
        block_bytes: usize,
    ) -> Result<(History, Vec<Note>), ReadError> {
        let mut blocks = Blocks {
            input,
            block_bytes,
            carry: Vec::new(),
            is_begun: false,
            long_line: None,
            is_over: false,
        };
        let first = blocks.first()?;
        let (header, start) = header(&first)?;
        let whole_bytes = length.unwrap_or_default().max(first.len() as u64);
        let mut taking = Taking { whole_bytes, ..Taking::default() };
        if blocks.is_over {
            taking.take(Block { bytes: first, start, ..Block::default() }.read())?;
        } else {
            taking.all(&mut blocks, Block { bytes: first, start, ..Block::default() })?;
        }
        let Taking { recorded, notes, .. } = taking;
        Ok((recorded.under(header), notes))
    }
}

/// The header, and where the line after it begins.
fn header(first: &[u8]) -> Result<(Header, usize), HistoryError> {
    let end = first.iter().position(|byte| *byte == b'\n').unwrap_or(first.len());
    let Ok(line) = std::str::from_utf8(&first[..end]) else {
        return refuse(1, "the line is not UTF-8");
    };
    Ok((lines::header(line)?, first.len().min(end + 1)))
}

/// A reader ends only when nobody sends any more, or by a panic, which is passed on.
const READER_WAITS: &str = "a reader waits for blocks for as long as there may be any";

/// A block on its way to the one who reads it, with room for packing. Both are used again and again: memory that is
/// new costs more than what is done with it.
#[derive(Default)]
struct Block {
    bytes: Vec<u8>,
    start: usize,
    packing: Packing,
    /// Set where the block is not of lines, but a piece of one.
    piece: Option<Piece>,
}

impl Block {
    fn read(mut self) -> Done {
        let bytes = &self.bytes[self.start..];
        let held = match &self.piece {
            None => {
                let end = lines::events(bytes, &mut self.packing);
                Held::Events(self.packing.seal(), end)
            }
            Some(piece) => Held::Piece(piece.read(bytes)),
        };
        Done { block: self, held }
    }
}

/// A block that was read, and what it holds.
struct Done {
    block: Block,
    held: Held,
}

enum Held {
    /// Events, and how the block ends.
    Events(Chunk, End),
    /// What a piece of a line adds, if it could be read.
    Piece(Option<Added>),
}

/// Who reads blocks: they come back in the order in which they were sent.
struct Reader {
    send: SyncSender<Block>,
    done: Receiver<Done>,
}

impl Reader {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>) -> Reader {
        let (send, blocks) = sync_channel::<Block>(WAITING_EACH);
        let (finished, done) = sync_channel(WAITING_EACH);
        scope.spawn(move || blocks.into_iter().all(|block| finished.send(block.read()).is_ok()));
        Reader { send, done }
    }
}

/// What has been taken from the blocks so far.
#[derive(Default)]
struct Taking {
    recorded: Recorded,
    notes: Vec<Note>,
    /// How long the text is, as far as is known.
    whole_bytes: u64,
    /// Blocks that were taken.
    spare: Vec<Block>,
    /// The line of which pieces come.
    long_line: Option<LongLine>,
}

impl Taking {
    /// Sends blocks to several readers in turn, and takes what comes back in the same turn.
    fn all(&mut self, blocks: &mut Blocks<'_>, first: Block) -> Result<(), ReadError> {
        thread::scope(|scope| {
            let cores = thread::available_parallelism().map_or(1, NonZero::get);
            let readers: Vec<Reader> = (0..cores).map(|_| Reader::start(scope)).collect();
            let mut next = Some(first);
            let (mut sent, mut taken) = (0, 0);
            loop {
                while sent - taken < cores * WAITING_EACH
                    && let Some(block) = next.take()
                {
                    readers[sent % cores].send.send(block).expect(READER_WAITS);
                    sent += 1;
                    next = blocks.next(self.spare.pop().unwrap_or_default())?;
                }
                if taken == sent {
                    return Ok(());
                }
                let done = readers[taken % cores].done.recv().expect(READER_WAITS);
                taken += 1;
                let block = self.take(done)?;
                if block.bytes.capacity() <= 4 * blocks.block_bytes {
                    self.spare.push(block);
                }
            }
        })
    }

    /// Takes a block, and gives back its room.
    fn take(&mut self, done: Done) -> Result<Block, HistoryError> {
        let Done { mut block, held } = done;
        match held {
            Held::Events(chunk, end) => {
                if self.recorded.is_empty() {
                    self.recorded.reserve(likely(chunk.len(), block.bytes.len(), self.whole_bytes));
                }
                self.take_events(chunk, end)?;
            }
            Held::Piece(added) => {
                let Block { bytes, start, piece, .. } = &mut block;
                if let Some(Piece { head, place }) = piece.take() {
                    let (before, rows) = bytes.split_at(*start);
                    self.long_line.get_or_insert_with(|| LongLine::new(head, before)).take(rows, added);
                    if place.is_last {
                        self.end_long_line()?;
                    }
                }
            }
        }
        Ok(block)
    }

    fn end_long_line(&mut self) -> Result<(), HistoryError> {
        let Some(line) = self.long_line.take() else {
            return Ok(());
        };
        let mut packing = Packing::default();
        let end = match line.finish() {
            Ok(event) => packing.push(event).map_or_else(End::Gap, |()| End::Whole),
            Err(end) => end,
        };
        self.take_events(packing.seal(), end)
    }

    fn take_events(&mut self, chunk: Chunk, end: End) -> Result<(), HistoryError> {
        self.recorded.take(chunk)?;
        // Every line before this one was an event, or it would have been refused.
        let line = self.recorded.next_line();
        match end {
            End::Whole => Ok(()),
            End::Torn => {
                self.notes.push(lines::torn(line));
                Ok(())
            }
            End::Gap(index) => self.recorded.gap(index),
            End::Refused(message) => refuse(line, &message),
        }
    }
}

/// How many events there will be, if the rest is like this.
fn likely(events: usize, bytes: usize, whole_bytes: u64) -> usize {
    let likely = u128::from(whole_bytes) * events as u128 / (bytes.max(1) as u128);
    usize::try_from(likely).unwrap_or_default().max(events)
}

/// Reads blocks of whole lines; only the last may end in a piece of one. A line of final reads that is longer than a
/// block comes in pieces.
struct Blocks<'a> {
    input: &'a mut dyn Read,
    /// So much is read at a time.
    block_bytes: usize,
    /// The beginning of a line, or of a piece of one, whose end has not been read.
    carry: Vec<u8>,
    /// The line of which pieces were read, and how long they were.
    long_line: Option<(Piece, usize)>,
    /// The first block was read. It begins with the header, which comes whole.
    is_begun: bool,
    is_over: bool,
}

impl Blocks<'_> {
    /// The first block.
    fn first(&mut self) -> Result<Vec<u8>, ReadError> {
        let first = self.next(Block::default())?;
        self.is_begun = true;
        Ok(first.map(|block| block.bytes).unwrap_or_default())
    }

    /// The next block, in the room of one that was taken.
    fn next(&mut self, mut room: Block) -> Result<Option<Block>, ReadError> {
        if self.is_over {
            return Ok(None);
        }
        let Block { bytes, start, piece, .. } = &mut room;
        (*start, *piece) = (0, None);
        bytes.clear();
        bytes.append(&mut self.carry);
        if let Some((long_line, length)) = self.long_line.take() {
            *piece = Some(self.next_piece(bytes, long_line, length)?);
            return Ok(Some(room));
        }
        // What was carried may hold lines, if it was left by the last piece of one.
        let mut searched = 0;
        loop {
            let is_all = self.read_on(bytes)?;
            if is_all {
                self.is_over = true;
                return Ok(Some(room).filter(|room| !room.bytes.is_empty()));
            }
            if let Some(end) = bytes[searched..].iter().rposition(|byte| *byte == b'\n') {
                self.cut(bytes, searched + end + 1);
                return Ok(Some(room));
            }
            if searched == 0
                && self.is_begun
                && let Some((first, at)) = Piece::first(bytes)
                && let Some(end) = Piece::end(&bytes[at..])
            {
                self.cut(bytes, at + end);
                let mut later = first.clone();
                later.place.is_first = false;
                self.long_line = Some((later, bytes.len()));
                (*start, *piece) = (at, Some(first));
                return Ok(Some(room));
            }
            searched = bytes.len();
            check_length(bytes.len())?;
        }
    }

    /// The next piece of a line of which so many bytes were read.
    fn next_piece(&mut self, bytes: &mut Vec<u8>, piece: Piece, length: usize) -> Result<Piece, ReadError> {
        let mut searched = 0;
        loop {
            let is_all = self.read_on(bytes)?;
            let end = bytes[searched..].iter().position(|byte| *byte == b'\n');
            if end.is_some() || is_all {
                match end {
                    Some(end) => self.cut(bytes, searched + end + 1),
                    None => self.is_over = true,
                }
                let Piece { head, mut place } = piece;
                place.is_last = true;
                return Ok(Piece { head, place });
            }
            check_length(length + bytes.len())?;
            // Only the end of what was searched before can begin what is looked for.
            let from = searched.saturating_sub(4);
            if let Some(end) = Piece::end(&bytes[from..]) {
                self.cut(bytes, from + end);
                self.long_line = Some((piece.clone(), length + bytes.len()));
                return Ok(piece);
            }
            searched = bytes.len();
        }
    }

    /// Reads as much as a block holds, and says whether that was all.
    fn read_on(&mut self, bytes: &mut Vec<u8>) -> io::Result<bool> {
        let read = (&mut *self.input).take(self.block_bytes as u64).read_to_end(bytes)?;
        Ok(read < self.block_bytes)
    }

    /// Keeps what lies behind the end of a block for the next one.
    fn cut(&mut self, bytes: &mut Vec<u8>, end: usize) {
        self.carry.extend_from_slice(&bytes[end..]);
        bytes.truncate(end);
    }
}

fn check_length(line_bytes: usize) -> io::Result<()> {
    if line_bytes > LINE_BYTES_MAX {
        let message = "a line of more than 2 GiB, which no history holds";
        return Err(io::Error::new(io::ErrorKind::InvalidData, message));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{Block, Blocks};
    use crate::history::{
        Deliver, Event, EventBody, Header, History, Kind, LedgerRow, Note, Process, Scalar, Text,
    };

    fn blocks(input: &mut &[u8], block_bytes: usize, mut each: impl FnMut(&Block)) {
        let mut blocks =
            Blocks { input, block_bytes, carry: Vec::new(), long_line: None, is_begun: true, is_over: false };
        while let Some(block) = blocks.next(Block::default()).expect("memory does not refuse") {
            each(&block);
        }
    }

    fn text(at: usize) -> Text {
        // Some of them look like the place between two rows.
        Text::from(["k", "w17", "},{\"key\":\"k", "a\"},{\"topic\":\"", "é", "\n"][at % 6])
    }

    fn value(at: usize) -> Scalar {
        match at % 5 {
            0 => Scalar::Null,
            1 | 2 => Scalar::Int(at as i64 - 3),
            3 => Scalar::Text(text(at / 5)),
            _ => Scalar::Json("[{\"a\":1},{\"key\":\"k\",\"op_id\":\"w\",\"ver\":1}]".into()),
        }
    }

    /// Final reads of so many rows; the numbers choose what lies in them.
    fn history(finals: &[(bool, Vec<usize>, bool)]) -> History {
        let event = |(index, (is_ledger, rows, has_error)): (usize, &(bool, Vec<usize>, bool))| {
            let ledger = |at: &usize| LedgerRow {
                key: text(*at),
                ver: *at as u64,
                op_id: text(at / 7),
                value: value(at / 11),
                commit: Some(3),
                ..LedgerRow::default()
            };
            let log = |at: &usize| Deliver { key: text(*at), value: value(at / 11), ..Deliver::default() };
            let body = match is_ledger {
                true => EventBody::FinalLedger(rows.iter().map(ledger).collect()),
                false => EventBody::FinalLog(rows.iter().map(log).collect()),
            };
            let error = has_error.then(|| Text::from("too late"));
            let process = Process::Actor(Text::from("harness"));
            Event { index: index as u64, time: 5, process, kind: Kind::Ok, body, error }
        };
        let events = finals.iter().enumerate().map(event).collect();
        History::from_events(Header { crosscheck: 1, ..Header::default() }, events)
            .expect("it keeps the rules")
    }

    fn read(text: &[u8], block_bytes: usize) -> Result<(History, Vec<Note>), String> {
        History::read_in_blocks(&mut &text[..], None, block_bytes).map_err(|error| error.to_string())
    }

    #[test]
    fn a_line_that_is_longer_than_a_block_comes_in_pieces() {
        let history =
            history(&[(true, vec![0; 100], false), (false, vec![0; 9], true), (true, vec![7], false)]);
        let text = history.to_text();
        let lines = text.split_once('\n').expect("the header is a line").1;
        let (mut pieces, mut joined) = (Vec::new(), Vec::new());
        blocks(&mut lines.as_bytes(), 256, |block| {
            pieces.push(block.piece.as_ref().map(|piece| (piece.head.index, piece.place.is_last)));
            joined.extend_from_slice(&block.bytes);
        });
        assert_eq!(joined, lines.as_bytes());
        assert_eq!(pieces.iter().filter(|piece| **piece == Some((0, true))).count(), 1);
        assert!(pieces.iter().filter(|piece| **piece == Some((0, false))).count() > 10, "{pieces:?}");
        assert!(pieces.contains(&Some((1, true))) && pieces.ends_with(&[None]), "{pieces:?}");
    }

    /// What is put into a text to damage it.
    const PUT: [&[u8]; 13] = [
        b"",
        b"}",
        b"},{\"",
        b",",
        b"]",
        b"\"",
        b"\n",
        b"\xc3",
        b" ",
        b"99999999999999999999",
        b",\"ver\":2",
        b"1",
        b"\\",
    ];

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]

        /// Whatever is done to the text, and however it is cut: all is read, or refused, as at once.
        #[test]
        fn pieces_are_read_as_the_line(
            finals in proptest::collection::vec(
                (any::<bool>(), proptest::collection::vec(0..1000_usize, 0..30), any::<bool>()), 0..4),
            is_plain in any::<bool>(),
            block_bytes in 100..500_usize,
            at in any::<prop::sample::Index>(),
            cut in 0..3_usize,
            put in prop::sample::select(PUT.to_vec()),
            is_torn in any::<bool>(),
        ) {
            let plain = |rows: &[usize]| rows.iter().map(|at| at % 2).collect();
            let finals: Vec<_> = finals
                .into_iter()
                .map(|(is_ledger, rows, has_error)| (is_ledger, if is_plain { plain(&rows) } else { rows }, has_error))
                .collect();
            let mut text = history(&finals).to_text().into_bytes();
            let whole = read(&text, 1 << 20);
            prop_assert_eq!(&read(&text, block_bytes), &whole);
            prop_assert_eq!(whole.map(|(read, _)| read), Ok(history(&finals)));
            let from = at.index(text.len());
            let to = (from + cut).min(text.len());
            text.splice(from..to, put.iter().copied());
            prop_assert_eq!(read(&text, block_bytes), read(&text, 1 << 20));
            if is_torn {
                text.truncate(from + put.len());
                prop_assert_eq!(read(&text, block_bytes), read(&text, 1 << 20));
            }
        }
    }
}
