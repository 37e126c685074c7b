//! A member of somebody else's consumer group: it joins, is assigned partitions, and leaves.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::{Offset, TopicPartitionList};
use tokio::task::AbortHandle;

use super::{Quiet, REQUEST_TIMEOUT, blocking, client_config, failure};
use crate::port::{PortError, System};

/// How long the group may take to let a member in. The members that are there learn of it with their next
/// heartbeat, and have their poll to end.
const JOIN_MAX: Duration = Duration::from_secs(10);

const POLL: Duration = Duration::from_millis(50);

/// What a guest calls itself. The assignors go by member ids, which begin with this: it sorts before any word, so a
/// guest is assigned partitions even where there are fewer than members.
const CLIENT_ID: &str = "!crosscheck-guest";

/// The consumer groups whose names begin like this and that have members.
pub(crate) async fn groups_of(bootstrap: SocketAddr, prefix: &str) -> Result<Vec<String>, PortError> {
    let prefix = prefix.to_owned();
    blocking(move || {
        let asking = client(bootstrap, "crosscheck-guest")?;
        let listed = asking.fetch_group_list(None, REQUEST_TIMEOUT);
        let listed = listed.map_err(|error| failure::unknown("failed to list consumer groups", &error))?;
        let there = listed.groups().iter().filter(|group| !group.members().is_empty());
        let mut names: Vec<String> = there.map(|group| group.name().to_owned()).collect();
        names.retain(|name| name.starts_with(&prefix));
        names.sort();
        Ok(names)
    })
    .await
}

/// A member that we are.
pub(crate) struct Guest {
    client: Arc<BaseConsumer<Quiet>>,
    group: String,
    assigned: BTreeSet<(String, i32)>,
    polling: Polling,
}

/// The task that keeps the membership alive: what is not polled for long is put out.
struct Polling(AbortHandle);

impl Drop for Polling {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl Guest {
    /// Joins the group for these topics, and returns once the group has assigned it something.
    pub(crate) async fn join(
        bootstrap: SocketAddr,
        group: &str,
        topics: &[String],
    ) -> Result<Guest, PortError> {
        let (name, topics) = (group.to_owned(), topics.to_vec());
        let (client, assigned) = blocking(move || {
            let client = client(bootstrap, &name)?;
            let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
            let subscribed = client.subscribe(&topics);
            subscribed.map_err(|error| failure::refused("failed to subscribe", &error))?;
            let end = Instant::now() + JOIN_MAX;
            loop {
                // What is polled is not looked at: its offset is not stored, so it is not committed either.
                drop(client.poll(POLL));
                let assigned = assigned(&client)?;
                if !assigned.is_empty() {
                    return Ok((Arc::new(client), assigned));
                }
                if Instant::now() > end {
                    let waited_s = JOIN_MAX.as_secs();
                    let message =
                        format!("group {name} assigned nothing to another member within {waited_s} s");
                    return Err(PortError::unknown(System::Broker, message));
                }
            }
        })
        .await?;
        let polled = client.clone();
        let polling = tokio::spawn(async move {
            loop {
                let client = polled.clone();
                // A poll of nothing keeps up the membership; the runtime's threads are not blocked by it.
                let _ = blocking(move || {
                    drop(client.poll(Duration::ZERO));
                    Ok(())
                })
                .await;
                tokio::time::sleep(POLL).await;
            }
        });
        let polling = Polling(polling.abort_handle());
        Ok(Guest { client, group: group.to_owned(), assigned, polling })
    }

    /// The group.
    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// How many partitions it was assigned.
    pub(crate) fn partitions(&self) -> usize {
        self.assigned.len()
    }

    /// Sets the committed offsets of what it is assigned back to the first messages there are; says how many
    /// messages are before the offsets that were committed.
    pub(crate) async fn set_back(&self) -> Result<u64, PortError> {
        let (client, assigned) = (self.client.clone(), self.assigned.clone());
        blocking(move || {
            let mut list = TopicPartitionList::new();
            for (topic, partition) in &assigned {
                list.add_partition(topic, *partition);
            }
            let what = "failed to set committed offsets back";
            let asked = client.committed_offsets(list, REQUEST_TIMEOUT);
            let committed = asked.map_err(|error| failure::unknown(what, &error))?;
            let mut back = TopicPartitionList::new();
            let mut again = 0;
            for element in committed.elements() {
                let Offset::Offset(offset) = element.offset() else { continue };
                let (topic, partition) = (element.topic(), element.partition());
                let watermarks = client.fetch_watermarks(topic, partition, REQUEST_TIMEOUT);
                let (first, _) = watermarks.map_err(|error| failure::unknown(what, &error))?;
                again += u64::try_from(offset - first).unwrap_or(0);
                let added = back.add_partition_offset(topic, partition, Offset::Offset(first));
                added.map_err(|error| failure::refused(what, &error))?;
            }
            if again > 0 {
                client.commit(&back, CommitMode::Sync).map_err(|error| failure::commit(&error))?;
                is_back(&client, &back)?;
            }
            Ok(again)
        })
        .await
    }

    /// Leaves the group, and returns once the group is without it.
    pub(crate) async fn leave(self) -> Result<(), PortError> {
        let Guest { client, polling, group, .. } = self;
        drop(polling);
        blocking(move || {
            client.unsubscribe();
            let end = Instant::now() + JOIN_MAX;
            loop {
                drop(client.poll(POLL));
                let listed = client.fetch_group_list(Some(&group), REQUEST_TIMEOUT);
                let listed =
                    listed.map_err(|error| failure::unknown("failed to look at the group", &error))?;
                let is_there = |member: &rdkafka::groups::GroupMemberInfo| member.client_id() == CLIENT_ID;
                if !listed.groups().iter().any(|group| group.members().iter().any(is_there)) {
                    return Ok(());
                }
                if Instant::now() > end {
                    return Err(PortError::unknown(System::Broker, format!("group {group} keeps a guest")));
                }
            }
        })
        .await
    }
}

/// The committed offsets, read again.
fn is_back(client: &BaseConsumer<Quiet>, back: &TopicPartitionList) -> Result<(), PortError> {
    let what = "failed to read committed offsets";
    let asked = client.committed_offsets(back.clone(), REQUEST_TIMEOUT);
    let found = asked.map_err(|error| failure::unknown(what, &error))?;
    for element in back.elements() {
        let now = found.find_partition(element.topic(), element.partition()).map(|there| there.offset());
        if now != Some(element.offset()) {
            let (topic, partition) = (element.topic(), element.partition());
            let message = format!("the committed offset of {topic}/{partition} was not set back");
            return Err(PortError::unknown(System::Broker, message));
        }
    }
    Ok(())
}

fn assigned(client: &BaseConsumer<Quiet>) -> Result<BTreeSet<(String, i32)>, PortError> {
    let assigned = client.assignment();
    let assigned = assigned.map_err(|error| failure::unknown("failed to read the assignment", &error))?;
    let named = |element: rdkafka::topic_partition_list::TopicPartitionListElem<'_>| {
        (element.topic().to_owned(), element.partition())
    };
    Ok(assigned.elements().into_iter().map(named).collect())
}

fn client(bootstrap: SocketAddr, group: &str) -> Result<BaseConsumer<Quiet>, PortError> {
    let mut config = client_config(bootstrap);
    for (key, value) in [
        ("client.id", CLIENT_ID),
        ("group.id", group),
        ("enable.auto.commit", "false"),
        ("enable.auto.offset.store", "false"),
        ("allow.auto.create.topics", "false"),
        ("session.timeout.ms", "6000"),
        ("heartbeat.interval.ms", "500"),
        ("fetch.wait.max.ms", "20"),
    ] {
        config.set(key, value);
    }
    let client = config.create_with_context(Quiet::default());
    client.map_err(|error| failure::refused("failed to open a consumer", &error))
}
