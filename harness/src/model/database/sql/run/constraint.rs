//! What a row has to be before it is stored.

use super::super::super::error::{SqlError, state};
use super::super::super::value::{Tuple, Value};
use super::super::expression::Rows;
use super::super::schema::Schema;
use super::Run;

impl Run<'_> {
    /// The row with what it computes of itself, once its columns and checks hold.
    pub(super) fn completed(&mut self, schema: &Schema, mut values: Vec<Value>) -> Result<Tuple, SqlError> {
        for (number, column) in schema.columns.iter().enumerate() {
            if let Some(generated) = &column.generated {
                values[number] = generated.eval(&Rows::of(&values, &[]), self)?;
            }
        }
        for (value, column) in values.iter().zip(&schema.columns) {
            if column.not_null && value.is_null() {
                let message = format!(
                    "null value in column \"{}\" of relation \"{}\" violates not-null constraint",
                    column.name, schema.name
                );
                return Err(
                    SqlError::new(state::NOT_NULL_VIOLATION, message).detail(failing(schema, &values))
                );
            }
        }
        for check in &schema.checks {
            // A check that comes to null holds.
            if check.condition.eval(&Rows::of(&values, &[]), self)? == Value::Bool(false) {
                let message = format!(
                    "new row for relation \"{}\" violates check constraint \"{}\"",
                    schema.name, check.name
                );
                return Err(SqlError::new(state::CHECK_VIOLATION, message).detail(failing(schema, &values)));
            }
        }
        Ok(values.into())
    }
}

/// The row, as messages show it (`ExecBuildSlotValueDescription`).
fn failing(schema: &Schema, values: &[Value]) -> String {
    const SHOWN_BYTES_MAX: usize = 64;
    let texts = values.iter().zip(&schema.columns).map(|(value, column)| {
        let text = value.output(column.kind).unwrap_or_else(|| "null".to_owned());
        if text.len() <= SHOWN_BYTES_MAX {
            return text;
        }
        let cut = (0..=SHOWN_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        format!("{}...", &text[..cut])
    });
    format!("Failing row contains ({}).", texts.collect::<Vec<_>>().join(", "))
}
