//! `db-lock`: somebody holds a lock on a table that nobody gets past, as a migration or a forgotten session does.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::task::AbortHandle;

use super::{Effect, Lasting, PROBE_EVERY, Site};
use crate::backend::{HarnessError, Hits};
use crate::fault::Given;
use crate::port::DatabaseConnection;
use crate::schedule::FaultOn;

/// The effect.
pub(super) struct Lock;

/// SQLSTATE of a statement that gave up waiting for a lock.
const LOCK_NOT_AVAILABLE: &str = "55P03";

struct Held {
    table: String,
    /// The transaction that holds the lock. Dropped, it ends.
    holder: Box<dyn DatabaseConnection>,
    waited: Arc<Mutex<BTreeSet<i64>>>,
    looking: Looking,
}

/// The task that looks who waits.
struct Looking(AbortHandle);

impl Drop for Looking {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn table(site: &Site, on: &FaultOn) -> Result<String, HarnessError> {
    match Given(&on.with).text("table") {
        Some(table) if site.tables.iter().any(|known| known == table) => Ok(table.to_owned()),
        Some(table) => {
            let known = site.tables.join(", ");
            Err(HarnessError::failed(format!("the design makes no table `{table}`; it makes {known}")))
        }
        None => {
            let first = site.tables.first().cloned();
            first.ok_or_else(|| HarnessError::failed("the design makes no table"))
        }
    }
}

#[async_trait]
impl Effect for Lock {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(crate::port::System::Db, on)?;
        table(site, on).map(drop)
    }

    async fn begin(&self, site: &Site, on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let table = table(site, on)?;
        let mut holder = site.session().await?;
        let holder_id = holder.session_id();
        holder.execute("BEGIN", &[]).await?;
        holder.execute(&format!("LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE"), &[]).await?;
        if !is_locked(site, &table).await? {
            return Err(HarnessError::failed(format!("{table} can be read though it is locked")));
        }
        let waited = Arc::<Mutex<BTreeSet<i64>>>::default();
        let looking =
            Looking(tokio::spawn(look(site.session().await?, holder_id, waited.clone())).abort_handle());
        Ok(Box::new(Held { table, holder, waited, looking }))
    }
}

/// Whether a read of the table has to wait.
async fn is_locked(site: &Site, table: &str) -> Result<bool, HarnessError> {
    let mut probe = site.session().await?;
    probe.execute("SET lock_timeout = '50ms'", &[]).await?;
    match probe.query(&format!("SELECT 1 AS one FROM {table} LIMIT 1"), &[]).await {
        Ok(_) => Ok(false),
        Err(error) if error.code.as_deref() == Some(LOCK_NOT_AVAILABLE) => Ok(true),
        Err(error) => Err(error.into()),
    }
}

/// Notes whom the holder keeps waiting, until it is aborted or the server goes.
async fn look(mut db: Box<dyn DatabaseConnection>, holder: String, waited: Arc<Mutex<BTreeSet<i64>>>) {
    let waiting = "SELECT pid FROM pg_stat_activity WHERE $1 = ANY(pg_blocking_pids(pid)::text[]) \
         AND usename::text IN ('client', 'relay', 'consumer')";
    while let Ok(rows) = db.query(waiting, &[holder.as_str().into()]).await {
        let pids = rows.iter().filter_map(|row| row.int("pid").ok());
        waited.lock().expect("no code panics while it holds the set").extend(pids);
        tokio::time::sleep(PROBE_EVERY).await;
    }
}

impl Held {
    fn waited(&self) -> u64 {
        self.waited.lock().expect("no code panics while it holds the set").len() as u64
    }
}

#[async_trait]
impl Lasting for Held {
    fn has_hit(&self) -> bool {
        self.waited() > 0
    }

    async fn heal(mut self: Box<Self>, site: &Site) -> Result<Hits, HarnessError> {
        // A session that was lost meanwhile (the server was killed, say) holds nothing any more.
        let _ = self.holder.execute("ROLLBACK", &[]).await;
        drop(self.looking);
        let (table, waited) = (self.table, &self.waited);
        super::until("the table stays locked", || async { Ok(!is_locked(site, &table).await?) }).await?;
        let count = waited.lock().expect("no code panics while it holds the set").len() as u64;
        Ok(Hits { count, detail: format!("{count} sessions waited for {table}") })
    }
}
