//! Values, as rows hold them and expressions compute them.

use std::cmp::Ordering;
use std::fmt::Write as _;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::calendar;
use super::decimal::Decimal;
use super::types::Type;

/// A row.
pub(crate) type Tuple = Arc<[Value]>;

/// A value. Which types it stands for is the affair of whoever knows the column or the expression: a comparison
/// takes both sides to one case first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Null,
    Bool(bool),
    /// `smallint`, `integer`, `bigint`, `oid`, `xid`, `xid8`, `regclass`.
    Int(i64),
    Float(Float),
    Decimal(Arc<Decimal>),
    /// Everything that goes as its text.
    Text(Arc<str>),
    Bytes(Arc<[u8]>),
    Lsn(u64),
    /// Days from 1970-01-01.
    Date(i64),
    /// Microseconds from 1970-01-01, of both kinds of timestamps.
    Timestamp(i64),
    /// Microseconds.
    Interval(i64),
    Array(Arc<[Value]>),
}

/// `double precision`, in PostgreSQL's order: not-a-number equals itself and is the greatest, zero has no sign.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Float(pub(crate) f64);

impl Float {
    fn canonical(self) -> f64 {
        if self.0 == 0.0 {
            0.0
        } else if self.0.is_nan() {
            f64::NAN
        } else {
            self.0
        }
    }
}

impl PartialEq for Float {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Float {}

impl PartialOrd for Float {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Float {
    fn cmp(&self, other: &Self) -> Ordering {
        self.canonical().total_cmp(&other.canonical())
    }
}

impl Value {
    /// A text.
    pub(crate) fn text(text: impl Into<Arc<str>>) -> Self {
        Value::Text(text.into())
    }

    /// What a function of no result gives: it is no null, and prints as nothing.
    pub(crate) fn void() -> Self {
        Value::text("")
    }

    /// A decimal number.
    pub(crate) fn decimal(number: Decimal) -> Self {
        Value::Decimal(Arc::new(number))
    }

    /// Whether it is null.
    pub(crate) fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// What PostgreSQL's output function of the type prints; none for null.
    pub(crate) fn output(&self, kind: Type) -> Option<String> {
        Some(match self {
            Value::Null => return None,
            Value::Bool(value) => if *value { "t" } else { "f" }.to_owned(),
            Value::Int(value) => value.to_string(),
            Value::Float(Float(value)) => float_text(*value, kind),
            Value::Decimal(value) => value.to_string(),
            Value::Text(value) => padded(value, kind),
            Value::Bytes(value) => value.iter().fold("\\x".to_owned(), |mut text, byte| {
                // Writing to a string does not fail.
                let _ = write!(text, "{byte:02x}");
                text
            }),
            Value::Lsn(value) => format!("{:X}/{:X}", value >> 32, value & 0xFFFF_FFFF),
            Value::Date(value) => calendar::date_text(*value),
            Value::Timestamp(value) if kind == Type::Timestamptz => calendar::timestamp_text(*value) + "+00",
            Value::Timestamp(value) => calendar::timestamp_text(*value),
            Value::Interval(value) => interval_text(*value),
            Value::Array(values) => array_text(values, kind),
        })
    }

    fn rank(&self) -> u8 {
        match self {
            Value::Bool(_) => 0,
            Value::Int(_) => 1,
            Value::Float(_) => 2,
            Value::Decimal(_) => 3,
            Value::Text(_) => 4,
            Value::Bytes(_) => 5,
            Value::Lsn(_) => 6,
            Value::Date(_) => 7,
            Value::Timestamp(_) => 8,
            Value::Interval(_) => 9,
            Value::Array(_) => 10,
            Value::Null => 11,
        }
    }
}

/// The order of an index: of one type as the type has it (texts by bytes, as in the C locale), nulls last.
impl Ord for Value {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Value::Bool(one), Value::Bool(two)) => one.cmp(two),
            (Value::Int(one), Value::Int(two))
            | (Value::Date(one), Value::Date(two))
            | (Value::Timestamp(one), Value::Timestamp(two))
            | (Value::Interval(one), Value::Interval(two)) => one.cmp(two),
            (Value::Float(one), Value::Float(two)) => one.cmp(two),
            (Value::Decimal(one), Value::Decimal(two)) => one.cmp(two),
            (Value::Text(one), Value::Text(two)) => one.cmp(two),
            (Value::Bytes(one), Value::Bytes(two)) => one.cmp(two),
            (Value::Lsn(one), Value::Lsn(two)) => one.cmp(two),
            (Value::Array(one), Value::Array(two)) => one.cmp(two),
            _ => self.rank().cmp(&other.rank()),
        }
    }
}

impl PartialOrd for Value {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for Value {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.rank().hash(state);
        match self {
            Value::Null => {}
            Value::Bool(value) => value.hash(state),
            Value::Int(value) | Value::Date(value) | Value::Timestamp(value) | Value::Interval(value) => {
                value.hash(state);
            }
            Value::Float(value) => value.canonical().to_bits().hash(state),
            Value::Decimal(value) => value.reduced().hash(state),
            Value::Text(value) => value.hash(state),
            Value::Bytes(value) => value.hash(state),
            Value::Lsn(value) => value.hash(state),
            Value::Array(values) => values.hash(state),
        }
    }
}

/// The shortest digits that read back the same, with an exponent where PostgreSQL has one.
fn float_text(value: f64, kind: Type) -> String {
    if value.is_nan() {
        return "NaN".to_owned();
    }
    if value.is_infinite() {
        return if value > 0.0 { "Infinity" } else { "-Infinity" }.to_owned();
    }
    #[expect(clippy::cast_possible_truncation, reason = "a real is stored as the number it was rounded to")]
    let (scientific, plain, digits_max) = match kind {
        Type::Float4 => (format!("{:e}", value as f32), (value as f32).to_string(), 6),
        _ => (format!("{value:e}"), value.to_string(), 15),
    };
    let (mantissa, exponent) = scientific.split_once('e').unwrap_or((&scientific, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if (-4..digits_max).contains(&exponent) {
        return plain;
    }
    let sign = if exponent < 0 { '-' } else { '+' };
    format!("{mantissa}e{sign}{:02}", exponent.abs())
}

fn padded(text: &str, kind: Type) -> String {
    let Type::Char(length) = kind else { return text.to_owned() };
    let length = usize::try_from(length).unwrap_or(0);
    format!("{text:<length$}")
}

fn interval_text(value_us: i64) -> String {
    let (days, rest_us) = (value_us / calendar::DAY_US, value_us % calendar::DAY_US);
    let time = (rest_us != 0 || days == 0).then(|| {
        let sign = if rest_us < 0 { "-" } else { "" };
        format!("{sign}{}", calendar::time_text(rest_us.abs()))
    });
    let day = (days != 0).then(|| format!("{days} day{}", if days == 1 { "" } else { "s" }));
    day.into_iter().chain(time).collect::<Vec<_>>().join(" ")
}

fn array_text(values: &[Value], kind: Type) -> String {
    let element = if let Type::Array(element) = kind { *element } else { Type::Text };
    let texts = values.iter().map(|value| match value.output(element) {
        None => "NULL".to_owned(),
        Some(text) if needs_quotes(&text) => {
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        }
        Some(text) => text,
    });
    format!("{{{}}}", texts.collect::<Vec<_>>().join(","))
}

fn needs_quotes(text: &str) -> bool {
    text.is_empty()
        || text.eq_ignore_ascii_case("null")
        || text.contains(|c: char| c.is_ascii_whitespace() || matches!(c, '{' | '}' | ',' | '"' | '\\'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_printed_as_postgresql_prints_them() {
        let float = |value| Value::Float(Float(value));
        let array = Value::Array([Value::text("a b"), Value::Null, Value::text("c")].into());
        for (value, kind, text) in [
            (Value::Bool(true), Type::Bool, "t"),
            (float(0.1), Type::Float8, "0.1"),
            (float(1e15), Type::Float8, "1e+15"),
            (float(100.0), Type::Float8, "100"),
            (float(0.00001), Type::Float8, "1e-05"),
            (Value::text("a"), Type::Char(3), "a  "),
            (Value::Lsn(0x1_16B3_7A40), Type::PgLsn, "1/16B37A40"),
            (Value::Bytes([0, 255].into()), Type::Bytea, "\\x00ff"),
            (Value::Interval(90_000_000), Type::Interval, "00:01:30"),
            (array, Type::Array(&Type::Text), "{\"a b\",NULL,c}"),
        ] {
            assert_eq!(value.output(kind).as_deref(), Some(text), "{value:?}");
        }
        assert_eq!(Value::Null.output(Type::Text), None);
    }

    #[test]
    fn nulls_come_last_and_numbers_in_their_order() {
        let mut values =
            [Value::Null, Value::Int(2), Value::Int(-1), Value::Float(Float(f64::NAN)), Value::Int(10)];
        values.sort();
        assert_eq!(values[..3], [Value::Int(-1), Value::Int(2), Value::Int(10)]);
        assert!(values[4].is_null());
        assert!(Float(f64::NAN) > Float(f64::INFINITY) && Float(-0.0) == Float(0.0));
    }
}
