//! What a crash leaves: cases cannot say this, because no statement of PostgreSQL crashes the server.

use super::ModelDatabase;
use crate::backend::model::InProcessDatabase;
use crate::model::footprint::Footprints;

/// Runs a text in a session of its own, which stays open in the vector; gives the cells of its last answer.
async fn run(database: &ModelDatabase, open: &mut Vec<super::sql::SqlSession>, sql: &str) -> Vec<String> {
    let mut session = database.open();
    let mut last = Vec::new();
    let result = session
        .simple(sql, |_, answer| {
            let columns = answer.columns.iter().flat_map(|columns| columns.iter());
            let kinds: Vec<_> = columns.map(|(_, kind)| *kind).collect();
            let cells = answer.rows.iter().flat_map(|row| row.iter().zip(&kinds));
            last = cells.map(|(value, kind)| value.output(*kind).unwrap_or_default()).collect();
        })
        .await;
    assert_eq!(result, Ok(()), "{sql}");
    open.push(session);
    last
}

#[tokio::test(start_paused = true)]
async fn what_was_committed_survives_and_nothing_else() {
    let database = ModelDatabase::new(Footprints::default());
    let mut open = Vec::new();
    run(&database, &mut open, "CREATE TABLE t (id bigserial PRIMARY KEY, v text)").await;
    run(&database, &mut open, "INSERT INTO t (v) VALUES ('kept')").await;
    run(&database, &mut open, "BEGIN; INSERT INTO t (v) VALUES ('open')").await;
    database.crash();
    assert_eq!(run(&database, &mut open, "SELECT v FROM t").await, ["kept"]);
    // A sequence goes on behind what it has logged ahead (PostgreSQL: 32 values).
    let next = run(&database, &mut open, "INSERT INTO t (v) VALUES ('later') RETURNING id").await;
    assert_eq!(next, ["34"]);
}

#[tokio::test(start_paused = true)]
async fn an_asynchronous_commit_is_lost_until_the_log_writer_has_come_by() {
    let database = ModelDatabase::new(Footprints::default());
    let mut open = Vec::new();
    run(&database, &mut open, "CREATE TABLE t (v text)").await;
    let fast = "SET synchronous_commit = off; INSERT INTO t VALUES";
    run(&database, &mut open, &format!("{fast} ('written')")).await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    run(&database, &mut open, &format!("{fast} ('lost')")).await;
    assert_eq!(run(&database, &mut open, "SELECT v FROM t").await, ["written", "lost"]);
    database.crash();
    assert_eq!(run(&database, &mut open, "SELECT v FROM t").await, ["written"]);
}

#[tokio::test(start_paused = true)]
async fn a_slot_gives_again_what_it_gave_since_the_last_checkpoint() {
    let database = ModelDatabase::new(Footprints::default());
    let mut open = Vec::new();
    let get = "SELECT data FROM pg_logical_slot_get_changes('s', NULL, NULL, 'include-xids', '0')";
    run(&database, &mut open, "CREATE TABLE t (v int)").await;
    run(&database, &mut open, "SELECT pg_create_logical_replication_slot('s', 'test_decoding')").await;
    run(&database, &mut open, "INSERT INTO t VALUES (1)").await;
    assert_eq!(run(&database, &mut open, get).await.len(), 3);
    database.checkpoint();
    run(&database, &mut open, "INSERT INTO t VALUES (2)").await;
    let second = ["BEGIN", "table public.t: INSERT: v[integer]:2", "COMMIT"];
    assert_eq!(run(&database, &mut open, get).await, second);
    assert_eq!(run(&database, &mut open, get).await, [""; 0]);
    database.crash();
    assert_eq!(run(&database, &mut open, get).await, second);
}
