//! Running plans over the store.

mod aggregate;
mod change;
mod constraint;
mod foreign_key;
mod host;
mod insert;
mod rows;
mod select;
mod slot;
mod table_function;
mod value;

use std::ops::Deref;
use std::sync::Arc;

use super::super::error::{SqlError, state};
use super::super::store::{Found, Session, Snapshot};
use super::super::value::{Tuple, Value};
use super::expression::Rows;
use super::plan::{Body, Change, ChangeKind, Cte, Plan, Query, SourceKind};
use super::settings::SessionState;

pub(super) use foreign_key::{Event, Pending};
pub(super) use host::check_notify;

/// What a statement came to.
#[derive(Debug, Clone, Default)]
pub(super) struct Outcome {
    pub(super) rows: Vec<Tuple>,
    /// The rows that a change affected.
    pub(super) count: u64,
}

/// A statement that runs.
pub(super) struct Run<'a> {
    pub(super) session: &'a mut Session,
    pub(super) state: &'a mut SessionState,
    params: &'a [Value],
    snapshot: Snapshot,
    ctes: Vec<Option<Arc<Vec<Tuple>>>>,
    used: &'a [bool],
    /// The results of subqueries that look at no row around them.
    subqueries: Vec<Option<Arc<Vec<Tuple>>>>,
    /// Changes that foreign keys are checked for.
    pub(super) events: Vec<Event>,
}

/// A joined row, before anything is computed from it.
#[derive(Debug, Clone)]
struct Candidate {
    row: Row,
    /// The versions that it was made from, by source; only where they are locked or changed.
    found: Vec<Option<Found>>,
}

/// The values of a row.
#[derive(Debug, Clone)]
enum Row {
    One(Tuple),
    Many(Vec<Value>),
}

impl Deref for Row {
    type Target = [Value];

    fn deref(&self) -> &[Value] {
        match self {
            Row::One(tuple) => tuple,
            Row::Many(values) => values,
        }
    }
}

impl<'a> Run<'a> {
    /// A statement with its snapshot.
    pub(super) fn new(
        session: &'a mut Session,
        state: &'a mut SessionState,
        plan: &'a Plan,
        params: &'a [Value],
        snapshot: Snapshot,
    ) -> Self {
        Run {
            session,
            state,
            params,
            snapshot,
            ctes: vec![None; plan.ctes.len()],
            used: &plan.ctes,
            subqueries: vec![None; plan.subqueries],
            events: Vec::new(),
        }
    }

    /// Runs the plan.
    pub(super) async fn body(&mut self, body: &Body) -> Result<Outcome, SqlError> {
        if self.session.is_read_only() {
            refuse_writing(body)?;
        }
        match body {
            Body::Query(query) => {
                let rows = self.query(query, None).await?;
                let count = rows.len() as u64;
                Ok(Outcome { rows, count })
            }
            Body::Change(change) => self.change(change, None).await,
        }
    }

    /// Runs what `WITH` names: changes always, queries where somebody looks at them. All see the same snapshot.
    async fn with(&mut self, ctes: &[Cte], outer: Option<&Rows<'_>>) -> Result<(), SqlError> {
        for cte in ctes {
            let rows = match &*cte.body {
                Body::Change(change) => Box::pin(self.change(change, outer)).await?.rows,
                Body::Query(query) if self.used[cte.slot] => self.query(query, outer).await?,
                Body::Query(_) => continue,
            };
            self.ctes[cte.slot] = Some(Arc::new(rows));
        }
        Ok(())
    }

    fn rows_of<'r>(&self, row: &'r [Value], outer: Option<&'r Rows<'r>>) -> Rows<'r>
    where
        'a: 'r,
    {
        Rows { row, outer, params: self.params }
    }
}

/// In a transaction that only reads, rows are neither changed nor locked.
fn refuse_writing(body: &Body) -> Result<(), SqlError> {
    match body {
        Body::Change(change) => Err(read_only(change_word(change))),
        Body::Query(query) => refuse_locking(query),
    }
}

fn refuse_locking(query: &Query) -> Result<(), SqlError> {
    for cte in &query.ctes {
        refuse_writing(&cte.body)?;
    }
    if let Some(lock) = query.select.locks.first() {
        return Err(read_only(&format!("SELECT {}", lock.strength.clause())));
    }
    for source in &query.select.from {
        if let SourceKind::Query(inner) = &source.kind {
            refuse_locking(inner)?;
        }
    }
    Ok(())
}

/// What a transaction that only reads answers.
pub(super) fn read_only(word: &str) -> SqlError {
    let message = format!("cannot execute {word} in a read-only transaction");
    SqlError::new(state::READ_ONLY_SQL_TRANSACTION, message)
}

/// The first word of a change.
pub(super) fn change_word(change: &Change) -> &'static str {
    match change.kind {
        ChangeKind::Insert(_) => "INSERT",
        ChangeKind::Update { .. } => "UPDATE",
        ChangeKind::Delete { .. } => "DELETE",
    }
}
