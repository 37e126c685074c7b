//! `CREATE INDEX`.

use std::sync::Arc;

use sqlparser::ast;

use super::super::super::error::{SqlError, state};
use super::super::super::store::{ComputeKey, IndexDef, IndexKey, LockMode};
use super::super::super::value::Value;
use super::super::expression::{Expr, NoSession, Rows};
use super::super::params::{Params, condition};
use super::super::schema::{IndexFacts, Schema};
use super::super::session::{Answer, SqlSession};
use super::super::{bind, names};

impl SqlSession {
    pub(super) async fn create_index(&mut self, create: &ast::CreateIndex) -> Result<Answer, SqlError> {
        refuse_unknown_clauses(create)?;
        let answer = Answer { tag: "CREATE INDEX".to_owned(), ..Answer::default() };
        let (id, _) = self.table(&names::object(&create.table_name)?)?;
        self.session.lock_table(id, LockMode::Share, true).await?;
        // It may have been changed while the lock was waited for.
        let (id, schema) = self.table(&names::object(&create.table_name)?)?;
        let mut schema = Schema::clone(&schema);
        let (keys, shown) = self.keys(&create.columns, &schema)?;
        let predicate = match &create.predicate {
            Some(predicate) => {
                let bound = bind::over_table(predicate, &schema, &self.session)?;
                condition(bound, "WHERE", &Params::default())?.into_conjuncts()
            }
            None => Vec::new(),
        };
        let name = match &create.name {
            Some(name) => names::object(name)?.into(),
            None => super::constraint::free_name(&schema, format!("{}_{}_idx", schema.name, shown.join("_"))),
        };
        if schema.indexes.iter().any(|index| index.name == name) {
            if create.if_not_exists {
                self.state.notice(format!("relation \"{name}\" already exists, skipping"));
                return Ok(answer);
            }
            let message = format!("relation \"{name}\" already exists");
            return Err(SqlError::new(state::DUPLICATE_TABLE, message));
        }
        let unique = create.unique;
        let plain = keys.iter().all(|key| matches!(key, Expr::Column(_))) && predicate.is_empty();
        let key = index_key(&keys, &predicate, &shown);
        let def =
            IndexDef { name: Arc::clone(&name), key, unique, primary: false, identifies: unique && plain };
        let index = self.session.create_index(id, def)?;
        let primary = false;
        let facts = IndexFacts { id: index, name, keys, unique, primary, predicate, constraint: false };
        schema.indexes.push(facts);
        self.redefine(id, schema);
        Ok(answer)
    }

    fn keys(
        &self,
        columns: &[ast::IndexColumn],
        schema: &Schema,
    ) -> Result<(Vec<Expr>, Vec<String>), SqlError> {
        let (mut keys, mut shown) = (Vec::new(), Vec::new());
        for column in columns {
            if column.operator_class.is_some() {
                return Err(SqlError::unknown("operator classes", "the default of the type"));
            }
            let bound = bind::over_table(&column.column.expr, schema, &self.session)?;
            shown.push(match (&bound.expr, &column.column.expr) {
                (Expr::Column(number), _) => schema.columns[*number].name.to_string(),
                (_, ast::Expr::Function(function)) => names::object(&function.name)?,
                _ => "expr".to_owned(),
            });
            keys.push(bound.expr);
        }
        Ok((keys, shown))
    }
}

fn index_key(keys: &[Expr], predicate: &[Expr], shown: &[String]) -> IndexKey {
    let plain: Option<Box<[usize]>> =
        keys.iter().map(|key| if let Expr::Column(column) = key { Some(*column) } else { None }).collect();
    if let (Some(columns), true) = (plain, predicate.is_empty()) {
        return IndexKey::Columns(columns);
    }
    let mut columns = Vec::new();
    keys.iter().chain(predicate).for_each(|expr| expr.columns(&mut columns));
    columns.sort_unstable();
    columns.dedup();
    let (keys, predicate) = (keys.to_vec(), predicate.to_vec());
    let compute: ComputeKey = Arc::new(move |row: &[Value]| {
        let rows = Rows::of(row, &[]);
        for part in &predicate {
            if !part.is_true(&rows, &mut NoSession)? {
                return Ok(None);
            }
        }
        let key = keys.iter().map(|key| key.eval(&rows, &mut NoSession));
        key.collect::<Result<Box<[Value]>, SqlError>>().map(Some)
    });
    IndexKey::Computed { text: shown.join(", ").into(), columns: columns.into(), compute }
}

fn refuse_unknown_clauses(create: &ast::CreateIndex) -> Result<(), SqlError> {
    let clauses = [
        (create.concurrently, "CONCURRENTLY"),
        (create.r#async, "ASYNC"),
        (create.nulls_distinct == Some(false), "NULLS NOT DISTINCT"),
        (!create.with.is_empty(), "WITH"),
        (!create.index_options.is_empty() || !create.alter_options.is_empty(), "options"),
        (!matches!(create.using, None | Some(ast::IndexType::BTree)), "USING a method other than btree"),
    ];
    match clauses.into_iter().find(|(there, _)| *there) {
        Some((_, clause)) => Err(SqlError::unknown(
            format!("CREATE INDEX with {clause}"),
            "CREATE [UNIQUE] INDEX ON table (columns or expressions) WHERE condition",
        )),
        None => Ok(()),
    }
}
