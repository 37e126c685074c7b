//! `INSERT`, `UPDATE`, `DELETE`.

use std::sync::Arc;

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::store::{LockMode, TableId};
use super::super::super::value::Value;
use super::super::expression::Expr;
use super::super::names;
use super::super::params::{assigned, condition};
use super::super::plan::{
    Assignment, Change, ChangeKind, Conflict, ConflictAction, Cte, Insert, InsertSource, OutColumn, Select,
    Target,
};
use super::super::schema::{ColumnFacts, Identity, IndexFacts, Schema};
use super::Binder;
use super::scope::{Named, Scope};
use super::source::Placed;

/// What an `INSERT` does on a conflict, and what it returns.
type InsertRest = (Option<Conflict>, Vec<Expr>, Vec<OutColumn>);

impl Binder<'_> {
    pub(super) fn insert(&mut self, insert: &ast::Insert, ctes: Vec<Cte>) -> Result<Change, SqlError> {
        let ast::TableObject::TableName(name) = &insert.table else {
            return Err(SqlError::unknown("INSERT into a function", "INSERT INTO table"));
        };
        if insert.overwrite || insert.partitioned.is_some() || !insert.assignments.is_empty() {
            return Err(SqlError::unknown(
                "this form of INSERT",
                "INSERT INTO table (columns) VALUES or query",
            ));
        }
        let name = names::object(name)?;
        let (id, schema) = self.table(&name)?;
        self.requires(id, LockMode::RowExclusive);
        let alias = insert.table_alias.as_ref();
        let alias: Arc<str> = alias.map_or_else(|| name.into(), |alias| names::shared(&alias.alias));
        let columns = inserted_columns(&insert.columns, &schema)?;
        let source = self.insert_source(insert.source.as_deref(), &schema, &columns)?;
        self.scopes.push(Scope::default());
        let rest = self.insert_rest(insert, id, &schema, alias);
        self.scopes.pop();
        let (conflict, returning, out) = rest?;
        let kind = ChangeKind::Insert(Insert { source, conflict });
        Ok(Change { ctes, table: Target { id, schema }, kind, returning, columns: out })
    }

    fn insert_rest(
        &mut self,
        insert: &ast::Insert,
        id: TableId,
        schema: &Arc<Schema>,
        alias: Arc<str>,
    ) -> Result<InsertRest, SqlError> {
        self.scope().add(Named::of_table(alias, schema));
        let conflict = match &insert.on {
            None => None,
            Some(ast::OnInsert::OnConflict(on)) => {
                self.scope().add(Named::of_table("excluded".into(), schema));
                let conflict = self.conflict(on, id, schema)?;
                self.scope().sources.pop();
                Some(conflict)
            }
            Some(other) => return Err(SqlError::unknown(format!("{other}"), "ON CONFLICT")),
        };
        let (returning, out) = self.returning(insert.returning.as_deref())?;
        Ok((conflict, returning, out))
    }

    fn insert_source(
        &mut self,
        source: Option<&ast::Query>,
        schema: &Schema,
        columns: &[usize],
    ) -> Result<InsertSource, SqlError> {
        let Some(query) = source else {
            let row = schema.columns.iter().map(default_of).collect();
            return Ok(InsertSource::Values(vec![row]));
        };
        if let (ast::SetExpr::Values(values), None, None, None) =
            (&*query.body, &query.with, &query.order_by, &query.limit_clause)
        {
            self.scopes.push(Scope { clause: Some("VALUES"), ..Scope::default() });
            let rows = values.rows.iter().map(|row| self.value_row(row, schema, columns));
            let rows = rows.collect::<Result<Vec<_>, _>>();
            self.scopes.pop();
            return rows.map(InsertSource::Values);
        }
        let targets: Vec<OutColumn> =
            columns.iter().map(|column| out_column(&schema.columns[*column])).collect();
        let query = self.query(query, Some(&targets))?;
        check_count(query.columns.len(), columns.len())?;
        let mut row: Vec<Expr> = schema.columns.iter().map(default_of).collect();
        for (number, column) in columns.iter().take(query.columns.len()).enumerate() {
            refuse_given(&schema.columns[*column])?;
            row[*column] = Expr::Column(number);
        }
        Ok(InsertSource::Query { query: Box::new(query), row })
    }

    fn value_row(
        &mut self,
        row: &[ast::Expr],
        schema: &Schema,
        columns: &[usize],
    ) -> Result<Vec<Expr>, SqlError> {
        check_count(row.len(), columns.len())?;
        let mut out: Vec<Expr> = schema.columns.iter().map(default_of).collect();
        for (expr, column) in row.iter().zip(columns) {
            if is_default(expr) {
                continue;
            }
            let facts = &schema.columns[*column];
            refuse_given(facts)?;
            let value = self.expression(expr)?;
            out[*column] = assigned(value, &facts.name, facts.kind, self.params)?;
        }
        Ok(out)
    }

    fn conflict(
        &mut self,
        on: &ast::OnConflict,
        id: TableId,
        schema: &Arc<Schema>,
    ) -> Result<Conflict, SqlError> {
        let arbiters = match &on.conflict_target {
            None => None,
            Some(ast::ConflictTarget::Columns(columns)) => {
                Some(self.inferred(columns, schema)?.into_iter().map(|index| index.id).collect())
            }
            Some(ast::ConflictTarget::OnConstraint(name)) => {
                let name = names::object(name)?;
                let index = schema.indexes.iter().find(|index| *index.name == *name && index.unique);
                let missing = || {
                    let message =
                        format!("constraint \"{name}\" for table \"{}\" does not exist", schema.name);
                    SqlError::new(state::UNDEFINED_OBJECT, message)
                };
                Some(vec![index.ok_or_else(missing)?.id])
            }
        };
        let action = match &on.action {
            ast::OnConflictAction::DoNothing => ConflictAction::Nothing,
            ast::OnConflictAction::DoUpdate(update) => {
                if arbiters.is_none() {
                    let message = "ON CONFLICT DO UPDATE requires inference specification or constraint name";
                    return Err(SqlError::new(state::SYNTAX_ERROR, message));
                }
                self.scope().clause = Some("UPDATE");
                let set = self.assignments(&update.assignments, id, schema)?;
                self.scope().clause = Some("WHERE");
                let filter = match &update.selection {
                    Some(filter) => Some(condition(self.expression(filter)?, "WHERE", self.params)?),
                    None => None,
                };
                ConflictAction::Update { set, filter }
            }
        };
        Ok(Conflict { arbiters, action })
    }

    /// The unique indexes over just these columns, of all rows.
    fn inferred<'s>(
        &mut self,
        columns: &[ast::Ident],
        schema: &'s Schema,
    ) -> Result<Vec<&'s IndexFacts>, SqlError> {
        let mut wanted = Vec::with_capacity(columns.len());
        for column in columns {
            let name = names::ident(column);
            wanted.push(schema.position(&name).ok_or_else(|| no_column(&name, &schema.name))?);
        }
        wanted.sort_unstable();
        wanted.dedup();
        let fits = |index: &&IndexFacts| {
            let mut columns = index.columns().unwrap_or_default();
            columns.sort_unstable();
            index.unique && index.predicate.is_empty() && columns == wanted
        };
        let found: Vec<&IndexFacts> = schema.indexes.iter().filter(fits).collect();
        if found.is_empty() {
            let message = "there is no unique or exclusion constraint matching the ON CONFLICT specification";
            return Err(SqlError::new(state::INVALID_COLUMN_REFERENCE, message));
        }
        Ok(found)
    }

    pub(super) fn update(&mut self, update: &ast::Update, ctes: Vec<Cte>) -> Result<Change, SqlError> {
        if !update.order_by.is_empty() || update.limit.is_some() {
            return Err(SqlError::unknown("ORDER BY and LIMIT of UPDATE", "UPDATE .. SET .. FROM .. WHERE"));
        }
        let from = match &update.from {
            None => &[][..],
            Some(ast::UpdateTableFromKind::BeforeSet(from) | ast::UpdateTableFromKind::AfterSet(from)) => {
                from
            }
        };
        if !update.table.joins.is_empty() {
            return Err(SqlError::unknown("joins of the target of UPDATE", "UPDATE .. SET .. FROM .. WHERE"));
        }
        self.scopes.push(Scope::default());
        let bound = self.update_parts(update, from, ctes);
        self.scopes.pop();
        bound
    }

    fn update_parts(
        &mut self,
        update: &ast::Update,
        from: &[ast::TableWithJoins],
        ctes: Vec<Cte>,
    ) -> Result<Change, SqlError> {
        let (target, mut placed) = self.target(&update.table.relation)?;
        let (others, mut conjuncts) = self.from(from)?;
        placed.extend(others);
        self.scope().clause = Some("UPDATE");
        let set = self.assignments(&update.assignments, target.id, &target.schema)?;
        let select = self.changed_rows(placed, &mut conjuncts, update.selection.as_ref())?;
        let (returning, columns) = self.returning(update.returning.as_deref())?;
        Ok(Change { ctes, table: target, kind: ChangeKind::Update { select, set }, returning, columns })
    }

    pub(super) fn delete(&mut self, delete: &ast::Delete, ctes: Vec<Cte>) -> Result<Change, SqlError> {
        if !delete.order_by.is_empty() || delete.limit.is_some() || !delete.tables.is_empty() {
            return Err(SqlError::unknown("this form of DELETE", "DELETE FROM .. USING .. WHERE"));
        }
        let (ast::FromTable::WithFromKeyword(tables) | ast::FromTable::WithoutKeyword(tables)) = &delete.from;
        let [table] = tables.as_slice() else {
            return Err(SqlError::unknown("DELETE from several tables", "DELETE FROM .. USING .. WHERE"));
        };
        self.scopes.push(Scope::default());
        let bound = self.delete_parts(delete, table, ctes);
        self.scopes.pop();
        bound
    }

    fn delete_parts(
        &mut self,
        delete: &ast::Delete,
        table: &ast::TableWithJoins,
        ctes: Vec<Cte>,
    ) -> Result<Change, SqlError> {
        let (target, mut placed) = self.target(&table.relation)?;
        let (others, mut conjuncts) = self.from(delete.using.as_deref().unwrap_or_default())?;
        placed.extend(others);
        let select = self.changed_rows(placed, &mut conjuncts, delete.selection.as_ref())?;
        let (returning, columns) = self.returning(delete.returning.as_deref())?;
        Ok(Change { ctes, table: target, kind: ChangeKind::Delete { select }, returning, columns })
    }

    fn target(&mut self, relation: &ast::TableFactor) -> Result<(Target, Vec<Placed>), SqlError> {
        let ast::TableFactor::Table { name, alias, args: None, .. } = relation else {
            return Err(SqlError::unknown(format!("{relation} as a target"), "tables"));
        };
        let name = names::object(name)?;
        let (id, schema) = self.table(&name)?;
        self.requires(id, LockMode::RowExclusive);
        let alias: Arc<str> = alias.as_ref().map_or_else(|| name.into(), |alias| names::shared(&alias.name));
        self.scope().add(Named::of_table(Arc::clone(&alias), &schema));
        let placed = vec![Placed::table(id, &schema, alias, 0)];
        Ok((Target { id, schema }, placed))
    }

    fn changed_rows(
        &mut self,
        placed: Vec<Placed>,
        conjuncts: &mut Vec<Expr>,
        filter: Option<&ast::Expr>,
    ) -> Result<Select, SqlError> {
        self.scope().clause = Some("WHERE");
        if let Some(filter) = filter {
            let filter = condition(self.expression(filter)?, "WHERE", self.params)?;
            conjuncts.extend(filter.into_conjuncts());
        }
        let width = self.scope().width;
        let (from, once) = super::access::arranged(placed, std::mem::take(conjuncts));
        Ok(Select {
            from,
            width,
            once,
            group: None,
            projection: Vec::new(),
            distinct: None,
            order: Vec::new(),
            limit: None,
            offset: None,
            locks: Vec::new(),
        })
    }

    fn assignments(
        &mut self,
        assignments: &[ast::Assignment],
        _table: TableId,
        schema: &Schema,
    ) -> Result<Vec<Assignment>, SqlError> {
        let mut set: Vec<Assignment> = Vec::with_capacity(assignments.len());
        for assignment in assignments {
            let pairs: Vec<(&ast::ObjectName, &ast::Expr)> = match (&assignment.target, &assignment.value) {
                (ast::AssignmentTarget::ColumnName(name), value) => vec![(name, value)],
                (ast::AssignmentTarget::Tuple(names), ast::Expr::Tuple(values))
                    if names.len() == values.len() =>
                {
                    names.iter().zip(values).collect()
                }
                _ => {
                    return Err(SqlError::unknown(
                        format!("the assignment {assignment}"),
                        "column = value and (columns) = (values)",
                    ));
                }
            };
            for (name, value) in pairs {
                let assigned = self.assignment(name, value, schema)?;
                if set.iter().any(|earlier| earlier.column == assigned.column) {
                    let name = &schema.columns[assigned.column].name;
                    let message = format!("multiple assignments to same column \"{name}\"");
                    return Err(SqlError::new(state::SYNTAX_ERROR, message));
                }
                set.push(assigned);
            }
        }
        Ok(set)
    }

    fn assignment(
        &mut self,
        name: &ast::ObjectName,
        value: &ast::Expr,
        schema: &Schema,
    ) -> Result<Assignment, SqlError> {
        let name = names::parts(name)?.pop().unwrap_or_default();
        let column = schema.position(&name).ok_or_else(|| no_column(&name, &schema.name))?;
        let facts = &schema.columns[column];
        if is_default(value) {
            return Ok(Assignment { column, value: default_of(facts) });
        }
        if facts.identity == Some(Identity::Always) || facts.generated.is_some() {
            let message = format!("column \"{name}\" can only be updated to DEFAULT");
            return Err(SqlError::new("428C9", message));
        }
        let value = self.expression(value)?;
        Ok(Assignment { column, value: assigned(value, &name, facts.kind, self.params)? })
    }
}

fn out_column(facts: &ColumnFacts) -> OutColumn {
    OutColumn { name: Arc::clone(&facts.name), kind: facts.kind }
}

fn default_of(facts: &ColumnFacts) -> Expr {
    facts.default.clone().unwrap_or(Expr::Const(Value::Null))
}

fn is_default(expr: &ast::Expr) -> bool {
    matches!(expr, ast::Expr::Identifier(ident)
        if ident.quote_style.is_none() && ident.value.eq_ignore_ascii_case("default"))
}

fn no_column(name: &str, table: &str) -> SqlError {
    let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
    SqlError::new(state::UNDEFINED_COLUMN, message)
}

/// A value for a column that makes its own.
fn refuse_given(facts: &ColumnFacts) -> Result<(), SqlError> {
    if facts.identity != Some(Identity::Always) && facts.generated.is_none() {
        return Ok(());
    }
    let name = &facts.name;
    let detail = match facts.generated {
        Some(_) => format!("Column \"{name}\" is a generated column."),
        None => format!("Column \"{name}\" is an identity column defined as GENERATED ALWAYS."),
    };
    let message = format!("cannot insert a non-DEFAULT value into column \"{name}\"");
    Err(SqlError::new("428C9", message).detail(detail))
}

fn inserted_columns(columns: &[ast::ObjectName], schema: &Schema) -> Result<Vec<usize>, SqlError> {
    if columns.is_empty() {
        return Ok((0..schema.columns.len()).collect());
    }
    let mut found = Vec::with_capacity(columns.len());
    for column in columns {
        let name = names::parts(column)?.pop().unwrap_or_default();
        let number = schema.position(&name).ok_or_else(|| no_column(&name, &schema.name))?;
        if found.contains(&number) {
            let message = format!("column \"{name}\" specified more than once");
            return Err(SqlError::new(state::DUPLICATE_COLUMN, message));
        }
        found.push(number);
    }
    Ok(found)
}

fn check_count(given: usize, columns: usize) -> Result<(), SqlError> {
    if given > columns {
        let message = "INSERT has more expressions than target columns";
        return Err(SqlError::new(state::SYNTAX_ERROR, message));
    }
    Ok(())
}
