//! The fault proxy: what it carries arrives whole, and each fault takes, does what it says and heals.

mod closing;
mod faults;
mod pieces;
mod stream;
mod support;
mod watch;
