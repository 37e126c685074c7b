//! What proves an anomaly: the transactions, the edges between them and why each holds.

use std::fmt;

use serde::Serialize;

use super::anomaly::{Anomaly, Extent};
use crate::foreign::OpHistory;

/// The smallest evidence of an anomaly.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Witness {
    /// What is wrong.
    pub anomaly: Anomaly,
    /// The key that it happened to, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// The value or element concerned, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub value: Option<String>,
    /// The calls concerned, by their place in [`OpHistory::calls`]; in the order in which `steps` go through them.
    pub calls: Vec<u32>,
    /// Further calls whose reads show the order of the versions.
    pub seen_in: Vec<u32>,
    /// The edges of a cycle: the last leads back to the first call. Empty for an anomaly that is no cycle.
    pub steps: Vec<Step>,
    /// The transactions and the steps in words.
    pub text: Vec<String>,
}

/// One edge: `from` comes before `to`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The earlier call.
    pub from: u32,
    /// The later call.
    pub to: u32,
    /// Why it is earlier.
    #[serde(flatten)]
    pub why: Why,
}

/// Why one transaction comes before another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "lowercase")]
pub enum Why {
    /// The later one wrote the next version of the key.
    Ww {
        /// The key.
        key: String,
        /// What the earlier one wrote.
        value: String,
        /// What the later one wrote.
        next: String,
    },
    /// The later one read what the earlier one wrote.
    Wr {
        /// The key.
        key: String,
        /// What was written and read.
        value: String,
    },
    /// The later one overwrote what the earlier one read.
    Rw {
        /// The key.
        key: String,
        /// The version that was read; nothing where it was the initial one.
        value: Option<String>,
        /// What the later one wrote.
        next: String,
    },
    /// One process did one, and then the other.
    Process,
    /// One was completed before the other was invoked.
    Realtime,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Why::Ww { key, value, next } => {
                write!(f, "which wrote {next} to {key} after {value} (ww)")
            }
            Why::Wr { key, value } => write!(f, "which read {key} with that {value} (wr)"),
            Why::Rw { key, value: None, next } => {
                write!(f, "which wrote {next} to {key}, where the one before had read nothing (rw)")
            }
            Why::Rw { key, value: Some(value), next } => {
                write!(
                    f,
                    "which wrote {next} to {key}, where the one before had read {value} as the newest (rw)"
                )
            }
            Why::Process => f.write_str("which the same process did later (process)"),
            Why::Realtime => f.write_str("which was invoked after the one before had completed (realtime)"),
        }
    }
}

/// Longer lists are cut in the middle: the ends are what matters.
const SHOWN_CHARS_MAX: usize = 160;

/// A call in a line: where it is, who did it, and what.
pub(super) fn call_line(history: &OpHistory, call: u32, name: &str) -> String {
    let known = &history.calls()[call as usize];
    let op = &history.ops()[known.telling_op() as usize];
    let shown = history.value_of(known).to_string();
    let process = history.store().show(op.process);
    let stamps = history.stamps(known).map_or(String::new(), |stamps| {
        format!(" (started at {}, committed at {})", stamps.start, stamps.commit)
    });
    format!("{name} = line {}, process {process}: {}{stamps}", op.line, shortened(&shown))
}

fn shortened(text: &str) -> String {
    let count = text.chars().count();
    if count <= SHOWN_CHARS_MAX {
        return text.to_owned();
    }
    let half = SHOWN_CHARS_MAX / 2;
    let start: String = text.chars().take(half).collect();
    let end: String = text.chars().skip(count - half).collect();
    format!("{start} .. {end}")
}

impl Witness {
    /// An anomaly that is no cycle.
    pub(super) fn direct(
        history: &OpHistory,
        anomaly: Anomaly,
        calls: Vec<u32>,
        key: String,
        value: Option<String>,
    ) -> Witness {
        let mut text: Vec<String> = calls
            .iter()
            .enumerate()
            .map(|(at, call)| call_line(history, *call, &format!("T{}", at + 1)))
            .collect();
        text.push(said(anomaly, &key, value.as_deref().unwrap_or_default()));
        Witness { anomaly, key: Some(key), value, calls, seen_in: Vec::new(), steps: Vec::new(), text }
    }

    /// An anomaly that is about no key.
    pub(super) fn of_calls(history: &OpHistory, anomaly: Anomaly, calls: Vec<u32>) -> Witness {
        Witness { key: None, ..Witness::direct(history, anomaly, calls, String::new(), None) }
    }

    /// A cycle.
    pub(super) fn cycle(
        history: &OpHistory,
        anomaly: Anomaly,
        steps: Vec<Step>,
        seen_in: Vec<u32>,
    ) -> Witness {
        let calls: Vec<u32> = steps.iter().map(|step| step.from).collect();
        let mut text: Vec<String> = calls
            .iter()
            .enumerate()
            .map(|(at, call)| call_line(history, *call, &format!("T{}", at + 1)))
            .collect();
        for (at, step) in steps.iter().enumerate() {
            let next = (at + 1) % steps.len() + 1;
            let end = if at + 1 == steps.len() { ": a cycle" } else { "" };
            text.push(format!("T{} comes before T{next}, {}{end}", at + 1, step.why));
        }
        Witness { anomaly, key: None, value: None, calls, seen_in, steps, text }
    }
}

fn said(anomaly: Anomaly, key: &str, value: &str) -> String {
    match anomaly {
        Anomaly::GarbageRead => format!("T1 read {value} from {key}, and nobody ever wrote it"),
        Anomaly::DuplicateElements => format!("T1 read {value} twice in {key}, and it was written once"),
        Anomaly::IncompatibleOrder => {
            format!("T1 and T2 read {key} in ways of which none is the beginning of the other")
        }
        Anomaly::CyclicVersions => {
            format!(
                "the versions of {key} come before each other in a circle: T1 and T2 disagree about {value}"
            )
        }
        Anomaly::FutureRead => format!("T1 read {value} from {key} before it wrote it itself"),
        Anomaly::Internal => {
            let value = if value.is_empty() { "nothing" } else { value };
            format!("T1 read {value} from {key}, which its own reads and writes before contradict")
        }
        Anomaly::G1a => format!("T1 read {value} from {key}, which T2 wrote, and T2 failed"),
        Anomaly::DirtyUpdate => {
            format!("T1 read {key} with what T3 committed built upon {value} of T2, and T2 failed")
        }
        Anomaly::G1b => format!("T1 read {value} from {key}, which T2 itself had overwritten when it ended"),
        Anomaly::LostUpdate => {
            let value = if value.is_empty() { "nothing" } else { value };
            format!("T1 and T2 both read {value} from {key}, and both wrote {key} then: one update is lost")
        }
        Anomaly::InconsistentVersions => {
            format!(
                "the version that T1 and T2 state of {value} in {key} is that of another value too, or not one"
            )
        }
        Anomaly::SnapshotRead if value.is_empty() => {
            format!("T1 read {key} without what had been committed by the timestamp of its start")
        }
        Anomaly::SnapshotRead => {
            format!(
                "T1 read {value} from {key}, which is not what had been committed by the timestamp of its start"
            )
        }
        Anomaly::WriteConflict => {
            format!(
                "T1 and T2 both wrote {key}, and by their timestamps neither had committed when the other started"
            )
        }
        Anomaly::TimestampOrder(Extent::Data) => "T1 starts after it commits, by its timestamps".to_owned(),
        Anomaly::TimestampOrder(_) => {
            "T2 was invoked after T1 had completed, and by their timestamps it started before T1 committed"
                .to_owned()
        }
        Anomaly::Cycle(..) => format!("a cycle through {key}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_list_that_was_read_is_nothing_in_words() {
        for anomaly in [Anomaly::Internal, Anomaly::LostUpdate] {
            assert!(said(anomaly, "k", "").contains("read nothing from k"));
            assert!(said(anomaly, "k", "3").contains("read 3 from k"));
        }
    }
}
