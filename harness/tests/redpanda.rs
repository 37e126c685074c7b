//! Redpanda as a process, as far as it can be tried where there is none: a program that takes the same command line and
//! the same files, refuses what it does not find there, and answers by a Kafka behind it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crosscheck_harness::backend::Backend;
use crosscheck_harness::backend::local::{
    Finding, KafkaListener, LocalBackend, Places, Program, Programs, ServerKind, ServerSet, default_root,
};
use crosscheck_harness::design::{Layout, Needs, Role};
use crosscheck_harness::fault;
use crosscheck_harness::port::{
    Acks, Consumer, ConsumerOptions, Isolation, Producer, ProducerOptions, StartOffset,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::signal::unix::{SignalKind, signal};

const ARGS: &str = "CROSSCHECK_STAND_IN_ARGS";
const SOON: Duration = Duration::from_secs(20);

fn env(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// Makes the program `redpanda`: this test binary, called by a script.
fn install(root: &Path) -> PathBuf {
    let (program, me) = (root.join("redpanda"), std::env::current_exe().expect("it runs"));
    let script = format!(
        "#!/bin/sh\n[ \"$1\" = --version ] && echo 'v24.3.5 - 0000000' && exit\n\
         {ARGS}=\"$*\" exec '{}' serves --exact --nocapture\n",
        me.display()
    );
    std::fs::write(&program, script).expect("it is written");
    std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    program
}

/// The listeners of one list of the configuration.
fn listeners(yaml: &str, list: &str) -> BTreeMap<String, SocketAddr> {
    let lines = yaml.lines().skip_while(|line| line.trim() != format!("{list}:")).skip(1);
    let items = lines.map_while(|line| line.trim().strip_prefix("- {")?.strip_suffix('}'));
    let listener = |item: &str| {
        let fields: BTreeMap<&str, &str> =
            item.split(", ").filter_map(|field| field.split_once(": ")).collect();
        let addr = format!("{}:{}", fields["address"], fields["port"]).parse().expect("an address");
        (fields["name"].to_owned(), addr)
    };
    items.map(listener).collect()
}

/// The stand-in itself, which its script starts; among the other tests it has nothing to do.
#[tokio::test(flavor = "multi_thread")]
async fn serves() {
    let Some(args) = env(ARGS) else { return };
    let words: Vec<&str> = args.split(' ').collect();
    let ["--redpanda-cfg", config, "--smp=1", "--memory=1G", "--reserve-memory=0M", "--overprovisioned"] =
        words[..]
    else {
        println!("ERROR: unknown command line: {args}");
        std::process::exit(2);
    };
    let mut terminate = signal(SignalKind::terminate()).expect("a signal can be waited for");
    let yaml = std::fs::read_to_string(config).expect("it is there");
    assert!(yaml.contains("developer_mode: false\n") && yaml.contains("empty_seed_starts_cluster: true\n"));
    let dir = Path::new(config).parent().expect("a folder");
    let cluster = std::fs::read_to_string(dir.join(".bootstrap.yaml")).expect("it is there");
    assert!(cluster.contains("auto_create_topics_enabled: false\n"), "{cluster}");

    let bound = listeners(&yaml, "kafka_api");
    let advertised = listeners(&yaml, "advertised_kafka_api");
    assert!(bound.keys().eq(advertised.keys()), "{yaml}");
    // Kafka has a listener of its own of that name.
    let name = |name: &str| format!("of_{name}");
    let of_kafka: Vec<KafkaListener> =
        advertised.iter().map(|(of, addr)| KafkaListener { name: name(of), advertised: *addr }).collect();
    let programs = Programs::find(&env, &Places::debian());
    let set = ServerSet::start(&[ServerKind::Kafka], &programs, &of_kafka, dir).await.expect("it starts");
    for (of, addr) in bound {
        let to = set.kafka().and_then(|kafka| kafka.listener(&name(&of))).expect("it has it");
        let listener = TcpListener::bind(addr).await.expect("the port is free");
        tokio::spawn(forward(listener, to));
    }
    terminate.recv().await;
    drop(set);
    std::process::exit(0);
}

async fn forward(listener: TcpListener, to: SocketAddr) {
    while let Ok((mut client, _)) = listener.accept().await {
        tokio::spawn(async move {
            if let Ok(mut server) = TcpStream::connect(to).await {
                let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
            }
        });
    }
}

const BROKER: Needs = Needs { db: false, cache: false, broker: true };

async fn next(consumer: &mut dyn Consumer) -> String {
    for _ in 0..100 {
        let messages = consumer.poll(Duration::from_millis(200), 1).await.expect("the broker answers");
        if let Some(message) = messages.into_iter().next() {
            return message.payload.unwrap_or_default();
        }
    }
    panic!("nothing came")
}

#[tokio::test(flavor = "multi_thread")]
async fn as_a_broker_it_is_reached_through_the_proxies_and_has_their_faults() {
    let here = Programs::find(&env, &Places::debian());
    if let Some(program) = [Program::Kafka, Program::Java]
        .into_iter()
        .find(|program| !matches!(here.finding(*program), Finding::Found { .. }))
    {
        let required = env("CROSSCHECK_REQUIRE").unwrap_or_default();
        assert!(!required.split(',').any(|word| word == "local"), "{program} is required and not here");
        println!("skipped: {program} is not here");
        return;
    }
    let root = tempfile::tempdir().expect("a directory");
    let redpanda = install(root.path()).display().to_string();
    let with_it = |name: &str| match name {
        "CROSSCHECK_REDPANDA" => Some(redpanda.clone()),
        "CROSSCHECK_BROKER" => Some("redpanda".to_owned()),
        other => env(other),
    };
    let programs = Programs::find(&with_it, &Places::debian());
    let backend = LocalBackend::start(BROKER, &programs, &default_root(&env)).await;
    let backend = backend.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(backend.versions()["redpanda"], "24.3.5");

    let layout = Layout { topics: vec![("events".to_owned(), 1)], ..Layout::default() };
    let arena = backend.open(BROKER, &layout, "panda").await.unwrap_or_else(|error| panic!("{error}"));
    let (links, topic) = (&arena.links[&Role::Client], format!("{}events", arena.direct.prefix));
    let broker = links.broker.as_ref().expect("there is one");
    let options =
        ProducerOptions { acks: Acks::All, idempotence: true, message_timeout: SOON, transactional_id: None };
    let mut producer: Box<dyn Producer> = broker.producer(&options).await.expect("it opens");
    let options = ConsumerOptions {
        group: None,
        start: StartOffset::Earliest,
        auto_commit: false,
        isolation: Isolation::ReadUncommitted,
    };
    let mut consumer = broker.consumer(&options).await.expect("it opens");
    consumer.assign(&topic, 0, 0).await.expect("it is there");
    producer.produce(&topic, Some(0), "k1", "before").await.expect("it is acknowledged");
    assert_eq!(next(&mut *consumer).await, "before");

    let pause = fault::parse("broker-pause").expect("it is one");
    let cut = fault::parse("broker-cut@client").expect("it is one");
    for on in [&pause, &cut] {
        arena.injector.inject(on).await.unwrap_or_else(|error| panic!("{on}: {error}"));
        arena.injector.heal(on).await.unwrap_or_else(|error| panic!("{on}: {error}"));
    }
    producer.produce(&topic, Some(0), "k1", "after").await.expect("it is acknowledged");
    assert_eq!(next(&mut *consumer).await, "after");
    arena.closer.close().await;
}
