//! Replication slots as rows.

use super::super::super::error::{SqlError, state};
use super::super::super::value::{Tuple, Value};
use super::Run;
use super::table_function::bounds;

impl Run<'_> {
    pub(super) fn slot_changes(&mut self, args: &[Value], consume: bool) -> Result<Vec<Tuple>, SqlError> {
        let [name, upto, count] = args else { return Ok(Vec::new()) };
        let Value::Text(name) = name else {
            return Err(SqlError::new(state::INVALID_PARAMETER_VALUE, "slot name must not be null"));
        };
        let bounds = bounds(upto, count);
        let lines =
            if consume { self.session.get(name, bounds)? } else { self.session.peek(name, bounds)? };
        let rows = lines.into_iter().map(|line| {
            let xid = Value::Int(i64::try_from(line.xid.0).unwrap_or(i64::MAX));
            [Value::Lsn(line.lsn.0), xid, Value::text(line.text)].into()
        });
        Ok(rows.collect())
    }

    pub(super) fn replication_slots(&mut self) -> Vec<Tuple> {
        let slots = self.session.replication_slots().into_iter();
        let rows = slots.map(|(name, slot)| {
            let lsn = Value::Lsn(slot.confirmed.0);
            let row: [Value; 7] = [
                Value::Text(name),
                Value::text("test_decoding"),
                Value::text("logical"),
                Value::text("postgres"),
                Value::Bool(false),
                Value::Bool(false),
                lsn,
            ];
            row.into()
        });
        rows.collect()
    }
}
