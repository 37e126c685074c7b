//! The rows of a table on their pages, and its indexes.
//!
//! Pages matter because PostgreSQL's serializable transactions lock pages where they have read much of one, and
//! because scans read in the order of places. Versions that nobody can see any more are swept from time to time.

use super::catalog::{Column, IndexDef};
use super::id::RowId;
use super::index::Index;
use super::version::Version;
use super::xact::Xacts;
use crate::model::database::error::SqlError;
use crate::model::database::types::Type;
use crate::model::database::value::Value;

/// What a page holds besides its header (8 KiB pages).
const PAGE_BYTES: u16 = 8192 - 24;
/// A page with less than a tenth free is cleared of dead versions when it is read (`heap_page_prune_opt`).
const CLEARED_BELOW_BYTES: u16 = 819;
/// The most versions of a page (`MaxHeapTuplesPerPage`).
const PAGE_ROWS_MAX: usize = 291;
/// Dead versions that are let lie before a table is swept.
const STALE_MAX: usize = 32;

#[derive(Debug, Clone, Default)]
struct Page {
    rows: Vec<Option<Version>>,
    used: u16,
    live: u16,
}

/// The rows of a table with their indexes.
#[derive(Debug, Clone, Default)]
pub(super) struct Heap {
    pages: Vec<Page>,
    /// By the number of the index; none where there is none (any more).
    pub(super) indexes: Vec<Option<Index>>,
    /// Versions that have come to be dead, or will when their writer commits.
    stale: usize,
    count: usize,
}

impl Heap {
    /// An empty one with the same indexes.
    pub(super) fn emptied(&self) -> Heap {
        let indexes = self.indexes.iter().map(|index| index.as_ref().map(Index::emptied)).collect();
        Heap { indexes, ..Heap::default() }
    }

    pub(super) fn get(&self, row: RowId) -> Option<&Version> {
        let place = usize::try_from(row.place()).ok()?.checked_sub(1)?;
        self.pages.get(usize::try_from(row.page()).ok()?)?.rows.get(place)?.as_ref()
    }

    pub(super) fn get_mut(&mut self, row: RowId) -> Option<&mut Version> {
        let place = usize::try_from(row.place()).ok()?.checked_sub(1)?;
        self.pages.get_mut(usize::try_from(row.page()).ok()?)?.rows.get_mut(place)?.as_mut()
    }

    /// All versions in the order of their places.
    pub(super) fn iter(&self) -> impl Iterator<Item = (RowId, &Version)> {
        (0..).zip(&self.pages).flat_map(|(page, rows)| {
            let placed = (1..).zip(&rows.rows);
            placed.filter_map(move |(place, row)| row.as_ref().map(|row| (RowId::new(page, place), row)))
        })
    }

    /// Puts a version on the last page, or on `near` where it fits there (the page of the version that it
    /// replaces).
    pub(super) fn put(&mut self, version: Version, near: Option<u32>) -> RowId {
        let bytes = version.bytes;
        let near = near.and_then(|page| usize::try_from(page).ok());
        let near = near.filter(|page| self.pages.get(*page).is_some_and(|page| page.fits(bytes)));
        let last = self.pages.len().checked_sub(1).filter(|page| self.pages[*page].fits(bytes));
        let page = near.or(last).unwrap_or_else(|| {
            self.pages.push(Page::default());
            self.pages.len() - 1
        });
        self.count += 1;
        let place = self.pages[page].put(version);
        RowId::new(u32::try_from(page).expect("a model's table has less than 2^32 pages"), place)
    }

    /// Removes a version, from the indexes too.
    pub(super) fn remove(&mut self, row: RowId, defs: &[Option<&IndexDef>]) {
        let Some(version) = self.take(row) else { return };
        for (index, def) in self.indexes.iter_mut().zip(defs) {
            let (Some(index), Some(def)) = (index, def) else { continue };
            // A key that could not be computed was not put in.
            if let Ok(Some(key)) = def.key.of(&version.tuple) {
                index.remove(&key, row);
            }
        }
    }

    fn take(&mut self, row: RowId) -> Option<Version> {
        let place = usize::try_from(row.place()).ok()?.checked_sub(1)?;
        let page = self.pages.get_mut(usize::try_from(row.page()).ok()?)?;
        let version = page.rows.get_mut(place)?.take()?;
        page.live -= version.bytes;
        self.count -= 1;
        Some(version)
    }

    /// Notes that a version will be dead.
    pub(super) fn note_stale(&mut self) {
        self.stale += 1;
    }

    /// Whether a sweep is worth its while.
    pub(super) fn wants_sweep(&self) -> bool {
        self.stale > STALE_MAX + self.count / 4
    }

    /// Removes what no snapshot from `horizon` on can see.
    pub(super) fn sweep(&mut self, xacts: &Xacts, horizon: u64, defs: &[Option<&IndexDef>]) {
        let dead = self.iter().filter(|(_, version)| version.is_dead(xacts, horizon));
        let dead: Vec<RowId> = dead.map(|(row, _)| row).collect();
        for row in dead {
            self.remove(row, defs);
        }
        self.stale = 0;
    }

    /// Fills a new index from the versions that are there.
    pub(super) fn build(&mut self, slot: usize, def: &IndexDef) -> Result<(), SqlError> {
        let mut index = Index::default();
        for (row, version) in self.iter() {
            if let Some(key) = def.key.of(&version.tuple)? {
                index.insert(key, row);
            }
        }
        if self.indexes.len() <= slot {
            self.indexes.resize(slot + 1, None);
        }
        self.indexes[slot] = Some(index);
        Ok(())
    }
}

impl Page {
    /// Whether a version of that size fits. What the dead have left counts once the page is nearly full, as it
    /// is cleared then.
    fn fits(&self, bytes: u16) -> bool {
        let used = if self.is_nearly_full() { self.live } else { self.used };
        used + bytes <= PAGE_BYTES
            && (self.rows.len() < PAGE_ROWS_MAX || self.rows.iter().any(Option::is_none))
    }

    fn is_nearly_full(&self) -> bool {
        PAGE_BYTES - self.used < CLEARED_BELOW_BYTES || self.rows.len() >= PAGE_ROWS_MAX
    }

    fn put(&mut self, version: Version) -> u32 {
        let free = if self.is_nearly_full() {
            self.used = self.live;
            self.rows.iter().position(Option::is_none)
        } else {
            None
        };
        self.used += version.bytes;
        self.live += version.bytes;
        let place = free.unwrap_or(self.rows.len());
        match self.rows.get_mut(place) {
            Some(row) => *row = Some(version),
            None => self.rows.push(Some(version)),
        }
        u32::try_from(place + 1).expect("a page has a few hundred places")
    }
}

/// The bytes that a row takes on its page: its header and its values with their alignment, and its pointer.
pub(super) fn row_bytes(columns: &[Column], tuple: &[Value]) -> u16 {
    const HEADER_BYTES: usize = 23;
    const POINTER_BYTES: usize = 4;
    let nulls = if tuple.iter().any(Value::is_null) { tuple.len().div_ceil(8) } else { 0 };
    let mut bytes = (HEADER_BYTES + nulls).next_multiple_of(8);
    for (number, value) in tuple.iter().enumerate() {
        bytes = with_value(bytes, columns.get(number).map(|column| column.kind), value);
    }
    let bytes = bytes.next_multiple_of(8) + POINTER_BYTES;
    // A longer row is moved out of the page in pieces (TOAST), down to about a quarter of a page.
    u16::try_from(bytes).unwrap_or(u16::MAX).min(PAGE_BYTES / 4)
}

/// Where the value ends that begins behind `bytes`.
pub(super) fn with_value(bytes: usize, kind: Option<Type>, value: &Value) -> usize {
    const SHORT_TEXT_MAX_BYTES: usize = 126;
    let fixed = |size: usize| bytes.next_multiple_of(size) + size;
    let varying = |length: usize| {
        if length <= SHORT_TEXT_MAX_BYTES {
            bytes + 1 + length
        } else {
            bytes.next_multiple_of(4) + 4 + length
        }
    };
    match (value, kind) {
        (Value::Null, _) => bytes,
        (Value::Bool(_), _) => bytes + 1,
        (Value::Int(_), Some(Type::Int2)) => fixed(2),
        (Value::Int(_), Some(Type::Int4 | Type::Oid | Type::Xid | Type::RegClass)) => fixed(4),
        (Value::Float(_), Some(Type::Float4)) | (Value::Date(_), _) => fixed(4),
        (Value::Int(_) | Value::Float(_) | Value::Lsn(_) | Value::Timestamp(_), _) => fixed(8),
        (Value::Interval(_), _) => bytes.next_multiple_of(8) + 16,
        (Value::Decimal(_), _) => varying(8),
        (Value::Text(_), Some(Type::Name)) => bytes + 64,
        (Value::Text(_), Some(Type::Uuid)) => bytes + 16,
        (Value::Text(text), Some(Type::Char(length))) => {
            varying(text.len().max(usize::try_from(length).unwrap_or(0)))
        }
        (Value::Text(text), _) => varying(text.len()),
        (Value::Bytes(value), _) => varying(value.len()),
        (Value::Array(values), _) => varying(24 + 8 * values.len()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::model::database::store::id::Xid;
    use crate::model::database::store::version::Xmax;

    fn version(bytes: u16) -> Version {
        let tuple = Arc::new([Value::Int(1)]);
        let xmax = Xmax::Nobody;
        let (cmin, cmax, hot, speculative) = (0, 0, false, false);
        Version { tuple, xmin: Xid(1), cmin, xmax, cmax, next: None, hot, speculative, bytes }
    }

    #[test]
    fn rows_are_laid_out_as_postgresql_lays_them_out() {
        let column = |kind| Column { name: "c".into(), kind };
        let columns = [column(Type::Int4), column(Type::Text)];
        let bytes = row_bytes(&columns, &[Value::Int(1), Value::text("apple")]);
        assert_eq!(bytes, 24 + 16 + 4, "24 of header, 4 + 1 + 5 of data in eights, 4 of the pointer");
    }

    #[test]
    fn a_page_is_filled_before_the_next_and_used_again_only_when_it_is_nearly_full() {
        let mut heap = Heap::default();
        let rows: Vec<RowId> = (0..9).map(|_| heap.put(version(1000), None)).collect();
        assert_eq!((rows[7], rows[8]), (RowId::new(0, 8), RowId::new(1, 1)));
        heap.remove(rows[2], &[]);
        assert_eq!(heap.put(version(1000), Some(0)), rows[2]);
        heap.remove(rows[8], &[]);
        assert_eq!(heap.put(version(1000), None), RowId::new(1, 2));
    }
}
