//! From names to positions: a statement as it was written becomes a plan.

mod access;
mod change;
mod expression;
mod function;
mod group;
mod output;
mod query;
mod scope;
mod source;
mod subquery;
mod tail;
mod types;

use std::sync::Arc;

use sqlparser::ast;

use super::super::error::SqlError;
use super::super::store::{LockMode, TableDef, TableId};
use super::super::types::Type;
use super::expression::{Expr, Typed};
use super::params::{self, Params};
use super::plan::{Body, Dependency, OutColumn, Plan};
use super::schema::Schema;
use super::session::shared;
use scope::Scope;

pub(super) use types::data_type;

/// Where names of tables are looked up.
pub(super) trait Catalog {
    /// The table of that name, as the session sees it now.
    fn table(&self, name: &str) -> Option<Relation>;
}

/// A table, as it is defined now.
pub(super) struct Relation {
    pub(super) id: TableId,
    pub(super) def: Arc<TableDef>,
    pub(super) schema: Arc<Schema>,
}

/// A statement on its way to a plan.
pub(super) struct Binder<'a> {
    catalog: &'a dyn Catalog,
    params: &'a Params,
    scopes: Vec<Scope>,
    /// The names that `WITH` has given, innermost last.
    ctes: Vec<CteName>,
    /// Of every name, whether it is used.
    cte_used: Vec<bool>,
    frames: Vec<subquery::Frame>,
    subquery_count: usize,
    depends: Vec<Dependency>,
}

/// A name given by `WITH`.
#[derive(Clone)]
struct CteName {
    name: Arc<str>,
    slot: usize,
    columns: Vec<OutColumn>,
}

/// The plan of a query or a change.
pub(super) fn plan(statement: &ast::Statement, catalog: &dyn Catalog) -> Result<Plan, SqlError> {
    let params = Params::default();
    let mut binder = Binder::new(catalog, &params);
    let body = binder.body(statement)?;
    let columns = match &body {
        Body::Query(query) => shared(&query.columns),
        Body::Change(change) => shared(&change.columns),
    };
    Ok(Plan {
        body,
        columns,
        params: params.settled()?,
        depends: binder.depends,
        ctes: binder.cte_used,
        subqueries: binder.subquery_count,
    })
}

/// An expression over the columns of one table: a check, a key or a condition of an index.
pub(super) fn over_table(
    expr: &ast::Expr,
    schema: &Schema,
    catalog: &dyn Catalog,
) -> Result<Typed, SqlError> {
    let params = Params::default();
    let mut binder = Binder::new(catalog, &params);
    binder.scopes.push(Scope::of_table(schema));
    let bound = binder.expression(expr)?;
    params.settled()?;
    if bound.expr.waits() {
        return Err(SqlError::unknown("subqueries and functions that wait in a table's definition", ""));
    }
    Ok(bound)
}

/// An expression over no table: a default, an argument of `EXECUTE`.
pub(super) fn over_nothing(expr: &ast::Expr, kind: Type, catalog: &dyn Catalog) -> Result<Expr, SqlError> {
    let params = Params::default();
    let mut binder = Binder::new(catalog, &params);
    binder.scopes.push(Scope::default());
    let bound = binder.expression(expr)?;
    let bound = params::assigned(bound, "default", kind, &params)?;
    params.settled()?;
    Ok(bound)
}

impl<'a> Binder<'a> {
    fn new(catalog: &'a dyn Catalog, params: &'a Params) -> Self {
        Binder {
            catalog,
            params,
            scopes: Vec::new(),
            ctes: Vec::new(),
            cte_used: Vec::new(),
            frames: Vec::new(),
            subquery_count: 0,
            depends: Vec::new(),
        }
    }

    fn body(&mut self, statement: &ast::Statement) -> Result<Body, SqlError> {
        Ok(match statement {
            ast::Statement::Query(query) => self.query_or_change(query)?,
            ast::Statement::Insert(insert) => Body::Change(self.insert(insert, Vec::new())?),
            ast::Statement::Update(update) => Body::Change(self.update(update, Vec::new())?),
            ast::Statement::Delete(delete) => Body::Change(self.delete(delete, Vec::new())?),
            other => return Err(unknown_statement(other)),
        })
    }

    /// A query; or a change behind a `WITH`, which `sqlparser` takes for the body of a query.
    fn query_or_change(&mut self, query: &ast::Query) -> Result<Body, SqlError> {
        let change = matches!(
            &*query.body,
            ast::SetExpr::Insert(_) | ast::SetExpr::Update(_) | ast::SetExpr::Delete(_)
        );
        if !change {
            return Ok(Body::Query(self.query(query, None)?));
        }
        let names = self.ctes.len();
        let ctes = self.with(query.with.as_ref())?;
        let body = match &*query.body {
            ast::SetExpr::Insert(ast::Statement::Insert(insert)) => self.insert(insert, ctes)?,
            ast::SetExpr::Update(ast::Statement::Update(update)) => self.update(update, ctes)?,
            ast::SetExpr::Delete(ast::Statement::Delete(delete)) => self.delete(delete, ctes)?,
            other => return Err(SqlError::unknown(format!("the query {other}"), "")),
        };
        self.ctes.truncate(names);
        Ok(Body::Change(body))
    }

    /// A table by its name; the plan depends on it from now on.
    fn table(&mut self, name: &str) -> Result<(TableId, Arc<Schema>), SqlError> {
        let found = self.catalog.table(name).ok_or_else(|| SqlError::no_relation(name))?;
        let Relation { id, def, schema } = found;
        if !self.depends.iter().any(|dependency| dependency.id == id) {
            self.depends.push(Dependency { id, def, mode: LockMode::AccessShare });
        }
        Ok((id, schema))
    }

    /// The statement needs at least this lock on the table.
    fn requires(&mut self, table: TableId, mode: LockMode) {
        if let Some(dependency) = self.depends.iter_mut().find(|dependency| dependency.id == table) {
            dependency.mode = dependency.mode.max(mode);
        }
    }

    fn scope(&mut self) -> &mut Scope {
        self.scopes.last_mut().expect("expressions are bound within a scope")
    }
}

/// The refusal of a statement that is read and not known.
pub(super) fn unknown_statement(statement: &ast::Statement) -> SqlError {
    let text = statement.to_string();
    let words: Vec<&str> = text.split_whitespace().take(3).collect();
    SqlError::unknown(
        format!("the statement {} ..", words.join(" ")),
        "SELECT, INSERT, UPDATE, DELETE, CREATE TABLE, INDEX and SEQUENCE, ALTER TABLE, DROP, TRUNCATE, LOCK, \
         transactions, LISTEN and NOTIFY, SET and SHOW",
    )
}
