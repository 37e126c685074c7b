//! A history from a file of any size: blocks of whole lines, read by several threads while those before them are
//! paired, so that no more of the text lies in memory than what is being read.

use std::io::{self, Read};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use super::lines::{self, End, refuse};
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
        let mut blocks = Blocks { input, carry: Vec::new(), is_over: false };
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
}

impl Block {
    fn read(mut self) -> Done {
        let end = lines::events(&self.bytes[self.start..], &mut self.packing);
        Done { chunk: self.packing.seal(), block: self, end }
    }
}

/// A block that was read, its events, and how it ends.
struct Done {
    block: Block,
    chunk: Chunk,
    end: End,
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
        scope.spawn(move || blocks.into_iter().try_for_each(|block| finished.send(block.read())));
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
                if block.bytes.capacity() <= 4 * BLOCK_BYTES {
                    self.spare.push(block);
                }
            }
        })
    }

    /// Takes a block, and gives back its room.
    fn take(&mut self, done: Done) -> Result<Block, HistoryError> {
        let Done { block, chunk, end } = done;
        if self.recorded.is_empty() {
            self.recorded.reserve(likely(chunk.len(), block.bytes.len(), self.whole_bytes));
        }
        self.recorded.take(chunk)?;
        // Every line before this one was an event, or it would have been refused.
        let line = self.recorded.next_line();
        match end {
            End::Whole => Ok(block),
            End::Torn => {
                self.notes.push(lines::torn(line));
                Ok(block)
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

/// Reads blocks of whole lines; only the last may end in a piece of one.
struct Blocks<'a> {
    input: &'a mut dyn Read,
    /// The beginning of a line whose end has not been read.
    carry: Vec<u8>,
    is_over: bool,
}

impl Blocks<'_> {
    /// The first block.
    fn first(&mut self) -> Result<Vec<u8>, ReadError> {
        Ok(self.next(Block::default())?.map(|block| block.bytes).unwrap_or_default())
    }

    /// The next block, in the room of one that was taken.
    fn next(&mut self, mut room: Block) -> Result<Option<Block>, ReadError> {
        if self.is_over {
            return Ok(None);
        }
        let Block { bytes, start, .. } = &mut room;
        *start = 0;
        bytes.clear();
        bytes.append(&mut self.carry);
        loop {
            let before = bytes.len();
            let read = (&mut *self.input).take(BLOCK_BYTES as u64).read_to_end(bytes)?;
            if read < BLOCK_BYTES {
                self.is_over = true;
                return Ok(Some(room).filter(|room| !room.bytes.is_empty()));
            }
            if let Some(end) = bytes[before..].iter().rposition(|byte| *byte == b'\n') {
                self.carry.extend_from_slice(&bytes[before + end + 1..]);
                bytes.truncate(before + end + 1);
                return Ok(Some(room));
            }
            if bytes.len() > LINE_BYTES_MAX {
                let message = "a line of more than 2 GiB, which no history holds";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message).into());
            }
        }
    }
}
