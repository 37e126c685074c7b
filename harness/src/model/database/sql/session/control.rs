//! Transaction control.

use super::super::super::error::{SqlError, state};
use super::super::super::store::Ended;
use super::super::plan::Plan;
use super::super::run::Run;
use super::super::syntax::{Characteristics, Control};
use super::{Answer, Savepoint, SqlSession};

impl SqlSession {
    pub(super) async fn control(&mut self, control: &Control) -> Result<Answer, SqlError> {
        let ends = matches!(
            control,
            Control::Commit { .. }
                | Control::Rollback { .. }
                | Control::RollbackTo(_)
                | Control::PrepareTransaction(_)
        );
        if self.session.is_failed() && !ends {
            return Err(SqlError::in_failed_transaction());
        }
        let result = match control {
            Control::Begin { characteristics, start } => self.begin(characteristics, *start),
            Control::Commit { chain } => return self.commit(*chain).await,
            Control::Rollback { chain } => return Ok(self.rollback(*chain)),
            Control::PrepareTransaction(name) => return self.prepare_transaction(name).await,
            Control::Savepoint(name) => self.savepoint(name),
            Control::Release(name) => self.release(name),
            Control::RollbackTo(name) => self.rollback_to(name),
            Control::CommitPrepared(name) => self.outside_block("COMMIT PREPARED").and_then(|()| {
                self.session.commit_prepared(name)?;
                Ok(Answer::tag("COMMIT PREPARED"))
            }),
            Control::RollbackPrepared(name) => self.outside_block("ROLLBACK PREPARED").and_then(|()| {
                self.session.rollback_prepared(name)?;
                Ok(Answer::tag("ROLLBACK PREPARED"))
            }),
            Control::SetTransaction(characteristics) => self.set_transaction(characteristics),
            Control::SetSessionCharacteristics(characteristics) => {
                let Characteristics { isolation, read_only, deferrable } = *characteristics;
                self.session.set(|settings| {
                    settings.isolation = isolation.unwrap_or(settings.isolation);
                    settings.read_only = read_only.unwrap_or(settings.read_only);
                    settings.deferrable = deferrable.unwrap_or(settings.deferrable);
                });
                Ok(Answer::tag("SET"))
            }
        };
        if result.is_err() {
            self.fail().await;
        }
        result
    }

    fn begin(&mut self, characteristics: &Characteristics, start: bool) -> Result<Answer, SqlError> {
        let tag = Answer::tag(if start { "START TRANSACTION" } else { "BEGIN" });
        if self.session.in_block() {
            if self.implicit_block {
                self.implicit_block = false;
            } else {
                self.state.warn("25001", "there is already a transaction in progress");
            }
            self.characterise(characteristics)?;
            return Ok(tag);
        }
        self.begin_block(characteristics);
        Ok(tag)
    }

    fn begin_block(&mut self, characteristics: &Characteristics) {
        let defaults = self.session.settings();
        self.session.begin(
            characteristics.isolation.unwrap_or(defaults.isolation),
            characteristics.read_only.unwrap_or(defaults.read_only),
            characteristics.deferrable.unwrap_or(defaults.deferrable),
        );
        self.state.transaction_start_us = self.state.clock.now_us();
        self.state.mark();
    }

    /// The block around several statements of one text.
    pub(super) fn begin_implicit(&mut self) {
        self.begin_block(&Characteristics::default());
        self.implicit_block = true;
    }

    fn characterise(&mut self, characteristics: &Characteristics) -> Result<(), SqlError> {
        let Characteristics { isolation, read_only, deferrable } = *characteristics;
        if self.session.set_transaction(isolation, read_only, deferrable) {
            return Ok(());
        }
        let message = if isolation.is_some() {
            "SET TRANSACTION ISOLATION LEVEL must be called before any query"
        } else if deferrable.is_some() {
            "SET TRANSACTION [NOT] DEFERRABLE must be called before any query"
        } else {
            "transaction read-write mode must be set before any query"
        };
        Err(SqlError::new(state::ACTIVE_SQL_TRANSACTION, message))
    }

    fn set_transaction(&mut self, characteristics: &Characteristics) -> Result<Answer, SqlError> {
        if self.session.in_block() {
            self.characterise(characteristics)?;
        } else {
            self.state.warn("25P01", "SET TRANSACTION can only be used in transaction blocks");
        }
        Ok(Answer::tag("SET"))
    }

    /// `COMMIT`. The tag of one that rolled back is `ROLLBACK`.
    pub(super) async fn commit(&mut self, chain: bool) -> Result<Answer, SqlError> {
        if !self.session.in_block() {
            self.state.warn("25P01", "there is no transaction in progress");
            return Ok(Answer::tag("COMMIT"));
        }
        let again = self.characteristics();
        let checked = self.check_pending().await;
        let ended = match checked {
            Ok(()) => self.session.commit().await,
            Err(error) => {
                self.session.rollback();
                Err(error)
            }
        };
        let committed = matches!(ended, Ok(Ended::Committed));
        self.after_transaction(committed);
        ended?;
        if chain {
            self.begin_block(&again);
        }
        Ok(Answer::tag(if committed { "COMMIT" } else { "ROLLBACK" }))
    }

    fn characteristics(&self) -> Characteristics {
        Characteristics {
            isolation: Some(self.session.isolation()),
            read_only: Some(self.session.is_read_only()),
            deferrable: None,
        }
    }

    /// Foreign keys that were left for the end.
    async fn check_pending(&mut self) -> Result<(), SqlError> {
        if self.state.pending.is_empty() || self.session.is_failed() {
            return Ok(());
        }
        let snapshot = self.session.statement().await?;
        let plan = Plan::of_nothing();
        let mut run = Run::new(&mut self.session, &mut self.state, &plan, &[], snapshot);
        run.check_pending().await
    }

    fn rollback(&mut self, chain: bool) -> Answer {
        if !self.session.in_block() {
            self.state.warn("25P01", "there is no transaction in progress");
            return Answer::tag("ROLLBACK");
        }
        let again = self.characteristics();
        self.end_transaction(false);
        if chain {
            self.begin_block(&again);
        }
        Answer::tag("ROLLBACK")
    }

    /// Rolls back, and takes settings back that were made since.
    pub(super) fn end_transaction(&mut self, committed: bool) {
        self.session.rollback();
        self.after_transaction(committed);
    }

    fn after_transaction(&mut self, committed: bool) {
        self.state.end(committed, &mut self.session);
        self.savepoints.clear();
        self.implicit_block = false;
    }

    async fn prepare_transaction(&mut self, name: &str) -> Result<Answer, SqlError> {
        if !self.session.in_block() {
            self.state.warn("25P01", "there is no transaction in progress");
            return Ok(Answer::tag("ROLLBACK"));
        }
        let ended = match self.check_pending().await {
            Ok(()) => self.session.prepare_transaction(name),
            Err(error) => {
                self.session.rollback();
                Err(error)
            }
        };
        let prepared = matches!(ended, Ok(Ended::Committed));
        self.after_transaction(prepared);
        ended?;
        Ok(Answer::tag(if prepared { "PREPARE TRANSACTION" } else { "ROLLBACK" }))
    }

    fn savepoint(&mut self, name: &str) -> Result<Answer, SqlError> {
        self.inside_block("SAVEPOINT")?;
        self.session.savepoint(name);
        let (depth, pending) = (self.state.depth(), self.state.pending.len());
        self.state.mark();
        self.savepoints.push(Savepoint { name: name.to_owned(), depth, pending });
        Ok(Answer::tag("SAVEPOINT"))
    }

    fn release(&mut self, name: &str) -> Result<Answer, SqlError> {
        self.inside_block("RELEASE SAVEPOINT")?;
        self.session.release(name)?;
        if let Some(place) = self.savepoint_place(name) {
            self.savepoints.truncate(place);
        }
        Ok(Answer::tag("RELEASE"))
    }

    fn rollback_to(&mut self, name: &str) -> Result<Answer, SqlError> {
        self.inside_block("ROLLBACK TO SAVEPOINT")?;
        self.session.rollback_to(name)?;
        if let Some(place) = self.savepoint_place(name) {
            let Savepoint { depth, pending, .. } = self.savepoints[place];
            self.savepoints.truncate(place + 1);
            self.state.back_to(depth, &mut self.session);
            self.state.pending.truncate(pending);
        }
        Ok(Answer::tag("ROLLBACK"))
    }

    fn savepoint_place(&self, name: &str) -> Option<usize> {
        self.savepoints.iter().rposition(|savepoint| savepoint.name == name)
    }

    /// Refuses what only a block can do.
    pub(super) fn inside_block(&self, what: &str) -> Result<(), SqlError> {
        if self.session.in_block() && !self.implicit_block {
            return Ok(());
        }
        let message = format!("{what} can only be used in transaction blocks");
        Err(SqlError::new(state::NO_ACTIVE_SQL_TRANSACTION, message))
    }

    /// Refuses what no block can do.
    pub(super) fn outside_block(&self, what: &str) -> Result<(), SqlError> {
        if !self.session.in_block() {
            return Ok(());
        }
        let message = format!("{what} cannot run inside a transaction block");
        Err(SqlError::new(state::ACTIVE_SQL_TRANSACTION, message))
    }
}
