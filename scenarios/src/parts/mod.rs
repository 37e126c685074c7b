//! What several designs have in common: the tables of the source of truth, the event, the consumers. A
//! design's own file holds what makes it that design.

pub mod consumer;
pub mod contention;
pub mod counter;
pub mod entry;
pub mod event;
pub mod outbox;
pub mod stock;
