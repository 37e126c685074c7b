//! Topics as a whole: made, removed, and read from the first message to the last.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication, TopicResult};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::message::Message as _;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;

use super::consumer::read;
use super::{Quiet, REQUEST_TIMEOUT, blocking, client_config, failure};
use crate::port::{Message, PortError, System};

/// How long reading a topic may go without a message or an end.
const STALL_MAX: Duration = Duration::from_secs(10);

/// How long one poll of a reader waits.
const POLL: Duration = Duration::from_millis(200);

/// How often a new topic is looked for.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// Makes a topic with one replica, and returns when every partition has a leader.
pub async fn create_topic(bootstrap: SocketAddr, name: &str, partitions: i32) -> Result<(), PortError> {
    let (name, runtime) = (name.to_owned(), Handle::current());
    blocking(move || {
        let what = format!("failed to create topic {name}");
        let admin = admin(bootstrap)?;
        let topic = NewTopic::new(&name, partitions, TopicReplication::Fixed(1));
        let created = runtime.block_on(admin.create_topics([&topic], &admin_options()));
        accepted(&what, created)?;
        wait_for_leaders(&admin, &name, partitions)
    })
    .await
}

/// Removes a topic.
pub async fn delete_topic(bootstrap: SocketAddr, name: &str) -> Result<(), PortError> {
    let (name, runtime) = (name.to_owned(), Handle::current());
    blocking(move || {
        let admin = admin(bootstrap)?;
        let deleted = runtime.block_on(admin.delete_topics(&[&name], &admin_options()));
        accepted(&format!("failed to delete topic {name}"), deleted)
    })
    .await
}

/// Every message of a topic, from the first of each partition to its end as of the call, in the order of
/// partitions and offsets. No group takes part.
pub async fn read_topic(bootstrap: SocketAddr, topic: &str) -> Result<Vec<Message>, PortError> {
    let topic = topic.to_owned();
    blocking(move || {
        let reader = reader(bootstrap)?;
        let ends = ends(&reader, &topic)?;
        let mut messages = read_until(&reader, &topic, ends)?;
        messages.sort_by_key(|message| (message.partition, message.offset));
        Ok(messages)
    })
    .await
}

fn admin(bootstrap: SocketAddr) -> Result<AdminClient<Quiet>, PortError> {
    let admin = client_config(bootstrap).create_with_context(Quiet::default());
    admin.map_err(|error| failure::refused("failed to open an admin client", &error))
}

fn admin_options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(REQUEST_TIMEOUT)).operation_timeout(Some(REQUEST_TIMEOUT))
}

fn accepted(what: &str, results: Result<Vec<TopicResult>, KafkaError>) -> Result<(), PortError> {
    let results = results.map_err(|error| failure::unknown(what, &error))?;
    match results.into_iter().find_map(Result::err) {
        Some((_topic, code)) => Err(failure::refused(what, &KafkaError::AdminOp(code))),
        None => Ok(()),
    }
}

/// The controller knows a topic before the brokers tell of it.
fn wait_for_leaders(admin: &AdminClient<Quiet>, topic: &str, partitions: i32) -> Result<(), PortError> {
    let deadline = Instant::now() + REQUEST_TIMEOUT;
    while Instant::now() < deadline {
        let metadata = admin.inner().fetch_metadata(Some(topic), REQUEST_TIMEOUT);
        let metadata =
            metadata.map_err(|error| failure::unknown("failed to look for the new topic", &error))?;
        let led =
            metadata.topics().iter().flat_map(|told| told.partitions()).filter(|told| told.leader() >= 0);
        if i32::try_from(led.count()) == Ok(partitions) {
            return Ok(());
        }
        std::thread::sleep(LOOK_AGAIN);
    }
    let message = format!("topic {topic} was created, but has no leaders after {REQUEST_TIMEOUT:?}");
    Err(PortError::unknown(System::Broker, message))
}

fn reader(bootstrap: SocketAddr) -> Result<BaseConsumer<Quiet>, PortError> {
    let mut config = client_config(bootstrap);
    for (key, value) in [
        ("group.id", "crosscheck-reader"),
        ("enable.auto.commit", "false"),
        ("auto.offset.reset", "earliest"),
        ("isolation.level", "read_committed"),
        ("enable.partition.eof", "true"),
        ("allow.auto.create.topics", "false"),
        ("fetch.wait.max.ms", "20"),
        ("fetch.error.backoff.ms", "20"),
    ] {
        config.set(key, value);
    }
    let reader = config.create_with_context(Quiet::default());
    reader.map_err(|error| failure::refused("failed to open a reader", &error))
}

/// Where each partition that holds something begins and ends.
fn ends(reader: &BaseConsumer<Quiet>, topic: &str) -> Result<BTreeMap<i32, (i64, i64)>, PortError> {
    let what = format!("failed to ask for the ends of topic {topic}");
    let metadata = reader.fetch_metadata(Some(topic), REQUEST_TIMEOUT);
    let metadata = metadata.map_err(|error| failure::refused(&what, &error))?;
    let partitions: Vec<i32> =
        metadata.topics().iter().flat_map(|told| told.partitions()).map(|told| told.id()).collect();
    if partitions.is_empty() {
        return Err(failure::not_possible("UnknownTopic", format!("topic {topic} does not exist")));
    }
    let mut ends = BTreeMap::new();
    for partition in partitions {
        let watermarks = reader.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
        let (low, high) = watermarks.map_err(|error| failure::refused(&what, &error))?;
        if low < high {
            ends.insert(partition, (low, high));
        }
    }
    Ok(ends)
}

/// Reads each partition up to its end. Its last offsets may hold no message (the marks of transactions), so
/// the end that librdkafka reports counts as well.
fn read_until(
    reader: &BaseConsumer<Quiet>,
    topic: &str,
    mut open: BTreeMap<i32, (i64, i64)>,
) -> Result<Vec<Message>, PortError> {
    let what = format!("failed to read topic {topic}");
    let mut list = TopicPartitionList::new();
    for (partition, (low, _high)) in &open {
        let added = list.add_partition_offset(topic, *partition, Offset::Offset(*low));
        added.map_err(|error| failure::refused(&what, &error))?;
    }
    reader.assign(&list).map_err(|error| failure::refused(&what, &error))?;
    let mut messages = Vec::new();
    let mut moved = Instant::now();
    while !open.is_empty() {
        match reader.poll(POLL) {
            Some(Ok(message)) => {
                moved = Instant::now();
                let Some((_low, end)) = open.get(&message.partition()).copied() else { continue };
                if message.offset() < end {
                    messages.push(read(&message)?);
                }
                if message.offset() + 1 >= end {
                    open.remove(&message.partition());
                }
            }
            Some(Err(KafkaError::PartitionEOF(partition))) => {
                moved = Instant::now();
                open.remove(&partition);
            }
            Some(Err(error)) if !failure::passes(&error) => return Err(failure::refused(&what, &error)),
            Some(Err(_)) | None => {}
        }
        if moved.elapsed() > STALL_MAX {
            let message = format!("{what}: nothing came for {STALL_MAX:?}");
            return Err(PortError::unknown(System::Broker, message));
        }
    }
    Ok(messages)
}
