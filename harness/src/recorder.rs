//! The recorder: takes events from every worker, numbers them, and writes each to the history at once, so
//! that a run killed at any moment leaves a history that can be read.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use tokio::time::Instant;

use crosscheck_models::history::{Event, EventBody, Header, Kind, Process};

/// How many events may wait to be written before workers wait for the writer.
const WAITING_MAX: usize = 1 << 16;

/// What lies between two stamps of a virtual clock that stands still, so that no two are the same.
const TICK_NS: u64 = 1000;

/// The run's one monotonic clock.
#[derive(Debug, Clone)]
pub struct Clock {
    start: Instant,
    /// In virtual time: the last stamp given.
    last_ns: Option<Arc<AtomicU64>>,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Clock { start: Instant::now(), last_ns: None }
    }

    /// A clock of virtual time: it goes on by a microsecond at each look.
    pub fn start_virtual() -> Self {
        Clock { start: Instant::now(), last_ns: Some(Arc::default()) }
    }

    /// Nanoseconds since the start of the run.
    pub fn now_ns(&self) -> u64 {
        let elapsed = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let Some(last_ns) = &self.last_ns else { return elapsed };
        // Virtual time has one thread: nobody comes between the two.
        let now = elapsed.max(last_ns.load(Ordering::Relaxed) + TICK_NS);
        last_ns.store(now, Ordering::Relaxed);
        now
    }
}

/// Hands events to the writer. Cheap to clone; one for each worker.
#[derive(Debug, Clone)]
pub struct Recorder {
    sink: Sink,
    clock: Clock,
}

/// Where events go.
#[derive(Debug, Clone)]
enum Sink {
    /// To the thread that writes the file.
    File(SyncSender<Event>),
    /// Nowhere else: an exploration looks at many histories and keeps few.
    Memory(Arc<Mutex<Vec<Event>>>),
}

/// The other end: a thread that owns the file, or the events themselves.
#[derive(Debug)]
pub enum Writer {
    /// Writes the file.
    File(JoinHandle<std::io::Result<Vec<Event>>>),
    /// Keeps the events.
    Memory(Arc<Mutex<Vec<Event>>>),
}

impl Recorder {
    /// Starts a history file.
    ///
    /// # Errors
    /// If the file cannot be made.
    pub fn start(path: &Path, header: &Header, clock: Clock) -> std::io::Result<(Recorder, Writer)> {
        let mut file = BufWriter::new(std::fs::File::create(path)?);
        writeln!(file, "{}", header.to_json_line())?;
        file.flush()?;
        let (sender, receiver) = sync_channel(WAITING_MAX);
        let thread = std::thread::Builder::new()
            .name("recorder".to_owned())
            .spawn(move || write_events(file, &receiver))?;
        Ok((Recorder { sink: Sink::File(sender), clock }, Writer::File(thread)))
    }

    /// A history that stays in memory.
    pub fn in_memory(clock: Clock) -> (Recorder, Writer) {
        let events = Arc::default();
        (Recorder { sink: Sink::Memory(Arc::clone(&events)), clock }, Writer::Memory(events))
    }

    /// The run's clock.
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Records an event that happens now.
    pub fn record(&self, process: &Process, kind: Kind, body: EventBody, error: Option<String>) {
        self.record_at(self.clock.now_ns(), process, kind, body, error);
    }

    /// Records an event that happened at `time`. Stamping is the worker's business, right before it sends
    /// and right after it has received; what happens on the way to the file does not move the stamp.
    pub fn record_at(
        &self,
        time: u64,
        process: &Process,
        kind: Kind,
        body: EventBody,
        error: Option<String>,
    ) {
        let mut event = Event { index: 0, time, process: *process, kind, body, error: error.map(Into::into) };
        match &self.sink {
            Sink::File(sender) => {
                // The writer ends early only if the disk fails, and then `Writer::finish` reports it.
                let _ = sender.send(event);
            }
            Sink::Memory(events) => {
                let mut events = events.lock().expect("no code panics while it holds the events");
                event.index = events.len() as u64;
                events.push(event);
            }
        }
    }

    /// Looks at the events from the one of that number on, where they are kept in memory.
    pub(crate) fn since<T>(&self, from: usize, look: impl FnOnce(&[Event]) -> T) -> Option<T> {
        match &self.sink {
            Sink::File(_) => None,
            Sink::Memory(events) => {
                let events = events.lock().expect("no code panics while it holds the events");
                Some(look(&events[from..]))
            }
        }
    }

    /// Records an observation.
    pub fn observe(&self, process: &Process, body: EventBody) {
        self.record(process, Kind::Ok, body, None);
    }
}

impl Writer {
    /// Waits until all recorders are gone and everything is written; returns the events in their order.
    ///
    /// # Errors
    /// If the file could not be written.
    pub fn finish(self) -> std::io::Result<Vec<Event>> {
        match self {
            Writer::File(thread) => {
                thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the recorder's thread panicked")))
            }
            Writer::Memory(events) => {
                Ok(std::mem::take(&mut *events.lock().expect("no code panics while it holds the events")))
            }
        }
    }
}

fn write_events(
    mut file: BufWriter<std::fs::File>,
    receiver: &Receiver<Event>,
) -> std::io::Result<Vec<Event>> {
    let mut events = Vec::new();
    loop {
        let next = match receiver.try_recv() {
            Ok(event) => Some(event),
            Err(TryRecvError::Empty) => {
                // Nothing waits: now is the time to hand the bytes to the operating system, which keeps
                // them even if this process is killed.
                file.flush()?;
                receiver.recv().ok()
            }
            Err(TryRecvError::Disconnected) => None,
        };
        let Some(mut event) = next else { break };
        event.index = events.len() as u64;
        writeln!(file, "{}", event.to_json_line())?;
        events.push(event);
    }
    file.flush()?;
    Ok(events)
}
