//! Tables of the system catalogue, as far as designs look at them.

use super::super::types::Type;
use super::plan::{OutColumn, SystemTable};

/// The table of that name with its columns.
pub(super) fn table(name: &str) -> Option<(SystemTable, Vec<OutColumn>)> {
    let (table, columns): (SystemTable, &[(&str, Type)]) = match name {
        "pg_replication_slots" => (
            SystemTable::ReplicationSlots,
            &[
                ("slot_name", Type::Name),
                ("plugin", Type::Name),
                ("slot_type", Type::Text),
                ("database", Type::Name),
                ("temporary", Type::Bool),
                ("active", Type::Bool),
                ("confirmed_flush_lsn", Type::PgLsn),
            ],
        ),
        _ => return None,
    };
    let columns = columns.iter().map(|(name, kind)| OutColumn { name: (*name).into(), kind: *kind });
    Some((table, columns.collect()))
}

/// A relation of the catalogue that is not known here; PostgreSQL has it.
pub(super) fn is_reserved(name: &str) -> bool {
    name.starts_with("pg_")
}
