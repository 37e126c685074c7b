//! Says what a saved run showed: HTML, text, JSON, JUnit and Markdown.
//!
//! This crate is pure: a [`run::SavedRun`] goes in, text comes out. It reads and writes no file, asks no
//! clock and prints nothing. A report never says "consistent": it says what was violated and how, or that no
//! violation was found and in how many exercised cases, or why it could not tell.

pub mod checked;
pub mod document;
pub mod explored;
pub mod foreign;
pub mod html;
pub mod json;
pub mod junit;
pub mod markdown;
pub mod run;
pub mod text;

mod picture;
mod statistics;
mod wording;
