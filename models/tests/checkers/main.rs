//! The checkers against planted histories.

mod history_text;
mod planted;
mod witness_laws;
