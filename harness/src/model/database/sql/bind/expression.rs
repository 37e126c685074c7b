//! Expressions.

use sqlparser::ast;

use super::super::super::decimal::Decimal;
use super::super::super::error::{SqlError, state};
use super::super::super::types::Type;
use super::super::super::value::Value;
use super::super::cast::Context;
use super::super::expression::{self, Comparison, Expr, Function, Typed};
use super::super::params::{cast_to, coerced, condition, in_common};
use super::super::plan::SubqueryKind;
use super::super::{input, names};
use super::{Binder, data_type};

impl Binder<'_> {
    /// An expression with its type.
    pub(super) fn expression(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        use ast::Expr as E;
        match expr {
            E::Identifier(ident) => self.name(ident),
            E::CompoundIdentifier(parts) => self.compound(parts),
            E::Value(value) => self.literal(&value.value),
            E::Nested(inner) => self.expression(inner),
            E::BinaryOp { left, op, right } => self.binary(left, op, right),
            E::UnaryOp { op, expr } => {
                let operand = self.expression(expr)?;
                expression::unary(*op, operand, self.params)
            }
            E::Cast { expr, data_type: to, .. } => self.cast(expr, to),
            E::TypedString(typed) => {
                let operand = self.literal(&typed.value.value)?;
                cast_to(operand, data_type(&typed.data_type)?, self.params)
            }
            E::Interval(interval) => self.interval(interval),
            E::Function(function) => self.function(function),
            E::Case { operand, conditions, else_result, .. } => {
                self.case(operand.as_deref(), conditions, else_result.as_deref())
            }
            E::Subquery(query) => self.subquery(SubqueryKind::Scalar, None, query),
            E::Exists { subquery, negated } => {
                let exists = self.subquery(SubqueryKind::Exists, None, subquery)?;
                Ok(if *negated { not(exists) } else { exists })
            }
            E::InSubquery { expr, subquery, negated } => {
                let found = self.subquery(SubqueryKind::Any(Comparison::Equal), Some(expr), subquery)?;
                Ok(if *negated { not(found) } else { found })
            }
            E::Array(array) => self.array(&array.elem),
            E::AnyOp { left, compare_op, right, .. } => self.quantified(left, compare_op, right, true),
            E::AllOp { left, compare_op, right } => self.quantified(left, compare_op, right, false),
            other => self.condition(other),
        }
    }

    /// Conditions that have words of their own.
    fn condition(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        use ast::Expr as E;
        match expr {
            E::IsNull(inner) => self.is_null(inner, false),
            E::IsNotNull(inner) => self.is_null(inner, true),
            E::IsTrue(inner) => self.is(inner, Some(true), false),
            E::IsNotTrue(inner) => self.is(inner, Some(true), true),
            E::IsFalse(inner) => self.is(inner, Some(false), false),
            E::IsNotFalse(inner) => self.is(inner, Some(false), true),
            E::IsUnknown(inner) => self.is(inner, None, false),
            E::IsNotUnknown(inner) => self.is(inner, None, true),
            E::IsDistinctFrom(left, right) => self.is_distinct(left, right, false),
            E::IsNotDistinctFrom(left, right) => self.is_distinct(left, right, true),
            E::InList { expr, list, negated } => self.in_list(expr, list, *negated),
            E::Between { expr, negated, low, high } => {
                let low = self.comparison(Comparison::GreaterOrEqual, expr, low)?;
                let high = self.comparison(Comparison::LessOrEqual, expr, high)?;
                let both = Typed::new(Expr::And([low.expr, high.expr].into()), Type::Bool);
                Ok(if *negated { not(both) } else { both })
            }
            E::Like { negated, any: false, expr, pattern, escape_char: None } => {
                let (left, right) = (self.expression(expr)?, self.expression(pattern)?);
                let op = if *negated {
                    ast::BinaryOperator::PGNotLikeMatch
                } else {
                    ast::BinaryOperator::PGLikeMatch
                };
                expression::binary(&op, left, right, self.params)
            }
            E::ILike { negated, any: false, expr, pattern, escape_char: None } => {
                let (left, right) = (self.expression(expr)?, self.expression(pattern)?);
                let op = if *negated {
                    ast::BinaryOperator::PGNotILikeMatch
                } else {
                    ast::BinaryOperator::PGILikeMatch
                };
                expression::binary(&op, left, right, self.params)
            }
            other => self.written_function(other),
        }
    }

    /// Functions with a syntax of their own.
    fn written_function(&mut self, expr: &ast::Expr) -> Result<Typed, SqlError> {
        use ast::Expr as E;
        match expr {
            E::Substring { expr, substring_from, substring_for, .. } => {
                let from = substring_from.as_deref().cloned().unwrap_or_else(|| number("1"));
                let args = [Some((**expr).clone()), Some(from), substring_for.as_deref().cloned()];
                self.call("substring", &args.into_iter().flatten().collect::<Vec<_>>())
            }
            E::Trim { trim_where, trim_what, expr, trim_characters: None } => {
                let name = match trim_where {
                    None | Some(ast::TrimWhereField::Both) => "btrim",
                    Some(ast::TrimWhereField::Leading) => "ltrim",
                    Some(ast::TrimWhereField::Trailing) => "rtrim",
                };
                let args = [Some((**expr).clone()), trim_what.as_deref().cloned()];
                self.call(name, &args.into_iter().flatten().collect::<Vec<_>>())
            }
            E::Position { expr, r#in } => self.call("strpos", &[(**r#in).clone(), (**expr).clone()]),
            E::Ceil { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                self.call("ceil", &[(**expr).clone()])
            }
            E::Floor { expr, field: ast::CeilFloorKind::DateTimeField(ast::DateTimeField::NoDateTime) } => {
                self.call("floor", &[(**expr).clone()])
            }
            E::Extract { field, expr, .. } => {
                let operand = self.expression(expr)?;
                let field = Expr::Const(Value::text(field.to_string()));
                let args = [field, operand.expr].into();
                Ok(Typed::new(Expr::Apply(Function::Extract, args), Type::Numeric(None)))
            }
            E::CompoundFieldAccess { root, access_chain } => self.element(root, access_chain),
            other => Err(SqlError::unknown(
                format!("the expression {other}"),
                "columns, parameters, literals, operators, CASE, casts, functions, arrays and subqueries",
            )),
        }
    }

    fn name(&mut self, ident: &ast::Ident) -> Result<Typed, SqlError> {
        let name = names::ident(ident);
        if ident.quote_style.is_none() && !self.is_own_column(&name) {
            match name.as_str() {
                "current_user" | "session_user" | "user" => return self.call("current_user", &[]),
                "current_catalog" => return self.call("current_database", &[]),
                "current_timestamp" => return self.call("now", &[]),
                "localtimestamp" | "current_date" => {
                    let to = if name == "current_date" { Type::Date } else { Type::Timestamp };
                    let now = self.call("now", &[])?;
                    return cast_to(now, to, self.params);
                }
                "default" => {
                    let message = "DEFAULT is not allowed in this context";
                    return Err(SqlError::new(state::SYNTAX_ERROR, message));
                }
                _ => {}
            }
        }
        self.column(&name)
    }

    fn compound(&mut self, parts: &[ast::Ident]) -> Result<Typed, SqlError> {
        let parts: Vec<String> = parts.iter().map(names::ident).collect();
        match parts.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
            [alias, name] | ["public", alias, name] => self.qualified(alias, name),
            _ => Err(SqlError::unknown(format!("the name {}", parts.join(".")), "column and table.column")),
        }
    }

    /// A literal or a parameter.
    pub(super) fn literal(&mut self, value: &ast::Value) -> Result<Typed, SqlError> {
        use ast::Value as V;
        Ok(match value {
            V::Number(digits, _) => number_literal(digits)?,
            V::SingleQuotedString(text) | V::EscapedStringLiteral(text) => unknown(text),
            V::DollarQuotedString(text) => unknown(&text.value),
            V::Boolean(value) => Typed::constant(Value::Bool(*value), Type::Bool),
            V::Null => Typed::constant(Value::Null, Type::Unknown),
            V::Placeholder(name) => {
                let number = name.strip_prefix('$').and_then(|digits| digits.parse::<usize>().ok());
                let number = number.and_then(|number| number.checked_sub(1)).ok_or_else(|| {
                    SqlError::new(state::UNDEFINED_PARAMETER, format!("there is no parameter {name}"))
                })?;
                self.params.use_of(number)
            }
            other => return Err(SqlError::unknown(format!("the literal {other}"), "numbers and texts")),
        })
    }

    fn binary(
        &mut self,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
    ) -> Result<Typed, SqlError> {
        let row = |expr: &ast::Expr| matches!(expr, ast::Expr::Tuple(_));
        if *op == ast::BinaryOperator::Eq && row(left) && row(right) {
            let (ast::Expr::Tuple(left), ast::Expr::Tuple(right)) = (left, right) else {
                unreachable!("both are rows");
            };
            return self.rows_equal(left, right);
        }
        let (left, right) = (self.expression(left)?, self.expression(right)?);
        expression::binary(op, left, right, self.params)
    }

    fn rows_equal(&mut self, left: &[ast::Expr], right: &[ast::Expr]) -> Result<Typed, SqlError> {
        if left.len() != right.len() {
            return Err(SqlError::new(state::SYNTAX_ERROR, "unequal number of entries in row expressions"));
        }
        let pairs = left.iter().zip(right);
        let parts = pairs
            .map(|(left, right)| self.comparison(Comparison::Equal, left, right).map(|typed| typed.expr));
        Ok(Typed::new(Expr::And(parts.collect::<Result<_, _>>()?), Type::Bool))
    }

    fn comparison(
        &mut self,
        comparison: Comparison,
        left: &ast::Expr,
        right: &ast::Expr,
    ) -> Result<Typed, SqlError> {
        let (left, right) = (self.expression(left)?, self.expression(right)?);
        expression::compared(comparison, left, right, self.params)
    }

    fn cast(&mut self, expr: &ast::Expr, to: &ast::DataType) -> Result<Typed, SqlError> {
        // The name of a relation stays a text: it is only handed on, to `nextval` and its kin.
        if matches!(to, ast::DataType::Regclass) {
            let name = self.expression(expr)?;
            let name = cast_to(name, Type::Text, self.params)?;
            return Ok(Typed::new(name.expr, Type::RegClass));
        }
        let to = data_type(to)?;
        let operand = self.expression(expr)?;
        if operand.kind == Type::Void && to.is_string() {
            return cast_to(Typed::new(operand.expr, Type::Text), to, self.params);
        }
        cast_to(operand, to, self.params)
    }

    fn interval(&mut self, interval: &ast::Interval) -> Result<Typed, SqlError> {
        let ast::Expr::Value(value) = &*interval.value else {
            return Err(SqlError::unknown(format!("the interval {interval}"), "INTERVAL '5 minutes'"));
        };
        let text = match &value.value {
            ast::Value::SingleQuotedString(text) => text.clone(),
            other => other.to_string(),
        };
        let unit = interval.leading_field.as_ref().map(ToString::to_string).unwrap_or_default();
        let value = input::read(&format!("{text} {unit}"), Type::Interval)?;
        Ok(Typed::constant(value, Type::Interval))
    }

    fn case(
        &mut self,
        operand: Option<&ast::Expr>,
        conditions: &[ast::CaseWhen],
        otherwise: Option<&ast::Expr>,
    ) -> Result<Typed, SqlError> {
        let mut tests = Vec::with_capacity(conditions.len());
        let mut results = Vec::with_capacity(conditions.len() + 1);
        for arm in conditions {
            tests.push(match operand {
                Some(operand) => self.comparison(Comparison::Equal, operand, &arm.condition)?.expr,
                None => condition(self.expression(&arm.condition)?, "CASE/WHEN", self.params)?,
            });
            results.push(self.expression(&arm.result)?);
        }
        results.push(match otherwise {
            Some(otherwise) => self.expression(otherwise)?,
            None => Typed::constant(Value::Null, Type::Unknown),
        });
        let (mut results, kind) = in_common(results, "CASE", self.params)?;
        let otherwise = Box::new(results.pop().unwrap_or(Expr::Const(Value::Null)));
        let arms = tests.into_iter().zip(results).collect();
        Ok(Typed::new(Expr::Case { arms, otherwise }, kind))
    }

    fn array(&mut self, elements: &[ast::Expr]) -> Result<Typed, SqlError> {
        let parts = elements.iter().map(|element| self.expression(element)).collect::<Result<Vec<_>, _>>()?;
        let (parts, kind) = in_common(parts, "ARRAY", self.params)?;
        let kind = expression::array_type(kind)
            .ok_or_else(|| SqlError::unknown(format!("arrays of {kind}"), "arrays of the plain types"))?;
        let constants = parts.iter().map(|part| match part {
            Expr::Const(value) => Some(value.clone()),
            _ => None,
        });
        let expr = match constants.collect::<Option<Vec<_>>>() {
            Some(values) => Expr::Const(Value::Array(values.into())),
            None => Expr::Array(parts.into()),
        };
        Ok(Typed::new(expr, kind))
    }

    fn element(&mut self, root: &ast::Expr, chain: &[ast::AccessExpr]) -> Result<Typed, SqlError> {
        let [ast::AccessExpr::Subscript(ast::Subscript::Index { index })] = chain else {
            return Err(SqlError::unknown("this access to a part of a value", "array[place]"));
        };
        let root = self.expression(root)?;
        let Type::Array(element) = root.kind else {
            let message =
                format!("cannot subscript type {} because it does not support subscripting", root.kind);
            return Err(SqlError::new(state::DATATYPE_MISMATCH, message));
        };
        let index = self.expression(index)?;
        let index = coerced(index, Type::Int4, Context::Assignment, self.params)?;
        let index = index.ok_or_else(|| {
            SqlError::new(state::DATATYPE_MISMATCH, "array subscript must have type integer")
        })?;
        Ok(Typed::new(Expr::Apply(Function::Element, [root.expr, index].into()), *element))
    }

    fn is_null(&mut self, inner: &ast::Expr, negated: bool) -> Result<Typed, SqlError> {
        let inner = self.expression(inner)?;
        let inner = super::super::params::text_if_unknown(inner, self.params)?;
        Ok(Typed::new(Expr::Apply(Function::IsNull { negated }, [inner.expr].into()), Type::Bool))
    }

    fn is(&mut self, inner: &ast::Expr, truth: Option<bool>, negated: bool) -> Result<Typed, SqlError> {
        let inner = condition(self.expression(inner)?, "IS TRUE", self.params)?;
        Ok(Typed::new(Expr::Apply(Function::Is { truth, negated }, [inner].into()), Type::Bool))
    }

    fn is_distinct(&mut self, left: &ast::Expr, right: &ast::Expr, negated: bool) -> Result<Typed, SqlError> {
        let compared = self.comparison(Comparison::Equal, left, right)?;
        let Expr::Apply(_, args) = compared.expr else { return Ok(compared) };
        Ok(Typed::new(Expr::Apply(Function::Distinct { negated }, args), Type::Bool))
    }

    /// A disjunction of equalities.
    fn in_list(&mut self, expr: &ast::Expr, list: &[ast::Expr], negated: bool) -> Result<Typed, SqlError> {
        let parts = list.iter().map(|element| {
            let compared = match (expr, element) {
                (ast::Expr::Tuple(left), ast::Expr::Tuple(right)) => self.rows_equal(left, right)?,
                _ => self.comparison(Comparison::Equal, expr, element)?,
            };
            Ok(compared.expr)
        });
        let mut parts = parts.collect::<Result<Vec<_>, SqlError>>()?;
        let expr = if parts.len() == 1 { parts.remove(0) } else { Expr::Or(parts.into()) };
        let found = Typed::new(expr, Type::Bool);
        Ok(if negated { not(found) } else { found })
    }

    fn quantified(
        &mut self,
        left: &ast::Expr,
        op: &ast::BinaryOperator,
        right: &ast::Expr,
        any: bool,
    ) -> Result<Typed, SqlError> {
        use ast::BinaryOperator as Op;
        let comparison = match op {
            Op::Eq => Comparison::Equal,
            Op::NotEq => Comparison::NotEqual,
            Op::Lt => Comparison::Less,
            Op::LtEq => Comparison::LessOrEqual,
            Op::Gt => Comparison::Greater,
            Op::GtEq => Comparison::GreaterOrEqual,
            other => return Err(SqlError::unknown(format!("{other} ANY"), "the comparisons")),
        };
        if let ast::Expr::Subquery(query) = right {
            let kind = if any { SubqueryKind::Any(comparison) } else { SubqueryKind::All(comparison) };
            return self.subquery(kind, Some(left), query);
        }
        let (left, right) = (self.expression(left)?, self.expression(right)?);
        let (left, right) = expression::array_of(left, right, comparison, self.params)?;
        let function = if any { Function::Any(comparison) } else { Function::All(comparison) };
        Ok(Typed::new(Expr::Apply(function, [left, right].into()), Type::Bool))
    }
}

/// The negation of a condition.
pub(super) fn not(condition: Typed) -> Typed {
    Typed::new(Expr::Apply(Function::Not, [condition.expr].into()), Type::Bool)
}

fn unknown(text: &str) -> Typed {
    Typed::constant(Value::text(text), Type::Unknown)
}

fn number(digits: &str) -> ast::Expr {
    ast::Expr::value(ast::Value::Number(digits.to_owned(), false))
}

/// An integer of the smallest type that holds it, else a decimal number.
fn number_literal(digits: &str) -> Result<Typed, SqlError> {
    if let Ok(value) = digits.parse::<i64>() {
        let kind = if i32::try_from(value).is_ok() { Type::Int4 } else { Type::Int8 };
        return Ok(Typed::constant(Value::Int(value), kind));
    }
    let kind = Type::Numeric(None);
    let value = match Decimal::parse(digits) {
        Some(number) => Value::decimal(number),
        None => input::read(digits, kind)?,
    };
    Ok(Typed::constant(value, kind))
}
