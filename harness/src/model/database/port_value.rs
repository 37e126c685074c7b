//! Values of the port and of the database: the same types go through, and the same are refused, as with the adapter
//! to a real server.

use std::sync::Arc;

use super::error::{SqlError, state};
use super::sql::read_text;
use super::types::Type;
use super::value::Value;
use crate::port::{PortError, SqlValue, System};

/// SQLSTATE of a number of parameters that is not the statement's.
const PARAMETER_COUNT: &str = "07001";

/// The parameters of a statement in the types that it has for them. The outer error is the adapter's, the inner one
/// the server's.
pub(super) fn parameters(
    types: &[Type],
    values: &[SqlValue],
) -> Result<Result<Vec<Value>, SqlError>, PortError> {
    if types.len() != values.len() {
        let message = format!("the statement has {} parameters, {} are given", types.len(), values.len());
        return Err(PortError::refused(System::Db, PARAMETER_COUNT, message));
    }
    for (number, (kind, value)) in (1..).zip(types.iter().zip(values)) {
        if !fits(*kind, value) {
            let (kind, given) = (kind.short_name(), kind_of(value));
            let message = format!("parameter ${number} is of type {kind}, {given} is given");
            return Err(PortError::refused(System::Db, state::DATATYPE_MISMATCH, message));
        }
    }
    Ok(types.iter().zip(values).map(|(kind, value)| parameter(*kind, value)).collect())
}

fn parameter(kind: Type, value: &SqlValue) -> Result<Value, SqlError> {
    match value {
        SqlValue::Null => Ok(Value::Null),
        SqlValue::Bool(value) => Ok(Value::Bool(*value)),
        SqlValue::Int(value) if matches!(kind, Type::Int8) => Ok(Value::Int(*value)),
        SqlValue::Int(value) => read_text(&value.to_string(), kind),
        SqlValue::Text(value) => read_text(value, kind),
        SqlValue::Bytes(value) => Ok(Value::Bytes(Arc::from(value.as_slice()))),
    }
}

/// A number is no text and a text is no number: what a typed client would refuse is refused here.
fn fits(kind: Type, value: &SqlValue) -> bool {
    match value {
        SqlValue::Null => true,
        SqlValue::Bool(_) => kind == Type::Bool,
        SqlValue::Int(_) => (kind.is_whole() && kind != Type::RegClass) || kind.is_number(),
        SqlValue::Bytes(_) => kind == Type::Bytea,
        SqlValue::Text(_) if kind == Type::Xid8 => true,
        SqlValue::Text(_) => {
            !(kind.is_whole() && kind != Type::RegClass) && kind != Type::Bool && kind != Type::Bytea
        }
    }
}

fn kind_of(value: &SqlValue) -> &'static str {
    match value {
        SqlValue::Null => "null",
        SqlValue::Bool(_) => "a boolean",
        SqlValue::Int(_) => "a whole number",
        SqlValue::Text(_) => "a text",
        SqlValue::Bytes(_) => "bytes",
    }
}

/// Refuses a statement with a column that cannot be read.
pub(super) fn readable(columns: &[(Arc<str>, Type)]) -> Result<(), PortError> {
    let Some((name, kind)) = columns.iter().find(|(_, kind)| !is_readable(*kind)) else { return Ok(()) };
    let kind = kind.short_name();
    let message = format!("column `{name}` is of type {kind}, which the port does not read: cast it to text");
    Err(PortError::refused(System::Db, state::DATATYPE_MISMATCH, message))
}

fn is_readable(kind: Type) -> bool {
    match kind {
        Type::Bool | Type::Bytea | Type::PgLsn | Type::Void => true,
        Type::RegClass | Type::PgSnapshot => false,
        other => other.is_whole() || other.is_text(),
    }
}

/// A cell of a result.
pub(super) fn cell(value: &Value, kind: Type) -> SqlValue {
    match value {
        Value::Null => SqlValue::Null,
        _ if kind == Type::Void => SqlValue::Null,
        Value::Bool(value) => SqlValue::Bool(*value),
        Value::Int(value) => SqlValue::Int(*value),
        Value::Bytes(value) => SqlValue::Bytes(value.to_vec()),
        other => other.output(kind).map_or(SqlValue::Null, SqlValue::Text),
    }
}
