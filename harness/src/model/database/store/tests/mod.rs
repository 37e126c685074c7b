//! Cases of several sessions, as a script of lines: who does what, and what they see or wait for.

mod row_locks;
mod serializable;
mod visibility;

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::*;
use crate::model::database::error::SqlError;
use crate::model::database::types::Type;
use crate::model::database::value::{Tuple, Value};

/// What a step answers.
type Answer = (Session, Result<String, SqlError>);
type Running = Pin<Box<dyn Future<Output = Answer>>>;

/// A database with a table of a key and a value, `1 = 10` and `2 = 20`.
struct World {
    store: Store,
    idle: BTreeMap<char, Session>,
    running: BTreeMap<char, Running>,
    out: String,
}

const TABLE: TableId = TableId(0);
const KEY: IndexId = IndexId { table: TABLE, slot: 0 };

fn row(key: i64, value: i64) -> Tuple {
    [Value::Int(key), Value::Int(value)].into()
}

fn equal(key: i64) -> Access {
    Access::Equal { index: KEY, key: [Value::Int(key)].into() }
}

impl World {
    async fn new() -> Self {
        let store = Store::new(Footprints::default());
        let mut session = store.connect();
        let snapshot = session.statement().await.expect("the first statement");
        let column = |name: &str| Column { name: name.into(), kind: Type::Int4 };
        let columns = vec![column("k"), column("v")];
        let def = TableDef { name: "t".into(), columns, facts: None };
        let table = session.create_table(def).await.expect("a first table");
        let (key, unique) = (IndexKey::Columns([0].into()), true);
        let index = IndexDef { name: "t_pkey".into(), key, unique, primary: true, identifies: true };
        session.create_index(table, index).expect("an empty table");
        for (key, value) in [(1, 10), (2, 20)] {
            session.insert(&snapshot, table, row(key, value)).await.expect("a new key");
        }
        session.end_statement(true).await.expect("nothing in the way");
        World { store, idle: BTreeMap::new(), running: BTreeMap::new(), out: String::new() }
    }

    fn say(&mut self, line: &str) {
        self.out.push_str(line);
        self.out.push('\n');
    }

    /// Polls all that runs until nobody gets further.
    async fn settle(&mut self) {
        for _ in 0..20 {
            tokio::task::yield_now().await;
            for name in self.running.keys().copied().collect::<Vec<_>>() {
                let mut context = Context::from_waker(Waker::noop());
                let future = self.running.get_mut(&name).expect("it runs");
                if let Poll::Ready((session, answer)) = future.as_mut().poll(&mut context) {
                    self.running.remove(&name);
                    self.idle.insert(name, session);
                    self.say(&told(name, &answer));
                }
            }
        }
    }

    /// Runs a script: a line is a session's letter and its step.
    async fn run(script: &str) -> String {
        let mut world = World::new().await;
        for line in script.lines().map(str::trim).filter(|line| !line.is_empty()) {
            world.say(&format!("> {line}"));
            if line == "time" {
                tokio::time::sleep(std::time::Duration::from_millis(1001)).await;
                world.settle().await;
                continue;
            }
            if line == "crash" {
                world.store.crash();
                world.idle.clear();
                continue;
            }
            let (name, step) = line.split_at(1);
            let name = name.chars().next().expect("one letter");
            let session = world.idle.remove(&name).unwrap_or_else(|| world.store.connect());
            let step: Vec<String> = step.split_whitespace().map(str::to_owned).collect();
            world.running.insert(name, Box::pin(take(session, step)));
            world.settle().await;
            if world.running.contains_key(&name) {
                world.say(&format!("  {name} waits"));
            }
        }
        world.out
    }
}

fn told(name: char, answer: &Result<String, SqlError>) -> String {
    match answer {
        Ok(text) => format!("  {name}: {text}"),
        Err(error) => {
            let reason = error.detail.as_deref().and_then(|detail| detail.strip_prefix("Reason code: "));
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            format!("  {name}: {} {}{reason}", error.code, error.message)
        }
    }
}

async fn take(mut session: Session, step: Vec<String>) -> Answer {
    let words: Vec<&str> = step.iter().map(String::as_str).collect();
    let control = match words.as_slice() {
        ["begin", level] => {
            let (level, read_only, deferrable) = match *level {
                "rr" => (Isolation::RepeatableRead, false, false),
                "ser" => (Isolation::Serializable, false, false),
                "ser-ro" => (Isolation::Serializable, true, false),
                "deferrable" => (Isolation::Serializable, true, true),
                _ => (Isolation::ReadCommitted, false, false),
            };
            session.begin(level, read_only, deferrable);
            Some(Ok("begun".to_owned()))
        }
        ["commit"] => Some(session.commit().await.map(|ended| format!("{ended:?}"))),
        ["prepare", name] => Some(session.prepare_transaction(name).map(|_| "prepared".to_owned())),
        ["commit", name] => Some(session.commit_prepared(name).map(|()| "committed".to_owned())),
        ["rollback"] => {
            session.rollback();
            Some(Ok("rolled back".to_owned()))
        }
        ["rollback", name] => Some(session.rollback_to(name).map(|()| "rolled back".to_owned())),
        ["release", name] => Some(session.release(name).map(|()| "released".to_owned())),
        ["savepoint", name] => {
            session.savepoint(name);
            Some(Ok("saved".to_owned()))
        }
        _ => None,
    };
    if let Some(answer) = control {
        return (session, answer);
    }
    let answer = match session.statement().await {
        Ok(snapshot) => statement(&mut session, &snapshot, &words).await,
        Err(error) => Err(error),
    };
    let ended = session.end_statement(answer.is_ok()).await;
    (session, ended.and(answer))
}

fn number(word: &str) -> i64 {
    word.parse().expect("a number")
}

async fn statement(session: &mut Session, snapshot: &Snapshot, words: &[&str]) -> Result<String, SqlError> {
    match words {
        ["read"] => Ok(values(&session.scan(snapshot, TABLE, &Access::All)?)),
        ["read", key] => Ok(values(&session.scan(snapshot, TABLE, &equal(number(key)))?)),
        ["insert", key, value] => {
            session.insert(snapshot, TABLE, row(number(key), number(value))).await?;
            Ok("inserted".to_owned())
        }
        ["add", key, value] => change(session, snapshot, number(key), Some(number(value))).await,
        ["delete", key] => change(session, snapshot, number(key), None).await,
        ["upsert", key, value] => upsert(session, snapshot, number(key), number(value)).await,
        ["ensure", key, value] => {
            let tuple = row(number(key), number(value));
            let inserted = session.insert_on_conflict(snapshot, TABLE, tuple, &[KEY], None).await?;
            Ok(if matches!(inserted, Inserted::New(_)) { "inserted" } else { "there already" }.to_owned())
        }
        ["lock", strength, rest @ ..] => lock(session, snapshot, strength, rest).await,
        ["table", mode] => {
            let mode = if *mode == "exclusive" { LockMode::AccessExclusive } else { LockMode::AccessShare };
            session.lock_table(TABLE, mode, true).await.map(|()| "locked".to_owned())
        }
        ["advisory", key] => {
            session.advisory_lock(AdvisoryKey::One(number(key)), false, false).await?;
            Ok("locked".to_owned())
        }
        _ => panic!("no such step: {words:?}"),
    }
}

fn values(found: &[Found]) -> String {
    let rows = found.iter().map(|found| match &*found.tuple {
        [Value::Int(key), Value::Int(value)] => format!("{key}={value}"),
        other => format!("{other:?}"),
    });
    rows.collect::<Vec<_>>().join(" ")
}

async fn change(
    session: &mut Session,
    snapshot: &Snapshot,
    key: i64,
    by: Option<i64>,
) -> Result<String, SqlError> {
    let mut count = 0;
    for mut found in session.scan(snapshot, TABLE, &equal(key))? {
        loop {
            let Value::Int(value) = found.tuple[1] else { panic!("a number") };
            let changed = match by {
                Some(by) => session.update(snapshot, &found, row(key, value + by)).await?,
                None => session.delete(snapshot, &found).await?,
            };
            match changed {
                Changed::Done(_) => count += 1,
                Changed::Newer(newer) if newer.tuple[0] == Value::Int(key) => {
                    found = newer;
                    continue;
                }
                Changed::Newer(_) | Changed::Gone | Changed::SelfModified => {}
            }
            break;
        }
    }
    Ok(format!("{count} rows"))
}

async fn upsert(
    session: &mut Session,
    snapshot: &Snapshot,
    key: i64,
    value: i64,
) -> Result<String, SqlError> {
    let lock = Some(RowLock::NoKeyUpdate);
    match session.insert_on_conflict(snapshot, TABLE, row(key, value), &[KEY], lock).await? {
        Inserted::New(_) => Ok("inserted".to_owned()),
        Inserted::Conflict(found) => {
            let Value::Int(old) = found.tuple[1] else { panic!("a number") };
            session.update(snapshot, &found, row(key, old + value)).await?;
            Ok(format!("updated {old}"))
        }
    }
}

async fn lock(
    session: &mut Session,
    snapshot: &Snapshot,
    strength: &str,
    rest: &[&str],
) -> Result<String, SqlError> {
    let strength = match strength {
        "key-share" => RowLock::KeyShare,
        "share" => RowLock::Share,
        "no-key" => RowLock::NoKeyUpdate,
        _ => RowLock::Update,
    };
    let wait = match rest {
        [.., "nowait"] => Wait::NoWait,
        [.., "skip"] => Wait::SkipLocked,
        _ => Wait::Block,
    };
    let access = rest.first().and_then(|key| key.parse().ok()).map_or(Access::All, equal);
    let mut locked = Vec::new();
    for found in session.scan(snapshot, TABLE, &access)? {
        match session.lock_row(snapshot, &found, strength, wait).await? {
            Locked::Same(found) | Locked::Updated(found) => locked.push(found),
            Locked::Deleted | Locked::Skipped | Locked::SelfModified | Locked::Invisible => {}
        }
    }
    Ok(format!("locked {}", values(&locked)))
}

#[test]
fn a_fork_is_another_database() {
    let store = Store::new(Footprints::default());
    let other = store.fork(Footprints::default());
    let _session = other.connect();
    assert_eq!((store.sessions().len(), other.sessions().len()), (0, 1));
    let _: Arc<str> = "".into();
}
