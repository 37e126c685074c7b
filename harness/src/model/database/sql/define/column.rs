//! Columns of a definition.

use std::sync::Arc;

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::store::{SequenceDef, Session};
use super::super::super::types::Type;
use super::super::super::value::Value;
use super::super::expression::{Expr, WaitFunction};
use super::super::schema::{ColumnFacts, Identity, Schema};
use super::super::{bind, names};
use super::constraint::Wanted;

/// A column with the sequence that it needs and the constraints that were written with it.
pub(super) struct Column {
    pub(super) facts: ColumnFacts,
    pub(super) sequence: Option<SequenceDef>,
}

/// Reads a column.
pub(super) fn read(
    table: &str,
    number: usize,
    written: &ast::ColumnDef,
    wanted: &mut Vec<Wanted>,
    session: &Session,
) -> Result<Column, SqlError> {
    let name = names::shared(&written.name);
    let serial = serial(&written.data_type);
    let kind = match serial {
        Some(kind) => kind,
        None => bind::data_type(&written.data_type)?,
    };
    let facts = ColumnFacts {
        name: Arc::clone(&name),
        kind,
        not_null: serial.is_some(),
        default: None,
        identity: None,
        generated: None,
        sequence: None,
    };
    let mut column = Column { facts, sequence: None };
    if serial.is_some() {
        column.take_sequence(table, None)?;
    }
    for option in &written.options {
        column.option(table, number, option, wanted, session)?;
    }
    Ok(column)
}

impl Column {
    fn option(
        &mut self,
        table: &str,
        number: usize,
        option: &ast::ColumnOptionDef,
        wanted: &mut Vec<Wanted>,
        session: &Session,
    ) -> Result<(), SqlError> {
        use ast::ColumnOption as O;
        let name = option.name.as_ref().map(names::shared);
        match &option.option {
            O::Null => {}
            O::NotNull => self.facts.not_null = true,
            O::Default(expr) => {
                if self.facts.default.is_some() {
                    let message = format!(
                        "multiple default values specified for column \"{}\" of table \"{table}\"",
                        self.facts.name
                    );
                    return Err(SqlError::new(state::SYNTAX_ERROR, message));
                }
                self.facts.default = Some(bind::over_nothing(expr, self.facts.kind, session)?);
            }
            O::PrimaryKey(primary) => {
                super::constraint::refuse_deferrable(primary.characteristics.as_ref())?;
                wanted.push(Wanted::key(name, vec![number], true));
            }
            O::Unique(unique) => {
                super::constraint::refuse_deferrable(unique.characteristics.as_ref())?;
                super::constraint::refuse_nulls(unique)?;
                wanted.push(Wanted::key(name, vec![number], false));
            }
            O::Check(check) => wanted
                .push(Wanted::check(name.or_else(|| check.name.as_ref().map(names::shared)), &check.expr)),
            O::ForeignKey(key) => {
                let mut key = key.clone();
                key.columns = Vec::new();
                wanted.push(Wanted::Foreign { name, columns: vec![number], key: Box::new(key) });
            }
            O::Generated { generated_as, sequence_options, generation_expr, .. } => {
                self.generated(
                    table,
                    *generated_as,
                    sequence_options.as_deref(),
                    generation_expr.as_ref(),
                    wanted,
                )?;
            }
            O::Collation(collation) => {
                let name = names::object(collation)?;
                if name != "C" && name != "default" {
                    return Err(SqlError::unknown(
                        format!("the collation {name}"),
                        "C: texts compare by bytes",
                    ));
                }
            }
            other => {
                return Err(SqlError::unknown(
                    format!("the column option {other}"),
                    "NOT NULL, DEFAULT, PRIMARY KEY, UNIQUE, CHECK, REFERENCES, GENERATED",
                ));
            }
        }
        Ok(())
    }

    fn generated(
        &mut self,
        table: &str,
        generated_as: ast::GeneratedAs,
        options: Option<&[ast::SequenceOptions]>,
        expr: Option<&ast::Expr>,
        wanted: &mut Vec<Wanted>,
    ) -> Result<(), SqlError> {
        if let Some(expr) = expr {
            wanted.push(Wanted::Generated {
                column: Arc::clone(&self.facts.name),
                expr: Box::new(expr.clone()),
            });
            return Ok(());
        }
        self.facts.not_null = true;
        self.facts.identity = Some(match generated_as {
            ast::GeneratedAs::ByDefault => Identity::ByDefault,
            ast::GeneratedAs::Always | ast::GeneratedAs::ExpStored => Identity::Always,
        });
        self.take_sequence(table, options)
    }

    /// A sequence of the column's own: `table_column_seq`.
    fn take_sequence(
        &mut self,
        table: &str,
        options: Option<&[ast::SequenceOptions]>,
    ) -> Result<(), SqlError> {
        let name: Arc<str> = format!("{table}_{}_seq", self.facts.name).into();
        let kind = self.facts.kind;
        let def = super::sequence::with_options(Arc::clone(&name), kind, options.unwrap_or_default())?;
        let next = Expr::Waiting(
            WaitFunction::NextValue,
            [Expr::Const(Value::Text(Arc::from(quoted(&name))))].into(),
        );
        self.facts.default = Some(next);
        self.facts.sequence = Some(name);
        self.sequence = Some(def);
        Ok(())
    }
}

/// The name, in quotes where it needs them.
fn quoted(name: &str) -> String {
    let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if name.chars().all(plain) { name.to_owned() } else { format!("\"{name}\"") }
}

fn serial(written: &ast::DataType) -> Option<Type> {
    let ast::DataType::Custom(name, _) = written else { return None };
    match names::object(name).ok()?.as_str() {
        "smallserial" | "serial2" => Some(Type::Int2),
        "serial" | "serial4" => Some(Type::Int4),
        "bigserial" | "serial8" => Some(Type::Int8),
        _ => None,
    }
}

/// Binds what a generated column computes.
pub(super) fn generate(
    schema: &mut Schema,
    column: &str,
    expr: &ast::Expr,
    session: &Session,
) -> Result<(), SqlError> {
    let bound = bind::over_table(expr, schema, session)?;
    let Some(number) = schema.position(column) else { return Ok(()) };
    let kind = schema.columns[number].kind;
    let params = super::super::params::Params::default();
    let bound = super::super::params::assigned(bound, column, kind, &params)?;
    schema.columns[number].generated = Some(bound);
    Ok(())
}
