//! Sessions and their transactions, as the store keeps them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Notify;

use super::id::{RowId, SequenceId, SessionId, TableId, Xid};
use super::lock::{LockMode, LockTag};
use super::ssi::SsiId;
use super::xact::Snapshot;
use crate::model::database::error::SqlError;

/// The isolation levels; read uncommitted is read committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Isolation {
    ReadCommitted,
    RepeatableRead,
    Serializable,
}

/// The settings of a session that decide how long it waits and what a commit waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) deadlock_timeout: Duration,
    /// None where it is switched off.
    pub(crate) lock_timeout: Option<Duration>,
    pub(crate) statement_timeout: Option<Duration>,
    /// `synchronous_commit`: off, a commit does not wait for the log to be flushed.
    pub(crate) synchronous_commit: bool,
    /// `synchronous_commit` is neither off nor local: a commit waits for the standby, where there is one to wait for.
    pub(crate) waits_for_standby: bool,
    pub(crate) isolation: Isolation,
    pub(crate) read_only: bool,
    pub(crate) deferrable: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            deadlock_timeout: Duration::from_secs(1),
            lock_timeout: None,
            statement_timeout: None,
            synchronous_commit: true,
            waits_for_standby: true,
            isolation: Isolation::ReadCommitted,
            read_only: false,
            deferrable: false,
        }
    }
}

/// A notification on its way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) channel: Arc<str>,
    pub(crate) payload: Arc<str>,
    /// Who sent it.
    pub(crate) sender: SessionId,
}

/// What a transaction does that takes effect when it commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Deferred {
    Notify { channel: Arc<str>, payload: Arc<str> },
    Listen(Arc<str>),
    Unlisten(Arc<str>),
    UnlistenAll,
}

/// What a transaction has written, to be cleared away when it is rolled back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Written {
    /// A new version.
    Put(TableId, RowId, Xid),
    /// A version replaced or deleted.
    Ended(TableId, RowId),
    /// A definition.
    Catalog,
}

/// A transaction's subtransaction, or the transaction itself as the lowest of them.
#[derive(Debug, Clone)]
pub(super) struct Level {
    /// The savepoint's name; empty for the transaction itself.
    pub(super) name: Arc<str>,
    pub(super) xid: Xid,
    /// Subtransactions that were released into it.
    pub(super) released: Vec<Xid>,
    /// How much had been written, put off and changed when it began.
    pub(super) written: usize,
    pub(super) deferred: usize,
    pub(super) changes: usize,
}

/// A transaction.
#[derive(Debug, Clone)]
pub(super) struct Tx {
    pub(super) isolation: Isolation,
    pub(super) read_only: bool,
    pub(super) deferrable: bool,
    /// In a block, not around a single statement.
    pub(super) explicit: bool,
    pub(super) failed: bool,
    pub(super) levels: Vec<Level>,
    /// Of the transaction, above read committed.
    pub(super) snapshot: Option<Snapshot>,
    /// The oldest snapshot in use.
    pub(super) oldest: Option<u64>,
    pub(super) command: u32,
    pub(super) written: Vec<Written>,
    pub(super) deferred: Vec<Deferred>,
    pub(super) ssi: Option<SsiId>,
}

impl Tx {
    pub(super) fn new(isolation: Isolation, read_only: bool, deferrable: bool, explicit: bool) -> Self {
        let name = "".into();
        let top = Level { name, xid: Xid::NONE, released: Vec::new(), written: 0, deferred: 0, changes: 0 };
        Tx {
            isolation,
            read_only,
            deferrable,
            explicit,
            failed: false,
            levels: vec![top],
            snapshot: None,
            oldest: None,
            command: 0,
            written: Vec::new(),
            deferred: Vec::new(),
            ssi: None,
        }
    }

    /// The topmost id; none before it is needed.
    pub(super) fn top(&self) -> Xid {
        self.levels[0].xid
    }

    /// All ids that commit with it.
    pub(super) fn xids(&self) -> Vec<Xid> {
        let own = self.levels.iter().flat_map(|level| level.released.iter().copied().chain([level.xid]));
        own.filter(|xid| !xid.is_none()).collect()
    }

    /// Whether the snapshot of its first statement holds for all.
    pub(super) fn keeps_snapshot(&self) -> bool {
        self.isolation != Isolation::ReadCommitted
    }
}

/// A lock that a session has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Held {
    pub(super) tag: LockTag,
    pub(super) mode: LockMode,
    /// The savepoint below which it is rolled back; none for a lock of the session.
    pub(super) level: Option<usize>,
    /// How many times a session has taken it.
    pub(super) times: u32,
}

/// Why a session stopped waiting, or where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Waiting {
    /// In the queue of a lock.
    Lock { tag: LockTag, mode: LockMode },
    /// For transactions to end, or be safe, so that a read-only one can go on.
    SafeSnapshot,
    /// For the standby.
    Standby,
    /// It has what it waited for.
    Over,
}

/// What others want of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Interrupts {
    pub(super) cancel: bool,
    pub(super) terminate: bool,
}

/// A session, or a prepared transaction.
#[derive(Debug, Clone)]
pub(super) struct Proc {
    pub(super) pid: SessionId,
    /// The name of a prepared transaction.
    pub(super) prepared: Option<Arc<str>>,
    pub(super) tx: Option<Tx>,
    pub(super) held: Vec<Held>,
    pub(super) waiting: Option<Waiting>,
    pub(super) wake: Arc<Notify>,
    pub(super) interrupts: Interrupts,
    /// It runs a statement.
    pub(super) active: bool,
    pub(super) settings: Settings,
    /// When the statement is cut off.
    pub(super) statement_deadline: Option<tokio::time::Instant>,
    pub(super) listening: BTreeSet<Arc<str>>,
    pub(super) inbox: VecDeque<Notice>,
    pub(super) last_values: BTreeMap<SequenceId, i64>,
    pub(super) last_sequence: Option<SequenceId>,
}

impl Proc {
    pub(super) fn new(pid: SessionId) -> Self {
        Proc {
            pid,
            prepared: None,
            tx: None,
            held: Vec::new(),
            waiting: None,
            wake: Arc::new(Notify::new()),
            interrupts: Interrupts::default(),
            active: false,
            settings: Settings::default(),
            statement_deadline: None,
            listening: BTreeSet::new(),
            inbox: VecDeque::new(),
            last_values: BTreeMap::new(),
            last_sequence: None,
        }
    }

    /// The id of its transaction, none where it has none.
    pub(super) fn top(&self) -> Xid {
        self.tx.as_ref().map_or(Xid::NONE, Tx::top)
    }

    /// What it was asked to stop for, if it was.
    pub(super) fn take_interrupt(&mut self) -> Option<SqlError> {
        use crate::model::database::error::state::{ADMIN_SHUTDOWN, QUERY_CANCELED};
        let asked = std::mem::take(&mut self.interrupts);
        if asked.terminate {
            self.interrupts.terminate = true;
            let message = "terminating connection due to administrator command";
            return Some(SqlError::fatal(ADMIN_SHUTDOWN, message));
        }
        let cancelled = || SqlError::new(QUERY_CANCELED, "canceling statement due to user request");
        asked.cancel.then(cancelled)
    }
}
