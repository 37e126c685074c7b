//! Dependencies between readers and writers, as reads and writes find them.

use super::target::{Relation, Target};
use super::{Flags, SsiId, canceled};
use crate::model::database::error::SqlError;
use crate::model::database::store::id::{IndexId, RowId, Slot, TableId, Xid};
use crate::model::database::store::index::KeyBound;
use crate::model::database::store::state::State;
use crate::model::database::store::version::Version;
use crate::model::database::value::Value;
use crate::model::footprint::Resource;

impl State {
    /// The serializable transaction of the session that reads. One that has come to be safe is watched no more.
    fn reader(&mut self, slot: Slot) -> Option<SsiId> {
        let id = self.serial(slot)?;
        if self.ssi.get(id).declared_read_only {
            self.footprints.read(|| Resource::all("db ssi ends"));
        }
        if self.ssi.get(id).is(Flags::SAFE) {
            self.ssi_finish(Some(id), false);
            self.tx_mut(slot).ssi = None;
            return None;
        }
        Some(id)
    }

    /// All of a table is read.
    pub(in super::super) fn ssi_read_table(&mut self, slot: Slot, table: TableId) {
        if let Some(id) = self.reader(slot) {
            self.ssi.mark(&self.footprints, id, Target::all(Relation::Table(table)));
        }
    }

    /// A range of an index is read: its leaf pages, or all of it where it has none yet.
    pub(in super::super) fn ssi_read_index(
        &mut self,
        slot: Slot,
        index: IndexId,
        low: &KeyBound,
        high: &KeyBound,
    ) -> Result<(), SqlError> {
        let Some(id) = self.reader(slot) else { return Ok(()) };
        let relation = Relation::Index(index);
        let pages = self.index(slot, index)?;
        if !pages.has_page() {
            self.ssi.mark(&self.footprints, id, Target::all(relation));
            return Ok(());
        }
        let leaves: Vec<u32> = pages.leaves(low, high).collect();
        for leaf in leaves {
            self.ssi.mark(&self.footprints, id, Target::page(relation, leaf));
        }
        Ok(())
    }

    /// A version comes up in a scan: one that is not seen, as its maker ran beside, or that somebody beside has
    /// replaced or deleted (`HeapCheckForSerializableConflictOut`).
    pub(in super::super) fn ssi_read_version(
        &mut self,
        slot: Slot,
        table: TableId,
        row: RowId,
        visible: bool,
    ) -> Result<(), SqlError> {
        let Some(id) = self.reader(slot) else { return Ok(()) };
        self.check_doomed(id, "during conflict out checking")?;
        let me = self.proc(slot).top();
        let Some(version) = self.version(slot, table, row) else { return Ok(()) };
        match self.depends_on(version, visible, me) {
            Some(xid) if self.xacts.top(xid) != me => self.conflict_out(slot, id, self.xacts.top(xid)),
            Some(_) | None => Ok(()),
        }
    }

    /// Whose work it is that a version is seen or not seen, where that can be work of others.
    fn depends_on(&self, version: &Version, visible: bool, me: Xid) -> Option<Xid> {
        let xacts = &self.xacts;
        if xacts.is_aborted(version.xmin) {
            return None;
        }
        let writer = version.xmax.writer().filter(|writer| !xacts.is_aborted(*writer));
        if xacts.is_running(version.xmin) && !xacts.is_current(version.xmin, me) {
            return Some(version.xmin);
        }
        match writer {
            None if visible => None,
            Some(writer) if visible => Some(writer),
            None | Some(_) => Some(version.xmin),
        }
    }

    /// `CheckForSerializableConflictOut`.
    fn conflict_out(&mut self, slot: Slot, me: SsiId, xid: Xid) -> Result<(), SqlError> {
        let Some(writer) = self.ssi.by_xid.get(&xid).copied() else { return Ok(()) };
        self.ssi.note_read(&self.footprints, writer);
        self.footprints.read(|| Resource::all("db ssi ends"));
        let (reader, other) = (self.ssi.get(me), self.ssi.get(writer));
        if writer == me || other.is(Flags::DOOMED) {
            return Ok(());
        }
        if other.is(Flags::UNKNOWN_CONFLICTS) {
            return Err(canceled("Canceled on conflict out to old pivot."));
        }
        // A read-only transaction comes before the writer, unless that depends on one that this one sees.
        let first =
            !other.is(Flags::CONFLICT_OUT) || reader.last_commit_before_snapshot < other.earliest_out_commit;
        if reader.is(Flags::READ_ONLY) && other.is(Flags::COMMITTED) && first {
            return Ok(());
        }
        let snapshot = self.tx(slot).snapshot;
        let beside = snapshot.is_none_or(|snapshot| self.xacts.is_concurrent(&snapshot, xid));
        if !beside || reader.out.contains(&writer) {
            return Ok(());
        }
        self.ssi.depend(&self.footprints, me, me, writer)
    }

    /// A row is read by way of an index.
    pub(in super::super) fn ssi_read_row(&mut self, slot: Slot, table: TableId, row: RowId) {
        let Some(id) = self.reader(slot) else { return };
        let me = self.proc(slot).top();
        // Its own rows it has more than marked.
        let own =
            self.version(slot, table, row).is_some_and(|version| self.xacts.is_current(version.xmin, me));
        if !own {
            self.ssi.mark(&self.footprints, id, Target::row(table, row));
        }
    }

    /// The transaction that writes, as far as others may depend on it (`CheckForSerializableConflictIn`).
    fn writer(&mut self, slot: Slot) -> Result<Option<SsiId>, SqlError> {
        let Some(id) = self.serial(slot) else { return Ok(None) };
        self.check_doomed(id, "during conflict in checking")?;
        self.ssi.get_mut(id).wrote = true;
        Ok(Some(id))
    }

    /// A row is inserted.
    pub(in super::super) fn ssi_write_table(&mut self, slot: Slot, table: TableId) -> Result<(), SqlError> {
        let Some(id) = self.writer(slot)? else { return Ok(()) };
        self.conflict_in(slot, id, Target::all(Relation::Table(table)))
    }

    /// A row is replaced or deleted.
    pub(in super::super) fn ssi_write_row(
        &mut self,
        slot: Slot,
        table: TableId,
        row: RowId,
    ) -> Result<(), SqlError> {
        let Some(id) = self.writer(slot)? else { return Ok(()) };
        self.conflict_in(slot, id, Target::row(table, row))
    }

    /// An entry is added to an index.
    pub(in super::super) fn ssi_write_index(
        &mut self,
        slot: Slot,
        index: IndexId,
        key: &[Value],
    ) -> Result<(), SqlError> {
        let Some(id) = self.writer(slot)? else { return Ok(()) };
        let leaf = self.index(slot, index)?.leaf(key);
        self.conflict_in(slot, id, Target::page(Relation::Index(index), leaf))
    }

    /// All rows of a table go (`CheckTableForSerializableConflictIn`).
    pub(in super::super) fn ssi_write_all(&mut self, slot: Slot, table: TableId) -> Result<(), SqlError> {
        let Some(id) = self.serial(slot) else { return Ok(()) };
        self.ssi.get_mut(id).wrote = true;
        let State { ssi, footprints, .. } = self;
        for reader in ssi.readers(footprints, Relation::Table(table)) {
            if reader != id && !ssi.get(reader).out.contains(&id) {
                ssi.depend(footprints, id, reader, id)?;
            }
        }
        Ok(())
    }

    /// Who has marked the target or a coarser one depends on the writer.
    fn conflict_in(&mut self, slot: Slot, me: SsiId, target: Target) -> Result<(), SqlError> {
        // A subtransaction can be rolled back, and then only the mark tells that the row was read.
        let keeps_own = self.tx(slot).levels.len() > 1;
        let State { ssi, footprints, .. } = self;
        footprints.read(|| Resource::all("db ssi ends"));
        for target in [target].into_iter().chain(target.coarser()) {
            let mut own = false;
            for reader in ssi.holders(footprints, &target) {
                ssi.note_read(footprints, reader);
                let other = ssi.get(reader);
                if reader == me {
                    own = true;
                } else if !other.is(Flags::DOOMED)
                    && (!other.is(Flags::COMMITTED) || ssi.get(me).xmin < other.finished_before)
                    && !other.out.contains(&me)
                {
                    ssi.depend(footprints, me, reader, me)?;
                }
            }
            if own && target.is_row() && !keeps_own {
                ssi.drop_mark(me, &target);
            }
        }
        Ok(())
    }
}
