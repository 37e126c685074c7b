//! Reading: versions that a snapshot sees, by a scan of the table or of an index.

use std::collections::BTreeSet;
use std::ops::Bound;

use super::catalog::Key;
use super::id::{IndexId, RowId, Slot, TableId};
use super::index::KeyBound;
use super::state::State;
use super::version::Version;
use super::xact::Snapshot;
use crate::model::database::error::SqlError;
use crate::model::database::value::Tuple;
use crate::model::footprint::Resource;

/// How rows are looked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Access {
    /// All of the table, in the order of places.
    All,
    /// Those with these values in the index's first columns, in the order of keys.
    Equal { index: IndexId, key: Key },
    /// Those between the bounds (of the index's first columns), in the order of keys.
    Range { index: IndexId, low: KeyBound, high: KeyBound },
}

/// A row that was found: the version that was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) table: TableId,
    pub(crate) row: RowId,
    pub(crate) tuple: Tuple,
}

impl State {
    /// The rows that the snapshot sees.
    pub(super) fn scan(
        &mut self,
        slot: Slot,
        snapshot: &Snapshot,
        table: TableId,
        access: &Access,
    ) -> Result<Vec<Found>, SqlError> {
        let serializable = self.is_serializable(slot);
        let rows = match access {
            Access::All => {
                self.footprints.read(|| Resource::all(&format!("db rows {}", table.0)));
                if serializable {
                    self.ssi_read_table(slot, table);
                }
                self.heap(slot, table)?.iter().map(|(row, _)| row).collect()
            }
            Access::Equal { index, key } => {
                self.note_key_read(slot, *index, key)?;
                let (low, high) = (Bound::Included(key.clone()), Bound::Included(key.clone()));
                if serializable {
                    self.ssi_read_index(slot, *index, &low, &high)?;
                }
                self.equal(slot, *index, key)?
            }
            Access::Range { index, low, high } => {
                self.footprints.read(|| Resource::all(&index_space(*index)));
                if serializable {
                    self.ssi_read_index(slot, *index, low, high)?;
                }
                let index = self.index(slot, *index)?;
                index.range(low, high).flat_map(|(_, rows)| rows.iter().copied()).collect()
            }
        };
        self.seen(slot, snapshot, table, rows, serializable, matches!(access, Access::All))
    }

    fn equal(&self, slot: Slot, id: IndexId, key: &Key) -> Result<Vec<RowId>, SqlError> {
        let columns = self.index_def(slot, id)?.key.columns().len();
        let index = self.index(slot, id)?;
        if key.len() == columns {
            return Ok(index.get(key).to_vec());
        }
        let (low, high) = (Bound::Included(key.clone()), Bound::Included(key.clone()));
        Ok(index.range(&low, &high).flat_map(|(_, rows)| rows.iter().copied()).collect())
    }

    pub(super) fn index(&self, slot: Slot, id: IndexId) -> Result<&super::index::Index, SqlError> {
        let heap = self.heap(slot, id.table)?;
        let index = heap.indexes.get(id.slot as usize).and_then(Option::as_ref);
        index.ok_or_else(|| SqlError::no_relation(&format!("index {}", id.slot)))
    }

    fn seen(
        &mut self,
        slot: Slot,
        snapshot: &Snapshot,
        table: TableId,
        rows: Vec<RowId>,
        serializable: bool,
        whole: bool,
    ) -> Result<Vec<Found>, SqlError> {
        let mut found = Vec::new();
        let mut beyond = BTreeSet::new();
        for row in rows {
            let Some(version) = self.version(slot, table, row) else { continue };
            let visible = self.is_visible(slot, version, snapshot);
            let tuple = visible.then(|| version.tuple.clone());
            if serializable && !beyond.contains(&row) {
                if visible && !whole {
                    beyond.extend(self.heap_only_after(slot, table, version));
                }
                self.ssi_read_version(slot, table, row, visible)?;
            }
            let Some(tuple) = tuple else { continue };
            if serializable && !whole {
                self.ssi_read_row(slot, table, row);
            }
            self.note_row_read(table, row);
            found.push(Found { table, row, tuple });
        }
        Ok(found)
    }

    /// The versions behind this one that no index leads to: a scan by an index ends at the one that it sees.
    fn heap_only_after(&self, slot: Slot, table: TableId, version: &Version) -> Vec<RowId> {
        let mut after = Vec::new();
        let mut last = version;
        while let Some(row) = last.next
            && let Some(next) = self.version(slot, table, row).filter(|next| next.hot)
        {
            after.push(row);
            last = next;
        }
        after
    }

    fn note_key_read(&self, slot: Slot, index: IndexId, key: &Key) -> Result<(), SqlError> {
        let whole = key.len() == self.index_def(slot, index)?.key.columns().len();
        self.footprints.read(|| {
            let space = index_space(index);
            if whole { Resource::one(&space, key) } else { Resource::all(&space) }
        });
        Ok(())
    }
}

/// The space of an index's keys.
pub(super) fn index_space(index: IndexId) -> String {
    format!("db index {} {}", index.table.0, index.slot)
}
