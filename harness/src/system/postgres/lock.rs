//! Who waits for whom, asked from the server: what a directed schedule needs to see that a step is blocked.

use crate::port::{DatabaseConnection, PortError, SqlValue, System};

/// Whether the session waits for a lock of another one. A session that is gone waits for nothing. `admin`
/// has to be another session, and in no transaction (in one, the server repeats its first answer).
pub async fn waits_for_lock(admin: &mut dyn DatabaseConnection, session_id: &str) -> Result<bool, PortError> {
    let sql =
        "SELECT coalesce(wait_event_type = 'Lock', false) AS waits FROM pg_stat_activity WHERE pid = $1";
    let rows = admin.query(sql, &[process_id(session_id)?]).await?;
    match rows.first() {
        Some(row) => Ok(row.get("waits")? == &SqlValue::Bool(true)),
        None => Ok(false),
    }
}

/// The sessions whose locks the session waits for, in order; `0` stands for a prepared transaction.
pub async fn blocking_sessions(
    admin: &mut dyn DatabaseConnection,
    session_id: &str,
) -> Result<Vec<String>, PortError> {
    let sql = "SELECT DISTINCT pid FROM unnest(pg_blocking_pids($1)) AS pid ORDER BY pid";
    let rows = admin.query(sql, &[process_id(session_id)?]).await?;
    rows.iter().map(|row| row.int("pid").map(|pid| pid.to_string())).collect()
}

fn process_id(session_id: &str) -> Result<SqlValue, PortError> {
    let process_id = session_id.parse::<i64>();
    process_id.map(SqlValue::Int).map_err(|_| {
        let message = format!("session id `{session_id}` is not the process id of a PostgreSQL session");
        PortError::refused(System::Db, "shape", message)
    })
}
