//! The database port on PostgreSQL.

use std::time::Duration;

use crosscheck_harness::backend::local::ServerKind;
use crosscheck_harness::port::{Database, DatabaseConnection, PortError, SqlValue};
use crosscheck_harness::system::postgres::{
    PostgresAddress, PostgresDatabase, blocking_sessions, waits_for_lock,
};

use crate::faults::{Forwarder, dead_port};
use crate::servers::{Servers, fresh, postgres_address, start};

/// How long a condition on the server may take to come true.
const BOUND: Duration = Duration::from_secs(10);

fn code(error: &PortError) -> &str {
    error.code.as_deref().unwrap_or("none")
}

/// Makes a table of keys and values, with one row.
async fn table(session: &mut dyn DatabaseConnection) -> Result<String, PortError> {
    let name = fresh("t");
    session.execute(&format!("CREATE TABLE {name}(k text PRIMARY KEY, v int NOT NULL)"), &[]).await?;
    session.execute(&format!("INSERT INTO {name} VALUES ('a', 1)"), &[]).await?;
    Ok(name)
}

/// Waits until the session waits for a lock.
async fn until_blocked(admin: &mut dyn DatabaseConnection, session: &str) -> Result<(), PortError> {
    let deadline = tokio::time::Instant::now() + BOUND;
    while !waits_for_lock(admin, session).await? {
        assert!(tokio::time::Instant::now() < deadline, "session {session} waits for no lock");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub(crate) async fn values_go_both_ways(servers: Servers) -> Result<(), PortError> {
    let mut session = servers.session().await?;
    let text = |text: &str| SqlValue::Text(text.to_owned());
    let cases = [
        ("int2", SqlValue::Int(-7)),
        ("int4", SqlValue::Int(i64::from(i32::MAX))),
        ("int8", SqlValue::Int(i64::MIN)),
        ("oid", SqlValue::Int(i64::from(u32::MAX))),
        ("xid8", SqlValue::Int(1 << 40)),
        ("bool", SqlValue::Bool(true)),
        ("bool", SqlValue::Bool(false)),
        ("text", text("ä ✓")),
        ("text", text("")),
        ("varchar", text("x")),
        ("name", text("x")),
        ("json", text(r#"{"b": 1, "a": 2}"#)),
        ("jsonb", text(r#"{"a": 2, "b": 1}"#)),
        ("uuid", text("00112233-4455-6677-8899-aabbccddeeff")),
        ("pg_lsn", text("1/16B37A40")),
        ("bytea", SqlValue::Bytes(vec![0, 1, 255])),
        ("bytea", SqlValue::Bytes(vec![])),
        ("int4", SqlValue::Null),
        ("jsonb", SqlValue::Null),
    ];
    for (kind, value) in cases {
        let rows = session.query(&format!("SELECT $1::{kind} AS v"), std::slice::from_ref(&value)).await?;
        assert_eq!(rows[0].get("v")?, &value, "{kind}");
    }
    let sql = "SELECT $1::timestamptz < $2::timestamptz AND $3 = 2.5::numeric
               AND $4::int8[] = ARRAY[1, 2]::int8[] AS v";
    let params = [text("2020-01-01"), text("2021-01-01"), text("2.5"), text("{1,2}")];
    assert_eq!(session.query(sql, &params).await?[0].get("v")?, &SqlValue::Bool(true));
    assert_eq!(session.query("SELECT pg_notify('nobody', '')", &[]).await?.len(), 1);
    Ok(())
}

pub(crate) async fn types_that_are_not_read_are_refused_by_name(servers: Servers) -> Result<(), PortError> {
    let mut session = servers.session().await?;
    let sequence = fresh("s");
    session.execute(&format!("CREATE SEQUENCE {sequence}"), &[]).await?;
    for expression in ["now()", "1.5::numeric", "ARRAY[1]", "1.5::float8", "interval '1 s'"] {
        let sql = format!("SELECT nextval('{sequence}'), {expression} AS odd");
        let error = session.query(&sql, &[]).await.expect_err("the type is not read");
        assert_eq!((code(&error), error.may_have_happened), ("42804", false), "{expression}");
        assert!(error.message.starts_with("column `odd` is of type "), "{error}");
    }
    let rows = session.query(&format!("SELECT nextval('{sequence}') AS n"), &[]).await?;
    assert_eq!(rows[0].int("n")?, 1, "a refused statement has not run");
    Ok(())
}

pub(crate) async fn parameters_are_checked_before_anything_runs(servers: Servers) -> Result<(), PortError> {
    let mut session = servers.session().await?;
    let one: SqlValue = 1_i64.into();
    for (sql, params, expected) in [
        ("SELECT $1::int4 AS v", vec!["1".into()], "42804"),
        ("SELECT $1::text AS v", vec![one.clone()], "42804"),
        ("SELECT $1::int4 AS v", vec![], "07001"),
        ("SELECT 1 AS v", vec![one.clone()], "07001"),
        ("SELECT $1::int2 AS v", vec![100_000_i64.into()], "22003"),
        ("SELECT $1::uuid AS v", vec!["no uuid".into()], "22P02"),
        ("SELECT 1; SELECT 2", vec![], "42601"),
    ] {
        let error = session.query(sql, &params).await.expect_err(sql);
        assert_eq!((code(&error), error.may_have_happened, error.connection_lost), (expected, false, false));
    }
    assert_eq!(session.query("SELECT $1::int4 AS v", &[one]).await?[0].int("v")?, 1);
    Ok(())
}

pub(crate) async fn a_unique_violation_is_refused(servers: Servers) -> Result<(), PortError> {
    let mut session = servers.session().await?;
    let t = table(session.as_mut()).await?;
    let insert = format!("INSERT INTO {t} VALUES ($1, $2)");
    let error = session.execute(&insert, &["a".into(), 2_i64.into()]).await.expect_err("the key is taken");
    assert_eq!((code(&error), error.may_have_happened, error.connection_lost), ("23505", false, false));
    assert_eq!(session.execute(&insert, &["b".into(), 2_i64.into()]).await?, 1);
    assert_eq!(session.execute(&format!("UPDATE {t} SET v = v + 1"), &[]).await?, 2);
    Ok(())
}

pub(crate) async fn a_serialization_failure_is_a_conflict(servers: Servers) -> Result<(), PortError> {
    let mut one = servers.session().await?;
    let mut two = servers.session().await?;
    let t = table(one.as_mut()).await?;
    let read = format!("SELECT sum(v)::int8 AS v FROM {t}");
    for session in [&mut one, &mut two] {
        session.execute("BEGIN ISOLATION LEVEL SERIALIZABLE", &[]).await?;
        session.query(&read, &[]).await?;
    }
    let insert = format!("INSERT INTO {t} VALUES ($1, 1)");
    one.execute(&insert, &["b".into()]).await?;
    two.execute(&insert, &["c".into()]).await?;
    one.execute("COMMIT", &[]).await?;
    let error = two.execute("COMMIT", &[]).await.expect_err("write skew");
    assert!(error.is_conflict(), "{error}");
    assert!(!error.connection_lost);
    assert_eq!(two.query(&read, &[]).await?[0].int("v")?, 2, "the session is out of the transaction");
    Ok(())
}

pub(crate) async fn a_commit_of_a_failed_transaction_is_refused(servers: Servers) -> Result<(), PortError> {
    let mut session = servers.session().await?;
    let t = table(session.as_mut()).await?;
    let insert = format!("INSERT INTO {t} VALUES ('b', 1)");
    let fail = "SELECT 1/0 AS v";
    for commit in ["COMMIT", "PREPARE TRANSACTION 'never'"] {
        session.execute("BEGIN", &[]).await?;
        session.execute(&insert, &[]).await?;
        assert_eq!(code(&session.query(fail, &[]).await.expect_err("a division by zero")), "22012");
        let error = session.execute(commit, &[]).await.expect_err("it rolls back");
        assert_eq!((code(&error), error.may_have_happened), ("25P02", false), "{commit}");
    }
    session.execute("BEGIN", &[]).await?;
    session.execute(&insert, &[]).await?;
    session.execute("SAVEPOINT s", &[]).await?;
    session.query(fail, &[]).await.expect_err("a division by zero");
    session.execute("ROLLBACK TO s", &[]).await?;
    session.execute("COMMIT", &[]).await?;
    let rows = session.query(&format!("SELECT count(*) AS n FROM {t}"), &[]).await?;
    assert_eq!(rows[0].int("n")?, 2, "the savepoint saved the transaction");
    Ok(())
}

pub(crate) async fn a_table_changed_behind_a_prepared_statement_is_read_anew(
    servers: Servers,
) -> Result<(), PortError> {
    let mut session = servers.session().await?;
    let t = table(session.as_mut()).await?;
    let select = format!("SELECT * FROM {t}");
    session.query(&select, &[]).await?;
    session.execute(&format!("ALTER TABLE {t} ADD COLUMN w int DEFAULT 5"), &[]).await?;
    let error = session.query(&select, &[]).await.expect_err("the plan is stale");
    assert_eq!((code(&error), error.may_have_happened), ("0A000", false));
    assert_eq!(session.query(&select, &[]).await?[0].int("w")?, 5);
    Ok(())
}

pub(crate) async fn a_session_terminated_in_a_statement_leaves_it_unknown(
    servers: Servers,
) -> Result<(), PortError> {
    let mut admin = servers.session().await?;
    let mut session = servers.session().await?;
    let pid = session.session_id().parse::<i64>().expect("a process id");
    let running = tokio::spawn(async move {
        let result = session.query("SELECT pg_sleep(60)", &[]).await;
        (session, result)
    });
    let asleep = "SELECT 1 FROM pg_stat_activity WHERE pid = $1 AND wait_event = 'PgSleep'";
    while admin.query(asleep, &[pid.into()]).await?.is_empty() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    admin.query("SELECT pg_terminate_backend($1)", &[pid.into()]).await?;
    let (mut session, result) = running.await.expect("the statement returns");
    let error = result.expect_err("the session was terminated");
    assert_eq!((code(&error), error.may_have_happened, error.connection_lost), ("57P01", true, true));
    let error = session.query("SELECT 1 AS v", &[]).await.expect_err("the session is lost");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    Ok(())
}

pub(crate) async fn a_server_killed_in_a_statement_leaves_it_unknown(
    _shared: Servers,
) -> Result<(), PortError> {
    let set = start(&[ServerKind::Postgres]).await.expect("it starts, as the shared one did");
    let server = set.postgres().expect("the set was asked for it");
    let database = PostgresDatabase::new(postgres_address(server.addr()));
    let (mut holder, mut session) = (database.connect().await?, database.connect().await?);
    let mut admin = database.connect().await?;
    let t = table(admin.as_mut()).await?;
    let update = format!("UPDATE {t} SET v = v + 1");
    holder.execute("BEGIN", &[]).await?;
    holder.execute(&update, &[]).await?;
    let pid = session.session_id();
    let again = update.clone();
    let running = tokio::spawn(async move { session.execute(&again, &[]).await });
    until_blocked(admin.as_mut(), &pid).await?;
    server.kill().await.expect("it runs");
    let error = running.await.expect("the statement returns").expect_err("the server was killed");
    assert_eq!((error.may_have_happened, error.connection_lost), (true, true), "{error}");
    let error = holder.execute("COMMIT", &[]).await.expect_err("the server was killed");
    assert!(error.connection_lost, "{error}");
    let error = database.connect().await.err().expect("the server is down");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    server.start().await.expect("it starts again");
    let mut session = database.connect().await?;
    assert_eq!(session.query(&format!("SELECT v FROM {t}"), &[]).await?[0].int("v")?, 1);
    Ok(())
}

async fn through(servers: &Servers, forwarder: &Forwarder) -> Result<Box<dyn DatabaseConnection>, PortError> {
    let address = PostgresAddress { addr: forwarder.addr, ..servers.postgres.clone() };
    PostgresDatabase::new(address).connect().await
}

pub(crate) async fn a_cut_in_a_statement_leaves_it_unknown(servers: Servers) -> Result<(), PortError> {
    let mut admin = servers.session().await?;
    let t = table(admin.as_mut()).await?;
    let forwarder = Forwarder::to(servers.postgres.addr).await;
    let mut session = through(&servers, &forwarder).await?;
    admin.execute("BEGIN", &[]).await?;
    let update = format!("UPDATE {t} SET v = v + 1");
    admin.execute(&update, &[]).await?;
    let pid = session.session_id();
    let running = tokio::spawn(async move { session.execute(&update, &[]).await });
    let mut observer = servers.session().await?;
    until_blocked(observer.as_mut(), &pid).await?;
    forwarder.cut();
    let error = running.await.expect("the statement returns").expect_err("the connection was cut");
    assert_eq!((error.may_have_happened, error.connection_lost), (true, true), "{error}");
    admin.execute("COMMIT", &[]).await?;
    // It did happen: the server had the statement, and only its answer went nowhere.
    let deadline = tokio::time::Instant::now() + BOUND;
    while admin.query(&format!("SELECT v FROM {t}"), &[]).await?[0].int("v")? != 3 {
        assert!(tokio::time::Instant::now() < deadline, "the statement takes effect");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Ok(())
}

pub(crate) async fn no_reply_in_time_leaves_it_unknown(servers: Servers) -> Result<(), PortError> {
    let database = servers.database().with_reply_timeout(Duration::from_millis(300));
    let mut session = database.connect().await?;
    let error = session.query("SELECT pg_sleep(5)", &[]).await.expect_err("it sleeps longer");
    assert_eq!((error.may_have_happened, error.connection_lost), (true, true), "{error}");
    let error = session.query("SELECT 1 AS v", &[]).await.expect_err("the session is lost");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    let mut session = database.connect().await?;
    let given_up = tokio::time::timeout(Duration::from_millis(50), session.query("SELECT pg_sleep(5)", &[]));
    assert!(given_up.await.is_err());
    let error = session.query("SELECT 1 AS v", &[]).await.expect_err("a statement was given up");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    Ok(())
}

pub(crate) async fn a_dead_port_means_not_sent(servers: Servers) -> Result<(), PortError> {
    let address = PostgresAddress { addr: dead_port().await, ..servers.postgres.clone() };
    let error = PostgresDatabase::new(address).connect().await.err().expect("nobody listens");
    assert_eq!((error.may_have_happened, error.connection_lost), (false, true), "{error}");
    let address = PostgresAddress { database: "no_such_database".to_owned(), ..servers.postgres };
    let error = PostgresDatabase::new(address).connect().await.err().expect("no such database");
    assert_eq!((code(&error), error.may_have_happened), ("3D000", false), "{error}");
    Ok(())
}

pub(crate) async fn a_dropped_session_is_rolled_back(servers: Servers) -> Result<(), PortError> {
    let mut admin = servers.session().await?;
    let t = table(admin.as_mut()).await?;
    let mut session = servers.session().await?;
    session.execute("BEGIN", &[]).await?;
    let update = format!("UPDATE {t} SET v = v + 1");
    session.execute(&update, &[]).await?;
    drop(session);
    // It waits for the dropped session's lock, which goes with the rollback.
    assert_eq!(admin.execute(&update, &[]).await?, 1);
    let rows = admin.query(&format!("SELECT v FROM {t}"), &[]).await?;
    assert_eq!(rows[0].int("v")?, 2);
    Ok(())
}

pub(crate) async fn a_lock_wait_is_seen(servers: Servers) -> Result<(), PortError> {
    let mut admin = servers.session().await?;
    let mut holder = servers.session().await?;
    let mut waiter = servers.session().await?;
    let t = table(admin.as_mut()).await?;
    let lock = format!("SELECT v FROM {t} WHERE k = 'a' FOR UPDATE");
    holder.execute("BEGIN", &[]).await?;
    holder.query(&lock, &[]).await?;
    let pid = waiter.session_id();
    assert!(!waits_for_lock(admin.as_mut(), &pid).await?);
    let waiting = tokio::spawn(async move { waiter.query(&lock, &[]).await });
    until_blocked(admin.as_mut(), &pid).await?;
    assert_eq!(blocking_sessions(admin.as_mut(), &pid).await?, [holder.session_id()]);
    holder.execute("COMMIT", &[]).await?;
    assert_eq!(waiting.await.expect("the lock is free")?[0].int("v")?, 1);
    assert!(!waits_for_lock(admin.as_mut(), &pid).await?);
    Ok(())
}

pub(crate) async fn skip_locked_skips(servers: Servers) -> Result<(), PortError> {
    let mut one = servers.session().await?;
    let mut two = servers.session().await?;
    let t = table(one.as_mut()).await?;
    one.execute(&format!("INSERT INTO {t} VALUES ('b', 2)"), &[]).await?;
    let take = format!("SELECT k FROM {t} ORDER BY k LIMIT 1 FOR UPDATE SKIP LOCKED");
    let mut taken = Vec::new();
    for session in [&mut one, &mut two] {
        session.execute("BEGIN", &[]).await?;
        taken.push(session.query(&take, &[]).await?[0].text("k")?.to_owned());
    }
    assert_eq!(taken, ["a", "b"]);
    Ok(())
}

pub(crate) async fn notifications_arrive(servers: Servers) -> Result<(), PortError> {
    let mut listener = servers.session().await?;
    let mut notifier = servers.session().await?;
    let channel = fresh("c");
    listener.execute(&format!("LISTEN {channel}"), &[]).await?;
    assert_eq!(listener.notification(Duration::from_millis(20)).await?, None);
    notifier.execute("BEGIN", &[]).await?;
    notifier.query("SELECT pg_notify($1, $2)", &[(&channel).into(), "1".into()]).await?;
    assert_eq!(listener.notification(Duration::from_millis(50)).await?, None, "not before the commit");
    notifier.execute("COMMIT", &[]).await?;
    notifier.execute(&format!("NOTIFY {channel}, '2'"), &[]).await?;
    for expected in ["1", "2"] {
        let received = listener.notification(BOUND).await?.expect("a notification comes");
        assert_eq!((received.channel.as_str(), received.payload.as_str()), (channel.as_str(), expected));
    }
    Ok(())
}

pub(crate) async fn a_logical_slot_is_peeked_and_advanced(servers: Servers) -> Result<(), PortError> {
    let mut session = servers.session().await?;
    let t = table(session.as_mut()).await?;
    let slot = fresh("slot");
    let name: SqlValue = (&slot).into();
    let create = "SELECT slot_name, lsn FROM pg_create_logical_replication_slot($1, 'test_decoding')";
    session.query(create, std::slice::from_ref(&name)).await?;
    session.execute(&format!("UPDATE {t} SET v = 9"), &[]).await?;
    let peek = "SELECT lsn, xid, data FROM pg_logical_slot_peek_changes($1, NULL, NULL)";
    let of_table = format!("table public.{t}:");
    for _again in 0..2 {
        let rows = session.query(peek, std::slice::from_ref(&name)).await?;
        let changes = rows.iter().filter_map(|row| row.text("data").ok());
        assert_eq!(changes.filter(|data| data.starts_with(&of_table)).count(), 1, "a peek takes nothing");
    }
    let rows = session.query(peek, std::slice::from_ref(&name)).await?;
    let last = rows.last().expect("the commit is the last change");
    assert!(last.int("xid")? > 0 && last.text("data")?.starts_with("COMMIT"));
    let lsn: SqlValue = last.text("lsn")?.into();
    // The position of a commit record is where it begins; the slot has to be moved past its end.
    let end =
        session.query("SELECT pg_current_wal_insert_lsn() AS lsn", &[]).await?[0].text("lsn")?.to_owned();
    let advance = "SELECT end_lsn, end_lsn >= $2 AS past FROM pg_replication_slot_advance($1, $3)";
    let rows = session.query(advance, &[name.clone(), lsn, end.into()]).await?;
    assert_eq!(rows[0].get("past")?, &SqlValue::Bool(true));
    let rows = session.query(peek, std::slice::from_ref(&name)).await?;
    let changes = rows.iter().filter_map(|row| row.text("data").ok());
    assert_eq!(changes.filter(|data| data.starts_with(&of_table)).count(), 0);
    session.query("SELECT pg_drop_replication_slot($1)", &[name]).await?;
    Ok(())
}
