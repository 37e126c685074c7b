//! Logical replication slots with the plugin `test_decoding`, read with SQL functions.

use std::sync::Arc;

use super::catalog::Column;
use super::id::{Lsn, Slot, Xid};
use super::session::Session;
use super::state::State;
use super::wait::{Step, Target};
use super::wal::{Action, Change, Commit};
use crate::model::database::error::SqlError;
use crate::model::database::error::state::{
    ACTIVE_SQL_TRANSACTION, DUPLICATE_OBJECT, INVALID_PARAMETER_VALUE, UNDEFINED_OBJECT,
};
use crate::model::database::types::Type;
use crate::model::database::value::Value;
use crate::model::footprint::Resource;

/// A logical slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReplicationSlot {
    /// What comes before was received for good.
    pub(crate) confirmed: Lsn,
    /// The same as of the last checkpoint: where a crash takes it back to.
    pub(crate) saved: Lsn,
}

/// A line of a slot's changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotLine {
    pub(crate) lsn: Lsn,
    pub(crate) xid: Xid,
    pub(crate) text: String,
}

/// How much to read of a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct SlotBounds {
    /// No transaction that commits at this place or later.
    pub(crate) upto: Option<Lsn>,
    /// No further transaction once there are this many lines.
    pub(crate) lines: Option<usize>,
    /// `include-xids` is off.
    pub(crate) without_xids: bool,
    /// `skip-empty-xacts` is on.
    pub(crate) skip_empty: bool,
}

impl State {
    fn replication_slot(&self, name: &str) -> Result<&ReplicationSlot, SqlError> {
        self.wal.slots.get(name).ok_or_else(|| {
            SqlError::new(UNDEFINED_OBJECT, format!("replication slot \"{name}\" does not exist"))
        })
    }

    /// The lines that the slot has, and where reading ended.
    pub(super) fn slot_lines(
        &mut self,
        name: &str,
        bounds: SlotBounds,
    ) -> Result<(Vec<SlotLine>, Lsn), SqlError> {
        self.wal.catch_up();
        self.footprints.read(|| Resource::one("db slot", name));
        self.footprints.read(|| Resource::all("db commits"));
        let slot = self.replication_slot(name)?;
        let (confirmed, mut end) = (slot.confirmed, self.wal.flushed.max(slot.confirmed));
        let mut lines = Vec::new();
        for commit in &self.wal.commits {
            if commit.lsn < confirmed {
                continue;
            }
            if commit.end > self.wal.flushed || bounds.upto.is_some_and(|upto| upto <= commit.lsn) {
                end = commit.lsn;
                break;
            }
            decode(commit, bounds, &mut lines);
            if bounds.lines.is_some_and(|most| most <= lines.len()) {
                end = commit.end;
                break;
            }
        }
        Ok((lines, end))
    }

    /// What comes before `upto` was received.
    pub(super) fn confirm(&mut self, name: &str, upto: Lsn) -> Result<Lsn, SqlError> {
        self.wal.catch_up();
        self.footprints.write(|| Resource::one("db slot", name));
        let upto = upto.min(self.wal.flushed);
        let confirmed = self.replication_slot(name)?.confirmed;
        if upto < confirmed {
            let message = format!("cannot advance replication slot to {upto}, minimum is {confirmed}");
            return Err(SqlError::new(super::super::error::state::OBJECT_NOT_IN_PREREQUISITE_STATE, message));
        }
        if let Some(slot) = self.wal.slots.get_mut(name) {
            slot.confirmed = upto;
        }
        self.wal.trim();
        Ok(upto)
    }

    fn check_new_slot(&self, slot: Slot, name: &str) -> Result<(), SqlError> {
        let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        if name.is_empty() || name.len() > 63 || !name.chars().all(valid) {
            let message = if name.is_empty() {
                format!("replication slot name \"{name}\" is too short")
            } else {
                format!("replication slot name \"{name}\" contains invalid character")
            };
            return Err(SqlError::new("42602", message));
        }
        if self.wal.slots.contains_key(name) {
            let message = format!("replication slot \"{name}\" already exists");
            return Err(SqlError::new(DUPLICATE_OBJECT, message));
        }
        if !self.proc(slot).top().is_none() {
            let message = "cannot create logical replication slot in transaction that has performed writes";
            return Err(SqlError::new(ACTIVE_SQL_TRANSACTION, message));
        }
        Ok(())
    }

    /// The first of those transactions that has not ended.
    fn first_running(&self, xids: &[Xid]) -> Step<()> {
        match xids.iter().find(|xid| self.xacts.is_running(**xid)) {
            Some(xid) => Step::Wait(Target::End(*xid)),
            None => Step::Done(()),
        }
    }
}

impl Session {
    /// `pg_create_logical_replication_slot`: waits for the transactions that run, as PostgreSQL's snapshot
    /// builder does: for those that run now, and then for those that have begun meanwhile.
    pub(crate) async fn create_slot(&mut self, name: &str, plugin: &str) -> Result<Lsn, SqlError> {
        if plugin != "test_decoding" {
            return Err(SqlError::unknown(format!("the output plugin `{plugin}`"), "test_decoding"));
        }
        let running = {
            let state = self.shared.lock();
            state.check_new_slot(self.slot, name)?;
            state.xacts.running()
        };
        self.drive(|state, _| Ok(state.first_running(&running))).await?;
        let name: Arc<str> = name.into();
        let running = {
            let mut state = self.shared.lock();
            let (confirmed, saved) = (state.wal.end, state.wal.end);
            state.wal.slots.insert(name.clone(), ReplicationSlot { confirmed, saved });
            state.xacts.running()
        };
        let built = self.drive(|state, _| Ok(state.first_running(&running))).await;
        let mut state = self.shared.lock();
        if let Err(error) = built {
            state.wal.slots.remove(&name);
            return Err(error);
        }
        state.footprints.write(|| Resource::one("db slot", &*name));
        let end = state.wal.end;
        state.wal.flush();
        state.wal.slots.insert(name, ReplicationSlot { confirmed: end, saved: end });
        state.wal.trim();
        Ok(end)
    }

    /// `pg_drop_replication_slot`.
    pub(crate) fn drop_slot(&mut self, name: &str) -> Result<(), SqlError> {
        let mut state = self.shared.lock();
        state.replication_slot(name)?;
        state.footprints.write(|| Resource::one("db slot", name));
        state.wal.slots.remove(name);
        state.wal.trim();
        Ok(())
    }

    /// `pg_logical_slot_peek_changes`.
    pub(crate) fn peek(&mut self, name: &str, bounds: SlotBounds) -> Result<Vec<SlotLine>, SqlError> {
        Ok(self.shared.lock().slot_lines(name, bounds)?.0)
    }

    /// `pg_logical_slot_get_changes`.
    pub(crate) fn get(&mut self, name: &str, bounds: SlotBounds) -> Result<Vec<SlotLine>, SqlError> {
        let mut state = self.shared.lock();
        let (lines, end) = state.slot_lines(name, bounds)?;
        state.confirm(name, end)?;
        Ok(lines)
    }

    /// `pg_replication_slot_advance`: returns how far it got.
    pub(crate) fn advance(&mut self, name: &str, upto: Lsn) -> Result<Lsn, SqlError> {
        if upto == Lsn(0) {
            return Err(SqlError::new(INVALID_PARAMETER_VALUE, "invalid target WAL LSN"));
        }
        self.shared.lock().confirm(name, upto)
    }

    /// The slots there are, by name (`pg_replication_slots`).
    pub(crate) fn replication_slots(&self) -> Vec<(Arc<str>, ReplicationSlot)> {
        let state = self.shared.lock();
        state.footprints.read(|| Resource::all("db slot"));
        state.wal.slots.iter().map(|(name, slot)| (name.clone(), slot.clone())).collect()
    }

    /// `pg_current_wal_lsn`.
    pub(crate) fn current_lsn(&self) -> Lsn {
        let state = self.shared.lock();
        state.footprints.read(|| Resource::all("db commits"));
        state.wal.end
    }
}

fn decode(commit: &Commit, bounds: SlotBounds, lines: &mut Vec<SlotLine>) {
    let xid = commit.xid;
    let silent = bounds.skip_empty && commit.changes.is_empty();
    let first = commit.changes.first().map_or(commit.lsn, |change| change.lsn);
    let named = |word: &str| if bounds.without_xids { word.to_owned() } else { format!("{word} {xid}") };
    if !silent {
        lines.push(SlotLine { lsn: first, xid, text: named("BEGIN") });
    }
    lines.extend(commit.changes.iter().map(|change| line(change, xid)));
    if !silent {
        lines.push(SlotLine { lsn: commit.end, xid, text: named("COMMIT") });
    }
}

fn line(change: &Change, xid: Xid) -> SlotLine {
    let name = identifier(&change.table.name);
    let text = format!("table public.{name}: {}", action(change, &change.table.columns));
    SlotLine { lsn: change.lsn, xid, text }
}

fn action(change: &Change, columns: &[Column]) -> String {
    let key = |tuple: &[Value]| values(tuple, columns, Some(&change.identity));
    match &change.action {
        Action::Insert(tuple) => format!("INSERT:{}", values(tuple, columns, None)),
        Action::Update { old, new } => {
            let moved = change.identity.iter().any(|column| old.get(*column) != new.get(*column));
            let new = values(new, columns, None);
            if moved {
                format!("UPDATE: old-key:{} new-tuple:{new}", key(old))
            } else {
                format!("UPDATE:{new}")
            }
        }
        Action::Delete(_) if change.identity.is_empty() => "DELETE: (no-tuple-data)".to_owned(),
        Action::Delete(old) => format!("DELETE:{}", key(old)),
        Action::Truncate => "TRUNCATE: (no-flags)".to_owned(),
    }
}

fn values(tuple: &[Value], columns: &[Column], only: Option<&[usize]>) -> String {
    let numbered = columns.iter().zip(tuple).enumerate();
    let wanted = numbered.filter(|(number, _)| only.is_none_or(|only| only.contains(number)));
    let wanted = wanted.filter(|(_, (_, value))| only.is_none() || !value.is_null());
    let printed = wanted.map(|(_, (column, value))| {
        format!(" {}[{}]:{}", identifier(&column.name), column.kind, literal(value, column.kind))
    });
    printed.collect()
}

/// As the plugin's `print_literal` has it.
fn literal(value: &Value, kind: Type) -> String {
    let Some(text) = value.output(kind) else { return "null".to_owned() };
    match (value, kind) {
        (Value::Bool(value), _) => value.to_string(),
        _ if kind.is_number() || kind == Type::Oid => text,
        _ => format!("'{}'", text.replace('\'', "''")),
    }
}

/// As PostgreSQL's `quote_identifier` has it, but for its key words.
fn identifier(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let is_plain = name.chars().all(plain) && !name.starts_with(|c: char| c.is_ascii_digit());
    if is_plain { name.to_owned() } else { format!("\"{}\"", name.replace('"', "\"\"")) }
}
