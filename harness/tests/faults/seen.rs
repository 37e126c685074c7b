//! What somebody who knows nothing of the injector sees of a fault: before it, during it, after it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crosscheck_harness::port::{DatabaseConnection, PortError, Reply, SqlValue};
use crosscheck_harness::schedule::FaultOn;
use tokio::time::{Instant, timeout};

use crate::load::Load;
use crate::place::{Place, SLOT, TABLE};
use crate::until;

/// A call without an answer for so long is not answered.
const UNANSWERED: Duration = Duration::from_millis(400);

/// What was so before the fault.
pub(crate) struct Seen {
    session: Option<Box<dyn DatabaseConnection>>,
    received_again: u64,
    keys: i64,
}

impl Seen {
    pub(crate) async fn before(place: &Place, load: &Load, on: &FaultOn) -> Seen {
        let mut keys = 0;
        if let ("cache-evict" | "cache-flush", Some(cache)) = (&*on.fault, &place.arena.direct.cache) {
            let mut cache = cache.connect().await.expect("it is up");
            for n in 0..200 {
                cache.command(&["SET", &place.name(&format!("entry{n}")), "v"]).await.expect("it is up");
            }
            keys = entries(place).await;
            assert_eq!(keys, 200);
        }
        let session = match (&*on.fault, &place.client().database) {
            ("db-terminate", Some(database)) => Some(database.connect().await.expect("it is up")),
            _ => None,
        };
        Seen { session, received_again: load.with(|done| done.received_again), keys }
    }

    /// What a fault without an arm here does is only seen by a probe of its own and by load: that is said of it by
    /// name, so that a new fault has to be decided on.
    pub(crate) async fn during(&mut self, place: &Place, load: &Load, on: &FaultOn) {
        let kind = on.fault.split_once('-').map_or("", |(_, kind)| kind);
        match kind {
            "cut" | "cut-requests" | "cut-replies" | "pause" => {
                assert_eq!(ask(place).await, Answer::None, "{on}")
            }
            "refuse" | "reset" | "crash" | "restart" => assert_eq!(ask(place).await, Answer::Error, "{on}"),
            "latency" => {
                let begun = Instant::now();
                assert_eq!(asked_within(place, UNANSWERED * 20).await, Answer::Ok, "{on}");
                assert!(begun.elapsed() >= Duration::from_millis(120), "{on}: {:?}", begun.elapsed());
            }
            // Bytes arrive all the same; the proxy's own probe and its tests see how.
            "bandwidth" | "slice" | "slow-close" | "reset-after" => {}
            "sync-wait" => assert_eq!(ask(place).await, Answer::None, "{on}"),
            "flush" => assert_eq!(entries(place).await, 0),
            "evict" => until("entries go", async || entries(place).await < self.keys - 20).await,
            "failover" => {
                let gone = missing_keys(place, load).await;
                assert!(gone > 0, "every acknowledged key is still there");
            }
            "terminate" => {
                let session = self.session.as_mut().expect("it was opened before");
                let error = session.query("SELECT 1 AS one", &[]).await.expect_err("it was terminated");
                assert!(error.connection_lost, "{error}");
            }
            "lock" => assert_eq!(read_table(place).await, Answer::None),
            "slot-drop" => assert_eq!(slots(place).await, 0),
            "async-crash" => assert_eq!(ask(place).await, Answer::Error, "{on}"),
            "clock" => {
                let off_s = clock_ahead_s(place).await;
                assert!((-32..=-28).contains(&off_s), "{off_s}");
            }
            // The machine's own counts are the probe; load meets it or not.
            "cpu" | "memory" => {}
            "disk-full" | "rebalance" => {}
            "duplicate" => {
                let before = self.received_again;
                let again = async || load.with(|done| done.received_again) > before;
                until("messages come again", again).await;
            }
            _ => panic!("{on} has no case: say here what is seen of it"),
        }
    }

    pub(crate) async fn after(self, place: &Place, _load: &Load, on: &FaultOn) {
        match &*on.fault {
            "db-slot-drop" => assert_eq!(slots(place).await, 1),
            "db-lock" => assert_eq!(read_table(place).await, Answer::Ok),
            "db-clock" => assert!(clock_ahead_s(place).await.abs() <= 2),
            _ => {}
        }
        until("a call of a client succeeds again", async || ask(place).await == Answer::Ok).await;
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Ok,
    Error,
    None,
}

async fn answered<T>(call: impl Future<Output = Result<T, PortError>>, wait: Duration) -> Answer {
    match timeout(wait, call).await {
        Ok(Ok(_)) => Answer::Ok,
        Ok(Err(_)) => Answer::Error,
        Err(_) => Answer::None,
    }
}

/// A new client asks for something that has an effect.
async fn ask(place: &Place) -> Answer {
    asked_within(place, UNANSWERED).await
}

async fn asked_within(place: &Place, wait: Duration) -> Answer {
    let links = place.client();
    if let Some(database) = &links.database {
        let call = async {
            let mut db = database.connect().await?;
            db.execute("CREATE TABLE IF NOT EXISTS asked (n bigint)", &[]).await?;
            db.execute("INSERT INTO asked VALUES (1)", &[]).await
        };
        return answered(call, wait).await;
    }
    if let Some(cache) = &links.cache {
        let call = async { cache.connect().await?.command(&["SET", &place.name("asked"), "1"]).await };
        return answered(call, wait).await;
    }
    // librdkafka reconnects by itself, so that nobody is ever told of an error: only the port is asked.
    let addr = links.addresses.broker.expect("there is a link to the broker");
    kafka_answers(addr, wait).await
}

/// Asks for the versions of the protocol, as every client does first.
async fn kafka_answers(addr: std::net::SocketAddr, wait: Duration) -> Answer {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let call = async {
        let mut stream = tokio::net::TcpStream::connect(addr).await?;
        let request = [0, 18, 0, 0, 0, 0, 0, 7, 0, 1, b'x'];
        stream.write_all(&[&[0, 0, 0, 11], &request[..]].concat()).await?;
        stream.read_exact(&mut [0; 8]).await
    };
    match timeout(wait, call).await {
        Ok(Ok(_)) => Answer::Ok,
        Ok(Err(_)) => Answer::Error,
        Err(_) => Answer::None,
    }
}

async fn read_table(place: &Place) -> Answer {
    let database = place.client().database.as_ref().expect("there is one");
    let call = async {
        let mut db = database.connect().await?;
        db.query(&format!("SELECT n FROM {TABLE} LIMIT 1"), &[]).await
    };
    answered(call, UNANSWERED).await
}

/// A number that PostgreSQL tells the harness itself.
async fn number(place: &Place, sql: &str, params: &[SqlValue]) -> i64 {
    let database = place.arena.direct.database.as_ref().expect("there is one");
    let mut db = database.connect().await.expect("it is up");
    let rows = db.query(sql, params).await.expect("it answers");
    rows[0].int("n").expect("it is a number")
}

async fn slots(place: &Place) -> i64 {
    let sql = "SELECT count(*) AS n FROM pg_replication_slots WHERE slot_name = $1";
    number(place, sql, &[place.name(SLOT).into()]).await
}

/// How many of the entries of before are in the cache.
async fn entries(place: &Place) -> i64 {
    let cache = place.arena.direct.cache.as_ref().expect("there is one");
    let mut cache = cache.connect().await.expect("it is up");
    let names: Vec<String> = (0..200).map(|n| place.name(&format!("entry{n}"))).collect();
    let mut command = vec!["EXISTS"];
    command.extend(names.iter().map(String::as_str));
    cache.command(&command).await.and_then(Reply::into_int).expect("it answers")
}

/// How many of the last acknowledged keys a client does not find.
async fn missing_keys(place: &Place, load: &Load) -> usize {
    let last: Vec<i64> = load.with(|done| done.acknowledged.iter().rev().take(400).copied().collect());
    let mut cache = place.client().cache.as_ref().expect("there is one").connect().await.expect("it is up");
    let mut missing = 0;
    for n in last {
        let found = cache.command(&["GET", &place.name(&format!("k{n}"))]).await.expect("it is up");
        missing += usize::from(found == Reply::Nil);
    }
    missing
}

/// By how many seconds the server's clock is ahead.
async fn clock_ahead_s(place: &Place) -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs();
    let now = i64::try_from(now).expect("it is long before the end of time");
    number(place, "SELECT extract(epoch FROM clock_timestamp())::bigint AS n", &[]).await - now
}
