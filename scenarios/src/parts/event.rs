//! The event that announces a version: its payload, and the topic.

use crosscheck_harness::design::Layout;
use crosscheck_models::history::{Deliver, Scalar};
use crosscheck_models::property::Property;
use serde::{Deserialize, Serialize};

/// The topic of all events.
pub const TOPIC: &str = "events";

#[derive(Serialize, Deserialize)]
struct Payload {
    op_id: String,
    ver: u64,
    value: i64,
}

/// What those hope for who write to the database and publish themselves.
pub fn claims_of_dual_writes() -> Vec<Property> {
    vec![
        Property::NoGhost,
        Property::NoEarly,
        Property::NoLoss,
        Property::PerKeyOrder,
        Property::NoDup,
        Property::Fidelity,
        Property::Convergence,
        Property::MonotonicReads,
        Property::NoLostUpdate,
        Property::AckDurability,
        Property::Liveness,
    ]
}

/// The payload of the event.
pub fn encode(op_id: &str, ver: u64, value: i64) -> String {
    let payload = Payload { op_id: op_id.to_owned(), ver, value };
    serde_json::to_string(&payload).expect("a payload holds nothing that JSON cannot")
}

/// The event that a message carries; none if it is not one of ours.
pub fn decode(key: &str, payload: &str) -> Option<Deliver> {
    let payload: Payload = serde_json::from_str(payload).ok()?;
    Some(Deliver {
        key: key.into(),
        ver: payload.ver,
        value: Scalar::Int(payload.value),
        op_id: payload.op_id.into(),
        ..Deliver::default()
    })
}

/// Adds the topic, with one partition, so that an order over all keys can be asked for.
pub fn with_topic(layout: Layout) -> Layout {
    Layout { topics: vec![(TOPIC.to_owned(), 1)], decode: Some(decode), ..layout }
}
