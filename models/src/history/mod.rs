//! One history across database, cache and log: what clients asked and heard, what consumers received, what
//! the gate saw, and what was left at the end.
//!
//! On disk a history is JSON lines: a header, then one event a line, in the order of `index`.

mod event;

pub use event::{
    CopyRow, Deliver, Effect, Event, EventBody, Header, Kind, LedgerRow, LogRow, OutboxRow, Process, Read,
    ReadItem, Scalar, SotRow, Source, Step, Txn, Write, WriteItem,
};
