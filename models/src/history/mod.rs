//! One history across database, cache and log: what clients asked and heard, what consumers received, what
//! the gate saw, and what was left at the end.
//!
//! On disk a history is JSON lines: a header, then one event a line, in the order of `index`.
//!
//! # The format, by example
//!
//! The header names the version of the format. `design`, `backend`, `seed` and `delta_ns` (the bound for
//! `bounded-staleness`) may be left out. Then each event has `index` (from 0, without gaps), `time`
//! (nanoseconds since the start, never going back within a process), `process` (a number for a client, a name
//! for an actor), `type` (`invoke`, `ok`, `fail`, `info`), `f` and `value`, and may have `error`. This history
//! holds every `f` there is:
//!
//! ```
//! # let text = r#"
//! {"crosscheck":1,"design":"outbox-poll-id-cursor","backend":"local","seed":1}
//! {"index":0,"time":10,"process":0,"type":"invoke","f":"write","value":{"op_id":"w1","key":"k1","value":"a"}}
//! {"index":1,"time":11,"process":"client-0","type":"ok","f":"step","value":{"actor":"client-0","n":0,"system":"db","call":"INSERT INTO outbox","outcome":"ok","since":10,"op_id":"w1","saw":"id 1"}}
//! {"index":2,"time":20,"process":0,"type":"ok","f":"write","value":{"op_id":"w1","key":"k1","value":"a","ver":1}}
//! {"index":3,"time":30,"process":"consumer","type":"ok","f":"deliver","value":{"topic":"events","partition":0,"offset":0,"key":"k1","ver":1,"value":"a","op_id":"w1"}}
//! {"index":4,"time":31,"process":"consumer","type":"ok","f":"effect","value":{"store":"projection","key":"k1","ver":1,"op_id":"w1"}}
//! {"index":5,"time":40,"process":1,"type":"invoke","f":"read","value":{"key":"k1"}}
//! {"index":6,"time":45,"process":1,"type":"ok","f":"read","value":{"key":"k1","ver":1,"value":"a","source":"cache"}}
//! {"index":7,"time":50,"process":1,"type":"invoke","f":"txn","value":{"op_id":"t1","reads":[{"key":"k1"}],"writes":[{"key":"k2","delta":5}]}}
//! {"index":8,"time":60,"process":1,"type":"info","f":"txn","value":{"op_id":"t1","writes":[{"key":"k2","delta":5}]},"error":"connection lost at COMMIT"}
//! {"index":9,"time":90,"process":"harness","type":"ok","f":"final_sot","value":[{"key":"k1","ver":1,"value":"a"},{"key":"k2","ver":1,"value":5}]}
//! {"index":10,"time":91,"process":"harness","type":"ok","f":"final_ledger","value":[{"key":"k1","ver":1,"op_id":"w1","value":"a","commit":1},{"key":"k2","ver":1,"op_id":"t1","value":5,"base_ver":0,"delta":5,"commit":2}]}
//! {"index":11,"time":92,"process":"harness","type":"ok","f":"final_log","value":[{"topic":"events","partition":0,"offset":0,"key":"k1","ver":1,"value":"a","op_id":"w1"}]}
//! {"index":12,"time":93,"process":"harness","type":"ok","f":"final_cache","value":[{"key":"k1","ver":1,"value":"a"},{"store":"projection","key":"k1","ver":1,"value":"a"}]}
//! {"index":13,"time":94,"process":"harness","type":"ok","f":"final_outbox","value":[{"id":1,"key":"k1","ver":1,"op_id":"w1","state":"published"},{"id":2,"key":"k2","ver":1,"op_id":"t1"}]}
//! # "#;
//! # let (history, notes) = crosscheck_models::history::History::parse(text.trim_start()).expect("it keeps the rules");
//! # assert!(notes.is_empty());
//! # let known: std::collections::BTreeSet<&str> = history.events().map(|event| event.body.f()).collect();
//! # assert_eq!(known.len(), 11);
//! # assert_eq!(history.to_text(), text.trim_start());
//! ```
//!
//! There the event of `t1` was lost: the ledger says that it committed, and nobody received it.
//!
//! # The rules
//!
//! - `write`, `read` and `txn` are operations: an `invoke`, then `ok` (it happened), `fail` (it did not) or
//!   `info` (nobody knows), by the same process, with the same `f`, `op_id` and key. A process does one at a
//!   time. One that never completes counts as info. An info ends the session of the process.
//! - `deliver`, `effect`, `step` and the `final_*` reads are observations, always of type `ok`.
//! - Ids of operations are unique in the run. Versions of a key count up from 1; a read that found nothing has
//!   no `ver` and no `value`.
//! - `final_*` events stand for all that was there once everything was quiet; the last of each kind counts.
//!   They are what shows that something is missing: without a `final_ledger` (or another final read) a history
//!   may simply end too early.
//! - A last line without a line feed that is not JSON was torn off by a crash: it is dropped with a note. Any
//!   other line that breaks a rule, has an unknown field or is blank is refused with its number.

mod blocks;
mod canonical;
mod codec;
mod event;
mod lines;
mod long_line;
mod operation;
mod packed;
mod packing;
mod recorded;
mod scalar;

pub use blocks::ReadError;
pub use event::{
    CopyRow, Deliver, Effect, Event, EventBody, Header, Kind, LedgerRow, LogRow, OutboxRow, Process, Read,
    ReadItem, SotRow, Source, Step, Txn, Write, WriteItem,
};
pub use operation::{Operation, Outcome};
pub use packed::Observed;
pub use recorded::{FORMAT_VERSION, Final, History, HistoryError, Note};
pub use scalar::Scalar;

/// A name, a key, an id: eight bytes that can be copied. Each distinct text is kept once, for as long as the process
/// lives: a history names the same operation four to six times, and the same keys all the time.
pub type Text = ustr::Ustr;
