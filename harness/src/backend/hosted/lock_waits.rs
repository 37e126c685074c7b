//! Who waits for a lock, asked of the database.

use async_trait::async_trait;

use crate::backend::{LockWaits, Wait};
use crate::database::DatabaseKind;
use crate::port::{Database, DatabaseConnection};
use crate::system::cockroach;
use crate::system::postgres::{PostgresDatabase, blocking_sessions};

/// Asks the database's own tables of sessions and locks.
pub(super) struct DatabaseLockWaits {
    kind: DatabaseKind,
    admin: Option<PostgresDatabase>,
    connection: tokio::sync::Mutex<Option<Box<dyn DatabaseConnection>>>,
}

impl DatabaseLockWaits {
    pub(super) fn new(kind: DatabaseKind, admin: Option<PostgresDatabase>) -> DatabaseLockWaits {
        DatabaseLockWaits { kind, admin, connection: tokio::sync::Mutex::default() }
    }
}

#[async_trait]
impl LockWaits for DatabaseLockWaits {
    async fn waits(&self, session: &str) -> Option<Wait> {
        let mut slot = self.connection.lock().await;
        if slot.is_none() {
            *slot = self.admin.as_ref()?.connect().await.ok();
        }
        let connection = slot.as_mut()?;
        let waits = match self.kind {
            DatabaseKind::Postgres => ask_postgres(&mut **connection, session).await,
            DatabaseKind::Cockroach => ask_cockroach(&mut **connection, session).await,
        };
        if waits.is_err() {
            // The server is down, or was: the next question opens another connection.
            *slot = None;
        }
        waits.ok().flatten()
    }
}

async fn ask_postgres(
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
    Ok(for_sessions(holders))
}

async fn ask_cockroach(
    connection: &mut dyn DatabaseConnection,
    session: &str,
) -> Result<Option<Wait>, crate::port::PortError> {
    let holders = cockroach::blocking_sessions(connection, session).await?;
    Ok(for_sessions(holders))
}

fn for_sessions(holders: Vec<String>) -> Option<Wait> {
    (!holders.is_empty()).then_some(Wait::ForSessions(holders))
}
