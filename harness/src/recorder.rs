//! The recorder: takes events from every worker, numbers them, and writes each to the history at once, so
//! that a run killed at any moment leaves a history that can be read.

use std::io::{BufWriter, Write};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::Instant;

use crosscheck_models::history::{Event, EventBody, Header, Kind, Process};

/// How many events may wait to be written before workers wait for the writer.
const WAITING_MAX: usize = 1 << 16;

/// The run's one monotonic clock.
#[derive(Debug, Clone, Copy)]
pub struct Clock {
    start: Instant,
}

impl Clock {
    /// A clock that starts now.
    pub fn start() -> Self {
        Clock { start: Instant::now() }
    }

    /// Nanoseconds since the start of the run.
    pub fn now_ns(&self) -> u64 {
        u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX)
    }
}

/// Hands events to the writer. Cheap to clone; one for each worker.
#[derive(Debug, Clone)]
pub struct Recorder {
    sender: SyncSender<Event>,
    clock: Clock,
}

/// The writing end: a thread that owns the file.
#[derive(Debug)]
pub struct Writer {
    thread: JoinHandle<std::io::Result<Vec<Event>>>,
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
        Ok((Recorder { sender, clock }, Writer { thread }))
    }

    /// The run's clock.
    pub fn clock(&self) -> Clock {
        self.clock
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
        let event = Event { index: 0, time, process: process.clone(), kind, body, error };
        // The writer ends early only if the disk fails, and then `Writer::finish` reports it.
        let _ = self.sender.send(event);
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
        self.thread.join().unwrap_or_else(|_| Err(std::io::Error::other("the recorder's thread panicked")))
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
