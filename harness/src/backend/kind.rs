//! What a fault's id asks a backend to do.

use super::{HarnessError, effect};
use crate::fault;
use crate::port::System;
use crate::proxy::NetFault;
use crate::schedule::FaultOn;

/// A fault as its id spells it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Kind {
    /// Of links to a system.
    Link(System, NetFault),
    /// A server is killed.
    Crash(System),
    /// A server is stopped in order.
    Restart(System),
    /// A server stands still.
    Pause(System),
    /// Commits wait for a standby that is not there.
    SyncWait,
    /// The cache is emptied.
    Flush,
    /// Something else that is done to or by the servers of a system.
    Effect(System),
}

impl Kind {
    /// What the fault is.
    ///
    /// # Errors
    /// If `backend` does not have it.
    pub(super) fn of(on: &FaultOn, backend: &str) -> Result<Kind, HarnessError> {
        let unknown = || HarnessError::failed(format!("the {backend} backend has no fault {}", on.fault));
        let known = fault::find(&on.fault).ok_or_else(unknown)?;
        let system = match known.system {
            "db" => System::Db,
            "cache" => System::Cache,
            "broker" => System::Broker,
            _ => return Err(unknown()),
        };
        if let Some(fault) = known.on_link(on) {
            return Ok(Kind::Link(system, fault));
        }
        match (system, known.kind()) {
            (_, "crash") => Ok(Kind::Crash(system)),
            (_, "restart") => Ok(Kind::Restart(system)),
            (_, "pause") => Ok(Kind::Pause(system)),
            (System::Db, "sync-wait") => Ok(Kind::SyncWait),
            (System::Cache, "flush") => Ok(Kind::Flush),
            _ if effect::find(known.id).is_some() => Ok(Kind::Effect(system)),
            _ => Err(unknown()),
        }
    }

    /// The system that it is a fault of.
    pub(super) fn system(self) -> System {
        match self {
            Kind::Link(system, _)
            | Kind::Crash(system)
            | Kind::Restart(system)
            | Kind::Pause(system)
            | Kind::Effect(system) => system,
            Kind::SyncWait => System::Db,
            Kind::Flush => System::Cache,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_a_system_is_something_that_a_backend_can_do() {
        for known in fault::FAULTS.iter().filter(|known| known.system != "app") {
            let on = FaultOn::new(known.id, None);
            assert!(Kind::of(&on, "local").is_ok(), "{}", known.id);
        }
        let unheard_of = FaultOn::new("db-melt", None);
        assert!(Kind::of(&unheard_of, "local").is_err());
    }
}
