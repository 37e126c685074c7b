//! Names as SQL has them: in lower case unless they stand in quotes.

use std::sync::Arc;

use sqlparser::ast::{Ident, ObjectName, ObjectNamePart};

use super::super::error::{SqlError, state};

/// What an identifier names.
pub(super) fn ident(ident: &Ident) -> String {
    if ident.quote_style.is_some() { ident.value.clone() } else { ident.value.to_lowercase() }
}

/// As [`ident`], shared.
pub(super) fn shared(name: &Ident) -> Arc<str> {
    ident(name).into()
}

/// The name of a relation or a function; a schema in front of it has to be `public` or `pg_catalog`.
pub(super) fn object(name: &ObjectName) -> Result<String, SqlError> {
    let parts = parts(name)?;
    let (last, schemas) =
        parts.split_last().ok_or_else(|| SqlError::new(state::SYNTAX_ERROR, "a name is missing"))?;
    match schemas.iter().find(|schema| !matches!(schema.as_str(), "public" | "pg_catalog")) {
        None => Ok(last.clone()),
        Some(schema) => Err(no_schema(schema)),
    }
}

/// A schema that is not there: schemas are not made here, but PostgreSQL comes with some.
pub(super) fn no_schema(schema: &str) -> SqlError {
    if schema == "information_schema" || schema.starts_with("pg_") {
        return SqlError::unknown(format!("the schema {schema}"), "public and pg_catalog");
    }
    SqlError::new(state::INVALID_SCHEMA_NAME, format!("schema \"{schema}\" does not exist"))
}

/// The parts of a dotted name.
pub(super) fn parts(name: &ObjectName) -> Result<Vec<String>, SqlError> {
    let part = |part: &ObjectNamePart| match part {
        ObjectNamePart::Identifier(name) => Ok(ident(name)),
        ObjectNamePart::Function(function) => {
            Err(SqlError::unknown(format!("the name {function}"), "plain names"))
        }
    };
    name.0.iter().map(part).collect()
}
