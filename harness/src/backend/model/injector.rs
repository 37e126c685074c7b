//! The faults of the model backend: the same ids as on real servers.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use super::Systems;
use super::link::{Hits as LinkHits, Link};
use crate::backend::kind::Kind;
use crate::backend::{HarnessError, Hits, Injector};
use crate::design::Role;
use crate::fault::At;
use crate::port::System;
use crate::proxy::{Distribution, NetFault};
use crate::schedule::FaultOn;

/// Injects faults into the systems of one run.
pub(super) struct ModelInjector {
    systems: Systems,
    links: Arc<BTreeMap<(System, Role), Link>>,
    /// What the links had counted when a fault of theirs began.
    before: Mutex<BTreeMap<(FaultOn, String), LinkHits>>,
}

impl ModelInjector {
    pub(super) fn new(systems: Systems, links: Arc<BTreeMap<(System, Role), Link>>) -> Self {
        ModelInjector { systems, links, before: Mutex::default() }
    }

    /// The links of a system, all of them or those of the role that the fault names.
    fn links(&self, system: System, of: Option<&str>) -> Result<Vec<&Link>, HarnessError> {
        let links: Vec<&Link> = self
            .links
            .iter()
            .filter(|((at, role), _)| *at == system && of.is_none_or(|name| role.id() == name))
            .map(|(_, link)| link)
            .collect();
        if links.is_empty() {
            let of = of.unwrap_or("anybody");
            return Err(HarnessError::failed(format!("there is no link of {of} to the {system}")));
        }
        Ok(links)
    }

    fn disturb(&self, on: &FaultOn, system: System, fault: NetFault) -> Result<(), HarnessError> {
        for link in self.links(system, on.of.as_deref())? {
            self.lock().insert((on.clone(), link.name().to_owned()), link.hits());
            link.inject(fault);
        }
        Ok(())
    }

    fn heal_links(&self, on: &FaultOn, system: System, fault: NetFault) -> Result<Hits, HarnessError> {
        let mut hits = Hits::default();
        let mut details = Vec::new();
        for link in self.links(system, on.of.as_deref())? {
            let before = self.lock().remove(&(on.clone(), link.name().to_owned())).unwrap_or_default();
            let (count, detail) = since(before, link.hits());
            link.heal(fault, before.held);
            hits.count += count;
            if count > 0 {
                details.push(format!("{}: {detail}", link.name()));
            }
        }
        hits.detail = details.join("; ");
        Ok(hits)
    }

    fn set_down(&self, system: System, down: bool) -> Result<(), HarnessError> {
        self.links(system, None)?.into_iter().for_each(|link| link.set_down(down));
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(FaultOn, String), LinkHits>> {
        self.before.lock().expect("no code panics while it holds the counters")
    }
}

#[async_trait]
impl Injector for ModelInjector {
    fn can(&self, on: &FaultOn) -> Result<(), HarnessError> {
        let (system, fault) = match Kind::of(on, "model")? {
            Kind::Link(system, fault) => (system, fault),
            Kind::Effect(_) => return Err(not_on_the_model(on)),
            _ if on.with.contains_key("at") => return Err(not_on_the_model(on)),
            _ => return Ok(()),
        };
        self.links(system, on.of.as_deref())?;
        let needs_bytes = match fault {
            NetFault::ResetAfter { .. } | NetFault::SlowClose { .. } => true,
            NetFault::Latency { distribution, .. } => distribution != Distribution::Uniform,
            _ => false,
        };
        if needs_bytes || on.with.contains_key("at") { Err(not_on_the_model(on)) } else { Ok(()) }
    }

    async fn sight(&self, on: &FaultOn, _at: &At, _patience: Duration) -> Result<(), HarnessError> {
        Err(not_on_the_model(on))
    }

    async fn inject(&self, on: &FaultOn) -> Result<(), HarnessError> {
        match Kind::of(on, "model")? {
            Kind::Link(system, fault) => self.disturb(on, system, fault)?,
            Kind::Crash(system) => {
                self.set_down(system, true)?;
                self.systems.crash(system);
            }
            Kind::Restart(system) => {
                self.set_down(system, true)?;
                self.systems.stop(system);
            }
            Kind::Pause(system) => {
                self.links(system, None)?.into_iter().for_each(|link| link.set_paused(true));
            }
            Kind::SyncWait => self.systems.wait_for_standby(true)?,
            Kind::Flush => self.systems.flush()?,
            Kind::Effect(_) => return Err(not_on_the_model(on)),
        }
        Ok(())
    }

    fn has_hit(&self, on: &FaultOn) -> bool {
        let Ok(Kind::Link(system, _)) = Kind::of(on, "model") else { return true };
        let before = self.lock();
        self.links(system, on.of.as_deref()).is_ok_and(|links| {
            links.iter().any(|link| {
                let then = before.get(&(on.clone(), link.name().to_owned()));
                then.is_some_and(|then| since(*then, link.hits()).0 > 0)
            })
        })
    }

    async fn heal(&self, on: &FaultOn) -> Result<Hits, HarnessError> {
        let one = |detail: String| Hits { count: 1, detail };
        Ok(match Kind::of(on, "model")? {
            Kind::Link(system, fault) => self.heal_links(on, system, fault)?,
            Kind::Crash(system) | Kind::Restart(system) => {
                self.systems.start(system);
                self.set_down(system, false)?;
                one(format!("the {system} is back"))
            }
            Kind::Pause(system) => {
                self.links(system, None)?.into_iter().for_each(|link| link.set_paused(false));
                one(format!("the {system} goes on"))
            }
            Kind::SyncWait => {
                self.systems.wait_for_standby(false)?;
                one("commits waited for a standby that is not there".to_owned())
            }
            Kind::Flush => one("the cache was emptied".to_owned()),
            Kind::Effect(_) => return Err(not_on_the_model(on)),
        })
    }
}

/// The model's links carry calls, not bytes, and its systems do not do everything that servers do.
fn not_on_the_model(on: &FaultOn) -> HarnessError {
    HarnessError::Missing {
        what: format!("the model has no fault {on}"),
        advice: "run it on servers (--backend local)".to_owned(),
    }
}

/// What a link counted between two looks, and in words.
fn since(before: LinkHits, after: LinkHits) -> (u64, String) {
    let parts = [
        (after.reset - before.reset, "connections reset"),
        (after.turned_away - before.turned_away, "connections turned away"),
        (after.held - before.held, "calls held"),
        (after.delayed - before.delayed, "calls delayed"),
    ];
    let count = parts.iter().map(|(count, _)| count).sum();
    let words: Vec<String> =
        parts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    (count, words.join(", "))
}
