//! `UPDATE` and `DELETE`.

use super::super::super::error::SqlError;
use super::super::super::store::{Changed, Found};
use super::super::super::value::{Tuple, Value};
use super::super::expression::Rows;
use super::super::plan::{Assignment, Change, ChangeKind, Select};
use super::{Candidate, Outcome, Row, Run};

impl Run<'_> {
    /// Runs a change.
    pub(super) async fn change(
        &mut self,
        change: &Change,
        outer: Option<&Rows<'_>>,
    ) -> Result<Outcome, SqlError> {
        self.with(&change.ctes, outer).await?;
        match &change.kind {
            ChangeKind::Insert(insert) => self.insert(change, insert, outer).await,
            ChangeKind::Update { select, set } => self.update(change, select, set, outer).await,
            ChangeKind::Delete { select } => self.delete(change, select, outer).await,
        }
    }

    async fn update(
        &mut self,
        change: &Change,
        select: &Select,
        set: &[Assignment],
        outer: Option<&Rows<'_>>,
    ) -> Result<Outcome, SqlError> {
        let mut outcome = Outcome::default();
        for mut candidate in self.joined(select, outer, true).await? {
            let Some(new) = self.update_row(change, select, set, &mut candidate, outer).await? else {
                continue;
            };
            outcome.count += 1;
            candidate.put(&select.from[0], &new.tuple);
            self.give_back(change, &candidate.row, outer, &mut outcome).await?;
        }
        Ok(outcome)
    }

    /// Replaces one row. Where another transaction was faster, its version is taken if it still qualifies
    /// (read committed; above, the store has refused it).
    async fn update_row(
        &mut self,
        change: &Change,
        select: &Select,
        set: &[Assignment],
        candidate: &mut Candidate,
        outer: Option<&Rows<'_>>,
    ) -> Result<Option<Found>, SqlError> {
        let Some(mut found) = candidate.found[0].clone() else { return Ok(None) };
        loop {
            let rows = self.rows_of(&candidate.row, outer);
            let tuple = self.assigned(change, &found.tuple, set, &rows).await?;
            match self.session.update(&self.snapshot, &found, tuple).await? {
                Changed::Done(Some(new)) => {
                    self.note_update(&change.table, &found.tuple, &new.tuple);
                    return Ok(Some(new));
                }
                Changed::Newer(newer) => {
                    candidate.put(&select.from[0], &newer.tuple);
                    if !self.still_qualifies(&select.from, candidate, outer).await? {
                        return Ok(None);
                    }
                    found = newer;
                }
                Changed::Done(None) | Changed::Gone | Changed::SelfModified => return Ok(None),
            }
        }
    }

    /// The new version of a row, checked.
    pub(super) async fn assigned(
        &mut self,
        change: &Change,
        old: &Tuple,
        set: &[Assignment],
        rows: &Rows<'_>,
    ) -> Result<Tuple, SqlError> {
        let mut values: Vec<Value> = old.to_vec();
        for Assignment { column, value } in set {
            values[*column] = self.value(value, rows).await?;
        }
        self.completed(&change.table.schema, values)
    }

    async fn delete(
        &mut self,
        change: &Change,
        select: &Select,
        outer: Option<&Rows<'_>>,
    ) -> Result<Outcome, SqlError> {
        let mut outcome = Outcome::default();
        'rows: for mut candidate in self.joined(select, outer, true).await? {
            let Some(mut found) = candidate.found[0].clone() else { continue };
            loop {
                match self.session.delete(&self.snapshot, &found).await? {
                    Changed::Done(_) => break,
                    Changed::Newer(newer) => {
                        candidate.put(&select.from[0], &newer.tuple);
                        if !self.still_qualifies(&select.from, &mut candidate, outer).await? {
                            continue 'rows;
                        }
                        found = newer;
                    }
                    Changed::Gone | Changed::SelfModified => continue 'rows,
                }
            }
            outcome.count += 1;
            self.note_delete(&change.table, &found.tuple);
            self.give_back(change, &candidate.row, outer, &mut outcome).await?;
        }
        Ok(outcome)
    }

    /// The outputs of `RETURNING` for a changed row.
    pub(super) async fn give_back(
        &mut self,
        change: &Change,
        row: &Row,
        outer: Option<&Rows<'_>>,
        outcome: &mut Outcome,
    ) -> Result<(), SqlError> {
        if !change.columns.is_empty() {
            let rows = self.rows_of(row, outer);
            outcome.rows.push(self.values(&change.returning, &rows).await?.into());
        }
        Ok(())
    }
}
