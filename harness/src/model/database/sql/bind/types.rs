//! The types that statements name.

use sqlparser::ast::{ArrayElemTypeDef, CharacterLength, DataType, ExactNumberInfo, TimezoneInfo};

use super::super::super::error::SqlError;
use super::super::super::types::Type;
use super::super::expression::array_type;
use super::super::names;

/// The type that is written; serial types are the definition's affair.
pub(in super::super) fn data_type(written: &DataType) -> Result<Type, SqlError> {
    let unknown = || {
        SqlError::unknown(
            format!("the type {written}"),
            "boolean, smallint, integer, bigint, real, double precision, numeric, text, varchar, char, bytea, uuid, \
             json, jsonb, date, timestamp, timestamptz, interval, oid, xid, xid8, pg_lsn and arrays",
        )
    };
    Ok(match written {
        DataType::Boolean | DataType::Bool => Type::Bool,
        DataType::SmallInt(_) | DataType::Int2(_) => Type::Int2,
        DataType::Int(_) | DataType::Integer(_) | DataType::Int4(_) => Type::Int4,
        DataType::BigInt(_) | DataType::Int8(_) => Type::Int8,
        DataType::Real | DataType::Float4 => Type::Float4,
        DataType::Float8 | DataType::DoublePrecision | DataType::Double(_) | DataType::Float(_) => {
            Type::Float8
        }
        DataType::Numeric(info) | DataType::Decimal(info) | DataType::Dec(info) => numeric(info)?,
        DataType::Text => Type::Text,
        DataType::Varchar(length) | DataType::CharacterVarying(length) | DataType::CharVarying(length) => {
            Type::Varchar(limit(length.as_ref()).ok_or_else(unknown)?)
        }
        DataType::Char(length) | DataType::Character(length) => {
            Type::Char(limit(length.as_ref()).ok_or_else(unknown)?.unwrap_or(1))
        }
        DataType::Bytea => Type::Bytea,
        DataType::Uuid => Type::Uuid,
        DataType::JSON => Type::Json,
        DataType::JSONB => Type::Jsonb,
        DataType::Date => Type::Date,
        DataType::Timestamp(None, TimezoneInfo::None | TimezoneInfo::WithoutTimeZone) => Type::Timestamp,
        DataType::Timestamp(None, TimezoneInfo::WithTimeZone | TimezoneInfo::Tz) => Type::Timestamptz,
        DataType::TimestampNtz(None) => Type::Timestamp,
        DataType::Interval { fields: None, precision: None } => Type::Interval,
        DataType::Array(ArrayElemTypeDef::SquareBracket(element, _)) => {
            array_type(data_type(element)?).ok_or_else(unknown)?
        }
        DataType::Custom(name, arguments) if arguments.is_empty() => {
            custom(&names::object(name)?).ok_or_else(unknown)?
        }
        _ => return Err(unknown()),
    })
}

fn custom(name: &str) -> Option<Type> {
    Some(match name {
        "name" => Type::Name,
        "oid" => Type::Oid,
        "xid" => Type::Xid,
        "xid8" => Type::Xid8,
        "pg_lsn" => Type::PgLsn,
        "pg_snapshot" => Type::PgSnapshot,
        "timestamptz" => Type::Timestamptz,
        "bpchar" => Type::Text,
        _ => return None,
    })
}

fn numeric(info: &ExactNumberInfo) -> Result<Type, SqlError> {
    match info {
        ExactNumberInfo::None => Ok(Type::Numeric(None)),
        ExactNumberInfo::Precision(_) => Ok(Type::Numeric(Some(0))),
        ExactNumberInfo::PrecisionAndScale(_, scale) => {
            let scale = u8::try_from(*scale);
            let scale = scale.map_err(|_| SqlError::unknown("this scale of numeric", "scales up to 38"))?;
            Ok(Type::Numeric(Some(scale)))
        }
    }
}

/// The length in brackets; none where it is not one that is known.
fn limit(length: Option<&CharacterLength>) -> Option<Option<u32>> {
    match length {
        None => Some(None),
        Some(CharacterLength::IntegerLength { length, .. }) => u32::try_from(*length).ok().map(Some),
        Some(CharacterLength::Max) => None,
    }
}
