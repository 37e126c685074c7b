//! `db-terminate`: the database ends sessions of the design, as an administrator or a failing back end does.

use async_trait::async_trait;
use tokio::time::Instant;

use super::{Effect, Lasting, PROBE_EVERY, PROBE_MAX, Site, until};
use crate::backend::{HarnessError, Hits};
use crate::schedule::FaultOn;

/// The effect.
pub(super) struct Terminate;

/// The sessions of the design, of one role or all.
const SESSIONS: &str = "SELECT pid, pg_terminate_backend(pid) AS told FROM pg_stat_activity \
     WHERE datname = $1 AND usename::text IN ('client', 'relay', 'consumer') AND ($2 = '' OR usename::text = $2)";

struct Terminated {
    sessions: usize,
}

#[async_trait]
impl Effect for Terminate {
    fn can(&self, site: &Site, _on: &FaultOn) -> Result<(), HarnessError> {
        site.database_name().map(drop)
    }

    async fn begin(&self, site: &Site, on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let mut admin = site.admin_session().await?;
        let (database, of) = (site.database_name()?, on.of.as_deref().unwrap_or(""));
        let end = Instant::now() + PROBE_MAX;
        let pids = loop {
            let rows = admin.query(SESSIONS, &[database.into(), of.into()]).await?;
            let pids = rows.iter().map(|row| row.int("pid")).collect::<Result<Vec<i64>, _>>()?;
            if !pids.is_empty() {
                break pids;
            }
            if Instant::now() > end {
                return Err(HarnessError::failed("the design has no session that could be terminated"));
            }
            tokio::time::sleep(PROBE_EVERY).await;
        };
        let named = pids.iter().map(i64::to_string).collect::<Vec<_>>().join(", ");
        let left = format!("SELECT count(*) AS left FROM pg_stat_activity WHERE pid IN ({named})");
        let admin = tokio::sync::Mutex::new(admin);
        until("some of the sessions did not end", || async {
            let rows = admin.lock().await.query(&left, &[]).await?;
            Ok(super::site::only(rows)?.int("left")? == 0)
        })
        .await?;
        Ok(Box::new(Terminated { sessions: pids.len() }))
    }
}

#[async_trait]
impl Lasting for Terminated {
    async fn heal(self: Box<Self>, _site: &Site) -> Result<Hits, HarnessError> {
        let count = self.sessions as u64;
        Ok(Hits { count, detail: format!("{count} sessions terminated") })
    }
}
