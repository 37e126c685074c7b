//! What stands in `FROM`.

use std::sync::Arc;

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::store::LockMode;
use super::super::super::types::Type;
use super::super::cast::Context;
use super::super::expression::{Comparison, Expr, Typed, compared};
use super::super::params::{coerced, condition};
use super::super::plan::{Access, Lock, OutColumn, SourceKind, SystemTable, TableFunction};
use super::super::schema::Schema;
use super::super::syntax::RowLocks;
use super::super::{names, system};
use super::Binder;
use super::scope::{Named, NamedColumn};

/// A source with its place in the joined row.
pub(super) struct Placed {
    pub(super) kind: SourceKind,
    pub(super) start: usize,
    pub(super) width: usize,
    pub(super) on: Option<Vec<Expr>>,
    pub(super) schema: Option<Arc<Schema>>,
    pub(super) alias: Arc<str>,
}

impl Placed {
    /// The only source.
    pub(super) fn first(kind: SourceKind, width: usize) -> Self {
        Placed { kind, start: 0, width, on: None, schema: None, alias: "*".into() }
    }

    /// A table under a name.
    pub(super) fn table(table: super::TableId, schema: &Arc<Schema>, alias: Arc<str>, start: usize) -> Self {
        let kind = SourceKind::Table { table, access: Access::All };
        let width = schema.columns.len();
        Placed { kind, start, width, on: None, schema: Some(Arc::clone(schema)), alias }
    }

    /// A function of rows.
    pub(super) fn function(function: TableFunction, args: Vec<Expr>, start: usize, width: usize) -> Self {
        let kind = SourceKind::Function(function, args);
        Placed { kind, start, width, on: None, schema: None, alias: "*".into() }
    }
}

impl Binder<'_> {
    /// The sources in the order in which they are looked through, with the conditions of inner joins.
    pub(super) fn from(
        &mut self,
        from: &[ast::TableWithJoins],
    ) -> Result<(Vec<Placed>, Vec<Expr>), SqlError> {
        let mut placed = Vec::new();
        let mut conjuncts = Vec::new();
        for tables in from {
            self.joined(tables, &mut placed, &mut conjuncts)?;
        }
        Ok((placed, conjuncts))
    }

    fn joined(
        &mut self,
        tables: &ast::TableWithJoins,
        placed: &mut Vec<Placed>,
        conjuncts: &mut Vec<Expr>,
    ) -> Result<(), SqlError> {
        let first = placed.len();
        self.factor(&tables.relation, placed, conjuncts)?;
        for join in &tables.joins {
            let before = placed.len();
            self.factor(&join.relation, placed, conjuncts)?;
            let single = placed.len() == before + 1;
            use ast::JoinOperator as J;
            match &join.join_operator {
                J::Join(constraint) | J::Inner(constraint) | J::CrossJoin(constraint) => {
                    let on = self.join_condition(constraint)?;
                    conjuncts.extend(on);
                }
                J::Left(constraint) | J::LeftOuter(constraint) if single => {
                    placed[before].on = Some(self.join_condition(constraint)?);
                }
                // The same as a left join the other way round; the columns keep their places.
                J::Right(constraint @ ast::JoinConstraint::On(_))
                | J::RightOuter(constraint @ ast::JoinConstraint::On(_))
                    if single && before == first + 1 =>
                {
                    placed[first].on = Some(self.join_condition(constraint)?);
                    placed.swap(first, before);
                }
                other => {
                    return Err(SqlError::unknown(
                        format!("this join ({other:?})").chars().take(60).collect::<String>(),
                        "inner joins, cross joins, and left and right joins of two tables",
                    ));
                }
            }
        }
        Ok(())
    }

    fn join_condition(&mut self, constraint: &ast::JoinConstraint) -> Result<Vec<Expr>, SqlError> {
        match constraint {
            ast::JoinConstraint::None => Ok(Vec::new()),
            ast::JoinConstraint::On(expr) => {
                self.scope().clause = Some("JOIN conditions");
                let on = condition(self.expression(expr)?, "JOIN/ON", self.params)?;
                self.scope().clause = None;
                Ok(on.into_conjuncts())
            }
            ast::JoinConstraint::Using(columns) => {
                let columns = columns.iter().map(|column| self.using(&names::object(column)?));
                columns.collect()
            }
            ast::JoinConstraint::Natural => {
                Err(SqlError::unknown("NATURAL JOIN", "JOIN .. ON and JOIN .. USING"))
            }
        }
    }

    /// The column of the left side stands for both from now on.
    fn using(&mut self, name: &str) -> Result<Expr, SqlError> {
        let missing = |side: &str| {
            let message =
                format!("column \"{name}\" specified in USING clause does not exist in {side} table");
            SqlError::new(state::UNDEFINED_COLUMN, message)
        };
        let scope = self.scope();
        let last = scope.sources.len() - 1;
        let mut found = scope.sources[..last].iter().flat_map(|source| {
            let numbered = source.columns.iter().enumerate();
            let named = numbered.filter(|(_, column)| &*column.name == name && !column.merged);
            named.map(|(number, column)| Typed::new(Expr::Column(source.start + number), column.kind))
        });
        let left = found.next().ok_or_else(|| missing("left"))?;
        let right = &mut scope.sources[last];
        let number = right.columns.iter().position(|column| &*column.name == name);
        let number = number.ok_or_else(|| missing("right"))?;
        right.columns[number].merged = true;
        let right = Typed::new(Expr::Column(right.start + number), right.columns[number].kind);
        compared(Comparison::Equal, left, right, self.params).map(|typed| typed.expr)
    }

    fn factor(
        &mut self,
        factor: &ast::TableFactor,
        placed: &mut Vec<Placed>,
        conjuncts: &mut Vec<Expr>,
    ) -> Result<(), SqlError> {
        use ast::TableFactor as F;
        let source = match factor {
            F::Table { name, alias, args: None, sample: None, with_ordinality: false, .. } => {
                self.named_table(&names::object(name)?, alias.as_ref())?
            }
            F::Table { name, alias, args: Some(args), with_ordinality: false, .. } => {
                let name = names::object(name)?;
                let args = super::function::argument_expressions(&name, &args.args)?;
                self.function_source(&name, &args, alias.as_ref())?
            }
            F::Function { name, args, alias, with_ordinality: false, .. } => {
                let name = names::object(name)?;
                let args = super::function::argument_expressions(&name, args)?;
                self.function_source(&name, &args, alias.as_ref())?
            }
            F::UNNEST { alias, array_exprs, with_offset: false, with_ordinality: false, .. } => {
                self.function_source("unnest", array_exprs, alias.as_ref())?
            }
            F::Derived { lateral: false, subquery, alias, .. } => self.derived(subquery, alias.as_ref())?,
            F::NestedJoin { table_with_joins, alias: None } => {
                return self.joined(table_with_joins, placed, conjuncts);
            }
            other => {
                return Err(SqlError::unknown(
                    format!("{other} in FROM"),
                    "tables, queries, functions and joins of them",
                ));
            }
        };
        placed.push(source);
        Ok(())
    }

    fn named_table(&mut self, name: &str, alias: Option<&ast::TableAlias>) -> Result<Placed, SqlError> {
        let start = self.scope().width;
        let shown: Arc<str> = alias.map_or_else(|| name.into(), |alias| names::shared(&alias.name));
        if let Some(cte) = self.ctes.iter().rev().find(|cte| &*cte.name == name).cloned() {
            self.cte_used[cte.slot] = true;
            self.add_columns(&shown, &cte.columns, alias, false)?;
            let (kind, width) = (SourceKind::Cte(cte.slot), cte.columns.len());
            return Ok(Placed { kind, start, width, on: None, schema: None, alias: shown });
        }
        if let Some((table, columns)) = system::table(name) {
            return self.system_table(table, &columns, shown, alias);
        }
        if system::is_reserved(name) {
            return Err(SqlError::unknown(format!("the relation {name}"), "pg_replication_slots"));
        }
        let (id, schema) = self.table(name)?;
        let mut named = Named::of_table(Arc::clone(&shown), &schema);
        renamed(&mut named.columns, alias)?;
        self.add(named)?;
        Ok(Placed::table(id, &schema, shown, start))
    }

    fn system_table(
        &mut self,
        table: SystemTable,
        columns: &[OutColumn],
        shown: Arc<str>,
        alias: Option<&ast::TableAlias>,
    ) -> Result<Placed, SqlError> {
        let start = self.scope().width;
        self.add_columns(&shown, columns, alias, false)?;
        self.scope().sources.last_mut().expect("it was added above").partial = true;
        let kind = SourceKind::System(table);
        Ok(Placed { kind, start, width: columns.len(), on: None, schema: None, alias: shown })
    }

    /// A query in `FROM` sees nothing of what stands beside it.
    fn derived(
        &mut self,
        subquery: &ast::Query,
        alias: Option<&ast::TableAlias>,
    ) -> Result<Placed, SqlError> {
        let hidden = std::mem::take(&mut self.scope().sources);
        let bound = self.query(subquery, None);
        self.scope().sources = hidden;
        let query = bound?;
        let Some(alias) = alias else {
            let message = "subquery in FROM must have an alias";
            return Err(SqlError::new(state::SYNTAX_ERROR, message));
        };
        let start = self.scope().width;
        let shown = names::shared(&alias.name);
        self.add_columns(&shown, &query.columns, Some(alias), false)?;
        let width = query.columns.len();
        let kind = SourceKind::Query(Box::new(query));
        Ok(Placed { kind, start, width, on: None, schema: None, alias: shown })
    }

    fn function_source(
        &mut self,
        name: &str,
        args: &[ast::Expr],
        alias: Option<&ast::TableAlias>,
    ) -> Result<Placed, SqlError> {
        self.scope().clause = Some("functions in FROM");
        let bound = match table_function(name) {
            Some(function) => {
                self.table_function(name, function, args).map(|(args, columns)| (function, args, columns))
            }
            None => self.call(name, args).map(|typed| {
                let columns = vec![OutColumn { name: name.into(), kind: typed.kind }];
                (TableFunction::Scalar, vec![typed.expr], columns)
            }),
        };
        self.scope().clause = None;
        let (function, args, mut columns) = bound?;
        let start = self.scope().width;
        let shown: Arc<str> = alias.map_or_else(|| name.into(), |alias| names::shared(&alias.name));
        // The one column of a function takes the function's alias for its name.
        let scalar = columns.len() == 1;
        if scalar {
            columns[0].name = Arc::clone(&shown);
        }
        self.add_columns(&shown, &columns, alias, scalar)?;
        Ok(Placed { alias: shown, ..Placed::function(function, args, start, columns.len()) })
    }

    fn add_columns(
        &mut self,
        shown: &Arc<str>,
        columns: &[OutColumn],
        alias: Option<&ast::TableAlias>,
        scalar: bool,
    ) -> Result<(), SqlError> {
        let columns = columns.iter().map(|column| NamedColumn {
            name: Arc::clone(&column.name),
            kind: column.kind,
            merged: false,
        });
        let mut columns: Vec<NamedColumn> = columns.collect();
        renamed(&mut columns, alias)?;
        self.add(Named {
            alias: Arc::clone(shown),
            start: 0,
            columns,
            primary_key: None,
            scalar,
            partial: false,
        })
    }

    fn add(&mut self, named: Named) -> Result<(), SqlError> {
        if self.scope().sources.iter().any(|source| source.alias == named.alias) {
            let message = format!("table name \"{}\" specified more than once", named.alias);
            return Err(SqlError::new(state::DUPLICATE_ALIAS, message));
        }
        self.scope().add(named);
        Ok(())
    }

    /// The arguments and columns of a function of rows.
    pub(super) fn table_function(
        &mut self,
        name: &str,
        function: TableFunction,
        args: &[ast::Expr],
    ) -> Result<(Vec<Expr>, Vec<OutColumn>), SqlError> {
        let args = args.iter().map(|arg| self.expression(arg)).collect::<Result<Vec<_>, _>>()?;
        let kinds: Vec<String> = args.iter().map(|arg| arg.kind.to_string()).collect();
        let unknown = || SqlError::unknown(format!("the function {name}({})", kinds.join(", ")), "");
        let column = |name: &str, kind| OutColumn { name: name.into(), kind };
        let (types, columns): (Vec<Type>, Vec<OutColumn>) = match function {
            TableFunction::GenerateSeries if (2..=3).contains(&args.len()) => {
                let wide = args.iter().any(|arg| arg.kind == Type::Int8);
                let kind = if wide { Type::Int8 } else { Type::Int4 };
                (vec![kind; args.len()], vec![column(name, kind)])
            }
            TableFunction::Unnest => match args.as_slice() {
                [Typed { kind: array @ Type::Array(element), .. }] => {
                    (vec![*array], vec![column(name, **element)])
                }
                _ => return Err(unknown()),
            },
            TableFunction::SlotChanges { .. } => (
                [Type::Name, Type::PgLsn, Type::Int4]
                    .into_iter()
                    .chain(vec![Type::Text; args.len().saturating_sub(3)])
                    .collect(),
                vec![column("lsn", Type::PgLsn), column("xid", Type::Xid), column("data", Type::Text)],
            ),
            TableFunction::CreateSlot => (
                vec![Type::Name, Type::Name, Type::Bool, Type::Bool][..args.len().clamp(2, 4)].to_vec(),
                vec![column("slot_name", Type::Name), column("lsn", Type::PgLsn)],
            ),
            TableFunction::AdvanceSlot => (
                vec![Type::Name, Type::PgLsn],
                vec![column("slot_name", Type::Name), column("end_lsn", Type::PgLsn)],
            ),
            TableFunction::ListeningChannels => (Vec::new(), vec![column(name, Type::Text)]),
            TableFunction::GenerateSeries | TableFunction::Scalar => return Err(unknown()),
        };
        if types.len() != args.len() {
            return Err(unknown());
        }
        let taken = args
            .into_iter()
            .zip(types)
            .map(|(arg, to)| coerced(arg, to, Context::Implicit, self.params)?.ok_or_else(unknown));
        Ok((taken.collect::<Result<_, _>>()?, columns))
    }

    /// Which sources the locking clauses lock.
    pub(super) fn locks(
        &mut self,
        placed: &[Placed],
        clauses: &[ast::LockClause],
        grouped: bool,
        distinct: bool,
    ) -> Result<Vec<Lock>, SqlError> {
        let mut locks: Vec<Lock> = Vec::new();
        for clause in clauses {
            let clause = RowLocks::of(clause)?;
            let word = clause.strength.clause();
            let forbidden = [(distinct, "DISTINCT clause"), (grouped, "GROUP BY clause")];
            if let Some((_, what)) = forbidden.into_iter().find(|(there, _)| *there) {
                let message = format!("{word} is not allowed with {what}");
                return Err(SqlError::new(state::FEATURE_NOT_SUPPORTED, message));
            }
            for name in &clause.of {
                if !placed.iter().any(|source| &*source.alias == name) {
                    let message = format!("relation \"{name}\" in {word} clause not found in FROM clause");
                    return Err(SqlError::new(state::UNDEFINED_TABLE, message));
                }
            }
            for (number, source) in placed.iter().enumerate() {
                let named = clause.of.iter().any(|name| **name == *source.alias);
                if named || clause.of.is_empty() {
                    lock_source(number, source, named, &clause, &mut locks)?;
                    if let SourceKind::Table { table, .. } = source.kind {
                        self.requires(table, LockMode::RowShare);
                    }
                }
            }
        }
        Ok(locks)
    }
}

fn lock_source(
    number: usize,
    source: &Placed,
    named: bool,
    clause: &RowLocks,
    locks: &mut Vec<Lock>,
) -> Result<(), SqlError> {
    let word = clause.strength.clause();
    match &source.kind {
        SourceKind::Table { .. } => {}
        SourceKind::Query(_) => {
            return Err(SqlError::unknown(
                format!("{word} of a query in FROM"),
                "locks of tables (FOR UPDATE OF table)",
            ));
        }
        _ if !named => return Ok(()),
        _ => {
            let message = format!("{word} cannot be applied to \"{}\"", source.alias);
            return Err(SqlError::new(state::FEATURE_NOT_SUPPORTED, message));
        }
    }
    if source.on.is_some() {
        let message = format!("{word} cannot be applied to the nullable side of an outer join");
        return Err(SqlError::new(state::FEATURE_NOT_SUPPORTED, message));
    }
    let added = Lock {
        source: number,
        strength: clause.strength,
        no_wait: clause.no_wait,
        skip_locked: clause.skip_locked,
    };
    match locks.iter_mut().find(|lock| lock.source == number) {
        Some(lock) => {
            lock.strength = lock.strength.max(added.strength);
            lock.no_wait |= added.no_wait;
            lock.skip_locked = (lock.skip_locked || added.skip_locked) && !lock.no_wait;
        }
        None => locks.push(added),
    }
    Ok(())
}

fn renamed(columns: &mut [NamedColumn], alias: Option<&ast::TableAlias>) -> Result<(), SqlError> {
    let Some(alias) = alias else { return Ok(()) };
    if alias.columns.len() > columns.len() {
        let message = format!(
            "table \"{}\" has {} columns available but {} columns specified",
            names::ident(&alias.name),
            columns.len(),
            alias.columns.len()
        );
        return Err(SqlError::new(state::INVALID_COLUMN_REFERENCE, message));
    }
    for (column, renamed) in columns.iter_mut().zip(&alias.columns) {
        column.name = names::shared(&renamed.name);
    }
    Ok(())
}

/// The function of rows of that name.
pub(super) fn table_function(name: &str) -> Option<TableFunction> {
    Some(match name {
        "generate_series" => TableFunction::GenerateSeries,
        "unnest" => TableFunction::Unnest,
        "pg_logical_slot_get_changes" => TableFunction::SlotChanges { consume: true },
        "pg_logical_slot_peek_changes" => TableFunction::SlotChanges { consume: false },
        "pg_create_logical_replication_slot" => TableFunction::CreateSlot,
        "pg_replication_slot_advance" => TableFunction::AdvanceSlot,
        "pg_listening_channels" => TableFunction::ListeningChannels,
        _ => return None,
    })
}

/// How many columns its rows have.
pub(super) fn function_width(function: TableFunction) -> usize {
    match function {
        TableFunction::GenerateSeries
        | TableFunction::Unnest
        | TableFunction::ListeningChannels
        | TableFunction::Scalar => 1,
        TableFunction::CreateSlot | TableFunction::AdvanceSlot => 2,
        TableFunction::SlotChanges { .. } => 3,
    }
}
