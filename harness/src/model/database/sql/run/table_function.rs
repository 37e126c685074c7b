//! Functions of rows, and tables of the system catalogue.

use super::super::super::error::{SqlError, state};
use super::super::super::store::{Lsn, SlotBounds};
use super::super::super::value::{Tuple, Value};
use super::super::plan::{SystemTable, TableFunction};
use super::Run;

impl Run<'_> {
    /// The rows of a function. All of these are strict: of a null there are none.
    pub(super) async fn table_function(
        &mut self,
        function: TableFunction,
        args: &[Value],
    ) -> Result<Vec<Tuple>, SqlError> {
        match (function, args) {
            (TableFunction::Scalar, [value]) => Ok(vec![[value.clone()].into()]),
            (TableFunction::GenerateSeries, args) => series(args),
            (TableFunction::Unnest, [Value::Array(values)]) => {
                Ok(values.iter().map(|value| [value.clone()].into()).collect())
            }
            (TableFunction::ListeningChannels, _) => {
                let channels = self.session.listening().into_iter();
                Ok(channels.map(|channel| [Value::Text(channel)].into()).collect())
            }
            (TableFunction::SlotChanges { consume }, args) => self.slot_changes(args, consume),
            (TableFunction::CreateSlot, [Value::Text(name), Value::Text(plugin), rest @ ..]) => {
                if rest.contains(&Value::Bool(true)) {
                    return Err(SqlError::unknown(
                        "temporary and two-phase replication slots",
                        "pg_create_logical_replication_slot(name, 'test_decoding')",
                    ));
                }
                let lsn = self.session.create_slot(name, plugin).await?;
                Ok(vec![[Value::Text(name.clone()), Value::Lsn(lsn.0)].into()])
            }
            (TableFunction::AdvanceSlot, [Value::Text(name), Value::Lsn(upto)]) => {
                let end = self.session.advance(name, Lsn(*upto))?;
                Ok(vec![[Value::Text(name.clone()), Value::Lsn(end.0)].into()])
            }
            _ => Ok(Vec::new()),
        }
    }

    pub(super) fn system_table(&mut self, table: SystemTable) -> Vec<Tuple> {
        match table {
            SystemTable::ReplicationSlots => self.replication_slots(),
        }
    }
}

fn series(args: &[Value]) -> Result<Vec<Tuple>, SqlError> {
    let (start, stop, step) = match args {
        [Value::Int(start), Value::Int(stop)] => (*start, *stop, 1),
        [Value::Int(start), Value::Int(stop), Value::Int(step)] => (*start, *stop, *step),
        _ => return Ok(Vec::new()),
    };
    if step == 0 {
        return Err(SqlError::new(state::INVALID_PARAMETER_VALUE, "step size cannot equal zero"));
    }
    let mut rows = Vec::new();
    let mut next = Some(start);
    while let Some(value) = next {
        if if step > 0 { value > stop } else { value < stop } {
            break;
        }
        rows.push([Value::Int(value)].into());
        next = value.checked_add(step);
    }
    Ok(rows)
}

/// How far changes are read.
pub(super) fn bounds(upto: &Value, count: &Value) -> SlotBounds {
    let upto = if let Value::Lsn(upto) = upto { Some(Lsn(*upto)) } else { None };
    // Zero and less mean no limit (`pg_logical_slot_get_changes_guts`).
    let lines = if let Value::Int(count) = count { usize::try_from(*count).ok() } else { None };
    SlotBounds { upto, lines: lines.filter(|lines| *lines > 0), ..SlotBounds::default() }
}
