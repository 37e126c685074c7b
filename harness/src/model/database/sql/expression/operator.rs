//! Which function an operator is, for the types of its sides.

use sqlparser::ast::{BinaryOperator as Op, UnaryOperator};

use super::super::super::calendar::DAY_US;
use super::super::super::error::{SqlError, state};
use super::super::super::types::Type;
use super::super::cast::{self, Context};
use super::super::params::{Params, coerced, condition};
use super::function::{Arithmetic, Comparison, Function};
use super::{Expr, Typed};

fn does_not_exist(left: Type, sign: &str, right: Type) -> SqlError {
    SqlError::new(state::UNDEFINED_FUNCTION, format!("operator does not exist: {left} {sign} {right}"))
}

fn apply(function: Function, args: Vec<Expr>, kind: Type) -> Typed {
    Typed::new(Expr::Apply(function, args.into()), kind)
}

/// `left op right`.
pub(in super::super) fn binary(
    op: &Op,
    left: Typed,
    right: Typed,
    params: &Params,
) -> Result<Typed, SqlError> {
    if let Some(comparison) = comparison(op) {
        return compared(comparison, left, right, params);
    }
    match op {
        Op::And | Op::Or => {
            let clause = if *op == Op::And { "AND" } else { "OR" };
            let parts = [condition(left, clause, params)?, condition(right, clause, params)?];
            let parts = if *op == Op::And { Expr::And(parts.into()) } else { Expr::Or(parts.into()) };
            Ok(Typed::new(parts, Type::Bool))
        }
        Op::Plus => arithmetic(Arithmetic::Add, "+", left, right, params),
        Op::Minus => arithmetic(Arithmetic::Subtract, "-", left, right, params),
        Op::Multiply => arithmetic(Arithmetic::Multiply, "*", left, right, params),
        Op::Divide => arithmetic(Arithmetic::Divide, "/", left, right, params),
        Op::Modulo => arithmetic(Arithmetic::Modulo, "%", left, right, params),
        Op::StringConcat => concatenated(left, right, params),
        Op::PGLikeMatch => like(left, right, false, false, params),
        Op::PGILikeMatch => like(left, right, true, false, params),
        Op::PGNotLikeMatch => like(left, right, false, true, params),
        Op::PGNotILikeMatch => like(left, right, true, true, params),
        Op::Arrow | Op::LongArrow => json_member(*op == Op::LongArrow, left, right, params),
        other => {
            Err(SqlError::unknown(format!("the operator {other}"), "= <> < <= > >= + - * / % || LIKE -> ->>"))
        }
    }
}

/// The comparison that an operator is.
fn comparison(op: &Op) -> Option<Comparison> {
    Some(match op {
        Op::Eq => Comparison::Equal,
        Op::NotEq => Comparison::NotEqual,
        Op::Lt => Comparison::Less,
        Op::LtEq => Comparison::LessOrEqual,
        Op::Gt => Comparison::Greater,
        Op::GtEq => Comparison::GreaterOrEqual,
        _ => return None,
    })
}

/// Both sides in the type in which they are compared.
pub(in super::super) fn compared(
    comparison: Comparison,
    left: Typed,
    right: Typed,
    params: &Params,
) -> Result<Typed, SqlError> {
    let (one, two) = (left.kind, right.kind);
    if one == Type::RegClass || two == Type::RegClass {
        return Err(super::super::params::no_regclass());
    }
    let none = || does_not_exist(one, comparison.sign(), two);
    let kind = comparable(one, two).ok_or_else(none)?;
    let left = coerced(left, kind, Context::Explicit, params)?.ok_or_else(none)?;
    let right = coerced(right, kind, Context::Explicit, params)?.ok_or_else(none)?;
    Ok(apply(Function::Compare(comparison), vec![left, right], Type::Bool))
}

fn comparable(one: Type, two: Type) -> Option<Type> {
    let kind = match (one, two) {
        (Type::Xid, Type::Int4) | (Type::Int4, Type::Xid) => Type::Xid,
        _ => cast::common(one, two)?.base(),
    };
    match kind {
        Type::Unknown | Type::Char(_) | Type::Varchar(_) => Some(Type::Text),
        Type::Json | Type::Void | Type::PgSnapshot => None,
        kind => Some(kind),
    }
}

/// The array whose elements are compared with a value of that type, and the type of both.
pub(in super::super) fn array_of(
    element: Typed,
    array: Typed,
    comparison: Comparison,
    params: &Params,
) -> Result<(Expr, Expr), SqlError> {
    let (one, two) = (element.kind, array.kind);
    let none = || does_not_exist(one, comparison.sign(), two);
    let inner = match two {
        Type::Array(inner) => *inner,
        Type::Unknown => {
            if one == Type::Unknown {
                Type::Text
            } else {
                one
            }
        }
        _ => {
            let message = "op ANY/ALL (array) requires array on right side";
            return Err(SqlError::new(state::WRONG_OBJECT_TYPE, message));
        }
    };
    let kind = comparable(one, inner).ok_or_else(none)?;
    let kind = array_type(kind).ok_or_else(none)?;
    let Type::Array(inner) = kind else { return Err(none()) };
    let element = coerced(element, *inner, Context::Explicit, params)?.ok_or_else(none)?;
    let array = coerced(array, kind, Context::Explicit, params)?.ok_or_else(none)?;
    Ok((element, array))
}

/// The type of arrays of a type.
pub(in super::super) fn array_type(element: Type) -> Option<Type> {
    Some(Type::Array(match element {
        Type::Bool => &Type::Bool,
        Type::Int2 => &Type::Int2,
        Type::Int4 => &Type::Int4,
        Type::Int8 => &Type::Int8,
        Type::Float8 => &Type::Float8,
        Type::Numeric(_) => &Type::Numeric(None),
        Type::Text | Type::Varchar(_) | Type::Unknown => &Type::Text,
        Type::Uuid => &Type::Uuid,
        Type::Date => &Type::Date,
        Type::Timestamp => &Type::Timestamp,
        Type::Timestamptz => &Type::Timestamptz,
        Type::Jsonb => &Type::Jsonb,
        Type::Oid => &Type::Oid,
        Type::Xid => &Type::Xid,
        Type::Xid8 => &Type::Xid8,
        Type::PgLsn => &Type::PgLsn,
        Type::Name => &Type::Name,
        _ => return None,
    }))
}

fn arithmetic(
    operation: Arithmetic,
    sign: &str,
    left: Typed,
    right: Typed,
    params: &Params,
) -> Result<Typed, SqlError> {
    let (one, two) = (left.kind, right.kind);
    let none = || does_not_exist(one, sign, two);
    if let Some(kind) = number_type(one, two) {
        if operation == Arithmetic::Modulo && matches!(kind, Type::Float4 | Type::Float8) {
            return Err(none());
        }
        let left = coerced(left, kind, Context::Implicit, params)?.ok_or_else(none)?;
        let right = coerced(right, kind, Context::Implicit, params)?.ok_or_else(none)?;
        return Ok(apply(Function::Arithmetic(operation, kind), vec![left, right], kind));
    }
    temporal(operation, left, right, params)?.ok_or_else(none)
}

/// The type in which two numbers meet.
fn number_type(one: Type, two: Type) -> Option<Type> {
    let (one, two) = match (one, two) {
        (Type::Unknown, kind) | (kind, Type::Unknown) => (kind, kind),
        both => both,
    };
    if !one.is_number() || !two.is_number() {
        return None;
    }
    let (one, two) = (one.base(), two.base());
    if one == two {
        return Some(one);
    }
    if [one, two].iter().any(|kind| matches!(kind, Type::Float4 | Type::Float8)) {
        return Some(Type::Float8);
    }
    cast::common(one, two)
}

/// Sums and differences of dates, times and positions in the log.
fn temporal(
    operation: Arithmetic,
    left: Typed,
    right: Typed,
    params: &Params,
) -> Result<Option<Typed>, SqlError> {
    let sign = if operation == Arithmetic::Add { 1 } else { -1 };
    let (left, right) = match (left.kind, right.kind) {
        (Type::Int4 | Type::Interval, Type::Date | Type::Timestamp | Type::Timestamptz) if sign > 0 => {
            (right, left)
        }
        _ => (left, right),
    };
    let (one, two) = (left.kind, right.kind);
    if !matches!(operation, Arithmetic::Add | Arithmetic::Subtract) {
        return Ok(None);
    }
    let shift = |unit_us| Function::Shift { sign, unit_us };
    let (function, left_kind, right_kind, kind) = match (one, two) {
        (Type::Date, Type::Int2 | Type::Int4) => (shift(DAY_US), one, two, Type::Date),
        (Type::Date, Type::Interval) => (shift(1), Type::Timestamp, two, Type::Timestamp),
        (Type::Timestamp | Type::Timestamptz, Type::Interval) => (shift(1), one, two, one),
        (Type::Timestamp | Type::Timestamptz, Type::Unknown) => (shift(1), one, Type::Interval, one),
        (Type::Interval, Type::Interval | Type::Unknown) => {
            (Function::Arithmetic(operation, one), one, one, one)
        }
        (Type::Date, Type::Date) if sign < 0 => (Function::Difference, one, two, Type::Int4),
        (Type::Timestamp, Type::Timestamp) | (Type::Timestamptz, Type::Timestamptz) if sign < 0 => {
            (Function::Difference, one, two, Type::Interval)
        }
        (Type::PgLsn, Type::PgLsn) if sign < 0 => (Function::LsnDifference, one, two, Type::Numeric(None)),
        _ => return Ok(None),
    };
    let left = coerced(left, left_kind, Context::Implicit, params)?;
    let right = coerced(right, right_kind, Context::Implicit, params)?;
    Ok(left.zip(right).map(|(left, right)| apply(function, vec![left, right], kind)))
}

fn concatenated(left: Typed, right: Typed, params: &Params) -> Result<Typed, SqlError> {
    let (one, two) = (left.kind, right.kind);
    if matches!(one, Type::Array(_)) || matches!(two, Type::Array(_)) {
        let kind = if matches!(one, Type::Array(_)) { one } else { two };
        let Type::Array(element) = kind else { return Err(does_not_exist(one, "||", two)) };
        let side = |side: Typed| {
            let to = if matches!(side.kind, Type::Array(_) | Type::Unknown) { kind } else { *element };
            coerced(side, to, Context::Implicit, params)?.ok_or_else(|| does_not_exist(one, "||", two))
        };
        return Ok(apply(Function::ArrayConcat, vec![side(left)?, side(right)?], kind));
    }
    if one == Type::Bytea && matches!(two, Type::Bytea | Type::Unknown) {
        let right = coerced(right, one, Context::Implicit, params)?;
        let right = right.ok_or_else(|| does_not_exist(one, "||", two))?;
        return Ok(apply(Function::Concat, vec![left.expr, right], Type::Bytea));
    }
    let text = |kind: Type| kind.is_string();
    if !text(one) && !text(two) || one == Type::Jsonb || two == Type::Jsonb {
        return Err(does_not_exist(one, "||", two));
    }
    let none = || does_not_exist(one, "||", two);
    let left = coerced(left, Type::Text, Context::Assignment, params)?.ok_or_else(none)?;
    let right = coerced(right, Type::Text, Context::Assignment, params)?.ok_or_else(none)?;
    Ok(apply(Function::Concat, vec![left, right], Type::Text))
}

/// `LIKE` and its kin.
pub(in super::super) fn like(
    left: Typed,
    right: Typed,
    insensitive: bool,
    negated: bool,
    params: &Params,
) -> Result<Typed, SqlError> {
    let (one, two) = (left.kind, right.kind);
    let none = || does_not_exist(one, if insensitive { "~~*" } else { "~~" }, two);
    let left = coerced(left, Type::Text, Context::Implicit, params)?.ok_or_else(none)?;
    let right = coerced(right, Type::Text, Context::Implicit, params)?.ok_or_else(none)?;
    Ok(apply(Function::Like { insensitive, negated }, vec![left, right], Type::Bool))
}

fn json_member(as_text: bool, left: Typed, right: Typed, params: &Params) -> Result<Typed, SqlError> {
    let (one, two) = (left.kind, right.kind);
    let none = || does_not_exist(one, if as_text { "->>" } else { "->" }, two);
    // Of `json` PostgreSQL gives parts as they were written, blanks and all.
    if one == Type::Json && !as_text {
        return Err(SqlError::unknown("-> of json", "-> of jsonb and ->> of both"));
    }
    if !matches!(one, Type::Json | Type::Jsonb) {
        return Err(none());
    }
    let key = if two.is_integer() { Type::Int4 } else { Type::Text };
    let right = coerced(right, key, Context::Implicit, params)?.ok_or_else(none)?;
    let kind = if as_text { Type::Text } else { one };
    Ok(apply(Function::JsonMember { as_text }, vec![left.expr, right], kind))
}

/// `NOT`, `-`, `+`.
pub(in super::super) fn unary(op: UnaryOperator, operand: Typed, params: &Params) -> Result<Typed, SqlError> {
    let kind = operand.kind;
    match op {
        UnaryOperator::Not => {
            let operand = condition(operand, "NOT", params)?;
            Ok(apply(Function::Not, vec![operand], Type::Bool))
        }
        UnaryOperator::Plus if kind.is_number() => Ok(operand),
        UnaryOperator::Minus if kind.is_number() || kind == Type::Interval => {
            let negated = apply(Function::Negate(kind.base()), vec![operand.expr], kind.base());
            Ok(folded(negated)?)
        }
        UnaryOperator::Minus | UnaryOperator::Plus => {
            let message = format!("operator does not exist: {op} {kind}");
            Err(SqlError::new(state::UNDEFINED_FUNCTION, message))
        }
        other => Err(SqlError::unknown(format!("the operator {other}"), "NOT - +")),
    }
}

/// A function of constants alone, computed: `-1` is a constant.
fn folded(typed: Typed) -> Result<Typed, SqlError> {
    let Typed { expr: Expr::Apply(function, args), kind } = &typed else { return Ok(typed) };
    let [Expr::Const(value)] = &**args else { return Ok(typed) };
    let value = function.apply(std::slice::from_ref(value))?;
    Ok(Typed::constant(value, *kind))
}
