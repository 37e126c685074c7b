//! The stand-in's changefeeds: jobs that read a logical slot of the PostgreSQL behind it, and send each row to the broker
//! that the statement names, in CockroachDB's form. A job notes once a second how far it is; one that is paused or
//! killed goes on from there, and sends again what it had sent since.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crosscheck_harness::port::{Acks, Broker, Producer, ProducerOptions};
use crosscheck_harness::system::cockroach;
use crosscheck_harness::system::kafka::KafkaBroker;
use tokio::io::AsyncWriteExt;
use tokio::task::JoinHandle;
use tokio_postgres::{Client, NoTls};

const LOOK: Duration = Duration::from_millis(30);
const CHECKPOINT: Duration = Duration::from_secs(1);

/// The session's client, to which both PostgreSQL and a feed write.
pub(crate) type ToClient = Arc<tokio::sync::Mutex<tokio::net::tcp::OwnedWriteHalf>>;

/// The clock of `cluster_logical_timestamp()`, in PostgreSQL's words.
pub(crate) const CLOCK: &str = "(extract(epoch FROM clock_timestamp()) * 1000000000)::numeric(30, 0)";

#[derive(Debug, Clone)]
struct Job {
    description: String,
    database: String,
    status: &'static str,
    high_water: String,
}

/// The jobs as PostgreSQL reads them from our file, at each execution anew.
const JOBS: &str = "(SELECT f[1]::bigint AS job_id, f[5] AS description, f[2] AS status, \
    nullif(f[3], 'NULL')::numeric AS high_water_timestamp \
    FROM (SELECT string_to_array(line, E'\\t') AS f FROM string_to_table(\
    pg_read_file('changefeeds', 0, 1000000, true), E'\\n') AS line WHERE line <> '') AS lines) AS jobs";

/// The tables of jobs in a statement, in PostgreSQL's words.
pub(crate) fn with_tables(sql: &str) -> String {
    let sql = sql.replace("[SHOW CHANGEFEED JOBS]", JOBS);
    match sql.split_once("[SHOW JOB ").and_then(|(_, rest)| rest.split_once(']')) {
        Some((id, _)) => sql.replace(&format!("[SHOW JOB {id}]"), &format!("{JOBS} WHERE job_id = {id}")),
        None => sql,
    }
}

/// All jobs. They are in a file too, as they outlive the process.
#[derive(Debug, Clone)]
pub(crate) struct Feeds(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    data: PathBuf,
    jobs: BTreeMap<i64, Job>,
    running: BTreeMap<i64, JoinHandle<()>>,
}

impl Feeds {
    /// The jobs that are noted in the directory; those that ran go on.
    pub(crate) fn open(data: &Path) -> Feeds {
        let state = State { data: data.to_owned(), jobs: BTreeMap::new(), running: BTreeMap::new() };
        let feeds = Feeds(Arc::new(Mutex::new(state)));
        let noted = std::fs::read_to_string(data.join("changefeeds")).unwrap_or_default();
        for line in noted.lines() {
            let fields: Vec<&str> = line.split('\t').collect();
            let [id, status, high_water, database, description] = fields[..] else { panic!("{line}") };
            let status = if status == "running" { "running" } else { "paused" };
            let job = Job {
                description: description.to_owned(),
                database: database.to_owned(),
                status,
                high_water: high_water.to_owned(),
            };
            feeds.set(id.parse().expect("a number"), job);
        }
        feeds
    }

    /// What takes a statement's place in PostgreSQL, if it is about jobs.
    pub(crate) async fn statement(&self, sql: &str, database: &str) -> Option<String> {
        if sql.starts_with("CREATE CHANGEFEED FOR TABLE ") {
            let id = self.create(sql, database).await;
            return Some(format!("SELECT {id}::bigint AS job_id"));
        }
        let of = |verb: &str| sql.strip_prefix(verb).map(|id| id.parse().expect("the id of a job"));
        let (id, status) =
            [("PAUSE JOB ", "paused"), ("RESUME JOB ", "running"), ("CANCEL JOB ", "canceled")]
                .into_iter()
                .find_map(|(verb, status)| Some((of(verb)?, status)))?;
        let job = self.lock().jobs[&id].clone();
        self.stop(id).await;
        if status == "canceled" {
            self.lock().jobs.remove(&id);
            let client = connect(&self.data(), &job.database).await;
            let drop = format!("SELECT pg_drop_replication_slot('feed_{id}')");
            client.execute(&drop, &[]).await.expect("nobody reads it any more");
        } else {
            self.set(id, Job { status, ..job });
        }
        self.note();
        Some("SET lock_timeout = 0".to_owned())
    }

    async fn create(&self, sql: &str, database: &str) -> i64 {
        let client = connect(&self.data(), database).await;
        let id = self.lock().jobs.keys().last().map_or(1, |last| last + 1);
        let create = format!("SELECT pg_create_logical_replication_slot('feed_{id}', 'test_decoding')::text");
        client.execute(&create, &[]).await.expect("it is made");
        let job = Job {
            description: sql.replace(['\t', '\n'], " "),
            database: database.to_owned(),
            status: "running",
            high_water: "NULL".to_owned(),
        };
        self.set(id, job);
        self.note();
        id
    }

    fn set(&self, id: i64, job: Job) {
        let runs = (job.status == "running").then(|| tokio::spawn(run(self.clone(), id, job.clone())));
        let mut state = self.lock();
        state.jobs.insert(id, job);
        state.running.extend(runs.map(|task| (id, task)));
    }

    async fn stop(&self, id: i64) {
        let task = self.lock().running.remove(&id);
        if let Some(task) = task {
            task.abort();
            let _ = task.await;
        }
    }

    /// Writes the file that the tables of jobs are read from.
    fn note(&self) {
        let state = self.lock();
        let mut lines = String::new();
        for (id, Job { description, database, status, high_water }) in &state.jobs {
            writeln!(lines, "{id}\t{status}\t{high_water}\t{database}\t{description}").expect("a string");
        }
        let at = state.data.join("changefeeds");
        std::fs::write(at.with_extension("new"), lines).expect("it is ours");
        std::fs::rename(at.with_extension("new"), at).expect("it is ours");
    }

    fn data(&self) -> PathBuf {
        self.lock().data.clone()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics with it")
    }
}

async fn connect(data: &Path, database: &str) -> Client {
    let mut config = tokio_postgres::Config::new();
    config.host_path(data).user(cockroach::USER).dbname(database);
    loop {
        // After a crash it takes up connections once it has recovered.
        if let Ok((client, connection)) = config.connect(NoTls).await {
            tokio::spawn(connection);
            return client;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// The value of a parameter of the statement: what stands between these.
fn between<'a>(text: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = text.split_once(before).expect("the statement has it");
    rest.split_once(after).expect("it ends").0
}

async fn run(feeds: Feeds, id: i64, job: Job) {
    let table = between(&job.description, "FOR TABLE ", " ").to_owned();
    let broker = between(&job.description, "kafka://", "?").parse().expect("an address");
    let topic = between(&job.description, "topic_name=", "'").to_owned();
    let client = connect(&feeds.data(), &job.database).await;
    let options = ProducerOptions {
        acks: Acks::All,
        idempotence: true,
        message_timeout: Duration::from_secs(5),
        transactional_id: None,
    };
    let (mut sent, mut checkpoint) = (0, Instant::now());
    let mut producer = None;
    loop {
        tokio::time::sleep(LOOK).await;
        if producer.is_none() {
            producer = KafkaBroker::new(broker).producer(&options).await.ok();
        }
        let Some(to) = &mut producer else { continue };
        // All that was committed before this moment is in the slot.
        let now: String =
            client.query_one(&format!("SELECT {CLOCK}::text"), &[]).await.expect("it answers").get(0);
        let (messages, upto) = changes(&client, &format!("feed_{id}"), &table, sent, "0").await;
        let Some(()) = send(messages, &topic, &mut **to).await else {
            // From the last checkpoint anew, as CockroachDB's jobs begin anew after an error of the sink.
            (producer, sent) = (None, 0);
            continue;
        };
        sent = upto;
        if checkpoint.elapsed() >= CHECKPOINT {
            checkpoint = Instant::now();
            let (high, low) = (sent >> 32, sent & 0xffff_ffff);
            let advance = format!("SELECT pg_replication_slot_advance('feed_{id}', '{high:X}/{low:X}')");
            if sent > 0 {
                client.execute(&advance, &[]).await.expect("it is there");
            }
            let _ = to.produce(&topic, Some(0), "", &format!("{{\"resolved\": \"{now}.0000000000\"}}")).await;
            if let Some(job) = feeds.lock().jobs.get_mut(&id) {
                job.high_water = now;
            }
            feeds.note();
        }
    }
}

/// What the transactions changed that committed behind `sent` and after a time, and where the last one ends.
async fn changes(
    client: &Client,
    slot: &str,
    table: &str,
    sent: u64,
    from: &str,
) -> (Vec<(String, String)>, u64) {
    let peek = format!(
        "SELECT lsn::text, data, \
         coalesce(extract(epoch FROM pg_xact_commit_timestamp(xid)) * 1000000000 > {from}, true) \
         FROM pg_logical_slot_peek_changes('{slot}', NULL, NULL)"
    );
    let (mut upto, mut changes, mut messages) = (sent, Vec::new(), Vec::new());
    for row in client.query(&peek, &[]).await.expect("it answers") {
        let (lsn, data): (String, String) = (row.get(0), row.get(1));
        if data.starts_with(&format!("table public.{table}: UPDATE:")) {
            changes.push(data);
        } else if data.starts_with("COMMIT") {
            let at = position(&lsn);
            let is_wanted = at > sent && row.get(2);
            messages.extend(changes.drain(..).filter(|_| is_wanted).map(|change| envelope(&change, at)));
            upto = upto.max(at);
        }
    }
    (messages, upto)
}

async fn send(messages: Vec<(String, String)>, topic: &str, to: &mut dyn Producer) -> Option<()> {
    for (key, message) in messages {
        to.produce(topic, Some(0), &format!("[\"{key}\"]"), &message).await.ok()?;
    }
    Some(())
}

/// The slot of the sessions that read a feed of this database themselves. It is there before any of them asks.
pub(crate) async fn prepare_sinkless(feeds: &Feeds, database: &str) {
    let client = connect(&feeds.data(), database).await;
    let create = "SELECT pg_create_logical_replication_slot('sinkless', 'test_decoding')::text \
                  WHERE NOT EXISTS (SELECT 1 FROM pg_replication_slots WHERE slot_name = 'sinkless')";
    client.execute(create, &[]).await.expect("it is made");
}

/// A feed to the session that asks, for ever: of what was committed after its cursor. A commit has its time a little
/// before it is in the slot, so watermarks are a second late.
pub(crate) async fn sinkless(feeds: &Feeds, sql: &str, database: &str, to: &ToClient) -> std::io::Result<()> {
    let table = between(sql, "CHANGEFEED FOR ", " ").to_owned();
    let from = between(sql, "cursor = '", "'").to_owned();
    let client = connect(&feeds.data(), database).await;
    let columns = ["table", "key", "value"].map(|name| {
        let about = [&[0; 4][..], &[0; 2], &17_u32.to_be_bytes(), &[0xff; 2], &[0xff; 4], &[0; 2]].concat();
        [name.as_bytes(), &[0], &about].concat()
    });
    to.lock().await.write_all(&frame_of(b'T', &columns.concat())).await?;
    let (mut sent, mut watermark) = (0, Instant::now());
    loop {
        let now: String = client
            .query_one(&format!("SELECT ({CLOCK} - 1000000000)::text"), &[])
            .await
            .expect("it answers")
            .get(0);
        let (messages, upto) = changes(&client, "sinkless", &table, sent, &from).await;
        sent = upto;
        for (key, message) in messages {
            let columns = [hex(&table), hex(&format!("[\"{key}\"]")), hex(&message)];
            to.lock().await.write_all(&frame_of(b'D', &columns.concat())).await?;
        }
        if watermark.elapsed() >= CHECKPOINT {
            watermark = Instant::now();
            let none = (-1_i32).to_be_bytes().to_vec();
            let columns = [none.clone(), none, hex(&format!("{{\"resolved\": \"{now}.0000000000\"}}"))];
            to.lock().await.write_all(&frame_of(b'D', &columns.concat())).await?;
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// A message with three columns (PostgreSQL 15 documentation, 55.7).
fn frame_of(tag: u8, columns: &[u8]) -> Vec<u8> {
    let length = u32::try_from(columns.len() + 6).expect("it is short");
    [&[tag][..], &length.to_be_bytes(), &3_u16.to_be_bytes(), columns].concat()
}

/// A column of bytes.
fn hex(text: &str) -> Vec<u8> {
    let digits: String = text.bytes().map(|byte| format!("{byte:02x}")).collect();
    let length = u32::try_from(digits.len() + 2).expect("it is short");
    [&length.to_be_bytes()[..], b"\\x", digits.as_bytes()].concat()
}

/// A place in the log: two halves of a number.
fn position(lsn: &str) -> u64 {
    let (high, low) = lsn.split_once('/').expect("two halves");
    let half = |half| u64::from_str_radix(half, 16).expect("a number");
    half(high) << 32 | half(low)
}

/// A line of `test_decoding`, in which no value has a space, as CockroachDB's message.
fn envelope(data: &str, updated: u64) -> (String, String) {
    let columns = data.split(": UPDATE: ").nth(1).expect("it is one").split(' ');
    let mut after = BTreeMap::new();
    for column in columns {
        let (name, rest) = column.split_once('[').expect("a name and a type");
        let (_, value) = rest.split_once("]:").expect("a type and a value");
        after.insert(name, value.replace('\'', "\""));
    }
    let fields: Vec<String> = after.iter().map(|(name, value)| format!("\"{name}\": {value}")).collect();
    let message = format!("{{\"after\": {{{}}}, \"updated\": \"{updated}.0000000000\"}}", fields.join(", "));
    (after["key"].trim_matches('"').to_owned(), message)
}
