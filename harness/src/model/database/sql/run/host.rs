//! Functions that look at the session.

use std::sync::Arc;

use super::super::super::error::{SqlError, state};
use super::super::super::store::{SequenceId, SessionId, Xid};
use super::super::super::value::Value;
use super::super::expression::{Host, SessionFunction as F};
use super::super::settings;
use super::Run;
use super::value::advisory_key;

impl Host for Run<'_> {
    fn call(&mut self, function: F, args: &[Value]) -> Result<Value, SqlError> {
        // All of them are strict, but for the one that sends a null as an empty text.
        if function != F::Notify && args.iter().any(Value::is_null) {
            return Ok(Value::Null);
        }
        Ok(match (function, args) {
            (F::CurrentValue, [Value::Text(name)]) => {
                let id = self.sequence(name)?;
                Value::Int(self.session.currval(id)?)
            }
            (F::LastValue, _) => Value::Int(self.session.lastval()?),
            (F::SerialSequence, [Value::Text(table), Value::Text(column)]) => {
                self.serial_sequence(table, column)?
            }
            (F::CurrentXactId, _) => xid(self.session.transaction_id()),
            (F::CurrentXactIdIfAssigned, _) => {
                self.session.transaction_id_if_assigned().map_or(Value::Null, xid)
            }
            (F::CurrentSnapshot, _) => self.snapshot_text(),
            (F::XactStatus, [Value::Int(id)]) => self.transaction_status(*id)?,
            (F::VisibleInSnapshot, [Value::Int(id), Value::Text(snapshot)]) => {
                Value::Bool(is_visible(*id, snapshot))
            }
            (F::BackendPid, _) => Value::Int(self.session.id().0.into()),
            (F::BlockingPids, [Value::Int(pid)]) => {
                let pids = self.session.blocking_pids(session_id(*pid));
                let mut pids: Vec<i64> = pids.into_iter().map(|pid| pid.0.into()).collect();
                pids.dedup();
                Value::Array(pids.into_iter().map(Value::Int).collect())
            }
            (F::CancelBackend, [Value::Int(pid)]) => Value::Bool(self.session.cancel(session_id(*pid))),
            (F::TerminateBackend, [Value::Int(pid)]) => Value::Bool(self.session.terminate(session_id(*pid))),
            (F::Notify, [channel, payload]) => {
                let text =
                    |value: &Value| if let Value::Text(text) = value { Arc::clone(text) } else { "".into() };
                let (channel, payload) = (text(channel), text(payload));
                check_notify(&channel, &payload)?;
                self.session.notify(&channel, &payload);
                Value::void()
            }
            (F::InRecovery, _) => Value::Bool(false),
            (F::CurrentDatabase | F::CurrentUser, _) => Value::text("postgres"),
            (function, args) => self.session_function(function, args)?,
        })
    }
}

impl Run<'_> {
    fn session_function(&mut self, function: F, args: &[Value]) -> Result<Value, SqlError> {
        Ok(match (function, args) {
            (F::TryAdvisoryLock { transaction, shared }, args) => {
                Value::Bool(self.session.try_advisory_lock(advisory_key(args), shared, !transaction))
            }
            (F::AdvisoryUnlock { shared }, args) => {
                let freed = self.session.advisory_unlock(advisory_key(args), shared);
                if !freed {
                    let mode = if shared { "ShareLock" } else { "ExclusiveLock" };
                    self.state.warn("01000", format!("you don't own a lock of type {mode}"));
                }
                Value::Bool(freed)
            }
            (F::AdvisoryUnlockAll, _) => {
                self.session.advisory_unlock_all();
                Value::void()
            }
            (F::CurrentLsn | F::InsertLsn, _) => Value::Lsn(self.session.current_lsn().0),
            (F::TransactionTime, _) => Value::Timestamp(self.state.transaction_start_us),
            (F::StatementTime, _) => Value::Timestamp(self.state.statement_start_us),
            (F::ClockTime, _) => Value::Timestamp(self.state.clock.now_us()),
            (F::CurrentSetting, [Value::Text(name), rest @ ..]) => {
                let missing_ok = rest.first() == Some(&Value::Bool(true));
                match settings::show(self.state, self.session, name) {
                    Ok(value) => Value::text(value),
                    Err(_) if missing_ok => Value::Null,
                    Err(error) => return Err(error),
                }
            }
            (F::SetConfig, [Value::Text(name), Value::Text(value), Value::Bool(local)]) => {
                settings::set(self.state, self.session, name, Some(value), *local)?;
                Value::text(settings::show(self.state, self.session, name)?)
            }
            (F::DropReplicationSlot, [Value::Text(name)]) => {
                self.session.drop_slot(name)?;
                Value::void()
            }
            _ => unreachable!("the arguments of {function:?} were cast to the types of the signature"),
        })
    }

    /// The sequence that a text names.
    pub(super) fn sequence(&self, name: &str) -> Result<SequenceId, SqlError> {
        let name = relation_name(name);
        self.session.sequence_named(&name).ok_or_else(|| {
            if self.session.table_named(&name).is_some() {
                return SqlError::new(state::WRONG_OBJECT_TYPE, format!("\"{name}\" is not a sequence"));
            }
            SqlError::no_relation(&name)
        })
    }

    fn serial_sequence(&self, table: &str, column: &str) -> Result<Value, SqlError> {
        let name = relation_name(table);
        let found = self.session.table_named(&name).ok_or_else(|| SqlError::no_relation(&name))?;
        let schema = super::super::catalog::schema_of(&found.1);
        let number = schema.position(column).ok_or_else(|| {
            let message = format!("column \"{column}\" of relation \"{name}\" does not exist");
            SqlError::new(state::UNDEFINED_COLUMN, message)
        })?;
        let sequence = schema.columns[number].sequence.as_ref();
        Ok(sequence.map_or(Value::Null, |sequence| Value::text(format!("public.{sequence}"))))
    }

    fn snapshot_text(&self) -> Value {
        let facts = self.session.snapshot_facts(&self.snapshot);
        let running: Vec<String> = facts.running.iter().map(ToString::to_string).collect();
        Value::text(format!("{}:{}:{}", facts.xmin, facts.xmax, running.join(",")))
    }

    fn transaction_status(&self, id: i64) -> Result<Value, SqlError> {
        let xid = Xid(u64::try_from(id).unwrap_or_default());
        match self.session.transaction_status(xid) {
            Some(status) => Ok(Value::text(status)),
            None => {
                let message = format!("transaction ID {id} is in the future");
                Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message))
            }
        }
    }
}

fn xid(xid: Xid) -> Value {
    Value::Int(i64::try_from(xid.0).unwrap_or(i64::MAX))
}

fn session_id(pid: i64) -> SessionId {
    SessionId(u32::try_from(pid).unwrap_or_default())
}

fn is_visible(id: i64, snapshot: &str) -> bool {
    let mut parts = snapshot.split(':');
    let mut number = || parts.next().and_then(|part| part.parse::<i64>().ok()).unwrap_or_default();
    let (xmin, xmax) = (number(), number());
    let running = parts.next().unwrap_or_default();
    let runs = running.split(',').any(|part| part.parse() == Ok(id));
    id < xmin || id < xmax && !runs
}

/// What `NOTIFY` takes.
pub(in super::super) fn check_notify(channel: &str, payload: &str) -> Result<(), SqlError> {
    let wrong = |message: &str| Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message));
    if channel.is_empty() {
        return wrong("channel name cannot be empty");
    }
    if channel.len() >= 64 {
        return wrong("channel name too long");
    }
    if payload.len() >= 8000 {
        return wrong("payload string too long");
    }
    Ok(())
}

/// A name within a text: folded to lower case unless in quotes, its schema dropped where it is `public`.
pub(in super::super) fn relation_name(text: &str) -> Arc<str> {
    let name = text.trim();
    let name = name.strip_prefix("public.").unwrap_or(name);
    match name.strip_prefix('"').and_then(|name| name.strip_suffix('"')) {
        Some(quoted) => quoted.into(),
        None => name.to_lowercase().into(),
    }
}
