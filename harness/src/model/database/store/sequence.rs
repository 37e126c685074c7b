//! Sequences: what they have given out they never take back, and a crash skips what was logged ahead
//! (PostgreSQL's `sequence.c`).

use std::collections::BTreeMap;
use std::sync::Arc;

use super::catalog::Versioned;
use super::id::{Lsn, SequenceId, Slot};
use super::lock::{LockMode, LockTag};
use super::proc::Written;
use super::session::Session;
use super::state::State;
use super::wait::{Step, Target};
use crate::model::cases::Planted;
use crate::model::database::error::SqlError;
use crate::model::database::error::state::{
    NUMERIC_VALUE_OUT_OF_RANGE, OBJECT_NOT_IN_PREREQUISITE_STATE, UNDEFINED_TABLE,
};
use crate::model::footprint::Resource;

/// How many values are logged ahead (`SEQ_LOG_VALS`).
const LOGGED_AHEAD: i64 = 32;

/// A sequence's definition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SequenceDef {
    pub(crate) name: Arc<str>,
    pub(crate) start: i64,
    pub(crate) increment: i64,
    pub(crate) min: i64,
    pub(crate) max: i64,
    pub(crate) cycle: bool,
}

impl SequenceDef {}

/// Where a sequence stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    last: i64,
    /// Whether `last` has been given out.
    called: bool,
}

#[derive(Debug, Clone)]
struct Sequence {
    def: Versioned<SequenceDef>,
    place: Place,
    /// How many values can be given out before the next is logged.
    ahead: i64,
    /// What the log says, oldest first: all but the first not flushed yet.
    logged: Vec<(Lsn, Place)>,
}

/// All sequences.
#[derive(Debug, Clone, Default)]
pub(super) struct Sequences {
    list: Vec<Sequence>,
    names: BTreeMap<Arc<str>, Vec<SequenceId>>,
    /// Where sequences stood before the transactions that run took values; only where that error is planted.
    before: Vec<(Slot, SequenceId, Place)>,
}

impl Sequences {
    fn get(&self, id: SequenceId) -> &Sequence {
        &self.list[id.0 as usize]
    }

    fn get_mut(&mut self, id: SequenceId) -> &mut Sequence {
        &mut self.list[id.0 as usize]
    }

    /// What is left after a crash: what the log has, as far as it was flushed.
    pub(super) fn crash(&mut self, flushed: Lsn) {
        for sequence in &mut self.list {
            sequence.settle(flushed);
            sequence.logged.truncate(1);
            if let Some((_, place)) = sequence.logged.first() {
                sequence.place = *place;
            }
            sequence.ahead = 0;
        }
    }
}

impl Sequence {
    fn log(&mut self, lsn: Lsn, place: Place, flushed: Lsn) {
        self.settle(flushed);
        self.logged.push((lsn, place));
    }

    /// Forgets log records that a later flushed one has replaced.
    fn settle(&mut self, flushed: Lsn) {
        let safe = self.logged.iter().rposition(|(lsn, _)| *lsn < flushed).unwrap_or(0);
        self.logged.drain(..safe);
    }
}

/// What a number of steps leads to, or none where it is beyond the bounds.
fn step(def: &SequenceDef, from: i64, steps: i64) -> Option<i64> {
    let to = def.increment.checked_mul(steps).and_then(|by| from.checked_add(by))?;
    (def.min..=def.max).contains(&to).then_some(to)
}

impl State {
    fn sequence_def(&self, slot: Slot, id: SequenceId) -> Result<&SequenceDef, SqlError> {
        let def = self.sequences.get(id).def.current(&self.xacts, self.proc(slot).top());
        def.ok_or_else(|| SqlError::new(UNDEFINED_TABLE, format!("sequence {} does not exist", id.0)))
    }

    fn next_value(&mut self, slot: Slot, id: SequenceId) -> Result<i64, SqlError> {
        self.footprints.write(|| Resource::one("db sequences", id));
        let def = self.sequence_def(slot, id)?.clone();
        let sequence = self.sequences.get(id);
        let place = sequence.place;
        let first = !place.called;
        let next = if first { Some(place.last) } else { step(&def, place.last, 1) };
        let value = match next {
            Some(value) => value,
            None if def.cycle => {
                if def.increment > 0 {
                    def.min
                } else {
                    def.max
                }
            }
            None => return Err(exhausted(&def)),
        };
        let stale = sequence.logged.last().is_none_or(|(lsn, _)| *lsn <= self.wal.checkpoint);
        let log = first || stale || sequence.ahead < 1;
        if log {
            self.log_ahead(slot, id, &def, value);
        }
        if self.planted == Some(Planted::SequencesRollBack) {
            self.sequences.before.push((slot, id, place));
        }
        let sequence = self.sequences.get_mut(id);
        sequence.ahead -= i64::from(!log);
        sequence.place = Place { last: value, called: true };
        let proc = self.proc_mut(slot);
        proc.last_values.insert(id, value);
        proc.last_sequence = Some(id);
        Ok(value)
    }

    /// A transaction has ended. Sequences do not go back by that, unless the error is planted that they do.
    pub(super) fn end_values(&mut self, slot: Slot, committed: bool) {
        if self.planted != Some(Planted::SequencesRollBack) {
            return;
        }
        let (own, others): (Vec<_>, Vec<_>) =
            std::mem::take(&mut self.sequences.before).into_iter().partition(|(of, ..)| *of == slot);
        self.sequences.before = others;
        if !committed && let Some((_, id, place)) = own.first() {
            self.sequences.get_mut(*id).place = *place;
        }
    }

    /// Logs values ahead; the transaction gets an id by that, so that its commit flushes the log.
    fn log_ahead(&mut self, slot: Slot, id: SequenceId, def: &SequenceDef, value: i64) {
        self.xid(slot);
        let mut ahead = LOGGED_AHEAD;
        while ahead > 0 && step(def, value, ahead).is_none() {
            ahead -= 1;
        }
        let last = step(def, value, ahead).unwrap_or(value);
        let lsn = self.wal.write(96);
        let flushed = self.wal.flushed;
        let sequence = self.sequences.get_mut(id);
        sequence.log(lsn, Place { last, called: true }, flushed);
        sequence.ahead = ahead;
    }

    fn lock_sequence(&mut self, slot: Slot, id: SequenceId, mode: LockMode) -> Step<()> {
        let tag = LockTag::Sequence(id);
        let held = self.proc(slot).held.iter().any(|held| held.tag == tag && held.mode >= mode);
        if held || self.try_lock(slot, tag, mode, false) {
            Step::Done(())
        } else {
            Step::Wait(Target::Lock(tag, mode))
        }
    }
}

fn exhausted(def: &SequenceDef) -> SqlError {
    let (word, bound) = if def.increment > 0 { ("maximum", def.max) } else { ("minimum", def.min) };
    let message = format!("nextval: reached {word} value of sequence \"{}\" ({bound})", def.name);
    SqlError::new("2200H", message)
}

impl Session {
    /// `CREATE SEQUENCE`.
    pub(crate) fn create_sequence(&mut self, def: SequenceDef) -> SequenceId {
        let mut state = self.shared.lock();
        let xid = state.xid(self.slot);
        let count = state.sequences.list.len();
        let id = SequenceId(u32::try_from(count).expect("a model has less than 2^32 sequences"));
        state.sequences.names.entry(def.name.clone()).or_default().push(id);
        let place = Place { last: def.start, called: false };
        let lsn = state.wal.write(96);
        let (def, logged) = (Versioned::new(xid, def), vec![(lsn, place)]);
        state.sequences.list.push(Sequence { def, place, ahead: 0, logged });
        state.note_catalog(self.slot);
        id
    }

    /// Changes a sequence's definition; the caller has locked it.
    pub(crate) fn alter_sequence(&mut self, id: SequenceId, def: Option<SequenceDef>) {
        let mut state = self.shared.lock();
        let xid = state.xid(self.slot);
        if let Some(def) = &def {
            let ids = state.sequences.names.entry(def.name.clone()).or_default();
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        let State { sequences, xacts, .. } = &mut *state;
        sequences.get_mut(id).def.change(xid, def, xacts);
        sequences.get_mut(id).ahead = 0;
        state.note_catalog(self.slot);
    }

    /// The sequence of that name.
    pub(crate) fn sequence_named(&self, name: &str) -> Option<SequenceId> {
        let state = self.shared.lock();
        let me = state.proc(self.slot).top();
        let ids = state.sequences.names.get(name)?;
        let is_named = |id: &&SequenceId| {
            let def = state.sequences.get(**id).def.current(&state.xacts, me);
            def.is_some_and(|def| &*def.name == name)
        };
        ids.iter().find(is_named).copied()
    }

    /// Locks a sequence.
    pub(crate) async fn lock_sequence(&mut self, id: SequenceId, mode: LockMode) -> Result<(), SqlError> {
        self.drive(|state, slot| Ok(state.lock_sequence(slot, id, mode))).await
    }

    /// `nextval`.
    pub(crate) async fn nextval(&mut self, id: SequenceId) -> Result<i64, SqlError> {
        self.drive(|state, slot| match state.lock_sequence(slot, id, LockMode::RowExclusive) {
            Step::Wait(target) => Ok(Step::Wait(target)),
            Step::Done(()) => state.next_value(slot, id).map(Step::Done),
        })
        .await
    }

    /// `setval`.
    pub(crate) async fn setval(&mut self, id: SequenceId, value: i64, called: bool) -> Result<(), SqlError> {
        self.lock_sequence(id, LockMode::RowExclusive).await?;
        let mut state = self.shared.lock();
        let def = state.sequence_def(self.slot, id)?.clone();
        if !(def.min..=def.max).contains(&value) {
            let (name, min, max) = (&def.name, def.min, def.max);
            let message =
                format!("setval: value {value} is out of bounds for sequence \"{name}\" ({min}..{max})");
            return Err(SqlError::new(NUMERIC_VALUE_OUT_OF_RANGE, message));
        }
        state.footprints.write(|| Resource::one("db sequences", id));
        state.xid(self.slot);
        let place = Place { last: value, called };
        let (lsn, flushed) = (state.wal.write(96), state.wal.flushed);
        let sequence = state.sequences.get_mut(id);
        (sequence.place, sequence.ahead) = (place, 0);
        sequence.log(lsn, place, flushed);
        if called {
            state.proc_mut(self.slot).last_values.insert(id, value);
        }
        Ok(())
    }

    /// `currval`.
    pub(crate) fn currval(&self, id: SequenceId) -> Result<i64, SqlError> {
        let state = self.shared.lock();
        let value = state.proc(self.slot).last_values.get(&id).copied();
        let name = state.sequence_def(self.slot, id)?.name.clone();
        value.ok_or_else(|| {
            let message = format!("currval of sequence \"{name}\" is not yet defined in this session");
            SqlError::new(OBJECT_NOT_IN_PREREQUISITE_STATE, message)
        })
    }

    /// `lastval`.
    pub(crate) fn lastval(&self) -> Result<i64, SqlError> {
        let state = self.shared.lock();
        let proc = state.proc(self.slot);
        proc.last_sequence.and_then(|id| proc.last_values.get(&id).copied()).ok_or_else(|| {
            SqlError::new(OBJECT_NOT_IN_PREREQUISITE_STATE, "lastval is not yet defined in this session")
        })
    }
}

impl State {
    /// Notes that the transaction has changed a definition.
    pub(super) fn note_catalog(&mut self, slot: Slot) {
        self.catalog_version += 1;
        self.footprints.write(|| Resource::all("db catalog"));
        self.tx_mut(slot).written.push(Written::Catalog);
    }
}
