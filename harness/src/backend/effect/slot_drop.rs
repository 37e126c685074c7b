//! `db-slot-drop`: the logical slots of the design are dropped, and made again from where the log is by then, as
//! after a failover to a standby without them. What was committed in between is in no slot.

use async_trait::async_trait;

use super::{Effect, Lasting, PROBE_EVERY, PROBE_MAX, Site, site};
use crate::backend::{HarnessError, Hits};
use crate::port::{DatabaseConnection, System};
use crate::schedule::FaultOn;

/// The effect.
pub(super) struct SlotDrop;

/// SQLSTATE of a slot that somebody reads just now.
const IN_USE: &str = "55006";

struct Slot {
    name: String,
    plugin: String,
    /// Up to where it had been read.
    confirmed: String,
}

struct Dropped(Vec<Slot>);

/// All but the one from which the harness reads the commit order.
async fn slots(site: &Site, db: &mut dyn DatabaseConnection) -> Result<Vec<Slot>, HarnessError> {
    let rows = db
        .query(
            "SELECT slot_name::text AS name, plugin::text AS plugin, confirmed_flush_lsn::text AS confirmed \
             FROM pg_replication_slots WHERE database = $1 AND slot_type = 'logical' AND slot_name <> $2 \
             ORDER BY slot_name",
            &[site.database_name()?.into(), format!("{}commit_order", site.prefix).into()],
        )
        .await?;
    let text = |row: &crate::port::Row, column| row.text(column).map(str::to_owned);
    let slot = |row| {
        Ok(Slot {
            name: text(row, "name")?,
            plugin: text(row, "plugin")?,
            confirmed: text(row, "confirmed")?,
        })
    };
    rows.iter().map(slot).collect()
}

#[async_trait]
impl Effect for SlotDrop {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(System::Db, on)
    }

    async fn begin(&self, site: &Site, _on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let mut db = site.session().await?;
        let dropped = slots(site, &mut *db).await?;
        if dropped.is_empty() {
            return Err(HarnessError::failed("the design has no logical slot that could be dropped"));
        }
        for slot in &dropped {
            drop_slot(&mut *db, &slot.name).await?;
        }
        match slots(site, &mut *db).await?.first() {
            Some(there) => Err(HarnessError::failed(format!("the slot {} is still there", there.name))),
            None => Ok(Box::new(Dropped(dropped))),
        }
    }
}

async fn drop_slot(db: &mut dyn DatabaseConnection, name: &str) -> Result<(), HarnessError> {
    let end = tokio::time::Instant::now() + PROBE_MAX;
    loop {
        let dropped = db.query("SELECT pg_drop_replication_slot($1)::text", &[name.into()]).await;
        match dropped {
            Ok(_) => return Ok(()),
            Err(error) if error.code.as_deref() == Some(IN_USE) && tokio::time::Instant::now() < end => {
                db.query(
                    "SELECT pg_terminate_backend(active_pid) AS told FROM pg_replication_slots \
                     WHERE slot_name = $1 AND active_pid IS NOT NULL",
                    &[name.into()],
                )
                .await?;
                tokio::time::sleep(PROBE_EVERY).await;
            }
            Err(error) => return Err(error.into()),
        }
    }
}

#[async_trait]
impl Lasting for Dropped {
    async fn heal(self: Box<Self>, site: &Site) -> Result<Hits, HarnessError> {
        let mut db = site.session().await?;
        let (mut count, mut details) = (0, Vec::new());
        for slot in &self.0 {
            db.query(
                "SELECT pg_create_logical_replication_slot($1, $2)::text",
                &[slot.name.as_str().into(), slot.plugin.as_str().into()],
            )
            .await?;
            let rows = db
                .query(
                    "SELECT pg_wal_lsn_diff(confirmed_flush_lsn, $2::text::pg_lsn)::bigint AS passed \
                     FROM pg_replication_slots WHERE slot_name = $1",
                    &[slot.name.as_str().into(), slot.confirmed.as_str().into()],
                )
                .await?;
            let passed = site::only(rows)?.int("passed")?;
            count += u64::from(passed > 0);
            details.push(format!("{} passed over {passed} bytes of the log", slot.name));
        }
        Ok(Hits { count, detail: details.join("; ") })
    }
}
