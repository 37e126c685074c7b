//! Queries: locks, groups, order, limits.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::super::super::error::SqlError;
use super::super::super::store::{Locked, RowLock, Wait};
use super::super::super::value::{Tuple, Value};
use super::super::expression::{Expr, Rows};
use super::super::plan::{Distinct, Lock, Query, Select, SortKey, Source};
use super::super::syntax::Strength;
use super::value::Boxed;
use super::{Candidate, Row, Run};

impl Run<'_> {
    /// The rows of a query.
    pub(super) fn query<'b>(
        &'b mut self,
        query: &'b Query,
        outer: Option<&'b Rows<'b>>,
    ) -> Boxed<'b, Vec<Tuple>> {
        Box::pin(async move {
            self.with(&query.ctes, outer).await?;
            self.select(&query.select, outer).await
        })
    }

    async fn select(&mut self, select: &Select, outer: Option<&Rows<'_>>) -> Result<Vec<Tuple>, SqlError> {
        let nothing = self.rows_of(&[], outer);
        let limit = self.limit(select.limit.as_ref(), "LIMIT", &nothing).await?;
        let offset = self.limit(select.offset.as_ref(), "OFFSET", &nothing).await?.unwrap_or(0);
        let locks = !select.locks.is_empty();
        let mut candidates = self.joined(select, outer, locks).await?;
        if let Some(group) = &select.group {
            candidates = self.grouped(group, candidates, outer).await?;
        }
        if !select.order.is_empty() {
            candidates = self.sorted(&select.order, candidates, outer).await?;
        }
        let whole = is_whole(select);
        let (mut out, mut skipped) = (Vec::new(), 0);
        let mut seen = BTreeSet::new();
        for mut candidate in candidates {
            if limit.is_some_and(|limit| out.len() as u64 >= limit) {
                break;
            }
            if locks && !self.lock(select, &mut candidate, outer).await? {
                continue;
            }
            let rows = self.rows_of(&candidate.row, outer);
            let tuple: Tuple = match &candidate.row {
                Row::One(tuple) if whole => tuple.clone(),
                _ => self.values(&select.projection, &rows).await?.into(),
            };
            let new = match &select.distinct {
                None => true,
                Some(Distinct::All) => seen.insert(tuple.clone()),
                Some(Distinct::On(keys)) => seen.insert(self.values(keys, &rows).await?.into()),
            };
            if !new {
                continue;
            }
            if skipped < offset {
                skipped += 1;
                continue;
            }
            out.push(tuple);
        }
        Ok(out)
    }

    async fn limit(
        &mut self,
        expr: Option<&Expr>,
        clause: &str,
        rows: &Rows<'_>,
    ) -> Result<Option<u64>, SqlError> {
        let Some(expr) = expr else { return Ok(None) };
        match self.value(expr, rows).await? {
            Value::Int(count) => u64::try_from(count).map(Some).map_err(|_| {
                let code = if clause == "LIMIT" { "2201W" } else { "2201X" };
                SqlError::new(code, format!("{clause} must not be negative"))
            }),
            _ => Ok(None),
        }
    }

    /// The candidates in the order of the keys; equal ones stay in the order in which they were found.
    async fn sorted(
        &mut self,
        keys: &[SortKey],
        candidates: Vec<Candidate>,
        outer: Option<&Rows<'_>>,
    ) -> Result<Vec<Candidate>, SqlError> {
        let mut keyed = Vec::with_capacity(candidates.len());
        for candidate in candidates {
            let rows = self.rows_of(&candidate.row, outer);
            let mut values = Vec::with_capacity(keys.len());
            for key in keys {
                values.push(self.value(&key.expr, &rows).await?);
            }
            keyed.push((values, candidate));
        }
        keyed.sort_by(|(one, _), (two, _)| order(keys, one, two));
        Ok(keyed.into_iter().map(|(_, candidate)| candidate).collect())
    }

    /// Locks what the clauses ask for. A version that is newer than the one that was found has to qualify again.
    async fn lock(
        &mut self,
        select: &Select,
        candidate: &mut Candidate,
        outer: Option<&Rows<'_>>,
    ) -> Result<bool, SqlError> {
        let mut changed = false;
        for lock in &select.locks {
            let Some(found) = candidate.found[lock.source].clone() else { continue };
            let locked =
                self.session.lock_row(&self.snapshot, &found, row_lock(lock.strength), wait(lock)).await?;
            match locked {
                Locked::Same(_) => {}
                Locked::Updated(newer) => {
                    candidate.put(&select.from[lock.source], &newer.tuple);
                    candidate.found[lock.source] = Some(newer);
                    changed = true;
                }
                Locked::Deleted | Locked::Skipped | Locked::SelfModified | Locked::Invisible => {
                    return Ok(false);
                }
            }
        }
        Ok(!changed || self.still_qualifies(&select.from, candidate, outer).await?)
    }

    /// Whether the conditions hold for a row of which a part was replaced by its newest version, all else being
    /// as it was found (PostgreSQL's `EvalPlanQual`).
    pub(super) async fn still_qualifies(
        &mut self,
        from: &[Source],
        candidate: &mut Candidate,
        outer: Option<&Rows<'_>>,
    ) -> Result<bool, SqlError> {
        for source in from {
            let rows = self.rows_of(&candidate.row, outer);
            let matches = match &source.on {
                Some(on) => self.all_true(on, &rows).await?,
                None => true,
            };
            if !matches {
                candidate.put(source, &vec![Value::Null; source.width]);
            }
            let rows = self.rows_of(&candidate.row, outer);
            if !self.all_true(&source.filter, &rows).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// Whether the output is the row as it is.
fn is_whole(select: &Select) -> bool {
    let mut numbered = select.projection.iter().enumerate();
    select.group.is_none()
        && select.projection.len() == select.width
        && numbered.all(|(number, expr)| *expr == Expr::Column(number))
}

pub(super) fn order(keys: &[SortKey], one: &[Value], two: &[Value]) -> Ordering {
    for (key, (one, two)) in keys.iter().zip(one.iter().zip(two)) {
        let ordering = match (one.is_null(), two.is_null()) {
            (true, true) => Ordering::Equal,
            (true, false) if key.nulls_first => Ordering::Less,
            (true, false) => Ordering::Greater,
            (false, true) if key.nulls_first => Ordering::Greater,
            (false, true) => Ordering::Less,
            (false, false) if key.descending => two.cmp(one),
            (false, false) => one.cmp(two),
        };
        if ordering.is_ne() {
            return ordering;
        }
    }
    Ordering::Equal
}

pub(super) fn row_lock(strength: Strength) -> RowLock {
    match strength {
        Strength::KeyShare => RowLock::KeyShare,
        Strength::Share => RowLock::Share,
        Strength::NoKeyUpdate => RowLock::NoKeyUpdate,
        Strength::Update => RowLock::Update,
    }
}

fn wait(lock: &Lock) -> Wait {
    if lock.no_wait {
        Wait::NoWait
    } else if lock.skip_locked {
        Wait::SkipLocked
    } else {
        Wait::Block
    }
}
