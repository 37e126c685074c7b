//! One server process and everything it has forked: start, kill, stop, pause, resume, and the proof of each.
//!
//! PostgreSQL's back ends each lead a session of their own, so neither a signal to the group nor the death of the
//! postmaster reaches all of them. A server is therefore its leader, the leader's descendants, and whoever runs
//! the same program inside the server's directory (orphans). `PR_SET_PDEATHSIG` is not used: it fires when the
//! *thread* that forked ends, and a runtime's threads come and go; a record on disk and a sweep at the next start
//! do the work instead.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::procfs::{self, Identity};

const RECORD: &str = "process.json";
const KILL_BOUND: Duration = Duration::from_secs(10);
const SIGNAL_BOUND: Duration = Duration::from_secs(5);
const STOP_BOUND: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(1);

/// The user and group that a server runs under, where that is not our own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct RunAs {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
}

/// How to start a server.
#[derive(Clone, Debug)]
pub(crate) struct Launch {
    pub(crate) program: PathBuf,
    pub(crate) args: Vec<OsString>,
    /// The server's own directory: working directory, log and record live here.
    pub(crate) dir: PathBuf,
    pub(crate) log: PathBuf,
    pub(crate) run_as: Option<RunAs>,
    /// More environment variables.
    pub(crate) environment: Vec<(OsString, OsString)>,
    /// The signal that asks it to end in good order.
    pub(crate) graceful: Signal,
}

/// What is left on disk so that somebody else can end a server: its program, and its process once it is known.
#[derive(Debug, Serialize, Deserialize)]
struct Record {
    exe: PathBuf,
    leader: Option<Identity>,
}

/// A server that was started. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    child: Child,
    leader: Identity,
    exe: PathBuf,
    dir: PathBuf,
    graceful: Signal,
}

impl ServerProcess {
    /// Starts the program in a process group of its own, so that a Ctrl-C on our terminal is ours alone.
    pub(crate) fn spawn(launch: &Launch) -> io::Result<Self> {
        let exe = fs::canonicalize(&launch.program)?;
        // Before the start: should we be killed in between, the sweep still finds it by its program and directory.
        write_record(&launch.dir, &Record { exe: exe.clone(), leader: None })?;
        let log = File::options().create(true).append(true).open(&launch.log)?;
        let mut command = Command::new(&launch.program);
        command.args(&launch.args).current_dir(&launch.dir).env("LC_ALL", "C").process_group(0);
        command.envs(launch.environment.iter().cloned());
        command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        if let Some(RunAs { uid, gid }) = launch.run_as {
            command.uid(uid).gid(gid);
        }
        let mut child = command.spawn()?;
        let leader = i32::try_from(child.id()).ok().and_then(Identity::of);
        let Some(leader) = leader else {
            child.kill().and_then(|()| child.wait())?;
            return Err(io::Error::other("the process is not in /proc"));
        };
        let started = Self { child, leader, exe, dir: launch.dir.clone(), graceful: launch.graceful };
        write_record(&started.dir, &Record { exe: started.exe.clone(), leader: Some(leader) })?;
        Ok(started)
    }

    /// The exit status of a leader that has ended on its own, if it has.
    pub(crate) fn exited(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// SIGKILL to all of it; returns once nothing of it is left and the leader is reaped (otherwise PostgreSQL
    /// finds a `postmaster.pid` with a live process at its next start).
    pub(crate) fn kill(&mut self) -> io::Result<()> {
        kill_all(&self.dir, &self.exe, Some(self.leader))?;
        self.child.wait().map(drop)
    }

    /// Asks it to end in good order, and waits.
    pub(crate) fn stop(&mut self) -> io::Result<()> {
        self.resume()?;
        if self.child.try_wait()?.is_none() {
            signal(self.leader, self.graceful)?;
        }
        poll_until(STOP_BOUND, "it did not end", || Ok(self.child.try_wait()?.is_some()))?;
        kill_all(&self.dir, &self.exe, None)
    }

    /// SIGSTOP to all of it; returns once each process is seen stopped.
    pub(crate) fn pause(&self) -> io::Result<()> {
        poll_until(SIGNAL_BOUND, "some of its processes did not stop", || {
            let running: Vec<_> = self.members().into_iter().filter(|member| !member.is_stopped()).collect();
            running.iter().try_for_each(|member| signal(*member, Signal::STOP))?;
            Ok(running.is_empty())
        })
    }

    /// SIGCONT to all of it, the leader last; returns once none is stopped.
    pub(crate) fn resume(&self) -> io::Result<()> {
        poll_until(SIGNAL_BOUND, "some of its processes stay stopped", || {
            let stopped: Vec<_> = self.members().into_iter().filter(|member| member.is_stopped()).collect();
            stopped.iter().rev().try_for_each(|member| signal(*member, Signal::CONT))?;
            Ok(stopped.is_empty())
        })
    }

    /// Whether the leader lives and every process of it is stopped.
    pub(crate) fn is_paused(&self) -> bool {
        let members = self.members();
        members.contains(&self.leader) && members.iter().all(|member| member.is_stopped())
    }

    /// The live processes of this server, the leader first.
    pub(crate) fn members(&self) -> Vec<Identity> {
        members(&self.dir, &self.exe, Some(self.leader))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        // What cannot be killed now is still on record for the next sweep.
        let _ = self.kill();
    }
}

/// Kills what the record in a server's directory names, if there is one; returns once nothing of it is left.
pub(crate) fn kill_recorded(dir: &Path) -> io::Result<()> {
    match fs::read(dir.join(RECORD)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        // A torn record was written before the program was started.
        Ok(bytes) => match serde_json::from_slice::<Record>(&bytes) {
            Ok(record) => kill_all(dir, &record.exe, record.leader),
            Err(_) => Ok(()),
        },
    }
}

fn write_record(dir: &Path, record: &Record) -> io::Result<()> {
    let path = dir.join(RECORD);
    let new = dir.join(format!("{RECORD}.new"));
    fs::write(&new, serde_json::to_vec(record)?)?;
    fs::rename(new, path)
}

fn kill_all(dir: &Path, exe: &Path, leader: Option<Identity>) -> io::Result<()> {
    // Back ends that were children of a killed leader are nobody's children in the next look, so they are kept.
    let mut doomed: Vec<Identity> = Vec::new();
    poll_until(KILL_BOUND, "some of its processes outlive SIGKILL", || {
        for member in members(dir, exe, leader) {
            if !doomed.contains(&member) {
                doomed.push(member);
            }
        }
        doomed.retain(|member| member.is_alive());
        doomed.iter().try_for_each(|member| signal(*member, Signal::KILL))?;
        Ok(doomed.is_empty())
    })
}

/// The leader (first, so that it is signalled before it can fork or clean up), its descendants, and orphans.
fn members(dir: &Path, exe: &Path, leader: Option<Identity>) -> Vec<Identity> {
    let table = procfs::table();
    let leader = leader.filter(|leader| leader.is_alive());
    let mut found: Vec<Identity> = leader.into_iter().collect();
    let children = leader.map(|leader| procfs::descendants(leader.pid, &table)).unwrap_or_default();
    for member in children.into_iter().chain(procfs::running_in(dir, exe, &table)) {
        if !found.contains(&member) && member.is_alive() {
            found.push(member);
        }
    }
    found
}

/// Sends a signal to this very process; one that has ended meanwhile is no error.
fn signal(to: Identity, signal: Signal) -> io::Result<()> {
    let Some(pid) = Pid::from_raw(to.pid).filter(|_| to.is_alive()) else { return Ok(()) };
    match kill_process(pid, signal) {
        Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn poll_until(
    bound: Duration,
    otherwise: &str,
    mut done: impl FnMut() -> io::Result<bool>,
) -> io::Result<()> {
    let deadline = Instant::now() + bound;
    while !done()? {
        if Instant::now() > deadline {
            let text = format!("{otherwise} within {} s", bound.as_secs());
            return Err(io::Error::new(io::ErrorKind::TimedOut, text));
        }
        thread::sleep(POLL);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A shell that forks a child into a session of its own, as PostgreSQL does with each back end.
    fn family(dir: &Path) -> ServerProcess {
        let script = "setsid sleep 600 & echo forked; wait";
        let launch = Launch {
            program: "/bin/sh".into(),
            args: vec!["-c".into(), script.into()],
            dir: dir.to_owned(),
            log: dir.join("log"),
            run_as: None,
            environment: Vec::new(),
            graceful: Signal::TERM,
        };
        let server = ServerProcess::spawn(&launch).expect("a shell starts");
        poll_until(SIGNAL_BOUND, "the shell forked no child", || Ok(server.members().len() == 2))
            .expect("the shell forks");
        server
    }

    #[test]
    fn pause_stops_a_child_in_a_session_of_its_own_and_resume_wakes_it() {
        let dir = tempfile::tempdir().expect("a directory");
        let server = family(dir.path());
        assert!(!server.is_paused());
        server.pause().expect("it pauses");
        assert!(server.members().iter().all(|member| member.is_stopped()));
        assert!(server.is_paused());
        server.resume().expect("it resumes");
        assert!(!server.members().iter().any(|member| member.is_stopped()));
    }

    #[test]
    fn kill_leaves_nobody_even_when_paused() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut server = family(dir.path());
        let members = server.members();
        server.pause().expect("it pauses");
        server.kill().expect("it dies");
        assert!(!members.iter().any(|member| member.is_alive()));
    }

    #[test]
    fn a_record_is_enough_to_kill_and_another_process_with_the_pid_is_spared() {
        let dir = tempfile::tempdir().expect("a directory");
        let server = family(dir.path());
        let later = Identity { start_ticks: server.leader.start_ticks + 1, ..server.leader };
        write_record(dir.path(), &Record { exe: "/no/such/program".into(), leader: Some(later) })
            .expect("the record is written");
        kill_recorded(dir.path()).expect("there is nothing to kill");
        assert!(server.leader.is_alive());
        write_record(dir.path(), &Record { exe: server.exe.clone(), leader: Some(server.leader) })
            .expect("the record is written");
        kill_recorded(dir.path()).expect("it is killed");
        assert!(!server.leader.is_alive());
    }
}
