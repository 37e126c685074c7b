//! Carries one direction of one connection: reads, holds, shapes and forwards.

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::time::Duration;

use rustix::net::Shutdown;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until};

use super::Shared;
use super::fault::{Direction, Shape};
use super::frame::Reader;
use super::gate::{GateState, Link};
use super::jitter::Jitter;
use super::stats::{FlowCounters, add};

/// The most that is read at once, and all that is buffered while bytes pass as they come.
pub(super) const CHUNK_BYTES: usize = 64 * 1024;
/// The most that is buffered in one direction of a connection while it is cut or shaped. With it full, the
/// sender meets a closed window, as it would on a real link.
pub(super) const HELD_BYTES: usize = 256 * 1024;
/// Bounds what bookkeeping a sender of single bytes can cause.
const HELD_CHUNKS: usize = 4096;
/// How many writes one turn may make before other tasks get theirs.
const WRITES_A_TURN: usize = 32;
/// A rate is paced in portions of this time, and may catch up as much after a late timer.
const RATE_QUANTUM: Duration = Duration::from_millis(10);

/// Why a connection ends by a reset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    ByFault,
    ByPeer,
    NoUpstream,
}

pub(super) struct Pump<'a> {
    shared: &'a Shared,
    link: &'a Link,
    direction: Direction,
    scratch: Vec<u8>,
    queue: VecDeque<Chunk>,
    queued_bytes: usize,
    /// How the sender ended, and when that may be passed on.
    end: Option<(End, Instant)>,
    close_sent: bool,
    receiver_gone: bool,
    /// Not before this is the next write, for a rate or slices.
    next_write: Instant,
    last_release: Instant,
    jitter: Option<Jitter>,
    /// Reads requests where it is known what is spoken.
    reader: Option<Reader>,
    /// Stream offsets: all read, and all that was counted as held.
    read_bytes: u64,
    held_bytes: u64,
    end_held: bool,
}

struct Chunk {
    bytes: Vec<u8>,
    start: usize,
    end: usize,
    release_at: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Close,
    Reset,
}

/// What a pump waits for.
#[derive(Default)]
struct Wait {
    at: Option<Instant>,
    writable: bool,
    room: usize,
    again: bool,
}

impl<'a> Pump<'a> {
    pub(super) fn new(shared: &'a Shared, link: &'a Link, direction: Direction) -> Pump<'a> {
        let now = Instant::now();
        Pump {
            shared,
            link,
            direction,
            scratch: Vec::new(),
            queue: VecDeque::new(),
            queued_bytes: 0,
            end: None,
            close_sent: false,
            receiver_gone: false,
            next_write: now,
            last_release: now,
            jitter: None,
            reader: (direction == Direction::Requests && link.probe.is_none())
                .then(|| shared.protocol.get().copied().map(Reader::new))
                .flatten(),
            read_bytes: 0,
            held_bytes: 0,
            end_held: false,
        }
    }

    /// Reads and holds while this direction is cut; there is no receiver yet.
    pub(super) async fn hold(&mut self, from: &TcpStream) -> Result<(), Broken> {
        let gate = self.link.gate(self.direction);
        loop {
            {
                let state = gate.lock();
                survive(&state)?;
                if !state.cut {
                    return Ok(());
                }
            }
            self.count_held();
            let room = self.room(false);
            tokio::select! {
                () = gate.wake.notified() => {}
                _ = from.readable(), if room > 0 => self.read(from, room),
            }
        }
    }

    /// Carries bytes until both directions are over, or the connection breaks.
    pub(super) async fn run(&mut self, from: &TcpStream, to: &TcpStream) -> Result<(), Broken> {
        let wake = &self.link.gate(self.direction).wake;
        loop {
            let wait = self.deliver(to)?;
            if self.link.is_over() {
                return Ok(());
            }
            if wait.again {
                tokio::task::yield_now().await;
                continue;
            }
            tokio::select! {
                biased;
                () = wake.notified() => {}
                _ = from.readable(), if wait.room > 0 => self.read(from, wait.room),
                () = due(wait.at), if wait.at.is_some() => {}
                _ = to.writable(), if wait.writable => {}
            }
        }
    }

    /// Counts what is left as dropped; the connection is about to be reset.
    pub(super) fn abandon(&mut self) {
        add(&self.counters().dropped_bytes, self.queued_bytes as u64);
        self.queue.clear();
        self.queued_bytes = 0;
    }

    fn read(&mut self, from: &TcpStream, room: usize) {
        if self.scratch.is_empty() {
            self.scratch = vec![0; CHUNK_BYTES];
        }
        let most = room.min(CHUNK_BYTES);
        let mut gate = self.link.gate(self.direction).lock();
        let (read, shape, slow_close) =
            (from.try_read(&mut self.scratch[..most]), gate.shape, gate.slow_close);
        let (len, end) = match read {
            Ok(0) => (0, Some(End::Close)),
            Ok(len) => (len, None),
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return,
            Err(_) => (0, Some(End::Reset)),
        };
        gate.holds = true;
        drop(gate);
        let release_at = self.release_time(&shape);
        match end {
            Some(end) => {
                if !slow_close.is_zero() {
                    add(&self.counters().delayed_ends, 1);
                }
                self.end = Some((end, release_at + slow_close));
            }
            None => self.take_in(len, release_at),
        }
    }

    fn take_in(&mut self, len: usize, release_at: Instant) {
        self.read_bytes += len as u64;
        add(&self.counters().read_bytes, len as u64);
        if self.link.probe.is_none() {
            self.shared.pull_trigger(self.direction, &self.scratch[..len]);
        }
        if let Some(reader) = &mut self.reader {
            reader.read(&self.scratch[..len], &mut |request| self.shared.request(request));
        }
        let bytes = match self.queue.is_empty() {
            true => std::mem::take(&mut self.scratch),
            false => self.scratch[..len].to_vec(),
        };
        self.queue.push_back(Chunk { bytes, start: 0, end: len, release_at });
        self.queued_bytes += len;
    }

    /// When something that was read just now may be passed on.
    fn release_time(&mut self, shape: &Shape) -> Instant {
        let now = Instant::now();
        if !shape.is_plain() {
            add(&self.counters().delayed_chunks, 1);
        }
        let Some(latency) = &shape.latency else { return now };
        let (seed, stream) = (self.shared.seed, self.link.number * 2 + self.direction.index() as u64);
        let delay = self.jitter.get_or_insert_with(|| Jitter::new(seed, stream)).around(latency);
        self.last_release = self.last_release.max(now + delay);
        self.last_release
    }

    /// Forwards what may be forwarded now, and says what to wait for.
    fn deliver(&mut self, to: &TcpStream) -> Result<Wait, Broken> {
        let link = self.link;
        for _ in 0..WRITES_A_TURN {
            let mut gate = link.gate(self.direction).lock();
            survive(&gate)?;
            if link.is_sender_gone(self.direction) && !matches!(self.end, Some((End::Reset, _))) {
                self.end = Some((End::Reset, Instant::now()));
                gate.holds = true;
            }
            if gate.cut {
                drop(gate);
                self.count_held();
                return Ok(Wait { room: self.room(false), ..Wait::default() });
            }
            let room = self.room(gate.shape.is_plain());
            let Some(chunk) = self.queue.front() else { return self.finish(&mut gate, to, room) };
            if let Some(at) = self.not_yet(&gate.shape, chunk.release_at) {
                return Ok(Wait { at: Some(at), room, ..Wait::default() });
            }
            let most = most_bytes(&gate, chunk.end - chunk.start);
            match to.try_write(&chunk.bytes[chunk.start..chunk.start + most]) {
                Ok(len) => {
                    if let Some(left) = &mut gate.reset_left {
                        *left -= len as u64;
                    }
                    gate.holds = self.queued_bytes > len || self.end.is_some();
                    let shape = gate.shape;
                    drop(gate);
                    self.forwarded(len, &shape);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if matches!(self.end, Some((End::Reset, _))) {
                        return Err(Broken::ByPeer);
                    }
                    return Ok(Wait { writable: true, room, ..Wait::default() });
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => {
                    drop(gate);
                    self.lose_receiver();
                    return Ok(Wait::default());
                }
            }
        }
        Ok(Wait { again: true, ..Wait::default() })
    }

    /// All bytes are delivered: passes on how the sender ended, if it has.
    fn finish(&mut self, gate: &mut GateState, to: &TcpStream, room: usize) -> Result<Wait, Broken> {
        match self.end {
            None => return Ok(Wait { room, ..Wait::default() }),
            Some((End::Close, _)) if self.close_sent => {}
            Some((_, at)) if gate.delays_ends() && at > Instant::now() => {
                return Ok(Wait { at: Some(at), ..Wait::default() });
            }
            Some((End::Close, _)) => {
                // A receiver that is gone is found out by the next write to it or read from it.
                let _ = rustix::net::shutdown(to, Shutdown::Write);
                gate.holds = false;
                self.close_sent = true;
                self.link.mark_over(self.direction);
            }
            Some((End::Reset, _)) => return Err(Broken::ByPeer),
        }
        Ok(Wait::default())
    }

    fn not_yet(&self, shape: &Shape, release_at: Instant) -> Option<Instant> {
        if shape.is_plain() {
            return None;
        }
        let now = Instant::now();
        let delayed = shape.latency.is_some() && release_at > now;
        let paced = (shape.bytes_per_s.is_some() || shape.slice.is_some()) && self.next_write > now;
        match (delayed, paced) {
            (true, true) => Some(release_at.max(self.next_write)),
            (true, false) => Some(release_at),
            (false, true) => Some(self.next_write),
            (false, false) => None,
        }
    }

    fn forwarded(&mut self, len: usize, shape: &Shape) {
        add(&self.counters().forwarded_bytes, len as u64);
        self.queued_bytes -= len;
        if let Some(chunk) = self.queue.front_mut() {
            chunk.start += len;
            if chunk.start == chunk.end
                && let Some(done) = self.queue.pop_front()
                && done.bytes.len() == CHUNK_BYTES
            {
                self.scratch = done.bytes;
            }
        }
        if shape.is_plain() {
            return;
        }
        let now = Instant::now();
        let mut next = now;
        if let Some(rate) = shape.bytes_per_s {
            let earliest = now.checked_sub(RATE_QUANTUM).unwrap_or(now);
            next = self.next_write.max(earliest) + Duration::from_secs_f64(len as f64 / rate as f64);
        }
        if let Some((_, gap)) = shape.slice {
            next = next.max(now + gap);
        }
        self.next_write = next;
    }

    /// A write failed: what is queued has no receiver, and the way back ends with that receiver's reset.
    fn lose_receiver(&mut self) {
        self.abandon();
        self.receiver_gone = true;
        self.link.mark_sender_gone(self.direction.opposite());
    }

    fn room(&self, plain: bool) -> usize {
        let full = self.queue.len() >= HELD_CHUNKS || (plain && !self.queue.is_empty());
        if full || self.end.is_some() || self.receiver_gone {
            return 0;
        }
        HELD_BYTES.saturating_sub(self.queued_bytes)
    }

    fn count_held(&mut self) {
        let counted = self.held_bytes.max(self.read_bytes - self.queued_bytes as u64);
        add(&self.counters().held_bytes, self.read_bytes - counted);
        self.held_bytes = self.read_bytes;
        if self.end.is_some() && !self.close_sent && !self.end_held {
            self.end_held = true;
            add(&self.counters().held_ends, 1);
        }
    }

    fn counters(&self) -> &'a FlowCounters {
        self.link.counters.flow(self.direction)
    }
}

/// Fails if a fault ends the connection here.
fn survive(gate: &GateState) -> Result<(), Broken> {
    if gate.doomed || gate.reset_left == Some(0) { Err(Broken::ByFault) } else { Ok(()) }
}

/// How much of `len` bytes one write may hand on.
fn most_bytes(gate: &GateState, len: usize) -> usize {
    let mut most = len;
    if let Some(left) = gate.reset_left {
        most = most.min(usize::try_from(left).unwrap_or(usize::MAX));
    }
    if let Some((size, _)) = gate.shape.slice {
        most = most.min(size);
    }
    if let Some(rate) = gate.shape.bytes_per_s {
        let portion = (rate as f64 * RATE_QUANTUM.as_secs_f64()) as usize;
        most = most.min(portion.max(1));
    }
    most
}

async fn due(at: Option<Instant>) {
    if let Some(at) = at {
        sleep_until(at).await;
    }
}
