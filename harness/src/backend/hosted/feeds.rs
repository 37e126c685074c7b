//! Changefeeds of CockroachDB into the run's broker.

use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::backend::{Feeds, HarnessError};
use crate::port::{Database, DatabaseConnection};
use crate::system::cockroach;
use crate::system::postgres::PostgresDatabase;

/// How often a feed is asked how far it is.
const LOOK: Duration = Duration::from_millis(50);

/// The feeds of one run.
pub(super) struct CockroachFeeds {
    /// The run's own database.
    pub(super) database: PostgresDatabase,
    /// Where the database finds the broker.
    pub(super) broker: Result<String, HarnessError>,
    /// What the names of the run's topics begin with.
    pub(super) prefix: String,
}

#[async_trait]
impl Feeds for CockroachFeeds {
    async fn follow(&self, table: &str, topic: &str) -> Result<(), HarnessError> {
        let broker = self.broker.clone()?;
        let statement = cockroach::create_changefeed(table, &broker, &format!("{}{topic}", self.prefix));
        self.database.connect().await?.query(&statement, &[]).await?;
        Ok(())
    }

    async fn caught_up(&self, patience: Duration) -> Result<(), HarnessError> {
        let end = Instant::now() + patience;
        let mut db = self.database.connect().await?;
        let now = only(&mut *db, cockroach::NOW).await?.text("now")?.to_owned();
        let behind = cockroach::changefeeds_behind(&self.prefix, &now);
        loop {
            let count = only(&mut *db, &behind).await?.int("behind")?;
            if count == 0 {
                return Ok(());
            }
            if Instant::now() > end {
                return Err(HarnessError::failed(format!(
                    "{count} changefeeds have not sent within {} s what was committed",
                    patience.as_secs()
                )));
            }
            sleep(LOOK).await;
        }
    }
}

async fn only(db: &mut dyn DatabaseConnection, sql: &str) -> Result<crate::port::Row, HarnessError> {
    let row = db.query(sql, &[]).await?.into_iter().next();
    row.ok_or_else(|| HarnessError::failed(format!("no row answers {sql}")))
}

/// Ends the feeds of a run, before its tables go.
pub(super) async fn cancel(db: &mut dyn DatabaseConnection, prefix: &str) -> Result<(), HarnessError> {
    for job in cockroach::changefeed_jobs(db, prefix).await? {
        db.execute(&cockroach::cancel(job), &[]).await?;
    }
    Ok(())
}
