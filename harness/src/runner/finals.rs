//! What is there before the first operation and what is left after the last: tables, topics, cache, and the
//! commit order of the source of truth.

use std::collections::BTreeMap;
use std::sync::Arc;

use crosscheck_models::history::{CopyRow, EventBody, LedgerRow, LogRow, OutboxRow, Process, Scalar, SotRow};

use super::Run;
use crate::backend::{Arena, HarnessError};
use crate::change::Insert;
use crate::database::DatabaseKind;
use crate::design::Layout;
use crate::port::{ConsumerOptions, DatabaseConnection, Isolation, Row, SqlValue, StartOffset};
use crate::system::cockroach;

/// Makes the tables, and a slot from which the commit order can be read at the end.
pub(crate) async fn prepare(arena: &Arena, layout: &Layout) -> Result<Option<String>, HarnessError> {
    let Some(database) = &arena.direct.database else { return Ok(None) };
    let mut connection = database.connect().await?;
    if arena.database == DatabaseKind::Cockroach {
        connection.execute(cockroach::BEFORE_TABLES, &[]).await?;
    }
    for statement in &layout.ddl {
        let statement = statement.replace("{prefix}", &arena.direct.prefix);
        connection.execute(&statement, &[]).await?;
    }
    for (table, topic) in &layout.changefeeds {
        let lacks = || HarnessError::failed("this database does not publish its changes itself");
        arena.feeds.as_ref().ok_or_else(lacks)?.follow(table, topic).await?;
    }
    if layout.commit_order_of.is_none() || arena.database == DatabaseKind::Cockroach {
        return Ok(None);
    }
    let slot = format!("{}commit_order", arena.direct.prefix);
    connection
        .query(
            "SELECT pg_create_logical_replication_slot($1, 'test_decoding')::text",
            &[slot.as_str().into()],
        )
        .await?;
    Ok(Some(slot))
}

/// Reads everything once all is quiet, and records it.
pub(crate) async fn read(run: &Arc<Run>, layout: &Layout, slot: Option<&str>) -> Result<(), HarnessError> {
    let me = Process::Actor("harness".into());
    let mut keys = Vec::new();
    let mut copies = Vec::new();
    if let Some(database) = &run.arena.direct.database {
        let mut db = database.connect().await?;
        if let Some(sql) = &layout.source_of_truth {
            let rows = each(&mut *db, sql, sot_row).await?;
            keys = rows.iter().map(|row| row.key.to_string()).collect();
            run.recorder.observe(&me, EventBody::FinalSot(rows));
        }
        if let Some(sql) = &layout.ledger {
            let mut rows = each(&mut *db, sql, ledger_row).await?;
            if let Some(table) = &layout.commit_order_of {
                let commits = match (run.arena.database, slot) {
                    (DatabaseKind::Postgres, Some(slot)) => commits_of_slot(&mut *db, slot, table).await?,
                    (DatabaseKind::Postgres, None) => BTreeMap::new(),
                    (DatabaseKind::Cockroach, _) => commits_by_timestamp(&mut *db, table).await?,
                };
                for row in &mut rows {
                    row.commit = commits.get(&(row.key.to_string(), row.ver)).copied();
                }
            }
            if layout.projections.is_empty() && run.arena.direct.cache.is_none() {
                copies.extend(folded(&rows));
            }
            run.recorder.observe(&me, EventBody::FinalLedger(rows));
        }
        if let Some(sql) = &layout.outbox {
            let rows = each(&mut *db, sql, outbox_row).await?;
            run.recorder.observe(&me, EventBody::FinalOutbox(rows));
        }
        for (name, sql) in &layout.projections {
            for row in each(&mut *db, sql, sot_row).await? {
                copies.push(CopyRow {
                    store: name.as_str().into(),
                    key: row.key,
                    ver: Some(row.ver),
                    value: row.value,
                });
            }
        }
    }
    if let Some(decode) = layout.decode {
        let rows = log_rows(run, layout, decode).await?;
        run.recorder.observe(&me, EventBody::FinalLog(rows));
    }
    if let Some(cache) = &run.arena.direct.cache {
        let mut connection = cache.connect().await?;
        let entries = run.design.final_cache(&mut *connection, &run.arena.direct.prefix, &keys).await?;
        copies.extend(entries);
    }
    run.recorder.observe(&me, EventBody::FinalCache(copies));
    Ok(())
}

/// A design without a copy elsewhere still has one: what its ledger comes to, each key's last write.
fn folded(rows: &[LedgerRow]) -> Vec<CopyRow> {
    let mut last: BTreeMap<&str, &LedgerRow> = BTreeMap::new();
    for row in rows {
        let newest = last.entry(&row.key).or_insert(row);
        if newest.ver < row.ver {
            *newest = row;
        }
    }
    let copy = |row: &&LedgerRow| CopyRow {
        store: "ledger".into(),
        key: row.key,
        ver: Some(row.ver),
        value: row.value,
    };
    last.values().map(copy).collect()
}

async fn each<T>(
    db: &mut dyn DatabaseConnection,
    sql: &str,
    read: fn(&Row) -> Result<T, crate::port::PortError>,
) -> Result<Vec<T>, HarnessError> {
    let rows = db.query(sql, &[]).await?;
    Ok(rows.iter().map(read).collect::<Result<Vec<T>, _>>()?)
}

fn scalar(row: &Row, column: &str) -> Result<Scalar, crate::port::PortError> {
    Ok(match row.get(column)? {
        SqlValue::Null => Scalar::Null,
        SqlValue::Bool(value) => Scalar::Json(value.to_string().into()),
        SqlValue::Int(value) => Scalar::Int(*value),
        SqlValue::Text(value) => Scalar::Text(value.as_str().into()),
        SqlValue::Bytes(value) => Scalar::Text(String::from_utf8_lossy(value).into_owned().into()),
    })
}

fn sot_row(row: &Row) -> Result<SotRow, crate::port::PortError> {
    Ok(SotRow { key: row.text("key")?.into(), ver: row.version("ver")?, value: scalar(row, "value")? })
}

fn ledger_row(row: &Row) -> Result<LedgerRow, crate::port::PortError> {
    Ok(LedgerRow {
        key: row.text("key")?.into(),
        ver: row.version("ver")?,
        op_id: row.text("op_id")?.into(),
        value: scalar(row, "value")?,
        base_ver: row.opt_int("base_ver")?.and_then(|ver| u64::try_from(ver).ok()),
        delta: row.opt_int("delta")?,
        commit: None,
    })
}

fn outbox_row(row: &Row) -> Result<OutboxRow, crate::port::PortError> {
    let state = match scalar(row, "state")? {
        Scalar::Null => None,
        Scalar::Text(state) => Some(state),
        Scalar::Json(state) => Some(state),
        Scalar::Int(state) => Some(state.to_string().into()),
    };
    Ok(OutboxRow {
        id: row.int("id")?,
        key: row.text("key")?.into(),
        ver: row.version("ver")?,
        op_id: row.text("op_id")?.into(),
        state,
    })
}

/// Of each key and version of the ledger, the place of its transaction in the commit order.
type Commits = BTreeMap<(String, u64), u64>;

/// The order in which the slot shows the transactions.
async fn commits_of_slot(
    db: &mut dyn DatabaseConnection,
    slot: &str,
    table: &str,
) -> Result<Commits, HarnessError> {
    let changes =
        db.query("SELECT data FROM pg_logical_slot_get_changes($1, NULL, NULL)", &[slot.into()]).await?;
    let mut position = 0_u64;
    let mut commits = Commits::new();
    for change in &changes {
        let text = change.text("data")?;
        if text.starts_with("COMMIT") {
            position += 1;
        } else if let Some((key, ver)) = inserted(text, table) {
            commits.insert((key, ver), position);
        }
    }
    Ok(commits)
}

/// The order of the timestamps at which the rows were committed.
async fn commits_by_timestamp(db: &mut dyn DatabaseConnection, table: &str) -> Result<Commits, HarnessError> {
    let rows = db.query(&cockroach::commit_order(table), &[]).await?;
    let mut commits = Commits::new();
    for row in &rows {
        commits.insert((row.text("key")?.to_owned(), row.version("ver")?), row.version("position")?);
    }
    Ok(commits)
}

/// The key and version of a row inserted into the ledger.
fn inserted(change: &str, table: &str) -> Option<(String, u64)> {
    let insert = Insert::parse(change).filter(|insert| insert.table == table)?;
    Some((insert.get("key")?.to_owned(), insert.get("ver")?.parse().ok()?))
}

async fn log_rows(
    run: &Arc<Run>,
    layout: &Layout,
    decode: crate::design::Decode,
) -> Result<Vec<LogRow>, HarnessError> {
    let Some(broker) = &run.arena.direct.broker else { return Ok(Vec::new()) };
    let options = ConsumerOptions {
        group: None,
        start: StartOffset::Earliest,
        auto_commit: false,
        isolation: Isolation::ReadCommitted,
    };
    let mut rows = Vec::new();
    for (topic, partitions) in &layout.topics {
        let physical = format!("{}{topic}", run.arena.direct.prefix);
        for partition in 0..*partitions {
            let mut consumer = broker.consumer(&options).await?;
            let end = consumer.end_offset(&physical, partition).await?;
            consumer.assign(&physical, partition, 0).await?;
            let mut next = 0;
            let mut empty = 0;
            while next < end {
                let messages = consumer.poll(std::time::Duration::from_millis(200), 1000).await?;
                empty = if messages.is_empty() { empty + 1 } else { 0 };
                if empty > 100 {
                    let problem = format!("read {topic}/{partition}: stands at {next} of {end}");
                    return Err(HarnessError::failed(problem));
                }
                for message in messages {
                    next = message.offset + 1;
                    let payload = message.payload.as_deref().unwrap_or("");
                    if let Some(event) = decode(&message.key, payload) {
                        let (partition, offset) = (message.partition, message.offset);
                        rows.push(LogRow { topic: topic.as_str().into(), partition, offset, ..event });
                    }
                }
            }
        }
    }
    Ok(rows)
}
