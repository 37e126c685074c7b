//! Queries.

use std::sync::Arc;

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::types::Type;
use super::super::super::value::Value;
use super::super::expression::{Expr, Typed};
use super::super::params::{assigned, condition, in_common, text_if_unknown};
use super::super::plan::{
    Body, Cte, Distinct, OutColumn, Query, Select, SetKind, SetOperation, SortKey, SourceKind,
};
use super::super::{expression, names};
use super::scope::{Named, NamedColumn, Scope};
use super::source::Placed;
use super::{Binder, CteName};

/// The columns that the rows of a query go into, with their types.
pub(super) type Targets<'t> = Option<&'t [OutColumn]>;

/// What stands behind the body of a query.
#[derive(Clone, Copy, Default)]
pub(super) struct Tail<'q> {
    pub(super) order: Option<&'q ast::OrderBy>,
    pub(super) limit: Option<&'q ast::LimitClause>,
    pub(super) fetch: Option<&'q ast::Fetch>,
    pub(super) locks: &'q [ast::LockClause],
}

impl Tail<'_> {
    fn is_empty(&self) -> bool {
        self.order.is_none() && self.limit.is_none() && self.fetch.is_none() && self.locks.is_empty()
    }
}

impl Binder<'_> {
    /// A query.
    pub(super) fn query(&mut self, query: &ast::Query, targets: Targets<'_>) -> Result<Query, SqlError> {
        if query.for_clause.is_some() || query.settings.is_some() || query.format_clause.is_some() {
            return Err(SqlError::unknown(format!("a clause of {query}"), ""));
        }
        let names = self.ctes.len();
        let ctes = self.with(query.with.as_ref())?;
        let tail = Tail {
            order: query.order_by.as_ref(),
            limit: query.limit_clause.as_ref(),
            fetch: query.fetch.as_ref(),
            locks: &query.locks,
        };
        let mut bound = self.set_expression(&query.body, tail, targets)?;
        self.ctes.truncate(names);
        bound.ctes.splice(0..0, ctes);
        Ok(bound)
    }

    fn set_expression(
        &mut self,
        body: &ast::SetExpr,
        tail: Tail<'_>,
        targets: Targets<'_>,
    ) -> Result<Query, SqlError> {
        match body {
            ast::SetExpr::Select(select) => {
                self.scopes.push(Scope::default());
                let bound = self.select(select, tail, targets);
                self.pop_scope();
                bound
            }
            ast::SetExpr::Query(inner) if tail.is_empty() => self.query(inner, targets),
            ast::SetExpr::Query(_) | ast::SetExpr::Values(_) | ast::SetExpr::SetOperation { .. } => {
                self.scopes.push(Scope::default());
                let bound = self.wrapped(body, tail, targets);
                self.pop_scope();
                bound
            }
            other => {
                Err(SqlError::unknown(format!("the query {other}"), "SELECT, VALUES, UNION and their kin"))
            }
        }
    }

    /// Leaves a query; what it saw of those around counts for the subquery that it belongs to.
    pub(super) fn pop_scope(&mut self) {
        let Some(scope) = self.scopes.pop() else { return };
        let base = self.scopes.len();
        if let Some(frame) = self.frames.last_mut().filter(|frame| frame.base == base) {
            frame.reach = frame.reach.max(scope.reach);
            frame.outer_columns.extend(scope.outer_columns);
        }
    }

    /// A body that is no `SELECT`, as the only source of one.
    fn wrapped(
        &mut self,
        body: &ast::SetExpr,
        tail: Tail<'_>,
        targets: Targets<'_>,
    ) -> Result<Query, SqlError> {
        if !tail.locks.is_empty() && !matches!(body, ast::SetExpr::Query(_)) {
            let what =
                if matches!(body, ast::SetExpr::Values(_)) { "VALUES" } else { "UNION/INTERSECT/EXCEPT" };
            let message = format!("FOR UPDATE is not allowed with {what}");
            return Err(SqlError::new(state::FEATURE_NOT_SUPPORTED, message));
        }
        let (kind, columns) = match body {
            ast::SetExpr::Values(values) => self.values(values, targets)?,
            ast::SetExpr::Query(inner) => {
                let query = self.query(inner, None)?;
                let columns = query.columns.clone();
                (SourceKind::Query(Box::new(query)), columns)
            }
            ast::SetExpr::SetOperation { left, op, set_quantifier, right } => {
                self.set_operation(left, *op, *set_quantifier, right)?
            }
            other => return Err(SqlError::unknown(format!("the query {other}"), "")),
        };
        let named = columns.iter().map(|column| NamedColumn {
            name: Arc::clone(&column.name),
            kind: column.kind,
            merged: false,
        });
        let alias = "*".into();
        let named = Named {
            alias,
            start: 0,
            columns: named.collect(),
            primary_key: None,
            scalar: false,
            partial: false,
        };
        self.scope().add(named);
        let placed = Placed::first(kind, columns.len());
        let outputs = columns.iter().enumerate().map(|(number, column)| {
            (Typed::new(Expr::Column(number), column.kind), Arc::clone(&column.name))
        });
        let outputs = outputs.collect();
        self.finish(vec![placed], Vec::new(), outputs, None, None, Vec::new(), tail, targets)
    }

    fn values(
        &mut self,
        values: &ast::Values,
        targets: Targets<'_>,
    ) -> Result<(SourceKind, Vec<OutColumn>), SqlError> {
        let rows = values.rows.iter().map(|row| {
            let row = row.iter().map(|expr| self.expression(expr));
            row.collect::<Result<Vec<_>, _>>()
        });
        let rows = rows.collect::<Result<Vec<_>, _>>()?;
        let width = rows.first().map_or(0, Vec::len);
        if rows.iter().any(|row| row.len() != width) {
            return Err(SqlError::new(state::SYNTAX_ERROR, "VALUES lists must all be the same length"));
        }
        let mut columns: Vec<Vec<Typed>> = (0..width).map(|_| Vec::with_capacity(rows.len())).collect();
        for row in rows {
            for (column, value) in columns.iter_mut().zip(row) {
                column.push(value);
            }
        }
        let count = columns.first().map_or(0, Vec::len);
        let mut out: Vec<Vec<Expr>> = (0..count).map(|_| Vec::with_capacity(width)).collect();
        let mut kinds = Vec::with_capacity(width);
        for (number, column) in columns.into_iter().enumerate() {
            let target = targets.and_then(|targets| targets.get(number));
            let (exprs, kind) = match target {
                Some(target) => {
                    let taken = column
                        .into_iter()
                        .map(|value| assigned(value, &target.name, target.kind, self.params));
                    (taken.collect::<Result<Vec<_>, _>>()?, target.kind)
                }
                None => in_common(column, "VALUES", self.params)?,
            };
            out.iter_mut().zip(exprs).for_each(|(row, expr)| row.push(expr));
            kinds.push(OutColumn { name: format!("column{}", number + 1).into(), kind });
        }
        Ok((SourceKind::Values(out), kinds))
    }

    fn set_operation(
        &mut self,
        left: &ast::SetExpr,
        op: ast::SetOperator,
        quantifier: ast::SetQuantifier,
        right: &ast::SetExpr,
    ) -> Result<(SourceKind, Vec<OutColumn>), SqlError> {
        let kind = match op {
            ast::SetOperator::Union => SetKind::Union,
            ast::SetOperator::Intersect => SetKind::Intersect,
            ast::SetOperator::Except | ast::SetOperator::Minus => SetKind::Except,
        };
        let mut left = self.set_expression(left, Tail::default(), None)?;
        let mut right = self.set_expression(right, Tail::default(), None)?;
        let word = op.to_string();
        if left.columns.len() != right.columns.len() {
            let message = format!("each {word} query must have the same number of columns");
            return Err(SqlError::new(state::SYNTAX_ERROR, message));
        }
        let mut columns = Vec::with_capacity(left.columns.len());
        for number in 0..left.columns.len() {
            let mut parts = Vec::with_capacity(2);
            for side in [&mut left, &mut right] {
                let expr = std::mem::replace(&mut side.select.projection[number], Expr::Const(Value::Null));
                let kind = match expr {
                    // Only a column of the query's own type settles what a literal is.
                    Expr::Const(Value::Null) => Type::Unknown,
                    _ => side.columns[number].kind,
                };
                parts.push(Typed::new(expr, kind));
            }
            let (exprs, kind) = in_common(parts, &word, self.params)?;
            for (side, expr) in [&mut left, &mut right].into_iter().zip(exprs) {
                side.select.projection[number] = expr;
                side.columns[number].kind = kind;
            }
            columns.push(OutColumn { name: Arc::clone(&left.columns[number].name), kind });
        }
        let all = matches!(quantifier, ast::SetQuantifier::All);
        Ok((SourceKind::Set(Box::new(SetOperation { kind, all, left, right })), columns))
    }

    fn select(
        &mut self,
        select: &ast::Select,
        tail: Tail<'_>,
        targets: Targets<'_>,
    ) -> Result<Query, SqlError> {
        self.refuse_unknown_clauses(select)?;
        let (mut placed, mut conjuncts) = self.from(&select.from)?;
        if let Some(filter) = &select.selection {
            self.scope().clause = Some("WHERE");
            let filter = condition(self.expression(filter)?, "WHERE", self.params)?;
            conjuncts.extend(filter.into_conjuncts());
            self.scope().clause = None;
        }
        let outputs = self.projection(&select.projection)?;
        let keys = self.group_by(&select.group_by, &outputs)?;
        let having = match &select.having {
            Some(having) => Some(condition(self.expression(having)?, "HAVING", self.params)?),
            None => None,
        };
        if let Some((function, args)) = self.scope().series.take() {
            let width = super::source::function_width(function);
            let start = self.scope().width;
            self.scope().width += width;
            placed.push(Placed::function(function, args, start, width));
        }
        let distinct = select.distinct.as_ref();
        let group = (!keys.is_empty() || having.is_some()).then_some((keys, having));
        self.finish(placed, conjuncts, outputs, distinct, group, Vec::new(), tail, targets)
    }

    fn refuse_unknown_clauses(&self, select: &ast::Select) -> Result<(), SqlError> {
        let unknown = [
            (select.top.is_some(), "TOP"),
            (select.into.is_some(), "SELECT INTO"),
            (!select.lateral_views.is_empty(), "LATERAL VIEW"),
            (select.prewhere.is_some(), "PREWHERE"),
            (!select.cluster_by.is_empty(), "CLUSTER BY"),
            (!select.named_window.is_empty(), "WINDOW"),
            (select.qualify.is_some(), "QUALIFY"),
            (!select.connect_by.is_empty(), "CONNECT BY"),
            (select.exclude.is_some(), "EXCLUDE"),
        ];
        match unknown.into_iter().find(|(there, _)| *there) {
            Some((_, clause)) => {
                Err(SqlError::unknown(clause, "FROM, WHERE, GROUP BY, HAVING, ORDER BY, LIMIT"))
            }
            None => Ok(()),
        }
    }

    fn projection(&mut self, items: &[ast::SelectItem]) -> Result<Vec<(Typed, Arc<str>)>, SqlError> {
        let mut outputs = Vec::with_capacity(items.len());
        for item in items {
            match item {
                ast::SelectItem::UnnamedExpr(expr) => {
                    let name = super::output::output_name(expr).into();
                    outputs.push((self.expression(expr)?, name));
                }
                ast::SelectItem::ExprWithAlias { expr, alias } => {
                    outputs.push((self.expression(expr)?, names::shared(alias)));
                }
                ast::SelectItem::Wildcard(_) => outputs.extend(self.star(None)?),
                ast::SelectItem::QualifiedWildcard(kind, _) => {
                    let ast::SelectItemQualifiedWildcardKind::ObjectName(name) = kind else {
                        return Err(SqlError::unknown(format!("{item}"), "table.*"));
                    };
                    outputs.extend(self.star(Some(&names::object(name)?))?);
                }
                other @ ast::SelectItem::ExprWithAliases { .. } => {
                    return Err(SqlError::unknown(format!("{other}"), "expression AS name"));
                }
            }
        }
        Ok(outputs)
    }

    /// The outputs of `RETURNING`, in the scope at hand.
    pub(super) fn returning(
        &mut self,
        items: Option<&[ast::SelectItem]>,
    ) -> Result<(Vec<Expr>, Vec<OutColumn>), SqlError> {
        let Some(items) = items else { return Ok((Vec::new(), Vec::new())) };
        self.scope().clause = Some("RETURNING");
        let outputs = self.projection(items)?;
        let mut exprs = Vec::with_capacity(outputs.len());
        let mut columns = Vec::with_capacity(outputs.len());
        for (typed, name) in outputs {
            let typed = text_if_unknown(typed, self.params)?;
            columns.push(OutColumn { name, kind: typed.kind });
            exprs.push(typed.expr);
        }
        Ok((exprs, columns))
    }

    fn star(&mut self, of: Option<&str>) -> Result<Vec<(Typed, Arc<str>)>, SqlError> {
        let scope = self.scope();
        let mut sources =
            scope.sources.iter().filter(|source| of.is_none_or(|alias| &*source.alias == alias)).peekable();
        if sources.peek().is_none() {
            return Err(match of {
                Some(alias) => SqlError::new(
                    state::UNDEFINED_TABLE,
                    format!("missing FROM-clause entry for table \"{alias}\""),
                ),
                None => SqlError::new(state::SYNTAX_ERROR, "SELECT * with no tables specified is not valid"),
            });
        }
        if sources.clone().any(|source| source.partial) {
            return Err(SqlError::unknown("all columns of a table of the catalogue", "some by name"));
        }
        let columns = sources.flat_map(|source| {
            let numbered = source.columns.iter().enumerate();
            let shown = numbered.filter(|(_, column)| !column.merged || of.is_some());
            shown.map(|(number, column)| {
                let typed = Typed::new(Expr::Column(source.start + number), column.kind);
                (typed, Arc::clone(&column.name))
            })
        });
        Ok(columns.collect())
    }

    fn group_by(
        &mut self,
        group_by: &ast::GroupByExpr,
        outputs: &[(Typed, Arc<str>)],
    ) -> Result<Vec<Expr>, SqlError> {
        let ast::GroupByExpr::Expressions(exprs, modifiers) = group_by else {
            return Err(SqlError::unknown("GROUP BY ALL", "GROUP BY expression, .."));
        };
        if !modifiers.is_empty() {
            return Err(SqlError::unknown("this form of GROUP BY", "GROUP BY expression, .."));
        }
        self.scope().clause = Some("GROUP BY");
        let keys = exprs.iter().map(|expr| match self.output(expr, outputs, "GROUP BY")? {
            Some(output) => Ok(output.expr),
            None => Ok(self.expression(expr)?.expr),
        });
        let keys = keys.collect();
        self.scope().clause = None;
        keys
    }

    /// The output that a key of `ORDER BY` or `GROUP BY` names, by its number or its name.
    pub(super) fn output(
        &mut self,
        expr: &ast::Expr,
        outputs: &[(Typed, Arc<str>)],
        clause: &str,
    ) -> Result<Option<Typed>, SqlError> {
        match expr {
            ast::Expr::Value(value) => {
                let ast::Value::Number(digits, _) = &value.value else { return Ok(None) };
                let number = digits.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
                let found = number.and_then(|number| outputs.get(number)).ok_or_else(|| {
                    let message = format!("{clause} position {digits} is not in select list");
                    SqlError::new(state::INVALID_COLUMN_REFERENCE, message)
                })?;
                Ok(Some(found.0.clone()))
            }
            ast::Expr::Identifier(ident) => {
                let name = names::ident(ident);
                // A key of GROUP BY means a column first, one of ORDER BY an output.
                if clause == "GROUP BY" && self.is_own_column(&name) {
                    return Ok(None);
                }
                let mut named = outputs.iter().filter(|(_, output)| **output == *name);
                let Some((first, _)) = named.next() else { return Ok(None) };
                if named.any(|(other, _)| other != first) {
                    let message = format!("{clause} \"{name}\" is ambiguous");
                    return Err(SqlError::new(state::AMBIGUOUS_COLUMN, message));
                }
                Ok(Some(first.clone()))
            }
            _ => Ok(None),
        }
    }

    /// Ordering, grouping, limits and locks, and which condition is decided where.
    #[expect(clippy::too_many_arguments, reason = "they are the clauses of a SELECT")]
    fn finish(
        &mut self,
        placed: Vec<Placed>,
        conjuncts: Vec<Expr>,
        outputs: Vec<(Typed, Arc<str>)>,
        distinct: Option<&ast::Distinct>,
        group: Option<(Vec<Expr>, Option<Expr>)>,
        ctes: Vec<Cte>,
        tail: Tail<'_>,
        targets: Targets<'_>,
    ) -> Result<Query, SqlError> {
        let mut order = self.order_by(tail.order, &outputs)?;
        let mut distinct = self.distinct(distinct)?;
        let (mut projection, columns) = self.outputs(outputs, targets)?;
        let group = if group.is_some() || !self.scope().aggregates.is_empty() {
            let (keys, having) = group.unwrap_or_default();
            let mut over: Vec<&mut Expr> = projection.iter_mut().collect();
            over.extend(order.iter_mut().map(|key| &mut key.expr));
            if let Some(Distinct::On(keys)) = &mut distinct {
                over.extend(keys.iter_mut());
            }
            let having = having.into_iter().flat_map(Expr::into_conjuncts).collect();
            Some(self.grouped(keys, having, &mut over)?)
        } else {
            None
        };
        if matches!(distinct, Some(Distinct::All)) && order.iter().any(|key| !projection.contains(&key.expr))
        {
            let message = "for SELECT DISTINCT, ORDER BY expressions must appear in select list";
            return Err(SqlError::new(state::INVALID_COLUMN_REFERENCE, message));
        }
        let (limit, offset) = self.limits(tail)?;
        let locks = self.locks(&placed, tail.locks, group.is_some(), distinct.is_some())?;
        let width = self.scope().width;
        let (from, once) = super::access::arranged(placed, conjuncts);
        let select = Select { from, width, once, group, projection, distinct, order, limit, offset, locks };
        Ok(Query { ctes, select, columns })
    }

    fn outputs(
        &mut self,
        outputs: Vec<(Typed, Arc<str>)>,
        targets: Targets<'_>,
    ) -> Result<(Vec<Expr>, Vec<OutColumn>), SqlError> {
        let mut projection = Vec::with_capacity(outputs.len());
        let mut columns = Vec::with_capacity(outputs.len());
        for (number, (typed, name)) in outputs.into_iter().enumerate() {
            let target = targets.and_then(|targets| targets.get(number));
            let (expr, kind) = match target {
                Some(target) => (assigned(typed, &target.name, target.kind, self.params)?, target.kind),
                None => {
                    let typed = text_if_unknown(typed, self.params)?;
                    (typed.expr, typed.kind)
                }
            };
            projection.push(expr);
            columns.push(OutColumn { name, kind });
        }
        Ok((projection, columns))
    }

    /// The names that `WITH` gives, with what they stand for.
    pub(super) fn with(&mut self, with: Option<&ast::With>) -> Result<Vec<Cte>, SqlError> {
        let Some(with) = with else { return Ok(Vec::new()) };
        if with.recursive {
            return Err(SqlError::unknown("WITH RECURSIVE", "WITH"));
        }
        let mut ctes = Vec::with_capacity(with.cte_tables.len());
        for cte in &with.cte_tables {
            let body = self.query_or_change(&cte.query)?;
            let mut columns = match &body {
                Body::Query(query) => query.columns.clone(),
                Body::Change(change) => change.columns.clone(),
            };
            for (column, renamed) in columns.iter_mut().zip(&cte.alias.columns) {
                column.name = names::shared(&renamed.name);
            }
            let slot = self.cte_used.len();
            self.cte_used.push(false);
            self.ctes.push(CteName { name: names::shared(&cte.alias.name), slot, columns });
            ctes.push(Cte { slot, body: Arc::new(body) });
        }
        Ok(ctes)
    }
}

/// A key of `ORDER BY`: nulls are last where it ascends and first where it descends, unless it is said.
pub(super) fn sort_key(expr: Expr, options: &ast::OrderByOptions) -> SortKey {
    let descending = matches!(options.sort, Some(ast::OrderBySort::Desc));
    SortKey { expr, descending, nulls_first: options.nulls_first.unwrap_or(descending) }
}

/// The type of arrays of an output (`ARRAY(query)`).
pub(super) fn array_of_output(kind: Type) -> Result<Type, SqlError> {
    expression::array_type(kind).ok_or_else(|| SqlError::unknown(format!("arrays of {kind}"), ""))
}
