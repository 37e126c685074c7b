//! Functions that look at the session or change something besides rows.

/// A function that answers at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Session {
    CurrentValue,
    LastValue,
    SerialSequence,
    /// `pg_current_xact_id`, `txid_current`.
    CurrentXactId,
    CurrentXactIdIfAssigned,
    CurrentSnapshot,
    XactStatus,
    VisibleInSnapshot,
    BackendPid,
    BlockingPids,
    CancelBackend,
    TerminateBackend,
    Notify,
    /// Of session level (false) or of the transaction.
    TryAdvisoryLock {
        transaction: bool,
        shared: bool,
    },
    AdvisoryUnlock {
        shared: bool,
    },
    AdvisoryUnlockAll,
    CurrentLsn,
    InsertLsn,
    /// `now()`: the start of the transaction.
    TransactionTime,
    /// The start of the statement.
    StatementTime,
    ClockTime,
    CurrentSetting,
    SetConfig,
    DropReplicationSlot,
    InRecovery,
    CurrentDatabase,
    CurrentUser,
}

/// A function that may have to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Waiting {
    Sleep,
    AdvisoryLock {
        transaction: bool,
        shared: bool,
    },
    NextValue,
    /// With or without `is_called`.
    SetValue,
}
