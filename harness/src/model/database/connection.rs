//! A session behind the port.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::time::{Instant, sleep_until};

use super::error::{SqlError, state};
use super::port_value;
use super::sql::{Answer, SqlSession};
use crate::port::{DatabaseConnection, Notification, PortError, Row, SqlValue, System};

/// A session.
pub(super) struct ModelConnection {
    session: SqlSession,
    id: String,
}

impl ModelConnection {
    pub(super) fn new(mut session: SqlSession) -> Self {
        let id = session.store_session().id().to_string();
        ModelConnection { session, id }
    }

    async fn run(&mut self, sql: &str, params: &[SqlValue]) -> Result<Answer, PortError> {
        let described = match self.session.describe(sql) {
            Ok(described) => described,
            Err(error) => return Err(self.failed(error).await),
        };
        port_value::readable(described.columns())?;
        let params = match port_value::parameters(described.params(), params)? {
            Ok(params) => params,
            Err(error) => return Err(self.failed(error).await),
        };
        let answer = self.session.execute(&described, &params).await.map_err(SqlError::into_port)?;
        // Nobody asks for warnings here, and they must not pile up.
        self.session.take_warnings();
        if described.is_commit() && answer.tag == "ROLLBACK" {
            let message = "the transaction was rolled back: a statement in it had failed before";
            return Err(PortError::refused(System::Db, state::IN_FAILED_SQL_TRANSACTION, message));
        }
        Ok(answer)
    }

    async fn failed(&mut self, error: SqlError) -> PortError {
        self.session.fail().await;
        error.into_port()
    }
}

#[async_trait]
impl DatabaseConnection for ModelConnection {
    async fn query(&mut self, sql: &str, params: &[SqlValue]) -> Result<Vec<Row>, PortError> {
        let answer = self.run(sql, params).await?;
        let Some(columns) = &answer.columns else { return Ok(Vec::new()) };
        let names: Arc<[String]> = columns.iter().map(|(name, _)| name.to_string()).collect();
        let row = |tuple: &Arc<[_]>| {
            let cells = tuple.iter().zip(columns.iter());
            let values = cells.map(|(value, (_, kind))| port_value::cell(value, *kind)).collect();
            Row::new(Arc::clone(&names), values)
        };
        Ok(answer.rows.iter().map(row).collect())
    }

    async fn execute(&mut self, sql: &str, params: &[SqlValue]) -> Result<u64, PortError> {
        Ok(self.run(sql, params).await?.count)
    }

    async fn notification(&mut self, wait: Duration) -> Result<Option<Notification>, PortError> {
        let until = Instant::now() + wait;
        let session = self.session.store_session();
        loop {
            if session.is_terminated() {
                return Err(PortError::not_sent(System::Db, "the session is lost: the server ended it"));
            }
            if let Some(notice) = session.next_notice() {
                let (channel, payload) = (notice.channel.to_string(), notice.payload.to_string());
                return Ok(Some(Notification { channel, payload }));
            }
            tokio::select! {
                biased;
                () = session.notice_arrives() => {}
                () = sleep_until(until) => return Ok(None),
            }
        }
    }

    fn session_id(&self) -> String {
        self.id.clone()
    }
}
