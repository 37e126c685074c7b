//! Expressions that wait or hold queries.

use std::cmp::Ordering;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use super::super::super::error::{SqlError, state};
use super::super::super::store::AdvisoryKey;
use super::super::super::value::{Float, Tuple, Value};
use super::super::expression::{Comparison, Expr, Rows, WaitFunction};
use super::super::plan::{Query, Subquery, SubqueryKind};
use super::Run;

/// A future that refers to itself.
pub(super) type Boxed<'b, T> = Pin<Box<dyn Future<Output = Result<T, SqlError>> + Send + 'b>>;

impl Run<'_> {
    /// The value of an expression for a row.
    pub(super) async fn value(&mut self, expr: &Expr, rows: &Rows<'_>) -> Result<Value, SqlError> {
        if expr.waits() { self.waiting_value(expr, rows).await } else { expr.eval(rows, self) }
    }

    /// Whether a condition is true.
    pub(super) async fn is_true(&mut self, expr: &Expr, rows: &Rows<'_>) -> Result<bool, SqlError> {
        Ok(self.value(expr, rows).await? == Value::Bool(true))
    }

    /// Whether all conditions are true.
    pub(super) async fn all_true(&mut self, conditions: &[Expr], rows: &Rows<'_>) -> Result<bool, SqlError> {
        for condition in conditions {
            if !self.is_true(condition, rows).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Several values.
    pub(super) async fn values(&mut self, exprs: &[Expr], rows: &Rows<'_>) -> Result<Vec<Value>, SqlError> {
        let mut values = Vec::with_capacity(exprs.len());
        for expr in exprs {
            values.push(self.value(expr, rows).await?);
        }
        Ok(values)
    }

    fn waiting_value<'b>(&'b mut self, expr: &'b Expr, rows: &'b Rows<'b>) -> Boxed<'b, Value> {
        Box::pin(async move {
            Ok(match expr {
                Expr::Waiting(function, args) => {
                    let args = self.values(args, rows).await?;
                    self.wait_function(*function, &args).await?
                }
                Expr::Subquery(subquery) => self.subquery(subquery, rows).await?,
                Expr::Apply(function, args) => {
                    let args = self.values(args, rows).await?;
                    function.apply(&args)?
                }
                Expr::Session(function, args) => {
                    let args = self.values(args, rows).await?;
                    super::super::expression::Host::call(self, *function, &args)?
                }
                Expr::Array(parts) => Value::Array(self.values(parts, rows).await?.into()),
                Expr::And(parts) => self.logical(parts, rows, false).await?,
                Expr::Or(parts) => self.logical(parts, rows, true).await?,
                Expr::Case { arms, otherwise } => {
                    for (condition, result) in arms {
                        if self.is_true(condition, rows).await? {
                            return self.value(result, rows).await;
                        }
                    }
                    self.value(otherwise, rows).await?
                }
                Expr::Coalesce(parts) => {
                    for part in parts {
                        let value = self.value(part, rows).await?;
                        if !value.is_null() {
                            return Ok(value);
                        }
                    }
                    Value::Null
                }
                other => other.eval(rows, self)?,
            })
        })
    }

    async fn logical(&mut self, parts: &[Expr], rows: &Rows<'_>, decisive: bool) -> Result<Value, SqlError> {
        let mut unknown = false;
        for part in parts {
            match self.value(part, rows).await? {
                Value::Bool(value) if value == decisive => return Ok(Value::Bool(decisive)),
                Value::Null => unknown = true,
                _ => {}
            }
        }
        Ok(if unknown { Value::Null } else { Value::Bool(!decisive) })
    }

    async fn wait_function(&mut self, function: WaitFunction, args: &[Value]) -> Result<Value, SqlError> {
        if args.iter().any(Value::is_null) {
            return Ok(Value::Null);
        }
        match (function, args) {
            (WaitFunction::Sleep, [Value::Float(Float(seconds))]) => {
                self.session.sleep(duration(*seconds)).await?;
                Ok(Value::void())
            }
            (WaitFunction::AdvisoryLock { transaction, shared }, args) => {
                self.session.advisory_lock(advisory_key(args), shared, !transaction).await?;
                Ok(Value::void())
            }
            (WaitFunction::NextValue, [Value::Text(name)]) => {
                let id = self.sequence(name)?;
                if self.session.is_read_only() {
                    return Err(super::read_only("nextval()"));
                }
                self.session.nextval(id).await.map(Value::Int)
            }
            (WaitFunction::SetValue, [Value::Text(name), Value::Int(value), rest @ ..]) => {
                let id = self.sequence(name)?;
                if self.session.is_read_only() {
                    return Err(super::read_only("setval()"));
                }
                let called = rest.first() != Some(&Value::Bool(false));
                self.session.setval(id, *value, called).await?;
                Ok(Value::Int(*value))
            }
            _ => unreachable!("the arguments were cast to the types of the signature"),
        }
    }

    async fn subquery(&mut self, subquery: &Subquery, rows: &Rows<'_>) -> Result<Value, SqlError> {
        let operand = match &subquery.operand {
            Some(operand) => self.value(operand, rows).await?,
            None => Value::Null,
        };
        let result = match self.subqueries[subquery.slot].clone() {
            Some(known) => known,
            None => {
                let query: &Query = &subquery.query;
                let result = Arc::new(self.query(query, Some(rows)).await?);
                if !subquery.correlated {
                    self.subqueries[subquery.slot] = Some(Arc::clone(&result));
                }
                result
            }
        };
        Ok(match subquery.kind {
            SubqueryKind::Exists => Value::Bool(!result.is_empty()),
            SubqueryKind::Array => Value::Array(result.iter().map(|row| row[0].clone()).collect()),
            SubqueryKind::Any(comparison) => quantified(&operand, &result, comparison, true),
            SubqueryKind::All(comparison) => quantified(&operand, &result, comparison, false),
            SubqueryKind::Scalar => match result.as_slice() {
                [] => Value::Null,
                [one] => one[0].clone(),
                _ => {
                    let message = "more than one row returned by a subquery used as an expression";
                    return Err(SqlError::new(state::CARDINALITY_VIOLATION, message));
                }
            },
        })
    }
}

fn quantified(operand: &Value, result: &[Tuple], comparison: Comparison, any: bool) -> Value {
    let mut unknown = false;
    for row in result {
        if operand.is_null() || row[0].is_null() {
            unknown = true;
            continue;
        }
        let order: Ordering = operand.cmp(&row[0]);
        if comparison.holds(order) == any {
            return Value::Bool(any);
        }
    }
    if unknown { Value::Null } else { Value::Bool(!any) }
}

fn duration(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds.max(0.0)).unwrap_or(Duration::MAX / 4)
}

/// The key of an advisory lock: one of 64 bits or two of 32.
pub(super) fn advisory_key(args: &[Value]) -> AdvisoryKey {
    let half = |value: i64| i32::try_from(value).unwrap_or_default();
    match args {
        [Value::Int(one), Value::Int(two)] => AdvisoryKey::Two(half(*one), half(*two)),
        [Value::Int(one), ..] => AdvisoryKey::One(*one),
        _ => unreachable!("the arguments were cast to the types of the signature"),
    }
}
