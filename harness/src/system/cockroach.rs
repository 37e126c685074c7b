//! What is CockroachDB's own beside PostgreSQL's protocol: its settings, its changefeeds and their jobs.
//!
//! By the documentation of version 24.3, <https://www.cockroachlabs.com/docs/v24.3/>.

use std::fmt::Write as _;

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

/// The same to the session that asks, without a job and without a broker (page "EXPERIMENTAL CHANGEFEED FOR").
pub fn sinkless_changefeed(table: &str) -> String {
    format!("EXPERIMENTAL CHANGEFEED FOR {table} WITH updated, resolved = '1s'")
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
            sinkless_changefeed("stock"),
            pause(7),
            resume(7),
            status(7),
        ];
        insta::assert_snapshot!(all.join("\n"), @r#"
        CREATE CHANGEFEED FOR TABLE stock INTO 'kafka://broker:29092?topic_name=stock' WITH updated, resolved = '1s', min_checkpoint_frequency = '1s', diff, initial_scan = 'no', kafka_sink_config = '{"Flush": {"MaxMessages": 1, "Frequency": "100ms"}, "RequiredAcks": "ALL"}'
        EXPERIMENTAL CHANGEFEED FOR stock WITH updated, resolved = '1s'
        PAUSE JOB 7
        RESUME JOB 7
        SELECT status FROM [SHOW JOB 7]
        "#);
    }
}
