//! SQL values on the wire.
//!
//! Parameters go in the text format, so that the server's own input functions read them and every type of
//! the server can be given. Results come in the driver's binary format, of which the types below are read;
//! a statement that returns another is refused by name before it runs.

use std::error::Error;

use bytes::BytesMut;
use tokio_postgres::types::{Format, FromSql, IsNull, Kind, ToSql, Type, to_sql_checked};
use tokio_postgres::{Column, Statement};

use crate::port::{PortError, SqlValue, System};

/// SQLSTATE `datatype_mismatch`.
const DATATYPE_MISMATCH: &str = "42804";
/// SQLSTATE of a number of parameters that is not the statement's.
const PARAMETER_COUNT: &str = "07001";

/// A parameter, rendered as the server's text.
#[derive(Debug)]
pub(super) struct Parameter(Option<String>);

/// The parameters of a statement, checked against the types that the server inferred.
pub(super) fn parameters(statement: &Statement, values: &[SqlValue]) -> Result<Vec<Parameter>, PortError> {
    let types = statement.params();
    if types.len() != values.len() {
        let message = format!("the statement has {} parameters, {} are given", types.len(), values.len());
        return Err(PortError::refused(System::Db, PARAMETER_COUNT, message));
    }
    let numbered = (1..).zip(types.iter().zip(values));
    numbered.map(|(number, (kind, value))| parameter(number, kind, value)).collect()
}

/// Refuses a statement with a column that cannot be read.
pub(super) fn readable(columns: &[Column]) -> Result<(), PortError> {
    let Some(column) = columns.iter().find(|column| codec(column.type_()).is_none()) else {
        return Ok(());
    };
    let (name, kind) = (column.name(), column.type_().name());
    let message = format!("column `{name}` is of type {kind}, which the port does not read: cast it to text");
    Err(PortError::refused(System::Db, DATATYPE_MISMATCH, message))
}

fn parameter(number: usize, kind: &Type, value: &SqlValue) -> Result<Parameter, PortError> {
    if !fits(kind, value) {
        let message = format!("parameter ${number} is of type {}, {} is given", kind.name(), kind_of(value));
        return Err(PortError::refused(System::Db, DATATYPE_MISMATCH, message));
    }
    Ok(Parameter(match value {
        SqlValue::Null => None,
        SqlValue::Bool(value) => Some(value.to_string()),
        SqlValue::Int(value) => Some(value.to_string()),
        SqlValue::Text(value) => Some(value.clone()),
        SqlValue::Bytes(value) => Some(hexadecimal(value)),
    }))
}

/// A number is no text and a text is no number: what a typed client would refuse is refused here.
fn fits(kind: &Type, value: &SqlValue) -> bool {
    if let Kind::Domain(base) = kind.kind() {
        return fits(base, value);
    }
    let whole = [Type::INT2, Type::INT4, Type::INT8, Type::OID, Type::XID, Type::XID8].contains(kind);
    let number = whole || [Type::NUMERIC, Type::FLOAT4, Type::FLOAT8].contains(kind);
    match value {
        SqlValue::Null => true,
        SqlValue::Bool(_) => *kind == Type::BOOL,
        SqlValue::Int(_) => number,
        SqlValue::Bytes(_) => *kind == Type::BYTEA,
        SqlValue::Text(_) if *kind == Type::XID8 => true,
        SqlValue::Text(_) => !whole && *kind != Type::BOOL && *kind != Type::BYTEA,
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

fn hexadecimal(bytes: &[u8]) -> String {
    let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
    format!("\\x{}", digits.collect::<String>())
}

impl ToSql for Parameter {
    fn to_sql(&self, _kind: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        match &self.0 {
            Some(text) => {
                out.extend_from_slice(text.as_bytes());
                Ok(IsNull::No)
            }
            None => Ok(IsNull::Yes),
        }
    }

    fn accepts(_kind: &Type) -> bool {
        true
    }

    fn encode_format(&self, _kind: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// A column of a row.
pub(super) struct Cell(pub(super) SqlValue);

impl<'a> FromSql<'a> for Cell {
    fn from_sql(kind: &Type, raw: &'a [u8]) -> Result<Self, Box<dyn Error + Sync + Send>> {
        let codec = codec(kind).ok_or_else(|| format!("type {kind} is not read"))?;
        codec.decode(raw).map(Cell)
    }

    fn from_sql_null(_kind: &Type) -> Result<Self, Box<dyn Error + Sync + Send>> {
        Ok(Cell(SqlValue::Null))
    }

    fn accepts(kind: &Type) -> bool {
        codec(kind).is_some()
    }
}

/// How a type's binary format is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Codec {
    Bool,
    Signed,
    Unsigned,
    Text,
    Jsonb,
    Uuid,
    Lsn,
    Bytes,
    Void,
}

fn codec(kind: &Type) -> Option<Codec> {
    match kind.kind() {
        Kind::Domain(base) => return codec(base),
        Kind::Enum(_) => return Some(Codec::Text),
        _ => {}
    }
    let codec = match *kind {
        Type::BOOL => Codec::Bool,
        Type::INT2 | Type::INT4 | Type::INT8 => Codec::Signed,
        Type::OID | Type::XID | Type::XID8 => Codec::Unsigned,
        Type::TEXT | Type::VARCHAR | Type::BPCHAR | Type::NAME | Type::UNKNOWN | Type::JSON => Codec::Text,
        Type::JSONB => Codec::Jsonb,
        Type::UUID => Codec::Uuid,
        Type::PG_LSN => Codec::Lsn,
        Type::BYTEA => Codec::Bytes,
        Type::VOID => Codec::Void,
        _ => return None,
    };
    Some(codec)
}

impl Codec {
    fn decode(self, raw: &[u8]) -> Result<SqlValue, Box<dyn Error + Sync + Send>> {
        Ok(match self {
            Codec::Bool => SqlValue::Bool(big_endian(raw)? != 0),
            Codec::Signed => SqlValue::Int(signed(raw)?),
            Codec::Unsigned => SqlValue::Int(i64::try_from(big_endian(raw)?)?),
            Codec::Text => SqlValue::Text(text(raw)?),
            Codec::Jsonb => match raw {
                [1, json @ ..] => SqlValue::Text(text(json)?),
                _ => return Err("jsonb is not in version 1 of its format".into()),
            },
            Codec::Uuid => SqlValue::Text(uuid(raw)?),
            Codec::Lsn => {
                let lsn = big_endian(raw)?;
                SqlValue::Text(format!("{:X}/{:X}", lsn >> 32, lsn & 0xFFFF_FFFF))
            }
            Codec::Bytes => SqlValue::Bytes(raw.to_vec()),
            Codec::Void => SqlValue::Null,
        })
    }
}

fn text(raw: &[u8]) -> Result<String, Box<dyn Error + Sync + Send>> {
    Ok(std::str::from_utf8(raw)?.to_owned())
}

fn big_endian(raw: &[u8]) -> Result<u64, Box<dyn Error + Sync + Send>> {
    if !matches!(raw.len(), 1 | 2 | 4 | 8) {
        return Err(format!("a number of {} bytes", raw.len()).into());
    }
    Ok(raw.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)))
}

fn signed(raw: &[u8]) -> Result<i64, Box<dyn Error + Sync + Send>> {
    match *raw {
        [a, b] => Ok(i16::from_be_bytes([a, b]).into()),
        [a, b, c, d] => Ok(i32::from_be_bytes([a, b, c, d]).into()),
        _ => Ok(i64::from_be_bytes(raw.try_into()?)),
    }
}

fn uuid(raw: &[u8]) -> Result<String, Box<dyn Error + Sync + Send>> {
    let value = u128::from_be_bytes(raw.try_into()?);
    let digits = format!("{value:032x}");
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Ok(parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_binary_formats_are_read() {
        let text = |text: &str| SqlValue::Text(text.to_owned());
        let uuid = 0x0011_2233_4455_6677_8899_aabb_ccdd_eeff_u128.to_be_bytes();
        let cases: Vec<(Type, Vec<u8>, SqlValue)> = vec![
            (Type::BOOL, vec![1], SqlValue::Bool(true)),
            (Type::INT2, (-2_i16).to_be_bytes().to_vec(), SqlValue::Int(-2)),
            (Type::INT4, (-3_i32).to_be_bytes().to_vec(), SqlValue::Int(-3)),
            (Type::INT8, i64::MIN.to_be_bytes().to_vec(), SqlValue::Int(i64::MIN)),
            (Type::OID, u32::MAX.to_be_bytes().to_vec(), SqlValue::Int(u32::MAX.into())),
            (Type::XID8, 7_u64.to_be_bytes().to_vec(), SqlValue::Int(7)),
            (Type::PG_LSN, 0x1_16B3_7A40_u64.to_be_bytes().to_vec(), text("1/16B37A40")),
            (Type::UUID, uuid.to_vec(), text("00112233-4455-6677-8899-aabbccddeeff")),
            (Type::JSONB, b"\x01{}".to_vec(), text("{}")),
            (Type::BYTEA, vec![0, 255], SqlValue::Bytes(vec![0, 255])),
            (Type::VOID, vec![], SqlValue::Null),
        ];
        for (kind, raw, expected) in cases {
            let Cell(value) = Cell::from_sql(&kind, &raw).expect("the case is well formed");
            assert_eq!(value, expected, "{kind}");
        }
    }

    #[test]
    fn malformed_values_are_errors() {
        for (kind, raw) in [
            (Type::INT4, vec![1, 2, 3]),
            (Type::XID8, vec![0xFF; 8]),
            (Type::UUID, vec![0; 15]),
            (Type::TEXT, vec![0xFF]),
            (Type::JSONB, b"\x02{}".to_vec()),
        ] {
            assert!(Cell::from_sql(&kind, &raw).is_err(), "{kind}");
        }
    }

    #[test]
    fn numbers_and_texts_are_not_mixed() {
        let number = SqlValue::Int(1);
        let text = SqlValue::Text("1".to_owned());
        for (kind, takes_number, takes_text) in [
            (Type::INT4, true, false),
            (Type::TEXT, false, true),
            (Type::NUMERIC, true, true),
            (Type::XID8, true, true),
            (Type::BOOL, false, false),
            (Type::TIMESTAMPTZ, false, true),
            (Type::INT8_ARRAY, false, true),
        ] {
            assert_eq!(fits(&kind, &number), takes_number, "{kind}");
            assert_eq!(fits(&kind, &text), takes_text, "{kind}");
            assert!(fits(&kind, &SqlValue::Null), "{kind}");
        }
    }
}
