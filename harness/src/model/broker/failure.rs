//! Errors as the adapter of the real broker gives them: librdkafka's codes by the names that designs see, and
//! whether the call may have happened.

use std::time::Duration;

use crate::port::{PortError, System};

/// The broker, or the client without it, said that it did not do it.
pub(super) fn refused(what: &str, code: &str, said: &str) -> PortError {
    PortError::refused(System::Broker, code, format!("{what}: {said}"))
}

/// It may have happened; the client stays of use.
pub(super) fn unknown(what: &str, code: &str, said: &str) -> PortError {
    PortError {
        code: Some(code.to_owned()),
        connection_lost: false,
        ..PortError::unknown(System::Broker, format!("{what}: {said}"))
    }
}

/// The client is broken for good, mostly because a newer producer of its transactional id has come. An earlier
/// attempt may have taken effect.
pub(super) fn fatal(what: &str, code: &str, said: &str) -> PortError {
    PortError { connection_lost: true, ..unknown(what, code, said) }
}

/// A topic that nobody made.
pub(super) fn unknown_topic(topic: &str) -> PortError {
    let said = "UnknownTopicOrPartition (Broker: Unknown topic or partition)";
    refused(&format!("topic {topic}"), "UnknownTopicOrPartition", said)
}

/// A topic that has not been asked for yet, while there is no broker to ask.
pub(super) fn not_asked(topic: &str) -> PortError {
    let message = format!("failed to ask for topic {topic}, nothing was produced: the broker is down");
    PortError { connection_lost: false, ..PortError::not_sent(System::Broker, message) }
}

/// A partition that the topic does not have.
pub(super) fn no_partition(topic: &str, count: usize, partition: i32) -> PortError {
    let message = format!("topic {topic} has {count} partitions: there is no partition {partition}");
    PortError::refused(System::Broker, "UnknownPartition", message)
}

/// A message whose time is over; it may have been appended.
pub(super) fn timed_out(topic: &str) -> PortError {
    unknown(&produce(topic), "MessageTimedOut", "MessageTimedOut (Local: Message timed out)")
}

/// A call without a group that needs one.
pub(super) fn no_group(what: &str) -> PortError {
    PortError::refused(System::Broker, "UnknownGroup", format!("a consumer without a group cannot {what}"))
}

/// No answer to a commit.
pub(super) fn no_answer(limit: Duration) -> PortError {
    let message = format!("no answer to a commit within {} ms", limit.as_millis());
    PortError { connection_lost: false, ..PortError::unknown(System::Broker, message) }
}

/// What failed to be done with a message.
pub(super) fn produce(topic: &str) -> String {
    format!("failed to produce to {topic}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_timed_out_may_be_there_and_the_client_goes_on() {
        let error = timed_out("t");
        assert_eq!((error.may_have_happened, error.connection_lost), (true, false));
        assert_eq!(
            error.to_string(),
            "broker: failed to produce to t: MessageTimedOut (Local: Message timed out) [MessageTimedOut]"
        );
    }
}
