//! `INSERT`, with `ON CONFLICT`.

use super::super::super::error::SqlError;
use super::super::super::store::{Changed, Found, Inserted, RowLock};
use super::super::super::value::{Tuple, Value};
use super::super::expression::{Expr, Rows};
use super::super::plan::{Assignment, Change, Conflict, ConflictAction, Insert, InsertSource};
use super::{Outcome, Row, Run};

impl Run<'_> {
    pub(super) async fn insert(
        &mut self,
        change: &Change,
        insert: &Insert,
        outer: Option<&Rows<'_>>,
    ) -> Result<Outcome, SqlError> {
        let mut outcome = Outcome::default();
        match &insert.source {
            InsertSource::Values(lists) => {
                for list in lists {
                    self.insert_row(change, insert, list, &[], outer, &mut outcome).await?;
                }
            }
            InsertSource::Query { query, row } => {
                for source in self.query(query, outer).await? {
                    self.insert_row(change, insert, row, &source, outer, &mut outcome).await?;
                }
            }
        }
        Ok(outcome)
    }

    async fn insert_row(
        &mut self,
        change: &Change,
        insert: &Insert,
        exprs: &[Expr],
        source: &[Value],
        outer: Option<&Rows<'_>>,
        outcome: &mut Outcome,
    ) -> Result<(), SqlError> {
        let rows = self.rows_of(source, outer);
        let values = self.values(exprs, &rows).await?;
        let tuple = self.completed(&change.table.schema, values)?;
        let table = change.table.id;
        let stored = match &insert.conflict {
            None => Some(self.session.insert(&self.snapshot, table, tuple).await?),
            Some(conflict) => match self.speculative(change, conflict, tuple.clone()).await? {
                Inserted::New(found) => Some(found),
                Inserted::Conflict(existing) => {
                    let updated = self.resolve(change, conflict, existing, &tuple, outer).await?;
                    if let Some(found) = updated {
                        outcome.count += 1;
                        self.give_back(change, &Row::One(found.tuple), outer, outcome).await?;
                    }
                    None
                }
            },
        };
        if let Some(found) = stored {
            outcome.count += 1;
            self.note_insert(&change.table, &found.tuple);
            self.give_back(change, &Row::One(found.tuple), outer, outcome).await?;
        }
        Ok(())
    }

    async fn speculative(
        &mut self,
        change: &Change,
        conflict: &Conflict,
        tuple: Tuple,
    ) -> Result<Inserted, SqlError> {
        let lock = match &conflict.action {
            ConflictAction::Nothing => None,
            ConflictAction::Update { set, .. } => Some(lock_for(change, set)),
        };
        let arbiters = conflict.arbiters.as_deref().unwrap_or_default();
        self.session.insert_on_conflict(&self.snapshot, change.table.id, tuple, arbiters, lock).await
    }

    /// What becomes of the row in the way, which is locked: its new version, if it gets one.
    async fn resolve(
        &mut self,
        change: &Change,
        conflict: &Conflict,
        existing: Found,
        excluded: &Tuple,
        outer: Option<&Rows<'_>>,
    ) -> Result<Option<Found>, SqlError> {
        let ConflictAction::Update { set, filter } = &conflict.action else { return Ok(None) };
        let both: Vec<Value> = existing.tuple.iter().chain(excluded.iter()).cloned().collect();
        let rows = self.rows_of(&both, outer);
        if let Some(filter) = filter
            && !self.is_true(filter, &rows).await?
        {
            return Ok(None);
        }
        let tuple = self.assigned(change, &existing.tuple, set, &rows).await?;
        match self.session.update(&self.snapshot, &existing, tuple).await? {
            Changed::Done(Some(new)) => {
                self.note_update(&change.table, &existing.tuple, &new.tuple);
                Ok(Some(new))
            }
            // It is locked, so nobody else can have been faster.
            Changed::Done(None) | Changed::Newer(_) | Changed::Gone | Changed::SelfModified => Ok(None),
        }
    }
}

/// The lock that the update of these columns needs: the weaker one where no key is among them that foreign keys
/// can refer to (`ExecUpdateLockMode`).
fn lock_for(change: &Change, set: &[Assignment]) -> RowLock {
    let keys = change.table.schema.indexes.iter().filter(|index| index.unique && index.predicate.is_empty());
    let mut columns = keys.filter_map(|index| index.columns()).flatten();
    if columns.any(|column| set.iter().any(|assignment| assignment.column == column)) {
        RowLock::Update
    } else {
        RowLock::NoKeyUpdate
    }
}
