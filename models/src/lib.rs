//! What a run was, and what it means: histories, properties, checkers, verdicts, witnesses and their
//! story in words.
//!
//! This crate is pure. It reads no file, opens no socket, asks no clock and prints nothing: text comes in,
//! verdicts go out. The same history always gives the same verdict, byte for byte.
//!
//! The way through it: [`history::History::parse`] turns JSON lines into a validated [`history::History`];
//! [`check::check`] maps it to one [`verdict::PropertyVerdict`] a [`property::Property`]; each violated
//! verdict carries a [`verdict::Witness`], which [`verify`] confirms with code of its own.

pub mod check;
pub mod checker;
pub mod collection;
pub mod foreign;
pub mod generate;
mod hash;
pub mod history;
pub mod isolation;
pub mod object;
pub mod property;
pub mod session;
pub mod staleness;
pub mod story;
pub mod verdict;
pub mod verify;
pub mod weak;
