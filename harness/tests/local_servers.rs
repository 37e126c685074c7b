//! Real server processes: start, ping, pause, kill, restart, and that nothing is left.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crosscheck_harness::backend::local::{
    Finding, KafkaListener, Places, Program, Programs, Server, ServerKind, ServerSet, StartError,
    shutdown_all, sweep,
};
use tempfile::TempDir;

const SOON: Duration = Duration::from_secs(20);
const CHILD_ROOT: &str = "CROSSCHECK_TEST_OWNER_ROOT";
const CHILD_SHUTS_DOWN: &str = "CROSSCHECK_TEST_OWNER_SHUTS_DOWN";

fn programs() -> Programs {
    Programs::find(&|name| std::env::var(name).ok(), &Places::debian())
}

/// The programs, or none after a line that says why the test is skipped.
fn programs_with(needed: &[Program]) -> Option<Programs> {
    let programs = programs();
    let missing = |program: &&Program| !matches!(programs.finding(**program), Finding::Found { .. });
    let Some(program) = needed.iter().find(missing) else { return Some(programs) };
    let required = std::env::var("CROSSCHECK_REQUIRE").unwrap_or_default();
    assert!(!required.split(',').any(|word| word == "local"), "{program} is required and not here");
    println!("skipped: {program} is not here");
    None
}

/// A root that PostgreSQL's user may pass through.
fn root() -> TempDir {
    let root = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(root.path(), std::fs::Permissions::from_mode(0o711)).expect("it is ours");
    root
}

async fn start(wants: &[ServerKind], programs: &Programs, root: &Path) -> ServerSet {
    let begun = Instant::now();
    let set = ServerSet::start(wants, programs, &[], root).await.unwrap_or_else(|error| panic!("{error}"));
    println!("{wants:?} ready after {} ms", begun.elapsed().as_millis());
    set
}

/// The process ids whose command line names the directory.
fn processes_in(dir: &Path) -> Vec<String> {
    let entries = std::fs::read_dir("/proc").expect("/proc is there").flatten();
    let named = entries.filter(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        let cwd = std::fs::read_link(entry.path().join("cwd")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(&*dir.to_string_lossy()) || cwd.starts_with(dir)
    });
    named
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.parse::<u32>().is_ok())
        .collect()
}

/// One statement by PostgreSQL's simple query protocol; every message of the answer in one text.
fn sql(addr: SocketAddr, statement: &str) -> String {
    try_sql(addr, statement).unwrap_or_else(|error| panic!("{statement}: {error}"))
}

fn try_sql(addr: SocketAddr, statement: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(addr)?;
    stream.set_read_timeout(Some(SOON)).expect("a timeout can be set");
    let startup = [&196_608_u32.to_be_bytes()[..], b"user\0postgres\0database\0postgres\0\0"].concat();
    send(&mut stream, &[], &startup)?;
    until_ready(&mut stream)?;
    send(&mut stream, b"Q", &[statement.as_bytes(), b"\0"].concat())?;
    until_ready(&mut stream)
}

fn send(stream: &mut TcpStream, kind: &[u8], body: &[u8]) -> std::io::Result<()> {
    let len = u32::try_from(body.len() + 4).expect("a short message").to_be_bytes();
    stream.write_all(&[kind, &len, body].concat())
}

fn until_ready(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut text = String::new();
    loop {
        let mut head = [0; 5];
        stream.read_exact(&mut head)?;
        let len = u32::from_be_bytes(head[1..].try_into().expect("four bytes")) as usize;
        let mut body = vec![0; len - 4];
        stream.read_exact(&mut body)?;
        if head[0] == b'Z' {
            return Ok(text);
        }
        text.push_str(&String::from_utf8_lossy(&body));
    }
}

/// One Redis command by its inline form; the first line of the answer.
fn redis(addr: SocketAddr, command: &str) -> String {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a timeout can be set");
    stream.write_all(format!("{command}\r\n").as_bytes()).expect("it is sent");
    let mut line = String::new();
    let mut reader = BufReader::new(stream);
    reader.read_line(&mut line).expect("an answer");
    if line.starts_with('$') && !line.starts_with("$-1") {
        line.clear();
        reader.read_line(&mut line).expect("an answer");
    }
    line.trim().to_owned()
}

/// A restart keeps the port, so a port that was taken meanwhile is an error that says so.
async fn says_that_its_port_is_taken(server: &Server) {
    server.kill().await.expect("it dies");
    let thief = TcpListener::bind(server.addr()).expect("the port is free again");
    let error = server.start().await.expect_err("its port is taken");
    assert!(matches!(error, StartError::Ended { address_in_use: true, .. }), "{error}");
    drop(thief);
    server.start().await.expect("it starts again");
}

async fn pauses_and_resumes(server: &Server) {
    assert!(!server.is_paused());
    server.pause().await.expect("it pauses");
    assert!(server.is_paused() && server.is_running());
    let ping = server.ping(Duration::from_millis(300)).await;
    assert!(ping.is_err(), "{} answers while it is paused", server.kind());
    server.resume().await.expect("it resumes");
    assert!(!server.is_paused());
    server.ping(SOON).await.expect("it answers again");
}

#[tokio::test(flavor = "multi_thread")]
async fn postgres_keeps_what_was_committed_over_pause_kill_and_stop() {
    let Some(programs) = programs_with(&[Program::Postgres]) else { return };
    let root = root();
    let set = start(&[ServerKind::Postgres], &programs, root.path()).await;
    let server = set.postgres().expect("it was wanted");
    assert!(server.version().starts_with(|c: char| c.is_ascii_digit()), "{}", server.version());
    sql(server.addr(), "CREATE TABLE kept AS SELECT 'kept' || 1 AS word");
    // A statement under way: its back end leads a session of its own and must stop and die with the rest.
    let addr = server.addr();
    let busy = std::thread::spawn(move || try_sql(addr, "SELECT pg_sleep(600)"));
    let begun = Instant::now();
    while !sql(addr, "SELECT count(*) || ' asleep' FROM pg_stat_activity WHERE wait_event = 'PgSleep'")
        .contains("1 asleep")
    {
        assert!(begun.elapsed() < SOON, "the statement does not start");
    }
    pauses_and_resumes(server).await;
    let begun = Instant::now();
    server.kill().await.expect("it dies");
    assert!(!server.is_running());
    assert_eq!(processes_in(&set.dir().join("postgres")), Vec::<String>::new());
    let killed = begun.elapsed();
    server.start().await.expect("it starts again");
    println!("postgres: killed after {killed:?}, ready again after {:?}", begun.elapsed());
    assert_eq!(server.addr(), addr);
    assert!(busy.join().expect("it ends").is_err(), "the open statement must have lost its connection");
    assert!(sql(addr, "SELECT word FROM kept").contains("kept1"));
    says_that_its_port_is_taken(server).await;
    server.stop().await.expect("it stops in good order");
    server.start().await.expect("it starts again");
    assert!(sql(addr, "SELECT word FROM kept").contains("kept1"));
    assert!(sql(addr, "SHOW wal_level").contains("logical") && sql(addr, "SHOW fsync").contains("on"));
}

#[tokio::test(flavor = "multi_thread")]
async fn redis_forgets_as_a_cache_and_remembers_as_a_queue() {
    let Some(programs) = programs_with(&[Program::Redis]) else { return };
    let root = root();
    let set = start(&[ServerKind::RedisCache, ServerKind::RedisQueue], &programs, root.path()).await;
    let (cache, queue) = (set.redis_cache().expect("wanted"), set.redis_queue().expect("wanted"));
    for server in [cache, queue] {
        pauses_and_resumes(server).await;
        assert_eq!(redis(server.addr(), "SET k v"), "+OK");
        let begun = Instant::now();
        server.restart().await.expect("it starts again");
        println!("{}: restarted after {:?}", server.kind(), begun.elapsed());
    }
    says_that_its_port_is_taken(queue).await;
    assert_eq!((redis(cache.addr(), "GET k"), redis(queue.addr(), "GET k")), ("$-1".into(), "v".into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn kafka_comes_back_after_a_kill_and_advertises_the_proxy() {
    let Some(programs) = programs_with(&[Program::Kafka, Program::Java]) else { return };
    let root = root();
    let proxy = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("bound");
    let listener = KafkaListener { name: "clients".to_owned(), advertised: proxy };
    let begun = Instant::now();
    let set = ServerSet::start(&[ServerKind::Kafka], &programs, &[listener], root.path()).await;
    let set = set.unwrap_or_else(|error| panic!("{error}"));
    println!("kafka: ready after {:?}", begun.elapsed());
    let server = set.kafka().expect("it was wanted");
    let behind = server.listener("clients").expect("it was asked for");
    assert!(advertised_ports(behind).contains(&proxy.port()));
    assert!(advertised_ports(server.addr()).contains(&server.addr().port()));
    pauses_and_resumes(server).await;
    let begun = Instant::now();
    server.kill().await.expect("it dies");
    assert!(server.ping(SOON).await.is_err());
    server.start().await.expect("it starts again");
    println!("kafka: killed and ready again after {:?}", begun.elapsed());
    says_that_its_port_is_taken(server).await;
    assert!(advertised_ports(behind).contains(&proxy.port()));
}

/// Every port that a Metadata answer (version 1) names.
fn advertised_ports(addr: SocketAddr) -> Vec<u16> {
    let mut stream = TcpStream::connect(addr).expect("it listens");
    stream.set_read_timeout(Some(SOON)).expect("a timeout can be set");
    let request = [0, 3, 0, 1, 0, 0, 0, 7, 0, 1, b'x', 0, 0, 0, 0];
    send_kafka(&mut stream, &request);
    let mut len = [0; 4];
    stream.read_exact(&mut len).expect("an answer");
    let mut body = vec![0; u32::from_be_bytes(len) as usize];
    stream.read_exact(&mut body).expect("an answer");
    // Correlation id, count of brokers, then for each: node id, host, port, rack.
    let number = |at: usize| u32::from_be_bytes(body[at..at + 4].try_into().expect("four bytes"));
    let mut at = 8;
    let mut ports = Vec::new();
    for _ in 0..number(4) {
        let host = usize::from(u16::from_be_bytes([body[at + 4], body[at + 5]]));
        ports.push(u16::try_from(number(at + 6 + host)).expect("a port"));
        at += 6 + host + 4 + 2;
    }
    ports
}

fn send_kafka(stream: &mut TcpStream, body: &[u8]) {
    let len = u32::try_from(body.len()).expect("a short message").to_be_bytes();
    stream.write_all(&[&len, body].concat()).expect("it is sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_set_leaves_no_process_and_no_file() {
    let Some(programs) = programs_with(&[Program::Postgres, Program::Redis]) else { return };
    let root = root();
    let wants = [ServerKind::Postgres, ServerKind::RedisCache, ServerKind::RedisQueue];
    let set = start(&wants, &programs, root.path()).await;
    let (dir, handle) = (set.dir().to_owned(), set.postgres().expect("wanted").clone());
    handle.pause().await.expect("it pauses");
    assert!(!processes_in(&dir).is_empty());
    drop(set);
    assert_eq!(processes_in(&dir), Vec::<String>::new());
    assert!(!dir.exists());
    let again = handle.start().await.expect_err("its set is gone").to_string();
    assert_eq!(again, "postgres cannot be started, its set of servers has been shut down");
}

/// Not a test of its own: the owner that the next one kills.
#[tokio::test(flavor = "multi_thread")]
async fn owner_to_be_killed() {
    let Ok(root) = std::env::var(CHILD_ROOT) else { return };
    let set = start(&[ServerKind::Postgres, ServerKind::RedisCache], &programs(), Path::new(&root)).await;
    set.redis_cache().expect("wanted").pause().await.expect("it pauses");
    println!("dir={}", set.dir().display());
    if std::env::var(CHILD_SHUTS_DOWN).is_ok() {
        shutdown_all().expect("it ends all");
        // As after Ctrl-C: nothing is dropped.
        std::process::exit(0);
    }
    // Bounded, should the parent die first.
    tokio::time::sleep(Duration::from_secs(60)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sweep_removes_what_a_killed_owner_left_and_nothing_else() {
    let Some(programs) = programs_with(&[Program::Postgres, Program::Redis]) else { return };
    let root = root();
    let ours = start(&[ServerKind::RedisCache], &programs, root.path()).await;
    let mut owner = owner(root.path()).spawn().expect("it starts");
    let dir = set_of(&mut owner);
    assert_eq!(sweep(root.path()).expect("it sweeps").removed, Vec::<PathBuf>::new());
    owner.kill().and_then(|()| owner.wait()).expect("it dies");
    assert!(processes_in(&dir).len() >= 2, "the servers outlive their owner");
    let swept = sweep(root.path()).expect("it sweeps");
    assert_eq!((swept.removed, swept.failed), (vec![dir.clone()], vec![]));
    assert_eq!(processes_in(&dir), Vec::<String>::new());
    assert!(!dir.exists());
    ours.redis_cache().expect("wanted").ping(SOON).await.expect("a live owner's server goes on");
}

#[test]
fn a_shutdown_of_all_leaves_nothing_although_nothing_is_dropped() {
    if programs_with(&[Program::Postgres, Program::Redis]).is_none() {
        return;
    }
    let root = root();
    let mut owner = owner(root.path()).env(CHILD_SHUTS_DOWN, "yes").spawn().expect("it starts");
    let dir = set_of(&mut owner);
    assert!(owner.wait().expect("it ends").success());
    assert_eq!(processes_in(&dir), Vec::<String>::new());
    assert!(!dir.exists());
}

/// Another process of this program that starts servers.
fn owner(root: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("we run"));
    command
        .args(["--exact", "owner_to_be_killed", "--nocapture"])
        .env(CHILD_ROOT, root)
        .stdout(Stdio::piped());
    command
}

/// The directory of an owner's set, once its servers run.
fn set_of(owner: &mut Child) -> PathBuf {
    let lines = BufReader::new(owner.stdout.take().expect("it is piped")).lines();
    let mut dirs = lines.map_while(Result::ok).filter_map(|line| Some(line.split_once("dir=")?.1.into()));
    dirs.next().expect("the owner started its servers")
}

/// Programs found through variables alone.
fn with(variables: &[(&str, &Path)]) -> Programs {
    let env = |name: &str| {
        let (_, value) = variables.iter().find(|(variable, _)| *variable == name)?;
        Some(value.display().to_string())
    };
    Programs::find(&env, &Places::debian())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_variable_is_an_error_without_fallback() {
    let root = root();
    let programs = with(&[("CROSSCHECK_POSTGRES_BIN", Path::new("/no/such/folder"))]);
    let error = ServerSet::start(&[ServerKind::Postgres], &programs, &[], root.path()).await;
    insta::assert_snapshot!(error.expect_err("it is wrong"), @"CROSSCHECK_POSTGRES_BIN=/no/such/folder is set, but there is no file /no/such/folder/initdb; set CROSSCHECK_POSTGRES_BIN to the folder that holds `postgres` and `initdb`, or unset it");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgres_that_cannot_start_says_why() {
    if programs_with(&[Program::Postgres]).is_none() {
        return;
    }
    let root = root();
    let bin = root.path().join("bin");
    std::fs::create_dir(&bin).expect("a directory");
    script(&bin.join("initdb"), "mkdir -p \"$2/base\"");
    script(
        &bin.join("postgres"),
        "[ \"$1\" = --version ] && echo 'postgres (PostgreSQL) 99.1' && exit; echo 'FATAL: the disk is on fire' >&2; exit 1",
    );
    let cache = root.path().join("cache");
    let programs = with(&[("CROSSCHECK_POSTGRES_BIN", &bin), ("XDG_CACHE_HOME", &cache)]);
    let error = ServerSet::start(&[ServerKind::Postgres], &programs, &[], root.path()).await;
    let error = error.expect_err("it cannot start");
    assert!(matches!(error, StartError::Ended { kind: ServerKind::Postgres, .. }), "{error}");
    insta::assert_snapshot!(error, @"
    postgres ended with exit status: 1 before it was ready; its last words:
    FATAL: the disk is on fire
    ");
    let left: Vec<_> = std::fs::read_dir(root.path()).expect("it is there").flatten().collect();
    assert!(!left.iter().any(|entry| entry.file_name().to_string_lossy().starts_with("set-")));
}

/// Written by another process: a file that any thread's fork still holds open for writing cannot be run.
fn script(path: &Path, body: &str) {
    let write = "printf '%s\\n' '#!/bin/sh' \"$1\" >\"$0\" && chmod 755 \"$0\"";
    let written = Command::new("/bin/sh").args(["-c", write]).arg(path).arg(body).status();
    assert!(written.expect("there is a shell").success());
}
