//! The types of values that the database knows.

use std::fmt;

/// A type of a column, a parameter or an expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Type {
    Bool,
    Int2,
    Int4,
    Int8,
    Float4,
    Float8,
    /// `numeric`; the number of digits after the point, where it is fixed.
    Numeric(Option<u8>),
    Text,
    /// `character varying`, with its greatest length in characters.
    Varchar(Option<u32>),
    /// `character`, blank-padded to its length; zero stands for none.
    Char(u32),
    Name,
    Bytea,
    Uuid,
    Json,
    Jsonb,
    Date,
    Timestamp,
    Timestamptz,
    Interval,
    Oid,
    Xid,
    Xid8,
    PgLsn,
    PgSnapshot,
    RegClass,
    Void,
    /// A literal in quotes or a null whose type nothing has settled yet.
    Unknown,
    Array(&'static Type),
}

impl Type {
    /// Whether its values are [`Value::Int`](super::value::Value::Int).
    pub(crate) fn is_whole(self) -> bool {
        use Type::{Int2, Int4, Int8, Oid, RegClass, Xid, Xid8};
        matches!(self, Int2 | Int4 | Int8 | Oid | Xid | Xid8 | RegClass)
    }

    /// `smallint`, `integer`, `bigint`.
    pub(crate) fn is_integer(self) -> bool {
        matches!(self, Type::Int2 | Type::Int4 | Type::Int8)
    }

    /// A type with arithmetic of numbers.
    pub(crate) fn is_number(self) -> bool {
        self.is_integer() || matches!(self, Type::Float4 | Type::Float8 | Type::Numeric(_))
    }

    /// Whether its values are [`Value::Text`](super::value::Value::Text).
    pub(crate) fn is_text(self) -> bool {
        use Type::{Char, Json, Jsonb, Name, PgSnapshot, Text, Unknown, Uuid, Varchar};
        matches!(self, Text | Varchar(_) | Char(_) | Name | Json | Jsonb | Uuid | PgSnapshot | Unknown)
    }

    /// The string types, among which values go without a cast.
    pub(crate) fn is_string(self) -> bool {
        matches!(self, Type::Text | Type::Varchar(_) | Type::Char(_) | Type::Name | Type::Unknown)
    }

    /// The name in the catalogue (`pg_type.typname`).
    pub(crate) fn short_name(self) -> &'static str {
        match self {
            Type::Bool => "bool",
            Type::Int2 => "int2",
            Type::Int4 => "int4",
            Type::Int8 => "int8",
            Type::Float4 => "float4",
            Type::Float8 => "float8",
            Type::Numeric(_) => "numeric",
            Type::Text => "text",
            Type::Varchar(_) => "varchar",
            Type::Char(_) => "bpchar",
            Type::Name => "name",
            Type::Bytea => "bytea",
            Type::Uuid => "uuid",
            Type::Json => "json",
            Type::Jsonb => "jsonb",
            Type::Date => "date",
            Type::Timestamp => "timestamp",
            Type::Timestamptz => "timestamptz",
            Type::Interval => "interval",
            Type::Oid => "oid",
            Type::Xid => "xid",
            Type::Xid8 => "xid8",
            Type::PgLsn => "pg_lsn",
            Type::PgSnapshot => "pg_snapshot",
            Type::RegClass => "regclass",
            Type::Void => "void",
            Type::Unknown => "unknown",
            Type::Array(_) => "array",
        }
    }

    /// The type without its length or precision.
    pub(crate) fn base(self) -> Type {
        match self {
            Type::Varchar(_) => Type::Varchar(None),
            Type::Numeric(_) => Type::Numeric(None),
            Type::Char(_) => Type::Char(0),
            other => other,
        }
    }
}

/// The name that PostgreSQL's `format_type` gives it, as messages and `test_decoding` print it.
impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Type::Bool => "boolean",
            Type::Int2 => "smallint",
            Type::Int4 => "integer",
            Type::Int8 => "bigint",
            Type::Float4 => "real",
            Type::Float8 => "double precision",
            Type::Numeric(_) => "numeric",
            Type::Text => "text",
            Type::Varchar(_) => "character varying",
            Type::Char(_) => "character",
            Type::Name => "name",
            Type::Bytea => "bytea",
            Type::Uuid => "uuid",
            Type::Json => "json",
            Type::Jsonb => "jsonb",
            Type::Date => "date",
            Type::Timestamp => "timestamp without time zone",
            Type::Timestamptz => "timestamp with time zone",
            Type::Interval => "interval",
            Type::Oid => "oid",
            Type::Xid => "xid",
            Type::Xid8 => "xid8",
            Type::PgLsn => "pg_lsn",
            Type::PgSnapshot => "pg_snapshot",
            Type::RegClass => "regclass",
            Type::Void => "void",
            Type::Unknown => "unknown",
            Type::Array(element) => return write!(f, "{element}[]"),
        })
    }
}
