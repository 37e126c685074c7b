//! Writing rows: PostgreSQL's `heap_insert`, `heap_update`, `heap_delete`, and the entries of indexes.

use std::sync::Arc;

use super::catalog::{IndexDef, Key, TableDef};
use super::heap::row_bytes;
use super::id::{IndexId, RowId, Slot, TableId, Xid};
use super::lock::{LockMode, LockTag};
use super::proc::Written;
use super::row_lock::place_mode;
use super::scan::{Found, index_space};
use super::state::State;
use super::version::{Fitness, Holder, RowLock, Version, Xmax};
use super::wait::{Step, Target};
use super::wal::Action;
use crate::model::database::error::SqlError;
use crate::model::database::error::state::OBJECT_NOT_IN_PREREQUISITE_STATE;
use crate::model::database::value::{Tuple, Value};
use crate::model::footprint::Resource;

/// An attempt to replace or delete a version.
#[derive(Debug, Clone)]
pub(super) struct Change {
    pub(super) table: TableId,
    pub(super) row: RowId,
    /// The new version; none to delete.
    pub(super) tuple: Option<Tuple>,
    pub(super) lock: RowLock,
    has_place: bool,
}

impl Change {
    pub(super) fn new(found: &Found, tuple: Option<Tuple>, lock: RowLock) -> Self {
        Change { table: found.table, row: found.row, tuple, lock, has_place: false }
    }
}

/// Entries of a new version that are still to be made.
#[derive(Debug, Clone)]
pub(super) struct Entries {
    pub(super) table: TableId,
    pub(super) row: RowId,
    tuple: Tuple,
    /// What it replaces, where that shares its keys.
    old: Option<Tuple>,
    /// No indexed column changed and it lies on the same page: PostgreSQL makes no entries then.
    hot: bool,
    next: u32,
    /// Insertions of `ON CONFLICT` look out for others in these indexes instead of failing.
    pub(super) arbiters: Option<Vec<IndexId>>,
}

/// How the making of entries went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Entered {
    All,
    /// Another one has the key now: the insertion is to be taken back.
    Taken,
}

impl State {
    /// Puts a new version in its place.
    pub(super) fn put(
        &mut self,
        slot: Slot,
        command: u32,
        table: TableId,
        tuple: Tuple,
        speculative: bool,
    ) -> Result<Entries, SqlError> {
        let xid = self.xid(slot);
        self.ssi_write_table(slot, table)?;
        let def = self.def(slot, table)?.clone();
        let bytes = row_bytes(&def.columns, &tuple);
        let version = Version {
            tuple: tuple.clone(),
            xmin: xid,
            cmin: command,
            xmax: Xmax::Nobody,
            cmax: 0,
            next: None,
            hot: false,
            speculative,
            bytes,
        };
        let row = self.heap_mut(slot, table)?.put(version, None);
        self.tx_mut(slot).written.push(Written::Put(table, row, xid));
        self.note_row_write(table, row);
        if self.wal.is_watched() && !speculative {
            self.log(slot, table, def, Action::Insert(tuple.clone()));
        }
        let (old, hot, next, arbiters) = (None, false, 0, None);
        Ok(Entries { table, row, tuple, old, hot, next, arbiters })
    }

    /// Writes a change to the log, for those that decode it.
    pub(super) fn log(&mut self, slot: Slot, table: TableId, def: Arc<TableDef>, action: Action) {
        let me = self.proc(slot).top();
        let mut indexes = self.table(table).indexes.iter().filter_map(|index| index.current(&self.xacts, me));
        let identity = indexes.find(|def| def.primary).map_or([].into(), |def| def.key.columns().into());
        self.footprints.write(|| Resource::all("db log"));
        let change = self.wal.change(def, identity, action);
        self.wal.record(me, change);
    }

    /// One step of making index entries.
    pub(super) fn enter_step(
        &mut self,
        slot: Slot,
        entries: &mut Entries,
    ) -> Result<Step<Entered>, SqlError> {
        let count = self.table(entries.table).indexes.len();
        while (entries.next as usize) < count {
            let id = IndexId { table: entries.table, slot: entries.next };
            if let Ok(def) = self.index_def(slot, id) {
                let def = def.clone();
                match self.enter(slot, entries, id, &def)? {
                    Step::Done(Entered::All) => {}
                    other => return Ok(other),
                }
            }
            entries.next += 1;
        }
        Ok(Step::Done(Entered::All))
    }

    fn enter(
        &mut self,
        slot: Slot,
        entries: &Entries,
        id: IndexId,
        def: &IndexDef,
    ) -> Result<Step<Entered>, SqlError> {
        let Some(key) = def.key.of(&entries.tuple)? else { return Ok(Step::Done(Entered::All)) };
        if !entries.hot {
            let unchanged = match &entries.old {
                Some(old) => def.key.of(old)?.as_ref() == Some(&key),
                None => false,
            };
            if def.unique && !unchanged && !key.iter().any(Value::is_null) {
                let arbiter = entries.arbiters.as_ref().is_some_and(|arbiters| arbiters.contains(&id));
                if let Some(step) = self.check_unique(slot, entries, id, def, &key, arbiter)? {
                    return Ok(step);
                }
            }
            self.ssi_write_index(slot, id, &key)?;
        }
        self.insert_entry(slot, id, key, entries.row)?;
        Ok(Step::Done(Entered::All))
    }

    fn insert_entry(&mut self, slot: Slot, id: IndexId, key: Key, row: RowId) -> Result<(), SqlError> {
        self.footprints.write(|| Resource::one(&index_space(id), &key));
        let index = self.heap_mut(slot, id.table)?.indexes.get_mut(id.slot as usize).and_then(Option::as_mut);
        let had_page = index.as_ref().is_none_or(|index| index.has_page());
        let split = index.and_then(|index| index.insert(key, row));
        if !had_page {
            self.ssi_first_page(id);
        }
        if let Some(split) = split {
            self.ssi_split(id, split);
        }
        Ok(())
    }

    /// Takes a version out again that `xid` has made, with its entries.
    pub(super) fn remove_version(&mut self, slot: Slot, table: TableId, row: RowId, xid: Xid) {
        let me = self.proc(slot).top();
        let entry = Arc::make_mut(&mut self.tables[table.0 as usize]);
        let defs: Vec<Option<Arc<IndexDef>>> =
            entry.indexes.iter().map(|index| index.current(&self.xacts, me).cloned()).collect();
        let defs: Vec<Option<&IndexDef>> = defs.iter().map(Option::as_deref).collect();
        for heap in entry.heap.all_mut() {
            if heap.get(row).is_some_and(|version| version.xmin == xid) {
                heap.remove(row, &defs);
            }
        }
    }

    /// Notes a version and its keys as written.
    pub(super) fn note_entries(&self, slot: Slot, table: TableId, row: RowId) {
        self.note_row_write(table, row);
        if !self.footprints.are_on() {
            return;
        }
        let Some(version) = self.version(slot, table, row) else { return };
        for (number, index) in (0..).zip(&self.table(table).indexes) {
            let def = index.current(&self.xacts, self.proc(slot).top());
            if let Some(Ok(Some(key))) = def.map(|def| def.key.of(&version.tuple)) {
                let space = index_space(IndexId { table, slot: number });
                self.footprints.write(|| Resource::one(&space, &key));
            }
        }
    }

    /// The lock that an update needs: the weaker one where no key changes that foreign keys can refer to.
    pub(super) fn update_lock(&self, slot: Slot, table: TableId, old: &[Value], new: &[Value]) -> RowLock {
        let me = self.proc(slot).top();
        let indexes = self.table(table).indexes.iter().filter_map(|index| index.current(&self.xacts, me));
        let mut keys = indexes.filter(|def| def.identifies).flat_map(|def| def.key.columns());
        if keys.any(|column| old.get(*column) != new.get(*column)) {
            RowLock::Update
        } else {
            RowLock::NoKeyUpdate
        }
    }

    /// One step of replacing or deleting a version: `Fit` when it is done.
    pub(super) fn change_step(
        &mut self,
        slot: Slot,
        command: u32,
        change: &mut Change,
    ) -> Result<Step<(Fitness, Option<Entries>)>, SqlError> {
        let me = self.proc(slot).top();
        let Some(version) = self.version(slot, change.table, change.row) else {
            return Ok(self.end_change(slot, change, Fitness::Deleted));
        };
        let fitness = version.fitness(&self.xacts, command, me);
        match fitness {
            Fitness::Fit => {}
            Fitness::Invisible => {
                let word = if change.tuple.is_some() { "update" } else { "delete" };
                let message = format!("attempted to {word} invisible tuple");
                return Err(SqlError::new(OBJECT_NOT_IN_PREREQUISITE_STATE, message));
            }
            Fitness::SelfModified | Fitness::Updated | Fitness::Deleted => {
                return Ok(self.end_change(slot, change, fitness));
            }
            Fitness::Held => {
                if let Some(target) = self.change_waits(slot, change) {
                    return Ok(Step::Wait(target));
                }
                let version = self.version(slot, change.table, change.row).expect("seen just now");
                if !version.is_only_locked(&self.xacts) {
                    let fitness = version.written();
                    return Ok(self.end_change(slot, change, fitness));
                }
            }
        }
        let entries = self.write(slot, command, change)?;
        let Step::Done((fitness, _)) = self.end_change(slot, change, Fitness::Fit) else {
            unreachable!("the end of a change is its end")
        };
        Ok(Step::Done((fitness, entries)))
    }

    /// Whom the change of a version that is held has to wait for.
    fn change_waits(&mut self, slot: Slot, change: &mut Change) -> Option<Target> {
        let me = self.proc(slot).top();
        let version = self.version(slot, change.table, change.row)?;
        let mut take_place = !change.has_place;
        match &version.xmax {
            Xmax::Several(holders) => {
                if !self.conflicts(&version.xmax, change.lock, me) {
                    return None;
                }
                take_place &= !holders.iter().any(|holder| self.xacts.is_current(holder.xid, me));
            }
            Xmax::One(holder) => {
                let harmless = !holder.wrote && !holder.lock.conflicts(change.lock);
                if self.xacts.is_current(holder.xid, me) || harmless && holder.lock == RowLock::KeyShare {
                    return None;
                }
            }
            Xmax::Nobody => return None,
        }
        let blocker = self.blocker(&version.xmax, change.lock, me);
        if take_place {
            change.has_place = true;
            let (tag, mode) = (LockTag::Row(change.table, change.row), place_mode(change.lock));
            if !self.try_lock(slot, tag, mode, false) {
                return Some(Target::Lock(tag, mode));
            }
        }
        blocker.map(Target::End)
    }

    fn end_change(
        &mut self,
        slot: Slot,
        change: &mut Change,
        fitness: Fitness,
    ) -> Step<(Fitness, Option<Entries>)> {
        if std::mem::take(&mut change.has_place) {
            let mode: LockMode = place_mode(change.lock);
            self.unlock(slot, LockTag::Row(change.table, change.row), mode, false);
        }
        Step::Done((fitness, None))
    }

    /// Marks the version as replaced or deleted and puts the new one in its place.
    fn write(&mut self, slot: Slot, command: u32, change: &Change) -> Result<Option<Entries>, SqlError> {
        let (table, row) = (change.table, change.row);
        let xid = self.xid(slot);
        self.ssi_write_row(slot, table, row)?;
        let def = self.def(slot, table)?.clone();
        let old = self.version(slot, table, row).expect("the step has seen it just now");
        let old_tuple = old.tuple.clone();
        let xmax = old.xmax.with(Holder { xid, lock: change.lock, wrote: true }, &self.xacts);
        let kept = self.surviving(&old.xmax);
        let mut entries = None;
        if let Some(tuple) = &change.tuple {
            let bytes = row_bytes(&def.columns, tuple);
            let version = Version {
                tuple: tuple.clone(),
                xmin: xid,
                cmin: command,
                xmax: kept,
                cmax: 0,
                next: None,
                hot: false,
                speculative: false,
                bytes,
            };
            let new = self.heap_mut(slot, table)?.put(version, Some(row.page()));
            let hot = new.page() == row.page() && self.keeps_keys(slot, table, &old_tuple, tuple);
            self.version_mut(slot, table, new).expect("it was put there just now").hot = hot;
            let (next, arbiters, old) = (0, None, Some(old_tuple.clone()));
            entries = Some(Entries { table, row: new, tuple: tuple.clone(), old, hot, next, arbiters });
        }
        let next = entries.as_ref().map(|entries| entries.row);
        let old = self.version_mut(slot, table, row).expect("the step has seen it just now");
        (old.xmax, old.cmax, old.next) = (xmax, command, next);
        self.note_row_write(table, row);
        let written = &mut self.tx_mut(slot).written;
        written.push(Written::Ended(table, row));
        written.extend(next.map(|next| Written::Put(table, next, xid)));
        if let Some(next) = next {
            self.note_row_write(table, next);
        }
        if self.wal.is_watched() {
            let action = match &change.tuple {
                Some(new) => Action::Update { old: old_tuple, new: new.clone() },
                None => Action::Delete(old_tuple),
            };
            self.log(slot, table, def, action);
        }
        Ok(entries)
    }

    /// The locks on a version that go over to the one that replaces it.
    fn surviving(&self, xmax: &Xmax) -> Xmax {
        match xmax {
            Xmax::One(holder) if !holder.wrote && self.xacts.is_running(holder.xid) => {
                Xmax::One(Holder { lock: RowLock::KeyShare, ..*holder })
            }
            Xmax::Nobody | Xmax::One(_) => Xmax::Nobody,
            Xmax::Several(holders) => {
                let lives = |holder: &&Holder| !holder.wrote && self.xacts.is_running(holder.xid);
                let kept: Vec<Holder> = holders.iter().filter(lives).copied().collect();
                if kept.is_empty() { Xmax::Nobody } else { Xmax::Several(kept) }
            }
        }
    }

    fn keeps_keys(&self, slot: Slot, table: TableId, old: &[Value], new: &[Value]) -> bool {
        let me = self.proc(slot).top();
        let indexes = self.table(table).indexes.iter().filter_map(|index| index.current(&self.xacts, me));
        let mut columns = indexes.flat_map(|def| def.key.columns());
        columns.all(|column| old.get(*column) == new.get(*column))
    }
}
