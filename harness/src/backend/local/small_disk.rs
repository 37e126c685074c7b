//! A disk of a size for a server's data: a tmpfs (tmpfs(5)) mounted where they were.

use std::ffi::CString;
use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use rustix::mount::{MountFlags, UnmountFlags, mount, mount_remount, unmount};

use super::process::RunAs;
use super::template::{copy_into, give};

/// What is enough while data are being copied.
const LARGE_BYTES: u64 = 8 << 30;

/// Whether a disk can be mounted below this directory.
pub(super) fn can(dir: &Path) -> io::Result<()> {
    let probe = dir.join("mount-probe");
    fs::create_dir_all(&probe)?;
    let mounted = mount_at(&probe, 1 << 20).and_then(|()| Ok(unmount(&probe, UnmountFlags::DETACH)?));
    fs::remove_dir(&probe)?;
    mounted
}

/// Moves what is in a directory to a small disk, mounted there, that has room for so many bytes more.
pub(super) fn move_to(data: &Path, owner: Option<RunAs>, room_bytes: u64) -> io::Result<()> {
    let aside = data.with_extension("large");
    fs::rename(data, &aside)?;
    make(data, owner)?;
    mount_at(data, LARGE_BYTES)?;
    fs::set_permissions(data, Permissions::from_mode(0o700))?;
    give(data, owner)?;
    copy_into(&aside, data, owner)?;
    fs::remove_dir_all(&aside)?;
    let told = rustix::fs::statvfs(data)?;
    let used_bytes = (told.f_blocks - told.f_bfree) * told.f_frsize;
    Ok(mount_remount(data, MountFlags::empty(), size(used_bytes + room_bytes))?)
}

/// Moves what is on the small disk back to where it is mounted.
pub(super) fn move_back(data: &Path, owner: Option<RunAs>) -> io::Result<()> {
    let aside = data.with_extension("back");
    make(&aside, owner)?;
    copy_into(data, &aside, owner)?;
    unmount(data, UnmountFlags::DETACH)?;
    fs::remove_dir(data)?;
    fs::rename(&aside, data)
}

fn make(dir: &Path, owner: Option<RunAs>) -> io::Result<()> {
    fs::create_dir(dir)?;
    fs::set_permissions(dir, Permissions::from_mode(0o700))?;
    give(dir, owner)
}

/// Takes away every disk below a directory, with all that is on it.
pub(super) fn unmount_below(dir: &Path) -> io::Result<()> {
    let ours: Vec<PathBuf> = mounts()?.into_iter().filter(|mounted| mounted.starts_with(dir)).collect();
    ours.iter().rev().try_for_each(|mounted| Ok(unmount(mounted, UnmountFlags::DETACH)?))
}

fn mount_at(dir: &Path, bytes: u64) -> io::Result<()> {
    Ok(mount("crosscheck", dir, "tmpfs", MountFlags::empty(), size(bytes).as_c_str())?)
}

fn size(bytes: u64) -> CString {
    CString::new(format!("size={bytes}")).expect("a number has no zero byte")
}

/// Where something is mounted (proc_pid_mountinfo(5): the fifth field, in which a space is `\\040`).
fn mounts() -> io::Result<Vec<PathBuf>> {
    let table = fs::read_to_string("/proc/self/mountinfo")?;
    let points = table.lines().filter_map(|line| line.split(' ').nth(4));
    Ok(points.map(|point| PathBuf::from(point.replace("\\040", " "))).collect())
}
