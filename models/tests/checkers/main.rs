//! The checkers: against planted histories, against naive oracles, against bugs planted in correct runs; and
//! the stories as people read them.

mod applicable;
mod generated;
mod history_text;
mod oracle;
mod planted;
mod planted_bugs;
mod random_history;
mod simulated;
mod stories;
mod witness_laws;
