//! What Linux says about processes: `/proc/<pid>/stat` and the links beside it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A process as one can tell it from a later one with the same id: the id and the start in clock ticks since boot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) struct Identity {
    pub(crate) pid: i32,
    pub(crate) start_ticks: u64,
}

impl Identity {
    /// Who has this process id now; none when nobody does.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        Stat::of(pid).map(|stat| stat.identity)
    }

    /// Ourselves.
    pub(crate) fn own() -> Option<Self> {
        Self::of(i32::try_from(std::process::id()).ok()?)
    }

    /// Whether this very process still runs or is stopped. One that only waits to be reaped is dead.
    pub(crate) fn is_alive(self) -> bool {
        self.state().is_some_and(|state| !matches!(state, 'Z' | 'X'))
    }

    /// Whether this very process is stopped by a signal.
    pub(crate) fn is_stopped(self) -> bool {
        self.state() == Some('T')
    }

    fn state(self) -> Option<char> {
        Stat::of(self.pid).filter(|stat| stat.identity == self).map(|stat| stat.state)
    }
}

/// The fields of `/proc/<pid>/stat` that we use (proc_pid_stat(5): fields 1, 3, 4 and 22).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stat {
    pub(crate) identity: Identity,
    pub(crate) parent: i32,
    pub(crate) state: char,
}

impl Stat {
    fn of(pid: i32) -> Option<Self> {
        Self::parse(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
    }

    fn parse(pid: i32, line: &str) -> Option<Self> {
        // The name in field 2 may hold spaces and brackets; the last bracket ends it.
        let (_, rest) = line.rsplit_once(')')?;
        let mut fields = rest.split_whitespace();
        let state = fields.next()?.chars().next()?;
        let parent = fields.next()?.parse().ok()?;
        let start_ticks = fields.nth(17)?.parse().ok()?;
        Some(Self { identity: Identity { pid, start_ticks }, parent, state })
    }
}

/// Every process that we may see.
pub(crate) fn table() -> Vec<Stat> {
    let Ok(entries) = fs::read_dir("/proc") else { return Vec::new() };
    let pids = entries.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    pids.filter_map(Stat::of).collect()
}

/// The children of a process, their children, and so on; parents before children.
pub(crate) fn descendants(pid: i32, table: &[Stat]) -> Vec<Identity> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::from([pid]);
    let mut parents = vec![pid];
    while let Some(parent) = parents.pop() {
        for child in table.iter().filter(|stat| stat.parent == parent) {
            if seen.insert(child.identity.pid) {
                found.push(child.identity);
                parents.push(child.identity.pid);
            }
        }
    }
    found
}

/// The processes that run the program `exe` with a working directory in `dir`.
pub(crate) fn running_in(dir: &Path, exe: &Path, table: &[Stat]) -> Vec<Identity> {
    let runs_there = |stat: &&Stat| {
        let link = |name: &str| fs::read_link(format!("/proc/{}/{name}", stat.identity.pid)).ok();
        link("exe").is_some_and(|path| without_deleted(path) == exe)
            && link("cwd").is_some_and(|path| path.starts_with(dir))
    };
    table.iter().filter(runs_there).map(|stat| stat.identity).collect()
}

/// The kernel marks a file that was replaced since (an upgrade of the package, say).
fn without_deleted(path: PathBuf) -> PathBuf {
    match path.to_str().and_then(|text| text.strip_suffix(" (deleted)")) {
        Some(text) => PathBuf::from(text),
        None => path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_and_spaces_does_not_shift_the_fields() {
        let line = "42 (a) b (c)) T 7 42 42 0 -1 4 1 2 3 4 5 6 7 8 20 0 1 0 9001 10 11";
        let stat = Stat::parse(42, line).expect("the line is well formed");
        assert_eq!((stat.state, stat.parent, stat.identity.start_ticks), ('T', 7, 9001));
    }

    #[test]
    fn a_torn_line_is_nobody() {
        assert!(Stat::parse(42, "42 (postgres) S 7 42").is_none());
    }

    #[test]
    fn our_own_identity_is_alive_and_an_earlier_owner_of_our_pid_is_not() {
        let own = Identity::own().expect("we run");
        assert!(own.is_alive());
        assert!(!Identity { start_ticks: own.start_ticks - 1, ..own }.is_alive());
    }
}
