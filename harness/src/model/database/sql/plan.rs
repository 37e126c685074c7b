//! Statements with every name resolved: what is run.

use std::sync::Arc;

use super::super::store::{IndexId, LockMode, TableDef, TableId};
use super::super::types::Type;
use super::expression::{Comparison, Expr};
use super::schema::Schema;
use super::syntax::Strength;

/// A column of a result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct OutColumn {
    pub(super) name: Arc<str>,
    pub(super) kind: Type,
}

/// A statement that reads or changes rows.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) body: Body,
    pub(super) columns: Arc<[(Arc<str>, Type)]>,
    pub(super) params: Vec<Type>,
    /// What the names stood for: the plan holds as long as they still do.
    pub(super) depends: Vec<Dependency>,
    /// Of every name that `WITH` gives, whether it is used.
    pub(super) ctes: Vec<bool>,
    pub(super) subqueries: usize,
}

impl Plan {
    /// Of no statement: what is checked at the end of a transaction runs in it.
    pub(super) fn of_nothing() -> Self {
        let select = Select {
            from: Vec::new(),
            width: 0,
            once: Vec::new(),
            group: None,
            projection: Vec::new(),
            distinct: None,
            order: Vec::new(),
            limit: None,
            offset: None,
            locks: Vec::new(),
        };
        let query = Query { ctes: Vec::new(), select, columns: Vec::new() };
        Plan {
            body: Body::Query(query),
            columns: Arc::new([]),
            params: Vec::new(),
            depends: Vec::new(),
            ctes: Vec::new(),
            subqueries: 0,
        }
    }
}

/// A table that a plan was made for.
#[derive(Debug, Clone)]
pub(super) struct Dependency {
    pub(super) id: TableId,
    pub(super) def: Arc<TableDef>,
    /// The lock that the statement takes on it.
    pub(super) mode: LockMode,
}

/// What a statement or a name given by `WITH` stands for.
#[derive(Debug)]
pub(super) enum Body {
    Query(Query),
    Change(Change),
}

/// A query with what its `WITH` names.
#[derive(Debug)]
pub(super) struct Query {
    pub(super) ctes: Vec<Cte>,
    pub(super) select: Select,
    pub(super) columns: Vec<OutColumn>,
}

/// A query or a change that has a name.
#[derive(Debug)]
pub(super) struct Cte {
    /// Where its rows are kept while the statement runs.
    pub(super) slot: usize,
    pub(super) body: Arc<Body>,
}

/// A `SELECT`.
#[derive(Debug)]
pub(super) struct Select {
    /// In the order in which they are looked through.
    pub(super) from: Vec<Source>,
    pub(super) width: usize,
    /// Conditions that look at no source.
    pub(super) once: Vec<Expr>,
    pub(super) group: Option<Group>,
    pub(super) projection: Vec<Expr>,
    pub(super) distinct: Option<Distinct>,
    pub(super) order: Vec<SortKey>,
    pub(super) limit: Option<Expr>,
    pub(super) offset: Option<Expr>,
    pub(super) locks: Vec<Lock>,
}

/// Something that gives rows, joined to what came before it.
#[derive(Debug)]
pub(super) struct Source {
    /// Where its columns begin in the joined row.
    pub(super) start: usize,
    pub(super) width: usize,
    pub(super) kind: SourceKind,
    /// Of an outer join: where nothing matches these, its columns are null.
    pub(super) on: Option<Vec<Expr>>,
    /// Conditions that can be decided once it is joined.
    pub(super) filter: Vec<Expr>,
}

#[derive(Debug)]
pub(super) enum SourceKind {
    Table { table: TableId, access: Access },
    Query(Box<Query>),
    Cte(usize),
    Values(Vec<Vec<Expr>>),
    Set(Box<SetOperation>),
    Function(TableFunction, Vec<Expr>),
    System(SystemTable),
}

/// `UNION`, `INTERSECT`, `EXCEPT`.
#[derive(Debug)]
pub(super) struct SetOperation {
    pub(super) kind: SetKind,
    pub(super) all: bool,
    pub(super) left: Query,
    pub(super) right: Query,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SetKind {
    Union,
    Intersect,
    Except,
}

/// A function that gives rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TableFunction {
    GenerateSeries,
    Unnest,
    SlotChanges {
        consume: bool,
    },
    CreateSlot,
    AdvanceSlot,
    ListeningChannels,
    /// Any function of one value: one row of it.
    Scalar,
}

/// A table of the system catalogue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SystemTable {
    ReplicationSlots,
}

/// How the rows of a table are found. An equality or a range on the leading columns of an index uses the index
/// (of several, the one with the most columns bound, a unique one first); everything else reads the table.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Access {
    All,
    /// All rows with one of these keys.
    Keys {
        index: IndexId,
        keys: Vec<Vec<Expr>>,
    },
    Range {
        index: IndexId,
        prefix: Vec<Expr>,
        low: Option<Edge>,
        high: Option<Edge>,
    },
}

/// One side of a range.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Edge {
    pub(super) value: Expr,
    pub(super) inclusive: bool,
}

/// `GROUP BY` and aggregates. The row that comes of it has the keys first, then the aggregates.
#[derive(Debug)]
pub(super) struct Group {
    pub(super) keys: Vec<Expr>,
    pub(super) aggregates: Vec<Aggregate>,
    pub(super) having: Vec<Expr>,
}

/// An aggregate.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Aggregate {
    pub(super) function: AggregateFunction,
    pub(super) args: Vec<Expr>,
    pub(super) distinct: bool,
    pub(super) filter: Option<Expr>,
    pub(super) order: Vec<SortKey>,
    pub(super) kind: Type,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AggregateFunction {
    CountRows,
    Count,
    Sum,
    Average,
    Minimum,
    Maximum,
    And,
    Or,
    Join,
    Array,
    /// The value of the group's first row: a column that the key determines.
    First,
}

#[derive(Debug)]
pub(super) enum Distinct {
    All,
    On(Vec<Expr>),
}

/// A key of `ORDER BY`.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SortKey {
    pub(super) expr: Expr,
    pub(super) descending: bool,
    pub(super) nulls_first: bool,
}

/// A locking clause, for one source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lock {
    /// The place of the source in `from`.
    pub(super) source: usize,
    pub(super) strength: Strength,
    pub(super) no_wait: bool,
    pub(super) skip_locked: bool,
}

/// A query within an expression.
#[derive(Debug)]
pub(super) struct Subquery {
    pub(super) kind: SubqueryKind,
    /// The left side of `IN` and of comparisons.
    pub(super) operand: Option<Expr>,
    pub(super) query: Arc<Query>,
    /// Whether it looks at rows of queries around it: if not, it is run once.
    pub(super) correlated: bool,
    /// The columns of the next row around that it looks at.
    pub(super) outer_columns: Vec<usize>,
    /// Where its result is kept.
    pub(super) slot: usize,
}

impl Clone for Subquery {
    fn clone(&self) -> Self {
        Subquery {
            kind: self.kind,
            operand: self.operand.clone(),
            query: Arc::clone(&self.query),
            correlated: self.correlated,
            outer_columns: self.outer_columns.clone(),
            slot: self.slot,
        }
    }
}

/// Two subqueries are the same where they are one.
impl PartialEq for Subquery {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.query, &other.query)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SubqueryKind {
    Scalar,
    Exists,
    Any(Comparison),
    All(Comparison),
    Array,
}

/// An `INSERT`, `UPDATE` or `DELETE`.
#[derive(Debug)]
pub(super) struct Change {
    pub(super) ctes: Vec<Cte>,
    pub(super) table: Target,
    pub(super) kind: ChangeKind,
    /// Over the changed row, and the rows that it was joined with.
    pub(super) returning: Vec<Expr>,
    pub(super) columns: Vec<OutColumn>,
}

/// The table that is changed.
#[derive(Debug, Clone)]
pub(super) struct Target {
    pub(super) id: TableId,
    pub(super) schema: Arc<Schema>,
}

#[derive(Debug)]
pub(super) enum ChangeKind {
    Insert(Insert),
    Update {
        /// The target is the first source.
        select: Select,
        /// Every column of the new row, over the joined row.
        set: Vec<Assignment>,
    },
    Delete {
        select: Select,
    },
}

/// A new value of a column.
#[derive(Debug)]
pub(super) struct Assignment {
    pub(super) column: usize,
    pub(super) value: Expr,
}

#[derive(Debug)]
pub(super) struct Insert {
    pub(super) source: InsertSource,
    pub(super) conflict: Option<Conflict>,
}

#[derive(Debug)]
pub(super) enum InsertSource {
    /// Every column of every row.
    Values(Vec<Vec<Expr>>),
    /// Every column, over a row of the query.
    Query { query: Box<Query>, row: Vec<Expr> },
}

/// `ON CONFLICT`.
#[derive(Debug)]
pub(super) struct Conflict {
    /// All unique indexes where no target is given.
    pub(super) arbiters: Option<Vec<IndexId>>,
    pub(super) action: ConflictAction,
}

#[derive(Debug)]
pub(super) enum ConflictAction {
    Nothing,
    /// Over the row that is there and, behind it, the row that was to be inserted.
    Update {
        set: Vec<Assignment>,
        filter: Option<Expr>,
    },
}
