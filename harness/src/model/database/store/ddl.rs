//! Making, changing and dropping relations. Locks are the caller's affair, as it knows which a statement takes.

use std::sync::Arc;

use super::catalog::{IndexDef, TableDef, Versioned};
use super::heap::{Heap, row_bytes};
use super::id::{IndexId, Slot, TableId};
use super::session::Session;
use super::state::{State, Table};
use super::version::{Dirty, Version, Xmax};
use super::wait::{Step, Target};
use super::wal::Action;
use crate::model::database::error::SqlError;
use crate::model::database::error::state::{DUPLICATE_TABLE, UNIQUE_VIOLATION};
use crate::model::database::value::{Tuple, Value};
use crate::model::footprint::Resource;

impl State {
    fn table_named(&self, slot: Slot, name: &str) -> Option<(TableId, Arc<TableDef>)> {
        let me = self.proc(slot).top();
        self.names.get(name).iter().rev().find_map(|id| {
            let def = self.table(*id).def.current(&self.xacts, me)?;
            (&*def.name == name).then(|| (*id, def.clone()))
        })
    }

    /// One step of making a table: who makes one of the same name is waited for.
    fn create_table(&mut self, slot: Slot, def: &Arc<TableDef>) -> Result<Step<TableId>, SqlError> {
        let me = self.proc(slot).top();
        for id in self.names.get(&def.name) {
            if let Some(maker) = self.table(*id).def.pending(&self.xacts, me) {
                return Ok(Step::Wait(Target::End(maker)));
            }
        }
        if self.table_named(slot, &def.name).is_some() {
            let message = format!("relation \"{}\" already exists", def.name);
            return Err(SqlError::new(DUPLICATE_TABLE, message));
        }
        let xid = self.xid(slot);
        let id = TableId(u32::try_from(self.tables.len()).expect("a model has less than 2^32 tables"));
        let (heap, indexes) = (Versioned::new(xid, Heap::default()), Vec::new());
        self.tables.push(Arc::new(Table { def: Versioned::new(xid, def.clone()), heap, indexes }));
        self.names.add(def.name.clone(), id);
        self.note_catalog(slot);
        Ok(Step::Done(id))
    }

    fn alter_table(&mut self, slot: Slot, id: TableId, def: Option<Arc<TableDef>>) {
        let xid = self.xid(slot);
        if let Some(def) = &def {
            self.names.add(def.name.clone(), id);
        }
        let table = Arc::make_mut(&mut self.tables[id.0 as usize]);
        table.def.change(xid, def, &self.xacts);
        self.note_catalog(slot);
    }

    fn create_index(&mut self, slot: Slot, table: TableId, def: Arc<IndexDef>) -> Result<IndexId, SqlError> {
        let xid = self.xid(slot);
        if def.unique {
            self.check_duplicates(slot, table, &def)?;
        }
        let number = self.table(table).indexes.len();
        let heap = self.heap_mut(slot, table)?;
        heap.build(number, &def)?;
        self.table_mut(table).indexes.push(Versioned::new(xid, def));
        self.note_catalog(slot);
        Ok(IndexId { table, slot: u32::try_from(number).expect("a table has a few indexes") })
    }

    fn check_duplicates(&self, slot: Slot, table: TableId, def: &IndexDef) -> Result<(), SqlError> {
        let me = self.proc(slot).top();
        let mut keys = std::collections::BTreeSet::new();
        for (_, version) in self.heap(slot, table)?.iter() {
            if version.dirty(&self.xacts, me) == Dirty::Dead {
                continue;
            }
            let Some(key) = def.key.of(&version.tuple)? else { continue };
            if key.iter().any(Value::is_null) {
                continue;
            }
            if keys.contains(&key) {
                let message = format!("could not create unique index \"{}\"", def.name);
                let error = SqlError::new(UNIQUE_VIOLATION, message);
                let told = self.duplicate(slot, table, def, &key).detail.unwrap_or_default();
                return Err(error.detail(told.replace("already exists.", "is duplicated.")));
            }
            keys.insert(key);
        }
        Ok(())
    }

    /// New, empty pages, which count for all once it commits: snapshots do not keep the old ones in sight.
    fn truncate(&mut self, slot: Slot, id: TableId) -> Result<(), SqlError> {
        self.ssi_write_all(slot, id)?;
        let xid = self.xid(slot);
        let empty = self.heap(slot, id)?.emptied();
        let table = Arc::make_mut(&mut self.tables[id.0 as usize]);
        table.heap.change(xid, Some(empty), &self.xacts);
        self.footprints.write(|| Resource::all(&format!("db rows {}", id.0)));
        if self.wal.is_watched() {
            let def = self.def(slot, id)?.clone();
            self.log(slot, id, def, Action::Truncate);
        }
        self.note_catalog(slot);
        Ok(())
    }

    /// New pages with every row that is there made anew.
    fn rewrite(
        &mut self,
        slot: Slot,
        id: TableId,
        mut row: impl FnMut(&Tuple) -> Result<Tuple, SqlError>,
    ) -> Result<(), SqlError> {
        let me = self.proc(slot).top();
        let columns = self.def(slot, id)?.columns.clone();
        let old = self.heap(slot, id)?;
        let mut heap = old.emptied();
        for (_, version) in old.iter() {
            if matches!(version.dirty(&self.xacts, me), Dirty::Dead) {
                continue;
            }
            let tuple = row(&version.tuple)?;
            let bytes = row_bytes(&columns, &tuple);
            let (xmin, cmin, xmax) = (version.xmin, version.cmin, Xmax::Nobody);
            let new = Version {
                tuple,
                xmin,
                cmin,
                xmax,
                cmax: 0,
                next: None,
                hot: false,
                speculative: false,
                bytes,
            };
            heap.put(new, None);
        }
        let indexes = self.table(id).indexes.iter().map(|index| index.current(&self.xacts, me).cloned());
        for (number, def) in indexes.collect::<Vec<_>>().into_iter().enumerate() {
            if let Some(def) = def {
                heap.build(number, &def)?;
            }
        }
        let xid = self.xid(slot);
        let table = Arc::make_mut(&mut self.tables[id.0 as usize]);
        table.heap.change(xid, Some(heap), &self.xacts);
        self.ssi_rewrite(id);
        self.note_catalog(slot);
        Ok(())
    }
}

impl Session {
    /// Rises with every change of a definition: what was looked up before may be another now.
    pub(crate) fn catalog_version(&self) -> u64 {
        let state = self.shared.lock();
        state.footprints.read(|| Resource::all("db catalog"));
        state.catalog_version
    }

    /// The table of that name.
    pub(crate) fn table_named(&self, name: &str) -> Option<(TableId, Arc<TableDef>)> {
        self.shared.lock().table_named(self.slot, name)
    }

    /// A table's definition.
    pub(crate) fn table_def(&self, id: TableId) -> Result<Arc<TableDef>, SqlError> {
        self.shared.lock().def(self.slot, id).cloned()
    }

    /// The names and ids of all tables.
    pub(crate) fn tables(&self) -> Vec<(TableId, Arc<TableDef>)> {
        let state = self.shared.lock();
        let me = state.proc(self.slot).top();
        let numbered = (0..).map(TableId).zip(&state.tables);
        numbered.filter_map(|(id, table)| Some((id, table.def.current(&state.xacts, me)?.clone()))).collect()
    }

    /// Makes a table.
    pub(crate) async fn create_table(&mut self, def: TableDef) -> Result<TableId, SqlError> {
        let def = Arc::new(def);
        self.drive(|state, slot| state.create_table(slot, &def)).await
    }

    /// Changes a table's definition, also its name.
    pub(crate) fn alter_table(&mut self, id: TableId, def: TableDef) {
        self.shared.lock().alter_table(self.slot, id, Some(Arc::new(def)));
    }

    /// Drops a table.
    pub(crate) fn drop_table(&mut self, id: TableId) -> Result<(), SqlError> {
        let mut state = self.shared.lock();
        state.ssi_write_all(self.slot, id)?;
        state.alter_table(self.slot, id, None);
        Ok(())
    }

    /// Makes an index of the rows there are; a unique one fails where they are not.
    pub(crate) fn create_index(&mut self, table: TableId, def: IndexDef) -> Result<IndexId, SqlError> {
        self.shared.lock().create_index(self.slot, table, Arc::new(def))
    }

    /// Drops an index.
    pub(crate) fn drop_index(&mut self, index: IndexId) {
        let mut state = self.shared.lock();
        let xid = state.xid(self.slot);
        state.ssi_drop_index(index);
        let State { tables, xacts, .. } = &mut *state;
        let table = Arc::make_mut(&mut tables[index.table.0 as usize]);
        if let Some(index) = table.indexes.get_mut(index.slot as usize) {
            index.change(xid, None, xacts);
        }
        state.note_catalog(self.slot);
    }

    /// `TRUNCATE`.
    pub(crate) fn truncate(&mut self, id: TableId) -> Result<(), SqlError> {
        self.shared.lock().truncate(self.slot, id)
    }

    /// Makes every row anew (a column that is added with a default, another type).
    pub(crate) fn rewrite(
        &mut self,
        id: TableId,
        row: impl FnMut(&Tuple) -> Result<Tuple, SqlError>,
    ) -> Result<(), SqlError> {
        self.shared.lock().rewrite(self.slot, id, row)
    }
}
