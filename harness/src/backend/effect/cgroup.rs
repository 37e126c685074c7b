//! A control group of ours, with a limit, and the processes that are in it for a while (cgroups(7), and the kernel's
//! "Control Group v2" and "CFS Bandwidth Control").

use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::backend::HarnessError;

/// What a group limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Controller {
    Cpu,
    Memory,
}

impl Controller {
    fn id(self) -> &'static str {
        match self {
            Controller::Cpu => "cpu",
            Controller::Memory => "memory",
        }
    }
}

/// The length over which a share of a processor is meant.
const PERIOD_US: u64 = 100_000;

/// A group. Dropped, its processes are given back and it is removed.
#[derive(Debug)]
pub(super) struct Group {
    /// Where groups of the controller begin; our processes came from there.
    root: PathBuf,
    dir: PathBuf,
    controller: Controller,
    is_v1: bool,
}

impl Group {
    /// Whether a group can be made here.
    pub(super) fn can(controller: Controller) -> Result<(), HarnessError> {
        Group::make(controller, 100).map(drop)
    }

    /// Makes a group that leaves its processes `limit` percent of a processor, or as many megabytes of memory beyond
    /// what they have.
    pub(super) fn make(controller: Controller, limit: u64) -> Result<Group, HarnessError> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (root, is_v1) = root_of(controller, Path::new("/sys/fs/cgroup"))
            .ok_or_else(|| cannot(controller, "its kernel offers none"))?;
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let dir = root.join(format!("crosscheck-{}-{number}", std::process::id()));
        if !is_v1 {
            // It may be on already, or the group below which we are may not be ours to change: `limit` then says so.
            let _ = fs::write(root.join("cgroup.subtree_control"), format!("+{}", controller.id()));
        }
        fs::create_dir(&dir).map_err(|error| cannot(controller, &format!("{}: {error}", dir.display())))?;
        let group = Group { root, dir, controller, is_v1 };
        group.set(limit).map_err(|error| cannot(controller, &error.to_string()))?;
        Ok(group)
    }

    fn set(&self, limit: u64) -> io::Result<()> {
        let quota_us = (limit * PERIOD_US / 100).max(1000);
        let bytes = limit * 1024 * 1024;
        match (self.controller, self.is_v1) {
            (Controller::Cpu, true) => {
                self.write("cpu.cfs_period_us", &PERIOD_US.to_string())?;
                self.write("cpu.cfs_quota_us", &quota_us.to_string())
            }
            (Controller::Cpu, false) => self.write("cpu.max", &format!("{quota_us} {PERIOD_US}")),
            (Controller::Memory, true) => {
                self.write("memory.limit_in_bytes", &bytes.to_string())?;
                // Whoever finds nothing left waits, rather than being killed.
                self.write("memory.oom_control", "1")
            }
            (Controller::Memory, false) => self.write("memory.high", &bytes.to_string()),
        }
    }

    /// Takes processes in; says whether all of them are in by now.
    pub(super) fn take(&self, pids: &[i32]) -> Result<bool, HarnessError> {
        for pid in pids {
            match self.write("cgroup.procs", &pid.to_string()) {
                // It has ended meanwhile.
                Err(error) if error.raw_os_error() == Some(rustix::io::Errno::SRCH.raw_os_error()) => {}
                taken => taken.map_err(|error| self.failed(&error))?,
            }
        }
        let inside = self.processes()?;
        Ok(!inside.is_empty() && pids.iter().all(|pid| inside.contains(pid) || !is_alive(*pid)))
    }

    /// How often the limit held a process back.
    pub(super) fn limited(&self) -> Result<u64, HarnessError> {
        let (file, name) = match (self.controller, self.is_v1) {
            (Controller::Cpu, _) => ("cpu.stat", "nr_throttled"),
            (Controller::Memory, true) => ("memory.failcnt", ""),
            (Controller::Memory, false) => ("memory.events", "high"),
        };
        let text = fs::read_to_string(self.dir.join(file)).map_err(|error| self.failed(&error))?;
        let count = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok());
        count.ok_or_else(|| HarnessError::failed(format!("{file} of {} tells nothing", self.dir.display())))
    }

    /// Gives the processes back and removes the group.
    pub(super) fn end(&self) -> Result<(), HarnessError> {
        if self.controller == Controller::Memory && self.is_v1 {
            // Those that wait for memory cannot be moved.
            self.write("memory.limit_in_bytes", "-1").map_err(|error| self.failed(&error))?;
        }
        for _ in 0..100 {
            for pid in self.processes()? {
                // One that has ended meanwhile is gone by the next look.
                let _ = fs::write(self.root.join("cgroup.procs"), pid.to_string());
            }
            match fs::remove_dir(&self.dir) {
                Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
                Err(error) if error.kind() == ErrorKind::ResourceBusy => {
                    std::thread::sleep(std::time::Duration::from_millis(5));
                }
                ended => return ended.map_err(|error| self.failed(&error)),
            }
        }
        Err(HarnessError::failed(format!("{} keeps processes", self.dir.display())))
    }

    fn processes(&self) -> Result<Vec<i32>, HarnessError> {
        let path = self.dir.join("cgroup.procs");
        match fs::read_to_string(path) {
            Ok(text) => Ok(text.lines().filter_map(|line| line.trim().parse().ok()).collect()),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
            Err(error) => Err(self.failed(&error)),
        }
    }

    fn write(&self, file: &str, value: &str) -> io::Result<()> {
        fs::write(self.dir.join(file), value)
    }

    fn failed(&self, error: &io::Error) -> HarnessError {
        HarnessError::failed(format!("control group {}: {error}", self.dir.display()))
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What is left is an empty group with a name that tells whose it was.
        let _ = self.end();
    }
}

fn is_alive(pid: i32) -> bool {
    Path::new("/proc").join(pid.to_string()).exists()
}

/// Where groups of the controller are made, and whether that is version 1.
fn root_of(controller: Controller, mounted: &Path) -> Option<(PathBuf, bool)> {
    let v1 = mounted.join(controller.id());
    if v1.join("cgroup.procs").exists() {
        return Some((v1, true));
    }
    let offered = fs::read_to_string(mounted.join("cgroup.controllers")).ok()?;
    offered.split_whitespace().any(|one| one == controller.id()).then(|| (mounted.to_owned(), false))
}

fn cannot(controller: Controller, why: &str) -> HarnessError {
    HarnessError::Missing {
        what: format!(
            "this machine cannot limit the {} of a server by a control group ({why})",
            controller.id()
        ),
        advice: "run as root where control groups can be written, or leave the fault out".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_1_is_known_by_its_directories_and_version_2_by_its_list() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(root_of(Controller::Cpu, dir.path()), None);
        fs::write(dir.path().join("cgroup.controllers"), "cpuset cpu io\n").expect("it is written");
        assert_eq!(root_of(Controller::Cpu, dir.path()), Some((dir.path().to_owned(), false)));
        assert_eq!(root_of(Controller::Memory, dir.path()), None);
        fs::create_dir(dir.path().join("memory")).expect("it is made");
        fs::write(dir.path().join("memory/cgroup.procs"), "").expect("it is written");
        assert_eq!(root_of(Controller::Memory, dir.path()), Some((dir.path().join("memory"), true)));
    }
}
