//! `DROP` and `TRUNCATE`.

use std::sync::Arc;

use super::super::super::error::{SqlError, state};
use super::super::super::store::{LockMode, TableId};
use super::super::run::read_only;
use super::super::schema::{ForeignKey, Schema};
use super::super::session::{Answer, SqlSession};
use super::super::syntax::DropKind;

impl SqlSession {
    pub(in super::super) async fn drop(
        &mut self,
        kind: DropKind,
        names: &[String],
        if_exists: bool,
        cascade: bool,
    ) -> Result<Answer, SqlError> {
        let (word, what) = match kind {
            DropKind::Table => ("DROP TABLE", "table"),
            DropKind::Index => ("DROP INDEX", "index"),
            DropKind::Sequence => ("DROP SEQUENCE", "sequence"),
        };
        if self.session.is_read_only() {
            return Err(read_only(word));
        }
        self.session.start()?;
        let mut targets = Vec::with_capacity(names.len());
        for name in names {
            let dropped = match kind {
                DropKind::Table => self.drop_table(name, &mut targets).await?,
                DropKind::Index => self.drop_index(name).await?,
                DropKind::Sequence => self.drop_sequence(name, cascade).await?,
            };
            if dropped {
                continue;
            }
            if !if_exists {
                let code =
                    if kind == DropKind::Index { state::UNDEFINED_OBJECT } else { state::UNDEFINED_TABLE };
                return Err(SqlError::new(code, format!("{what} \"{name}\" does not exist")));
            }
            self.state.notice(format!("{what} \"{name}\" does not exist, skipping"));
        }
        self.drop_tables(&targets, cascade).await?;
        Ok(Answer { tag: word.to_owned(), ..Answer::default() })
    }

    async fn drop_table(&mut self, name: &str, targets: &mut Vec<TableId>) -> Result<bool, SqlError> {
        let Some((id, _)) = self.session.table_named(name) else { return Ok(false) };
        self.session.lock_table(id, LockMode::AccessExclusive, true).await?;
        let there = self.session.table_named(name).is_some();
        if there && !targets.contains(&id) {
            targets.push(id);
        }
        Ok(there)
    }

    /// Several tables that refer to each other go together.
    async fn drop_tables(&mut self, targets: &[TableId], cascade: bool) -> Result<(), SqlError> {
        for id in targets {
            let schema = self.schema(*id)?;
            for key in &schema.referrers {
                if targets.contains(&key.from) {
                    continue;
                }
                if !cascade {
                    let message =
                        format!("cannot drop table {} because other objects depend on it", schema.name);
                    let detail = format!(
                        "constraint {} on table {} depends on table {}",
                        key.name, key.from_name, schema.name
                    );
                    return Err(SqlError::new(state::DEPENDENT_OBJECTS_STILL_EXIST, message).detail(detail));
                }
                self.session.lock_table(key.from, LockMode::AccessExclusive, true).await?;
                self.forget_key(key.from, key)?;
                let notice = format!("drop cascades to constraint {} on table {}", key.name, key.from_name);
                self.state.notice(notice);
            }
        }
        for id in targets {
            let schema = self.schema(*id)?;
            for key in schema.foreign_keys.iter().filter(|key| !targets.contains(&key.to)) {
                self.session.lock_table(key.to, LockMode::AccessExclusive, true).await?;
                self.forget_key(key.to, key)?;
            }
            for sequence in schema.columns.iter().filter_map(|column| column.sequence.as_ref()) {
                if let Some(sequence) = self.session.sequence_named(sequence) {
                    self.session.alter_sequence(sequence, None);
                }
            }
            self.session.drop_table(*id)?;
        }
        Ok(())
    }

    pub(super) fn schema(&self, id: TableId) -> Result<Arc<Schema>, SqlError> {
        Ok(super::super::catalog::schema_of(&*self.session.table_def(id)?))
    }

    /// Takes a foreign key out of a table's definition, on whichever side the table is.
    pub(super) fn forget_key(&mut self, table: TableId, key: &ForeignKey) -> Result<(), SqlError> {
        let mut schema = Schema::clone(&*self.schema(table)?);
        schema.foreign_keys.retain(|other| **other != *key);
        schema.referrers.retain(|other| **other != *key);
        self.redefine(table, schema);
        Ok(())
    }

    async fn drop_index(&mut self, name: &str) -> Result<bool, SqlError> {
        let found = self.session.tables().into_iter().find_map(|(id, def)| {
            let schema = super::super::catalog::schema_of(&def);
            let index = schema.indexes.iter().find(|index| &*index.name == name).cloned();
            index.map(|index| (id, index))
        });
        let Some((id, index)) = found else { return Ok(false) };
        self.session.lock_table(id, LockMode::AccessExclusive, true).await?;
        if index.constraint {
            let schema = self.schema(id)?;
            let message = format!(
                "cannot drop index {name} because constraint {name} on table {} requires it",
                schema.name
            );
            return Err(SqlError::new(state::DEPENDENT_OBJECTS_STILL_EXIST, message));
        }
        let mut schema = Schema::clone(&*self.schema(id)?);
        schema.indexes.retain(|other| other.id != index.id);
        self.session.drop_index(index.id);
        self.redefine(id, schema);
        Ok(true)
    }

    async fn drop_sequence(&mut self, name: &str, cascade: bool) -> Result<bool, SqlError> {
        let Some(id) = self.session.sequence_named(name) else { return Ok(false) };
        let owned = self.session.tables().into_iter().any(|(_, def)| {
            let schema = super::super::catalog::schema_of(&def);
            schema.columns.iter().any(|column| column.sequence.as_deref() == Some(name))
        });
        if owned || cascade {
            return Err(SqlError::unknown("DROP SEQUENCE of a column's sequence", "sequences of their own"));
        }
        self.session.lock_sequence(id, LockMode::AccessExclusive).await?;
        self.session.alter_sequence(id, None);
        Ok(true)
    }

    pub(in super::super) async fn truncate(
        &mut self,
        names: &[String],
        restart_identity: bool,
        cascade: bool,
    ) -> Result<Answer, SqlError> {
        if self.session.is_read_only() {
            return Err(read_only("TRUNCATE TABLE"));
        }
        if restart_identity || cascade {
            return Err(SqlError::unknown("TRUNCATE with RESTART IDENTITY or CASCADE", "TRUNCATE table, .."));
        }
        self.session.start()?;
        let mut targets = Vec::with_capacity(names.len());
        for name in names {
            let (id, _) = self.table(name)?;
            self.session.lock_table(id, LockMode::AccessExclusive, true).await?;
            targets.push(id);
        }
        for id in &targets {
            let schema = self.schema(*id)?;
            if let Some(key) = schema.referrers.iter().find(|key| !targets.contains(&key.from)) {
                let message = "cannot truncate a table referenced in a foreign key constraint";
                let detail = format!("Table \"{}\" references \"{}\".", key.from_name, schema.name);
                return Err(SqlError::new(state::FEATURE_NOT_SUPPORTED, message).detail(detail));
            }
        }
        for id in targets {
            self.session.truncate(id)?;
        }
        Ok(Answer { tag: "TRUNCATE TABLE".to_owned(), ..Answer::default() })
    }
}
