//! The directory of one set of servers, who owns it, and the sweep of those whose owner is dead.
//!
//! Everything that must end is recorded in the directory before it starts, so one and the same removal serves a
//! set that is dropped, a Ctrl-C, and the leftovers of an owner that was killed.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError, RwLock};
use std::thread;
use std::time::Duration;

use rustix::process::getuid;

use super::error::StartError;
use super::process::{self, Launch, ServerProcess};
use super::procfs::Identity;
use super::server::ServerKind;
use super::{postgres, small_disk};

const OWNER: &str = "owner.json";
const PREFIX: &str = "set-";
const REMOVE_TRIES: usize = 50;

/// The directories of this process's sets.
static LIVE: Mutex<BTreeSet<PathBuf>> = Mutex::new(BTreeSet::new());
/// Whether everything has been shut down. Held for reading while a server is started, so that none slips through.
static CLOSED: RwLock<bool> = RwLock::new(false);

/// Where sets of servers live when nobody says otherwise.
///
/// Root's run-time directory is closed to the other user that PostgreSQL runs under, so root takes `/tmp`.
pub fn default_root(env: &dyn Fn(&str) -> Option<String>) -> PathBuf {
    let uid = getuid();
    let run_time = env("XDG_RUNTIME_DIR").map(PathBuf::from).filter(|dir| !uid.is_root() && dir.is_dir());
    run_time.unwrap_or_else(|| "/tmp".into()).join(format!("crosscheck-{}", uid.as_raw()))
}

/// What a sweep did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// The sets that were removed, with every process of theirs.
    pub removed: Vec<PathBuf>,
    /// The sets that could not be, and why.
    pub failed: Vec<(PathBuf, String)>,
}

/// Removes what dead owners left under a root: their servers, paused ones too, and their directories.
/// A set whose owner lives is not touched.
pub fn sweep(root: &Path) -> io::Result<Swept> {
    prepare_root(root)?;
    let _lock = lock(root)?;
    sweep_locked(root)
}

/// Ends every server of every set of this process, and lets no new one start. For the end of the process: Ctrl-C,
/// or the end of a `main` whose shared set is never dropped.
pub fn shutdown_all() -> io::Result<()> {
    *CLOSED.write().unwrap_or_else(PoisonError::into_inner) = true;
    let dirs = LIVE.lock().unwrap_or_else(PoisonError::into_inner).clone();
    let results: Vec<_> = dirs.iter().map(|dir| remove(dir)).collect();
    results.into_iter().collect()
}

/// Whether this process has a set of servers.
pub fn has_sets() -> bool {
    !LIVE.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
}

/// Starts a server, unless everything has been shut down.
pub(crate) fn spawn(kind: ServerKind, launch: &Launch) -> Result<ServerProcess, StartError> {
    let closed = CLOSED.read().unwrap_or_else(PoisonError::into_inner);
    if *closed {
        return Err(StartError::Gone { kind });
    }
    let doing = format!("start {}", launch.program.display());
    ServerProcess::spawn(launch).map_err(StartError::preparing(doing))
}

/// The directory of one set. Dropping it kills what runs there and removes it.
#[derive(Debug)]
pub(crate) struct SetDir {
    path: PathBuf,
}

impl SetDir {
    /// Sweeps the root, then makes a directory of our own there.
    pub(crate) fn create(root: &Path) -> io::Result<Self> {
        prepare_root(root)?;
        let _lock = lock(root)?;
        sweep_locked(root)?;
        let own = Identity::own().ok_or_else(|| io::Error::other("our own process is not in /proc"))?;
        let mut live = LIVE.lock().unwrap_or_else(PoisonError::into_inner);
        let names = (1..).map(|n| root.join(format!("{PREFIX}{}-{n}", own.pid)));
        let path = names.into_iter().find(|path| !path.exists()).expect("the numbers do not end");
        make_dir(&path)?;
        fs::write(path.join(OWNER), serde_json::to_vec(&own)?)?;
        live.insert(path.clone());
        Ok(Self { path })
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Makes the directory of one server.
    pub(crate) fn make_server_dir(&self, kind: ServerKind) -> io::Result<PathBuf> {
        let dir = self.path.join(kind.name());
        make_dir(&dir)?;
        Ok(dir)
    }
}

impl Drop for SetDir {
    fn drop(&mut self) {
        // What could not be removed stays on disk with its record; the next sweep says why and tries again.
        let _ = remove(&self.path);
        LIVE.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}

fn sweep_locked(root: &Path) -> io::Result<Swept> {
    let mut swept = Swept::default();
    for entry in fs::read_dir(root)? {
        let path = entry?.path();
        let is_set =
            path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with(PREFIX));
        if !is_set || has_live_owner(&path) {
            continue;
        }
        match remove(&path) {
            Ok(()) => swept.removed.push(path),
            Err(error) => swept.failed.push((path, error.to_string())),
        }
    }
    swept.removed.sort();
    swept.failed.sort();
    Ok(swept)
}

/// The lock is held when a set is made, so one without a whole owner file was left in the making.
fn has_live_owner(set: &Path) -> bool {
    let owner =
        fs::read(set.join(OWNER)).ok().and_then(|bytes| serde_json::from_slice::<Identity>(&bytes).ok());
    owner.is_some_and(Identity::is_alive)
}

/// Kills what runs in a set, then removes its directory.
fn remove(set: &Path) -> io::Result<()> {
    let dirs: Vec<PathBuf> = match fs::read_dir(set) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).filter(|path| path.is_dir()).collect(),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    dirs.iter().try_for_each(|dir| process::kill_recorded(dir))?;
    dirs.iter().for_each(|dir| postgres::remove_shared_memory(dir));
    small_disk::unmount_below(set)?;
    remove_dir(set)
}

/// A preparation that was under way in another thread may still put a file into the directory.
fn remove_dir(dir: &Path) -> io::Result<()> {
    let mut result = Ok(());
    for _ in 0..REMOVE_TRIES {
        result = fs::remove_dir_all(dir);
        match &result {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(_) => thread::sleep(Duration::from_millis(10)),
        }
    }
    result
}

fn prepare_root(root: &Path) -> io::Result<()> {
    if !root.exists() {
        fs::create_dir_all(root.parent().unwrap_or(Path::new("/")))?;
        match make_dir(root) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            Ok(()) | Err(_) => {}
        }
    }
    // Everyone may write to /tmp: a directory that another user put there is a trap.
    let meta = fs::symlink_metadata(root)?;
    if meta.is_dir() && meta.uid() == getuid().as_raw() {
        return Ok(());
    }
    Err(io::Error::other(format!("{} is not a directory of ours; remove it", root.display())))
}

/// Others may pass through (PostgreSQL's user, where we are root) but not look around.
fn make_dir(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o711).create(path)?;
    // Once more, because a strict umask would lock PostgreSQL's user out.
    fs::set_permissions(path, Permissions::from_mode(0o711))
}

fn lock(root: &Path) -> io::Result<File> {
    let file = File::create(root.join("lock"))?;
    file.lock()?;
    Ok(file)
}
