//! Dangerous structures: two dependencies in a row, `T1 -> T2 -> T3`, of which T3 commits first.

use super::{Flags, Seq, Ssi, SsiId, Sxact, canceled};
use crate::model::database::error::SqlError;
use crate::model::database::store::id::Slot;
use crate::model::database::store::state::State;
use crate::model::footprint::{Footprints, Resource};

impl Ssi {
    /// A new dependency of `reader` on `writer`, one of which is `me`. Where it makes a dangerous structure,
    /// somebody has to go (`FlagRWConflict`).
    pub(super) fn depend(
        &mut self,
        footprints: &Footprints,
        me: SsiId,
        reader: SsiId,
        writer: SsiId,
    ) -> Result<(), SqlError> {
        footprints.read(|| Resource::all("db ssi ends"));
        self.note_write(footprints, reader);
        self.note_write(footprints, writer);
        for other in &self.get(reader).into {
            self.note_read(footprints, *other);
        }
        if self.is_dangerous(reader, writer) {
            let pivot = self.get_mut(writer);
            if me == writer {
                return Err(canceled("Canceled on identification as a pivot, during write."));
            }
            if pivot.is(Flags::PREPARED) {
                let xid = pivot.xid;
                return Err(canceled(&format!("Canceled on conflict out to pivot {xid}, during read.")));
            }
            pivot.set(Flags::DOOMED);
        }
        self.get_mut(reader).out.push(writer);
        self.get_mut(writer).into.push(reader);
        Ok(())
    }

    /// `OnConflict_CheckForSerializationFailure`.
    fn is_dangerous(&self, reader: SsiId, writer: SsiId) -> bool {
        let (reader, writer) = (self.get(reader), self.get(writer));
        let committed_with_conflict = writer.is(Flags::COMMITTED) && writer.is(Flags::CONFLICT_OUT);
        committed_with_conflict
            || self.writer_is_pivot(reader, writer)
            || self.reader_is_pivot(reader, writer)
    }

    /// Reader -> writer -> T2, and T2 commits first: before the others, and before a read-only reader took its
    /// snapshot. One that is prepared commits before those that are not.
    fn writer_is_pivot(&self, reader: &Sxact, writer: &Sxact) -> bool {
        let first = |t2: &Sxact| {
            t2.is(Flags::PREPARED)
                && (!reader.is(Flags::COMMITTED) || t2.prepared <= reader.committed)
                && (!writer.is(Flags::COMMITTED) || t2.prepared <= writer.committed)
                && (!reader.is(Flags::READ_ONLY) || t2.prepared <= reader.last_commit_before_snapshot)
        };
        writer.is(Flags::UNKNOWN_CONFLICTS) || writer.out.iter().any(|t2| first(self.get(*t2)))
    }

    /// T0 -> reader -> writer, and the writer commits first: before T0, and before a read-only T0 took its
    /// snapshot.
    fn reader_is_pivot(&self, reader: &Sxact, writer: &Sxact) -> bool {
        let Sxact { prepared: first, .. } = *writer;
        let later = |t0: &Sxact| {
            !t0.is(Flags::DOOMED)
                && (!t0.is(Flags::COMMITTED) || t0.committed >= first)
                && (!t0.is(Flags::READ_ONLY) || t0.last_commit_before_snapshot >= first)
        };
        writer.is(Flags::PREPARED)
            && !reader.is(Flags::READ_ONLY)
            && (reader.is(Flags::UNKNOWN_CONFLICTS) || reader.into.iter().any(|t0| later(self.get(*t0))))
    }

    /// The transaction commits first of all it takes part in: a pivot that depends on it and on which another
    /// one depends has to go (`PreCommit_CheckForSerializationFailure`).
    fn precommit(&mut self, me: SsiId) -> Result<(), SqlError> {
        for near in self.get(me).into.clone() {
            let pivot = self.get(near);
            if pivot.is(Flags::COMMITTED) || pivot.is(Flags::DOOMED) {
                continue;
            }
            // One that was chosen just now is no danger any more.
            let counts = |far: SsiId| {
                let t1 = self.get(far);
                far == me || !(t1.is(Flags::COMMITTED) || t1.is(Flags::READ_ONLY) || t1.is(Flags::DOOMED))
            };
            if !pivot.into.iter().any(|far| counts(*far)) {
                continue;
            }
            if pivot.is(Flags::PREPARED) {
                let reason = "Canceled on commit attempt with conflict in from prepared pivot.";
                return Err(canceled(reason));
            }
            self.get_mut(near).set(Flags::DOOMED);
        }
        let prepared = self.next_seq();
        let xact = self.get_mut(me);
        xact.prepared = prepared;
        xact.set(Flags::PREPARED);
        Ok(())
    }

    pub(super) fn next_seq(&mut self) -> Seq {
        self.last_commit += 1;
        self.last_commit
    }
}

impl State {
    /// The last check before the transaction commits or is prepared.
    pub(in super::super) fn ssi_precommit(&mut self, slot: Slot) -> Result<(), SqlError> {
        let Some(id) = self.serial(slot) else { return Ok(()) };
        self.footprints.write(|| Resource::all("db ssi ends"));
        self.footprints.write(|| Resource::all("db ssi transactions"));
        self.check_doomed(id, "during commit attempt")?;
        self.ssi.precommit(id)
    }
}
