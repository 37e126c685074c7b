//! A history that was checked for itself, wherever it came from.

use std::sync::Arc;

use crosscheck_models::history::{History, Note};
use crosscheck_models::verdict::{PropertyVerdict, Verdict};

/// How many properties a sentence names before it only counts them.
const NAMED_MAX: usize = 5;

/// A history and what was found in it.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckedHistory {
    /// Where it was read from.
    pub file: String,
    /// The format that it was read as.
    pub format: String,
    /// The history.
    pub history: Arc<History>,
    /// What a reader should know of how it was read.
    pub notes: Vec<Note>,
    /// A verdict for each property that was judged.
    pub verdicts: Vec<PropertyVerdict>,
}

impl CheckedHistory {
    /// The worst verdict. Where nothing was judged, nothing is known.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.verdicts.iter().map(|verdict| verdict.verdict).max().unwrap_or(Verdict::Unknown)
    }

    /// Why it is not valid, in a sentence; absent if it is.
    #[must_use]
    pub fn complaint(&self) -> Option<String> {
        let verdict = self.verdict();
        if verdict == Verdict::Valid {
            return None;
        }
        let worst: Vec<&PropertyVerdict> =
            self.verdicts.iter().filter(|judged| judged.verdict == verdict).collect();
        let Some(first) = worst.first() else {
            return Some(format!("{} holds nothing that a property is about", self.file));
        };
        let verb = if worst.len() == 1 { "is" } else { "are" };
        let why = match &first.witness {
            Some(witness) => &witness.summary,
            None => first.reason.as_deref().unwrap_or(first.property.statement()),
        };
        Some(format!("{}: {} {verb} {verdict}: {}", self.file, named(&worst), why.trim_end_matches('.')))
    }
}

fn named(judged: &[&PropertyVerdict]) -> String {
    if judged.len() > NAMED_MAX {
        return format!("{} properties", judged.len());
    }
    let ids: Vec<&str> = judged.iter().map(|judged| judged.property.id()).collect();
    ids.join(", ")
}
