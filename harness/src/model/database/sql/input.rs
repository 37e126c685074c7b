//! Reading values from their text, as PostgreSQL's input functions do.

use std::sync::Arc;

use super::super::calendar;
use super::super::decimal::Decimal;
use super::super::error::{SqlError, state};
use super::super::types::Type;
use super::super::value::{Float, Value};
use super::json;

/// The value that a text stands for in a type.
pub(crate) fn read(text: &str, kind: Type) -> Result<Value, SqlError> {
    let value = match kind {
        Type::Text | Type::Unknown | Type::Name => Some(Value::text(text)),
        Type::Varchar(limit) => return limited(text, limit, kind),
        Type::Char(0) => Some(Value::text(text.trim_end_matches(' '))),
        Type::Char(length) => return limited(text.trim_end_matches(' '), Some(length), kind),
        Type::Bool => boolean(text),
        Type::Int2 | Type::Int4 | Type::Int8 => return whole(text, kind),
        Type::Oid | Type::Xid | Type::Xid8 => text.trim().parse::<u64>().ok().and_then(unsigned(kind)),
        Type::Float4 | Type::Float8 => float(text, kind),
        Type::Numeric(scale) => decimal(text).and_then(|number| scaled(number, scale)).map(Value::decimal),
        Type::Bytea => bytes(text),
        Type::Uuid => uuid(text),
        Type::Json => json::check(text).then(|| Value::text(text)),
        Type::Jsonb => json::canonical(text).map(Value::text),
        Type::Date => calendar::parse_date(text).map(Value::Date),
        Type::Timestamp | Type::Timestamptz => {
            calendar::parse_timestamp(text, kind == Type::Timestamptz).map(Value::Timestamp)
        }
        Type::Interval => interval(text).map(Value::Interval),
        Type::PgLsn => lsn(text).map(Value::Lsn),
        Type::PgSnapshot => Some(Value::text(text)),
        Type::Void => Some(Value::void()),
        Type::Array(element) => return array(text, *element),
        Type::RegClass => return Err(SqlError::unknown("casts to regclass", "")),
    };
    value.ok_or_else(|| unreadable(text, kind))
}

fn unreadable(text: &str, kind: Type) -> SqlError {
    let code = match kind {
        Type::Date | Type::Timestamp | Type::Timestamptz | Type::Interval => state::INVALID_DATETIME_FORMAT,
        _ => state::INVALID_TEXT_REPRESENTATION,
    };
    SqlError::new(code, format!("invalid input syntax for type {kind}: \"{text}\""))
}

/// The range check of an integer type.
pub(super) fn in_range(value: i64, kind: Type) -> Result<Value, SqlError> {
    let fits = match kind {
        Type::Int2 => i16::try_from(value).is_ok(),
        Type::Int4 => i32::try_from(value).is_ok(),
        Type::Oid | Type::Xid => u32::try_from(value).is_ok(),
        _ => true,
    };
    if fits { Ok(Value::Int(value)) } else { Err(out_of_range(kind)) }
}

/// A number that its type does not hold.
pub(super) fn out_of_range(kind: Type) -> SqlError {
    SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, format!("{kind} out of range"))
}

/// A decimal at the scale of its column.
pub(super) fn scaled(number: Decimal, scale: Option<u8>) -> Option<Decimal> {
    match scale {
        Some(scale) => number.with_scale(scale),
        None => Some(number),
    }
}

/// A text of at most so many characters; blanks that are too many are dropped.
pub(super) fn limited(text: &str, limit: Option<u32>, kind: Type) -> Result<Value, SqlError> {
    let limit = limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let Some((cut, _)) = text.char_indices().nth(limit) else { return Ok(Value::text(text)) };
    if text[cut..].chars().all(|c| c == ' ') {
        return Ok(Value::text(&text[..cut]));
    }
    let message = format!("value too long for type {kind}({limit})");
    Err(SqlError::new(state::STRING_DATA_RIGHT_TRUNCATION, message))
}

fn boolean(text: &str) -> Option<Value> {
    let text = text.trim().to_lowercase();
    let is = |word: &str, shortest: usize| text.len() >= shortest && word.starts_with(&text);
    if is("true", 1) || is("yes", 1) || text == "on" || text == "1" {
        Some(Value::Bool(true))
    } else if is("false", 1) || is("no", 1) || is("off", 2) || text == "0" {
        Some(Value::Bool(false))
    } else {
        None
    }
}

fn whole(text: &str, kind: Type) -> Result<Value, SqlError> {
    let out_of_range = || {
        let message = format!("value \"{text}\" is out of range for type {kind}");
        SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, message)
    };
    let digits = text.trim();
    let unsigned = digits.strip_prefix(['-', '+']).unwrap_or(digits);
    if unsigned.is_empty() || !unsigned.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(unreadable(text, kind));
    }
    let value = digits.parse::<i64>().map_err(|_| out_of_range())?;
    in_range(value, kind).map_err(|_| out_of_range())
}

fn unsigned(kind: Type) -> impl Fn(u64) -> Option<Value> {
    move |value| {
        let fits = kind == Type::Xid8 || u32::try_from(value).is_ok();
        i64::try_from(value).ok().filter(|_| fits).map(Value::Int)
    }
}

fn float(text: &str, kind: Type) -> Option<Value> {
    let text = text.trim();
    let plain = text.trim_start_matches(['-', '+']).to_lowercase();
    let known = matches!(plain.as_str(), "nan" | "inf" | "infinity")
        || plain.starts_with(|c: char| c.is_ascii_digit() || c == '.');
    let value: f64 = text.parse().ok().filter(|_| known)?;
    #[expect(clippy::cast_possible_truncation, reason = "a real has the precision of a real")]
    let value = if kind == Type::Float4 { f64::from(value as f32) } else { value };
    Some(Value::Float(Float(value)))
}

fn decimal(text: &str) -> Option<Decimal> {
    let text = text.trim();
    match text.split_once(['e', 'E']) {
        None => Decimal::parse(text),
        Some((number, exponent)) => {
            let (number, exponent) = (Decimal::parse(number)?, exponent.parse::<i8>().ok()?);
            let power = 10_i128.checked_pow(exponent.unsigned_abs().into())?;
            if exponent < 0 {
                let unit = Decimal::new(1, exponent.unsigned_abs());
                number.times(unit)
            } else {
                number.times(Decimal::new(power, 0))
            }
        }
    }
}

fn bytes(text: &str) -> Option<Value> {
    let Some(digits) = text.strip_prefix("\\x") else {
        return (!text.contains('\\')).then(|| Value::Bytes(text.as_bytes().into()));
    };
    let digits: Vec<u8> = digits.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let pairs = digits.chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        u8::from_str_radix(pair, 16).ok()
    });
    pairs.collect::<Option<Vec<u8>>>().map(|bytes| Value::Bytes(bytes.into()))
}

fn uuid(text: &str) -> Option<Value> {
    let trimmed = text.strip_prefix('{').and_then(|text| text.strip_suffix('}')).unwrap_or(text);
    let digits: String = trimmed.chars().filter(|c| *c != '-').collect::<String>().to_lowercase();
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    let parts = [&digits[..8], &digits[8..12], &digits[12..16], &digits[16..20], &digits[20..]];
    Some(Value::text(parts.join("-")))
}

fn lsn(text: &str) -> Option<u64> {
    let (upper, lower) = text.trim().split_once('/')?;
    let part = |digits: &str| u32::from_str_radix(digits, 16).ok().filter(|_| digits.len() <= 8);
    Some(u64::from(part(upper)?) << 32 | u64::from(part(lower)?))
}

/// `1 day 02:00:00`, `5 minutes`, `500 ms`; months and years have no fixed length and are not read.
fn interval(text: &str) -> Option<i64> {
    let mut total_us = 0_i64;
    let mut words = text.split_whitespace().peekable();
    words.peek()?;
    while let Some(word) = words.next() {
        if word.contains(':') {
            let negative = word.starts_with('-');
            let time_us = calendar::parse_time(word.trim_start_matches(['-', '+']))?;
            total_us += if negative { -time_us } else { time_us };
            continue;
        }
        let split = word.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(word.len());
        let (number, unit) = word.split_at(split);
        let unit = if unit.is_empty() { words.next().unwrap_or("seconds") } else { unit };
        let number = Decimal::parse(number)?;
        total_us += number.times(Decimal::new(unit_us(unit)?, 0))?.to_whole()?;
    }
    Some(total_us)
}

/// The microseconds of a unit of time.
pub(super) fn unit_us(unit: &str) -> Option<i128> {
    let unit = unit.to_lowercase();
    Some(match unit.strip_suffix('s').filter(|one| one.len() > 1).unwrap_or(&unit) {
        "microsecond" | "usec" | "us" => 1,
        "millisecond" | "msec" | "ms" | "m" => 1_000,
        "second" | "sec" | "s" => 1_000_000,
        "minute" | "min" => 60_000_000,
        "hour" | "hr" | "h" => 3_600_000_000,
        "day" | "d" => 86_400_000_000,
        "week" | "w" => 604_800_000_000,
        _ => return None,
    })
}

/// `{1,2,NULL}` of one dimension.
fn array(text: &str, element: Type) -> Result<Value, SqlError> {
    let malformed = || {
        let message = format!("malformed array literal: \"{text}\"");
        SqlError::new(state::INVALID_TEXT_REPRESENTATION, message)
    };
    let body = text.trim().strip_prefix('{').and_then(|text| text.strip_suffix('}'));
    let elements = elements(body.ok_or_else(malformed)?).ok_or_else(malformed)?;
    let values = elements.into_iter().map(|(text, quoted)| {
        if !quoted && text.eq_ignore_ascii_case("null") { Ok(Value::Null) } else { read(&text, element) }
    });
    Ok(Value::Array(values.collect::<Result<Arc<[Value]>, _>>()?))
}

fn elements(body: &str) -> Option<Vec<(String, bool)>> {
    let mut found = Vec::new();
    if body.trim().is_empty() {
        return Some(found);
    }
    let (mut text, mut quoted, mut inside) = (String::new(), false, false);
    let mut signs = body.chars();
    while let Some(sign) = signs.next() {
        match sign {
            '\\' => text.push(signs.next()?),
            '"' => {
                inside = !inside;
                quoted = true;
            }
            ',' if !inside => found.push((std::mem::take(&mut text), std::mem::take(&mut quoted))),
            '{' | '}' if !inside => return None,
            blank if !inside && !quoted && text.is_empty() && blank.is_whitespace() => {}
            other => text.push(other),
        }
    }
    found.push((text, quoted));
    (!inside).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_as_their_types_have_them() {
        for (text, kind, printed) in [
            (" -7 ", Type::Int4, "-7"),
            ("yes", Type::Bool, "t"),
            ("1.50", Type::Numeric(None), "1.50"),
            ("1.5e3", Type::Numeric(None), "1500.0"),
            ("1.257", Type::Numeric(Some(2)), "1.26"),
            ("{1, 2,NULL}", Type::Array(&Type::Int4), "{1,2,NULL}"),
            ("{\"a,b\",c}", Type::Array(&Type::Text), "{\"a,b\",c}"),
            ("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", Type::Uuid, "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"),
            ("16/B374D848", Type::PgLsn, "16/B374D848"),
            ("1 day 2 hours", Type::Interval, "1 day 02:00:00"),
            ("{\"bb\":1,\"a\":[1,null]}", Type::Jsonb, "{\"a\": [1, null], \"bb\": 1}"),
        ] {
            let value = read(text, kind).expect(text);
            assert_eq!(value.output(kind).as_deref(), Some(printed));
        }
    }

    #[test]
    fn what_is_no_value_is_refused_in_postgresqls_words() {
        let message = |text, kind| read(text, kind).map_err(|error| error.message);
        assert_eq!(message("x", Type::Int4).unwrap_err(), "invalid input syntax for type integer: \"x\"");
        assert_eq!(
            message("70000", Type::Int2).unwrap_err(),
            "value \"70000\" is out of range for type smallint"
        );
        assert_eq!(
            message("abcd", Type::Varchar(Some(3))).unwrap_err(),
            "value too long for type character varying(3)"
        );
        assert_eq!(message("{1", Type::Array(&Type::Int4)).unwrap_err(), "malformed array literal: \"{1\"");
    }
}
