//! A session: its statements, its transaction block, what it remembers.

mod cache;
mod command;
mod control;

use std::collections::BTreeMap;
use std::sync::Arc;

use super::super::error::{SqlError, state};
use super::super::store::{Isolation, Session, Snapshot};
use super::super::types::Type;
use super::super::value::{Tuple, Value};
use super::bind;
use super::plan::{Body, OutColumn, Plan};
use super::run::{Run, change_word};
use super::settings::{self, Clock, SessionState, Warning};
use super::syntax::{Control, Statement};

use cache::Parsed;
pub(crate) use cache::PlanCache;

/// Names and types of columns.
pub(crate) type Columns = Arc<[(Arc<str>, Type)]>;

/// The answer to a statement.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answer {
    /// Names and types of the columns, of a statement that gives rows.
    pub(crate) columns: Option<Columns>,
    /// The rows.
    pub(crate) rows: Vec<Tuple>,
    /// The rows that were given or affected.
    pub(crate) count: u64,
    /// The command tag.
    pub(crate) tag: String,
}

impl Answer {
    fn tag(tag: impl Into<String>) -> Self {
        Answer { tag: tag.into(), ..Answer::default() }
    }
}

/// A session.
#[derive(Debug)]
pub(crate) struct SqlSession {
    pub(super) session: Session,
    pub(super) state: SessionState,
    cache: Arc<PlanCache>,
    prepared: BTreeMap<String, Arc<Parsed>>,
    savepoints: Vec<Savepoint>,
    /// Several statements in one text are one transaction, unless they say otherwise.
    implicit_block: bool,
}

/// A savepoint, with what is taken back with it besides rows.
#[derive(Debug)]
struct Savepoint {
    name: String,
    depth: usize,
    pending: usize,
}

impl SqlSession {
    /// A session over one of the store.
    pub(crate) fn new(session: Session, cache: Arc<PlanCache>, clock: Clock) -> Self {
        SqlSession {
            session,
            state: SessionState::new(clock),
            cache,
            prepared: BTreeMap::new(),
            savepoints: Vec::new(),
            implicit_block: false,
        }
    }

    /// The session of the store below.
    pub(crate) fn store_session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// The warnings and notices that have come up.
    pub(crate) fn take_warnings(&mut self) -> Vec<Warning> {
        std::mem::take(&mut self.state.warnings)
    }

    /// The one statement of a text, with the types of its parameters and of its columns, planned as of now.
    pub(crate) fn describe(&self, sql: &str) -> Result<Described, SqlError> {
        let parsed = self.cache.parse(sql)?;
        let [statement] = parsed.as_slice() else {
            if parsed.is_empty() {
                return Ok(Described { parsed: None, plan: None });
            }
            let message = "cannot insert multiple commands into a prepared statement";
            return Err(SqlError::new(state::SYNTAX_ERROR, message));
        };
        let plan = match &statement.statement {
            Statement::Ast(ast) if is_planned(ast) => {
                if self.session.is_failed() {
                    return Err(SqlError::in_failed_transaction());
                }
                Some(self.plan(statement)?)
            }
            _ => None,
        };
        Ok(Described { parsed: Some(Arc::clone(statement)), plan })
    }

    /// Runs a described statement with its parameters, of the types described.
    pub(crate) async fn execute(
        &mut self,
        described: &Described,
        params: &[Value],
    ) -> Result<Answer, SqlError> {
        match &described.parsed {
            Some(parsed) => self.run(parsed, params).await,
            None => Ok(Answer::default()),
        }
    }

    /// Sets a setting of the session, as a client does when it connects.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> Result<(), SqlError> {
        settings::set(&mut self.state, &mut self.session, name, Some(value), false)
    }

    /// Takes in that a statement failed before it ran.
    pub(crate) async fn fail(&mut self) {
        // Rolling back what never ran cannot fail.
        let _ = self.session.end_statement(false).await;
    }

    /// Runs all statements of a text as PostgreSQL's simple protocol does: several are one transaction. Each answer
    /// is handed out with the warnings before it; it stops at the first error.
    pub(crate) async fn simple(
        &mut self,
        sql: &str,
        mut answered: impl FnMut(Vec<Warning>, Answer),
    ) -> Result<(), SqlError> {
        let statements = match self.cache.parse(sql) {
            Ok(statements) => statements,
            Err(error) => {
                self.fail().await;
                return Err(error);
            }
        };
        let several = statements.len() > 1;
        for statement in statements.iter() {
            if several && !self.session.in_block() && needs_block(&statement.statement) {
                self.begin_implicit();
            }
            match self.run(statement, &[]).await {
                Ok(answer) => answered(self.take_warnings(), answer),
                Err(error) => {
                    if self.implicit_block {
                        self.end_transaction(false);
                    }
                    return Err(error);
                }
            }
        }
        if self.implicit_block {
            self.commit(false).await?;
        }
        Ok(())
    }

    async fn run(&mut self, parsed: &Parsed, params: &[Value]) -> Result<Answer, SqlError> {
        if let Statement::Control(control) = &parsed.statement {
            return self.control(control).await;
        }
        if self.session.is_failed() {
            return Err(SqlError::in_failed_transaction());
        }
        self.note_start();
        let result = match &parsed.statement {
            Statement::Ast(ast) if is_planned(ast) => self.planned(parsed, params).await,
            Statement::Ast(ast) => self.define(ast).await,
            Statement::Command(command) => self.command(command).await,
            Statement::Prepare { name, statement } => self.prepare(name, statement),
            Statement::Execute { name, arguments } => Box::pin(self.execute_prepared(name, arguments)).await,
            Statement::Control(_) => unreachable!("it was run above"),
        };
        self.finish(result).await
    }

    fn note_start(&mut self) {
        self.state.statement_start_us = self.state.clock.now_us();
        if !self.session.in_transaction() {
            self.state.transaction_start_us = self.state.statement_start_us;
        }
    }

    /// Ends the statement: commits or rolls back a transaction that was only around it.
    async fn finish(&mut self, result: Result<Answer, SqlError>) -> Result<Answer, SqlError> {
        let implicit = self.session.in_transaction() && !self.session.in_block();
        let result = match result {
            Ok(answer) => self.session.end_statement(true).await.map(|()| answer),
            Err(error) => {
                // The error that is reported is the first one.
                let _ = self.session.end_statement(false).await;
                Err(error)
            }
        };
        if implicit {
            self.state.end(result.is_ok(), &mut self.session);
        }
        result
    }

    /// The plan, made anew where a definition has changed.
    fn plan(&self, parsed: &Parsed) -> Result<Arc<Plan>, SqlError> {
        // It is noted that definitions were looked at.
        let _ = self.session.catalog_version();
        if let Some(plan) = parsed.plan()
            && self.holds(&plan)
        {
            return Ok(plan);
        }
        let Statement::Ast(ast) = &parsed.statement else {
            unreachable!("only queries and changes of rows are planned");
        };
        let plan = Arc::new(bind::plan(ast, &self.session)?);
        parsed.keep(&plan);
        Ok(plan)
    }

    fn holds(&self, plan: &Plan) -> bool {
        plan.depends.iter().all(|dependency| {
            self.session.table_def(dependency.id).is_ok_and(|def| Arc::ptr_eq(&def, &dependency.def))
        })
    }

    async fn planned(&mut self, parsed: &Parsed, params: &[Value]) -> Result<Answer, SqlError> {
        let mut plan = self.plan(parsed)?;
        if plan.params.len() != params.len() {
            let number = params.len() + 1;
            let message = format!("there is no parameter ${number}");
            return Err(SqlError::new(state::UNDEFINED_PARAMETER, message));
        }
        let mut snapshot = self.session.statement().await?;
        // A table may have been changed while its lock was waited for.
        loop {
            self.lock_tables(&plan).await?;
            if self.holds(&plan) {
                break;
            }
            plan = self.plan(parsed)?;
        }
        if !plan.depends.is_empty() && self.session.isolation() == Isolation::ReadCommitted {
            snapshot = self.session.statement().await?;
        }
        self.run_plan(&plan, params, snapshot).await
    }

    async fn lock_tables(&mut self, plan: &Plan) -> Result<(), SqlError> {
        for dependency in &plan.depends {
            self.session.lock_table(dependency.id, dependency.mode, true).await?;
        }
        Ok(())
    }

    pub(super) async fn run_plan(
        &mut self,
        plan: &Plan,
        params: &[Value],
        snapshot: Snapshot,
    ) -> Result<Answer, SqlError> {
        let at_once = !self.session.in_block();
        let mut run = Run::new(&mut self.session, &mut self.state, plan, params, snapshot);
        let outcome = run.body(&plan.body).await?;
        run.check_foreign_keys().await?;
        if at_once {
            run.check_pending().await?;
        }
        let tag = match &plan.body {
            Body::Query(_) => format!("SELECT {}", outcome.count),
            Body::Change(change) => match change_word(change) {
                "INSERT" => format!("INSERT 0 {}", outcome.count),
                word => format!("{word} {}", outcome.count),
            },
        };
        let columns = match &plan.body {
            Body::Change(change) if change.columns.is_empty() => None,
            _ => Some(Arc::clone(&plan.columns)),
        };
        Ok(Answer { columns, rows: outcome.rows, count: outcome.count, tag })
    }
}

/// A statement that is ready to run.
#[derive(Debug, Clone)]
pub(crate) struct Described {
    parsed: Option<Arc<Parsed>>,
    plan: Option<Arc<Plan>>,
}

impl Described {
    /// The types of its parameters.
    pub(crate) fn params(&self) -> &[Type] {
        self.plan.as_ref().map_or(&[], |plan| &plan.params)
    }

    /// Names and types of its columns.
    pub(crate) fn columns(&self) -> &[(Arc<str>, Type)] {
        self.plan.as_ref().map_or(&[], |plan| &plan.columns)
    }

    /// Whether it ends a transaction block in success, if that can.
    pub(crate) fn is_commit(&self) -> bool {
        let control = self.parsed.as_ref().map(|parsed| &parsed.statement);
        matches!(control, Some(Statement::Control(Control::Commit { .. } | Control::PrepareTransaction(_))))
    }
}

/// A query or a change of rows.
fn is_planned(ast: &sqlparser::ast::Statement) -> bool {
    use sqlparser::ast::Statement as S;
    matches!(ast, S::Query(_) | S::Insert(_) | S::Update(_) | S::Delete(_))
}

/// Transaction control begins and ends blocks itself.
fn needs_block(statement: &Statement) -> bool {
    !matches!(statement, Statement::Control(_))
}

/// The outputs of a plan, as answers give them.
pub(super) fn shared(columns: &[OutColumn]) -> Arc<[(Arc<str>, Type)]> {
    columns.iter().map(|column| (Arc::clone(&column.name), column.kind)).collect()
}
