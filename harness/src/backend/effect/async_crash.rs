//! `db-async-crash`: commits of clients are acknowledged before they are on disk (`synchronous_commit = off`), and
//! the database is killed: the last of them are lost (PostgreSQL 17, 28.4 "Asynchronous Commit").
//!
//! What the operating system has been given outlives a killed process. So that there is something to lose, the process
//! that would hand it over a moment later stands still, where it is ours to stop.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::SeqCst};
use std::time::Duration;

use async_trait::async_trait;
use rustix::process::{Pid, Signal, kill_process};

use super::{Effect, Lasting, Site, site, until};
use crate::backend::{HarnessError, Hits};
use crate::port::{DatabaseConnection, System};
use crate::schedule::FaultOn;

/// The effect.
pub(super) struct AsyncCrash;

/// How long commits are acknowledged early before the crash.
const LOAD: Duration = Duration::from_millis(150);

/// How many commits of ours are acknowledged before the crash; it is to lose the last of them.
const WITNESSES: u64 = 20;

const SETTINGS: [(&str, &str); 2] = [("synchronous_commit", "off"), ("wal_writer_delay", "10s")];

struct Crashed {
    /// The last commit of ours that was acknowledged.
    witness: u64,
    unwritten: i64,
}

#[async_trait]
impl Effect for AsyncCrash {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(System::Db, on)
    }

    async fn begin(&self, site: &Site, _on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let mut admin = site.admin_session().await?;
        admin.execute("CREATE TABLE IF NOT EXISTS crosscheck_acknowledged (n bigint)", &[]).await?;
        admin.execute("TRUNCATE crosscheck_acknowledged", &[]).await?;
        for (name, value) in SETTINGS {
            admin.execute(&format!("ALTER SYSTEM SET {name} = '{value}'"), &[]).await?;
        }
        admin.query("SELECT pg_reload_conf()", &[]).await?;
        clients_see(site, "off").await?;
        stop_the_writer(site, &mut *admin).await?;
        tokio::time::sleep(LOAD).await;
        let mut committing = site.admin_session().await?;
        committing.execute("SET synchronous_commit = off", &[]).await?;
        let acknowledged = Arc::<AtomicU64>::default();
        let commits = tokio::spawn(commit(committing, acknowledged.clone()));
        let enough = || async { Ok(acknowledged.load(SeqCst) >= WITNESSES) };
        until("commits without waiting for the disk are not acknowledged", enough).await?;
        let rows = admin
            .query(
                "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), pg_current_wal_lsn())::bigint AS left",
                &[],
            )
            .await?;
        let unwritten = site::only(rows)?.int("left")?;
        site.servers.kill(System::Db).await?;
        commits.abort();
        Ok(Box::new(Crashed { witness: acknowledged.load(SeqCst), unwritten }))
    }
}

/// Commits one after the other, until the server is gone.
async fn commit(mut db: Box<dyn DatabaseConnection>, acknowledged: Arc<AtomicU64>) {
    for n in 1_u64.. {
        let insert = "INSERT INTO crosscheck_acknowledged VALUES ($1)";
        if db.execute(insert, &[n.into()]).await.is_err() {
            return;
        }
        acknowledged.store(n, SeqCst);
    }
}

/// Has the process stand still that writes the log for those who do not wait.
async fn stop_the_writer(site: &Site, admin: &mut dyn DatabaseConnection) -> Result<(), HarnessError> {
    let rows = admin.query("SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'", &[]).await?;
    let Ok(ours) = site.servers.processes(System::Db) else { return Ok(()) };
    for row in rows {
        let pid = i32::try_from(row.int("pid")?).ok().filter(|pid| ours.contains(pid));
        if let Some(pid) = pid.and_then(Pid::from_raw) {
            kill_process(pid, Signal::STOP)
                .map_err(|error| HarnessError::failed(format!("stop the writer of the log: {error}")))?;
        }
    }
    Ok(())
}

/// Waits until new sessions of clients have the setting.
async fn clients_see(site: &Site, wanted: &str) -> Result<(), HarnessError> {
    until("PostgreSQL did not take up synchronous_commit", || async {
        let rows = site.client_session().await?.query("SHOW synchronous_commit", &[]).await?;
        Ok(site::only(rows)?.text("synchronous_commit")? == wanted)
    })
    .await
}

#[async_trait]
impl Lasting for Crashed {
    async fn heal(self: Box<Self>, site: &Site) -> Result<Hits, HarnessError> {
        site.servers.start(System::Db).await?;
        let mut admin = site.admin_session().await?;
        for (name, _) in SETTINGS {
            admin.execute(&format!("ALTER SYSTEM RESET {name}"), &[]).await?;
        }
        admin.query("SELECT pg_reload_conf()", &[]).await?;
        clients_see(site, "on").await?;
        let rows =
            admin.query("SELECT coalesce(max(n), 0) AS last FROM crosscheck_acknowledged", &[]).await?;
        let last = site::only(rows)?.version("last")?;
        if last >= self.witness {
            return Err(HarnessError::failed("the crash lost nothing that had been acknowledged"));
        }
        let (lost, bytes) = (self.witness - last, self.unwritten);
        let detail = format!("{bytes} bytes of the log were not written; {lost} probing commits were lost");
        Ok(Hits { count: lost, detail })
    }
}
