//! Which names mean what, at a place in a statement.

use std::sync::Arc;

use super::super::super::error::{SqlError, state};
use super::super::super::types::Type;
use super::super::expression::{Expr, Typed};
use super::super::plan::Aggregate;
use super::super::schema::Schema;
use super::Binder;

/// The names of one query.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) sources: Vec<Named>,
    pub(super) width: usize,
    /// The aggregates that were found.
    pub(super) aggregates: Vec<Aggregate>,
    /// The clause at hand, if it is one in which they are not allowed.
    pub(super) clause: Option<&'static str>,
    /// How many queries around it looks at.
    pub(super) reach: usize,
    /// The columns of the next query around that it looks at.
    pub(super) outer_columns: Vec<usize>,
    /// The call of a function of rows in the select list.
    pub(super) series: Option<(super::super::plan::TableFunction, Vec<Expr>)>,
}

/// A source with the name that columns are qualified by.
pub(super) struct Named {
    pub(super) alias: Arc<str>,
    pub(super) start: usize,
    pub(super) columns: Vec<NamedColumn>,
    /// The table whose key may determine its other columns, with the key's columns.
    pub(super) primary_key: Option<Vec<usize>>,
    /// Whether the bare name also stands for its one column: `generate_series(1, 3) AS i`.
    pub(super) scalar: bool,
    /// A table of the catalogue, of which not all columns are known here.
    pub(super) partial: bool,
}

/// A column of a source.
pub(super) struct NamedColumn {
    pub(super) name: Arc<str>,
    pub(super) kind: Type,
    /// Merged by `USING`: found only with its qualifier, and not part of `*`.
    pub(super) merged: bool,
}

impl Scope {
    /// The columns of one table.
    pub(super) fn of_table(schema: &Schema) -> Self {
        let mut scope = Scope::default();
        scope.add(Named::of_table(Arc::clone(&schema.name), schema));
        scope
    }

    /// Adds a source behind those that are there.
    pub(super) fn add(&mut self, mut source: Named) {
        source.start = self.width;
        self.width += source.columns.len();
        self.sources.push(source);
    }
}

impl Named {
    /// A table under a name.
    pub(super) fn of_table(alias: Arc<str>, schema: &Schema) -> Self {
        let columns = schema.columns.iter().map(|column| NamedColumn {
            name: Arc::clone(&column.name),
            kind: column.kind,
            merged: false,
        });
        let primary_key = schema.primary_key();
        Named { alias, start: 0, columns: columns.collect(), primary_key, scalar: false, partial: false }
    }
}

impl Binder<'_> {
    /// A column by its name alone.
    pub(super) fn column(&mut self, name: &str) -> Result<Typed, SqlError> {
        for (depth, scope) in self.scopes.iter().rev().enumerate() {
            let mut found = scope.sources.iter().flat_map(|source| {
                let numbered = source.columns.iter().enumerate();
                let named = numbered.filter(|(_, column)| &*column.name == name && !column.merged);
                named.map(|(number, column)| (source.start + number, column.kind))
            });
            if let Some((column, kind)) = found.next() {
                if found.next().is_some() {
                    let message = format!("column reference \"{name}\" is ambiguous");
                    return Err(SqlError::new(state::AMBIGUOUS_COLUMN, message));
                }
                return Ok(self.reference(depth, column, kind));
            }
            let scalar = scope.sources.iter().find(|source| source.scalar && &*source.alias == name);
            if let Some(source) = scalar {
                let (start, kind) = (source.start, source.columns[0].kind);
                return Ok(self.reference(depth, start, kind));
            }
        }
        if self.scopes.iter().flat_map(|scope| &scope.sources).any(|source| source.partial) {
            return Err(SqlError::unknown(format!("the column {name} of the catalogue"), ""));
        }
        refuse_system_column(name)?;
        Err(SqlError::new(state::UNDEFINED_COLUMN, format!("column \"{name}\" does not exist")))
    }

    /// A column of a source.
    pub(super) fn qualified(&mut self, alias: &str, name: &str) -> Result<Typed, SqlError> {
        for (depth, scope) in self.scopes.iter().rev().enumerate() {
            let Some(source) = scope.sources.iter().find(|source| &*source.alias == alias) else { continue };
            let number = source.columns.iter().position(|column| &*column.name == name);
            let Some(number) = number else {
                if source.partial {
                    return Err(SqlError::unknown(format!("the column {name} of the catalogue"), ""));
                }
                refuse_system_column(name)?;
                let message = format!("column {alias}.{name} does not exist");
                return Err(SqlError::new(state::UNDEFINED_COLUMN, message));
            };
            let (column, kind) = (source.start + number, source.columns[number].kind);
            return Ok(self.reference(depth, column, kind));
        }
        let message = format!("missing FROM-clause entry for table \"{alias}\"");
        Err(SqlError::new(state::UNDEFINED_TABLE, message))
    }

    /// Whether a name without a qualifier is a column here, queries around left out.
    pub(super) fn is_own_column(&self, name: &str) -> bool {
        let sources = self.scopes.last().map_or(&[][..], |scope| &scope.sources);
        sources.iter().flat_map(|source| &source.columns).any(|column| &*column.name == name)
    }

    fn reference(&mut self, depth: usize, column: usize, kind: Type) -> Typed {
        if depth == 0 {
            return Typed::new(Expr::Column(column), kind);
        }
        let own = self.scopes.len() - 1;
        for inside in 0..depth {
            let scope = &mut self.scopes[own - inside];
            scope.reach = scope.reach.max(depth - inside);
        }
        let next = &mut self.scopes[own - depth + 1].outer_columns;
        if !next.contains(&column) {
            next.push(column);
        }
        Typed::new(Expr::Outer { depth, column }, kind)
    }
}

/// Columns that every table of PostgreSQL has (PostgreSQL 15 documentation, 5.5).
fn refuse_system_column(name: &str) -> Result<(), SqlError> {
    match name {
        "ctid" | "xmin" | "xmax" | "cmin" | "cmax" | "tableoid" => {
            Err(SqlError::unknown(format!("the system column {name}"), "columns of tables"))
        }
        _ => Ok(()),
    }
}
