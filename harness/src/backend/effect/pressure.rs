//! `*-cpu` and `*-memory`: the server is left with little of the machine, by a control group of its own (cgroups(7)),
//! version 1 or 2, whichever the machine has.

use std::time::Duration;

use async_trait::async_trait;

use super::cgroup::{Controller, Group};
use super::{Effect, Lasting, Site, until};
use crate::backend::{HarnessError, Hits};
use crate::fault::Given;
use crate::port::{Cache as _, System};
use crate::schedule::FaultOn;
use crate::system::kafka::groups_of;
use crate::system::redis::RedisCache;

/// The effect.
pub(super) struct Pressure {
    pub(super) system: System,
    pub(super) controller: Controller,
}

/// How long one probe's request may take: under memory pressure it may never be answered.
const REQUEST_MAX: Duration = Duration::from_millis(300);

struct Pressed {
    system: System,
    group: Group,
    limited: u64,
}

#[async_trait]
impl Effect for Pressure {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(self.system, on)?;
        site.servers.processes(self.system)?;
        Group::can(self.controller)
    }

    async fn begin(&self, site: &Site, on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let given = Given(&on.with);
        let limit = match self.controller {
            Controller::Cpu => given.number("percent", 5),
            Controller::Memory => given.number("headroom", 4),
        };
        let group = Group::make(self.controller, limit)?;
        // New processes are born into the group of their parents; those that were born meanwhile come with the next look.
        until("some of the server's processes cannot be moved", || async {
            group.take(&site.servers.processes(self.system)?)
        })
        .await?;
        let before = group.limited()?;
        until("the server was not held back by its limit", || async {
            press(site, self.system).await;
            Ok(group.limited()? > before)
        })
        .await?;
        Ok(Box::new(Pressed { system: self.system, limited: before, group }))
    }
}

/// Has the server work and remember, which is what it is short of. That it does not answer in time is no error.
async fn press(site: &Site, system: System) {
    let asked = async {
        match system {
            System::Db => {
                let mut db = site.session().await?;
                let work = "SELECT count(*), pg_logical_emit_message(false, 'crosscheck', repeat('x', 2000000)) \
                     FROM generate_series(1, 100000)";
                db.query(work, &[]).await?;
            }
            System::Cache => {
                let mut cache = RedisCache::new(site.cache_addr()?).connect().await?;
                let work = "local s = {} for i = 1, 100000 do s[i] = i .. 'x' end return #s";
                cache.command(&["EVAL", work, "0"]).await?;
            }
            System::Broker => drop(groups_of(site.broker_addr()?, &site.prefix).await?),
            System::App => {}
        }
        Ok::<(), HarnessError>(())
    };
    // An error tells as little as no answer: the group's own count is what is looked at.
    let _ = tokio::time::timeout(REQUEST_MAX, asked).await;
}

#[async_trait]
impl Lasting for Pressed {
    async fn heal(self: Box<Self>, site: &Site) -> Result<Hits, HarnessError> {
        let count = self.group.limited()?.saturating_sub(self.limited);
        self.group.end()?;
        // A limit on memory may have ended it.
        site.servers.start(self.system).await?;
        Ok(Hits { count, detail: format!("the {} was held back {count} times", self.system) })
    }
}
