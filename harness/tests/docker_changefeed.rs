//! A changefeed of CockroachDB into Redpanda, over the network between them. No machine without official images has
//! run this: the containers workflow does.

use std::path::Path;
use std::time::{Duration, Instant};

use crosscheck_harness::backend::docker::{
    Advertised, ContainerSet, Engine, ImageKind, Images, REDPANDA_ALIAS, REDPANDA_PORT,
};
use crosscheck_harness::port::{Broker, Consumer, ConsumerOptions, Database, DatabaseConnection};
use crosscheck_harness::port::{Isolation, StartOffset};
use crosscheck_harness::proxy::Proxy;
use crosscheck_harness::system::cockroach;
use crosscheck_harness::system::kafka::{KafkaBroker, create_topic};
use crosscheck_harness::system::postgres::{PostgresAddress, PostgresDatabase};

const KINDS: [ImageKind; 2] = [ImageKind::Cockroach, ImageKind::Redpanda];
const SOON: Duration = Duration::from_secs(30);
const STILL: Duration = Duration::from_secs(5);

/// The keys that come within a time, until this one has.
async fn keys_until(consumer: &mut dyn Consumer, key: &str, wait: Duration) -> Vec<String> {
    let deadline = Instant::now() + wait;
    let mut keys = Vec::new();
    while Instant::now() < deadline && !keys.iter().any(|come: &String| come.contains(key)) {
        let messages = consumer.poll(Duration::from_millis(200), 100).await.expect("the broker answers");
        keys.extend(messages.into_iter().map(|message| message.key));
    }
    keys
}

async fn insert(connection: &mut dyn DatabaseConnection, key: &str) {
    let statement = format!("INSERT INTO stock VALUES ('{key}', 1)");
    connection.execute(&statement, &[]).await.expect("it is inserted");
}

async fn until_job_is(connection: &mut dyn DatabaseConnection, job: i64, status: &str) {
    let deadline = Instant::now() + SOON;
    loop {
        let rows = connection.query(&cockroach::status(job), &[]).await.expect("the job is shown");
        if rows[0].text("status").expect("it has a status") == status {
            return;
        }
        assert!(Instant::now() < deadline, "the job is not {status}");
    }
}

async fn started(root: &Path, proxy: &Proxy) -> ContainerSet {
    let env = |name: &str| std::env::var(name).ok();
    let images = Images::from(&env);
    let engine = Engine::find(&env).await.unwrap_or_else(|state| panic!("{state:?}"));
    let advertised = Advertised::from([(None, proxy.addr())]);
    let set = ContainerSet::start(&KINDS, &advertised, &engine, &images, root).await;
    let set = set.unwrap_or_else(|error| panic!("{error}"));
    proxy.set_upstream(set.container(ImageKind::Redpanda).and_then(|container| container.addr()));
    set
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the official images of CockroachDB and Redpanda"]
async fn a_changefeed_goes_on_after_its_link_was_cut_and_its_job_paused() {
    let root = tempfile::tempdir().expect("a directory");
    let proxy = Proxy::bind("harness-broker").await.expect("a port");
    let set = started(root.path(), &proxy).await;
    let container = |kind| set.container(kind).expect("it was started");
    let (cockroach, redpanda) = (container(ImageKind::Cockroach), container(ImageKind::Redpanda));
    let link = set.link().await.expect("there is a network");
    link.connect(cockroach, "cockroach").await.expect("it is connected");
    link.connect(redpanda, REDPANDA_ALIAS).await.expect("it is connected");
    create_topic(proxy.addr(), "stock", 1).await.expect("the topic is made");

    let database = PostgresDatabase::new(PostgresAddress {
        addr: cockroach.addr().expect("it is published"),
        user: cockroach::USER.to_owned(),
        database: cockroach::DATABASE.to_owned(),
        application_name: "crosscheck".to_owned(),
    });
    let mut sql = database.connect().await.expect("it connects");
    for setting in cockroach::SETTINGS {
        sql.execute(setting, &[]).await.expect("it is set");
    }
    sql.execute("CREATE TABLE stock (key text PRIMARY KEY, quantity int)", &[]).await.expect("it is made");
    let broker = format!("{REDPANDA_ALIAS}:{REDPANDA_PORT}");
    let created = cockroach::create_changefeed("stock", &broker, "stock");
    let job = sql.query(&created, &[]).await.expect("it is made")[0].int("job_id").expect("it is a job");

    let options = ConsumerOptions {
        group: None,
        start: StartOffset::Earliest,
        auto_commit: false,
        isolation: Isolation::ReadCommitted,
    };
    let mut consumer = KafkaBroker::new(proxy.addr()).consumer(&options).await.expect("a consumer");
    consumer.assign("stock", 0, 0).await.expect("it is assigned");
    insert(&mut *sql, "first").await;
    assert!(keys_until(&mut *consumer, "first", SOON).await.iter().any(|key| key.contains("first")));

    link.disconnect(redpanda).await.expect("it is cut off");
    insert(&mut *sql, "during-the-cut").await;
    let came = keys_until(&mut *consumer, "during-the-cut", STILL).await;
    assert!(!came.iter().any(|key| key.contains("during-the-cut")), "{came:?}");
    link.connect(redpanda, REDPANDA_ALIAS).await.expect("it is connected again");
    let came = keys_until(&mut *consumer, "during-the-cut", SOON).await;
    assert!(came.iter().any(|key| key.contains("during-the-cut")), "{came:?}");

    sql.execute(&cockroach::pause(job), &[]).await.expect("it pauses");
    until_job_is(&mut *sql, job, "paused").await;
    insert(&mut *sql, "during-the-pause").await;
    sql.execute(&cockroach::resume(job), &[]).await.expect("it goes on");
    let came = keys_until(&mut *consumer, "during-the-pause", SOON).await;
    assert!(came.iter().any(|key| key.contains("during-the-pause")), "{came:?}");
}
