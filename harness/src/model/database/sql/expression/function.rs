//! Functions of values alone.

use std::cmp::Ordering;

use super::super::super::calendar::DAY_US;
use super::super::super::decimal::Decimal;
use super::super::super::error::{SqlError, state};
use super::super::super::types::Type;
use super::super::super::value::{Float, Value};
use super::super::cast::{Context, cast};
use super::super::input;
use super::text::{TextFunction, like};

/// How two values are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    pub(in super::super) fn holds(self, order: Ordering) -> bool {
        match self {
            Comparison::Equal => order.is_eq(),
            Comparison::NotEqual => order.is_ne(),
            Comparison::Less => order.is_lt(),
            Comparison::LessOrEqual => order.is_le(),
            Comparison::Greater => order.is_gt(),
            Comparison::GreaterOrEqual => order.is_ge(),
        }
    }

    /// The same comparison with its sides exchanged.
    pub(in super::super) fn turned(self) -> Self {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            same @ (Comparison::Equal | Comparison::NotEqual) => same,
        }
    }

    pub(in super::super) fn sign(self) -> &'static str {
        match self {
            Comparison::Equal => "=",
            Comparison::NotEqual => "<>",
            Comparison::Less => "<",
            Comparison::LessOrEqual => "<=",
            Comparison::Greater => ">",
            Comparison::GreaterOrEqual => ">=",
        }
    }
}

/// The four arithmetic operations and the remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Arithmetic {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
}

/// A function whose result depends on its arguments alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Function {
    Cast {
        from: Type,
        to: Type,
        context: Context,
    },
    Compare(Comparison),
    /// `IS [NOT] DISTINCT FROM`.
    Distinct {
        negated: bool,
    },
    IsNull {
        negated: bool,
    },
    /// `IS [NOT] TRUE`, `FALSE`, and `UNKNOWN` (none).
    Is {
        truth: Option<bool>,
        negated: bool,
    },
    Not,
    /// Numbers of one type, with a result of it.
    Arithmetic(Arithmetic, Type),
    Negate(Type),
    Absolute(Type),
    /// Dates and times: the second argument is added so many times.
    Shift {
        sign: i64,
        unit_us: i64,
    },
    /// The difference of two of the same kind.
    Difference,
    /// A date or timestamp as the other.
    LsnDifference,
    Concat,
    ArrayConcat,
    Like {
        insensitive: bool,
        negated: bool,
    },
    /// The left side compared with any element, or with all.
    Any(Comparison),
    All(Comparison),
    NullIf,
    Greatest,
    Least,
    Text(TextFunction),
    /// `floor`, `ceil`, `round` and `trunc` of `numeric` and `double precision`.
    Round(Rounding),
    Cardinality,
    /// The element at a place, counted from 1.
    Element,
    JsonMember {
        as_text: bool,
    },
    SnapshotXmin,
    SnapshotXmax,
    DateTrunc,
    Extract,
}

/// Which way numbers are rounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(in super::super) enum Rounding {
    Down,
    Up,
    Nearest,
    Truncate,
}

impl Function {
    /// Whether a null among the arguments makes the result null, without the function being asked.
    fn is_strict(self) -> bool {
        !matches!(
            self,
            Function::Distinct { .. }
                | Function::IsNull { .. }
                | Function::Is { .. }
                | Function::NullIf
                | Function::Greatest
                | Function::Least
                | Function::ArrayConcat
                | Function::Text(TextFunction::Concat | TextFunction::ConcatWithSeparator)
        )
    }

    /// The result.
    pub(in super::super) fn apply(self, args: &[Value]) -> Result<Value, SqlError> {
        if self.is_strict() && args.iter().any(Value::is_null) {
            return Ok(Value::Null);
        }
        Ok(match (self, args) {
            (Function::Compare(comparison), [one, two]) => Value::Bool(comparison.holds(one.cmp(two))),
            (Function::Cast { from, to, context }, [one]) => cast(one.clone(), from, to, context)?,
            (Function::Distinct { negated }, [one, two]) => Value::Bool((one != two) != negated),
            (Function::IsNull { negated }, [one]) => Value::Bool(one.is_null() != negated),
            (Function::Is { truth, negated }, [one]) => {
                let wanted = truth.map_or(Value::Null, Value::Bool);
                Value::Bool((*one == wanted) != negated)
            }
            (Function::Not, [Value::Bool(one)]) => Value::Bool(!one),
            (Function::Arithmetic(operation, kind), [one, two]) => arithmetic(operation, kind, one, two)?,
            (Function::Negate(kind), [one]) => arithmetic(Arithmetic::Subtract, kind, &zero(kind), one)?,
            (Function::Absolute(kind), [one]) if *one < zero(kind) => {
                arithmetic(Arithmetic::Subtract, kind, &zero(kind), one)?
            }
            (Function::Absolute(_), [one]) => one.clone(),
            (Function::Shift { sign, unit_us }, [one, two]) => shifted(one, two, sign, unit_us)?,
            (Function::Difference, [Value::Date(one), Value::Date(two)]) => Value::Int(one - two),
            (Function::Difference, [Value::Timestamp(one), Value::Timestamp(two)]) => {
                Value::Interval(one - two)
            }
            (Function::LsnDifference, [Value::Lsn(one), Value::Lsn(two)]) => {
                Value::decimal(Decimal::new(i128::from(*one) - i128::from(*two), 0))
            }
            (Function::Concat, [Value::Text(one), Value::Text(two)]) => Value::text(format!("{one}{two}")),
            (Function::Concat, [Value::Bytes(one), Value::Bytes(two)]) => {
                Value::Bytes(one.iter().chain(two.iter()).copied().collect())
            }
            (Function::ArrayConcat, [one, two]) => array_concat(one, two),
            (Function::Like { insensitive, negated }, [Value::Text(text), Value::Text(pattern)]) => {
                Value::Bool(like(text, pattern, insensitive)? != negated)
            }
            (Function::Any(comparison), [one, Value::Array(values)]) => {
                quantified(one, values, comparison, true)
            }
            (Function::All(comparison), [one, Value::Array(values)]) => {
                quantified(one, values, comparison, false)
            }
            (Function::NullIf, [one, two]) if one == two => Value::Null,
            (Function::NullIf, [one, _]) => one.clone(),
            (Function::Greatest, values) => known(values).max().cloned().unwrap_or(Value::Null),
            (Function::Least, values) => known(values).min().cloned().unwrap_or(Value::Null),
            (Function::Text(function), args) => function.apply(args)?,
            (Function::Round(rounding), args) => rounded(rounding, args)?,
            (Function::Cardinality, [Value::Array(values), ..]) => {
                Value::Int(i64::try_from(values.len()).unwrap_or(i64::MAX))
            }
            (Function::Element, [Value::Array(values), Value::Int(at)]) => {
                let at = usize::try_from(*at - 1).ok();
                at.and_then(|at| values.get(at)).cloned().unwrap_or(Value::Null)
            }
            (function, args) => super::text::other(function, args)?,
        })
    }
}

fn zero(kind: Type) -> Value {
    match kind {
        Type::Float4 | Type::Float8 => Value::Float(Float(0.0)),
        Type::Numeric(_) => Value::decimal(Decimal::new(0, 0)),
        Type::Interval => Value::Interval(0),
        _ => Value::Int(0),
    }
}

fn known(values: &[Value]) -> impl Iterator<Item = &Value> {
    values.iter().filter(|value| !value.is_null())
}

/// Division by zero.
pub(super) fn division_by_zero() -> SqlError {
    SqlError::new(state::DIVISION_BY_ZERO, "division by zero")
}

fn arithmetic(operation: Arithmetic, kind: Type, one: &Value, two: &Value) -> Result<Value, SqlError> {
    match (one, two) {
        (Value::Int(one), Value::Int(two)) => {
            let result = match operation {
                Arithmetic::Add => one.checked_add(*two),
                Arithmetic::Subtract => one.checked_sub(*two),
                Arithmetic::Multiply => one.checked_mul(*two),
                Arithmetic::Divide | Arithmetic::Modulo if *two == 0 => return Err(division_by_zero()),
                Arithmetic::Divide => one.checked_div(*two),
                Arithmetic::Modulo => Some(one.wrapping_rem(*two)),
            };
            input::in_range(result.ok_or_else(|| input::out_of_range(kind))?, kind)
        }
        (Value::Decimal(one), Value::Decimal(two)) => {
            let result = match operation {
                Arithmetic::Add => one.plus(**two),
                Arithmetic::Subtract => one.plus(two.negated()),
                Arithmetic::Multiply => one.times(**two),
                Arithmetic::Divide | Arithmetic::Modulo if **two == Decimal::new(0, 0) => {
                    return Err(division_by_zero());
                }
                Arithmetic::Divide => one.divided_by(**two),
                Arithmetic::Modulo => one.remainder(**two),
            };
            let too_long =
                || SqlError::unknown("numeric values of more than 38 digits", "numbers that are shorter");
            result.map(Value::decimal).ok_or_else(too_long)
        }
        (Value::Float(Float(one)), Value::Float(Float(two))) => floating(operation, kind, *one, *two),
        (Value::Interval(one), Value::Interval(two)) => Ok(Value::Interval(match operation {
            Arithmetic::Add => one + two,
            _ => one - two,
        })),
        _ => unreachable!("both sides were cast to one type of number"),
    }
}

fn floating(operation: Arithmetic, kind: Type, one: f64, two: f64) -> Result<Value, SqlError> {
    let value = match operation {
        Arithmetic::Add => one + two,
        Arithmetic::Subtract => one - two,
        Arithmetic::Multiply => one * two,
        Arithmetic::Divide if two == 0.0 => return Err(division_by_zero()),
        Arithmetic::Divide => one / two,
        Arithmetic::Modulo => one % two,
    };
    if value.is_infinite() && one.is_finite() && two.is_finite() {
        return Err(SqlError::new(state::NUMERIC_VALUE_OUT_OF_RANGE, "value out of range: overflow"));
    }
    cast(Value::Float(Float(value)), Type::Float8, kind, Context::Implicit)
}

/// A date or a time moved by a number of units, or by an interval.
fn shifted(one: &Value, two: &Value, sign: i64, unit_us: i64) -> Result<Value, SqlError> {
    let by = match two {
        Value::Int(by) | Value::Interval(by) => by.checked_mul(sign),
        _ => None,
    };
    let moved = |from: i64| by.and_then(|by| from.checked_add(by));
    let result = match one {
        Value::Date(day) if unit_us == DAY_US => moved(*day).map(Value::Date),
        Value::Timestamp(at_us) => moved(*at_us).map(Value::Timestamp),
        _ => None,
    };
    result.ok_or_else(|| SqlError::new("22008", "timestamp out of range"))
}

fn array_concat(one: &Value, two: &Value) -> Value {
    let elements = |value: &Value| match value {
        Value::Array(values) => values.to_vec(),
        Value::Null => Vec::new(),
        single => vec![single.clone()],
    };
    if one.is_null() && two.is_null() {
        return Value::Null;
    }
    Value::Array(elements(one).into_iter().chain(elements(two)).collect())
}

/// `= ANY` and `<> ALL`: null where nothing decides and an element is unknown.
fn quantified(one: &Value, values: &[Value], comparison: Comparison, any: bool) -> Value {
    let decides = known(values).any(|value| comparison.holds(one.cmp(value)) == any);
    if decides {
        Value::Bool(any)
    } else if values.iter().any(Value::is_null) {
        Value::Null
    } else {
        Value::Bool(!any)
    }
}

fn rounded(rounding: Rounding, args: &[Value]) -> Result<Value, SqlError> {
    let places = match args.get(1) {
        Some(Value::Int(places)) => u8::try_from(*places)
            .map_err(|_| SqlError::unknown("rounding to less than a whole number", "0 and more places"))?,
        _ => 0,
    };
    Ok(match &args[0] {
        Value::Float(Float(value)) => Value::Float(Float(match rounding {
            Rounding::Down => value.floor(),
            Rounding::Up => value.ceil(),
            Rounding::Nearest => value.round_ties_even(),
            Rounding::Truncate => value.trunc(),
        })),
        Value::Decimal(value) => {
            let nearest = value.with_scale(places).unwrap_or(**value);
            let unit = Decimal::new(1, places);
            let moved = match rounding {
                Rounding::Down if nearest > **value => nearest.plus(unit.negated()),
                Rounding::Up if nearest < **value => nearest.plus(unit),
                Rounding::Truncate if nearest > **value && **value > Decimal::new(0, 0) => {
                    nearest.plus(unit.negated())
                }
                Rounding::Truncate if nearest < **value && **value < Decimal::new(0, 0) => nearest.plus(unit),
                _ => Some(nearest),
            };
            Value::decimal(moved.unwrap_or(nearest))
        }
        other => other.clone(),
    })
}
