//! CockroachDB as a database of designs, as far as it can be tried where there is none: its place is taken by a
//! stand-in that is started as CockroachDB is, and answers by a PostgreSQL behind it.

mod design;
mod feed;
mod stand_in;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crosscheck_harness::backend::local::{
    Finding, LocalBackend, Places, Program, Programs, Server, ServerKind, ServerSet,
};
use crosscheck_harness::backend::{Backend, HarnessError};
use crosscheck_harness::database::DatabaseKind;
use crosscheck_harness::design::{Design, Needs};
use crosscheck_harness::judge;
use crosscheck_harness::port::{Database, DatabaseConnection, PortError, SqlValue};
use crosscheck_harness::runner;
use crosscheck_harness::schedule::FaultOn;
use crosscheck_harness::system::cockroach;
use crosscheck_harness::system::postgres::{PostgresAddress, PostgresDatabase};
use crosscheck_models::verdict::Verdict;
use tempfile::TempDir;

use design::Counter;

const SOON: Duration = Duration::from_secs(10);

/// A place with a program `cockroach`, or none after a line that says why the test is skipped.
struct Place {
    root: TempDir,
    programs: Programs,
}

impl Place {
    fn new() -> Option<Place> {
        let here = Programs::find(&|name| std::env::var(name).ok(), &Places::debian());
        let Finding::Found { at: postgres, .. } = here.finding(Program::Postgres) else {
            let required = std::env::var("CROSSCHECK_REQUIRE").unwrap_or_default();
            assert!(!required.split(',').any(|word| word == "local"), "postgres is required and not here");
            println!("skipped: postgres is not here");
            return None;
        };
        let root = tempfile::tempdir().expect("a directory");
        // PostgreSQL's user has to pass through.
        std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o711)).expect("it is ours");
        let program = stand_in::install(root.path(), postgres);
        Some(Place { programs: with(&program), root })
    }

    async fn server(&self) -> (ServerSet, Server) {
        let set = ServerSet::start(&[ServerKind::Cockroach], &self.programs, &[], self.root.path()).await;
        let set = set.unwrap_or_else(|error| panic!("{error}"));
        let server = set.server(ServerKind::Cockroach).expect("it was asked for").clone();
        (set, server)
    }

    async fn backend(&self) -> LocalBackend {
        let needs = Needs { db: true, ..Needs::default() };
        let cockroach = DatabaseKind::Cockroach;
        let started = LocalBackend::start_on(cockroach, needs, &self.programs, self.root.path()).await;
        started.unwrap_or_else(|error| panic!("{error}"))
    }
}

/// The programs of this machine, with this one as `cockroach`.
fn with(cockroach: &Path) -> Programs {
    let cockroach = cockroach.display().to_string();
    let env = |name: &str| match name {
        "CROSSCHECK_COCKROACH" => Some(cockroach.clone()),
        other => std::env::var(other).ok(),
    };
    Programs::find(&env, &Places::debian())
}

async fn session(server: &Server) -> Result<Box<dyn DatabaseConnection>, PortError> {
    let address = PostgresAddress {
        addr: server.addr(),
        user: cockroach::USER.to_owned(),
        database: cockroach::DATABASE.to_owned(),
        application_name: "crosscheck".to_owned(),
    };
    PostgresDatabase::new(address).of_kind(DatabaseKind::Cockroach).connect().await
}

#[tokio::test(flavor = "multi_thread")]
async fn its_process_is_started_killed_paused_and_stopped_and_keeps_its_data() {
    let Some(place) = Place::new() else { return };
    let (_set, server) = place.server().await;
    assert_eq!(server.version(), stand_in::VERSION);
    let mut sql = session(&server).await.expect("it answers");
    sql.execute("CREATE TABLE kept (n bigint PRIMARY KEY)", &[]).await.expect("it is made");
    sql.execute("INSERT INTO kept VALUES (7)", &[]).await.expect("it is committed");

    server.kill().await.expect("it is killed");
    assert!(server.processes_are_gone());
    let lost = sql.query("SELECT n FROM kept", &[]).await.expect_err("the session is lost");
    assert!(lost.connection_lost, "{lost}");
    server.start().await.expect("it starts again, on the same port");

    server.pause().await.expect("it pauses");
    assert!(server.is_paused());
    server.ping(Duration::from_millis(200)).await.expect_err("it stands still");
    server.resume().await.expect("it goes on");
    server.ping(SOON).await.expect("it answers");

    server.stop().await.expect("it ends in good order");
    server.start().await.expect("it starts again");
    let mut sql = session(&server).await.expect("it answers");
    let rows = sql.query("SELECT n FROM kept", &[]).await.expect("it is there");
    assert_eq!(rows[0].int("n"), Ok(7));
}

/// What the tests ask of a server beyond its own methods.
trait Gone {
    fn processes_are_gone(&self) -> bool;
}

impl Gone for Server {
    fn processes_are_gone(&self) -> bool {
        !self.is_running() && std::net::TcpStream::connect(self.addr()).is_err()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_whom_is_found_in_its_tables_of_sessions_and_locks() {
    let Some(place) = Place::new() else { return };
    let (_set, server) = place.server().await;
    let mut admin = session(&server).await.expect("it answers");
    admin.execute("CREATE TABLE stock (key text PRIMARY KEY, ver bigint)", &[]).await.expect("it is made");
    admin.execute("INSERT INTO stock VALUES ('k1', 0)", &[]).await.expect("it is there");
    let (mut holder, mut waiter) =
        (session(&server).await.expect("it answers"), session(&server).await.expect("it answers"));
    let (holder_id, waiter_id) = (holder.session_id(), waiter.session_id());
    assert_ne!(holder_id, waiter_id);
    holder.execute("BEGIN", &[]).await.expect("it begins");
    holder.execute("UPDATE stock SET ver = 1", &[]).await.expect("the row is locked");
    let blocked =
        tokio::spawn(async move { waiter.execute("UPDATE stock SET ver = 2", &[]).await.map(drop) });
    let end = Instant::now() + SOON;
    loop {
        let holders = cockroach::blocking_sessions(&mut *admin, &waiter_id).await.expect("it tells");
        if holders == [holder_id.clone()] {
            break;
        }
        assert!(holders.is_empty() && Instant::now() < end, "{holders:?}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert_eq!(cockroach::blocking_sessions(&mut *admin, &holder_id).await, Ok(Vec::new()));
    holder.execute("COMMIT", &[]).await.expect("it is committed");
    blocked.await.expect("no panic").expect("it goes on");
    assert_eq!(cockroach::blocking_sessions(&mut *admin, &waiter_id).await, Ok(Vec::new()));
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_whether_a_statement_may_have_happened() {
    let Some(place) = Place::new() else { return };
    let (_set, server) = place.server().await;
    let raise = |code: &str| format!("DO $$ BEGIN RAISE 'as asked' USING ERRCODE = '{code}'; END $$");
    let mut said = Vec::new();
    for code in ["40001", "40003", "08006", "23505"] {
        let mut sql = session(&server).await.expect("it answers");
        let error = sql.execute(&raise(code), &[]).await.expect_err("it is raised");
        let outcome = if error.may_have_happened { "may have happened" } else { "has not happened" };
        let next = if error.is_conflict() { ", try again" } else { "" };
        said.push(format!("{code}: {outcome}{next}"));
    }
    insta::assert_snapshot!(said.join("\n"), @"
    40001: has not happened, try again
    40003: may have happened
    08006: may have happened
    23505: has not happened
    ");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_design_runs_on_it_under_faults_and_its_ledger_is_in_commit_order() {
    let Some(place) = Place::new() else { return };
    let backend = place.backend().await;
    assert_eq!(backend.database(), DatabaseKind::Cockroach);
    let design: Arc<dyn Design> = Arc::new(Counter);
    let faults = ["db-crash", "db-reset"].map(|id| FaultOn::new(id, None));
    let schedule = crosscheck_harness::plan::stress(&*design, design.workload(), &faults, 7, 1_500);
    let history = place.root.path().join("history.jsonl");
    let record = runner::run(design.clone(), &backend, &schedule, "t1", &history).await;
    let record = record.unwrap_or_else(|error| panic!("{error}"));
    assert!(record.faults.iter().all(|fault| fault.took), "{:?}", record.faults);
    let history = judge::history(&record).expect("it can be read");
    let judgement = judge::judge(&record, &history, &design.claims(), &[]);
    assert_eq!(judgement.verdict, Verdict::Valid, "{:?}", judgement.reason);
    let positions =
        commits(&std::fs::read_to_string(place.root.path().join("history.jsonl")).expect("saved"));
    assert!(positions > 10, "{positions} rows of the ledger have a place in the commit order");
}

/// How many rows of the ledger have a place in the order of commits.
fn commits(history: &str) -> usize {
    let line = history.lines().find(|line| line.contains("final_ledger")).expect("it was read");
    line.matches("\"commit\":").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_it_lacks_is_refused_before_a_run_begins() {
    let Some(place) = Place::new() else { return };
    let backend = place.backend().await;
    let design = Counter;
    let arena = backend.open(design.needs(), &design.layout(), "t2").await;
    let arena = arena.unwrap_or_else(|error| panic!("{error}"));
    let refused = |id: &str| arena.injector.can(&FaultOn::new(id, None));
    assert_eq!(refused("db-crash"), Ok(()));
    assert_eq!(refused("db-cut-replies"), Ok(()));
    let HarnessError::Missing { what, advice } = refused("db-slot-drop").expect_err("it has none") else {
        panic!("it is missing")
    };
    insta::assert_snapshot!(format!("{what}; {advice}"), @"CockroachDB has no logical replication slots; leave the fault out, or run it on PostgreSQL (--database postgres)");
    arena.closer.close().await;
    let direct = arena.direct.database.expect("it has one");
    direct.connect().await.map(drop).expect_err("the database of the run is dropped");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_does_not_start_says_why() {
    let Some(place) = Place::new() else { return };
    let broken = place.root.path().join("broken");
    stand_in::script(
        &broken,
        "[ \"$1\" = version ] && echo 'Build Tag: v24.3.5' && exit; echo 'ERROR: no licence' >&2; exit 1",
    );
    let root: PathBuf = place.root.path().to_owned();
    let error = ServerSet::start(&[ServerKind::Cockroach], &with(&broken), &[], &root).await;
    insta::assert_snapshot!(error.expect_err("it cannot start"), @"
    cockroach ended with exit status: 1 before it was ready; its last words:
    ERROR: no licence
    ");
    let old = place.root.path().join("old");
    stand_in::script(&old, "echo 'Build Tag: v23.1.11'");
    let error = ServerSet::start(&[ServerKind::Cockroach], &with(&old), &[], &root).await;
    let said = error.expect_err("it is too old").to_string();
    assert!(said.contains("version 23.1.11 is too old (24 or later is needed)"), "{said}");
}

/// Numbers come from a sequence: the stand-in refuses a table with a serial column before the session has said so.
#[tokio::test(flavor = "multi_thread")]
async fn serial_columns_count() {
    let Some(place) = Place::new() else { return };
    let (_set, server) = place.server().await;
    let mut sql = session(&server).await.expect("it answers");
    let table = "CREATE TABLE outbox (id bigserial PRIMARY KEY, n bigint)";
    sql.execute(cockroach::BEFORE_TABLES, &[]).await.expect("it is set");
    sql.execute(table, &[]).await.expect("it is made");
    for n in 1..=3_i64 {
        sql.execute("INSERT INTO outbox (n) VALUES ($1)", &[SqlValue::Int(n)]).await.expect("it is there");
    }
    let rows = sql.query("SELECT id FROM outbox ORDER BY n", &[]).await.expect("they are there");
    let ids: Vec<_> = rows.iter().map(|row| row.int("id")).collect();
    assert_eq!(ids, [Ok(1), Ok(2), Ok(3)]);
    let error =
        session(&server).await.expect("it answers").execute(&table.replace("outbox", "o2"), &[]).await;
    error.expect_err("numbers of unique_rowid() are not what a design means");
}
