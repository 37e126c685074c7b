//! The settings of servers, whatever they run in: what differs from the defaults, and why it must.

/// PostgreSQL, as `-c` takes them.
pub(crate) const POSTGRES: [&str; 12] = [
    // Change streams, prepared transactions and commit order are what designs are about.
    "wal_level=logical",
    "max_wal_senders=20",
    "max_replication_slots=32",
    "max_slot_wal_keep_size=512MB",
    "wal_sender_timeout=10s",
    "max_prepared_transactions=64",
    "track_commit_timestamp=on",
    // An acknowledged commit is on disk, as it is in production. (`synchronous_commit` is on by default; set here, no
    // fault could turn it off.)
    "fsync=on",
    "full_page_writes=on",
    "max_connections=200",
    "log_min_messages=warning",
    "log_checkpoints=off",
];

/// CockroachDB: memory for a small machine. (Its default of a quarter of it all is for production.)
pub(crate) const COCKROACH: [&str; 2] = ["--cache=128MiB", "--max-sql-memory=256MiB"];

/// A Redis that is a cache: nothing on disk, evicts when full.
pub(crate) const REDIS_CACHE: [&str; 8] =
    ["--save", "", "--appendonly", "no", "--maxmemory", "64mb", "--maxmemory-policy", "allkeys-lru"];

/// Kafka: one KRaft node that is broker and controller.
pub(crate) const KAFKA: [(&str, &str); 19] = [
    ("process.roles", "broker,controller"),
    ("node.id", "1"),
    ("controller.listener.names", "CONTROLLER"),
    ("auto.create.topics.enable", "false"),
    ("group.initial.rebalance.delay.ms", "0"),
    // Tests of a consumer that stalls past its session must not take the default's minimum of 6 s.
    ("group.min.session.timeout.ms", "500"),
    ("offsets.topic.replication.factor", "1"),
    ("offsets.topic.num.partitions", "1"),
    ("transaction.state.log.replication.factor", "1"),
    ("transaction.state.log.num.partitions", "1"),
    ("transaction.state.log.min.isr", "1"),
    ("share.coordinator.state.topic.replication.factor", "1"),
    ("share.coordinator.state.topic.num.partitions", "1"),
    ("share.coordinator.state.topic.min.isr", "1"),
    // A transaction of a dead producer is aborted soon after its timeout.
    ("transaction.abort.timed.out.transaction.cleanup.interval.ms", "1000"),
    // A killed broker is let in again once its old session is over: 9 s by default.
    ("broker.session.timeout.ms", "1000"),
    ("broker.heartbeat.interval.ms", "200"),
    // Nothing expires under a test.
    ("log.retention.ms", "-1"),
    ("log.cleaner.dedupe.buffer.size", "4194304"),
];

/// Redpanda: one core, and memory for a small machine.
pub(crate) const REDPANDA_MACHINE: [&str; 4] =
    ["--smp=1", "--memory=1G", "--reserve-memory=0M", "--overprovisioned"];

/// Redpanda's cluster.
pub(crate) const REDPANDA: [(&str, &str); 3] = [
    ("auto_create_topics_enabled", "false"),
    ("group_initial_rebalance_delay", "0"),
    ("enable_transactions", "true"),
];

/// A small heap, and a compiler that is done soon rather than one that is best after minutes.
pub(crate) const KAFKA_JAVA: [&str; 4] =
    ["-Xms64m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"];
