//! Data directories that are made once and copied for each set of servers.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{chown, lchown};
use std::path::{Path, PathBuf};

use super::process::RunAs;

/// A finished template, or the sole right to make it.
pub(crate) enum Template {
    /// It is there.
    Ready(PathBuf),
    /// Nobody else makes it as long as this is held.
    ToMake(Making),
}

/// The right to make one template, which other processes wait for.
pub(crate) struct Making {
    new: PathBuf,
    finished: PathBuf,
    _lock: File,
}

impl Template {
    /// Looks for a template in the cache; waits while another process makes it.
    pub(crate) fn open(cache: &Path, name: &str) -> io::Result<Self> {
        let finished = cache.join(name);
        if finished.is_dir() {
            return Ok(Self::Ready(finished));
        }
        fs::create_dir_all(cache)?;
        let lock = File::create(cache.join(format!("{name}.lock")))?;
        lock.lock()?;
        if finished.is_dir() {
            return Ok(Self::Ready(finished));
        }
        let new = cache.join(format!("{name}.new"));
        if new.exists() {
            fs::remove_dir_all(&new)?;
        }
        fs::create_dir(&new)?;
        Ok(Self::ToMake(Making { new, finished, _lock: lock }))
    }
}

impl Making {
    /// Where to put it.
    pub(crate) fn dir(&self) -> &Path {
        &self.new
    }

    /// Says that it is whole; gives its place.
    pub(crate) fn finish(self) -> io::Result<PathBuf> {
        fs::rename(&self.new, &self.finished)?;
        Ok(self.finished)
    }
}

/// Copies a directory with all that is in it, modes included, and gives the copy to `owner`.
pub(crate) fn copy_tree(from: &Path, to: &Path, owner: Option<RunAs>) -> io::Result<()> {
    fs::create_dir(to)?;
    copy_into(from, to, owner)?;
    fs::set_permissions(to, fs::metadata(from)?.permissions())?;
    give(to, owner)
}

/// Copies what is in a directory into another one that is there.
pub(crate) fn copy_into(from: &Path, to: &Path, owner: Option<RunAs>) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_tree(&source, &target, owner)?;
        } else if kind.is_symlink() {
            std::os::unix::fs::symlink(fs::read_link(&source)?, &target)?;
            owner.map_or(Ok(()), |who| lchown(&target, Some(who.uid), Some(who.gid)))?;
        } else {
            fs::copy(&source, &target)?;
            give(&target, owner)?;
        }
    }
    Ok(())
}

/// Makes `owner` the owner of a file, where that is not us.
pub(crate) fn give(path: &Path, owner: Option<RunAs>) -> io::Result<()> {
    owner.map_or(Ok(()), |who| chown(path, Some(who.uid), Some(who.gid)))
}
