//! The settings of a session, and what else it remembers between statements.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use tokio::time::Instant;

use super::super::error::{SqlError, state};
use super::super::store::{Isolation, Session};
use super::run::Pending;
use super::schema::ForeignKey;

/// Virtual time: it starts at 2000-01-01 and goes on where a copied database stood.
#[derive(Debug, Clone, Default)]
pub(crate) struct Clock(Arc<Mutex<ClockState>>);

#[derive(Debug, Clone, Copy, Default)]
struct ClockState {
    /// What had passed before the copy was made.
    before_us: i64,
    /// The last time that was asked for.
    last_us: i64,
    start: Option<Instant>,
}

/// 2000-01-01 in microseconds from 1970-01-01.
const EPOCH_US: i64 = 946_684_800_000_000;

impl Clock {
    /// The time now.
    pub(super) fn now_us(&self) -> i64 {
        EPOCH_US + self.elapsed_us()
    }

    /// Another clock that goes on from the last time that was asked for here. It does not look at the time now: a
    /// copy may be made where no virtual time runs.
    pub(crate) fn fork(&self) -> Self {
        let before_us = self.lock().last_us;
        Clock(Arc::new(Mutex::new(ClockState { before_us, last_us: before_us, start: None })))
    }

    fn elapsed_us(&self) -> i64 {
        let mut state = self.lock();
        let start = *state.start.get_or_insert_with(Instant::now);
        let passed = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
        state.last_us = state.before_us.saturating_add(passed);
        state.last_us
    }

    fn lock(&self) -> MutexGuard<'_, ClockState> {
        self.0.lock().expect("no code panics while it holds the clock")
    }
}

/// A message that is no error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Warning {
    /// `WARNING` or `NOTICE`.
    pub(crate) severity: &'static str,
    /// The SQLSTATE.
    pub(crate) code: &'static str,
    /// What it says.
    pub(crate) message: String,
}

/// What a session remembers.
#[derive(Debug)]
pub(super) struct SessionState {
    pub(super) clock: Clock,
    pub(super) transaction_start_us: i64,
    pub(super) statement_start_us: i64,
    pub(super) warnings: Vec<Warning>,
    /// What foreign keys are still to be checked for.
    pub(super) pending: Pending,
    /// `SET CONSTRAINTS`: of all, or of some by name.
    constraints: (Option<bool>, BTreeMap<String, bool>),
    values: Values,
    /// As they were when the transaction began, and at each savepoint.
    before: Vec<Values>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Values {
    set: BTreeMap<String, String>,
    /// What `SET LOCAL` covers until the transaction ends.
    covered: BTreeMap<String, Option<String>>,
}

impl SessionState {
    pub(super) fn new(clock: Clock) -> Self {
        SessionState {
            clock,
            transaction_start_us: 0,
            statement_start_us: 0,
            warnings: Vec::new(),
            pending: Vec::new(),
            constraints: (None, BTreeMap::new()),
            values: Values::default(),
            before: Vec::new(),
        }
    }

    /// A warning for the client.
    pub(super) fn warn(&mut self, code: &'static str, message: impl Into<String>) {
        self.warnings.push(Warning { severity: "WARNING", code, message: message.into() });
    }

    /// A notice for the client.
    pub(super) fn notice(&mut self, message: impl Into<String>) {
        self.warnings.push(Warning { severity: "NOTICE", code: "00000", message: message.into() });
    }

    /// Whether the check of a foreign key is left for the transaction's end.
    pub(super) fn defers(&self, key: &ForeignKey) -> bool {
        let (all, named) = &self.constraints;
        key.deferrable && named.get(&*key.name).copied().or(*all).unwrap_or(key.deferred)
    }

    /// `SET CONSTRAINTS`.
    pub(super) fn set_constraints(&mut self, names: Option<&[String]>, deferred: bool) {
        match names {
            None => self.constraints = (Some(deferred), BTreeMap::new()),
            Some(names) => {
                self.constraints.1.extend(names.iter().map(|name| (name.clone(), deferred)));
            }
        }
    }

    /// A transaction begins, or a savepoint is set: from here settings can be taken back.
    pub(super) fn mark(&mut self) {
        self.before.push(self.values.clone());
    }

    /// Takes settings back to the mark of that depth, which stays.
    pub(super) fn back_to(&mut self, depth: usize, session: &mut Session) {
        self.before.truncate(depth + 1);
        if let Some(values) = self.before.get(depth) {
            let values = values.clone();
            self.replace(values, session);
        }
    }

    /// How many marks there are.
    pub(super) fn depth(&self) -> usize {
        self.before.len()
    }

    /// The transaction ends.
    pub(super) fn end(&mut self, committed: bool, session: &mut Session) {
        self.pending.clear();
        self.constraints = (None, BTreeMap::new());
        let first = self.before.drain(..).next();
        let mut values = match first {
            Some(before) if !committed => before,
            _ => self.values.clone(),
        };
        for (name, covered) in std::mem::take(&mut values.covered) {
            match covered {
                Some(value) => values.set.insert(name, value),
                None => values.set.remove(&name),
            };
        }
        self.replace(values, session);
    }

    fn replace(&mut self, values: Values, session: &mut Session) {
        if self.values == values {
            return;
        }
        let old = std::mem::replace(&mut self.values, values);
        for name in old.set.keys().chain(self.values.set.keys()) {
            let value = self.values.set.get(name).map(String::as_str);
            // Each of them was accepted when it was set.
            let _ = apply(session, name, value);
        }
    }
}

/// How the value of a setting is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Switch,
    /// A number of milliseconds, with or without a unit.
    Time,
    Number,
    Text,
    /// One of these.
    OneOf(&'static [&'static str]),
    ReadOnly,
}

const LEVELS: &[&str] = &["serializable", "repeatable read", "read committed", "read uncommitted"];
const COMMITS: &[&str] = &["on", "off", "local", "remote_write", "remote_apply", "true", "false"];
const VERBOSITY: &[&str] =
    &["debug5", "debug4", "debug3", "debug2", "debug1", "log", "notice", "warning", "error"];

/// The settings that are known, with what they are where nobody has set them. Those of the planner change no
/// result: access follows a rule of its own.
const SETTINGS: &[(&str, Kind, &str)] = &[
    ("application_name", Kind::Text, ""),
    ("client_encoding", Kind::OneOf(&["utf8", "utf-8", "unicode"]), "UTF8"),
    ("client_min_messages", Kind::OneOf(VERBOSITY), "notice"),
    ("cpu_index_tuple_cost", Kind::Text, "0.005"),
    ("cpu_operator_cost", Kind::Text, "0.0025"),
    ("cpu_tuple_cost", Kind::Text, "0.01"),
    ("datestyle", Kind::OneOf(&["iso", "iso, mdy"]), "ISO, MDY"),
    ("deadlock_timeout", Kind::Time, "1s"),
    ("default_transaction_deferrable", Kind::Switch, "off"),
    ("default_transaction_isolation", Kind::OneOf(LEVELS), "read committed"),
    ("default_transaction_read_only", Kind::Switch, "off"),
    ("enable_bitmapscan", Kind::Switch, "on"),
    ("enable_hashagg", Kind::Switch, "on"),
    ("enable_hashjoin", Kind::Switch, "on"),
    ("enable_indexonlyscan", Kind::Switch, "on"),
    ("enable_indexscan", Kind::Switch, "on"),
    ("enable_mergejoin", Kind::Switch, "on"),
    ("enable_nestloop", Kind::Switch, "on"),
    ("enable_seqscan", Kind::Switch, "on"),
    ("enable_sort", Kind::Switch, "on"),
    ("extra_float_digits", Kind::OneOf(&["1", "2", "3"]), "1"),
    ("force_parallel_mode", Kind::OneOf(&["on", "off", "true", "false"]), "off"),
    ("fsync", Kind::ReadOnly, "on"),
    ("jit", Kind::Switch, "on"),
    ("lock_timeout", Kind::Time, "0"),
    ("max_parallel_workers_per_gather", Kind::Number, "2"),
    ("min_parallel_index_scan_size", Kind::Text, "512kB"),
    ("min_parallel_table_scan_size", Kind::Text, "8MB"),
    ("parallel_leader_participation", Kind::Switch, "on"),
    ("parallel_setup_cost", Kind::Text, "1000"),
    ("parallel_tuple_cost", Kind::Text, "0.1"),
    ("plan_cache_mode", Kind::Text, "auto"),
    ("random_page_cost", Kind::Text, "4"),
    ("search_path", Kind::OneOf(&["$user, public", "public", "public, pg_catalog"]), "\"$user\", public"),
    ("seq_page_cost", Kind::Text, "1"),
    ("server_version_num", Kind::ReadOnly, "150000"),
    ("session_replication_role", Kind::OneOf(&["origin"]), "origin"),
    ("standard_conforming_strings", Kind::OneOf(&["on"]), "on"),
    ("statement_timeout", Kind::Time, "0"),
    ("synchronous_commit", Kind::OneOf(COMMITS), "on"),
    ("timezone", Kind::OneOf(&["utc", "gmt", "etc/utc"]), "UTC"),
    ("transaction_deferrable", Kind::ReadOnly, "off"),
    ("transaction_isolation", Kind::OneOf(LEVELS), "read committed"),
    ("transaction_read_only", Kind::Switch, "off"),
    ("wal_level", Kind::ReadOnly, "logical"),
    ("work_mem", Kind::Text, "4MB"),
];

/// `SET name = value`, `RESET name` (no value).
pub(super) fn set(
    state_of: &mut SessionState,
    session: &mut Session,
    name: &str,
    value: Option<&str>,
    local: bool,
) -> Result<(), SqlError> {
    let name = name.to_lowercase();
    let value = match value {
        Some(value) => Some(checked(&name, value)?),
        None => {
            kind_of(&name)?;
            None
        }
    };
    if name == "transaction_isolation" || name == "transaction_read_only" {
        return set_transaction(session, &name, value.as_deref());
    }
    apply(session, &name, value.as_deref())?;
    let values = &mut state_of.values;
    if local {
        let old = values.set.get(&name).cloned();
        values.covered.entry(name.clone()).or_insert(old);
    } else {
        values.covered.remove(&name);
    }
    match value {
        Some(value) => values.set.insert(name, value),
        None => values.set.remove(&name),
    };
    Ok(())
}

/// `RESET ALL`.
pub(super) fn reset_all(state_of: &mut SessionState, session: &mut Session) -> Result<(), SqlError> {
    let names: Vec<String> = state_of.values.set.keys().cloned().collect();
    names.iter().try_for_each(|name| set(state_of, session, name, None, false))
}

fn set_transaction(session: &mut Session, name: &str, value: Option<&str>) -> Result<(), SqlError> {
    let value = value.unwrap_or_default();
    let done = if name == "transaction_isolation" {
        session.set_transaction(Some(level(value)), None, None)
    } else {
        session.set_transaction(None, Some(is_on(value)), None)
    };
    if done {
        return Ok(());
    }
    let message = if name == "transaction_isolation" {
        "SET TRANSACTION ISOLATION LEVEL must be called before any query"
    } else {
        "cannot set transaction read-write mode inside a read-only transaction"
    };
    Err(SqlError::new(state::ACTIVE_SQL_TRANSACTION, message))
}

/// `SHOW name`.
pub(super) fn show(state_of: &SessionState, session: &Session, name: &str) -> Result<String, SqlError> {
    let name = name.to_lowercase();
    match name.as_str() {
        "transaction_isolation" => return Ok(level_name(session.isolation()).to_owned()),
        "transaction_read_only" => {
            return Ok(if session.is_read_only() { "on" } else { "off" }.to_owned());
        }
        _ => {}
    }
    if let Some(value) = state_of.values.set.get(&name) {
        return Ok(value.clone());
    }
    kind_of(&name)?;
    let known = SETTINGS.iter().find(|(known, ..)| *known == name);
    known.map(|(_, _, default)| (*default).to_owned()).ok_or_else(|| unrecognized(&name))
}

fn unrecognized(name: &str) -> SqlError {
    let message = format!("unrecognized configuration parameter \"{name}\"");
    SqlError::new(state::UNDEFINED_OBJECT, message)
}

fn kind_of(name: &str) -> Result<Kind, SqlError> {
    if let Some((_, kind, _)) = SETTINGS.iter().find(|(known, ..)| *known == name) {
        return Ok(*kind);
    }
    if name.contains('.') {
        return Ok(Kind::Text);
    }
    let known: Vec<&str> = SETTINGS.iter().map(|(name, ..)| *name).collect();
    Err(SqlError::unknown(format!("the setting {name}"), &known.join(", ")))
}

/// The value as `SHOW` prints it, once it is one that the setting takes.
fn checked(name: &str, value: &str) -> Result<String, SqlError> {
    let invalid = || {
        let message = format!("invalid value for parameter \"{name}\": \"{value}\"");
        SqlError::new(state::INVALID_PARAMETER_VALUE, message)
    };
    let lower = value.to_lowercase();
    Ok(match kind_of(name)? {
        Kind::Switch => match lower.as_str() {
            "on" | "true" | "yes" | "1" => "on".to_owned(),
            "off" | "false" | "no" | "0" => "off".to_owned(),
            _ => {
                let message = format!("parameter \"{name}\" requires a Boolean value");
                return Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message));
            }
        },
        Kind::Time => time_text(milliseconds(value).ok_or_else(invalid)?),
        Kind::Number => value.parse::<i64>().map_err(|_| invalid())?.to_string(),
        Kind::Text => value.to_owned(),
        Kind::OneOf(values) if values.contains(&lower.as_str()) => match lower.as_str() {
            "true" => "on".to_owned(),
            "false" => "off".to_owned(),
            _ => value.to_owned(),
        },
        Kind::OneOf(values) => {
            return Err(SqlError::unknown(format!("the value {value} of {name}"), &values.join(", ")));
        }
        Kind::ReadOnly => {
            let message = format!("parameter \"{name}\" cannot be changed now");
            return Err(SqlError::new("55P02", message));
        }
    })
}

/// Milliseconds of `10`, `10s`, `1min`.
fn milliseconds(value: &str) -> Option<u64> {
    let value = value.trim();
    let split = value.find(|c: char| !c.is_ascii_digit()).unwrap_or(value.len());
    let (number, unit) = value.split_at(split);
    let factor = match unit.trim() {
        "" | "ms" => 1,
        "s" => 1000,
        "min" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return None,
    };
    number.parse::<u64>().ok()?.checked_mul(factor)
}

/// In the greatest unit that leaves no rest.
fn time_text(value_ms: u64) -> String {
    let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1000, "s")];
    match units.into_iter().find(|(unit_ms, _)| value_ms > 0 && value_ms.is_multiple_of(*unit_ms)) {
        Some((unit_ms, unit)) => format!("{}{unit}", value_ms / unit_ms),
        None if value_ms == 0 => "0".to_owned(),
        None => format!("{value_ms}ms"),
    }
}

fn is_on(value: &str) -> bool {
    !matches!(value, "off" | "false" | "no" | "0" | "")
}

fn level(value: &str) -> Isolation {
    match value.to_lowercase().as_str() {
        "serializable" => Isolation::Serializable,
        "repeatable read" => Isolation::RepeatableRead,
        _ => Isolation::ReadCommitted,
    }
}

/// The name of a level, as `SHOW` prints it.
fn level_name(level: Isolation) -> &'static str {
    match level {
        Isolation::Serializable => "serializable",
        Isolation::RepeatableRead => "repeatable read",
        Isolation::ReadCommitted => "read committed",
    }
}

/// Tells the store of a setting that it looks at; none stands for the default.
fn apply(session: &mut Session, name: &str, value: Option<&str>) -> Result<(), SqlError> {
    let default = SETTINGS.iter().find(|(known, ..)| *known == name).map_or("", |(_, _, default)| default);
    let value = value.unwrap_or(default);
    let time = || milliseconds(value).filter(|value_ms| *value_ms > 0).map(Duration::from_millis);
    match name {
        "deadlock_timeout" => {
            let Some(timeout) = time() else {
                let message = "0 ms is outside the valid range for parameter \"deadlock_timeout\"";
                return Err(SqlError::new(state::INVALID_PARAMETER_VALUE, message));
            };
            session.set(|settings| settings.deadlock_timeout = timeout);
        }
        "lock_timeout" => session.set(|settings| settings.lock_timeout = time()),
        "statement_timeout" => session.set(|settings| settings.statement_timeout = time()),
        "synchronous_commit" => session.set(|settings| {
            settings.synchronous_commit = is_on(value);
            settings.waits_for_standby = is_on(value) && value != "local";
        }),
        "default_transaction_isolation" => session.set(|settings| settings.isolation = level(value)),
        "default_transaction_read_only" => session.set(|settings| settings.read_only = is_on(value)),
        "default_transaction_deferrable" => session.set(|settings| settings.deferrable = is_on(value)),
        _ => {}
    }
    Ok(())
}
