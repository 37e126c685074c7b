//! `*-disk-full`: the server runs on a small disk (a tmpfs of a size), and somebody else fills it. The server is
//! stopped in order to move it there, and once more, when it has room again, to move it back.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use async_trait::async_trait;

use super::{Effect, Lasting, Site, until};
use crate::backend::{HarnessError, Hits};
use crate::fault::Given;
use crate::port::System;
use crate::schedule::FaultOn;

/// The effect.
pub(super) struct DiskFull(pub(super) System);

/// How much room the server has beyond what it holds before somebody fills the disk: a segment of a log and more.
const ROOM_BYTES: u64 = 40 << 20;

const FILLER: &str = "somebody-elses-file";

/// What servers say of a full disk.
const NO_SPACE: &str = "No space left on device";

struct Full {
    system: System,
    disk: PathBuf,
    log: PathBuf,
    /// How often the log spoke of a full disk before.
    said: usize,
}

#[async_trait]
impl Effect for DiskFull {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(self.0, on)?;
        site.servers.disk(self.0).map(drop)
    }

    async fn begin(&self, site: &Site, on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let (disk, log) = site.servers.disk(self.0)?;
        let said = said(&log);
        site.servers.move_to_small_disk(self.0, ROOM_BYTES).await?;
        let left = Given(&on.with).number("left", 0) * 1024;
        let filled = disk.clone();
        blocking(move || fill(&filled, left)).await?;
        if takes(&disk, left + 4096) {
            return Err(HarnessError::failed(format!("{} takes more though it is full", disk.display())));
        }
        if self.0 == System::Db {
            // The rest of the current segment of the log is there already; what is written next needs another one.
            let mut db = site.admin_session().await?;
            // It may be the one that finds the disk full.
            let _ = db.query("SELECT pg_switch_wal()::text", &[]).await;
        }
        Ok(Box::new(Full { system: self.0, disk, log, said }))
    }
}

async fn blocking(work: impl FnOnce() -> io::Result<()> + Send + 'static) -> Result<(), HarnessError> {
    let done =
        tokio::task::spawn_blocking(work).await.map_err(|error| HarnessError::failed(error.to_string()))?;
    done.map_err(|error| HarnessError::failed(format!("fill the disk: {error}")))
}

/// Writes until nothing more goes, then gives `left` bytes back.
fn fill(disk: &Path, left: u64) -> io::Result<()> {
    let mut file = fs::File::create(disk.join(FILLER))?;
    let mut written = 0;
    for chunk in [vec![0_u8; 1 << 20], vec![0; 4096]] {
        loop {
            match file.write(&chunk) {
                Ok(len) => written += len as u64,
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => return Err(error),
            }
        }
    }
    file.set_len(written.saturating_sub(left))
}

/// Whether so many bytes go onto the disk.
fn takes(disk: &Path, bytes: u64) -> bool {
    let probe = disk.join("crosscheck-probe");
    let len = usize::try_from(bytes).unwrap_or(usize::MAX);
    let taken = fs::write(&probe, vec![1; len]).is_ok();
    // Where nothing could be written there may be nothing to remove.
    let _ = fs::remove_file(&probe);
    taken
}

fn said(log: &Path) -> usize {
    let text = fs::read(log).unwrap_or_default();
    String::from_utf8_lossy(&text).matches(NO_SPACE).count()
}

#[async_trait]
impl Lasting for Full {
    fn has_hit(&self) -> bool {
        said(&self.log) > self.said
    }

    async fn heal(self: Box<Self>, site: &Site) -> Result<Hits, HarnessError> {
        let removed = fs::remove_file(self.disk.join(FILLER));
        removed.map_err(|error| HarnessError::failed(format!("free the disk: {error}")))?;
        if !takes(&self.disk, 64 << 10) {
            return Err(HarnessError::failed(format!("{} stays full", self.disk.display())));
        }
        // One that gave up on the disk ends by itself, soon.
        let servers = &site.servers;
        until("the server does not come back", || async {
            Ok(servers.start(self.system).await.is_ok() && servers.answers(self.system).await)
        })
        .await?;
        servers.move_back(self.system).await?;
        let count = said(&self.log).saturating_sub(self.said) as u64;
        Ok(Hits { count, detail: format!("the {} found its disk full {count} times", self.system) })
    }
}
