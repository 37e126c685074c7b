//! The rules of the house, held by tests: who may know whom, where text is printed and the environment is
//! read, how large a file is, and that the documents tell the truth about the folders.
//!
//! No server is needed. Each rule also has a test that feeds it something that breaks it, because a rule
//! that cannot fail holds nothing.

mod crates;
mod documents;
mod layers;
mod names;
mod shape;
mod tree;

use std::fmt::Write as _;

/// Fails with all that breaks a rule, and says what the rule is for.
#[track_caller]
fn hold(rule: &str, broken: &[String]) {
    let mut text = String::new();
    for line in broken {
        let _ = write!(text, "\n  {line}");
    }
    assert!(broken.is_empty(), "{rule}:{text}");
}
