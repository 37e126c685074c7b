//! Constraints of a definition.

use std::sync::Arc;

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::store::{Access, IndexDef, IndexKey, LockMode, TableId};
use super::super::super::types::Type;
use super::super::super::value::Value;
use super::super::catalog::schema_of;
use super::super::expression::{Expr, NoSession, Rows};
use super::super::params::{Params, condition};
use super::super::schema::{Action, Check, ForeignKey, IndexFacts, Schema};
use super::super::session::SqlSession;
use super::super::{bind, names};

/// A constraint that is to be made once the table is there.
pub(super) enum Wanted {
    Key { name: Option<Arc<str>>, columns: Vec<usize>, primary: bool },
    Check { name: Option<Arc<str>>, expr: Box<ast::Expr> },
    Foreign { name: Option<Arc<str>>, columns: Vec<usize>, key: Box<ast::ForeignKeyConstraint> },
    Generated { column: Arc<str>, expr: Box<ast::Expr> },
}

impl Wanted {
    pub(super) fn key(name: Option<Arc<str>>, columns: Vec<usize>, primary: bool) -> Self {
        Wanted::Key { name, columns, primary }
    }

    pub(super) fn check(name: Option<Arc<str>>, expr: &ast::Expr) -> Self {
        Wanted::Check { name, expr: Box::new(expr.clone()) }
    }

    /// Reads a constraint of a table.
    pub(super) fn read(constraint: &ast::TableConstraint, schema: &Schema) -> Result<Self, SqlError> {
        use ast::TableConstraint as C;
        let name = |name: &Option<ast::Ident>| name.as_ref().map(names::shared);
        Ok(match constraint {
            C::PrimaryKey(key) => {
                refuse_deferrable(key.characteristics.as_ref())?;
                Wanted::key(name(&key.name), index_columns(&key.columns, schema)?, true)
            }
            C::Unique(key) => {
                refuse_deferrable(key.characteristics.as_ref())?;
                refuse_nulls(key)?;
                Wanted::key(name(&key.name), index_columns(&key.columns, schema)?, false)
            }
            C::Check(check) => Wanted::check(name(&check.name), &check.expr),
            C::ForeignKey(key) => {
                let columns = positions(key.columns.iter().map(names::ident), schema)?;
                Wanted::Foreign { name: name(&key.name), columns, key: Box::new(key.clone()) }
            }
            other => {
                return Err(SqlError::unknown(
                    format!("the constraint {other}"),
                    "PRIMARY KEY, UNIQUE, CHECK, FOREIGN KEY",
                ));
            }
        })
    }
}

impl SqlSession {
    /// Makes a constraint; the rows that are there have to hold it.
    pub(super) async fn constrain(
        &mut self,
        id: TableId,
        schema: &mut Schema,
        wanted: Wanted,
    ) -> Result<(), SqlError> {
        match wanted {
            Wanted::Key { name, columns, primary } => self.add_key(id, schema, name, columns, primary),
            Wanted::Check { name, expr } => self.add_check(id, schema, name, &expr),
            Wanted::Foreign { name, columns, key } => {
                self.add_foreign_key(id, schema, name, columns, &key, true).await
            }
            Wanted::Generated { column, expr } => {
                super::column::generate(schema, &column, &expr, &self.session)
            }
        }
    }

    fn add_key(
        &mut self,
        id: TableId,
        schema: &mut Schema,
        name: Option<Arc<str>>,
        columns: Vec<usize>,
        primary: bool,
    ) -> Result<(), SqlError> {
        if primary && schema.indexes.iter().any(|index| index.primary) {
            let message = format!("multiple primary keys for table \"{}\" are not allowed", schema.name);
            return Err(SqlError::new("42P16", message));
        }
        if primary {
            for column in &columns {
                schema.columns[*column].not_null = true;
            }
            self.check_not_null(id, schema, &columns)?;
        }
        let suffix =
            if primary { "pkey".to_owned() } else { format!("{}_key", column_names(schema, &columns)) };
        let name = name.unwrap_or_else(|| free_name(schema, format!("{}_{suffix}", schema.name)));
        let key = IndexKey::Columns(columns.clone().into());
        let def = IndexDef { name: Arc::clone(&name), key, unique: true, primary, identifies: true };
        let index = self.session.create_index(id, def)?;
        let keys = columns.into_iter().map(Expr::Column).collect();
        let predicate = Vec::new();
        let facts = IndexFacts { id: index, name, keys, unique: true, primary, predicate, constraint: true };
        schema.indexes.push(facts);
        Ok(())
    }

    /// Whether the rows that are there have values in these columns.
    pub(super) fn check_not_null(
        &mut self,
        id: TableId,
        schema: &Schema,
        columns: &[usize],
    ) -> Result<(), SqlError> {
        let snapshot = self.session.latest_snapshot();
        let rows = self.session.scan(&snapshot, id, &Access::All)?;
        for column in columns {
            if rows.iter().any(|row| row.tuple[*column].is_null()) {
                let name = &schema.columns[*column].name;
                let message =
                    format!("column \"{name}\" of relation \"{}\" contains null values", schema.name);
                return Err(SqlError::new(state::NOT_NULL_VIOLATION, message));
            }
        }
        Ok(())
    }

    fn add_check(
        &mut self,
        id: TableId,
        schema: &mut Schema,
        name: Option<Arc<str>>,
        expr: &ast::Expr,
    ) -> Result<(), SqlError> {
        let params = Params::default();
        let bound = condition(bind::over_table(expr, schema, &self.session)?, "CHECK", &params)?;
        let name = name.unwrap_or_else(|| {
            let mut columns = Vec::new();
            bound.columns(&mut columns);
            columns.sort_unstable();
            columns.dedup();
            let middle = match columns.as_slice() {
                [column] => format!("_{}", schema.columns[*column].name),
                _ => String::new(),
            };
            free_name(schema, format!("{}{middle}_check", schema.name))
        });
        let snapshot = self.session.latest_snapshot();
        for row in self.session.scan(&snapshot, id, &Access::All)? {
            if bound.eval(&Rows::of(&row.tuple, &[]), &mut NoSession)? == Value::Bool(false) {
                let message = format!(
                    "check constraint \"{name}\" of relation \"{}\" is violated by some row",
                    schema.name
                );
                return Err(SqlError::new(state::CHECK_VIOLATION, message));
            }
        }
        schema.checks.push(Check { name, condition: bound });
        Ok(())
    }

    /// Makes a foreign key; rows that are there are left for `VALIDATE CONSTRAINT` where it is not checked.
    pub(super) async fn add_foreign_key(
        &mut self,
        id: TableId,
        schema: &mut Schema,
        name: Option<Arc<str>>,
        columns: Vec<usize>,
        written: &ast::ForeignKeyConstraint,
        checked: bool,
    ) -> Result<(), SqlError> {
        let to_name = names::object(&written.foreign_table)?;
        let own = *to_name == *schema.name;
        let (to, mut to_schema) = if own {
            (id, schema.clone())
        } else {
            let (to, found) = self.table(&to_name)?;
            self.session.lock_table(to, LockMode::ShareRowExclusive, true).await?;
            (to, Schema::clone(&found))
        };
        let to_columns = referred(&written.referred_columns, &to_schema)?;
        check_key(&to_columns, &columns, &to_schema, schema)?;
        let name = name.unwrap_or_else(|| {
            free_name(schema, format!("{}_{}_fkey", schema.name, column_names(schema, &columns)))
        });
        let (deferrable, deferred) = deferral(written.characteristics.as_ref());
        let key = Arc::new(ForeignKey {
            name,
            from: id,
            from_name: Arc::clone(&schema.name),
            from_columns: columns,
            to,
            to_name: to_name.into(),
            to_columns,
            on_delete: action(written.on_delete.as_ref()),
            on_update: action(written.on_update.as_ref()),
            deferrable,
            deferred,
        });
        if checked {
            self.check_existing(&key, &to_schema)?;
        }
        schema.foreign_keys.push(Arc::clone(&key));
        if own {
            schema.referrers.push(key);
        } else {
            to_schema.referrers.push(key);
            self.redefine(to, to_schema);
        }
        Ok(())
    }

    /// `VALIDATE CONSTRAINT`.
    pub(super) async fn validate(&mut self, schema: &Schema, name: &str) -> Result<(), SqlError> {
        let key = schema.foreign_keys.iter().find(|key| &*key.name == name).cloned().ok_or_else(|| {
            let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", schema.name);
            SqlError::new(state::UNDEFINED_OBJECT, message)
        })?;
        self.session.lock_table(key.to, LockMode::RowShare, true).await?;
        let to = schema_of(&*self.session.table_def(key.to)?);
        self.check_existing(&key, &to)
    }

    fn check_existing(&mut self, key: &ForeignKey, to: &Schema) -> Result<(), SqlError> {
        let snapshot = self.session.latest_snapshot();
        let part = |tuple: &[Value], columns: &[usize]| -> Vec<Value> {
            columns.iter().map(|column| tuple[*column].clone()).collect()
        };
        let rows = self.session.scan(&snapshot, key.from, &Access::All)?;
        if rows.is_empty() {
            return Ok(());
        }
        let referred = self.session.scan(&snapshot, key.to, &Access::All)?;
        let known: std::collections::BTreeSet<Vec<Value>> =
            referred.iter().map(|row| part(&row.tuple, &key.to_columns)).collect();
        let from = schema_of(&*self.session.table_def(key.from)?);
        for row in rows {
            let values = part(&row.tuple, &key.from_columns);
            if values.iter().any(Value::is_null) || known.contains(&values) {
                continue;
            }
            let message = format!(
                "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
                key.from_name, key.name
            );
            let names: Vec<&str> =
                key.from_columns.iter().map(|column| &*from.columns[*column].name).collect();
            let texts: Vec<String> = key
                .from_columns
                .iter()
                .zip(&values)
                .filter_map(|(column, value)| value.output(from.columns[*column].kind))
                .collect();
            let detail = format!(
                "Key ({})=({}) is not present in table \"{}\".",
                names.join(", "),
                texts.join(", "),
                to.name
            );
            return Err(SqlError::new(state::FOREIGN_KEY_VIOLATION, message).detail(detail));
        }
        Ok(())
    }
}

fn check_key(to_columns: &[usize], columns: &[usize], to: &Schema, from: &Schema) -> Result<(), SqlError> {
    if to_columns.len() != columns.len() {
        let message = "number of referencing and referenced columns for foreign key disagree";
        return Err(SqlError::new("42830", message));
    }
    let is_key = to.indexes.iter().any(|index| {
        let mut key = index.columns().unwrap_or_default();
        let mut wanted = to_columns.to_vec();
        key.sort_unstable();
        wanted.sort_unstable();
        index.unique && index.predicate.is_empty() && key == wanted
    });
    if !is_key {
        let message =
            format!("there is no unique constraint matching given keys for referenced table \"{}\"", to.name);
        return Err(SqlError::new("42830", message));
    }
    let class = |kind: Type| {
        if kind.is_integer() {
            Type::Int8
        } else if kind.is_string() {
            Type::Text
        } else {
            kind.base()
        }
    };
    let mut pairs = columns.iter().zip(to_columns);
    if pairs.any(|(one, two)| class(from.columns[*one].kind) != class(to.columns[*two].kind)) {
        return Err(SqlError::unknown("foreign keys between these types", "columns of the same type"));
    }
    Ok(())
}

fn referred(columns: &[ast::Ident], to: &Schema) -> Result<Vec<usize>, SqlError> {
    if columns.is_empty() {
        return to.primary_key().ok_or_else(|| {
            let message = format!("there is no primary key for referenced table \"{}\"", to.name);
            SqlError::new(state::UNDEFINED_OBJECT, message)
        });
    }
    let missing = |name: &str| {
        let message = format!("column \"{name}\" referenced in foreign key constraint does not exist");
        SqlError::new(state::UNDEFINED_COLUMN, message)
    };
    let columns = columns.iter().map(names::ident);
    columns.map(|name| to.position(&name).ok_or_else(|| missing(&name))).collect()
}

fn deferral(written: Option<&ast::ConstraintCharacteristics>) -> (bool, bool) {
    let deferred = written.is_some_and(|written| written.initially == Some(ast::DeferrableInitial::Deferred));
    let deferrable = written.is_some_and(|written| written.deferrable == Some(true));
    (deferrable || deferred, deferred)
}

fn action(written: Option<&ast::ReferentialAction>) -> Action {
    match written {
        None | Some(ast::ReferentialAction::NoAction) => Action::Refuse,
        Some(ast::ReferentialAction::Restrict) => Action::Restrict,
        Some(ast::ReferentialAction::Cascade) => Action::Cascade,
        Some(ast::ReferentialAction::SetNull) => Action::SetNull,
        Some(ast::ReferentialAction::SetDefault) => Action::SetDefault,
    }
}

/// Unique constraints are checked row by row here.
pub(super) fn refuse_deferrable(written: Option<&ast::ConstraintCharacteristics>) -> Result<(), SqlError> {
    if deferral(written).0 {
        return Err(SqlError::unknown("deferrable unique constraints", "deferrable foreign keys"));
    }
    Ok(())
}

pub(super) fn refuse_nulls(unique: &ast::UniqueConstraint) -> Result<(), SqlError> {
    if matches!(unique.nulls_distinct, ast::NullsDistinctOption::NotDistinct) {
        return Err(SqlError::unknown("NULLS NOT DISTINCT", "UNIQUE, where nulls are distinct"));
    }
    Ok(())
}

fn index_columns(columns: &[ast::IndexColumn], schema: &Schema) -> Result<Vec<usize>, SqlError> {
    let names = columns.iter().map(|column| match &column.column.expr {
        ast::Expr::Identifier(name) => Ok(names::ident(name)),
        other => Err(SqlError::unknown(format!("the key {other} of a constraint"), "columns")),
    });
    positions(names.collect::<Result<Vec<_>, _>>()?.into_iter(), schema)
}

fn positions(names: impl Iterator<Item = String>, schema: &Schema) -> Result<Vec<usize>, SqlError> {
    let missing = |name: &str| {
        let message = format!("column \"{name}\" named in key does not exist");
        SqlError::new(state::UNDEFINED_COLUMN, message)
    };
    names.map(|name| schema.position(&name).ok_or_else(|| missing(&name))).collect()
}

fn column_names(schema: &Schema, columns: &[usize]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| &*schema.columns[*column].name).collect();
    names.join("_")
}

/// The name, with a number behind it where it is taken.
pub(super) fn free_name(schema: &Schema, name: String) -> Arc<str> {
    let taken = |name: &str| {
        schema.indexes.iter().any(|index| &*index.name == name)
            || schema.checks.iter().any(|check| &*check.name == name)
            || schema.foreign_keys.iter().any(|key| &*key.name == name)
    };
    let numbered = (1..).map(|number| format!("{name}{number}"));
    let free = std::iter::once(name.clone()).chain(numbered).find(|name| !taken(name));
    free.unwrap_or(name).into()
}
