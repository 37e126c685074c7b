//! The types of parameters, and how an expression is taken to another type.

use std::cell::RefCell;

use super::super::error::{SqlError, state};
use super::super::types::Type;
use super::super::value::Value;
use super::cast::{self, Context};
use super::expression::{Expr, Function, Typed};
use super::input;

/// The types of a statement's parameters, settled by their first use in a place that has a type.
#[derive(Debug, Default)]
pub(super) struct Params(RefCell<Vec<Option<Type>>>);

impl Params {
    /// `$1` is number 0.
    pub(super) fn use_of(&self, number: usize) -> Typed {
        let mut types = self.0.borrow_mut();
        if types.len() <= number {
            types.resize(number + 1, None);
        }
        Typed::new(Expr::Param(number), types[number].unwrap_or(Type::Unknown))
    }

    fn settle(&self, number: usize, kind: Type) -> Type {
        let mut types = self.0.borrow_mut();
        *types[number].get_or_insert(kind.base())
    }

    /// All of them; one that was never settled is an error.
    pub(super) fn settled(&self) -> Result<Vec<Type>, SqlError> {
        let types = self.0.borrow();
        let numbered = (1..).zip(types.iter());
        let undetermined = |number: usize| {
            let message = format!("could not determine data type of parameter ${number}");
            SqlError::new(state::INDETERMINATE_DATATYPE, message)
        };
        numbered.map(|(number, kind)| kind.ok_or_else(|| undetermined(number))).collect()
    }
}

/// The expression in another type; none where no cast of that context leads there.
pub(super) fn coerced(
    from: Typed,
    to: Type,
    context: Context,
    params: &Params,
) -> Result<Option<Expr>, SqlError> {
    let Typed { expr, kind } = from;
    if kind == Type::Unknown {
        match expr {
            Expr::Param(number) => {
                let settled = params.settle(number, to);
                return coerced(Typed::new(Expr::Param(number), settled), to, context, params);
            }
            Expr::Const(Value::Text(text)) => {
                // A length applies to a literal as it would to any text: by a cast.
                let value = input::read(&text, to.base())?;
                let kind = to.base();
                return coerced(Typed::constant(value, kind), to, context, params);
            }
            Expr::Const(Value::Null) => return Ok(Some(Expr::Const(Value::Null))),
            _ => {}
        }
    }
    if kind == to || cast::is_free(kind, to) && cast::context(kind, to).is_some_and(|least| least <= context)
    {
        return Ok(Some(expr));
    }
    if cast::context(kind, to).is_none_or(|least| least > context) {
        return Ok(None);
    }
    let function = Function::Cast { from: kind, to, context };
    if let Expr::Const(value) = expr {
        return Ok(Some(Expr::Const(function.apply(&[value])?)));
    }
    Ok(Some(Expr::Apply(function, [expr].into())))
}

/// A cast that is written.
pub(super) fn cast_to(from: Typed, to: Type, params: &Params) -> Result<Typed, SqlError> {
    let kind = from.kind;
    let expr = coerced(from, to, Context::Explicit, params)?.ok_or_else(|| {
        if kind == Type::RegClass {
            return no_regclass();
        }
        SqlError::new("42846", format!("cannot cast type {kind} to {to}"))
    })?;
    Ok(Typed::new(expr, to))
}

/// Names of relations are handed on as texts; their numbers are not known.
pub(super) fn no_regclass() -> SqlError {
    SqlError::unknown("regclass but as a name", "nextval('name'::regclass)")
}

/// What goes into a column.
pub(super) fn assigned(from: Typed, column: &str, to: Type, params: &Params) -> Result<Expr, SqlError> {
    let kind = from.kind;
    coerced(from, to, Context::Assignment, params)?.ok_or_else(|| {
        if kind == Type::RegClass {
            return no_regclass();
        }
        let message = format!("column \"{column}\" is of type {to} but expression is of type {kind}");
        SqlError::new(state::DATATYPE_MISMATCH, message)
    })
}

/// A condition of a clause.
pub(super) fn condition(from: Typed, clause: &str, params: &Params) -> Result<Expr, SqlError> {
    let kind = from.kind;
    coerced(from, Type::Bool, Context::Assignment, params)?.ok_or_else(|| {
        let message = format!("argument of {clause} must be type boolean, not type {kind}");
        SqlError::new(state::DATATYPE_MISMATCH, message)
    })
}

/// What an unknown literal or parameter is where nothing says otherwise.
pub(super) fn text_if_unknown(from: Typed, params: &Params) -> Result<Typed, SqlError> {
    if from.kind != Type::Unknown {
        return Ok(from);
    }
    let expr = coerced(from, Type::Text, Context::Implicit, params)?;
    Ok(Typed::new(expr.unwrap_or(Expr::Const(Value::Null)), Type::Text))
}

/// Several expressions in the one type that they share (`UNION`, `CASE`, `COALESCE`).
pub(super) fn in_common(
    parts: Vec<Typed>,
    what: &str,
    params: &Params,
) -> Result<(Vec<Expr>, Type), SqlError> {
    let mut kind = Type::Unknown;
    for part in &parts {
        kind = cast::common(kind, part.kind).ok_or_else(|| {
            let message = format!("{what} types {kind} and {} cannot be matched", part.kind);
            SqlError::new(state::DATATYPE_MISMATCH, message)
        })?;
    }
    if kind == Type::Unknown {
        kind = Type::Text;
    }
    if kind == Type::Char(0) {
        // Its values would have to carry their blanks.
        return Err(SqlError::unknown("characters of several lengths in one expression", "casts to text"));
    }
    let taken = parts.into_iter().map(|part| {
        let from = part.kind;
        coerced(part, kind, Context::Implicit, params)?.ok_or_else(|| {
            let message = format!("{what} could not convert type {from} to {kind}");
            SqlError::new(state::DATATYPE_MISMATCH, message)
        })
    });
    Ok((taken.collect::<Result<_, _>>()?, kind))
}
