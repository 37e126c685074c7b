//! Who waits for a lock, asked of PostgreSQL.

use async_trait::async_trait;

use crate::backend::{LockWaits, Wait};
use crate::port::{Database, DatabaseConnection};
use crate::system::postgres::{PostgresDatabase, blocking_sessions};

/// Asks PostgreSQL's own table of sessions.
pub(super) struct PostgresLockWaits {
    admin: Option<PostgresDatabase>,
    connection: tokio::sync::Mutex<Option<Box<dyn DatabaseConnection>>>,
}

impl PostgresLockWaits {
    pub(super) fn new(admin: Option<PostgresDatabase>) -> PostgresLockWaits {
        PostgresLockWaits { admin, connection: tokio::sync::Mutex::default() }
    }
}

#[async_trait]
impl LockWaits for PostgresLockWaits {
    async fn waits(&self, session: &str) -> Option<Wait> {
        let mut slot = self.connection.lock().await;
        if slot.is_none() {
            *slot = self.admin.as_ref()?.connect().await.ok();
        }
        let connection = slot.as_mut()?;
        let waits = ask(&mut **connection, session).await;
        if waits.is_err() {
            // The server is down, or was: the next question opens another connection.
            *slot = None;
        }
        waits.ok().flatten()
    }
}

async fn ask(
    connection: &mut dyn DatabaseConnection,
    session: &str,
) -> Result<Option<Wait>, crate::port::PortError> {
    let rows = connection
        .query(
            "SELECT coalesce(wait_event, '') AS event FROM pg_stat_activity WHERE pid::text = $1",
            &[session.into()],
        )
        .await?;
    if rows.first().map(|row| row.text("event")).transpose()? == Some("SyncRep") {
        return Ok(Some(Wait::ForStandby));
    }
    let holders = blocking_sessions(connection, session).await?;
    Ok((!holders.is_empty()).then_some(Wait::ForSessions(holders)))
}
