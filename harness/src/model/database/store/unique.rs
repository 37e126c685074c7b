//! Uniqueness: PostgreSQL's `_bt_check_unique`, and the arbiters of `INSERT .. ON CONFLICT`.

use super::catalog::{IndexDef, IndexKey};
use super::id::{IndexId, RowId, Slot, TableId};
use super::proc::Written;
use super::scan::{Found, index_space};
use super::state::State;
use super::version::Dirty;
use super::wait::{Step, Target};
use super::wal::Action;
use super::write::{Entered, Entries};
use crate::model::database::error::SqlError;
use crate::model::database::value::{Tuple, Value};
use crate::model::footprint::Resource;

/// A version with the same key, which is not dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Rival {
    /// It is there for good.
    Row(RowId),
    /// Whether it is depends on a transaction that runs.
    Undecided(Target),
}

impl State {
    fn rival(
        &self,
        slot: Slot,
        id: IndexId,
        key: &[Value],
        except: Option<RowId>,
    ) -> Result<Option<Rival>, SqlError> {
        self.footprints.read(|| Resource::one(&index_space(id), key));
        let me = self.proc(slot).top();
        for row in self.index(slot, id)?.get(key) {
            if Some(*row) == except {
                continue;
            }
            let Some(version) = self.version(slot, id.table, *row) else { continue };
            match version.dirty(&self.xacts, me) {
                Dirty::Dead => {}
                Dirty::Live => return Ok(Some(Rival::Row(*row))),
                Dirty::Making(xid) if version.speculative => {
                    return Ok(Some(Rival::Undecided(Target::Speculation(xid))));
                }
                Dirty::Making(xid) | Dirty::Unmaking(xid) => {
                    return Ok(Some(Rival::Undecided(Target::End(xid))));
                }
            }
        }
        Ok(None)
    }

    /// Whether the key is free; `None` where it is.
    pub(super) fn check_unique(
        &mut self,
        slot: Slot,
        entries: &Entries,
        id: IndexId,
        def: &IndexDef,
        key: &[Value],
        arbiter: bool,
    ) -> Result<Option<Step<Entered>>, SqlError> {
        match self.rival(slot, id, key, Some(entries.row))? {
            None => Ok(None),
            Some(_) if arbiter => Ok(Some(Step::Done(Entered::Taken))),
            Some(Rival::Undecided(target)) => Ok(Some(Step::Wait(target))),
            Some(Rival::Row(_)) => {
                // A conflict between serializable transactions is what there is to tell, if there is one.
                self.ssi_write_index(slot, id, key)?;
                Err(self.duplicate(slot, id.table, def, key))
            }
        }
    }

    /// One step of looking for a row that an insertion would conflict with.
    pub(super) fn conflict_step(
        &mut self,
        slot: Slot,
        table: TableId,
        tuple: &Tuple,
        arbiters: &[IndexId],
    ) -> Result<Step<Option<Found>>, SqlError> {
        for id in arbiters {
            let def = self.index_def(slot, *id)?.clone();
            let Some(key) = def.key.of(tuple)? else { continue };
            if key.iter().any(Value::is_null) {
                continue;
            }
            match self.rival(slot, *id, &key, None)? {
                None => {}
                Some(Rival::Undecided(target)) => return Ok(Step::Wait(target)),
                Some(Rival::Row(row)) => {
                    let version = self.version(slot, table, row).expect("the index has led to it");
                    let tuple = version.tuple.clone();
                    self.note_row_read(table, row);
                    return Ok(Step::Done(Some(Found { table, row, tuple })));
                }
            }
        }
        Ok(Step::Done(None))
    }

    /// The indexes that can be arbiters: those that are named, or all unique ones.
    pub(super) fn arbiters(&self, slot: Slot, table: TableId, named: &[IndexId]) -> Vec<IndexId> {
        if !named.is_empty() {
            return named.to_vec();
        }
        let me = self.proc(slot).top();
        let numbered = (0..).zip(&self.table(table).indexes);
        let unique =
            numbered.filter(|(_, index)| index.current(&self.xacts, me).is_some_and(|def| def.unique));
        unique.map(|(slot, _)| IndexId { table, slot }).collect()
    }

    /// The insertion stands, or is taken back.
    pub(super) fn settle(&mut self, slot: Slot, table: TableId, row: RowId, stands: bool) {
        if stands {
            let Some(version) = self.version_mut(slot, table, row) else { return };
            version.speculative = false;
            let tuple = version.tuple.clone();
            if self.wal.is_watched()
                && let Ok(def) = self.def(slot, table).cloned()
            {
                self.log(slot, table, def, Action::Insert(tuple));
            }
        } else {
            let xid = self.xid(slot);
            self.remove_version(slot, table, row, xid);
            self.tx_mut(slot).written.retain(|written| *written != Written::Put(table, row, xid));
        }
    }

    pub(super) fn duplicate(&self, slot: Slot, table: TableId, def: &IndexDef, key: &[Value]) -> SqlError {
        let columns = self.def(slot, table).map(|def| def.columns.clone()).unwrap_or_default();
        let numbers = def.key.columns();
        let kind = |place: usize| numbers.get(place).and_then(|number| columns.get(*number));
        let values = key.iter().enumerate().map(|(place, value)| {
            let kind = kind(place).map_or(crate::model::database::types::Type::Text, |column| column.kind);
            value.output(kind).unwrap_or_else(|| "null".to_owned())
        });
        let values = values.collect::<Vec<_>>().join(", ");
        let names = match &def.key {
            IndexKey::Computed { text, .. } => text.to_string(),
            IndexKey::Columns(numbers) => {
                let names = numbers.iter().filter_map(|number| columns.get(*number));
                names.map(|column| &*column.name).collect::<Vec<_>>().join(", ")
            }
        };
        SqlError::duplicate_key(&def.name, &names, &values)
    }
}
