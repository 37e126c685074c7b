//! The ports as an actor holds them: each opens its connection at the first call, each call is a step.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use super::step::{Stepper, shortened};
use crate::port::{
    Acks, Broker, Cache, CacheConnection, Consumer, ConsumerOptions, Database, DatabaseConnection,
    GroupOffset, Isolation, Message, Notification, PortError, Position, Producer, ProducerOptions, Reply,
    Row, SqlValue, StartOffset, System,
};

/// The database, through the gate.
pub struct DbPort {
    database: Option<Arc<dyn Database>>,
    connection: Option<Box<dyn DatabaseConnection>>,
    stepper: Arc<Stepper>,
}

impl std::fmt::Debug for DbPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("DbPort").field("connected", &self.connection.is_some()).finish_non_exhaustive()
    }
}

impl DbPort {
    pub(super) fn new(database: Option<Arc<dyn Database>>, stepper: Arc<Stepper>) -> Self {
        DbPort { database, connection: None, stepper }
    }

    /// Runs a statement and returns its rows.
    ///
    /// # Errors
    /// What the server answered, or that it did not answer.
    pub async fn query(&mut self, sql: &str, params: &[SqlValue]) -> Result<Vec<Row>, PortError> {
        let mut connection = self.take().await?;
        let answer = self
            .stepper
            .call(System::Db, &with_params(sql, params), |rows| Some(rows_in_words(rows)), async {
                connection.query(sql, params).await
            })
            .await;
        self.give_back(connection, &answer.result, answer.lost);
        answer.result
    }

    /// Runs a statement that returns exactly one row.
    ///
    /// # Errors
    /// As [`DbPort::query`], and if there is no row, or several.
    pub async fn query_one(&mut self, sql: &str, params: &[SqlValue]) -> Result<Row, PortError> {
        let mut rows = self.query(sql, params).await?;
        match (rows.pop(), rows.is_empty()) {
            (Some(row), true) => Ok(row),
            (last, _) => {
                let count = rows.len() + usize::from(last.is_some());
                let sql = shortened(sql);
                Err(PortError::shape(System::Db, format!("{count} rows where one is read, of {sql}")))
            }
        }
    }

    /// Runs a statement and returns how many rows it changed.
    ///
    /// # Errors
    /// As [`DbPort::query`].
    pub async fn execute(&mut self, sql: &str, params: &[SqlValue]) -> Result<u64, PortError> {
        let mut connection = self.take().await?;
        let stepper = self.stepper.clone();
        let saw = |count: &u64| {
            if *count > 0 {
                stepper.note_work();
            }
            (*count > 0).then(|| format!("{count} rows changed"))
        };
        let answer = self
            .stepper
            .call(System::Db, &with_params(sql, params), saw, async { connection.execute(sql, params).await })
            .await;
        self.give_back(connection, &answer.result, answer.lost);
        answer.result
    }

    /// The next notification that comes within `wait`.
    ///
    /// # Errors
    /// If the connection is lost.
    pub async fn notification(&mut self, wait: Duration) -> Result<Option<Notification>, PortError> {
        let mut connection = self.take().await?;
        let saw = |note: &Option<Notification>| note.as_ref().map(|note| note.payload.clone());
        let answer = self
            .stepper
            .call(System::Db, "wait for a notification", saw, async { connection.notification(wait).await })
            .await;
        self.give_back(connection, &answer.result, answer.lost);
        answer.result
    }

    /// Drops the connection; the next statement opens another.
    pub fn disconnect(&mut self) {
        self.connection = None;
    }

    /// Takes the connection out, opening one if need be. A call that is dropped half way (a crash) drops
    /// the connection with it, as a process that dies does.
    async fn take(&mut self) -> Result<Box<dyn DatabaseConnection>, PortError> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let database = self.database.clone().ok_or_else(|| not_there(System::Db))?;
        let connection = database.connect().await?;
        self.stepper.note_session(connection.session_id());
        Ok(connection)
    }

    fn give_back<T>(
        &mut self,
        connection: Box<dyn DatabaseConnection>,
        result: &Result<T, PortError>,
        lost: bool,
    ) {
        let broken = lost || result.as_ref().is_err_and(|error| error.connection_lost);
        self.connection = (!broken).then_some(connection);
    }
}

/// The cache, through the gate.
pub struct CachePort {
    cache: Option<Arc<dyn Cache>>,
    connection: Option<Box<dyn CacheConnection>>,
    stepper: Arc<Stepper>,
}

impl std::fmt::Debug for CachePort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachePort").field("connected", &self.connection.is_some()).finish_non_exhaustive()
    }
}

impl CachePort {
    pub(super) fn new(cache: Option<Arc<dyn Cache>>, stepper: Arc<Stepper>) -> Self {
        CachePort { cache, connection: None, stepper }
    }

    /// Sends one command.
    ///
    /// # Errors
    /// What the server answered, or that it did not answer.
    pub async fn command(&mut self, args: &[&str]) -> Result<Reply, PortError> {
        let mut connection = match self.connection.take() {
            Some(connection) => connection,
            None => {
                let cache = self.cache.clone().ok_or_else(|| not_there(System::Cache))?;
                cache.connect().await?
            }
        };
        let call = args.iter().map(|arg| script_name(arg)).collect::<Vec<_>>().join(" ");
        let answer = self
            .stepper
            .call(System::Cache, &call, |reply| Some(reply_in_words(reply)), async {
                connection.command(args).await
            })
            .await;
        let broken = answer.lost || answer.result.as_ref().is_err_and(|error| error.connection_lost);
        self.connection = (!broken).then_some(connection);
        answer.result
    }
}

/// The broker, through the gate: one producer and one consumer.
pub struct BrokerPort {
    broker: Option<Arc<dyn Broker>>,
    prefix: String,
    producer: Option<Box<dyn Producer>>,
    producer_options: ProducerOptions,
    consumer: Option<Box<dyn Consumer>>,
    consumer_options: ConsumerOptions,
    stepper: Arc<Stepper>,
}

impl std::fmt::Debug for BrokerPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BrokerPort").field("prefix", &self.prefix).finish_non_exhaustive()
    }
}

impl BrokerPort {
    pub(super) fn new(broker: Option<Arc<dyn Broker>>, prefix: String, stepper: Arc<Stepper>) -> Self {
        let producer_options = ProducerOptions {
            acks: Acks::All,
            idempotence: true,
            message_timeout: Duration::from_secs(8),
            transactional_id: None,
        };
        let consumer_options = ConsumerOptions {
            group: None,
            start: StartOffset::Earliest,
            auto_commit: false,
            isolation: Isolation::ReadCommitted,
        };
        BrokerPort {
            broker,
            prefix,
            producer: None,
            producer_options,
            consumer: None,
            consumer_options,
            stepper,
        }
    }

    /// How this actor produces; the safe settings (all acknowledgements, idempotent) if nothing is said.
    pub fn produce_with(&mut self, options: ProducerOptions) {
        self.producer = None;
        self.producer_options = options;
    }

    /// How this actor consumes: which group, from where, with or without commits in the background.
    pub fn consume_with(&mut self, options: ConsumerOptions) {
        self.consumer = None;
        self.consumer_options = options;
    }

    /// Sends one message and waits for its acknowledgement.
    ///
    /// # Errors
    /// What the broker answered, or that it did not answer.
    pub async fn produce(&mut self, topic: &str, key: &str, payload: &str) -> Result<Position, PortError> {
        let mut producer = self.take_producer().await?;
        let physical = format!("{}{topic}", self.prefix);
        let stepper = self.stepper.clone();
        let saw = |position: &Position| {
            stepper.note_work();
            Some(format!("partition {} offset {}", position.partition, position.offset))
        };
        let call = format!("produce {topic} {key} {payload}");
        let answer = self
            .stepper
            .call(System::Broker, &call, saw, async { producer.produce(&physical, None, key, payload).await })
            .await;
        self.give_back(producer, &answer.result, answer.lost);
        answer.result
    }

    /// Begins a transaction, of the transactional id given to [`BrokerPort::produce_with`].
    ///
    /// # Errors
    /// If there is one already, or the producer has been fenced.
    pub async fn begin_transaction(&mut self) -> Result<(), PortError> {
        let mut producer = self.take_producer().await?;
        let sending = async { producer.begin_transaction().await };
        let answer = self.stepper.call(System::Broker, "begin transaction", |()| None, sending).await;
        self.give_back(producer, &answer.result, answer.lost);
        answer.result
    }

    /// Commits the transaction.
    ///
    /// # Errors
    /// What the broker answered, or that it did not answer.
    pub async fn commit_transaction(&mut self) -> Result<(), PortError> {
        let mut producer = self.take_producer().await?;
        let sending = async { producer.commit_transaction().await };
        let answer = self.stepper.call(System::Broker, "commit transaction", |()| None, sending).await;
        self.give_back(producer, &answer.result, answer.lost);
        answer.result
    }

    /// Aborts the transaction.
    ///
    /// # Errors
    /// What the broker answered, or that it did not answer.
    pub async fn abort_transaction(&mut self) -> Result<(), PortError> {
        let mut producer = self.take_producer().await?;
        let sending = async { producer.abort_transaction().await };
        let answer = self.stepper.call(System::Broker, "abort transaction", |()| None, sending).await;
        self.give_back(producer, &answer.result, answer.lost);
        answer.result
    }

    /// Makes the offset of the next message to read part of the transaction, for this actor's group.
    ///
    /// # Errors
    /// If the group has gone on without this member, or the producer has been fenced.
    pub async fn send_offset_to_transaction(
        &mut self,
        topic: &str,
        partition: i32,
        offset: i64,
    ) -> Result<(), PortError> {
        let member = self.consumer().await?.group_metadata().await?;
        let mut producer = self.take_producer().await?;
        let physical = format!("{}{topic}", self.prefix);
        let offsets = [GroupOffset { topic: &physical, partition, offset }];
        let call = format!("send to transaction {topic}/{partition} offset {offset}");
        let sending = async { producer.send_offsets_to_transaction(&offsets, &member).await };
        let answer = self.stepper.call(System::Broker, &call, |()| None, sending).await;
        self.give_back(producer, &answer.result, answer.lost);
        answer.result
    }

    /// Reads one partition from an offset on.
    ///
    /// # Errors
    /// If the consumer cannot be opened.
    pub async fn assign(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError> {
        let physical = format!("{}{topic}", self.prefix);
        self.consumer().await?.assign(&physical, partition, offset).await
    }

    /// Takes part in the group's share of a topic.
    ///
    /// # Errors
    /// If the consumer cannot be opened.
    pub async fn subscribe(&mut self, topic: &str) -> Result<(), PortError> {
        let physical = format!("{}{topic}", self.prefix);
        self.consumer().await?.subscribe(&[&physical]).await
    }

    /// What comes within `wait`, `max` messages at most.
    ///
    /// # Errors
    /// If the consumer is of no more use.
    pub async fn poll(&mut self, wait: Duration, max: usize) -> Result<Vec<Message>, PortError> {
        self.consumer().await?;
        let Some(consumer) = self.consumer.as_mut() else { return Err(not_there(System::Broker)) };
        let stepper = self.stepper.clone();
        let saw = |messages: &Vec<Message>| {
            // The watermarks of a changefeed have no key. They come for ever, and are nothing to work on.
            if messages.iter().any(|message| !message.key.is_empty()) {
                stepper.note_work();
            }
            Some(format!("{} messages", messages.len()))
        };
        let sending = async { consumer.poll(wait, max).await };
        self.stepper.call(System::Broker, "poll", saw, sending).await.result
    }

    /// Commits the offset of the next message to read, for the group.
    ///
    /// # Errors
    /// What the broker answered, or that it did not answer.
    pub async fn commit(&mut self, topic: &str, partition: i32, offset: i64) -> Result<(), PortError> {
        self.consumer().await?;
        let physical = format!("{}{topic}", self.prefix);
        let Some(consumer) = self.consumer.as_mut() else { return Err(not_there(System::Broker)) };
        let call = format!("commit {topic}/{partition} offset {offset}");
        let sending = async { consumer.commit(&physical, partition, offset).await };
        self.stepper.call(System::Broker, &call, |()| None, sending).await.result
    }

    /// The offset after the last message of a partition. Not a step: it changes nothing and tells the
    /// actor only whether it is done.
    ///
    /// # Errors
    /// If the broker does not answer.
    pub async fn end_offset(&mut self, topic: &str, partition: i32) -> Result<i64, PortError> {
        let physical = format!("{}{topic}", self.prefix);
        self.consumer().await?.end_offset(&physical, partition).await
    }

    /// Takes the producer out, opening one if need be. Opening one with a transactional id fences others and
    /// aborts what they left, so it is a step.
    async fn take_producer(&mut self) -> Result<Box<dyn Producer>, PortError> {
        if let Some(producer) = self.producer.take() {
            return Ok(producer);
        }
        let broker = self.broker.clone().ok_or_else(|| not_there(System::Broker))?;
        let Some(id) = &self.producer_options.transactional_id else {
            return broker.producer(&self.producer_options).await;
        };
        let call = format!("init transactions {id}");
        let transactional_id = Some(format!("{}{id}", self.prefix));
        let options = ProducerOptions { transactional_id, ..self.producer_options.clone() };
        let opening = async { broker.producer(&options).await };
        self.stepper.call(System::Broker, &call, |_| None, opening).await.result
    }

    fn give_back<T>(&mut self, producer: Box<dyn Producer>, result: &Result<T, PortError>, lost: bool) {
        let broken = lost || result.as_ref().is_err_and(|error| error.connection_lost);
        self.producer = (!broken).then_some(producer);
    }

    async fn consumer(&mut self) -> Result<&mut Box<dyn Consumer>, PortError> {
        let consumer = match self.consumer.take() {
            Some(consumer) => consumer,
            None => {
                let broker = self.broker.clone().ok_or_else(|| not_there(System::Broker))?;
                let group =
                    self.consumer_options.group.as_ref().map(|group| format!("{}{group}", self.prefix));
                broker.consumer(&ConsumerOptions { group, ..self.consumer_options.clone() }).await?
            }
        };
        Ok(self.consumer.insert(consumer))
    }
}

fn not_there(system: System) -> PortError {
    PortError::not_sent(system, "the design did not say that it needs this system")
}

/// A script goes by the comment on its first line, everything else as it is.
fn script_name(arg: &str) -> &str {
    match arg.split_once('\n') {
        Some((first, _)) => first.trim_start_matches("--").trim(),
        None => arg,
    }
}

fn with_params(sql: &str, params: &[SqlValue]) -> String {
    if params.is_empty() {
        return sql.to_owned();
    }
    let values = params.iter().map(value_in_words).collect::<Vec<_>>().join(", ");
    // Values first would hide the statement; values last may be cut, so a long statement is cut itself.
    let mut statement = shortened(sql);
    if statement.len() > 110 {
        let cut = (0..=110).rev().find(|at| statement.is_char_boundary(*at)).unwrap_or(0);
        statement.truncate(cut);
        statement.push_str(" ..");
    }
    format!("{statement} [{values}]")
}

fn value_in_words(value: &SqlValue) -> String {
    match value {
        SqlValue::Null => "null".to_owned(),
        SqlValue::Bool(value) => value.to_string(),
        SqlValue::Int(value) => value.to_string(),
        SqlValue::Text(value) => value.clone(),
        SqlValue::Bytes(value) => format!("{} bytes", value.len()),
    }
}

fn rows_in_words(rows: &[Row]) -> String {
    const SHOWN: usize = 4;
    let mut words = match rows.len() {
        0 => return "no rows".to_owned(),
        1 => "1 row:".to_owned(),
        count => format!("{count} rows:"),
    };
    for row in rows.iter().take(SHOWN) {
        let values = row.values().iter().map(value_in_words).collect::<Vec<_>>().join(", ");
        let _ = write!(words, " ({values})");
    }
    if rows.len() > SHOWN {
        words.push_str(" ..");
    }
    shortened(&words)
}

fn reply_in_words(reply: &Reply) -> String {
    match reply {
        Reply::Nil => "nothing".to_owned(),
        Reply::Int(value) => value.to_string(),
        Reply::Text(text) => shortened(text),
        Reply::Array(parts) => shortened(&parts.iter().map(reply_in_words).collect::<Vec<_>>().join(", ")),
    }
}
