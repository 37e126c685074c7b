//! Operations that stand one a line, read by several threads: a block of whole lines each.
//!
//! Whether a block begins where an operation may begin, only those before it can say: each of them has to end where
//! one ends. Where a block is found that does not, all from there on is read as it comes, by one reader: an operation
//! over several lines, a text with a line feed in it, one vector around everything, or what breaks the format.

use std::io::{self, Cursor, Read};
use std::num::NonZero;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, Scope};

use super::ReadError;
use super::form::{Notation, Reader as Forms};
use super::op::{Op, OpReader, Stamped};
use super::source::Source;
use super::value::Store;

/// So much is read at a time. Tests have many blocks in a short text.
const BLOCK_BYTES: usize = if cfg!(test) { 4 << 10 } else { 512 << 10 };

/// So many blocks wait for each reader, so that none waits for a block.
const WAITING_EACH: usize = 2;

/// The rest may be a little longer than the beginning lets expect. Memory that is not touched costs nothing.
const MORE: f64 = 1.15;

/// A line of more blocks is read as it comes.
const BLOCKS_A_LINE_MAX: usize = 32;

/// Reads all operations.
pub(super) fn read(
    input: &mut dyn Read,
    notation: Notation,
    length: Option<u64>,
) -> Result<(Store, Vec<Op>, Stamped), ReadError> {
    let mut lines = Lines { input, carry: Vec::new(), is_over: false };
    let first = lines.next()?;
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    let begins = first.iter().find(|byte| !byte.is_ascii_whitespace());
    let mut taken = Taken { store: Store::default(), ops: Vec::new(), stamped: Vec::new(), line: 1, length };
    let rest = if lines.is_over || cores == 1 || begins != Some(&b'{') {
        first
    } else {
        match thread::scope(|scope| taken.all(&mut lines, first, notation, cores, scope))? {
            Some(rest) => rest,
            None => return Ok((taken.store, taken.ops, taken.stamped)),
        }
    };
    let Lines { input, carry, .. } = lines;
    let mut input = Cursor::new(rest).chain(Cursor::new(carry)).chain(input);
    let source = Source::from_line(&mut input, taken.line);
    OpReader::going_on(Forms::new(source, notation), taken.store, taken.ops, taken.stamped).finish()
}

/// A reader ends only when nobody sends any more, or by a panic, which is passed on.
const READER_WAITS: &str = "a reader waits for blocks for as long as there may be any";

/// What stands in one block.
struct Part {
    store: Store,
    ops: Vec<Op>,
    /// The places of those to which the file gives no index.
    unindexed: Vec<usize>,
    stamped: Stamped,
    /// How many lines it has.
    lines: u32,
}

/// A block, and what stands in it; nothing if it is not one of whole operations.
struct Done {
    bytes: Vec<u8>,
    part: Option<Part>,
}

fn read_block(bytes: Vec<u8>, notation: Notation) -> Done {
    let mut nothing = io::empty();
    let mut reader = OpReader::new(Forms::new(Source::of_block(bytes, &mut nothing), notation));
    let is_whole = reader.lines().is_ok();
    let OpReader { forms, store, ops, unindexed, stamped } = reader;
    let lines = forms.source.line() - 1;
    Done {
        bytes: forms.source.into_block(),
        part: is_whole.then_some(Part { store, ops, unindexed, stamped, lines }),
    }
}

/// Who reads blocks: they come back in the order in which they were sent.
struct BlockReader {
    send: SyncSender<Vec<u8>>,
    done: Receiver<Box<Done>>,
}

impl BlockReader {
    fn start<'scope>(scope: &'scope Scope<'scope, '_>, notation: Notation) -> BlockReader {
        let (send, blocks) = sync_channel::<Vec<u8>>(WAITING_EACH);
        let (finished, done) = sync_channel(WAITING_EACH);
        let read = move |bytes| finished.send(Box::new(read_block(bytes, notation))).is_ok();
        scope.spawn(move || blocks.into_iter().all(read));
        BlockReader { send, done }
    }
}

/// What has been taken from the blocks so far.
struct Taken {
    store: Store,
    ops: Vec<Op>,
    stamped: Stamped,
    /// The line at which the next block begins.
    line: u32,
    /// How long the text is, where that is known.
    length: Option<u64>,
}

impl Taken {
    /// Sends blocks to several readers in turn, and takes what comes back in the same turn. Gives back the text from
    /// the block on that is not one of whole operations, as far as it was read.
    fn all<'scope>(
        &mut self,
        lines: &mut Lines<'_>,
        first: Vec<u8>,
        notation: Notation,
        cores: usize,
        scope: &'scope Scope<'scope, '_>,
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let readers: Vec<BlockReader> = (0..cores).map(|_| BlockReader::start(scope, notation)).collect();
        let mut next = first;
        let (mut sent, mut taken) = (0, 0);
        let mut rest: Option<Vec<u8>> = None;
        loop {
            while rest.is_none() && sent - taken < cores * WAITING_EACH && lines.is_block(&next) {
                readers[sent % cores].send.send(std::mem::take(&mut next)).expect(READER_WAITS);
                sent += 1;
                next = lines.next()?;
            }
            if taken == sent {
                let mut rest = rest.unwrap_or_default();
                rest.append(&mut next);
                return Ok((!rest.is_empty()).then_some(rest));
            }
            let Done { bytes, part } = *readers[taken % cores].done.recv().expect(READER_WAITS);
            taken += 1;
            match (&mut rest, part) {
                (Some(rest), _) => rest.extend(bytes),
                (None, Some(part)) if self.store.has_room_for(&part.store) => self.take(part, bytes.len()),
                (None, _) => rest = Some(bytes),
            }
        }
    }

    fn take(&mut self, part: Part, bytes: usize) {
        if let Some(length) = self.length.take() {
            // If the rest is like this.
            let times = (length as f64 / bytes.max(1) as f64).min(f64::from(u32::MAX));
            // It is a guess: what cannot be had now may not be needed.
            let _ = self.ops.try_reserve((part.ops.len() as f64 * times * MORE) as usize);
            self.store.reserve((part.store.mark() as f64 * times * MORE) as usize);
        }
        let moved = self.store.append(&part.store);
        let before = self.ops.len();
        self.ops.extend(part.ops.into_iter().map(|op| Op {
            process: moved.word(op.process),
            f: moved.word(op.f),
            value: moved.place(op.value),
            line: op.line.saturating_add(self.line - 1),
            ..op
        }));
        for at in part.unindexed {
            self.ops[before + at].index = (before + at) as i64;
        }
        self.stamped.extend(part.stamped.into_iter().map(|(at, stamps)| (before as u32 + at, stamps)));
        self.line = self.line.saturating_add(part.lines);
    }
}

/// Blocks of whole lines. The last one may end within a line, and so may one whose line is very long: then all is
/// read as it comes.
struct Lines<'a> {
    input: &'a mut dyn Read,
    /// The beginning of a line whose end has not been read.
    carry: Vec<u8>,
    is_over: bool,
}

impl Lines<'_> {
    /// The next block; none where all is read.
    fn next(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if self.is_over {
            return Ok(bytes);
        }
        bytes.reserve_exact(self.carry.len() + BLOCK_BYTES);
        bytes.append(&mut self.carry);
        for _ in 0..BLOCKS_A_LINE_MAX {
            let before = bytes.len();
            let read = (&mut *self.input).take(BLOCK_BYTES as u64).read_to_end(&mut bytes)?;
            if read < BLOCK_BYTES {
                self.is_over = true;
                return Ok(bytes);
            }
            if let Some(end) = bytes[before..].iter().rposition(|byte| *byte == b'\n') {
                self.carry.extend_from_slice(&bytes[before + end + 1..]);
                bytes.truncate(before + end + 1);
                return Ok(bytes);
            }
        }
        Ok(bytes)
    }

    /// Whether it is a block of whole lines, or the end of the text.
    fn is_block(&self, bytes: &[u8]) -> bool {
        !bytes.is_empty() && (self.is_over || bytes.ends_with(b"\n"))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::foreign::{Format, OpHistory};

    /// Read by one reader, as it comes.
    fn one_by_one(text: &str, notation: Notation) -> Result<(Store, Vec<Op>, Stamped), ReadError> {
        let mut input = text.as_bytes();
        OpReader::new(Forms::new(Source::new(&mut input), notation)).finish()
    }

    fn shown(read: Result<(Store, Vec<Op>, Stamped), ReadError>) -> String {
        match read {
            Ok((store, ops, stamped)) => {
                let line = |op: &Op| format!("{op:?} {}\n", store.value(op.value));
                ops.iter().map(line).chain([format!("{stamped:?}")]).collect()
            }
            Err(error) => error.to_string(),
        }
    }

    /// Lines of about so many bytes each, so that a few make a block, with a line here and there.
    fn long(bytes: usize, lines: &[String]) -> String {
        let filling = "7 ".repeat(bytes / 2);
        lines.iter().map(|line| line.replace("FILLING", &filling)).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_long_history_is_read_as_by_one_reader_whatever_stands_between_its_lines() {
        let op = |n: usize| {
            format!(
                "{{:process {}, :type :invoke, :f :txn, :value [[:append k{n} {}] FILLING], :start-ts {n}, :commit-ts 99}}",
                n % 7,
                1_u64 << (n % 60)
            )
        };
        let plain: Vec<String> = (0..40).map(op).collect();
        let with = |at: usize, line: &str| {
            let mut lines = plain.clone();
            lines.insert(at, line.to_owned());
            long(400, &lines)
        };
        for text in [
            long(400, &plain),
            with(25, "; a comment {"),
            with(25, "#_\n\n{:discarded [FILLING\n]}"),
            with(25, "{:process 1, :type :ok,\n :value \"a text\n{with a line feed\"\n}"),
            with(25, "{:process 1, :type :nonsense}"),
            with(25, "}"),
            with(40, "{:process 1, :type"),
            format!("[{}]", long(400, &plain)),
            with(25, &"9".repeat(12 << 10)),
            with(25, &format!("; {}", "{} ".repeat(28 << 10))),
            with(25, &format!("{} {}", plain[0].replace("FILLING", ""), " ".repeat(144 << 10))),
        ] {
            let (together, alone) =
                (read(&mut text.as_bytes(), Notation::Edn, None), one_by_one(&text, Notation::Edn));
            assert!(shown(together) == shown(alone), "{}", &text[..text.len().min(200)]);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

        #[test]
        fn blocks_are_read_as_by_one_reader(kinds in prop::collection::vec(0_usize..40, 20..40), bytes in 200_usize..3_000) {
            let line = |kind: &usize| match kind {
                0 => "{\"type\": \"ok\",\n\"process\": 3}".to_owned(),
                1 => "{\"type\": \"ok\", \"process\": 3, \"value\": \"a \\u0041\", \"index\": 9}".to_owned(),
                2 => String::new(),
                3 => "{\"type\": \"ok\"}".to_owned(),
                n => format!("{{\"type\": \"info\", \"process\": {n}, \"f\": \"f{n}\", \"value\": [[\"r\", 5000000000{n}, null], \"FILLING\"]}}"),
            };
            let text = long(bytes, &kinds.iter().map(line).collect::<Vec<_>>());
            let (together, alone) = (read(&mut text.as_bytes(), Notation::Json, Some(text.len() as u64)), one_by_one(&text, Notation::Json));
            prop_assert!(shown(together) == shown(alone));
        }
    }

    #[test]
    fn an_input_that_fails_half_way_is_an_error() {
        struct Failing;
        impl Read for Failing {
            fn read(&mut self, _buffer: &mut [u8]) -> io::Result<usize> {
                Err(io::Error::other("the disk is gone"))
            }
        }
        let text = "{\"type\": \"ok\", \"process\": 3}\n".repeat(100_000);
        let read: Result<OpHistory, ReadError> =
            crate::foreign::read(&mut text.as_bytes().chain(Failing), Format::Json);
        assert!(matches!(read, Err(ReadError::Io(_))), "{read:?}");
    }
}
