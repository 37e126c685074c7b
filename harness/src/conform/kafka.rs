//! Cases of the broker: a step is one operation of a Kafka client a line. A session has a producer and a consumer,
//! opened when they are first needed, with what its setup says.
//!
//! ```text
//! topic t 2                                     in the setup of the file: a topic with so many partitions
//! producer acks=all idempotence=true            acks: 0, 1, all; timeout=10s; transactional_id=x
//! consumer group=g start=earliest auto_commit=false isolation=read_committed
//! produce t k1 v1        produce t/1 k1 v1      prints where it lies: t/0@3
//! subscribe t u          assign t/0 5
//! poll 3                                        until so many messages have come: t/0@3 k1=v1
//! none 500ms                                    for so long; prints what came all the same
//! commit                 commit t/0 4           what was polled, or an offset
//! end t/0                                       the end offset
//! init                                          opens the producer now, which fences others of its transactional_id
//! begin                  commit_transaction     abort_transaction
//! send_offsets                                  what was polled, as part of the transaction
//! crash                                         producer and consumer are gone; the next operation opens others
//! wait 300ms
//! ```
//!
//! Topics and groups are new for each permutation; what is printed has the names as they are in the case.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender};
use tokio::time::Instant;

use super::event::Event;
use super::redis::wait_of;
use super::session::{Session, System};
use crate::port::{
    Acks, Broker, Consumer, ConsumerOptions, GroupOffset, Isolation, Message, PortError, Producer,
    ProducerOptions, StartOffset,
};

/// How long `poll` waits for messages that do not come.
const POLL_MAX: Duration = Duration::from_secs(20);

/// Makes topics, which the broker port has no operation for.
#[async_trait]
pub trait Topics: Send + Sync {
    /// Makes a topic.
    async fn create(&self, topic: &str, partitions: i32) -> Result<(), PortError>;
}

/// A broker that cases run on.
pub struct BrokerCases {
    on: On,
}

/// What all sessions of a case share.
#[derive(Clone)]
struct On {
    broker: Arc<dyn Broker>,
    topics: Arc<dyn Topics>,
    /// What the names of topics and groups begin with in this permutation.
    prefix: Arc<Mutex<String>>,
    base: String,
    permutation: Arc<AtomicU32>,
}

impl BrokerCases {
    /// Cases on this broker; `base` is a name that no other cases on it have.
    pub fn new(broker: Arc<dyn Broker>, topics: Arc<dyn Topics>, base: &str) -> Self {
        let on =
            On { broker, topics, prefix: Arc::default(), base: base.to_owned(), permutation: Arc::default() };
        BrokerCases { on }
    }
}

impl std::fmt::Debug for BrokerCases {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerCases").field("base", &self.on.base).finish_non_exhaustive()
    }
}

#[async_trait]
impl System for BrokerCases {
    async fn open(&mut self, name: &str) -> Result<Session, PortError> {
        let on = self.on.clone();
        Ok(Session::start(name.to_owned(), |texts, events| serve(on, texts, events)))
    }

    /// No operation waits for another session's lock.
    async fn is_blocked(&mut self, _session: &str, _others: &[String]) -> Result<bool, PortError> {
        Ok(false)
    }

    async fn cancel(&mut self, _session: &str) -> Result<(), PortError> {
        Ok(())
    }

    async fn begin_permutation(&mut self) -> Result<(), PortError> {
        let number = self.on.permutation.fetch_add(1, Ordering::Relaxed);
        *self.on.prefix.lock().expect("no code panics while it holds the prefix") =
            format!("{}_{number}_", self.on.base);
        Ok(())
    }
}

async fn serve(on: On, mut texts: UnboundedReceiver<String>, events: UnboundedSender<Event>) {
    let mut client = KafkaClient::new(on.clone(), String::new());
    while let Some(text) = texts.recv().await {
        let prefix = on.prefix.lock().expect("no code panics while it holds the prefix").clone();
        if client.prefix != prefix {
            client = KafkaClient::new(on.clone(), prefix);
        }
        let mut lines = Vec::new();
        let mut failed = None;
        for line in text.lines().map(str::trim).filter(|line| !line.is_empty()) {
            match client.operation(line).await {
                Ok(said) => lines.extend(said),
                Err(Trouble::Port(error)) => {
                    lines.push(format!("(error) {}", error.code.unwrap_or_else(|| error.message.clone())));
                }
                Err(Trouble::Grammar(message)) => {
                    failed = Some(Event::Failed { severity: "ERROR".into(), code: "syntax".into(), message });
                    break;
                }
            }
        }
        let answer = if lines.is_empty() { Event::Complete } else { Event::Text(lines.join("\n")) };
        for event in [Some(answer), failed, Some(Event::Ready)].into_iter().flatten() {
            // Nobody listens any more where the case is over.
            let _ = events.send(event);
        }
    }
}

/// Why an operation printed nothing of its own.
enum Trouble {
    Port(PortError),
    Grammar(String),
}

impl From<PortError> for Trouble {
    fn from(error: PortError) -> Self {
        Trouble::Port(error)
    }
}

impl From<String> for Trouble {
    fn from(message: String) -> Self {
        Trouble::Grammar(message)
    }
}

/// The clients of one session in one permutation.
struct KafkaClient {
    on: On,
    prefix: String,
    producing: ProducerOptions,
    consuming: ConsumerOptions,
    producer: Option<Box<dyn Producer>>,
    consumer: Option<Box<dyn Consumer>>,
    /// The next offset of each partition that was polled.
    polled: BTreeMap<(String, i32), i64>,
}

impl KafkaClient {
    fn new(on: On, prefix: String) -> Self {
        KafkaClient {
            on,
            prefix,
            producing: ProducerOptions {
                acks: Acks::All,
                idempotence: true,
                message_timeout: Duration::from_secs(10),
                transactional_id: None,
            },
            consuming: ConsumerOptions {
                group: None,
                start: StartOffset::Earliest,
                auto_commit: false,
                isolation: Isolation::ReadCommitted,
            },
            producer: None,
            consumer: None,
            polled: BTreeMap::new(),
        }
    }

    /// Does what a line says; gives what it prints.
    async fn operation(&mut self, line: &str) -> Result<Vec<String>, Trouble> {
        let words: Vec<&str> = line.split_whitespace().collect();
        let said = match words.as_slice() {
            ["topic", topic, partitions] => {
                let partitions = number(partitions)?;
                self.on.topics.create(&self.named(topic), partitions).await?;
                Vec::new()
            }
            ["producer", options @ ..] => {
                for option in options {
                    self.producer_option(option)?;
                }
                Vec::new()
            }
            ["consumer", options @ ..] => {
                for option in options {
                    self.consumer_option(option)?;
                }
                Vec::new()
            }
            ["produce", place, key, value] => vec![self.produce(place, key, value).await?],
            ["init" | "begin" | "commit_transaction" | "abort_transaction" | "send_offsets"] => {
                self.transact(words[0]).await?;
                Vec::new()
            }
            ["crash"] => {
                (self.producer, self.consumer) = (None, None);
                self.polled.clear();
                Vec::new()
            }
            ["wait", duration] => {
                tokio::time::sleep(wait_of(duration)?).await;
                Vec::new()
            }
            _ => self.consume(&words, line).await?,
        };
        Ok(said)
    }

    async fn consume(&mut self, words: &[&str], line: &str) -> Result<Vec<String>, Trouble> {
        let prefix = self.prefix.clone();
        match words {
            ["subscribe", topics @ ..] if !topics.is_empty() => {
                let topics: Vec<String> = topics.iter().map(|topic| self.named(topic)).collect();
                let topics: Vec<&str> = topics.iter().map(String::as_str).collect();
                self.consumer().await?.subscribe(&topics).await?;
                Ok(Vec::new())
            }
            ["assign", place, offset] => {
                let (topic, partition, offset) = (self.topic(place)?, partition(place)?, number(offset)?);
                self.consumer().await?.assign(&topic, partition, offset).await?;
                Ok(Vec::new())
            }
            ["poll", count] => {
                let count = number::<usize>(count)?;
                self.poll(count, POLL_MAX, &prefix).await
            }
            ["none", duration] => self.poll(usize::MAX, wait_of(duration)?, &prefix).await,
            ["commit"] => {
                for ((topic, partition), offset) in self.polled.clone() {
                    self.consumer().await?.commit(&topic, partition, offset).await?;
                }
                Ok(Vec::new())
            }
            ["commit", place, offset] => {
                let (topic, partition, offset) = (self.topic(place)?, partition(place)?, number(offset)?);
                self.consumer().await?.commit(&topic, partition, offset).await?;
                Ok(Vec::new())
            }
            ["end", place] => {
                let (topic, partition) = (self.topic(place)?, partition(place)?);
                Ok(vec![self.consumer().await?.end_offset(&topic, partition).await?.to_string()])
            }
            _ => Err(Trouble::Grammar(format!("`{line}` is no operation that cases of the broker have"))),
        }
    }

    async fn produce(&mut self, place: &str, key: &str, value: &str) -> Result<String, Trouble> {
        let partition = if place.contains('/') { Some(partition(place)?) } else { None };
        let topic = self.topic(place)?;
        let at = self.producer().await?.produce(&topic, partition, key, value).await?;
        let topic = place.split('/').next().unwrap_or_default();
        Ok(format!("{topic}/{}@{}", at.partition, at.offset))
    }

    /// Polls until so many messages have come or the time is over; gives them by partition, each partition's
    /// in the order in which they came.
    async fn poll(&mut self, count: usize, within: Duration, prefix: &str) -> Result<Vec<String>, Trouble> {
        let deadline = Instant::now() + within;
        let mut messages: Vec<Message> = Vec::new();
        while messages.len() < count && Instant::now() < deadline {
            let wait = deadline.saturating_duration_since(Instant::now()).min(Duration::from_millis(500));
            let max = (count - messages.len()).min(1000);
            messages.extend(self.consumer().await?.poll(wait, max).await?);
        }
        for message in &messages {
            self.polled.insert((message.topic.clone(), message.partition), message.offset + 1);
        }
        messages.sort_by(|a, b| (&a.topic, a.partition).cmp(&(&b.topic, b.partition)));
        if messages.is_empty() {
            return Ok(vec!["(none)".to_owned()]);
        }
        Ok(messages.iter().map(|message| shown(message, prefix)).collect())
    }

    async fn transact(&mut self, what: &str) -> Result<(), PortError> {
        if what == "send_offsets" {
            let metadata = self.consumer().await?.group_metadata().await?;
            let polled = self.polled.clone();
            let mut offsets = Vec::new();
            for ((topic, partition), offset) in &polled {
                offsets.push(GroupOffset { topic, partition: *partition, offset: *offset });
            }
            return self.producer().await?.send_offsets_to_transaction(&offsets, &metadata).await;
        }
        let producer = self.producer().await?;
        match what {
            "begin" => producer.begin_transaction().await,
            "commit_transaction" => producer.commit_transaction().await,
            "abort_transaction" => producer.abort_transaction().await,
            _ => Ok(()),
        }
    }

    async fn producer(&mut self) -> Result<&mut Box<dyn Producer>, PortError> {
        match &mut self.producer {
            Some(producer) => Ok(producer),
            slot => Ok(slot.insert(self.on.broker.producer(&self.producing).await?)),
        }
    }

    async fn consumer(&mut self) -> Result<&mut Box<dyn Consumer>, PortError> {
        match &mut self.consumer {
            Some(consumer) => Ok(consumer),
            slot => Ok(slot.insert(self.on.broker.consumer(&self.consuming).await?)),
        }
    }

    fn producer_option(&mut self, option: &str) -> Result<(), String> {
        match option.split_once('=') {
            Some(("acks", "0")) => self.producing.acks = Acks::Zero,
            Some(("acks", "1")) => self.producing.acks = Acks::One,
            Some(("acks", "all")) => self.producing.acks = Acks::All,
            Some(("idempotence", on)) => self.producing.idempotence = truth(on)?,
            Some(("timeout", duration)) => self.producing.message_timeout = wait_of(duration)?,
            Some(("transactional_id", id)) => self.producing.transactional_id = Some(self.named(id)),
            _ => {
                let known = "acks, idempotence, timeout, transactional_id";
                return Err(format!("`{option}` is no option of a producer: {known}"));
            }
        }
        Ok(())
    }

    fn consumer_option(&mut self, option: &str) -> Result<(), String> {
        match option.split_once('=') {
            Some(("group", group)) => self.consuming.group = Some(self.named(group)),
            Some(("start", "earliest")) => self.consuming.start = StartOffset::Earliest,
            Some(("start", "latest")) => self.consuming.start = StartOffset::Latest,
            Some(("auto_commit", on)) => self.consuming.auto_commit = truth(on)?,
            Some(("isolation", "read_committed")) => self.consuming.isolation = Isolation::ReadCommitted,
            Some(("isolation", "read_uncommitted")) => self.consuming.isolation = Isolation::ReadUncommitted,
            _ => {
                let known = "group, start, auto_commit, isolation";
                return Err(format!("`{option}` is no option of a consumer: {known}"));
            }
        }
        Ok(())
    }

    fn named(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    fn topic(&self, place: &str) -> Result<String, String> {
        let topic = place.split('/').next().filter(|topic| !topic.is_empty());
        topic.map(|topic| self.named(topic)).ok_or_else(|| format!("`{place}` names no topic"))
    }
}

fn shown(message: &Message, prefix: &str) -> String {
    let Message { topic, partition, offset, key, payload } = message;
    let topic = topic.strip_prefix(prefix).unwrap_or(topic);
    format!("{topic}/{partition}@{offset} {key}={}", payload.as_deref().unwrap_or("(tombstone)"))
}

fn partition(place: &str) -> Result<i32, String> {
    let (_, partition) = place.split_once('/').ok_or_else(|| format!("`{place}` names no partition: t/0"))?;
    number(partition)
}

fn number<T: std::str::FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| format!("`{text}` is no number that fits here"))
}

fn truth(text: &str) -> Result<bool, String> {
    text.parse().map_err(|_| format!("`{text}` is neither true nor false"))
}
