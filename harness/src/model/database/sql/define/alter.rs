//! `ALTER TABLE`.

use std::sync::Arc;

use sqlparser::ast::{self, AlterColumnOperation, AlterTableOperation as Op};

use super::super::super::error::{SqlError, state};
use super::super::super::store::{LockMode, TableId};
use super::super::super::value::Value;
use super::super::expression::{NoSession, Rows};
use super::super::schema::Schema;
use super::super::session::{Answer, SqlSession};
use super::super::{bind, names};
use super::constraint::Wanted;

impl SqlSession {
    pub(super) async fn alter_table(&mut self, alter: &ast::AlterTable) -> Result<Answer, SqlError> {
        let name = names::object(&alter.name)?;
        let answer = Answer { tag: "ALTER TABLE".to_owned(), ..Answer::default() };
        if alter.if_exists && self.session.table_named(&name).is_none() {
            self.state.notice(format!("relation \"{name}\" does not exist, skipping"));
            return Ok(answer);
        }
        let (id, _) = self.table(&name)?;
        let modes = alter.operations.iter().map(lock_mode);
        let mode = modes.max().unwrap_or(LockMode::AccessExclusive);
        self.session.lock_table(id, mode, true).await?;
        // It may have been changed while the lock was waited for.
        let (id, schema) = self.table(&name)?;
        let mut schema = Schema::clone(&schema);
        for operation in &alter.operations {
            self.alter(id, &mut schema, operation).await?;
        }
        self.redefine(id, schema);
        Ok(answer)
    }

    async fn alter(&mut self, id: TableId, schema: &mut Schema, operation: &Op) -> Result<(), SqlError> {
        match operation {
            Op::AddConstraint { constraint, not_valid } => match Wanted::read(constraint, schema)? {
                Wanted::Foreign { name, columns, key } => {
                    self.add_foreign_key(id, schema, name, columns, &key, !not_valid).await
                }
                _ if *not_valid => Err(SqlError::unknown(
                    "ADD CONSTRAINT .. NOT VALID of this constraint",
                    "foreign keys that are not valid",
                )),
                wanted => self.constrain(id, schema, wanted).await,
            },
            Op::ValidateConstraint { name } => self.validate(schema, &names::ident(name)).await,
            Op::SetOptionsParens { options } => super::table::refuse_unknown_parameters(options),
            Op::AddColumn { if_not_exists, column_def, .. } => {
                self.add_column(id, schema, column_def, *if_not_exists).await
            }
            Op::AlterColumn { column_name, op } => {
                self.alter_column(id, schema, &names::ident(column_name), op)
            }
            Op::DropConstraint { if_exists, name, drop_behavior } => {
                let cascade = matches!(drop_behavior, Some(ast::DropBehavior::Cascade));
                self.drop_constraint(id, schema, &names::ident(name), *if_exists, cascade).await
            }
            Op::RenameColumn { old_column_name, new_column_name } => {
                rename_column(schema, &names::ident(old_column_name), names::shared(new_column_name))
            }
            Op::RenameTable { table_name } => {
                if !schema.foreign_keys.is_empty() || !schema.referrers.is_empty() {
                    return Err(SqlError::unknown("RENAME of a table with foreign keys", "tables without"));
                }
                let (ast::RenameTableNameKind::As(name) | ast::RenameTableNameKind::To(name)) = table_name;
                let name = names::object(name)?;
                if self.session.table_named(&name).is_some() {
                    let message = format!("relation \"{name}\" already exists");
                    return Err(SqlError::new(state::DUPLICATE_TABLE, message));
                }
                schema.name = name.into();
                Ok(())
            }
            other => Err(SqlError::unknown(
                format!("ALTER TABLE .. {other}"),
                "ADD COLUMN, ADD, DROP and VALIDATE CONSTRAINT, ALTER COLUMN SET or DROP DEFAULT and NOT NULL, RENAME",
            )),
        }
    }

    async fn add_column(
        &mut self,
        id: TableId,
        schema: &mut Schema,
        written: &ast::ColumnDef,
        if_not_exists: bool,
    ) -> Result<(), SqlError> {
        let mut wanted = Vec::new();
        let name = Arc::clone(&schema.name);
        let column = super::column::read(&name, schema.columns.len(), written, &mut wanted, &self.session)?;
        if schema.position(&column.facts.name).is_some() {
            if if_not_exists {
                let notice = format!(
                    "column \"{}\" of relation \"{name}\" already exists, skipping",
                    column.facts.name
                );
                self.state.notice(notice);
                return Ok(());
            }
            let message = format!("column \"{}\" of relation \"{name}\" already exists", column.facts.name);
            return Err(SqlError::new(state::DUPLICATE_COLUMN, message));
        }
        if column.sequence.is_some() {
            return Err(SqlError::unknown("ADD COLUMN with a sequence", "plain columns"));
        }
        let default = match &column.facts.default {
            Some(default) => default.eval(&Rows::of(&[], &[]), &mut NoSession)?,
            None => Value::Null,
        };
        let not_null = column.facts.not_null;
        schema.columns.push(column.facts);
        // The store makes rows of as many columns as the definition says.
        self.redefine(id, schema.clone());
        self.session.rewrite(id, |tuple| Ok(tuple.iter().cloned().chain([default.clone()]).collect()))?;
        if not_null {
            self.check_not_null(id, schema, &[schema.columns.len() - 1])?;
        }
        for wanted in wanted {
            self.constrain(id, schema, wanted).await?;
        }
        Ok(())
    }

    fn alter_column(
        &mut self,
        id: TableId,
        schema: &mut Schema,
        name: &str,
        operation: &AlterColumnOperation,
    ) -> Result<(), SqlError> {
        let number = schema.position(name).ok_or_else(|| no_column(name, &schema.name))?;
        match operation {
            AlterColumnOperation::SetNotNull => {
                self.check_not_null(id, schema, &[number])?;
                schema.columns[number].not_null = true;
            }
            AlterColumnOperation::DropNotNull => {
                if schema.primary_key().is_some_and(|key| key.contains(&number)) {
                    let message = format!("column \"{name}\" is in a primary key");
                    return Err(SqlError::new("42P16", message));
                }
                schema.columns[number].not_null = false;
            }
            AlterColumnOperation::SetDefault { value } => {
                let kind = schema.columns[number].kind;
                schema.columns[number].default = Some(bind::over_nothing(value, kind, &self.session)?);
            }
            AlterColumnOperation::DropDefault => schema.columns[number].default = None,
            other => {
                return Err(SqlError::unknown(
                    format!("ALTER COLUMN .. {other}"),
                    "SET and DROP of DEFAULT and NOT NULL",
                ));
            }
        }
        Ok(())
    }

    async fn drop_constraint(
        &mut self,
        id: TableId,
        schema: &mut Schema,
        name: &str,
        if_exists: bool,
        cascade: bool,
    ) -> Result<(), SqlError> {
        if let Some(place) = schema.checks.iter().position(|check| &*check.name == name) {
            schema.checks.remove(place);
            return Ok(());
        }
        if let Some(place) = schema.foreign_keys.iter().position(|key| &*key.name == name) {
            let key = schema.foreign_keys.remove(place);
            if key.to == id {
                schema.referrers.retain(|other| **other != *key);
                return Ok(());
            }
            self.session.lock_table(key.to, LockMode::AccessExclusive, true).await?;
            return self.forget_key(key.to, &key);
        }
        let index = schema.indexes.iter().position(|index| index.constraint && &*index.name == name);
        if let Some(place) = index {
            if cascade || !schema.referrers.is_empty() {
                return Err(SqlError::unknown(
                    "DROP CONSTRAINT of a key that foreign keys refer to",
                    "other constraints",
                ));
            }
            let index = schema.indexes.remove(place);
            self.session.drop_index(index.id);
            return Ok(());
        }
        let message = format!("constraint \"{name}\" of relation \"{}\" does not exist", schema.name);
        if if_exists {
            self.state.notice(format!("{message}, skipping"));
            return Ok(());
        }
        Err(SqlError::new(state::UNDEFINED_OBJECT, message))
    }
}

/// The lock of an operation (PostgreSQL's `AlterTableGetLockLevel`).
fn lock_mode(operation: &Op) -> LockMode {
    match operation {
        Op::AddConstraint { constraint: ast::TableConstraint::ForeignKey(_), .. } => {
            LockMode::ShareRowExclusive
        }
        Op::ValidateConstraint { .. } | Op::SetOptionsParens { .. } => LockMode::ShareUpdateExclusive,
        _ => LockMode::AccessExclusive,
    }
}

fn rename_column(schema: &mut Schema, old: &str, new: Arc<str>) -> Result<(), SqlError> {
    let number = schema.position(old).ok_or_else(|| no_column(old, &schema.name))?;
    if schema.position(&new).is_some() {
        let message = format!("column \"{new}\" of relation \"{}\" already exists", schema.name);
        return Err(SqlError::new(state::DUPLICATE_COLUMN, message));
    }
    schema.columns[number].name = new;
    Ok(())
}

fn no_column(name: &str, table: &str) -> SqlError {
    let message = format!("column \"{name}\" of relation \"{table}\" does not exist");
    SqlError::new(state::UNDEFINED_COLUMN, message)
}
