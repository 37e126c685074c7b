//! `db-changefeed-pause`: the jobs of the run's changefeeds are paused, as an administrator or a failing sink pauses them,
//! and go on from their last checkpoints: what was sent since comes again.

use async_trait::async_trait;

use super::{Effect, Lasting, Site, until};
use crate::backend::{HarnessError, Hits};
use crate::port::{DatabaseConnection, System};
use crate::schedule::FaultOn;
use crate::system::cockroach;

/// The effect.
pub(super) struct ChangefeedPause;

struct Paused(Vec<i64>);

#[async_trait]
impl Effect for ChangefeedPause {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(System::Db, on)
    }

    async fn begin(&self, site: &Site, _on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let mut db = site.session().await?;
        let jobs = cockroach::changefeed_jobs(&mut *db, &site.prefix).await?;
        if jobs.is_empty() {
            return Err(HarnessError::failed("the design has no changefeed that could be paused"));
        }
        for job in &jobs {
            db.execute(&cockroach::pause(*job), &[]).await?;
        }
        all_are(db, &jobs, "paused").await?;
        Ok(Box::new(Paused(jobs)))
    }
}

/// A job takes its time to stop, and to go on.
async fn all_are(
    db: Box<dyn DatabaseConnection>,
    jobs: &[i64],
    status: &'static str,
) -> Result<(), HarnessError> {
    let db = tokio::sync::Mutex::new(db);
    until(&format!("a changefeed's job is not {status}"), || async {
        for job in jobs {
            let rows = db.lock().await.query(&cockroach::status(*job), &[]).await?;
            if super::site::only(rows)?.text("status")? != status {
                return Ok(false);
            }
        }
        Ok(true)
    })
    .await
}

#[async_trait]
impl Lasting for Paused {
    async fn heal(self: Box<Self>, site: &Site) -> Result<Hits, HarnessError> {
        let mut db = site.session().await?;
        for job in &self.0 {
            db.execute(&cockroach::resume(*job), &[]).await?;
        }
        all_are(db, &self.0, "running").await?;
        let count = self.0.len() as u64;
        Ok(Hits { count, detail: format!("{count} changefeeds paused, and resumed") })
    }
}
