//! Functions of texts, JSON and points in time.

use super::super::super::calendar::{self, DAY_US};
use super::super::super::decimal::Decimal;
use super::super::super::error::{SqlError, state};
use super::super::super::value::Value;
use super::super::input::unit_us;
use super::super::json;
use super::function::Function;

/// A function of texts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum TextFunction {
    Lower,
    Upper,
    Length,
    OctetLength,
    Substring,
    Left,
    Right,
    Repeat,
    Replace,
    Trim { start: bool, end: bool },
    Concat,
    ConcatWithSeparator,
    Position,
    Reverse,
    StartsWith,
    SplitPart,
    PadLeft,
    PadRight,
    Character,
    Code,
}

impl TextFunction {
    pub(super) fn apply(self, args: &[Value]) -> Result<Value, SqlError> {
        use TextFunction as F;
        let text = |at: usize| match args.get(at) {
            Some(Value::Text(text)) => &**text,
            _ => "",
        };
        let number = |at: usize| match args.get(at) {
            Some(Value::Int(number)) => *number,
            _ => 0,
        };
        let chars = || text(0).chars();
        Ok(match self {
            F::Lower => Value::text(text(0).to_lowercase()),
            F::Upper => Value::text(text(0).to_uppercase()),
            F::Length => counted(match &args[0] {
                Value::Bytes(bytes) => bytes.len(),
                _ => chars().count(),
            }),
            F::OctetLength => counted(text(0).len()),
            F::Substring => substring(text(0), number(1), args.get(2).map(|_| number(2)))?,
            F::Left => Value::text(chars().take(kept(text(0), number(1))).collect::<String>()),
            F::Right => {
                let skipped = chars().count() - kept(text(0), number(1));
                Value::text(chars().skip(skipped).collect::<String>())
            }
            F::Repeat => Value::text(text(0).repeat(usize::try_from(number(1)).unwrap_or(0))),
            F::Replace if text(1).is_empty() => args[0].clone(),
            F::Replace => Value::text(text(0).replace(text(1), text(2))),
            F::Trim { start, end } => {
                let blanks = if args.len() > 1 { text(1) } else { " " };
                let mut trimmed = text(0);
                if start {
                    trimmed = trimmed.trim_start_matches(|c| blanks.contains(c));
                }
                if end {
                    trimmed = trimmed.trim_end_matches(|c| blanks.contains(c));
                }
                Value::text(trimmed)
            }
            F::Concat => Value::text(joined(args, "")),
            F::ConcatWithSeparator if args[0].is_null() => Value::Null,
            F::ConcatWithSeparator => Value::text(joined(&args[1..], text(0))),
            F::Position => counted(text(0).find(text(1)).map_or(0, |at| text(0)[..at].chars().count() + 1)),
            F::Reverse => Value::text(chars().rev().collect::<String>()),
            F::StartsWith => Value::Bool(text(0).starts_with(text(1))),
            F::SplitPart => {
                let part = usize::try_from(number(2) - 1).ok();
                let part = part.and_then(|part| text(0).split(text(1)).nth(part));
                Value::text(part.unwrap_or_default())
            }
            F::PadLeft => padded(args, true),
            F::PadRight => padded(args, false),
            F::Character => {
                let sign = u32::try_from(number(0)).ok().and_then(char::from_u32).filter(|c| *c != '\0');
                let wrong = || SqlError::new("54000", "requested character not valid for encoding");
                Value::text(sign.ok_or_else(wrong)?.to_string())
            }
            F::Code => counted(chars().next().map_or(0, |c| c as usize)),
        })
    }
}

/// Functions that are asked rarely.
pub(super) fn other(function: Function, args: &[Value]) -> Result<Value, SqlError> {
    Ok(match (function, args) {
        (Function::JsonMember { as_text }, [Value::Text(json), key]) => {
            let key = match key {
                Value::Int(at) => json::Key::Element(*at),
                Value::Text(name) => json::Key::Field(name.to_string()),
                _ => return Ok(Value::Null),
            };
            json::member(json, &key, as_text).map_or(Value::Null, Value::text)
        }
        (Function::SnapshotXmin, [Value::Text(snapshot)]) => snapshot_part(snapshot, 0),
        (Function::SnapshotXmax, [Value::Text(snapshot)]) => snapshot_part(snapshot, 1),
        (Function::DateTrunc, [Value::Text(unit), Value::Timestamp(at_us)]) => truncated(unit, *at_us)?,
        (Function::Extract, [Value::Text(field), value]) => extracted(field, value)?,
        _ => unreachable!("the arguments of {function:?} were cast to its types: {args:?}"),
    })
}

fn counted(count: usize) -> Value {
    Value::Int(i64::try_from(count).unwrap_or(i64::MAX))
}

/// How many characters `left` and `right` keep: all but so many, where the number is negative.
fn kept(text: &str, number: i64) -> usize {
    let count = text.chars().count();
    match usize::try_from(number) {
        Ok(number) => number.min(count),
        Err(_) => count.saturating_sub(usize::try_from(number.unsigned_abs()).unwrap_or(usize::MAX)),
    }
}

fn substring(text: &str, from: i64, length: Option<i64>) -> Result<Value, SqlError> {
    if length.is_some_and(|length| length < 0) {
        return Err(SqlError::new("22011", "negative substring length not allowed"));
    }
    let end = length.map_or(i64::MAX, |length| from.saturating_add(length));
    let numbered = (1..).zip(text.chars());
    let kept = numbered.filter(|(number, _)| (from..end).contains(number)).map(|(_, sign)| sign);
    Ok(Value::text(kept.collect::<String>()))
}

fn joined(args: &[Value], separator: &str) -> String {
    let texts = args.iter().filter_map(|value| match value {
        Value::Text(text) => Some(&**text),
        _ => None,
    });
    texts.collect::<Vec<_>>().join(separator)
}

fn padded(args: &[Value], left: bool) -> Value {
    let (Value::Text(text), Value::Int(length)) = (&args[0], &args[1]) else { return Value::Null };
    let fill = match args.get(2) {
        Some(Value::Text(fill)) => fill.to_string(),
        _ => " ".to_owned(),
    };
    let length = usize::try_from(*length).unwrap_or(0);
    let cut: String = text.chars().take(length).collect();
    let missing = length - cut.chars().count();
    let padding: String = fill.chars().cycle().take(missing).collect();
    Value::text(if left { padding + &cut } else { cut + &padding })
}

/// `LIKE`: `%` stands for any signs, `_` for one, a backslash takes the next sign as it is.
pub(super) fn like(text: &str, pattern: &str, insensitive: bool) -> Result<bool, SqlError> {
    let fold = |text: &str| if insensitive { text.to_lowercase() } else { text.to_owned() };
    let (text, pattern) = (fold(text), fold(pattern));
    let trailing = pattern.chars().rev().take_while(|c| *c == '\\').count();
    if trailing % 2 == 1 {
        return Err(SqlError::new("22025", "LIKE pattern must not end with escape character"));
    }
    let text: Vec<char> = text.chars().collect();
    let pattern: Vec<char> = pattern.chars().collect();
    Ok(matches(&text, &pattern))
}

fn matches(text: &[char], pattern: &[char]) -> bool {
    match (pattern, text) {
        ([], rest) => rest.is_empty(),
        (['%', pattern @ ..], text) => (0..=text.len()).any(|skip| matches(&text[skip..], pattern)),
        (['_', pattern @ ..], [_, text @ ..]) => matches(text, pattern),
        (['\\', sign, pattern @ ..], [first, text @ ..]) => sign == first && matches(text, pattern),
        ([sign, pattern @ ..], [first, text @ ..]) => sign == first && matches(text, pattern),
        _ => false,
    }
}

fn snapshot_part(snapshot: &str, part: usize) -> Value {
    let number = snapshot.split(':').nth(part).and_then(|digits| digits.parse().ok());
    number.map_or(Value::Null, Value::Int)
}

fn truncated(unit: &str, at_us: i64) -> Result<Value, SqlError> {
    let (year, month, _) = calendar::date_of(at_us.div_euclid(DAY_US));
    let day = |year, month| Value::Timestamp(calendar::day_of(year, month, 1) * DAY_US);
    match unit.to_lowercase().as_str() {
        "year" => Ok(day(year, 1)),
        "month" => Ok(day(year, month)),
        small => match unit_us(small).and_then(|unit_us| i64::try_from(unit_us).ok()) {
            Some(unit_us) if unit_us <= DAY_US => Ok(Value::Timestamp(at_us - at_us.rem_euclid(unit_us))),
            _ => {
                Err(SqlError::unknown(format!("the unit {unit} of date_trunc"), "year, month, day and less"))
            }
        },
    }
}

fn extracted(field: &str, value: &Value) -> Result<Value, SqlError> {
    let (total_us, has_date) = match value {
        Value::Timestamp(at_us) => (*at_us, true),
        Value::Date(day) => (day * DAY_US, true),
        Value::Interval(length_us) => (*length_us, false),
        _ => return Ok(Value::Null),
    };
    let (year, month, day) = calendar::date_of(total_us.div_euclid(DAY_US));
    let of_day_us = if has_date { total_us.rem_euclid(DAY_US) } else { total_us % DAY_US };
    let seconds = |value_us: i64| Decimal::new(value_us.into(), 6);
    let whole = |number: i64| Decimal::new(number.into(), 0);
    let number = match field.to_lowercase().as_str() {
        "epoch" => seconds(total_us),
        "year" if has_date => whole(year),
        "month" if has_date => whole(month),
        "day" if has_date => whole(day),
        "day" => whole(total_us / DAY_US),
        "hour" => whole(of_day_us / 3_600_000_000),
        "minute" => whole(of_day_us / 60_000_000 % 60),
        "second" => seconds(of_day_us % 60_000_000),
        "milliseconds" | "millisecond" => Decimal::new((of_day_us % 60_000_000).into(), 3),
        other => {
            let error = SqlError::unknown(format!("the field {other} of EXTRACT"), "epoch, year to second");
            return Err(SqlError { code: state::FEATURE_NOT_SUPPORTED, ..error });
        }
    };
    Ok(Value::decimal(number))
}
