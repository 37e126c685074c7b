//! Finding rows and joining them.

use std::ops::Bound;

use super::super::super::error::SqlError;
use super::super::super::store::{Access as StoreAccess, Found, IndexId, TableId};
use super::super::super::value::{Tuple, Value};
use super::super::expression::{Expr, Rows};
use super::super::plan::{Access, Edge, Select, SetKind, SetOperation, Source, SourceKind};
use super::{Candidate, Row, Run};

/// A row of a source, and the version that it is.
type Piece = (Tuple, Option<Found>);

impl Run<'_> {
    /// The joined rows for which the conditions hold.
    pub(super) async fn joined(
        &mut self,
        select: &Select,
        outer: Option<&Rows<'_>>,
        keep: bool,
    ) -> Result<Vec<Candidate>, SqlError> {
        let nothing = self.rows_of(&[], outer);
        if !self.all_true(&select.once, &nothing).await? {
            return Ok(Vec::new());
        }
        if let [Source { kind: SourceKind::Table { table, access, .. }, on: None, filter, .. }] =
            select.from.as_slice()
        {
            let found = self.scan(*table, access, &nothing).await?;
            let mut candidates = Vec::with_capacity(found.len());
            for found in found {
                let rows = self.rows_of(&found.tuple, outer);
                if self.all_true(filter, &rows).await? {
                    let row = Row::One(found.tuple.clone());
                    candidates
                        .push(Candidate { row, found: if keep { vec![Some(found)] } else { Vec::new() } });
                }
            }
            return Ok(candidates);
        }
        let row = Row::Many(vec![Value::Null; select.width]);
        let mut candidates = vec![Candidate { row, found: vec![None; select.from.len()] }];
        for (number, source) in select.from.iter().enumerate() {
            candidates = self.join(candidates, number, source, outer).await?;
        }
        Ok(candidates)
    }

    async fn join(
        &mut self,
        left: Vec<Candidate>,
        number: usize,
        source: &Source,
        outer: Option<&Rows<'_>>,
    ) -> Result<Vec<Candidate>, SqlError> {
        let repeats = !is_fixed(&source.kind);
        let mut known: Option<Vec<Piece>> = None;
        let mut joined = Vec::new();
        for mut candidate in left {
            if repeats || known.is_none() {
                let rows = self.rows_of(&candidate.row, outer);
                known = Some(self.pieces(&source.kind, &rows).await?);
            }
            let pieces = known.as_deref().unwrap_or_default();
            let mut matched = false;
            for (tuple, found) in pieces {
                candidate.put(source, tuple);
                let rows = self.rows_of(&candidate.row, outer);
                if let Some(on) = &source.on
                    && !self.all_true(on, &rows).await?
                {
                    continue;
                }
                matched = true;
                if self.all_true(&source.filter, &rows).await? {
                    let mut next = candidate.clone();
                    next.found[number].clone_from(found);
                    joined.push(next);
                }
            }
            if source.on.is_some() && !matched {
                candidate.put(source, &vec![Value::Null; source.width]);
                let rows = self.rows_of(&candidate.row, outer);
                if self.all_true(&source.filter, &rows).await? {
                    joined.push(candidate);
                }
            }
        }
        Ok(joined)
    }

    async fn pieces(&mut self, kind: &SourceKind, rows: &Rows<'_>) -> Result<Vec<Piece>, SqlError> {
        let plain = |tuples: Vec<Tuple>| tuples.into_iter().map(|tuple| (tuple, None)).collect();
        Ok(match kind {
            SourceKind::Table { table, access, .. } => {
                let found = self.scan(*table, access, rows).await?;
                found.into_iter().map(|found| (found.tuple.clone(), Some(found))).collect()
            }
            SourceKind::Query(query) => plain(self.query(query, Some(rows)).await?),
            SourceKind::Cte(slot) => {
                let known = self.ctes[*slot].clone();
                plain(known.map(|rows| rows.to_vec()).unwrap_or_default())
            }
            SourceKind::Values(lists) => {
                let mut tuples = Vec::with_capacity(lists.len());
                for list in lists {
                    tuples.push(self.values(list, rows).await?.into());
                }
                plain(tuples)
            }
            SourceKind::Set(operation) => plain(self.set_operation(operation, rows).await?),
            SourceKind::Function(function, args) => {
                let args = self.values(args, rows).await?;
                plain(self.table_function(*function, &args).await?)
            }
            SourceKind::System(table) => plain(self.system_table(*table)),
        })
    }

    async fn set_operation(
        &mut self,
        operation: &SetOperation,
        rows: &Rows<'_>,
    ) -> Result<Vec<Tuple>, SqlError> {
        let mut left = self.query(&operation.left, Some(rows)).await?;
        let mut right = self.query(&operation.right, Some(rows)).await?;
        match operation.kind {
            SetKind::Union => left.append(&mut right),
            SetKind::Intersect => left.retain(|row| take(&mut right, row)),
            SetKind::Except if operation.all => left.retain(|row| !take(&mut right, row)),
            SetKind::Except => left.retain(|row| !right.contains(row)),
        }
        if !operation.all {
            left.sort();
            left.dedup();
        }
        Ok(left)
    }

    /// The rows of a table that the access leads to, in the order of their places.
    pub(super) async fn scan(
        &mut self,
        table: TableId,
        access: &Access,
        rows: &Rows<'_>,
    ) -> Result<Vec<Found>, SqlError> {
        match access {
            Access::All => self.session.scan(&self.snapshot, table, &StoreAccess::All),
            Access::Keys { index, keys } => {
                if let [key] = keys.as_slice() {
                    return self.by_key(table, *index, key, rows).await;
                }
                let mut found = Vec::new();
                for key in keys {
                    found.extend(self.by_key(table, *index, key, rows).await?);
                }
                Ok(in_places(found))
            }
            Access::Range { index, prefix, low, high } => {
                let Some(prefix) = self.key(prefix, rows).await? else { return Ok(Vec::new()) };
                let low = self.edge(&prefix, low.as_ref(), rows).await?;
                let high = self.edge(&prefix, high.as_ref(), rows).await?;
                let (Some(low), Some(high)) = (low, high) else { return Ok(Vec::new()) };
                let access = StoreAccess::Range { index: *index, low, high };
                Ok(in_places(self.session.scan(&self.snapshot, table, &access)?))
            }
        }
    }

    async fn by_key(
        &mut self,
        table: TableId,
        index: IndexId,
        key: &[Expr],
        rows: &Rows<'_>,
    ) -> Result<Vec<Found>, SqlError> {
        let Some(key) = self.key(key, rows).await? else { return Ok(Vec::new()) };
        let access = StoreAccess::Equal { index, key: key.into() };
        self.session.scan(&self.snapshot, table, &access)
    }

    /// The values of a key; none where one of them is null, which equals nothing.
    async fn key(&mut self, exprs: &[Expr], rows: &Rows<'_>) -> Result<Option<Vec<Value>>, SqlError> {
        let key = self.values(exprs, rows).await?;
        Ok((!key.iter().any(Value::is_null)).then_some(key))
    }

    /// A side of a range behind a prefix; none where it is null.
    async fn edge(
        &mut self,
        prefix: &[Value],
        edge: Option<&Edge>,
        rows: &Rows<'_>,
    ) -> Result<Option<Bound<Box<[Value]>>>, SqlError> {
        let Some(edge) = edge else {
            let all = prefix.is_empty();
            return Ok(Some(if all { Bound::Unbounded } else { Bound::Included(prefix.into()) }));
        };
        let value = self.value(&edge.value, rows).await?;
        if value.is_null() {
            return Ok(None);
        }
        let key = prefix.iter().cloned().chain([value]).collect();
        Ok(Some(if edge.inclusive { Bound::Included(key) } else { Bound::Excluded(key) }))
    }
}

impl Candidate {
    /// Puts the row of a source into its place.
    pub(super) fn put(&mut self, source: &Source, tuple: &[Value]) {
        match &mut self.row {
            Row::Many(values) => {
                values[source.start..source.start + source.width].clone_from_slice(tuple);
            }
            one @ Row::One(_) => *one = Row::One(tuple.into()),
        }
    }
}

/// Takes one row out that equals the given one.
fn take(rows: &mut Vec<Tuple>, row: &Tuple) -> bool {
    let place = rows.iter().position(|other| other == row);
    place.map(|place| rows.swap_remove(place)).is_some()
}

/// What several lookups found, each once and in the order of places, as PostgreSQL's bitmap scans give it.
fn in_places(mut found: Vec<Found>) -> Vec<Found> {
    found.sort_by_key(|found| found.row);
    found.dedup_by_key(|found| found.row);
    found
}

/// Whether a source gives the same rows whatever it is joined to.
fn is_fixed(kind: &SourceKind) -> bool {
    let columns = |exprs: &[Expr]| {
        let mut found = Vec::new();
        exprs.iter().for_each(|expr| expr.columns(&mut found));
        found.is_empty()
    };
    match kind {
        SourceKind::Table { access: Access::All, .. }
        | SourceKind::Cte(_)
        | SourceKind::System(_)
        | SourceKind::Query(_)
        | SourceKind::Set(_) => true,
        SourceKind::Table { access: Access::Keys { keys, .. }, .. } => keys.iter().all(|key| columns(key)),
        SourceKind::Table { access: Access::Range { prefix, low, high, .. }, .. } => {
            let edges = low.iter().chain(high).all(|edge| columns(std::slice::from_ref(&edge.value)));
            edges && columns(prefix)
        }
        SourceKind::Values(lists) => lists.iter().all(|list| columns(list)),
        SourceKind::Function(_, args) => columns(args),
    }
}
