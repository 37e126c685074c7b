//! Definitions: tables, indexes, sequences.

mod alter;
mod column;
mod constraint;
mod drop;
mod index;
mod sequence;
mod table;

use std::sync::Arc;

use sqlparser::ast;

use super::super::error::SqlError;
use super::super::store::TableId;
use super::bind::unknown_statement;
use super::catalog::schema_of;
use super::run::read_only;
use super::schema::Schema;
use super::session::{Answer, SqlSession};

impl SqlSession {
    /// Runs a definition.
    pub(super) async fn define(&mut self, statement: &ast::Statement) -> Result<Answer, SqlError> {
        use ast::Statement as S;
        let word = match statement {
            S::CreateTable(_) => "CREATE TABLE",
            S::CreateIndex(_) => "CREATE INDEX",
            S::CreateSequence { .. } => "CREATE SEQUENCE",
            S::AlterTable(_) => "ALTER TABLE",
            other => return Err(unknown_statement(other)),
        };
        if self.session.is_read_only() {
            return Err(read_only(word));
        }
        self.session.start()?;
        match statement {
            S::CreateTable(create) => self.create_table(create).await,
            S::CreateIndex(create) => self.create_index(create).await,
            S::AlterTable(alter) => self.alter_table(alter).await,
            create => self.create_sequence(create).await,
        }
    }

    /// A table by its name.
    fn table(&self, name: &str) -> Result<(TableId, Arc<Schema>), SqlError> {
        let found = self.session.table_named(name).ok_or_else(|| SqlError::no_relation(name))?;
        let schema = schema_of(&found.1);
        Ok((found.0, schema))
    }

    /// Stores a changed definition.
    fn redefine(&mut self, id: TableId, schema: Schema) {
        self.session.alter_table(id, super::catalog::definition(schema));
    }
}
