//! The labels by which everything that a run makes is found again, and its owner.

use std::collections::HashMap;
use std::fs;

use crate::backend::local::Identity;

/// The run that made it.
pub(super) const RUN: &str = "crosscheck.run";
const HOST: &str = "crosscheck.owner.host";
const BOOT: &str = "crosscheck.owner.boot";
const PID: &str = "crosscheck.owner.pid";
const START: &str = "crosscheck.owner.start";

/// A process as one can tell it from all others that use the same engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Owner {
    host: String,
    boot: String,
    process: Identity,
}

impl Owner {
    /// Ourselves; none where there is no `/proc`.
    pub(super) fn own() -> Option<Owner> {
        Some(Owner {
            host: line("/proc/sys/kernel/hostname")?,
            boot: line("/proc/sys/kernel/random/boot_id")?,
            process: Identity::own()?,
        })
    }

    /// A run's name, beginning with its owner's.
    pub(super) fn run(&self, number: u64) -> String {
        format!("{}-{}-{number}", self.process.pid, self.process.start_ticks)
    }

    /// The labels of what a run of ours makes.
    pub(super) fn labels(&self, run: &str) -> HashMap<String, String> {
        [
            (RUN, run.to_owned()),
            (HOST, self.host.clone()),
            (BOOT, self.boot.clone()),
            (PID, self.process.pid.to_string()),
            (START, self.process.start_ticks.to_string()),
        ]
        .into_iter()
        .map(|(label, value)| (label.to_owned(), value))
        .collect()
    }

    /// Whether the owner that these labels name is dead, as far as we can know: an engine may serve several
    /// machines, and we see the processes of one.
    pub(super) fn finds_dead(&self, labels: &HashMap<String, String>) -> bool {
        let label = |name: &str| labels.get(name).map(String::as_str);
        if label(HOST) != Some(&self.host) {
            return false;
        }
        if label(BOOT) != Some(&self.boot) {
            return true;
        }
        let (Some(pid), Some(start_ticks)) =
            (label(PID).and_then(|pid| pid.parse().ok()), label(START).and_then(|start| start.parse().ok()))
        else {
            return true;
        };
        !Identity { pid, start_ticks }.is_alive()
    }
}

fn line(path: &str) -> Option<String> {
    Some(fs::read_to_string(path).ok()?.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_dead_are_told_from_the_living_and_from_strangers() {
        let own = Owner::own().expect("there is a /proc");
        let labels = own.labels(&own.run(1));
        assert!(!own.finds_dead(&labels), "we live");
        let with = |label: &str, value: &str| {
            let mut other = labels.clone();
            other.insert(label.to_owned(), value.to_owned());
            own.finds_dead(&other)
        };
        assert!(with(START, "1"), "another process has had our id");
        assert!(with(BOOT, "an earlier one"));
        assert!(with(PID, "nonsense"));
        assert!(!with(HOST, "elsewhere"), "nobody knows whether it lives");
        assert!(!own.finds_dead(&HashMap::new()), "not ours");
    }
}
