//! PostgreSQL: data directory and command line.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::process::{Signal, getuid};

use super::error::StartError;
use super::process::{Launch, RunAs};
use super::template::{Template, copy_tree, give};
use crate::backend::hosted::settings;
use crate::system::ping::POSTGRES_USER;

/// Beside the settings of any server of ours.
const SETTINGS: [&str; 4] = [
    "listen_addresses=127.0.0.1",
    "unix_socket_directories=",
    // A killed server leaves nothing in /dev/shm.
    "dynamic_shared_memory_type=mmap",
    "log_line_prefix=%m [%p] %q%a ",
];

/// PostgreSQL refuses to run as root: another user, where we are root.
pub(crate) fn run_as() -> io::Result<Option<RunAs>> {
    if !getuid().is_root() {
        return Ok(None);
    }
    let users = fs::read_to_string("/etc/passwd")?;
    let user = |name: &str| {
        let line = users.lines().find(|line| line.split(':').next() == Some(name))?;
        let mut numbers = line.split(':').skip(2);
        Some(RunAs { uid: numbers.next()?.parse().ok()?, gid: numbers.next()?.parse().ok()? })
    };
    let found = user("postgres").or_else(|| user("nobody"));
    let found = found.ok_or_else(|| {
        io::Error::other("PostgreSQL does not run as root, and there is no user `postgres` or `nobody`")
    })?;
    Ok(Some(found))
}

/// Puts a fresh data directory into the server's directory.
pub(crate) fn prepare(bin: &Path, version: &str, cache: &Path, dir: &Path) -> Result<(), StartError> {
    let owner = run_as().map_err(StartError::preparing("choose a user for PostgreSQL"))?;
    let doing = || StartError::preparing(format!("make a PostgreSQL data directory in {}", cache.display()));
    let template = match Template::open(cache, &format!("postgres-{version}")).map_err(doing())? {
        Template::Ready(template) => template,
        Template::ToMake(making) => {
            let fresh = dir.join("initdb");
            initdb(bin, &fresh, owner)?;
            copy_tree(&fresh, &making.dir().join("data"), None).map_err(doing())?;
            fs::remove_dir_all(&fresh).map_err(doing())?;
            making.finish().map_err(doing())?
        }
    };
    copy_tree(&template.join("data"), &data_dir(dir), owner)
        .map_err(StartError::preparing("copy the PostgreSQL data directory"))
}

fn initdb(bin: &Path, data: &Path, owner: Option<RunAs>) -> Result<(), StartError> {
    let doing = || StartError::preparing("run initdb");
    fs::create_dir(data).and_then(|()| give(data, owner)).map_err(doing())?;
    let mut command = Command::new(bin.join("initdb"));
    command.arg("-D").arg(data).args(["-U", POSTGRES_USER, "--auth=trust", "--encoding=UTF8"]);
    // Without --no-sync the template costs seconds, and it can be made again.
    command.args(["--no-locale", "--no-sync", "--no-instructions"]);
    command.stdin(Stdio::null()).env("LC_ALL", "C").current_dir(data);
    if let Some(RunAs { uid, gid }) = owner {
        command.uid(uid).gid(gid);
    }
    let output = command.output().map_err(doing())?;
    if output.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(doing()(io::Error::other(format!("it ended with {}: {}", output.status, said.trim()))))
}

/// The command line for a port.
pub(crate) fn launch(bin: &Path, dir: &Path, log: &Path, port: u16) -> io::Result<Launch> {
    let mut args: Vec<OsString> =
        vec!["-D".into(), data_dir(dir).into(), "-p".into(), port.to_string().into()];
    for setting in SETTINGS.into_iter().chain(settings::POSTGRES) {
        args.extend(["-c".into(), setting.into()]);
    }
    Ok(Launch {
        program: bin.join("postgres"),
        args,
        dir: dir.to_owned(),
        log: log.to_owned(),
        run_as: run_as()?,
        environment: Vec::new(),
        // "Fast" shutdown: open transactions are aborted rather than waited for.
        graceful: Signal::INT,
    })
}

/// Removes the small System V segment that a killed server leaves; line 7 of `postmaster.pid` names it.
pub(crate) fn remove_shared_memory(dir: &Path) {
    let Ok(pid_file) = fs::read_to_string(data_dir(dir).join("postmaster.pid")) else { return };
    let Some(id) = pid_file.lines().nth(6).and_then(|line| line.split_whitespace().nth(1)) else { return };
    if is_unattached(id) {
        // What stays is 56 bytes; not worth failing for.
        let _ = Command::new("ipcrm").args(["-m", id]).stdout(Stdio::null()).stderr(Stdio::null()).status();
    }
}

fn is_unattached(id: &str) -> bool {
    let Ok(table) = fs::read_to_string("/proc/sysvipc/shm") else { return false };
    let mut rows = table.lines().skip(1).map(|row| row.split_whitespace().collect::<Vec<_>>());
    rows.any(|row| row.get(1) == Some(&id) && row.get(6) == Some(&"0"))
}

pub(crate) fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}
