//! Foreign keys: what a statement has changed is checked at its end, or at the end of the transaction, with the
//! queries that PostgreSQL's triggers run (`ri_triggers.c`).

use std::sync::Arc;

use super::super::super::error::{SqlError, state};
use super::super::super::store::{
    Access, Changed, Found, Isolation, LockMode, Locked, RowLock, TableId, Wait,
};
use super::super::super::value::{Tuple, Value};
use super::super::catalog::schema_of;
use super::super::expression::Rows;
use super::super::plan::Target;
use super::super::schema::{Action, ForeignKey, Schema};
use super::Run;
use super::value::Boxed;

/// A change that a foreign key has to be checked for.
#[derive(Debug, Clone)]
pub(in super::super) struct Event {
    pub(in super::super) key: Arc<ForeignKey>,
    kind: Kind,
}

#[derive(Debug, Clone)]
enum Kind {
    /// A row that refers.
    Refers(Tuple),
    /// A row that was referred to, and what it is now; none where it is gone.
    Referred { old: Tuple, new: Option<Tuple> },
}

/// What is left for the end of the transaction.
pub(in super::super) type Pending = Vec<Event>;

impl Run<'_> {
    pub(super) fn note_insert(&mut self, table: &Target, new: &Tuple) {
        for key in &table.schema.foreign_keys {
            self.events.push(Event { key: Arc::clone(key), kind: Kind::Refers(new.clone()) });
        }
    }

    pub(super) fn note_update(&mut self, table: &Target, old: &Tuple, new: &Tuple) {
        for key in &table.schema.referrers {
            if part(old, &key.to_columns) != part(new, &key.to_columns) {
                let kind = Kind::Referred { old: old.clone(), new: Some(new.clone()) };
                self.events.push(Event { key: Arc::clone(key), kind });
            }
        }
        for key in &table.schema.foreign_keys {
            if part(old, &key.from_columns) != part(new, &key.from_columns) {
                self.events.push(Event { key: Arc::clone(key), kind: Kind::Refers(new.clone()) });
            }
        }
    }

    pub(super) fn note_delete(&mut self, table: &Target, old: &Tuple) {
        for key in &table.schema.referrers {
            let kind = Kind::Referred { old: old.clone(), new: None };
            self.events.push(Event { key: Arc::clone(key), kind });
        }
    }

    /// Checks what is due; what is deferred goes to the transaction's end. Actions make changes of their own, which
    /// are checked in turn.
    pub(in super::super) async fn check_foreign_keys(&mut self) -> Result<(), SqlError> {
        while !self.events.is_empty() {
            for event in std::mem::take(&mut self.events) {
                if event.can_wait() && self.state.defers(&event.key) {
                    self.state.pending.push(event);
                } else {
                    self.check(&event).await?;
                }
            }
        }
        Ok(())
    }

    /// Checks what was left for the end of the transaction.
    pub(in super::super) async fn check_pending(&mut self) -> Result<(), SqlError> {
        while !self.state.pending.is_empty() || !self.events.is_empty() {
            let pending = std::mem::take(&mut self.state.pending);
            let events = pending.into_iter().chain(std::mem::take(&mut self.events)).collect::<Vec<_>>();
            for event in events {
                self.check(&event).await?;
            }
        }
        Ok(())
    }

    async fn check(&mut self, event: &Event) -> Result<(), SqlError> {
        match &event.kind {
            Kind::Refers(row) => self.check_refers(&event.key, row).await,
            Kind::Referred { old, new } => self.check_referred(&event.key, old, new.as_ref()).await,
        }
    }

    /// The row that is referred to has to be there; it is locked so that it stays.
    async fn check_refers(&mut self, key: &ForeignKey, row: &Tuple) -> Result<(), SqlError> {
        let wanted = part(row, &key.from_columns);
        if wanted.iter().any(Value::is_null) {
            return Ok(());
        }
        self.session.lock_table(key.to, LockMode::RowShare, true).await?;
        self.renew_snapshot(false);
        let schema = self.schema(key.to)?;
        for found in self.by_columns(key.to, &schema, &key.to_columns, &wanted)? {
            let locked =
                self.session.lock_row(&self.snapshot, &found, RowLock::KeyShare, Wait::Block).await?;
            let there = match locked {
                Locked::Same(_) => true,
                Locked::Updated(newer) => part(&newer.tuple, &key.to_columns) == wanted,
                Locked::Deleted | Locked::Skipped | Locked::SelfModified | Locked::Invisible => false,
            };
            if there {
                return Ok(());
            }
        }
        let message = format!(
            "insert or update on table \"{}\" violates foreign key constraint \"{}\"",
            key.from_name, key.name
        );
        let from = self.schema(key.from)?;
        let shown = shown(&from, &key.from_columns, &wanted);
        let detail = format!("Key {shown} is not present in table \"{}\".", key.to_name);
        Err(SqlError::new(state::FOREIGN_KEY_VIOLATION, message).detail(detail))
    }

    async fn check_referred(
        &mut self,
        key: &ForeignKey,
        old: &Tuple,
        new: Option<&Tuple>,
    ) -> Result<(), SqlError> {
        let gone = part(old, &key.to_columns);
        if gone.iter().any(Value::is_null) {
            return Ok(());
        }
        self.session.lock_table(key.from, LockMode::RowExclusive, true).await?;
        let action = if new.is_some() { key.on_update } else { key.on_delete };
        let schema = self.schema(key.from)?;
        let before = self.snapshot;
        self.renew_snapshot(true);
        if action == Action::Refuse && self.has_replacement(key, &gone)? {
            return Ok(());
        }
        for found in self.by_columns(key.from, &schema, &key.from_columns, &gone)? {
            match action {
                Action::Refuse | Action::Restrict => self.refuse_if_there(key, &found, &gone).await?,
                Action::Cascade | Action::SetNull | Action::SetDefault => {
                    self.check_seen(&before, &found)?;
                    self.act(key, &schema, found, action, new).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether another row has the key now.
    fn has_replacement(&mut self, key: &ForeignKey, gone: &[Value]) -> Result<bool, SqlError> {
        let schema = self.schema(key.to)?;
        Ok(!self.by_columns(key.to, &schema, &key.to_columns, gone)?.is_empty())
    }

    async fn refuse_if_there(
        &mut self,
        key: &ForeignKey,
        found: &Found,
        gone: &[Value],
    ) -> Result<(), SqlError> {
        let locked = self.session.lock_row(&self.snapshot, found, RowLock::KeyShare, Wait::Block).await?;
        let there = match locked {
            Locked::Same(_) => true,
            Locked::Updated(newer) => part(&newer.tuple, &key.from_columns) == gone,
            Locked::Deleted | Locked::Skipped | Locked::SelfModified | Locked::Invisible => false,
        };
        if !there {
            return Ok(());
        }
        let message = format!(
            "update or delete on table \"{}\" violates foreign key constraint \"{}\" on table \"{}\"",
            key.to_name, key.name, key.from_name
        );
        let to = self.schema(key.to)?;
        let shown = shown(&to, &key.to_columns, gone);
        let detail = format!("Key {shown} is still referenced from table \"{}\".", key.from_name);
        Err(SqlError::new(state::FOREIGN_KEY_VIOLATION, message).detail(detail))
    }

    /// Above read committed, an action must not touch rows that the transaction does not see.
    fn check_seen(
        &mut self,
        before: &super::super::super::store::Snapshot,
        found: &Found,
    ) -> Result<(), SqlError> {
        let keeps = self.session.isolation() != Isolation::ReadCommitted;
        let own = self.session.next_command(before);
        if keeps && self.session.row_at(&own, found.table, found.row).is_none() {
            return Err(SqlError::concurrent_update());
        }
        Ok(())
    }

    /// `CASCADE`, `SET NULL`, `SET DEFAULT` for one row that refers.
    fn act<'b>(
        &'b mut self,
        key: &'b ForeignKey,
        schema: &'b Arc<Schema>,
        found: Found,
        action: Action,
        new: Option<&'b Tuple>,
    ) -> Boxed<'b, ()> {
        Box::pin(async move {
            let target = Target { id: key.from, schema: Arc::clone(schema) };
            let gone = part(&found.tuple, &key.from_columns);
            let mut found = found;
            loop {
                let changed = match (action, new) {
                    (Action::Cascade, None) => self.session.delete(&self.snapshot, &found).await?,
                    _ => {
                        let tuple = self.moved(key, schema, &found.tuple, action, new).await?;
                        self.session.update(&self.snapshot, &found, tuple).await?
                    }
                };
                match changed {
                    Changed::Done(None) => self.note_delete(&target, &found.tuple),
                    Changed::Done(Some(stored)) => self.note_update(&target, &found.tuple, &stored.tuple),
                    Changed::Newer(newer) if part(&newer.tuple, &key.from_columns) == gone => {
                        found = newer;
                        continue;
                    }
                    Changed::Newer(_) | Changed::Gone | Changed::SelfModified => {}
                }
                return Ok(());
            }
        })
    }

    async fn moved(
        &mut self,
        key: &ForeignKey,
        schema: &Schema,
        old: &Tuple,
        action: Action,
        new: Option<&Tuple>,
    ) -> Result<Tuple, SqlError> {
        let mut values = old.to_vec();
        for (from, to) in key.from_columns.iter().zip(&key.to_columns) {
            values[*from] = match (action, new, &schema.columns[*from].default) {
                (Action::Cascade, Some(new), _) => new[*to].clone(),
                (Action::SetDefault, _, Some(default)) => {
                    let nothing = Rows::of(&[], &[]);
                    self.value(default, &nothing).await?
                }
                _ => Value::Null,
            };
        }
        self.completed(schema, values)
    }

    /// What the check sees: the effects of the statement, and what is committed by now where the transaction takes
    /// new snapshots; always that, where rows must not be overlooked (`detectNewRows`).
    fn renew_snapshot(&mut self, newest: bool) {
        self.snapshot = if newest || self.session.isolation() == Isolation::ReadCommitted {
            self.session.latest_snapshot()
        } else {
            self.session.next_command(&self.snapshot)
        };
    }

    fn schema(&self, table: TableId) -> Result<Arc<Schema>, SqlError> {
        Ok(schema_of(&*self.session.table_def(table)?))
    }

    /// The rows with these values, by an index over the columns where there is one.
    fn by_columns(
        &mut self,
        table: TableId,
        schema: &Schema,
        columns: &[usize],
        wanted: &[Value],
    ) -> Result<Vec<Found>, SqlError> {
        for index in schema.indexes.iter().filter(|index| index.predicate.is_empty()) {
            let Some(keys) = index.columns() else { continue };
            let leads = keys.len() >= columns.len()
                && keys[..columns.len()].iter().all(|column| columns.contains(column));
            if leads {
                let place = |column: &usize| columns.iter().position(|other| other == column);
                let key = keys[..columns.len()].iter().filter_map(place).map(|at| wanted[at].clone());
                let access = Access::Equal { index: index.id, key: key.collect() };
                return self.session.scan(&self.snapshot, table, &access);
            }
        }
        let mut found = self.session.scan(&self.snapshot, table, &Access::All)?;
        found.retain(|found| part(&found.tuple, columns) == wanted);
        Ok(found)
    }
}

impl Event {
    /// `RESTRICT` never waits for the transaction's end.
    fn can_wait(&self) -> bool {
        match &self.kind {
            Kind::Refers(_) => true,
            Kind::Referred { new: Some(_), .. } => self.key.on_update == Action::Refuse,
            Kind::Referred { new: None, .. } => self.key.on_delete == Action::Refuse,
        }
    }
}

fn part(tuple: &[Value], columns: &[usize]) -> Vec<Value> {
    columns.iter().map(|column| tuple[*column].clone()).collect()
}

/// `(a, b)=(1, 2)`.
fn shown(schema: &Schema, columns: &[usize], values: &[Value]) -> String {
    let names: Vec<&str> = columns.iter().map(|column| &*schema.columns[*column].name).collect();
    let texts = columns.iter().zip(values).map(|(column, value)| {
        value.output(schema.columns[*column].kind).unwrap_or_else(|| "null".to_owned())
    });
    format!("({})=({})", names.join(", "), texts.collect::<Vec<_>>().join(", "))
}
