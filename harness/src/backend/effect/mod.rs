//! What servers are made to do, or what is done to them, beyond being killed, stopped and paused: one module for
//! each kind of fault, and one line in [`EFFECTS`].
//!
//! Each begins by seeing with a probe that it is in force, and ends by seeing that all is as before.

mod async_crash;
mod cgroup;
mod changefeed_pause;
mod clock;
mod disk_full;
mod duplicate;
mod evict;
mod failover;
mod lock;
mod pressure;
mod rebalance;
mod site;
mod slot_drop;
mod terminate;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use async_trait::async_trait;

use super::{HarnessError, Hits};
use crate::port::System;
use crate::schedule::FaultOn;

use cgroup::Controller;
use clock::ClockOff;
use disk_full::DiskFull;
use pressure::Pressure;

pub(in crate::backend) use site::{Servers, Site};

/// How long a probe may go on without the answer that it waits for.
const PROBE_MAX: Duration = Duration::from_secs(10);

/// How often a probe asks.
const PROBE_EVERY: Duration = Duration::from_millis(10);

/// A kind of fault.
#[async_trait]
pub(in crate::backend) trait Effect: Sync {
    /// Whether this place could do it.
    ///
    /// # Errors
    /// What is lacking, and what to do about it.
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError>;

    /// Does it; returns once it is seen to be in force.
    ///
    /// # Errors
    /// If it did not take.
    async fn begin(&self, site: &Site, on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError>;
}

/// A fault that is in force.
#[async_trait]
pub(in crate::backend) trait Lasting: Send {
    /// Whether it has hit anything yet.
    fn has_hit(&self) -> bool {
        true
    }

    /// Ends it, and sees that it has ended.
    ///
    /// # Errors
    /// If what it disturbed does not come back, or it turns out not to have done what it is for.
    async fn heal(self: Box<Self>, site: &Site) -> Result<Hits, HarnessError>;
}

/// All, by the ids of their faults.
const EFFECTS: &[(&str, &dyn Effect)] = &[
    ("broker-cpu", &Pressure { system: System::Broker, controller: Controller::Cpu }),
    ("broker-disk-full", &DiskFull(System::Broker)),
    ("broker-duplicate", &duplicate::Duplicate),
    ("broker-memory", &Pressure { system: System::Broker, controller: Controller::Memory }),
    ("broker-rebalance", &rebalance::Rebalance),
    ("cache-cpu", &Pressure { system: System::Cache, controller: Controller::Cpu }),
    ("cache-evict", &evict::Evict),
    ("cache-failover", &failover::Failover),
    ("cache-memory", &Pressure { system: System::Cache, controller: Controller::Memory }),
    ("db-async-crash", &async_crash::AsyncCrash),
    ("db-changefeed-pause", &changefeed_pause::ChangefeedPause),
    ("db-clock", &ClockOff),
    ("db-cpu", &Pressure { system: System::Db, controller: Controller::Cpu }),
    ("db-disk-full", &DiskFull(System::Db)),
    ("db-lock", &lock::Lock),
    ("db-memory", &Pressure { system: System::Db, controller: Controller::Memory }),
    ("db-slot-drop", &slot_drop::SlotDrop),
    ("db-terminate", &terminate::Terminate),
];

/// The effects of one run.
pub(in crate::backend) struct Effects {
    site: Site,
    in_force: Mutex<BTreeMap<FaultOn, Box<dyn Lasting>>>,
}

impl Effects {
    pub(in crate::backend) fn new(site: Site) -> Effects {
        Effects { site, in_force: Mutex::default() }
    }

    /// Whether the run's systems and this machine can do it.
    pub(in crate::backend) fn can(&self, on: &FaultOn) -> Result<(), HarnessError> {
        of(on)?.can(&self.site, on)
    }

    /// Begins it.
    pub(in crate::backend) async fn begin(&self, on: &FaultOn) -> Result<(), HarnessError> {
        if self.in_force().contains_key(on) {
            return Err(HarnessError::failed("it is in force already"));
        }
        let lasting = of(on)?.begin(&self.site, on).await?;
        self.in_force().insert(on.clone(), lasting);
        Ok(())
    }

    /// Whether it has hit anything yet.
    pub(in crate::backend) fn has_hit(&self, on: &FaultOn) -> bool {
        self.in_force().get(on).is_some_and(|lasting| lasting.has_hit())
    }

    /// Ends it. One that did not begin has nothing to end.
    pub(in crate::backend) async fn heal(&self, on: &FaultOn) -> Result<Hits, HarnessError> {
        let lasting = self.in_force().remove(on);
        match lasting {
            Some(lasting) => lasting.heal(&self.site).await,
            None => Err(HarnessError::failed("it was not in force")),
        }
    }

    fn in_force(&self) -> MutexGuard<'_, BTreeMap<FaultOn, Box<dyn Lasting>>> {
        self.in_force.lock().expect("no code panics while it holds the faults in force")
    }
}

fn of(on: &FaultOn) -> Result<&'static dyn Effect, HarnessError> {
    find(&on.fault).ok_or_else(|| HarnessError::failed(format!("no server can have a fault {}", on.fault)))
}

/// The effect of a fault.
pub(in crate::backend) fn find(id: &str) -> Option<&'static dyn Effect> {
    EFFECTS.iter().find(|(known, _)| *known == id).map(|(_, effect)| *effect)
}

/// Something asked again and again until it is so.
async fn until<F>(what: &str, mut is_so: impl FnMut() -> F) -> Result<(), HarnessError>
where
    F: Future<Output = Result<bool, HarnessError>>,
{
    let end = tokio::time::Instant::now() + PROBE_MAX;
    while !is_so().await? {
        if tokio::time::Instant::now() > end {
            return Err(HarnessError::failed(format!("{what} within {} s", PROBE_MAX.as_secs())));
        }
        tokio::time::sleep(PROBE_EVERY).await;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fault;

    #[test]
    fn every_effect_is_of_a_fault_that_can_be_asked_for() {
        assert!(EFFECTS.is_sorted_by(|one, next| one.0 < next.0));
        for (id, _) in EFFECTS {
            assert!(fault::find(id).is_some(), "{id}");
        }
    }
}
