//! Schedules as data: what a run does, and in which order. A directed test, a stress run, a shrunk witness
//! and a replay are the same type, saved as JSON that people can read and write.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::fault::{self, FaultError};
use crate::operation::{Operation, Workload};

/// The version of the format that this code writes and reads.
pub const VERSION: u32 = 1;

/// What a run does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Schedule {
    /// The version of the format.
    pub crosscheck_schedule: u32,
    /// The design or variant that it is written for.
    pub variant: String,
    /// Its name among the variant's schedules; `stress` for a generated one.
    pub name: String,
    /// What it shows, in a sentence.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub about: String,
    /// The seed of all that is random.
    pub seed: u64,
    /// Directed moves, or generated load with fault windows.
    pub plan: Plan,
}

/// The two kinds of schedule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Plan {
    /// Every step is where the schedule says; after the last move everyone runs freely.
    Directed(Directed),
    /// Clients run freely under generated load, with faults in windows of time.
    Stress(Stress),
}

/// A directed schedule.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Directed {
    /// The operations of `client-0`, `client-1`, ..
    pub clients: Vec<Vec<Operation>>,
    /// The moves, in order.
    pub moves: Vec<Move>,
}

/// One move: an uninterrupted run of one actor's steps, or one fault.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Move {
    /// The actor takes steps (one at least) until it stands before what `until` says.
    Run {
        /// The actor.
        actor: String,
        /// Where it stops.
        until: Until,
    },
    /// The actor is let go, and the next move does not wait for where it comes to a halt: it may have to wait for
    /// its turn within the application, which no server can tell.
    Start {
        /// The actor.
        actor: String,
    },
    /// The actor crashes where it stands: its future and its connections are dropped, then it is started again.
    Crash {
        /// The actor.
        actor: String,
    },
    /// The actor's next call happens, and it never hears of it.
    LoseReply {
        /// The actor.
        actor: String,
    },
    /// The actor's next call does not happen, and it never hears of it.
    LoseRequest {
        /// The actor.
        actor: String,
    },
    /// Time passes, and nobody takes a step.
    Wait {
        /// How much.
        ms: u64,
    },
    /// A fault of the registry begins.
    Inject(FaultOn),
    /// A fault ends.
    Heal(FaultOn),
}

/// A fault, and the link that it is on where it is a fault of the network.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FaultOn {
    /// The fault's id: `db-crash`, `broker-cut`, ..
    pub fault: String,
    /// Whose link (`client`, `relay`, `consumer`), or for a fault of the application which actor; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// The fault's arguments: `{"delay": "200ms"}`. What is not given is as [`crate::fault::Fault::arguments`]
    /// tells.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub with: BTreeMap<String, String>,
}

impl FaultOn {
    /// A fault without arguments.
    pub fn new(fault: &str, of: Option<&str>) -> FaultOn {
        FaultOn { fault: fault.to_owned(), of: of.map(str::to_owned), with: BTreeMap::new() }
    }
}

/// Where a run of steps ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Until {
    /// Before the point of this name.
    Point(String),
    /// Before a call whose text begins like this.
    Call(String),
    /// When its operation is done.
    OpDone,
    /// When it has found nothing to do.
    Idle,
    /// When it waits for a lock.
    Blocked,
}

/// A generated run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Stress {
    /// The load.
    pub workload: Workload,
    /// For how long clients work.
    pub time_ms: u64,
    /// The faults, by the time at which they begin.
    pub faults: Vec<Window>,
}

/// A fault for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// When it begins, after the start of the load.
    pub at_ms: u64,
    /// How long it lasts.
    pub for_ms: u64,
    /// The fault.
    pub on: FaultOn,
}

/// A schedule that cannot be run, and why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// Not the JSON of a schedule.
    #[error("not a schedule: {0}")]
    Malformed(String),
    /// Written by a newer Crosscheck.
    #[error("the schedule has version {0}, and this Crosscheck reads version {VERSION}")]
    Version(u32),
    /// It asks for a fault that there is not, or with arguments that it does not take.
    #[error("the schedule asks for a fault that cannot be: {0}")]
    Fault(#[from] FaultError),
}

impl Schedule {
    /// A directed schedule.
    pub fn directed(variant: &str, name: &str, about: &str, directed: Directed) -> Schedule {
        Schedule {
            crosscheck_schedule: VERSION,
            variant: variant.to_owned(),
            name: name.to_owned(),
            about: about.to_owned(),
            seed: 0,
            plan: Plan::Directed(directed),
        }
    }

    /// Reads a schedule.
    ///
    /// ```
    /// use crosscheck_harness::schedule::Schedule;
    /// let schedule = Schedule::parse(r#"{
    ///   "crosscheck_schedule": 1, "variant": "outbox-poll-id-cursor", "name": "mine", "seed": 1,
    ///   "plan": {"directed": {
    ///     "clients": [[{"op_id": "a", "f": "write", "key": "x", "value": 1}]],
    ///     "moves": [{"run": {"actor": "client-0", "until": {"point": "before_commit"}}},
    ///               {"crash": {"actor": "client-0"}}]}}
    /// }"#).unwrap();
    /// assert_eq!(schedule.variant, "outbox-poll-id-cursor");
    /// ```
    ///
    /// # Errors
    /// Says at which line and column the text stops being a schedule, and what was expected there.
    pub fn parse(text: &str) -> Result<Schedule, ScheduleError> {
        #[derive(Deserialize)]
        struct Head {
            crosscheck_schedule: u32,
        }
        let head: Head = serde_json::from_str(text).map_err(|e| ScheduleError::Malformed(e.to_string()))?;
        if head.crosscheck_schedule != VERSION {
            return Err(ScheduleError::Version(head.crosscheck_schedule));
        }
        let schedule: Schedule =
            serde_json::from_str(text).map_err(|e| ScheduleError::Malformed(e.to_string()))?;
        schedule.faults().try_for_each(fault::check)?;
        Ok(schedule)
    }

    /// The faults of systems and actors that it injects.
    pub(crate) fn faults(&self) -> impl Iterator<Item = &FaultOn> {
        let (moves, windows) = match &self.plan {
            Plan::Directed(directed) => (&directed.moves[..], &[][..]),
            Plan::Stress(stress) => (&[][..], &stress.faults[..]),
        };
        let injected = moves.iter().filter_map(|one| match one {
            Move::Inject(on) | Move::Heal(on) => Some(on),
            _ => None,
        });
        injected.chain(windows.iter().map(|window: &Window| &window.on))
    }

    /// The schedule as JSON, indented.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a schedule holds nothing that JSON cannot")
    }

    /// The ids of the faults that it asks for, application crashes and lost messages of moves included.
    pub fn fault_ids(&self) -> Vec<String> {
        let mut ids: Vec<String> = match &self.plan {
            Plan::Directed(directed) => directed.moves.iter().filter_map(Move::fault_id).collect(),
            Plan::Stress(stress) => stress.faults.iter().map(|window| window.on.fault.clone()).collect(),
        };
        ids.sort();
        ids.dedup();
        ids
    }
}

impl Move {
    fn fault_id(&self) -> Option<String> {
        match self {
            Move::Run { .. } | Move::Start { .. } | Move::Wait { .. } | Move::Heal(_) => None,
            Move::Crash { .. } => Some("app-crash".to_owned()),
            Move::LoseReply { .. } => Some("app-lost-reply".to_owned()),
            Move::LoseRequest { .. } => Some("app-lost-request".to_owned()),
            Move::Inject(on) => Some(on.fault.clone()),
        }
    }

    /// Shorthand of directed schedules: the actor runs until it stands before the point.
    pub fn to_point(actor: &str, point: &str) -> Move {
        Move::Run { actor: actor.to_owned(), until: Until::Point(point.to_owned()) }
    }

    /// The actor runs until it stands before a call that begins like this.
    pub fn to_call(actor: &str, call: &str) -> Move {
        Move::Run { actor: actor.to_owned(), until: Until::Call(call.to_owned()) }
    }

    /// The client runs until its operation is done.
    pub fn op(actor: &str) -> Move {
        Move::Run { actor: actor.to_owned(), until: Until::OpDone }
    }

    /// The actor runs until it has found nothing to do.
    pub fn to_idle(actor: &str) -> Move {
        Move::Run { actor: actor.to_owned(), until: Until::Idle }
    }

    /// The actor runs until it waits for a lock.
    pub fn to_block(actor: &str) -> Move {
        Move::Run { actor: actor.to_owned(), until: Until::Blocked }
    }

    /// The actor is let go, and nobody waits for it.
    pub fn start(actor: &str) -> Move {
        Move::Start { actor: actor.to_owned() }
    }

    /// The actor crashes where it stands.
    pub fn crash(actor: &str) -> Move {
        Move::Crash { actor: actor.to_owned() }
    }

    /// The actor's next call happens, and it never hears of it.
    pub fn lose_reply(actor: &str) -> Move {
        Move::LoseReply { actor: actor.to_owned() }
    }

    /// The actor's next call does not happen, and it never hears of it.
    pub fn lose_request(actor: &str) -> Move {
        Move::LoseRequest { actor: actor.to_owned() }
    }

    /// Time passes.
    pub fn wait(ms: u64) -> Move {
        Move::Wait { ms }
    }

    /// A fault begins, on the link (or actor) `of`.
    pub fn inject(fault: &str, of: Option<&str>) -> Move {
        Move::Inject(FaultOn::new(fault, of))
    }

    /// A fault ends.
    pub fn heal(fault: &str, of: Option<&str>) -> Move {
        Move::Heal(FaultOn::new(fault, of))
    }
}
