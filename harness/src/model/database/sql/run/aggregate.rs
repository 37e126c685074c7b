//! Groups and aggregates.

use std::collections::BTreeMap;

use super::super::super::decimal::Decimal;
use super::super::super::error::SqlError;
use super::super::super::types::Type;
use super::super::super::value::{Float, Value};
use super::super::expression::Rows;
use super::super::input;
use super::super::plan::{Aggregate, AggregateFunction as F, Group};
use super::select::order;
use super::{Candidate, Row, Run};

/// What an aggregate was given for a row: its arguments and the keys of its own order.
type Given = (Vec<Value>, Vec<Value>);

impl Run<'_> {
    /// A row for each group, in the order of the keys. Without keys there is always one.
    pub(super) async fn grouped(
        &mut self,
        group: &Group,
        candidates: Vec<Candidate>,
        outer: Option<&Rows<'_>>,
    ) -> Result<Vec<Candidate>, SqlError> {
        let empty = || vec![Vec::new(); group.aggregates.len()];
        let mut groups: BTreeMap<Vec<Value>, Vec<Vec<Given>>> = BTreeMap::new();
        if group.keys.is_empty() {
            groups.insert(Vec::new(), empty());
        }
        for candidate in candidates {
            let rows = self.rows_of(&candidate.row, outer);
            let key = self.values(&group.keys, &rows).await?;
            let given = groups.entry(key).or_insert_with(empty);
            for (aggregate, given) in group.aggregates.iter().zip(given) {
                if let Some(filter) = &aggregate.filter
                    && !self.is_true(filter, &rows).await?
                {
                    continue;
                }
                let args = self.values(&aggregate.args, &rows).await?;
                let mut keys = Vec::with_capacity(aggregate.order.len());
                for key in &aggregate.order {
                    keys.push(self.value(&key.expr, &rows).await?);
                }
                given.push((args, keys));
            }
        }
        let mut out = Vec::with_capacity(groups.len());
        for (mut row, given) in groups {
            for (aggregate, given) in group.aggregates.iter().zip(given) {
                row.push(result(aggregate, given)?);
            }
            let rows = self.rows_of(&row, outer);
            if self.all_true(&group.having, &rows).await? {
                out.push(Candidate { row: Row::Many(row), found: Vec::new() });
            }
        }
        Ok(out)
    }
}

fn result(aggregate: &Aggregate, mut given: Vec<Given>) -> Result<Value, SqlError> {
    if !aggregate.order.is_empty() {
        given.sort_by(|(_, one), (_, two)| order(&aggregate.order, one, two));
    }
    let mut given: Vec<Vec<Value>> = given.into_iter().map(|(args, _)| args).collect();
    if aggregate.distinct {
        if aggregate.order.is_empty() {
            given.sort();
        }
        given.dedup();
    }
    let count = i64::try_from(given.len()).unwrap_or(i64::MAX);
    match aggregate.function {
        F::CountRows => return Ok(Value::Int(count)),
        F::Array if given.is_empty() => return Ok(Value::Null),
        F::Array => return Ok(Value::Array(given.into_iter().flatten().collect())),
        F::First => return Ok(given.into_iter().flatten().next().unwrap_or(Value::Null)),
        _ => given.retain(|args| !args[0].is_null()),
    }
    if aggregate.function == F::Join {
        return Ok(joined(&given));
    }
    let mut values = given.into_iter().flatten();
    Ok(match aggregate.function {
        F::Count => Value::Int(i64::try_from(values.count()).unwrap_or(i64::MAX)),
        F::Minimum => values.min().unwrap_or(Value::Null),
        F::Maximum => values.max().unwrap_or(Value::Null),
        F::And => values.min().unwrap_or(Value::Null),
        F::Or => values.max().unwrap_or(Value::Null),
        F::Sum => sum(&mut values, aggregate.kind)?,
        F::Average => average(values.collect())?,
        F::CountRows | F::Array | F::First | F::Join => unreachable!("they have returned above"),
    })
}

fn joined(given: &[Vec<Value>]) -> Value {
    let mut out: Option<String> = None;
    for args in given {
        let [Value::Text(text), separator] = args.as_slice() else { continue };
        match &mut out {
            None => out = Some(text.to_string()),
            Some(out) => {
                if let Value::Text(separator) = separator {
                    out.push_str(separator);
                }
                out.push_str(text);
            }
        }
    }
    out.map_or(Value::Null, Value::text)
}

fn sum(values: &mut dyn Iterator<Item = Value>, kind: Type) -> Result<Value, SqlError> {
    let Some(mut total) = values.next() else { return Ok(Value::Null) };
    for value in values {
        total = match (&total, &value) {
            (Value::Int(one), Value::Int(two)) => {
                Value::Int(one.checked_add(*two).ok_or_else(|| input::out_of_range(kind))?)
            }
            (Value::Decimal(one), Value::Decimal(two)) => {
                let sum = one.plus(**two).ok_or_else(|| input::out_of_range(kind))?;
                Value::decimal(sum)
            }
            (Value::Float(Float(one)), Value::Float(Float(two))) => Value::Float(Float(one + two)),
            (Value::Interval(one), Value::Interval(two)) => Value::Interval(one + two),
            _ => unreachable!("the argument of sum was cast to one type of number"),
        };
    }
    Ok(total)
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a floating-point average is divided by a floating-point count"
)]
fn average(values: Vec<Value>) -> Result<Value, SqlError> {
    let count = values.len();
    Ok(match sum(&mut values.into_iter(), Type::Numeric(None))? {
        Value::Decimal(total) => {
            let quotient = total.divided_by(Decimal::new(count as i128, 0));
            quotient.map_or(Value::Null, Value::decimal)
        }
        Value::Float(Float(total)) => Value::Float(Float(total / count as f64)),
        other => other,
    })
}
