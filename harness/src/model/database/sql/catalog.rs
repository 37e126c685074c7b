//! Definitions, from the store and into it.

use std::sync::{Arc, LazyLock};

use super::super::store::{Column, Facts, Session, TableDef};
use super::bind::{Catalog, Relation};
use super::schema::Schema;

static NO_SCHEMA: LazyLock<Arc<Schema>> = LazyLock::new(|| {
    Arc::new(Schema {
        name: "".into(),
        columns: Vec::new(),
        checks: Vec::new(),
        foreign_keys: Vec::new(),
        referrers: Vec::new(),
        indexes: Vec::new(),
    })
});

/// What SQL knows of a table.
pub(super) fn schema_of(def: &TableDef) -> Arc<Schema> {
    let facts = def.facts.clone().and_then(|facts| facts.downcast::<Schema>().ok());
    // Every table is made by `CREATE TABLE`, which keeps a schema with it.
    facts.unwrap_or_else(|| Arc::clone(&NO_SCHEMA))
}

/// The definition that the store keeps.
pub(super) fn definition(schema: Schema) -> TableDef {
    let columns =
        schema.columns.iter().map(|column| Column { name: Arc::clone(&column.name), kind: column.kind });
    let (name, columns) = (Arc::clone(&schema.name), columns.collect());
    let facts: Facts = Arc::new(schema);
    TableDef { name, columns, facts: Some(facts) }
}

impl Catalog for Session {
    fn table(&self, name: &str) -> Option<Relation> {
        let (id, def) = self.table_named(name)?;
        let schema = schema_of(&def);
        Some(Relation { id, def, schema })
    }
}
