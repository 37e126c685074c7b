//! What SQL knows of a table besides its rows: defaults, constraints, foreign keys. The store keeps it with the
//! table's definition and gives it back.

use std::sync::Arc;

use super::super::store::{IndexId, TableId};
use super::super::types::Type;
use super::expression::Expr;

/// A table. A definition that changes becomes another one: plans compare what they were made from by identity.
#[derive(Debug, Clone)]
pub(super) struct Schema {
    pub(super) name: Arc<str>,
    pub(super) columns: Vec<ColumnFacts>,
    pub(super) checks: Vec<Check>,
    pub(super) foreign_keys: Vec<Arc<ForeignKey>>,
    /// The foreign keys of tables that refer to this one.
    pub(super) referrers: Vec<Arc<ForeignKey>>,
    pub(super) indexes: Vec<IndexFacts>,
}

/// A column.
#[derive(Debug, Clone)]
pub(super) struct ColumnFacts {
    pub(super) name: Arc<str>,
    pub(super) kind: Type,
    pub(super) not_null: bool,
    /// Over no row.
    pub(super) default: Option<Expr>,
    pub(super) identity: Option<Identity>,
    /// Over the row: `GENERATED ALWAYS AS (..) STORED`.
    pub(super) generated: Option<Expr>,
    /// The sequence that goes with the column.
    pub(super) sequence: Option<Arc<str>>,
}

/// Whether an identity column may be given a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Identity {
    Always,
    ByDefault,
}

/// A `CHECK`.
#[derive(Debug, Clone)]
pub(super) struct Check {
    pub(super) name: Arc<str>,
    pub(super) condition: Expr,
}

/// An index, as plans choose among them.
#[derive(Debug, Clone)]
pub(super) struct IndexFacts {
    pub(super) id: IndexId,
    pub(super) name: Arc<str>,
    /// Its columns as expressions over the row.
    pub(super) keys: Vec<Expr>,
    pub(super) unique: bool,
    pub(super) primary: bool,
    /// The condition of a partial index, part by part.
    pub(super) predicate: Vec<Expr>,
    /// Whether a constraint made it.
    pub(super) constraint: bool,
}

/// A foreign key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ForeignKey {
    pub(super) name: Arc<str>,
    /// The table that refers.
    pub(super) from: TableId,
    pub(super) from_name: Arc<str>,
    pub(super) from_columns: Vec<usize>,
    /// The table that is referred to.
    pub(super) to: TableId,
    pub(super) to_name: Arc<str>,
    pub(super) to_columns: Vec<usize>,
    pub(super) on_delete: Action,
    pub(super) on_update: Action,
    pub(super) deferrable: bool,
    pub(super) deferred: bool,
}

/// What becomes of rows whose row they refer to goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    /// `NO ACTION`: an error at the end of the statement, or of the transaction.
    Refuse,
    Restrict,
    Cascade,
    SetNull,
    SetDefault,
}

impl Schema {
    /// The column of that name.
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        self.columns.iter().position(|column| &*column.name == name)
    }

    /// The columns of the primary key.
    pub(super) fn primary_key(&self) -> Option<Vec<usize>> {
        let index = self.indexes.iter().find(|index| index.primary)?;
        index.columns()
    }
}

impl IndexFacts {
    /// Its columns, if it is over nothing else.
    pub(super) fn columns(&self) -> Option<Vec<usize>> {
        let column = |key: &Expr| if let Expr::Column(column) = key { Some(*column) } else { None };
        self.keys.iter().map(column).collect()
    }
}
