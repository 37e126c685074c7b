//! `CREATE TABLE`.

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::store::TableId;
use super::super::catalog::definition;
use super::super::plan::{Body, Plan};
use super::super::run::Run;
use super::super::schema::{ColumnFacts, Schema};
use super::super::session::{Answer, SqlSession};
use super::super::{bind, names};
use super::column;
use super::constraint::Wanted;

impl SqlSession {
    pub(super) async fn create_table(&mut self, create: &ast::CreateTable) -> Result<Answer, SqlError> {
        refuse_unknown_clauses(create)?;
        let name = names::object(&create.name)?;
        if create.if_not_exists && self.session.table_named(&name).is_some() {
            self.state.notice(format!("relation \"{name}\" already exists, skipping"));
            return Ok(Answer { tag: "CREATE TABLE".to_owned(), ..Answer::default() });
        }
        if let Some(query) = &create.query {
            return self.create_table_as(create, &name, query).await;
        }
        let mut schema = empty(&name);
        let (mut wanted, mut sequences) = (Vec::new(), Vec::new());
        for (number, written) in create.columns.iter().enumerate() {
            let column = column::read(&name, number, written, &mut wanted, &self.session)?;
            if schema.position(&column.facts.name).is_some() {
                let message = format!("column \"{}\" specified more than once", column.facts.name);
                return Err(SqlError::new(state::DUPLICATE_COLUMN, message));
            }
            sequences.extend(column.sequence);
            schema.columns.push(column.facts);
        }
        for constraint in &create.constraints {
            wanted.push(Wanted::read(constraint, &schema)?);
        }
        // Keys come before what refers to them.
        wanted.sort_by_key(|wanted| match wanted {
            Wanted::Key { primary: true, .. } => 0,
            Wanted::Key { .. } => 1,
            Wanted::Generated { .. } => 2,
            Wanted::Check { .. } => 3,
            Wanted::Foreign { .. } => 4,
        });
        let id = self.session.create_table(definition(schema.clone())).await?;
        for sequence in sequences {
            self.session.create_sequence(sequence);
        }
        for wanted in wanted {
            self.constrain(id, &mut schema, wanted).await?;
        }
        self.redefine(id, schema);
        Ok(Answer { tag: "CREATE TABLE".to_owned(), ..Answer::default() })
    }

    async fn create_table_as(
        &mut self,
        create: &ast::CreateTable,
        name: &str,
        query: &ast::Query,
    ) -> Result<Answer, SqlError> {
        if !create.columns.is_empty() || create.with_data.is_some() {
            return Err(SqlError::unknown("this form of CREATE TABLE AS", "CREATE TABLE name AS query"));
        }
        let statement = ast::Statement::Query(Box::new(query.clone()));
        let plan = bind::plan(&statement, &self.session)?;
        if !plan.params.is_empty() {
            return Err(SqlError::new(state::UNDEFINED_PARAMETER, "there is no parameter $1"));
        }
        let mut schema = empty(name);
        schema.columns = plan.columns.iter().map(|(name, kind)| plain_column(name.clone(), *kind)).collect();
        for dependency in &plan.depends {
            self.session.lock_table(dependency.id, dependency.mode, true).await?;
        }
        let snapshot = self.session.statement().await?;
        let rows = {
            let mut run = Run::new(&mut self.session, &mut self.state, &plan, &[], snapshot);
            run.body(&plan.body).await?.rows
        };
        let id = self.session.create_table(definition(schema)).await?;
        let count = rows.len() as u64;
        self.fill(id, rows, &plan).await?;
        Ok(Answer { tag: format!("SELECT {count}"), count, ..Answer::default() })
    }

    async fn fill(
        &mut self,
        id: TableId,
        rows: Vec<super::super::super::value::Tuple>,
        plan: &Plan,
    ) -> Result<(), SqlError> {
        debug_assert!(matches!(plan.body, Body::Query(_)), "a table is made of a query");
        let snapshot = self.session.latest_snapshot();
        for row in rows {
            self.session.insert(&snapshot, id, row).await?;
        }
        Ok(())
    }
}

fn empty(name: &str) -> Schema {
    Schema {
        name: name.into(),
        columns: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referrers: Vec::new(),
        indexes: Vec::new(),
    }
}

fn plain_column(name: std::sync::Arc<str>, kind: super::super::super::types::Type) -> ColumnFacts {
    ColumnFacts {
        name,
        kind,
        not_null: false,
        default: None,
        identity: None,
        generated: None,
        sequence: None,
    }
}

fn refuse_unknown_clauses(create: &ast::CreateTable) -> Result<(), SqlError> {
    let clauses = [
        (create.or_replace, "OR REPLACE"),
        (create.temporary, "TEMPORARY"),
        (create.unlogged, "UNLOGGED"),
        (create.partition_by.is_some(), "PARTITION BY"),
        (create.partition_of.is_some(), "PARTITION OF"),
        (create.inherits.is_some(), "INHERITS"),
        (create.like.is_some(), "LIKE"),
        (create.on_commit.is_some(), "ON COMMIT"),
        (create.strict, "STRICT"),
        (create.without_rowid, "WITHOUT ROWID"),
    ];
    if let Some((_, clause)) = clauses.into_iter().find(|(there, _)| *there) {
        return Err(SqlError::unknown(
            format!("CREATE TABLE with {clause}"),
            "columns, keys, checks, foreign keys, AS",
        ));
    }
    refuse_unknown_options(&create.table_options)
}

/// Storage parameters that change no result.
fn refuse_unknown_options(options: &ast::CreateTableOptions) -> Result<(), SqlError> {
    let list = match options {
        ast::CreateTableOptions::None => return Ok(()),
        ast::CreateTableOptions::With(list) => list,
        other => {
            return Err(SqlError::unknown(format!("the table options {other}"), "WITH (fillfactor = ..)"));
        }
    };
    refuse_unknown_parameters(list)
}

/// As [`refuse_unknown_options`], of the parameters alone.
pub(super) fn refuse_unknown_parameters(list: &[ast::SqlOption]) -> Result<(), SqlError> {
    for option in list {
        let known = match option {
            ast::SqlOption::KeyValue { key, .. } => {
                matches!(names::ident(key).as_str(), "fillfactor" | "autovacuum_enabled" | "parallel_workers")
            }
            _ => false,
        };
        if !known {
            return Err(SqlError::unknown(
                format!("the storage parameter {option}"),
                "fillfactor, autovacuum_enabled and parallel_workers",
            ));
        }
    }
    Ok(())
}
