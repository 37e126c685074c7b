//! Clients at work on one system: each call is noted when it is acknowledged, and what fails is tried anew on a new
//! connection.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crosscheck_harness::context::Links;
use crosscheck_harness::port::{
    Acks, ConsumerOptions, Isolation, PortError, ProducerOptions, StartOffset, System,
};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::place::{Place, TABLE, TOPIC};

/// How long one call may take: more than any fault here delays one, less than a cut lasts.
const CALL_MAX: Duration = Duration::from_millis(1500);

/// What has been acknowledged, and what has been received again.
#[derive(Debug, Default)]
pub(crate) struct Done {
    pub(crate) acknowledged: BTreeSet<i64>,
    pub(crate) received: BTreeSet<i64>,
    pub(crate) received_again: u64,
}

/// The clients.
pub(crate) struct Load {
    done: Arc<Mutex<Done>>,
    tasks: JoinSet<()>,
}

impl Load {
    pub(crate) fn start(place: &Place, system: System) -> Load {
        let done = Arc::<Mutex<Done>>::default();
        let mut tasks = JoinSet::new();
        let (links, prefix) = (place.client().clone(), place.name(""));
        match system {
            System::Db => drop(tasks.spawn(again(links, prefix, done.clone(), insert))),
            System::Cache => drop(tasks.spawn(again(links, prefix, done.clone(), set))),
            System::Broker | System::App => {
                tasks.spawn(again(links.clone(), prefix.clone(), done.clone(), produce));
                tasks.spawn(again(links, prefix, done.clone(), consume));
            }
        }
        Load { done, tasks }
    }

    pub(crate) fn with<T>(&self, look: impl FnOnce(&Done) -> T) -> T {
        look(&self.done.lock().expect("nobody panics with it"))
    }

    /// Whether something is acknowledged from now on, soon.
    pub(crate) async fn done_since_now(&self) -> bool {
        let before = self.with(|done| done.acknowledged.len());
        for _ in 0..50 {
            if self.with(|done| done.acknowledged.len()) > before + 2 {
                return true;
            }
            sleep(Duration::from_millis(20)).await;
        }
        false
    }

    pub(crate) async fn stop(mut self) {
        self.tasks.shutdown().await;
    }
}

type Noted = Arc<Mutex<Done>>;

async fn again<F>(links: Links, prefix: String, done: Noted, work: fn(Links, String, Noted) -> F)
where
    F: Future<Output = Result<(), PortError>> + Send + 'static,
{
    loop {
        // Faults are what this is for.
        let _ = work(links.clone(), prefix.clone(), done.clone()).await;
        sleep(Duration::from_millis(20)).await;
    }
}

async fn within<T>(system: System, call: impl Future<Output = Result<T, PortError>>) -> Result<T, PortError> {
    timeout(CALL_MAX, call).await.unwrap_or_else(|_| Err(PortError::unknown(system, "too late")))
}

fn next(done: &Noted) -> i64 {
    static NEXT: std::sync::atomic::AtomicI64 = std::sync::atomic::AtomicI64::new(0);
    drop(done.lock());
    NEXT.fetch_add(1, std::sync::atomic::Ordering::SeqCst)
}

fn acknowledged(done: &Noted, n: i64) {
    done.lock().expect("nobody panics with it").acknowledged.insert(n);
}

async fn insert(links: Links, _prefix: String, done: Noted) -> Result<(), PortError> {
    let database = links.database.expect("the place has one");
    let mut db = within(System::Db, database.connect()).await?;
    // A few to a connection, so that connections begin and end under every fault.
    for _ in 0..40 {
        let n = next(&done);
        within(System::Db, db.execute("BEGIN", &[])).await?;
        let insert = format!("INSERT INTO {TABLE} VALUES ($1, repeat('x', 300))");
        within(System::Db, db.execute(&insert, &[n.into()])).await?;
        within(System::Db, db.execute("COMMIT", &[])).await?;
        acknowledged(&done, n);
    }
    Ok(())
}

async fn set(links: Links, prefix: String, done: Noted) -> Result<(), PortError> {
    let cache = links.cache.expect("the place has one");
    let mut cache = within(System::Cache, cache.connect()).await?;
    for _ in 0..60 {
        let n = next(&done);
        let (key, value) = (format!("{prefix}k{n}"), "x".repeat(300));
        within(System::Cache, cache.command(&["SET", &key, &value])).await?;
        acknowledged(&done, n);
        within(System::Cache, cache.command(&["GET", &key])).await?;
        sleep(Duration::from_millis(1)).await;
    }
    Ok(())
}

async fn produce(links: Links, prefix: String, done: Noted) -> Result<(), PortError> {
    let options = ProducerOptions {
        acks: Acks::All,
        idempotence: true,
        message_timeout: CALL_MAX,
        transactional_id: None,
    };
    let mut producer = links.broker.expect("the place has one").producer(&options).await?;
    for _ in 0..100 {
        let n = next(&done);
        let payload = format!("{n} {}", "x".repeat(300));
        producer.produce(&format!("{prefix}{TOPIC}"), Some(0), "k", &payload).await?;
        acknowledged(&done, n);
        sleep(Duration::from_millis(2)).await;
    }
    Ok(())
}

async fn consume(links: Links, prefix: String, done: Noted) -> Result<(), PortError> {
    let options = ConsumerOptions {
        group: Some(format!("{prefix}readers")),
        start: StartOffset::Earliest,
        auto_commit: false,
        isolation: Isolation::ReadUncommitted,
    };
    let topic = format!("{prefix}{TOPIC}");
    let mut consumer = links.broker.expect("the place has one").consumer(&options).await?;
    consumer.subscribe(&[&topic]).await?;
    loop {
        for message in consumer.poll(Duration::from_millis(100), 100).await? {
            {
                let mut done = done.lock().expect("nobody panics with it");
                if !done.received.insert(message.offset) {
                    done.received_again += 1;
                }
            }
            consumer.commit(&topic, message.partition, message.offset + 1).await?;
        }
    }
}
