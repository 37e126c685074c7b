//! The functions that can be called by name, with the types of their arguments.

use super::super::super::error::SqlError;
use super::super::super::types::Type::{self, *};
use super::super::cast::{self, Context};
use super::super::params::{Params, coerced};
use super::call::{Session as S, Waiting as W};
use super::function::{Function as F, Rounding};
use super::text::TextFunction as T;
use super::{Expr, Typed};

/// Something that can be called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in super::super) enum Callable {
    Pure(F),
    Session(S),
    Waiting(W),
}

type Signature = (&'static str, &'static [Type], Type, Callable);

const fn pure(name: &'static str, args: &'static [Type], result: Type, function: F) -> Signature {
    (name, args, result, Callable::Pure(function))
}

const fn text(name: &'static str, args: &'static [Type], result: Type, function: T) -> Signature {
    (name, args, result, Callable::Pure(F::Text(function)))
}

const fn session(name: &'static str, args: &'static [Type], result: Type, function: S) -> Signature {
    (name, args, result, Callable::Session(function))
}

const fn waiting(name: &'static str, args: &'static [Type], result: Type, function: W) -> Signature {
    (name, args, result, Callable::Waiting(function))
}

const BOTH: T = T::Trim { start: true, end: true };
const START: T = T::Trim { start: true, end: false };
const END: T = T::Trim { start: false, end: true };

const TRY_SESSION: S = S::TryAdvisoryLock { transaction: false, shared: false };
const TRY_SESSION_SHARED: S = S::TryAdvisoryLock { transaction: false, shared: true };
const TRY_XACT: S = S::TryAdvisoryLock { transaction: true, shared: false };
const TRY_XACT_SHARED: S = S::TryAdvisoryLock { transaction: true, shared: true };
const LOCK_SESSION: W = W::AdvisoryLock { transaction: false, shared: false };
const LOCK_SESSION_SHARED: W = W::AdvisoryLock { transaction: false, shared: true };
const LOCK_XACT: W = W::AdvisoryLock { transaction: true, shared: false };
const LOCK_XACT_SHARED: W = W::AdvisoryLock { transaction: true, shared: true };
const UNLOCK: S = S::AdvisoryUnlock { shared: false };
const UNLOCK_SHARED: S = S::AdvisoryUnlock { shared: true };

/// Of several that fit, the first one counts: exact types come before those that a cast leads to.
static SIGNATURES: &[Signature] = &[
    text("lower", &[Text], Text, T::Lower),
    text("upper", &[Text], Text, T::Upper),
    text("length", &[Text], Int4, T::Length),
    text("length", &[Bytea], Int4, T::Length),
    text("char_length", &[Text], Int4, T::Length),
    text("character_length", &[Text], Int4, T::Length),
    text("octet_length", &[Text], Int4, T::OctetLength),
    text("substr", &[Text, Int4], Text, T::Substring),
    text("substr", &[Text, Int4, Int4], Text, T::Substring),
    text("substring", &[Text, Int4], Text, T::Substring),
    text("substring", &[Text, Int4, Int4], Text, T::Substring),
    text("left", &[Text, Int4], Text, T::Left),
    text("right", &[Text, Int4], Text, T::Right),
    text("repeat", &[Text, Int4], Text, T::Repeat),
    text("replace", &[Text, Text, Text], Text, T::Replace),
    text("btrim", &[Text], Text, BOTH),
    text("btrim", &[Text, Text], Text, BOTH),
    text("ltrim", &[Text], Text, START),
    text("ltrim", &[Text, Text], Text, START),
    text("rtrim", &[Text], Text, END),
    text("rtrim", &[Text, Text], Text, END),
    text("strpos", &[Text, Text], Int4, T::Position),
    text("position", &[Text, Text], Int4, T::Position),
    text("reverse", &[Text], Text, T::Reverse),
    text("starts_with", &[Text, Text], Bool, T::StartsWith),
    text("split_part", &[Text, Text, Int4], Text, T::SplitPart),
    text("lpad", &[Text, Int4], Text, T::PadLeft),
    text("lpad", &[Text, Int4, Text], Text, T::PadLeft),
    text("rpad", &[Text, Int4], Text, T::PadRight),
    text("rpad", &[Text, Int4, Text], Text, T::PadRight),
    text("chr", &[Int4], Text, T::Character),
    text("ascii", &[Text], Int4, T::Code),
    pure("abs", &[Int2], Int2, F::Absolute(Int2)),
    pure("abs", &[Int4], Int4, F::Absolute(Int4)),
    pure("abs", &[Int8], Int8, F::Absolute(Int8)),
    pure("abs", &[Numeric(None)], Numeric(None), F::Absolute(Numeric(None))),
    pure("abs", &[Float8], Float8, F::Absolute(Float8)),
    pure("mod", &[Int4, Int4], Int4, F::Arithmetic(super::function::Arithmetic::Modulo, Int4)),
    pure("mod", &[Int8, Int8], Int8, F::Arithmetic(super::function::Arithmetic::Modulo, Int8)),
    pure("floor", &[Numeric(None)], Numeric(None), F::Round(Rounding::Down)),
    pure("floor", &[Float8], Float8, F::Round(Rounding::Down)),
    pure("ceil", &[Numeric(None)], Numeric(None), F::Round(Rounding::Up)),
    pure("ceil", &[Float8], Float8, F::Round(Rounding::Up)),
    pure("ceiling", &[Numeric(None)], Numeric(None), F::Round(Rounding::Up)),
    pure("round", &[Numeric(None)], Numeric(None), F::Round(Rounding::Nearest)),
    pure("round", &[Float8], Float8, F::Round(Rounding::Nearest)),
    pure("round", &[Numeric(None), Int4], Numeric(None), F::Round(Rounding::Nearest)),
    pure("trunc", &[Numeric(None)], Numeric(None), F::Round(Rounding::Truncate)),
    pure("trunc", &[Float8], Float8, F::Round(Rounding::Truncate)),
    pure("date_trunc", &[Text, Timestamptz], Timestamptz, F::DateTrunc),
    pure("date_trunc", &[Text, Timestamp], Timestamp, F::DateTrunc),
    pure("pg_snapshot_xmin", &[PgSnapshot], Xid8, F::SnapshotXmin),
    pure("pg_snapshot_xmax", &[PgSnapshot], Xid8, F::SnapshotXmax),
    pure("txid_snapshot_xmin", &[PgSnapshot], Int8, F::SnapshotXmin),
    pure("txid_snapshot_xmax", &[PgSnapshot], Int8, F::SnapshotXmax),
    pure("pg_wal_lsn_diff", &[PgLsn, PgLsn], Numeric(None), F::LsnDifference),
    waiting("nextval", &[Text], Int8, W::NextValue),
    session("currval", &[Text], Int8, S::CurrentValue),
    waiting("setval", &[Text, Int8], Int8, W::SetValue),
    waiting("setval", &[Text, Int8, Bool], Int8, W::SetValue),
    session("lastval", &[], Int8, S::LastValue),
    session("pg_get_serial_sequence", &[Text, Text], Text, S::SerialSequence),
    session("pg_current_xact_id", &[], Xid8, S::CurrentXactId),
    session("txid_current", &[], Int8, S::CurrentXactId),
    session("pg_current_xact_id_if_assigned", &[], Xid8, S::CurrentXactIdIfAssigned),
    session("txid_current_if_assigned", &[], Int8, S::CurrentXactIdIfAssigned),
    session("pg_current_snapshot", &[], PgSnapshot, S::CurrentSnapshot),
    session("txid_current_snapshot", &[], PgSnapshot, S::CurrentSnapshot),
    session("pg_xact_status", &[Xid8], Text, S::XactStatus),
    session("txid_status", &[Int8], Text, S::XactStatus),
    session("pg_visible_in_snapshot", &[Xid8, PgSnapshot], Bool, S::VisibleInSnapshot),
    session("txid_visible_in_snapshot", &[Int8, PgSnapshot], Bool, S::VisibleInSnapshot),
    session("pg_backend_pid", &[], Int4, S::BackendPid),
    session("pg_blocking_pids", &[Int4], Array(&Int4), S::BlockingPids),
    session("pg_cancel_backend", &[Int4], Bool, S::CancelBackend),
    session("pg_terminate_backend", &[Int4], Bool, S::TerminateBackend),
    session("pg_notify", &[Text, Text], Void, S::Notify),
    session("pg_try_advisory_lock", &[Int8], Bool, TRY_SESSION),
    session("pg_try_advisory_lock", &[Int4, Int4], Bool, TRY_SESSION),
    session("pg_try_advisory_lock_shared", &[Int8], Bool, TRY_SESSION_SHARED),
    session("pg_try_advisory_lock_shared", &[Int4, Int4], Bool, TRY_SESSION_SHARED),
    session("pg_try_advisory_xact_lock", &[Int8], Bool, TRY_XACT),
    session("pg_try_advisory_xact_lock", &[Int4, Int4], Bool, TRY_XACT),
    session("pg_try_advisory_xact_lock_shared", &[Int8], Bool, TRY_XACT_SHARED),
    session("pg_try_advisory_xact_lock_shared", &[Int4, Int4], Bool, TRY_XACT_SHARED),
    session("pg_advisory_unlock", &[Int8], Bool, UNLOCK),
    session("pg_advisory_unlock", &[Int4, Int4], Bool, UNLOCK),
    session("pg_advisory_unlock_shared", &[Int8], Bool, UNLOCK_SHARED),
    session("pg_advisory_unlock_shared", &[Int4, Int4], Bool, UNLOCK_SHARED),
    session("pg_advisory_unlock_all", &[], Void, S::AdvisoryUnlockAll),
    session("pg_current_wal_lsn", &[], PgLsn, S::CurrentLsn),
    session("pg_current_wal_flush_lsn", &[], PgLsn, S::CurrentLsn),
    session("pg_current_wal_insert_lsn", &[], PgLsn, S::InsertLsn),
    session("now", &[], Timestamptz, S::TransactionTime),
    session("transaction_timestamp", &[], Timestamptz, S::TransactionTime),
    session("statement_timestamp", &[], Timestamptz, S::StatementTime),
    session("clock_timestamp", &[], Timestamptz, S::ClockTime),
    session("current_setting", &[Text], Text, S::CurrentSetting),
    session("current_setting", &[Text, Bool], Text, S::CurrentSetting),
    session("set_config", &[Text, Text, Bool], Text, S::SetConfig),
    session("pg_drop_replication_slot", &[Text], Void, S::DropReplicationSlot),
    session("pg_is_in_recovery", &[], Bool, S::InRecovery),
    session("current_database", &[], Name, S::CurrentDatabase),
    session("current_user", &[], Name, S::CurrentUser),
    session("session_user", &[], Name, S::CurrentUser),
    waiting("pg_sleep", &[Float8], Void, W::Sleep),
    waiting("pg_advisory_lock", &[Int8], Void, LOCK_SESSION),
    waiting("pg_advisory_lock", &[Int4, Int4], Void, LOCK_SESSION),
    waiting("pg_advisory_lock_shared", &[Int8], Void, LOCK_SESSION_SHARED),
    waiting("pg_advisory_lock_shared", &[Int4, Int4], Void, LOCK_SESSION_SHARED),
    waiting("pg_advisory_xact_lock", &[Int8], Void, LOCK_XACT),
    waiting("pg_advisory_xact_lock", &[Int4, Int4], Void, LOCK_XACT),
    waiting("pg_advisory_xact_lock_shared", &[Int8], Void, LOCK_XACT_SHARED),
    waiting("pg_advisory_xact_lock_shared", &[Int4, Int4], Void, LOCK_XACT_SHARED),
];

/// The call of a function of fixed types; those of any type are the binder's.
pub(in super::super) fn resolve(name: &str, args: Vec<Typed>, params: &Params) -> Result<Typed, SqlError> {
    let named = SIGNATURES.iter().filter(|signature| signature.0 == name);
    let fits = |signature: &&Signature| {
        signature.1.len() == args.len()
            && signature
                .1
                .iter()
                .zip(&args)
                .all(|(to, arg)| cast::context(arg.kind, *to) == Some(Context::Implicit))
    };
    let exact =
        |signature: &&Signature| signature.1.iter().zip(&args).all(|(to, arg)| *to == arg.kind.base());
    let candidates: Vec<&Signature> = named.filter(fits).collect();
    // An unknown literal prefers texts, as PostgreSQL's rules have it; numbers their own type.
    let Some((_, types, result, callable)) =
        candidates.iter().find(|signature| exact(signature)).or(candidates.first())
    else {
        let kinds: Vec<String> = args.iter().map(|arg| arg.kind.to_string()).collect();
        return Err(SqlError::unknown(format!("the function {name}({})", kinds.join(", ")), &known(name)));
    };
    let mut taken = Vec::with_capacity(args.len());
    for (arg, to) in args.into_iter().zip(*types) {
        taken.push(coerced(arg, *to, Context::Implicit, params)?.unwrap_or(Expr::Const(super::Value::Null)));
    }
    let taken = taken.into();
    let expr = match callable {
        Callable::Pure(function) => Expr::Apply(*function, taken),
        Callable::Session(function) => Expr::Session(*function, taken),
        Callable::Waiting(function) => Expr::Waiting(*function, taken),
    };
    Ok(Typed::new(expr, *result))
}

fn known(name: &str) -> String {
    let list = |(name, args, ..): &Signature| {
        let args: Vec<String> = args.iter().map(ToString::to_string).collect();
        format!("{name}({})", args.join(", "))
    };
    let same: Vec<String> = SIGNATURES.iter().filter(|signature| signature.0 == name).map(list).collect();
    same.join(", ")
}
