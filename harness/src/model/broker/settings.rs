//! Settings of the cluster and of its clients; the defaults are those of Kafka, of librdkafka and of the
//! adapter of the real one.

use std::time::Duration;

/// How a member of a group shows that it lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heartbeats {
    /// By a thread of the client's own, whatever the application does, as librdkafka's. A member that does not
    /// poll is out after [`Settings::max_poll_interval`].
    Background,
    /// By its calls alone, as if the whole process stood still between them. A member that makes no call is out
    /// after [`Settings::session_timeout`], and does not know it.
    Calls,
}

/// Settings of the cluster and of its clients.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How members show that they live.
    pub heartbeats: Heartbeats,
    /// How long a member of a group may be silent (`session.timeout.ms`).
    pub session_timeout: Duration,
    /// How long a member may go without polling, and a rebalance wait for it (`max.poll.interval.ms`).
    pub max_poll_interval: Duration,
    /// How often the client commits by itself (`auto.commit.interval.ms`).
    pub auto_commit_interval: Duration,
    /// How long a transaction may stay open (`transaction.timeout.ms`).
    pub transaction_timeout: Duration,
    /// How soon a producer tries again (`retry.backoff.ms`).
    pub retry_backoff: Duration,
    /// How long a commit, a question or the end of a transaction may go unanswered.
    pub request_timeout: Duration,
    /// How long a follower may lag before it is out of sync (`replica.lag.time.max.ms`).
    pub replica_lag_max: Duration,
    /// Of how many of the three replicas an `acks=all` needs the acknowledgement (`min.insync.replicas`).
    pub min_in_sync: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            heartbeats: Heartbeats::Background,
            session_timeout: Duration::from_secs(6),
            max_poll_interval: Duration::from_secs(300),
            auto_commit_interval: Duration::from_secs(5),
            transaction_timeout: Duration::from_secs(60),
            retry_backoff: Duration::from_millis(20),
            request_timeout: Duration::from_secs(10),
            replica_lag_max: Duration::from_secs(30),
            min_in_sync: 2,
        }
    }
}
