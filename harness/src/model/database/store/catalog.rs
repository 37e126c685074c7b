//! What relations there are. Definitions are versions too: a change counts for its own transaction at once, for
//! the others when it commits, and not at all when it is rolled back.

use std::any::Any;
use std::fmt;
use std::sync::Arc;

use super::id::{TableId, Xid};
use super::xact::Xacts;
use crate::model::database::error::SqlError;
use crate::model::database::types::Type;
use crate::model::database::value::Value;

/// What the layer above keeps with a definition: defaults, checks, what a view stands for.
pub(crate) type Facts = Arc<dyn Any + Send + Sync>;

/// A column.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Column {
    pub(crate) name: Arc<str>,
    pub(crate) kind: Type,
}

/// A table.
#[derive(Clone)]
pub(crate) struct TableDef {
    pub(crate) name: Arc<str>,
    pub(crate) columns: Vec<Column>,
    pub(crate) facts: Option<Facts>,
}

impl fmt::Debug for TableDef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TableDef").field("name", &self.name).field("columns", &self.columns).finish()
    }
}

/// The key of a row in an index.
pub(crate) type Key = Box<[Value]>;

/// Computes the key of a row; none where the index does not hold the row.
pub(crate) type ComputeKey = Arc<dyn Fn(&[Value]) -> Result<Option<Key>, SqlError> + Send + Sync>;

/// What an index is over.
#[derive(Clone)]
pub(crate) enum IndexKey {
    /// These columns of every row.
    Columns(Box<[usize]>),
    /// Expressions, or a part of the rows.
    Computed {
        /// The text that stands for the columns in messages.
        text: Arc<str>,
        /// The columns that it reads.
        columns: Box<[usize]>,
        /// The key.
        compute: ComputeKey,
    },
}

impl IndexKey {
    /// The columns whose change changes the index.
    pub(crate) fn columns(&self) -> &[usize] {
        match self {
            IndexKey::Columns(columns) | IndexKey::Computed { columns, .. } => columns,
        }
    }

    /// The key of a row.
    pub(crate) fn of(&self, tuple: &[Value]) -> Result<Option<Key>, SqlError> {
        match self {
            IndexKey::Columns(columns) => {
                Ok(Some(columns.iter().map(|column| tuple[*column].clone()).collect()))
            }
            IndexKey::Computed { compute, .. } => compute(tuple),
        }
    }
}

impl fmt::Debug for IndexKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            IndexKey::Columns(columns) => f.debug_tuple("Columns").field(columns).finish(),
            IndexKey::Computed { text, .. } => f.debug_tuple("Computed").field(text).finish(),
        }
    }
}

/// An index.
#[derive(Debug, Clone)]
pub(crate) struct IndexDef {
    pub(crate) name: Arc<str>,
    pub(crate) key: IndexKey,
    pub(crate) unique: bool,
    /// It is the primary key.
    pub(crate) primary: bool,
    /// It can be what foreign keys refer to: unique, over columns, of all rows. Its columns make the key that
    /// `FOR KEY SHARE` protects.
    pub(crate) identifies: bool,
}

/// Something that transactions make, change and drop, as versions with their makers, oldest first.
#[derive(Debug, Clone)]
pub(super) struct Versioned<T> {
    versions: Vec<(Xid, Option<T>)>,
}

impl<T> Versioned<T> {
    /// Made by `xid`.
    pub(super) fn new(xid: Xid, first: T) -> Self {
        Versioned { versions: vec![(xid, Some(first))] }
    }

    /// What holds for the transaction `me` now.
    pub(super) fn current(&self, xacts: &Xacts, me: Xid) -> Option<&T> {
        let mut newest = self.versions.iter().rev();
        let holds = newest.find(|(xid, _)| xacts.is_committed(*xid) || xacts.is_current(*xid, me));
        holds.and_then(|(_, version)| version.as_ref())
    }

    /// As [`Versioned::current`], to be changed in place.
    pub(super) fn current_mut(&mut self, xacts: &Xacts, me: Xid) -> Option<&mut T> {
        let mut newest = self.versions.iter_mut().rev();
        let holds = newest.find(|(xid, _)| xacts.is_committed(*xid) || xacts.is_current(*xid, me));
        holds.and_then(|(_, version)| version.as_mut())
    }

    /// A new version, or the end of it. Versions that a rollback left are dropped, and those that a committed
    /// one has replaced.
    pub(super) fn change(&mut self, xid: Xid, version: Option<T>, xacts: &Xacts) {
        self.versions.retain(|(maker, _)| !xacts.is_aborted(*maker));
        let settled = self.versions.iter().rposition(|(maker, _)| xacts.is_committed(*maker));
        self.versions.drain(..settled.unwrap_or(0));
        self.versions.push((xid, version));
    }

    /// Another transaction that runs and has made it or changes it.
    pub(super) fn pending(&self, xacts: &Xacts, me: Xid) -> Option<Xid> {
        let mut newest = self.versions.iter().rev().map(|(xid, _)| *xid);
        newest.find(|xid| xacts.is_running(*xid) && !xacts.is_current(*xid, me))
    }

    /// All versions that somebody may still see, oldest first.
    pub(super) fn all_mut(&mut self) -> impl Iterator<Item = &mut T> {
        self.versions.iter_mut().filter_map(|(_, version)| version.as_mut())
    }
}

/// Names of tables to their ids, of all that are there for somebody.
#[derive(Debug, Clone, Default)]
pub(super) struct Names(std::collections::BTreeMap<Arc<str>, Vec<TableId>>);

impl Names {
    pub(super) fn add(&mut self, name: Arc<str>, id: TableId) {
        let ids = self.0.entry(name).or_default();
        if !ids.contains(&id) {
            ids.push(id);
        }
    }

    pub(super) fn get(&self, name: &str) -> &[TableId] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }
}
