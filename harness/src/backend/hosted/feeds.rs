//! Changefeeds of CockroachDB into the run's broker.

use std::net::SocketAddr;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep};

use crate::backend::{Feeds, HarnessError};
use crate::port::{Database, DatabaseConnection};
use crate::system::cockroach;
use crate::system::postgres::{PostgresAddress, PostgresDatabase};
use crate::system::sinkless::{Reading, Sinkless};

/// How often a feed is asked how far it is.
const LOOK: Duration = Duration::from_millis(50);

/// The feeds of one run.
pub(super) struct CockroachFeeds {
    /// The run's own database.
    pub(super) database: PostgresDatabase,
    /// The same as an address, for a session that reads a feed.
    pub(super) address: PostgresAddress,
    /// Where the database finds the broker; where it does not, feeds are read by sessions of ours.
    pub(super) broker: Option<String>,
    /// Where we find it.
    pub(super) direct_broker: SocketAddr,
    pub(super) readings: Mutex<Vec<Reading>>,
    /// What the names of the run's topics begin with.
    pub(super) prefix: String,
}

#[async_trait]
impl Feeds for CockroachFeeds {
    async fn follow(&self, table: &str, topic: &str) -> Result<(), HarnessError> {
        let mut db = self.database.connect().await?;
        let topic = format!("{}{topic}", self.prefix);
        if let Some(broker) = &self.broker {
            db.query(&cockroach::create_changefeed(table, broker, &topic), &[]).await?;
            return Ok(());
        }
        let now = only(&mut *db, cockroach::NOW).await?.text("now")?.to_owned();
        let (database, broker) = (self.address.clone(), self.direct_broker);
        let reading = Reading::start(Sinkless { database, table: table.to_owned(), broker, topic }, now);
        self.readings().push(reading);
        Ok(())
    }

    async fn caught_up(&self, patience: Duration) -> Result<(), HarnessError> {
        let end = Instant::now() + patience;
        let mut db = self.database.connect().await?;
        let now = only(&mut *db, cockroach::NOW).await?.text("now")?.to_owned();
        let behind = cockroach::changefeeds_behind(&self.prefix, &now);
        loop {
            let jobs = only(&mut *db, &behind).await?.int("behind")?;
            let read = self.readings().iter().filter(|reading| !reading.is_at(&now)).count();
            let count = jobs + read as i64;
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

impl CockroachFeeds {
    fn readings(&self) -> MutexGuard<'_, Vec<Reading>> {
        self.readings.lock().unwrap_or_else(PoisonError::into_inner)
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
