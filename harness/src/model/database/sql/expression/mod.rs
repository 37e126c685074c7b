//! Expressions, with columns by position and types settled, and what they come to.

mod call;
mod function;
mod operator;
mod signature;
mod text;

use super::super::error::SqlError;
use super::super::types::Type;
use super::super::value::Value;

pub(super) use call::{Session as SessionFunction, Waiting as WaitFunction};
pub(super) use function::{Comparison, Function};
pub(super) use operator::{array_of, array_type, binary, compared, unary};
pub(super) use signature::resolve;
pub(super) use text::TextFunction;

use super::plan::Subquery;

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Expr {
    Const(Value),
    /// A parameter, counted from 0.
    Param(usize),
    /// A column of the row at hand.
    Column(usize),
    /// A column of the row of a query around this one; `depth` 1 is the next one.
    Outer {
        depth: usize,
        column: usize,
    },
    Apply(Function, Box<[Expr]>),
    And(Box<[Expr]>),
    Or(Box<[Expr]>),
    /// The first arm whose condition is true.
    Case {
        arms: Box<[(Expr, Expr)]>,
        otherwise: Box<Expr>,
    },
    Coalesce(Box<[Expr]>),
    Array(Box<[Expr]>),
    /// A function that looks at the session or changes something.
    Session(SessionFunction, Box<[Expr]>),
    /// A function that may have to wait.
    Waiting(WaitFunction, Box<[Expr]>),
    Subquery(Box<Subquery>),
    /// The result of an aggregate, until the query around it has given it a column.
    Aggregate(usize),
}

/// An expression with its type.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Typed {
    pub(super) expr: Expr,
    pub(super) kind: Type,
}

impl Typed {
    pub(super) fn new(expr: Expr, kind: Type) -> Self {
        Typed { expr, kind }
    }

    /// A constant.
    pub(super) fn constant(value: Value, kind: Type) -> Self {
        Typed { expr: Expr::Const(value), kind }
    }
}

/// The rows that an expression looks at: its own and those of the queries around.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) row: &'a [Value],
    pub(super) outer: Option<&'a Rows<'a>>,
    pub(super) params: &'a [Value],
}

impl<'a> Rows<'a> {
    /// A row on its own.
    pub(super) fn of(row: &'a [Value], params: &'a [Value]) -> Self {
        Rows { row, outer: None, params }
    }

    /// The row of a query around.
    pub(super) fn around(&self, depth: usize) -> &'a [Value] {
        let mut row = self.row;
        let mut outer = self.outer;
        for _ in 0..depth {
            let around = outer.expect("a name was found in a query around, so there is one");
            (row, outer) = (around.row, around.outer);
        }
        row
    }
}

/// What session functions are asked of.
pub(super) trait Host {
    /// The result of a function of the session.
    fn call(&mut self, function: SessionFunction, args: &[Value]) -> Result<Value, SqlError>;
}

/// Where no session is at hand: expressions of indexes.
pub(super) struct NoSession;

impl Host for NoSession {
    fn call(&mut self, _function: SessionFunction, _args: &[Value]) -> Result<Value, SqlError> {
        Err(SqlError::unknown("functions of the session in an index", "functions of values"))
    }
}

impl Expr {
    /// The value for a row. The expression neither waits nor holds a subquery (see [`Expr::waits`]).
    pub(super) fn eval(&self, rows: &Rows<'_>, host: &mut dyn Host) -> Result<Value, SqlError> {
        Ok(match self {
            Expr::Const(value) => value.clone(),
            Expr::Param(number) => rows.params[*number].clone(),
            Expr::Column(column) => rows.row[*column].clone(),
            Expr::Outer { depth, column } => rows.around(*depth)[*column].clone(),
            Expr::Apply(function, args) => match &**args {
                [one] => function.apply(&[one.eval(rows, host)?])?,
                [one, two] => function.apply(&[one.eval(rows, host)?, two.eval(rows, host)?])?,
                args => function.apply(&evaluated(args, rows, host)?)?,
            },
            Expr::And(parts) => all(parts.iter().map(|part| part.eval(rows, host)), false)?,
            Expr::Or(parts) => all(parts.iter().map(|part| part.eval(rows, host)), true)?,
            Expr::Case { arms, otherwise } => {
                for (condition, result) in arms {
                    if condition.is_true(rows, host)? {
                        return result.eval(rows, host);
                    }
                }
                otherwise.eval(rows, host)?
            }
            Expr::Coalesce(parts) => {
                for part in parts {
                    let value = part.eval(rows, host)?;
                    if !value.is_null() {
                        return Ok(value);
                    }
                }
                Value::Null
            }
            Expr::Array(parts) => Value::Array(evaluated(parts, rows, host)?.into()),
            Expr::Session(function, args) => {
                let args = evaluated(args, rows, host)?;
                host.call(*function, &args)?
            }
            Expr::Waiting(..) | Expr::Subquery(_) => {
                return Err(SqlError::unknown("a subquery or a function that waits in this place", ""));
            }
            Expr::Aggregate(_) => unreachable!("the query has given its aggregates columns"),
        })
    }

    /// Whether the condition holds for the row; unknown is not true.
    pub(super) fn is_true(&self, rows: &Rows<'_>, host: &mut dyn Host) -> Result<bool, SqlError> {
        Ok(self.eval(rows, host)? == Value::Bool(true))
    }

    /// Whether it may have to wait or to run a query.
    pub(super) fn waits(&self) -> bool {
        match self {
            Expr::Waiting(..) | Expr::Subquery(_) => true,
            Expr::Const(_) | Expr::Param(_) | Expr::Column(_) | Expr::Outer { .. } | Expr::Aggregate(_) => {
                false
            }
            Expr::Apply(_, parts)
            | Expr::And(parts)
            | Expr::Or(parts)
            | Expr::Coalesce(parts)
            | Expr::Array(parts)
            | Expr::Session(_, parts) => parts.iter().any(Expr::waits),
            Expr::Case { arms, otherwise } => {
                otherwise.waits()
                    || arms.iter().any(|(condition, result)| condition.waits() || result.waits())
            }
        }
    }

    /// What it is made of, subqueries aside.
    pub(super) fn parts(&self) -> Vec<&Expr> {
        match self {
            Expr::Const(_) | Expr::Param(_) | Expr::Column(_) | Expr::Outer { .. } | Expr::Aggregate(_) => {
                Vec::new()
            }
            Expr::Apply(_, parts)
            | Expr::And(parts)
            | Expr::Or(parts)
            | Expr::Coalesce(parts)
            | Expr::Array(parts)
            | Expr::Session(_, parts)
            | Expr::Waiting(_, parts) => parts.iter().collect(),
            Expr::Case { arms, otherwise } => {
                let arms = arms.iter().flat_map(|(condition, result)| [condition, result]);
                arms.chain([&**otherwise]).collect()
            }
            Expr::Subquery(subquery) => subquery.operand.iter().collect(),
        }
    }

    /// As [`Expr::parts`], to be changed.
    pub(super) fn parts_mut(&mut self) -> Vec<&mut Expr> {
        match self {
            Expr::Const(_) | Expr::Param(_) | Expr::Column(_) | Expr::Outer { .. } | Expr::Aggregate(_) => {
                Vec::new()
            }
            Expr::Apply(_, parts)
            | Expr::And(parts)
            | Expr::Or(parts)
            | Expr::Coalesce(parts)
            | Expr::Array(parts)
            | Expr::Session(_, parts)
            | Expr::Waiting(_, parts) => parts.iter_mut().collect(),
            Expr::Case { arms, otherwise } => {
                let arms = arms.iter_mut().flat_map(|(condition, result)| [condition, result]);
                arms.chain([&mut **otherwise]).collect()
            }
            Expr::Subquery(subquery) => subquery.operand.iter_mut().collect(),
        }
    }

    /// The parts of a conjunction.
    pub(super) fn into_conjuncts(self) -> Vec<Expr> {
        match self {
            Expr::And(parts) => parts.into_vec().into_iter().flat_map(Expr::into_conjuncts).collect(),
            other => vec![other],
        }
    }

    /// The highest column of the own row that it looks at, and whether it looks at any.
    pub(super) fn columns(&self, found: &mut Vec<usize>) {
        match self {
            Expr::Column(column) => found.push(*column),
            Expr::Subquery(subquery) => {
                found.extend(&subquery.outer_columns);
                subquery.operand.iter().for_each(|operand| operand.columns(found));
            }
            other => other.parts().into_iter().for_each(|part| part.columns(found)),
        }
    }
}

fn evaluated(parts: &[Expr], rows: &Rows<'_>, host: &mut dyn Host) -> Result<Vec<Value>, SqlError> {
    parts.iter().map(|part| part.eval(rows, host)).collect()
}

/// Three-valued conjunction (`decisive` false) or disjunction (true): the decisive value decides at once, null
/// is the result where nothing decided and something was unknown.
fn all(values: impl Iterator<Item = Result<Value, SqlError>>, decisive: bool) -> Result<Value, SqlError> {
    let mut unknown = false;
    for value in values {
        match value? {
            Value::Bool(value) if value == decisive => return Ok(Value::Bool(decisive)),
            Value::Null => unknown = true,
            _ => {}
        }
    }
    Ok(if unknown { Value::Null } else { Value::Bool(!decisive) })
}
