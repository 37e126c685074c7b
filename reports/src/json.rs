//! A document of [`crate::document`] as text.

use serde::Serialize;

/// The document as indented JSON, with a newline at its end.
#[must_use]
pub fn render<Document: Serialize>(document: &Document) -> String {
    let mut text =
        serde_json::to_string_pretty(document).expect("documents have text keys and no value that can fail");
    text.push('\n');
    text
}
