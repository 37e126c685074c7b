//! Serializable transactions.

use super::catalog::Key;
use super::id::{IndexId, RowId, Slot, TableId, Xid};
use super::index::{KeyBound, Split};
use super::state::State;
use super::xact::Snapshot;
use crate::model::database::error::SqlError;
use crate::model::database::value::Value;

/// A serializable transaction.
pub(super) type SsiId = u64;

/// Serializable transactions.
#[derive(Debug, Clone, Default)]
pub(super) struct Ssi {}

#[expect(clippy::unnecessary_wraps, clippy::unused_self, reason = "comes with the next piece")]
impl State {
    pub(super) fn ssi_register_xid(&mut self, _slot: Slot, _xid: Xid) {}
    pub(super) fn ssi_finish(&mut self, _slot: Slot, _ssi: Option<SsiId>, _committed: bool) {}
    pub(super) fn ssi_read_table(&mut self, _slot: Slot, _table: TableId) -> Result<(), SqlError> {
        Ok(())
    }
    pub(super) fn ssi_read_index(
        &mut self,
        _slot: Slot,
        _index: IndexId,
        _low: &KeyBound,
        _high: &KeyBound,
    ) -> Result<(), SqlError> {
        Ok(())
    }
    pub(super) fn ssi_read_version(
        &mut self,
        _slot: Slot,
        _snapshot: &Snapshot,
        _table: TableId,
        _row: RowId,
        _visible: bool,
    ) -> Result<(), SqlError> {
        Ok(())
    }
    pub(super) fn ssi_read_row(&mut self, _slot: Slot, _table: TableId, _row: RowId) -> Result<(), SqlError> {
        Ok(())
    }
    pub(super) fn ssi_write_table(&mut self, _slot: Slot, _table: TableId) -> Result<(), SqlError> {
        Ok(())
    }
    pub(super) fn ssi_write_row(
        &mut self,
        _slot: Slot,
        _table: TableId,
        _row: RowId,
    ) -> Result<(), SqlError> {
        Ok(())
    }
    pub(super) fn ssi_write_index(
        &mut self,
        _slot: Slot,
        _index: IndexId,
        _key: &[Value],
    ) -> Result<(), SqlError> {
        let _: Option<Key> = None;
        Ok(())
    }
    pub(super) fn ssi_split(&mut self, _index: IndexId, _split: Split) {}

    /// Whether the transaction may read now; false where it has to wait for its snapshot to be safe.
    pub(super) fn ssi_begin(&mut self, _slot: Slot) -> bool {
        true
    }
    pub(super) fn ssi_precommit(&mut self, _slot: Slot) -> Result<(), SqlError> {
        Ok(())
    }
    pub(super) fn ssi_blockers(&self, _slot: Slot) -> Vec<Slot> {
        Vec::new()
    }
    pub(super) fn ssi_prepare(&mut self, _ssi: SsiId, _to: Slot) {}
    pub(super) fn ssi_crash(&mut self) {}
    pub(super) fn ssi_write_all(&mut self, _slot: Slot, _table: TableId) -> Result<(), SqlError> {
        Ok(())
    }
}
