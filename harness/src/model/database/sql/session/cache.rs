//! Statements by their text: parsed once, planned once as long as no definition changes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::super::super::error::SqlError;
use super::super::plan::Plan;
use super::super::syntax::{self, Statement};

/// How many texts are kept; designs have far fewer.
const TEXTS_MAX: usize = 4096;

/// A statement with its last plan.
#[derive(Debug)]
pub(super) struct Parsed {
    pub(super) statement: Statement,
    plan: Mutex<Option<Arc<Plan>>>,
}

impl Parsed {
    pub(super) fn new(statement: Statement) -> Arc<Self> {
        Arc::new(Parsed { statement, plan: Mutex::new(None) })
    }

    pub(super) fn plan(&self) -> Option<Arc<Plan>> {
        self.plan.lock().expect("no code panics while it holds a plan").clone()
    }

    pub(super) fn keep(&self, plan: &Arc<Plan>) {
        *self.plan.lock().expect("no code panics while it holds a plan") = Some(Arc::clone(plan));
    }
}

/// The statements of all sessions, and of all copies of a database. They are looked up and never listed.
#[derive(Debug, Default)]
pub(crate) struct PlanCache(Mutex<HashMap<String, Arc<Vec<Arc<Parsed>>>>>);

impl PlanCache {
    /// The statements of a text.
    pub(super) fn parse(&self, sql: &str) -> Result<Arc<Vec<Arc<Parsed>>>, SqlError> {
        let mut texts = self.0.lock().expect("no code panics while it holds the statements");
        if let Some(known) = texts.get(sql) {
            return Ok(Arc::clone(known));
        }
        let parsed: Vec<Arc<Parsed>> = syntax::parse(sql)?.into_iter().map(Parsed::new).collect();
        let parsed = Arc::new(parsed);
        if texts.len() >= TEXTS_MAX {
            texts.clear();
        }
        texts.insert(sql.to_owned(), Arc::clone(&parsed));
        Ok(parsed)
    }
}
