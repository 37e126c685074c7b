//! A program that is started as CockroachDB is and speaks what of its SQL the harness sends: a PostgreSQL, and before
//! it a translator that refuses what CockroachDB would refuse. This test binary itself, called by a script.

use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use crosscheck_harness::system::cockroach;
use rustix::process::{Pid, Signal, getuid, kill_process};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::signal::unix::{SignalKind, signal};

use super::feed::{CLOCK, Feeds, ToClient, prepare_sinkless, sinkless, with_tables};

/// The version that it says it is.
pub(crate) const VERSION: &str = "24.3.5";

const ARGS: &str = "CROSSCHECK_STAND_IN_ARGS";
const POSTGRES: &str = "CROSSCHECK_STAND_IN_POSTGRES";

/// What every database has beside its own tables, as far as the harness reads it: sessions by their process ids, each
/// of which is its transaction's id too, and who waits for whose transaction.
const INTERNAL: &str = "\
CREATE SCHEMA crdb_internal;
CREATE VIEW crdb_internal.cluster_sessions AS SELECT pid::text AS session_id, lpad(pid::text, 32, '0')::uuid::text AS kv_txn FROM pg_stat_activity;
CREATE VIEW crdb_internal.cluster_locks AS SELECT transactionid::text::bytea AS lock_key, lpad(pid::text, 32, '0')::uuid AS txn_id, granted FROM pg_locks WHERE locktype = 'transactionid';
CREATE DATABASE defaultdb;
";

/// What only PostgreSQL understands.
const FOREIGN: [&str; 9] = [
    "pg_create_logical",
    "pg_logical_slot",
    "pg_replication_slots",
    "pg_terminate_backend",
    "pg_blocking_pids",
    "pg_stat_activity",
    "synchronous_",
    "SUPERUSER",
    "WITH (FORCE)",
];

/// Makes the program.
pub(crate) fn install(root: &Path, postgres: &Path) -> PathBuf {
    let program = root.join("cockroach");
    let me = std::env::current_exe().expect("it runs");
    script(
        &program,
        &format!(
            "[ \"$1\" = version ] && echo 'Build Tag:        v{VERSION}' && exit\n\
             {ARGS}=\"$*\" {POSTGRES}='{}' exec '{}' stand_in::serves --exact --nocapture",
            postgres.display(),
            me.display()
        ),
    );
    program
}

/// A shell script that can be run.
pub(crate) fn script(path: &Path, text: &str) {
    std::fs::write(path, format!("#!/bin/sh\n{text}\n")).expect("it is written");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
}

/// What the command line must be, in this order; nothing where it is anything else.
fn asked(args: &str) -> Option<(PathBuf, String)> {
    let args: Vec<&str> = args.split(' ').collect();
    let ["start-single-node", "--insecure", store, sql, console, "--cache=128MiB", "--max-sql-memory=256MiB"] =
        args[..]
    else {
        return None;
    };
    console.strip_prefix("--http-addr=127.0.0.1:")?;
    let addr = sql.strip_prefix("--listen-addr=").filter(|addr| addr.starts_with("127.0.0.1:"))?;
    Some((PathBuf::from(store.strip_prefix("--store=")?), addr.to_owned()))
}

/// The stand-in itself, which its script starts; among the other tests it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn serves() {
    let Ok(args) = std::env::var(ARGS) else { return };
    let Some((store, addr)) = asked(&args) else {
        println!("ERROR: unknown command line: {args}");
        std::process::exit(2);
    };
    let mut terminate = signal(SignalKind::terminate()).expect("a signal can be waited for");
    let bin = PathBuf::from(std::env::var(POSTGRES).expect("the script says it"));
    let mut postgres = Postgres::start(&bin, &store);
    while UnixStream::connect(postgres.socket()).await.is_err() {
        // Processes of one that was killed may still hold its shared memory: then it refuses to start, and is asked
        // again until whoever waits for us gives up.
        if let Some(status) = postgres.child.try_wait().expect("it is ours") {
            println!("PostgreSQL ended: {status}");
            postgres = Postgres::start(&bin, &store);
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let listener = match TcpListener::bind(&addr).await {
        Ok(listener) => listener,
        Err(error) => {
            println!("ERROR: listen tcp {addr}: bind: address already in use ({error})");
            postgres.stop();
            std::process::exit(1);
        }
    };
    let feeds = Feeds::open(&postgres.data);
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                let (client, _) = accepted.expect("a connection");
                tokio::spawn(serve(client, postgres.socket(), feeds.clone()));
            }
            _ = terminate.recv() => break,
        }
    }
    postgres.stop();
    std::process::exit(0);
}

struct Postgres {
    child: Child,
    data: PathBuf,
}

impl Postgres {
    fn start(bin: &Path, store: &Path) -> Postgres {
        let data = store.join("postgres");
        if !data.join("PG_VERSION").exists() {
            std::fs::create_dir_all(&data).expect("a directory");
            if let Some((uid, gid)) = user() {
                chown(store, Some(uid), Some(gid)).expect("it is ours");
                chown(&data, Some(uid), Some(gid)).expect("it is ours");
            }
            let mut initdb = as_user(bin.join("initdb"), &[], &data);
            initdb.args([
                "-U",
                cockroach::USER,
                "--auth=trust",
                "--no-sync",
                "--no-locale",
                "--encoding=UTF8",
            ]);
            assert!(initdb.stdout(Stdio::null()).status().expect("it runs").success());
            let mut single = as_user(bin.join("postgres"), &["--single"], &data);
            single.arg("template1").stdin(Stdio::piped()).stdout(Stdio::null());
            let mut single = single.spawn().expect("it runs");
            let input = single.stdin.take().expect("it is piped");
            std::io::Write::write_all(&mut { input }, INTERNAL.as_bytes()).expect("it reads");
            assert!(single.wait().expect("it ends").success());
        }
        // Killed with us, it may still stand in the table of processes: nobody else is here who would wait for it.
        for left in ["postmaster.pid", ".s.PGSQL.5432", ".s.PGSQL.5432.lock"] {
            let _ = std::fs::remove_file(data.join(left));
        }
        let mut server = as_user(bin.join("postgres"), &[], &data);
        server.arg("-k").arg(&data).args([
            "-c",
            "listen_addresses=",
            "-c",
            "track_commit_timestamp=on",
            "-c",
            "wal_level=logical",
            "-c",
            "max_connections=50",
        ]);
        Postgres { child: server.spawn().expect("it runs"), data }
    }

    fn socket(&self) -> PathBuf {
        self.data.join(".s.PGSQL.5432")
    }

    fn stop(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).expect("it is a process");
        kill_process(pid, Signal::INT).expect("it is ours");
        self.child.wait().expect("it ends");
    }
}

fn as_user(program: PathBuf, mode: &[&str], data: &Path) -> Command {
    let mut command = Command::new(program);
    command.args(mode).arg("-D").arg(data).current_dir(data).stdin(Stdio::null());
    if let Some((uid, gid)) = user() {
        command.uid(uid).gid(gid);
    }
    command
}

/// PostgreSQL does not run as root.
fn user() -> Option<(u32, u32)> {
    let users = std::fs::read_to_string("/etc/passwd").expect("it is there");
    let line = users.lines().find(|line| line.starts_with("postgres:"));
    let line = line.or_else(|| users.lines().find(|line| line.starts_with("nobody:")))?;
    let mut numbers = line.split(':').skip(2).map(|number| number.parse().expect("a number"));
    getuid().is_root().then(|| (numbers.next().expect("a uid"), numbers.next().expect("a gid")))
}

/// One session: what comes back goes through as it is, what is sent is translated.
async fn serve(client: TcpStream, socket: PathBuf, feeds: Feeds) {
    let Ok(server) = UnixStream::connect(socket).await else { return };
    let (mut from_client, to_client) = client.into_split();
    let to_client: ToClient = Arc::new(tokio::sync::Mutex::new(to_client));
    let (mut from_server, mut to_server) = server.into_split();
    let back = to_client.clone();
    tokio::spawn(async move {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(count @ 1..) = from_server.read(&mut buffer).await {
            if back.lock().await.write_all(&buffer[..count]).await.is_err() {
                return;
            }
        }
        let _ = back.lock().await.shutdown().await;
    });
    let mut counts = false;
    let Ok(first) = frame(&mut from_client, false).await else { return };
    let database = database_of(&first);
    let mut next = Ok(first);
    while let Ok(message) = next {
        let text = String::from_utf8_lossy(&message).into_owned();
        if text.contains("cluster_logical_timestamp()") {
            prepare_sinkless(&feeds, &database).await;
        }
        if let Some(at) = text.find("EXPERIMENTAL CHANGEFEED FOR ") {
            let _ = sinkless(&feeds, &text[at..], &database, &to_client).await;
            return;
        }
        if to_server.write_all(&translated(message, &mut counts, &feeds, &database).await).await.is_err() {
            return;
        }
        next = frame(&mut from_client, true).await;
    }
}

/// Which database the first message asks for.
fn database_of(startup: &[u8]) -> String {
    let words: Vec<&[u8]> = startup[8..].split(|byte| *byte == 0).collect();
    let at = words.iter().position(|word| *word == b"database");
    at.map(|at| String::from_utf8_lossy(words[at + 1]).into_owned()).unwrap_or_default()
}

/// One message of the protocol (PostgreSQL 15 documentation, 55.7); the first has no tag.
async fn frame(from: &mut (impl AsyncReadExt + Unpin), tagged: bool) -> std::io::Result<Vec<u8>> {
    let mut frame = Vec::new();
    if tagged {
        frame.push(from.read_u8().await?);
    }
    let length = from.read_u32().await?;
    frame.extend(length.to_be_bytes());
    let mut body = vec![0; length as usize - 4];
    from.read_exact(&mut body).await?;
    frame.extend(body);
    Ok(frame)
}

/// The message with its statement translated, where it has one: `Query`, `Parse`.
async fn translated(frame: Vec<u8>, counts: &mut bool, feeds: &Feeds, database: &str) -> Vec<u8> {
    let text_from = match frame[0] {
        b'Q' => 5,
        b'P' => 6 + frame[5..].iter().position(|byte| *byte == 0).expect("the name ends"),
        _ => return frame,
    };
    let length = frame[text_from..].iter().position(|byte| *byte == 0).expect("the statement ends");
    let sql = std::str::from_utf8(&frame[text_from..text_from + length]).expect("it is UTF-8");
    let in_postgres = match feeds.statement(sql, database).await {
        Some(instead) => instead,
        None => with_tables(&in_postgres(sql, counts)),
    };
    let body = [&frame[5..text_from], in_postgres.as_bytes(), &frame[text_from + length..]].concat();
    let size = u32::try_from(body.len() + 4).expect("it is short");
    [&frame[..1], &size.to_be_bytes(), &body].concat()
}

fn in_postgres(sql: &str, counts: &mut bool) -> String {
    let rest = |prefix: &str| sql.strip_prefix(prefix).map(str::to_owned);
    if FOREIGN.iter().any(|foreign| sql.contains(foreign)) || sql.contains("pg_backend_pid") {
        return "SELECT not_in_cockroachdb()".to_owned();
    }
    if sql == cockroach::BEFORE_TABLES {
        *counts = true;
        return "SET lock_timeout = 0".to_owned();
    }
    if sql.starts_with("SET CLUSTER SETTING ") {
        return "SET lock_timeout = 0".to_owned();
    }
    if sql == cockroach::SESSION_ID {
        return "SELECT pg_backend_pid()::text AS session_id".to_owned();
    }
    if let Some(name) = rest("CREATE USER IF NOT EXISTS ") {
        return format!("CREATE USER {name}");
    }
    if let Some(name) = rest("GRANT admin TO ") {
        return format!("ALTER USER {name} SUPERUSER");
    }
    if sql.contains("serial") && !*counts {
        return "SELECT unique_rowid()".to_owned();
    }
    let sql = sql.replace("crdb_internal_mvcc_timestamp", "pg_xact_commit_timestamp(xmin)");
    let sql = sql.replace("cluster_logical_timestamp()", CLOCK);
    match sql.strip_suffix(" CASCADE") {
        Some(dropped) if dropped.starts_with("DROP DATABASE") => format!("{dropped} WITH (FORCE)"),
        _ => sql,
    }
}
