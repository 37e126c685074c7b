//! What is below SQL: rows as versions, transactions and their snapshots, locks and their queues, sequences, the
//! log with its slots. It knows nothing of statements, and it is PostgreSQL 15 in what can be told from outside:
//! who waits for whom, who gets which error, and what is seen when.
//!
//! All state lies behind one lock that is never held while a session waits.

mod advisory;
mod catalog;
mod crash;
mod ddl;
mod deadlock;
mod heap;
mod id;
mod index;
mod lock;
mod proc;
mod row_lock;
mod rows;
mod scan;
mod sequence;
mod session;
mod slot;
mod ssi;
mod state;
mod transaction;
mod unique;
mod version;
mod wait;
mod wal;
mod write;
mod xact;

use std::sync::Arc;

pub(crate) use catalog::{Column, ComputeKey, Facts, IndexDef, IndexKey, TableDef};
pub(crate) use id::{IndexId, Lsn, SequenceId, SessionId, TableId, Xid};
pub(crate) use lock::{AdvisoryKey, LockMode};
pub(crate) use proc::Isolation;
pub(crate) use row_lock::{Locked, WaitPolicy as Wait};
pub(crate) use rows::{Changed, Inserted};
pub(crate) use scan::{Access, Found};
pub(crate) use sequence::SequenceDef;
pub(crate) use session::{Ended, Session};
pub(crate) use slot::SlotBounds;
pub(crate) use version::RowLock;
pub(crate) use xact::Snapshot;

use crate::model::cases::Planted;
use crate::model::footprint::Footprints;
use state::{Shared, State};

/// A database server. A clone is the same one; [`Store::fork`] is another.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    shared: Arc<Shared>,
}

impl Store {
    /// An empty one.
    pub(crate) fn new(footprints: Footprints) -> Self {
        Store { shared: Shared::new(State::new(footprints, None)) }
    }

    /// An empty one with an error in it.
    pub(crate) fn with_planted(footprints: Footprints, planted: Planted) -> Self {
        Store { shared: Shared::new(State::new(footprints, Some(planted))) }
    }

    /// Another one with the same contents, while nobody is connected.
    pub(crate) fn fork(&self, footprints: Footprints) -> Self {
        let mut state = State { footprints, ..self.shared.lock().clone() };
        // What was written before is old by the time the other one begins.
        state.wal.flush();
        Store { shared: Shared::new(state) }
    }

    /// Opens a session.
    pub(crate) fn connect(&self) -> Session {
        let mut state = self.shared.lock();
        let slot = state.add_proc();
        let id = state.proc(slot).pid;
        drop(state);
        Session::new(self.shared.clone(), slot, id)
    }

    /// The sessions that are open.
    #[cfg(test)]
    fn sessions(&self) -> Vec<SessionId> {
        let state = self.shared.lock();
        let open = state.procs.iter().flatten().filter(|proc| proc.prepared.is_none());
        open.map(|proc| proc.pid).collect()
    }

    /// Whether the session waits for a lock.
    pub(crate) fn is_waiting(&self, pid: SessionId) -> bool {
        self.shared.lock().is_waiting(pid)
    }

    /// Whose locks the session waits for; zero stands for a prepared transaction.
    pub(crate) fn blocking_pids(&self, pid: SessionId) -> Vec<SessionId> {
        let state = self.shared.lock();
        state.slot_of(pid).map_or_else(Vec::new, |slot| state.blocking_pids(slot))
    }

    /// Cancels the session's statement; false where there is no such session.
    pub(crate) fn cancel(&self, pid: SessionId) -> bool {
        self.shared.lock().cancel(pid)
    }
}

#[cfg(test)]
mod tests;
