//! What is CockroachDB's own beside PostgreSQL's protocol: its settings, its sessions and locks, the order of its
//! commits, its changefeeds and their jobs.
//!
//! By the documentation of version 24.3, <https://www.cockroachlabs.com/docs/v24.3/>.

use std::fmt::Write as _;

use crate::port::{DatabaseConnection, PortError};

/// Who may do everything in a cluster without certificates (page "cockroach start-single-node").
pub const USER: &str = "root";

/// The database that is there from the start (page "SHOW DATABASES").
pub const DATABASE: &str = "defaultdb";

/// What a cluster needs before its first changefeed (page "Create and Configure Changefeeds"), and has its
/// resolved timestamps soon after the writes (page "Cluster Settings").
pub const SETTINGS: [&str; 2] = [
    "SET CLUSTER SETTING kv.rangefeed.enabled = true",
    "SET CLUSTER SETTING kv.closed_timestamp.target_duration = '500ms'",
];

/// For a session that makes tables: a `serial` column takes its numbers from a sequence, as PostgreSQL's does. By
/// itself it would take them from `unique_rowid()`, whose numbers do not grow with time (page "SERIAL").
pub const BEFORE_TABLES: &str = "SET serial_normalization = 'sql_sequence'";

/// The id of the session that asks, as `crdb_internal.cluster_sessions` has it (page "Session Variables"). What
/// `pg_backend_pid()` returns stands in none of its tables.
pub const SESSION_ID: &str = "SHOW session_id";

/// The sessions whose locks the session `$1` waits for: who waits for a lock stands among those that have it, as one
/// to whom it is not granted (page "crdb_internal", tables `cluster_locks` and `cluster_sessions`).
const BLOCKING: &str = "\
    SELECT DISTINCT holder.session_id AS session_id FROM crdb_internal.cluster_sessions AS waiter \
    JOIN crdb_internal.cluster_locks AS wanted ON wanted.txn_id::text = waiter.kv_txn AND NOT wanted.granted \
    JOIN crdb_internal.cluster_locks AS held ON held.lock_key = wanted.lock_key AND held.granted \
    JOIN crdb_internal.cluster_sessions AS holder ON holder.kv_txn = held.txn_id::text \
    WHERE waiter.session_id = $1 AND holder.session_id <> $1 ORDER BY session_id";

/// Makes a user who may do everything. A cluster without certificates asks nobody for a password (page "CREATE
/// USER", page "GRANT").
pub fn make_user(name: &str) -> [String; 2] {
    [format!("CREATE USER IF NOT EXISTS {name}"), format!("GRANT admin TO {name}")]
}

/// Drops a database with all that is in it, sessions or not (page "DROP DATABASE").
pub fn drop_database(name: &str) -> String {
    format!("DROP DATABASE IF EXISTS {name} CASCADE")
}

/// Reads `key`, `ver` and `position` of each row of a ledger, numbered in the order of the commits. A row is as
/// old as the transaction that wrote it last, and transactions that conflict have different timestamps, in the
/// order in which they took effect.
pub fn commit_order(table: &str) -> String {
    format!(
        "SELECT key, ver, dense_rank() OVER (ORDER BY crdb_internal_mvcc_timestamp) AS position FROM {table}"
    )
}

/// The sessions whose locks the session waits for, in order.
pub async fn blocking_sessions(
    admin: &mut dyn DatabaseConnection,
    session_id: &str,
) -> Result<Vec<String>, PortError> {
    let rows = admin.query(BLOCKING, &[session_id.into()]).await?;
    rows.iter().map(|row| row.text("session_id").map(str::to_owned)).collect()
}

/// Follows a table from now on, into a topic of the broker at `broker` (page "CREATE CHANGEFEED"). Each row says
/// when it was committed, and from time to time the feed says up to when it is complete. Without
/// `min_checkpoint_frequency` it would say so every 30 s at the soonest, and as many seconds would come again
/// after a restart. A row counts as sent once all replicas of the broker have it.
pub fn create_changefeed(table: &str, broker: &str, topic: &str) -> String {
    let mut statement =
        format!("CREATE CHANGEFEED FOR TABLE {table} INTO 'kafka://{broker}?topic_name={topic}'");
    let sink = r#"{"Flush": {"MaxMessages": 1, "Frequency": "100ms"}, "RequiredAcks": "ALL"}"#;
    write!(
        statement,
        " WITH updated, resolved = '1s', min_checkpoint_frequency = '1s', diff, initial_scan = 'no', \
         kafka_sink_config = '{sink}'"
    )
    .expect("a string takes all");
    statement
}

/// The same to the session that asks, without a job and without a broker, of what is committed behind a time (page
/// "EXPERIMENTAL CHANGEFEED FOR").
pub fn sinkless_changefeed(table: &str, from: &str) -> String {
    format!("EXPERIMENTAL CHANGEFEED FOR {table} WITH updated, resolved = '1s', diff, cursor = '{from}'")
}

/// The changefeeds into topics whose names begin so (page "SHOW JOBS", "Show changefeed jobs").
fn feeds_into(prefix: &str, columns: &str) -> String {
    format!(
        "SELECT {columns} FROM [SHOW CHANGEFEED JOBS] WHERE strpos(description, 'topic_name={prefix}') > 0"
    )
}

/// The jobs of those that have not ended.
pub async fn changefeed_jobs(
    admin: &mut dyn DatabaseConnection,
    prefix: &str,
) -> Result<Vec<i64>, PortError> {
    let sql = feeds_into(prefix, "job_id") + " AND status IN ('running', 'paused') ORDER BY job_id";
    let rows = admin.query(&sql, &[]).await?;
    rows.iter().map(|row| row.int("job_id")).collect()
}

/// The time of a transaction that begins now, by the clock by which changefeeds say how far they are (page "Functions
/// and Operators").
pub const NOW: &str = "SELECT cluster_logical_timestamp()::text AS now";

/// How many of them have not yet sent all that was committed up to then (`high_water_timestamp`, page "Monitor and
/// Debug Changefeeds").
pub fn changefeeds_behind(prefix: &str, then: &str) -> String {
    let behind = format!(" AND (high_water_timestamp IS NULL OR high_water_timestamp < {then}::decimal)");
    feeds_into(prefix, "count(*) AS behind") + &behind
}

/// Ends a changefeed for good (page "CANCEL JOB").
pub fn cancel(job: i64) -> String {
    format!("CANCEL JOB {job}")
}

/// Stops a changefeed's job where it is (page "PAUSE JOB").
pub fn pause(job: i64) -> String {
    format!("PAUSE JOB {job}")
}

/// Lets it go on from its last checkpoint (page "RESUME JOB"): what it had sent since comes again.
pub fn resume(job: i64) -> String {
    format!("RESUME JOB {job}")
}

/// A job's status as `status`: `running`, `paused`, .. A pause or resume takes effect some time after its
/// statement has returned (page "SHOW JOBS").
pub fn status(job: i64) -> String {
    format!("SELECT status FROM [SHOW JOB {job}]")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_are_as_the_documentation_has_them() {
        let all = [
            create_changefeed("stock", "broker:29092", "stock"),
            sinkless_changefeed("stock", "1718000000000000000.0000000001"),
            pause(7),
            resume(7),
            status(7),
            cancel(7),
            feeds_into("cc_1_", "job_id"),
            NOW.to_owned(),
            changefeeds_behind("cc_1_", "1718000000000000000.0000000001"),
            BEFORE_TABLES.to_owned(),
            SESSION_ID.to_owned(),
            make_user("relay").join("; "),
            drop_database("cc_1"),
            commit_order("ledger"),
            BLOCKING.to_owned(),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        CREATE CHANGEFEED FOR TABLE stock INTO 'kafka://broker:29092?topic_name=stock' WITH updated, resolved = '1s', min_checkpoint_frequency = '1s', diff, initial_scan = 'no', kafka_sink_config = '{"Flush": {"MaxMessages": 1, "Frequency": "100ms"}, "RequiredAcks": "ALL"}'
        EXPERIMENTAL CHANGEFEED FOR stock WITH updated, resolved = '1s', diff, cursor = '1718000000000000000.0000000001'
        PAUSE JOB 7
        RESUME JOB 7
        SELECT status FROM [SHOW JOB 7]
        CANCEL JOB 7
        SELECT job_id FROM [SHOW CHANGEFEED JOBS] WHERE strpos(description, 'topic_name=cc_1_') > 0
        SELECT cluster_logical_timestamp()::text AS now
        SELECT count(*) AS behind FROM [SHOW CHANGEFEED JOBS] WHERE strpos(description, 'topic_name=cc_1_') > 0 AND (high_water_timestamp IS NULL OR high_water_timestamp < 1718000000000000000.0000000001::decimal)
        SET serial_normalization = 'sql_sequence'
        SHOW session_id
        CREATE USER IF NOT EXISTS relay; GRANT admin TO relay
        DROP DATABASE IF EXISTS cc_1 CASCADE
        SELECT key, ver, dense_rank() OVER (ORDER BY crdb_internal_mvcc_timestamp) AS position FROM ledger
        SELECT DISTINCT holder.session_id AS session_id FROM crdb_internal.cluster_sessions AS waiter JOIN crdb_internal.cluster_locks AS wanted ON wanted.txn_id::text = waiter.kv_txn AND NOT wanted.granted JOIN crdb_internal.cluster_locks AS held ON held.lock_key = wanted.lock_key AND held.granted JOIN crdb_internal.cluster_sessions AS holder ON holder.kv_txn = held.txn_id::text WHERE waiter.session_id = $1 AND holder.session_id <> $1 ORDER BY session_id
        "#);
    }
}
