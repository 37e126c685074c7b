//! Casts between types: which there are, when they apply by themselves, and what they do.

use super::super::calendar::DAY_US;
use super::super::decimal::Decimal;
use super::super::error::{SqlError, state};
use super::super::types::Type;
use super::super::value::{Float, Value};
use super::input;

/// Where a cast stands (PostgreSQL 15 documentation, `CREATE CAST`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Context {
    /// It applies by itself in expressions.
    Implicit,
    /// It applies by itself where a value is stored in a column.
    Assignment,
    /// It has to be written.
    Explicit,
}

/// From which context on there is a cast; none where there is none at all.
pub(super) fn context(from: Type, to: Type) -> Option<Context> {
    use Context::{Assignment, Explicit, Implicit};
    let (from, to) = (from.base(), to.base());
    if from == to || from == Type::Unknown {
        return Some(Implicit);
    }
    let rank = |kind: Type| match kind {
        Type::Int2 => Some(0),
        Type::Int4 => Some(1),
        Type::Int8 => Some(2),
        Type::Numeric(_) => Some(3),
        Type::Float4 => Some(4),
        Type::Float8 => Some(5),
        _ => None,
    };
    if let (Some(one), Some(two)) = (rank(from), rank(to)) {
        return Some(if one < two { Implicit } else { Assignment });
    }
    match (from, to) {
        (one, two) if one.is_string() && two.is_string() => Some(Implicit),
        (Type::Bool, Type::Int4) | (Type::Int4, Type::Bool) | (Type::Xid8, Type::Xid) => Some(Explicit),
        (Type::Int2 | Type::Int4 | Type::Int8, Type::Oid) => Some(Implicit),
        (Type::Oid, Type::Int4 | Type::Int8) => Some(Assignment),
        (Type::Date, Type::Timestamp | Type::Timestamptz) | (Type::Timestamp, Type::Timestamptz) => {
            Some(Implicit)
        }
        (Type::Timestamptz, Type::Timestamp) | (Type::Timestamp | Type::Timestamptz, Type::Date) => {
            Some(Assignment)
        }
        (Type::Json, Type::Jsonb) | (Type::Jsonb, Type::Json) => Some(Assignment),
        (Type::RegClass, Type::Text) => Some(Implicit),
        (Type::RegClass, _) => None,
        (Type::Array(one), Type::Array(two)) => context(*one, *two).map(|inner| inner.max(Explicit)),
        (Type::Void, _) | (_, Type::Void) => None,
        (_, two) if two.is_string() => Some(Assignment),
        (one, _) if one.is_string() => Some(Explicit),
        _ => None,
    }
}

/// Whether the cast leaves values as they are.
pub(super) fn is_free(from: Type, to: Type) -> bool {
    let plain = |kind: Type| matches!(kind, Type::Text | Type::Unknown | Type::Name | Type::Varchar(None));
    from == to
        || plain(to) && (from.is_string() || from == Type::RegClass)
        || matches!((from, to), (Type::Int2 | Type::Int4 | Type::Int8, Type::Int8) | (Type::Int2, Type::Int4))
        || matches!((from, to), (Type::Timestamp | Type::Timestamptz, Type::Timestamp | Type::Timestamptz))
        || matches!((from, to), (Type::Numeric(_), Type::Numeric(None)))
}

/// The value in another type. The cast exists, which the binder has seen to.
pub(super) fn cast(value: Value, from: Type, to: Type, context: Context) -> Result<Value, SqlError> {
    let value = match (value, to) {
        (Value::Null, _) => Value::Null,
        (Value::Text(text), Type::Varchar(Some(limit))) if context == Context::Explicit => {
            Value::text(text.chars().take(usize::try_from(limit).unwrap_or(usize::MAX)).collect::<String>())
        }
        (Value::Text(text), Type::Char(length)) if length > 0 && context == Context::Explicit => {
            let cut: String = text.chars().take(usize::try_from(length).unwrap_or(usize::MAX)).collect();
            Value::text(cut.trim_end_matches(' '))
        }
        (Value::Text(text), _) => input::read(&text, to)?,
        (Value::Int(value), Type::Bool) => Value::Bool(value != 0),
        (Value::Int(value), _) if to.is_whole() => input::in_range(value, to)?,
        (Value::Int(value), Type::Numeric(scale)) => decimal(Decimal::new(value.into(), 0), scale)?,
        #[expect(clippy::cast_precision_loss, reason = "the cast rounds, as PostgreSQL's does")]
        (Value::Int(value), Type::Float4 | Type::Float8) => real(value as f64, to),
        (Value::Decimal(value), _) if to.is_whole() => {
            let whole = value.to_whole().ok_or_else(|| input::out_of_range(to))?;
            input::in_range(whole, to)?
        }
        (Value::Decimal(value), Type::Numeric(scale)) => decimal(*value, scale)?,
        (Value::Decimal(value), Type::Float4 | Type::Float8) => real(value.to_f64(), to),
        (Value::Float(Float(value)), Type::Float4 | Type::Float8) => real(value, to),
        (Value::Float(Float(value)), Type::Numeric(_)) => input::read(&value.to_string(), to)?,
        (Value::Float(Float(value)), _) if to.is_whole() => rounded(value, to)?,
        (Value::Bool(value), Type::Int4) => Value::Int(value.into()),
        (Value::Bool(value), _) if to.is_string() => Value::text(if value { "true" } else { "false" }),
        (Value::Date(day), Type::Timestamp | Type::Timestamptz) => Value::Timestamp(day * DAY_US),
        (Value::Timestamp(at_us), Type::Date) => Value::Date(at_us.div_euclid(DAY_US)),
        (Value::Array(values), Type::Array(element)) => {
            let Type::Array(source) = from else { return Ok(Value::Array(values)) };
            let cast_one = |value: &Value| cast(value.clone(), *source, *element, context);
            Value::Array(values.iter().map(cast_one).collect::<Result<_, _>>()?)
        }
        (value, _) if to.is_string() && !from.is_string() => {
            let text = value.output(from).unwrap_or_default();
            cast(Value::text(text), Type::Text, to, context)?
        }
        (value, _) => value,
    };
    Ok(value)
}

fn decimal(number: Decimal, scale: Option<u8>) -> Result<Value, SqlError> {
    let overflow = || SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "value overflows numeric format");
    input::scaled(number, scale).map(Value::decimal).ok_or_else(overflow)
}

#[expect(clippy::cast_possible_truncation, reason = "a real has the precision of a real")]
fn real(value: f64, to: Type) -> Value {
    Value::Float(Float(if to == Type::Float4 { f64::from(value as f32) } else { value }))
}

/// Half to even, as the hardware rounds.
#[expect(clippy::cast_possible_truncation, reason = "the range is checked before")]
fn rounded(value: f64, to: Type) -> Result<Value, SqlError> {
    let whole = value.round_ties_even();
    if !(-9.2e18..9.2e18).contains(&whole) {
        return Err(input::out_of_range(to));
    }
    input::in_range(whole as i64, to)
}

/// The type that values of both go to without being asked (`select_common_type`); none where there is none.
pub(super) fn common(one: Type, two: Type) -> Option<Type> {
    if one == two {
        return Some(one);
    }
    let (one, two) = (one.base(), two.base());
    if one == Type::Unknown {
        return Some(two);
    }
    if two == Type::Unknown {
        return Some(one);
    }
    if one.is_string() && two.is_string() {
        let both = one == two;
        return Some(if both { one } else { Type::Text });
    }
    if context(one, two) == Some(Context::Implicit) {
        return Some(two);
    }
    (context(two, one) == Some(Context::Implicit)).then_some(one)
}
