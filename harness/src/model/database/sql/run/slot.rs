//! Replication slots as rows.

use super::super::super::error::{SqlError, state};
use super::super::super::store::SlotBounds;
use super::super::super::types::Type;
use super::super::super::value::{Tuple, Value};
use super::super::input;
use super::Run;
use super::table_function::bounds;

impl Run<'_> {
    pub(super) fn slot_changes(&mut self, args: &[Value], consume: bool) -> Result<Vec<Tuple>, SqlError> {
        let [name, upto, count, options @ ..] = args else { return Ok(Vec::new()) };
        let Value::Text(name) = name else {
            return Err(SqlError::new(state::INVALID_PARAMETER_VALUE, "slot name must not be null"));
        };
        let bounds = with_options(bounds(upto, count), options)?;
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

/// The options of `test_decoding`, in pairs of name and value.
fn with_options(mut bounds: SlotBounds, options: &[Value]) -> Result<SlotBounds, SqlError> {
    for pair in options.chunks(2) {
        let [Value::Text(name), Value::Text(value)] = pair else {
            return Err(SqlError::unknown(
                "options of a slot without names and values",
                "'include-xids', '0'",
            ));
        };
        let on = input::read(value, Type::Bool)? == Value::Bool(true);
        match &**name {
            "include-xids" => bounds.without_xids = !on,
            "skip-empty-xacts" => bounds.skip_empty = on,
            "include-timestamp" | "include-rewrites" | "only-local" | "stream-changes" if !on => {}
            _ => {
                let what = format!("the option \"{name}\" = \"{value}\" of test_decoding");
                return Err(SqlError::unknown(what, "include-xids, skip-empty-xacts"));
            }
        }
    }
    Ok(bounds)
}
