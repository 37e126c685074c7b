//! The cache of the model: the commands of Redis that designs send, with their scripts.
//!
//! Answers and errors are those of Redis 7.0, in its words. Keys end in virtual time, to the millisecond. What
//! cannot be the same twice (`RANDOMKEY`, `SPOP`, ..) or cannot go over the port (`SUBSCRIBE`, `CLIENT TRACKING`)
//! is an unknown command.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use crate::model::footprint::{Footprints, Resource};
use crate::port::{Cache, CacheConnection, PortError, Reply, System};
use answer::{Outcome, Stop, carried, refused};
use blocking::Wait;
use clock::Clock;
use state::State;

mod answer;
mod blocking;
mod clock;
mod command;
mod number;
mod pattern;
mod replication;
mod script;
mod server;
mod session;
mod settings;
mod state;
mod stream;
mod value;

pub use settings::{Eviction, Persistence, Settings};

/// How long a command may go unanswered, as with the adapter of the real one.
const REPLY_TIMEOUT: Duration = Duration::from_secs(5);

/// A server in process. A clone is the same server.
#[derive(Debug, Clone)]
pub struct ModelCache {
    state: Arc<Mutex<State>>,
}

impl ModelCache {
    /// An empty server that keeps nothing on disk, has no replica and no limit.
    pub fn new(seed: u64, footprints: Footprints) -> Self {
        ModelCache { state: Arc::new(Mutex::new(State::new(seed, footprints))) }
    }

    /// A server of its own with the same data and settings, and no connection. It notes what it does in the same
    /// footprints.
    #[must_use]
    pub fn fork(&self) -> Self {
        let footprints = self.lock().footprints.clone();
        self.fork_into(footprints)
    }

    /// The same, noting what it does in other footprints.
    #[must_use]
    pub fn fork_into(&self, footprints: Footprints) -> Self {
        ModelCache { state: Arc::new(Mutex::new(self.lock().fork(footprints))) }
    }

    /// What stands for the cache's clock in the footprints: whoever lets time pass writes it.
    pub fn clock_resource() -> Resource {
        Resource::all(state::CLOCK)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

#[async_trait]
impl Cache for ModelCache {
    async fn connect(&self) -> Result<Box<dyn CacheConnection>, PortError> {
        let mut state = self.lock();
        if state.is_down {
            return Err(PortError::not_sent(System::Cache, "failed to connect: the server is down"));
        }
        let session = state.open_session();
        drop(state);
        Ok(Box::new(ModelConnection { state: Arc::clone(&self.state), session, is_busy: false }))
    }
}

/// One connection; the server closes it when this value goes.
struct ModelConnection {
    state: Arc<Mutex<State>>,
    session: u64,
    is_busy: bool,
}

#[async_trait]
impl CacheConnection for ModelConnection {
    async fn command(&mut self, args: &[&str]) -> Result<Reply, PortError> {
        let Some((name, _)) = args.split_first() else {
            return Err(PortError::refused(System::Cache, "ERR", "the command is empty"));
        };
        if self.is_busy {
            // Its caller dropped the command before: whose reply comes next is unknown.
            self.close();
        }
        let bytes: Vec<&[u8]> = args.iter().map(|arg| arg.as_bytes()).collect();
        let (outcome, waiting) = {
            let mut state = lock(&self.state);
            if !state.sessions.contains_key(&self.session) {
                return Err(PortError::not_sent(System::Cache, "the connection is lost"));
            }
            match state.receive(self.session, &bytes) {
                Err(Stop::Wait(wait)) => {
                    let receiver = state.waiters.add(self.session, &wait);
                    (Err(Stop::Wait(wait)), Some(receiver))
                }
                outcome => (outcome, None),
            }
        };
        let outcome = match (outcome, waiting) {
            (Err(Stop::Wait(wait)), Some(served)) => {
                self.is_busy = true;
                let served = self.wait(name, wait, served).await;
                self.is_busy = false;
                served?
            }
            (outcome, _) => outcome,
        };
        match outcome {
            Ok(answer) => carried(answer),
            Err(Stop::Error(text)) => Err(refused(name, &text)),
            Err(Stop::Wait(wait)) => carried(wait.in_vain),
        }
    }
}

impl ModelConnection {
    async fn wait(
        &self,
        name: &str,
        wait: Wait,
        mut served: tokio::sync::oneshot::Receiver<Outcome>,
    ) -> Result<Outcome, PortError> {
        let limit = wait.limit.filter(|limit| *limit < REPLY_TIMEOUT);
        let until = Clock::instant_in(limit.unwrap_or(REPLY_TIMEOUT));
        let in_time = tokio::time::timeout_at(until, &mut served).await;
        let mut state = lock(&self.state);
        state.footprints.read(ModelCache::clock_resource);
        for (key, _) in &wait.keys {
            state.footprints.write(|| Resource::one(state::KEYS, key.as_ref()));
        }
        match in_time {
            Ok(Ok(outcome)) => Ok(outcome),
            Ok(Err(_gone)) => Err(PortError::unknown(
                System::Cache,
                format!("{name} got no reply: the connection was lost"),
            )),
            Err(_elapsed) if limit.is_some() => {
                state.waiters.remove(self.session);
                Ok(Ok(wait.in_vain))
            }
            Err(_elapsed) => {
                state.close_session(self.session);
                Err(PortError::unknown(System::Cache, format!("no reply to {name} in time")))
            }
        }
    }

    fn close(&self) {
        lock(&self.state).close_session(self.session);
    }
}

impl Drop for ModelConnection {
    fn drop(&mut self) {
        self.close();
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().expect("no code panics while it holds the cache")
}
