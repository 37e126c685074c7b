//! The checkers against planted histories.

mod history_text;
mod planted;
mod stories;
mod witness_laws;
