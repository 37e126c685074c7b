//! What the harness costs: the throughput of a design in a closed loop, with its gate, its recorder and the
//! proxy, beside bare drivers that send the same statements to servers of the same kind. The bar is 10 %.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use crosscheck_harness::backend::HarnessError;
use crosscheck_harness::backend::local::{
    LocalBackend, Places, Programs, ServerKind, ServerSet, default_root,
};
use crosscheck_harness::context::Ctx;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
use crosscheck_harness::operation::{Operation, OperationKind, Pauses, Workload};
use crosscheck_harness::plan;
use crosscheck_harness::runner::run;
use crosscheck_harness::system::kafka::create_topic;
use crosscheck_harness::system::ping::POSTGRES_USER;
use crosscheck_models::history::{EventBody, Kind, Scalar, WriteItem};
use crosscheck_models::property::Property;
use rdkafka::ClientConfig;
use rdkafka::producer::{FutureProducer, FutureRecord};
use tokio::task::JoinSet;
use tokio_postgres::NoTls;

const CLIENTS: usize = 8;
const KEYS: usize = 256;
const WARM_UP: Duration = Duration::from_secs(1);
const MEASURED: Duration = Duration::from_secs(4);
const ROUNDS: usize = 5;
const TOPIC: &str = "overhead";

const UPDATE: &str = "UPDATE stock SET value = $2, ver = ver + 1 WHERE key = $1 RETURNING ver";
const INSERT: &str = "INSERT INTO ledger (key, ver, op_id, value) VALUES ($1, $2, $3, $4)";

fn tables() -> Vec<String> {
    vec![
        "CREATE TABLE stock (key text PRIMARY KEY, ver bigint NOT NULL, value bigint NOT NULL)".to_owned(),
        "CREATE TABLE ledger (key text, ver bigint, op_id text UNIQUE, value bigint, PRIMARY KEY (key, ver))"
            .to_owned(),
        format!("INSERT INTO stock SELECT 'k' || i, 0, 0 FROM generate_series(0, {}) AS i", KEYS - 1),
    ]
}

/// The same work both ways: a transaction, and an event after it where that is asked for.
#[derive(Debug, Clone, Copy)]
struct Work {
    publishes: bool,
}

#[async_trait]
impl Design for Work {
    fn id(&self) -> String {
        "overhead".to_owned()
    }

    fn about(&self) -> String {
        "what the harness costs".to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, broker: self.publishes, cache: false }
    }

    fn claims(&self) -> Vec<Property> {
        Vec::new()
    }

    fn layout(&self) -> Layout {
        let topics = if self.publishes { vec![(TOPIC.to_owned(), 1)] } else { Vec::new() };
        Layout { ddl: tables(), topics, ..Layout::default() }
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        let (key, op_id) = (&operation.key, &operation.op_id);
        ctx.db.execute("BEGIN", &[]).await?;
        let ver = ctx.db.query_one(UPDATE, &[key.into(), operation.value.into()]).await?.int("ver")?;
        ctx.db.execute(INSERT, &[key.into(), ver.into(), op_id.into(), operation.value.into()]).await?;
        ctx.db.execute("COMMIT", &[]).await?;
        if self.publishes {
            ctx.broker.produce(TOPIC, key, op_id).await?;
        }
        let value = Scalar::Int(operation.value);
        Ok(Done::write(WriteItem { key: key.clone().into(), value, ..WriteItem::default() }))
    }
}

/// Operations a second through the harness, history on disk and all.
async fn harnessed(
    work: Work,
    backend: &LocalBackend,
    round: usize,
    dir: &Path,
) -> Result<f64, HarnessError> {
    let workload = Workload {
        clients: CLIENTS,
        keys: KEYS,
        rate: None,
        reads_percent: 0,
        writes: OperationKind::Write,
        aborts_percent: 0,
        pauses: Pauses { percent: 0, max_ms: 0 },
    };
    let time_ms = (WARM_UP + MEASURED).as_millis() as u64;
    let schedule = plan::stress(&work, workload, &[], 1, time_ms);
    let tag = format!("overhead_{}_{round}", if work.publishes { "b" } else { "a" });
    let record = run(Arc::new(work), backend, &schedule, &tag, &dir.join("history.jsonl")).await?;
    let writes = record.events.iter().filter(|event| matches!(event.body, EventBody::Write(_)));
    let first_ns = writes.clone().next().map_or(0, |event| event.time);
    let from_ns = first_ns + WARM_UP.as_nanos() as u64;
    let measured = from_ns..from_ns + (MEASURED - Duration::from_millis(100)).as_nanos() as u64;
    let done = writes.filter(|event| event.kind == Kind::Ok && measured.contains(&event.time)).count();
    Ok(done as f64 * 1e9 / (measured.end - measured.start) as f64)
}

type Fallible<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

async fn session(set: &ServerSet, database: &str) -> Fallible<tokio_postgres::Client> {
    let addr = set.postgres().ok_or("PostgreSQL was started")?.addr();
    let config = format!("host={} port={} user={POSTGRES_USER} dbname={database}", addr.ip(), addr.port());
    let (client, connection) = tokio_postgres::connect(&config, NoTls).await?;
    tokio::spawn(connection);
    Ok(client)
}

/// Operations a second of the drivers alone.
async fn bare(work: Work, set: &ServerSet, round: usize) -> Fallible<f64> {
    let database = format!("bare_{}_{round}", if work.publishes { "b" } else { "a" });
    session(set, "postgres").await?.batch_execute(&format!("CREATE DATABASE {database}")).await?;
    session(set, &database).await?.batch_execute(&tables().join(";")).await?;
    if let Some(kafka) = set.kafka().filter(|_| work.publishes) {
        create_topic(kafka.addr(), &database, 1).await?;
    }
    let done = Arc::new(AtomicU64::new(0));
    let mut clients = JoinSet::new();
    for client in 0..CLIENTS {
        let db = session(set, &database).await?;
        let producer = if work.publishes { Some(producer(set)?) } else { None };
        clients.spawn(bare_client(client, db, producer, database.clone(), done.clone()));
    }
    tokio::time::sleep(WARM_UP).await;
    let (start, before) = (Instant::now(), done.load(Ordering::Relaxed));
    tokio::time::sleep(MEASURED).await;
    let rate = (done.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
    // A client ends only by an error.
    match clients.try_join_next() {
        None => Ok(rate),
        Some(ended) => Err(ended?.err().unwrap_or_else(|| "a client ended".into())),
    }
}

fn producer(set: &ServerSet) -> Fallible<FutureProducer> {
    let addr = set.kafka().ok_or("Kafka was started")?.addr();
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", addr.to_string()).set("acks", "all");
    Ok(config.set("enable.idempotence", "true").set("linger.ms", "0").create()?)
}

async fn bare_client(
    client: usize,
    db: tokio_postgres::Client,
    producer: Option<FutureProducer>,
    topic: String,
    done: Arc<AtomicU64>,
) -> Fallible<()> {
    let (update, insert) = (db.prepare(UPDATE).await?, db.prepare(INSERT).await?);
    for number in 0_i64.. {
        // Keys spread as the generator's do: a multiplicative hash of the number.
        let key = format!(
            "k{}",
            (number as u64 * CLIENTS as u64 + client as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56
        );
        let op_id = format!("c{client}-{number}");
        db.batch_execute("BEGIN").await?;
        let ver: i64 = db.query_one(&update, &[&key, &number]).await?.get(0);
        db.execute(&insert, &[&key, &ver, &op_id, &number]).await?;
        db.batch_execute("COMMIT").await?;
        if let Some(producer) = &producer {
            let record = FutureRecord::to(&topic).key(&key).payload(&op_id);
            producer.send(record, Duration::from_secs(8)).await.map_err(|(error, _message)| error)?;
        }
        done.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

fn median(mut rates: Vec<f64>) -> f64 {
    rates.sort_by(f64::total_cmp);
    rates[rates.len() / 2]
}

async fn compare(dir: &Path) -> Fallible<()> {
    let environment = |name: &str| std::env::var(name).ok();
    let programs = Programs::find(&environment, &Places::debian());
    let root = default_root(&environment);
    let wants = [ServerKind::Postgres, ServerKind::Kafka];
    let set = ServerSet::start(&wants, &programs, &[], &root).await?;
    let backend =
        LocalBackend::start(Needs { db: true, broker: true, cache: false }, &programs, &root).await?;
    for (name, work) in [
        ("transaction of 4 statements", Work { publishes: false }),
        ("transaction and produce", Work { publishes: true }),
    ] {
        let (mut with, mut without) = (Vec::new(), Vec::new());
        for round in 0..ROUNDS {
            without.push(bare(work, &set, round).await?);
            with.push(harnessed(work, &backend, round, dir).await?);
        }
        println!("{name}: bare {without:.0?}/s, harness {with:.0?}/s");
        let (with, without) = (median(with), median(without));
        let cost = 100.0 * (1.0 - with / without);
        println!("{name}: medians {without:.0}/s and {with:.0}/s, the harness costs {cost:.1} %");
    }
    Ok(())
}

fn main() -> ExitCode {
    // `cargo test --benches` builds it and begins it without this.
    if !std::env::args().any(|argument| argument == "--bench") {
        println!("skipped: `cargo bench -p crosscheck-harness --bench overhead` measures");
        return ExitCode::SUCCESS;
    }
    let dir = match tempfile::tempdir() {
        Ok(dir) => dir,
        Err(error) => panic!("a directory can be made: {error}"),
    };
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => panic!("a runtime starts: {error}"),
    };
    let outcome = runtime.block_on(compare(dir.path()));
    drop(runtime);
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("skipped: {error}");
            ExitCode::SUCCESS
        }
    }
}
