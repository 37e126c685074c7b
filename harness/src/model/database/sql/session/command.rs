//! Commands: locks, notifications, settings, prepared statements.

use std::sync::Arc;

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::store::LockMode;
use super::super::super::types::Type;
use super::super::super::value::Value;
use super::super::run::check_notify;
use super::super::syntax::{Command, SettingValue, Statement};
use super::super::{bind, settings};
use super::cache::Parsed;
use super::{Answer, SqlSession, is_planned};

impl SqlSession {
    pub(super) async fn command(&mut self, command: &Command) -> Result<Answer, SqlError> {
        match command {
            Command::Listen(channel) => {
                self.session.start()?;
                self.session.listen(channel);
                Ok(Answer::tag("LISTEN"))
            }
            Command::Unlisten(channel) => {
                self.session.start()?;
                self.session.unlisten(channel.as_deref());
                Ok(Answer::tag("UNLISTEN"))
            }
            Command::Notify { channel, payload } => {
                check_notify(channel, payload)?;
                self.session.start()?;
                self.session.notify(channel, payload);
                Ok(Answer::tag("NOTIFY"))
            }
            Command::Lock { tables, mode, no_wait } => {
                if !self.session.in_block() {
                    let message = "LOCK TABLE can only be used in transaction blocks";
                    return Err(SqlError::new(state::NO_ACTIVE_SQL_TRANSACTION, message));
                }
                self.session.start()?;
                for name in tables {
                    let found = self.session.table_named(name);
                    let (table, _) = found.ok_or_else(|| SqlError::no_relation(name))?;
                    self.session.lock_table(table, *mode, !no_wait).await?;
                }
                Ok(Answer::tag("LOCK TABLE"))
            }
            Command::Truncate { tables, restart_identity, cascade } => {
                self.truncate(tables, *restart_identity, *cascade).await
            }
            Command::Maintenance { tag, tables } => {
                if *tag == "VACUUM" {
                    self.outside_block(tag)?;
                }
                self.session.start()?;
                for name in tables {
                    let found = self.session.table_named(name);
                    let (table, _) = found.ok_or_else(|| SqlError::no_relation(name))?;
                    self.session.lock_table(table, LockMode::ShareUpdateExclusive, true).await?;
                }
                Ok(Answer::tag(*tag))
            }
            Command::Drop { kind, names, if_exists, cascade } => {
                self.drop(*kind, names, *if_exists, *cascade).await
            }
            other => self.setting_command(other),
        }
    }

    fn setting_command(&mut self, command: &Command) -> Result<Answer, SqlError> {
        match command {
            Command::Set { name, value, local } => {
                if *local && !self.session.in_block() {
                    self.state.warn("25P01", "SET LOCAL can only be used in transaction blocks");
                    return Ok(Answer::tag("SET"));
                }
                let (value, tag) = match value {
                    SettingValue::Text(value) => (Some(value.as_str()), "SET"),
                    SettingValue::Default if *local => (None, "SET"),
                    SettingValue::Default => (None, "RESET"),
                };
                settings::set(&mut self.state, &mut self.session, name, value, *local)?;
                Ok(Answer::tag(tag))
            }
            Command::ResetAll => {
                settings::reset_all(&mut self.state, &mut self.session)?;
                Ok(Answer::tag("RESET"))
            }
            Command::Show(name) => {
                let value = settings::show(&self.state, &self.session, name)?;
                let columns = Some(Arc::new([(name.as_str().into(), Type::Text)]) as Arc<_>);
                let rows = vec![[Value::text(value)].into()];
                Ok(Answer { columns, rows, count: 1, tag: "SHOW".to_owned() })
            }
            Command::Deallocate(name) => self.deallocate(name.as_deref()),
            Command::DiscardAll => self.discard_all(),
            Command::Constraints { deferred, names } => self.constraints(*deferred, names.as_deref()),
            Command::Checkpoint => Err(SqlError::unknown("CHECKPOINT from a session", "")),
            other => unreachable!("{other:?} was run above"),
        }
    }

    fn constraints(&mut self, deferred: bool, names: Option<&[String]>) -> Result<Answer, SqlError> {
        if !self.session.in_block() {
            self.state.warn("25P01", "SET CONSTRAINTS can only be used in transaction blocks");
            return Ok(Answer::tag("SET CONSTRAINTS"));
        }
        if !deferred && !self.state.pending.is_empty() {
            return Err(SqlError::unknown(
                "SET CONSTRAINTS .. IMMEDIATE after changes that are still to be checked",
                "SET CONSTRAINTS before them",
            ));
        }
        self.state.set_constraints(names, deferred);
        Ok(Answer::tag("SET CONSTRAINTS"))
    }

    fn discard_all(&mut self) -> Result<Answer, SqlError> {
        if self.session.in_block() {
            let message = "DISCARD ALL cannot run inside a transaction block";
            return Err(SqlError::new(state::ACTIVE_SQL_TRANSACTION, message));
        }
        self.prepared.clear();
        settings::reset_all(&mut self.state, &mut self.session)?;
        self.session.start()?;
        self.session.unlisten(None);
        self.session.advisory_unlock_all();
        Ok(Answer::tag("DISCARD ALL"))
    }

    pub(super) fn prepare(&mut self, name: &str, statement: &Statement) -> Result<Answer, SqlError> {
        if self.prepared.contains_key(name) {
            let message = format!("prepared statement \"{name}\" already exists");
            return Err(SqlError::new("42P05", message));
        }
        let parsed = Parsed::new(statement.clone());
        if matches!(statement, Statement::Ast(ast) if is_planned(ast)) {
            self.plan(&parsed)?;
        } else {
            return Err(SqlError::unknown("PREPARE of this statement", "queries and changes of rows"));
        }
        self.prepared.insert(name.to_owned(), parsed);
        Ok(Answer::tag("PREPARE"))
    }

    pub(super) async fn execute_prepared(
        &mut self,
        name: &str,
        arguments: &[ast::Expr],
    ) -> Result<Answer, SqlError> {
        let parsed = self.prepared.get(name).cloned().ok_or_else(|| no_statement(name))?;
        let plan = self.plan(&parsed)?;
        if plan.params.len() != arguments.len() {
            let message = format!("wrong number of parameters for prepared statement \"{name}\"");
            let detail = format!("Expected {} parameters but got {}.", plan.params.len(), arguments.len());
            return Err(SqlError::new(state::SYNTAX_ERROR, message).detail(detail));
        }
        let mut params = Vec::with_capacity(arguments.len());
        for (argument, kind) in arguments.iter().zip(&plan.params) {
            let expr = bind::over_nothing(argument, *kind, &self.session)?;
            let nothing = super::super::expression::Rows::of(&[], &[]);
            params.push(expr.eval(&nothing, &mut super::super::expression::NoSession)?);
        }
        self.planned(&parsed, &params).await
    }

    fn deallocate(&mut self, name: Option<&str>) -> Result<Answer, SqlError> {
        match name {
            None => {
                self.prepared.clear();
                Ok(Answer::tag("DEALLOCATE ALL"))
            }
            Some(name) => match self.prepared.remove(name) {
                Some(_) => Ok(Answer::tag("DEALLOCATE")),
                None => Err(no_statement(name)),
            },
        }
    }
}

fn no_statement(name: &str) -> SqlError {
    let message = format!("prepared statement \"{name}\" does not exist");
    SqlError::new(state::INVALID_SQL_STATEMENT_NAME, message)
}
