//! What an error of librdkafka says about the call. Codes are librdkafka's names as the rdkafka crate
//! spells them (`MessageTimedOut`, `UnknownTopicOrPartition`).

use rdkafka::error::{KafkaError, RDKafkaErrorCode as Code};

use crate::port::{PortError, System};

/// The call did not happen.
pub(super) fn refused(what: &str, error: &KafkaError) -> PortError {
    PortError::refused(System::Broker, code(error), message(what, error))
}

/// The call may have happened. The client stays of use, since librdkafka reconnects, unless it says that it
/// is broken for good.
pub(super) fn unknown(what: &str, error: &KafkaError) -> PortError {
    PortError {
        code: Some(code(error)),
        connection_lost: is_fatal(error),
        ..PortError::unknown(System::Broker, message(what, error))
    }
}

/// An error from before anything was sent or received, with a reason of ours.
pub(super) fn not_possible(code: &str, message: impl Into<String>) -> PortError {
    PortError::refused(System::Broker, code, message)
}

/// librdkafka did not take the message: nothing of it is sent. A fenced producer is told so here.
pub(super) fn not_queued(topic: &str, error: &KafkaError) -> PortError {
    let refusal = refused(&format!("failed to produce to {topic}"), error);
    PortError { connection_lost: is_fatal(error), ..refusal }
}

/// A call of transactions failed. An error after which the transaction has to be aborted says that it was not
/// committed, and a call out of turn was not even sent. A fatal one (the producer is fenced) may follow an
/// earlier attempt that took effect and whose answer was lost, so it settles nothing.
pub(super) fn transaction(what: &str, error: &KafkaError) -> PortError {
    let (definite, fatal) = match error {
        KafkaError::Transaction(cause) => {
            let out_of_turn = matches!(cause.code(), Code::State | Code::NotConfigured);
            (!cause.is_fatal() && (cause.txn_requires_abort() || out_of_turn), cause.is_fatal())
        }
        _ => (false, is_fatal(error)),
    };
    let failed = if definite { refused(what, error) } else { unknown(what, error) };
    PortError { connection_lost: fatal, ..failed }
}

/// A message was handed to librdkafka and its delivery failed. librdkafka would know whether it ever was on
/// the wire (`rd_kafka_message_status`), but rdkafka does not tell, so only its own limits are refusals:
/// these are applied when the message is made, before any attempt.
pub(super) fn delivery(topic: &str, error: &KafkaError) -> PortError {
    let what = format!("failed to produce to {topic}");
    match error.rdkafka_error_code() {
        Some(Code::MessageSizeTooLarge | Code::QueueFull | Code::InvalidArgument) => refused(&what, error),
        _ => unknown(&what, error),
    }
}

/// A commit failed: what the group coordinator answered is definite, all else is not.
pub(super) fn commit(error: &KafkaError) -> PortError {
    const WHAT: &str = "failed to commit an offset";
    let answered = matches!(
        error.rdkafka_error_code(),
        Some(
            Code::IllegalGeneration
                | Code::UnknownMemberId
                | Code::RebalanceInProgress
                | Code::UnknownTopicOrPartition
                | Code::InvalidGroupId
                | Code::GroupAuthorizationFailed
                | Code::TopicAuthorizationFailed
                | Code::UnknownGroup
                | Code::UnknownPartition
                | Code::NoOffset
        )
    );
    if answered { refused(WHAT, error) } else { unknown(WHAT, error) }
}

/// Whether polling may go on as if nothing came: brokers are out of reach, or a group is being formed.
pub(super) fn passes(error: &KafkaError) -> bool {
    let passing = matches!(
        error.rdkafka_error_code(),
        Some(
            Code::BrokerTransportFailure
                | Code::AllBrokersDown
                | Code::Resolve
                | Code::OperationTimedOut
                | Code::WaitingForCoordinator
                | Code::CoordinatorNotAvailable
                | Code::CoordinatorLoadInProgress
                | Code::NotCoordinator
                | Code::NotLeaderForPartition
                | Code::LeaderNotAvailable
                | Code::RequestTimedOut
                | Code::NetworkException
        )
    );
    passing && !is_fatal(error)
}

fn is_fatal(error: &KafkaError) -> bool {
    let fatal_kind = matches!(error, KafkaError::MessageConsumptionFatal(_));
    fatal_kind || error.rdkafka_error_code() == Some(Code::Fatal)
}

fn code(error: &KafkaError) -> String {
    let code = match error {
        KafkaError::AdminOp(code) => Some(*code),
        other => other.rdkafka_error_code(),
    };
    code.map_or_else(|| "Client".to_owned(), |code| format!("{code:?}"))
}

fn message(what: &str, error: &KafkaError) -> String {
    format!("{what}: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_delivery_is_unknown_unless_it_was_never_tried() {
        for (code, may_have_happened) in [
            (Code::MessageTimedOut, true),
            (Code::UnknownTopic, true),
            (Code::NotEnoughReplicasAfterAppend, true),
            (Code::PurgeInflight, true),
            (Code::MessageSizeTooLarge, false),
            (Code::QueueFull, false),
        ] {
            let error = delivery("t", &KafkaError::MessageProduction(code));
            assert_eq!(error.may_have_happened, may_have_happened, "{code:?}");
            assert!(!error.connection_lost, "{code:?}");
        }
    }

    #[test]
    fn brokers_out_of_reach_pass_and_a_fatal_error_does_not() {
        assert!(passes(&KafkaError::MessageConsumption(Code::AllBrokersDown)));
        assert!(!passes(&KafkaError::MessageConsumption(Code::UnknownTopicOrPartition)));
        assert!(!passes(&KafkaError::MessageConsumptionFatal(Code::AllBrokersDown)));
    }
}
