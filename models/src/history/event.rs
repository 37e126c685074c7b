//! The events of a history and their shapes on disk.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Scalar, Text};

/// The first line of a history.
///
/// It names no clock and no path, so that the same run on the model gives the same bytes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Header {
    /// The version of the format: 1.
    pub crosscheck: u32,
    /// The design or variant that ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub design: Option<String>,
    /// The backend that it ran on: `model`, `local` or `docker`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub backend: Option<String>,
    /// The seed that all randomness of the run came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seed: Option<u64>,
    /// The bound for `bounded-staleness`, in nanoseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta_ns: Option<u64>,
}

/// One line of the history after the header.
#[derive(Debug, Clone, PartialEq)]
pub struct Event {
    /// The position in the history, from 0, without gaps.
    pub index: u64,
    /// Nanoseconds since the start of the run, on one monotonic clock.
    pub time: u64,
    /// Who: a client process (a number) or a named actor.
    pub process: Process,
    /// Invoke, ok, fail or info. Observations (`deliver`, `effect`, `step`, `final_*`) are always ok.
    pub kind: Kind,
    /// What: `f` and `value`.
    pub body: EventBody,
    /// Why it failed, or why its outcome is unknown.
    pub error: Option<Text>,
}

/// Who an event belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(untagged)]
pub enum Process {
    /// A client process. It does one operation at a time, and is retired after an info.
    Client(u64),
    /// A relay, a consumer, the harness itself.
    Actor(Text),
}

impl fmt::Display for Process {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Process::Client(number) => write!(f, "client {number}"),
            Process::Actor(name) => f.write_str(name),
        }
    }
}

/// The type of an event, by Jepsen's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The operation is about to be sent.
    Invoke,
    /// It happened.
    Ok,
    /// It did not happen.
    Fail,
    /// Nobody knows whether it happened; it may take effect at any later time, or never.
    Info,
}

/// What an event says: its `f` together with its `value`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "f", content = "value", rename_all = "snake_case")]
pub enum EventBody {
    /// A client operation that writes one key.
    Write(Write),
    /// A client operation that reads one key.
    Read(Read),
    /// A client operation over several keys, or one that reads and writes.
    Txn(Txn),
    /// A consumer received an event.
    Deliver(Deliver),
    /// A consumer's effect: it applied an event to what it keeps.
    Effect(Effect),
    /// What the gate saw: one call of one actor to one system.
    Step(Box<Step>),
    /// The source of truth at the end, all of it.
    FinalSot(Vec<SotRow>),
    /// The ledger at the end: every committed write, with its version.
    FinalLedger(Vec<LedgerRow>),
    /// The topics at the end, from offset 0.
    FinalLog(Vec<LogRow>),
    /// The copies at the end: cache entries (read without refill) and projection rows.
    FinalCache(Vec<CopyRow>),
    /// The outbox table at the end.
    FinalOutbox(Vec<OutboxRow>),
}

/// A write of one key. On invoke `op_id`, `key` and `value` (or `delta`) are known; on ok also `ver`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(from = "FlatWrite")]
pub struct Write {
    /// The unique id of the operation.
    pub op_id: Text,
    /// What is written, and what came of it.
    #[serde(flatten)]
    pub item: WriteItem,
}

/// One key written by an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WriteItem {
    /// The key.
    pub key: Text,
    /// The new value (unique in the run for absolute writes).
    #[serde(default, skip_serializing_if = "is_null")]
    pub value: Scalar,
    /// For an increment: by how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<i64>,
    /// The version that the write made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ver: Option<u64>,
    /// For a read-modify-write: the version that the new value was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ver: Option<u64>,
}

/// A read of one key. On invoke only `key`; on ok the rest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Read {
    /// What is read, and what came back.
    pub item: ReadItem,
}

/// One key read by an operation.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReadItem {
    /// The key.
    pub key: Text,
    /// The version that came back; absent (with a null value) where there was none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ver: Option<u64>,
    /// The value that came back.
    #[serde(default, skip_serializing_if = "is_null")]
    pub value: Scalar,
    /// Where the answer came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
}

/// Where a read was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// By the source of truth.
    Db,
    /// By the cache.
    Cache,
}

/// An operation over several keys, or one that reads and writes.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Txn {
    /// The unique id of the operation.
    pub op_id: Text,
    /// The keys read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub reads: Vec<ReadItem>,
    /// The keys written.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub writes: Vec<WriteItem>,
}

/// An event received by a consumer, at the time of receipt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Deliver {
    /// The topic.
    pub topic: Text,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
    /// The key.
    pub key: Text,
    /// The version that the event announces.
    pub ver: u64,
    /// The payload.
    #[serde(default)]
    pub value: Scalar,
    /// The operation that made this version.
    pub op_id: Text,
    /// The identity of the event; where absent, it is `op_id` and `key` together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Text>,
}

/// A consumer applied an event to what it keeps downstream (a projection, an e-mail, ..).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Effect {
    /// Which downstream copy or effect; its lane of monotonic reads.
    pub store: Text,
    /// The key.
    pub key: Text,
    /// The version that was applied.
    pub ver: u64,
    /// The operation that made this version.
    pub op_id: Text,
    /// The identity of the event; where absent, it is `op_id` and `key` together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub event_id: Option<Text>,
}

/// One call of one actor to one system, or one named point between two calls.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// The actor: `client-0`, `relay`, `consumer`, ..
    pub actor: String,
    /// The number of the step within the actor's run, from 0.
    pub n: u64,
    /// `db`, `cache`, `broker`, or `app` for a point.
    pub system: String,
    /// The statement, command or operation, shortened; the name of a point.
    pub call: String,
    /// `ok`, `error: ..`, `crash`, `lost-request`, `lost-reply`, ..
    pub outcome: String,
    /// When the call began (the event's own time is when it ended).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<u64>,
    /// The operation on whose behalf it was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op_id: Option<Text>,
    /// The result in a few words: `2 rows: (1, k1, 3) (2, k2, 1)`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub saw: Option<String>,
}

/// A row of the source of truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SotRow {
    /// The key.
    pub key: Text,
    /// Its current version.
    pub ver: u64,
    /// Its current value.
    #[serde(default)]
    pub value: Scalar,
}

/// A row of the ledger: one committed write. It settles what every unknown outcome really was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LedgerRow {
    /// The key.
    pub key: Text,
    /// The version that the write made.
    pub ver: u64,
    /// The operation.
    pub op_id: Text,
    /// What was written.
    #[serde(default)]
    pub value: Scalar,
    /// For a read-modify-write: the version that the value was computed from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base_ver: Option<u64>,
    /// For an increment: by how much.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub delta: Option<i64>,
    /// The position of its transaction in the commit order of the source of truth.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<u64>,
}

/// An event as it lies in a topic at the end.
pub type LogRow = Deliver;

/// An entry of a copy: the cache, or a projection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CopyRow {
    /// Which copy: `cache`, or a projection's name.
    #[serde(default = "cache", skip_serializing_if = "is_cache")]
    pub store: Text,
    /// The key.
    pub key: Text,
    /// The version that the copy holds; absent for an entry that says "nothing here" (a tombstone).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ver: Option<u64>,
    /// The value that the copy holds.
    #[serde(default)]
    pub value: Scalar,
}

/// A row of the outbox table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutboxRow {
    /// Its id: the order in which ids were taken, which is not the order of commits.
    pub id: i64,
    /// The key.
    pub key: Text,
    /// The version.
    pub ver: u64,
    /// The operation.
    pub op_id: Text,
    /// What the relay noted on it: `new`, `published`, ..
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<Text>,
}

/// `Write` as it lies on disk. Derived flattening would buffer every field, at several times the cost.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FlatWrite {
    op_id: Text,
    key: Text,
    #[serde(default)]
    value: Scalar,
    #[serde(default)]
    delta: Option<i64>,
    #[serde(default)]
    ver: Option<u64>,
    #[serde(default)]
    base_ver: Option<u64>,
}

impl From<FlatWrite> for Write {
    fn from(flat: FlatWrite) -> Self {
        let FlatWrite { op_id, key, value, delta, ver, base_ver } = flat;
        Write { op_id, item: WriteItem { key, value, delta, ver, base_ver } }
    }
}

fn is_null(value: &Scalar) -> bool {
    *value == Scalar::Null
}

fn cache() -> Text {
    Text::from("cache")
}

fn is_cache(store: &str) -> bool {
    store == "cache"
}
