//! The registry of faults: every fault that a schedule can name, what it hits, and how a report shows it.
//!
//! Adding a fault is a line here and the code that injects it. Most take arguments ([`Argument`]), which a text
//! ([`parse`]) and the JSON of a schedule spell alike.

mod argument;
mod text;

use crate::proxy::{Direction, NetFault};
use crate::schedule::FaultOn;

pub(crate) use self::argument::Given;
pub use self::argument::{Argument, At};
pub use self::text::{FaultError, check, parse, split};

use self::FaultClass::{Application, Logical, Network, Process, Resource};

/// What a fault is a fault of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FaultClass {
    /// Of a link between the application and a server; the proxy injects it.
    Network,
    /// Of a server's processes; the backend injects it.
    Process,
    /// Of one actor of the design; the gate injects it.
    Application,
    /// Of the machine that a server runs on: it is short of something, or its clock is wrong.
    Resource,
    /// Nothing fails: a system does something rare that it is allowed to do.
    Logical,
}

/// One fault of the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub struct Fault {
    /// The stable id, as schedules, options and reports spell it.
    pub id: &'static str,
    /// The system that it hits, or whose link: `db`, `cache`, `broker`, or `app`.
    pub system: &'static str,
    /// What it is a fault of.
    pub class: FaultClass,
    /// The colour of its bands in a report, as `#rrggbb`.
    pub colour: &'static str,
    /// What happens, in a line.
    pub about: &'static str,
}

/// The fault of this id.
pub fn find(id: &str) -> Option<&'static Fault> {
    FAULTS.binary_search_by(|fault| fault.id.cmp(id)).ok().map(|at| &FAULTS[at])
}

impl Fault {
    /// The id without its system: `cut-replies` of `db-cut-replies`.
    pub fn kind(&self) -> &'static str {
        self.id.strip_prefix(self.system).and_then(|kind| kind.strip_prefix('-')).unwrap_or(self.id)
    }

    /// The arguments that it takes.
    pub fn arguments(&self) -> Vec<Argument> {
        argument::of(self)
    }

    /// What a proxy does for it; `None` if it is not a fault of a link. Arguments that are not given have the
    /// values that [`Fault::arguments`] tells.
    pub fn on_link(&self, on: &FaultOn) -> Option<NetFault> {
        if self.class != FaultClass::Network {
            return None;
        }
        let given = Given(&on.with);
        Some(match self.kind() {
            "cut" => NetFault::CutBoth,
            "cut-requests" => NetFault::CutRequests,
            "cut-replies" => NetFault::CutReplies,
            "refuse" => NetFault::Refuse,
            "reset" => NetFault::Reset,
            "reset-after" => NetFault::ResetAfter {
                bytes: given.number("bytes", 2048),
                direction: match given.text("way") {
                    Some("requests") => Direction::Requests,
                    _ => Direction::Replies,
                },
            },
            "latency" => NetFault::Latency {
                delay_ms: given.ms("delay", 20),
                jitter_ms: given.ms("jitter", 10),
                distribution: given.distribution(),
                way: given.way(),
            },
            "bandwidth" => {
                NetFault::Bandwidth { bytes_per_s: given.number("rate", 64 * 1024), way: given.way() }
            }
            "slice" => NetFault::Slice {
                max_bytes: usize::try_from(given.number("bytes", 64)).unwrap_or(usize::MAX),
                gap_ms: given.ms("gap", 1),
                way: given.way(),
            },
            "slow-close" => NetFault::SlowClose { delay_ms: given.ms("delay", 500), way: given.way() },
            _ => return None,
        })
    }
}

const fn fault(
    id: &'static str,
    system: &'static str,
    class: FaultClass,
    colour: &'static str,
    about: &'static str,
) -> Fault {
    Fault { id, system, class, colour, about }
}

/// All faults, by id. A kind of fault has one colour, whatever it hits.
#[rustfmt::skip]
pub const FAULTS: &[Fault] = &[
    fault("app-crash", "app", Application, "#E9A4A0",
        "an actor loses its memory and its connections between two steps, and is started again"),
    fault("app-error", "app", Application, "#E9A0C8",
        "an actor's call does not happen and returns an error"),
    fault("app-lost-reply", "app", Application, "#F0E4B4",
        "an actor's call happens, and it never hears of it"),
    fault("app-lost-request", "app", Application, "#E0D088",
        "an actor's call does not happen, and it never hears of it"),
    fault("app-pause", "app", Application, "#A0B1E9",
        "an actor stands still between two steps, and goes on as if no time had passed"),
    fault("broker-bandwidth", "broker", Network, "#B8E0A0",
        "the link to the broker carries few bytes a second"),
    fault("broker-cpu", "broker", Resource, "#C9B79C",
        "the broker is left with a small share of one processor"),
    fault("broker-crash", "broker", Process, "#E9A4A0",
        "the broker is killed without warning, and started again"),
    fault("broker-cut", "broker", Network, "#E9DCA0",
        "nothing crosses the link to the broker, in neither direction"),
    fault("broker-cut-replies", "broker", Network, "#F0E4B4",
        "requests reach the broker and take effect; no reply arrives"),
    fault("broker-cut-requests", "broker", Network, "#E0D088",
        "requests do not reach the broker; replies under way still arrive"),
    fault("broker-disk-full", "broker", Resource, "#A89888",
        "the broker runs on a small disk, and somebody else fills it"),
    fault("broker-duplicate", "broker", Logical, "#B8A0E9",
        "offsets that a consumer group committed are set back: what it read is delivered again"),
    fault("broker-latency", "broker", Network, "#D1E8A0",
        "each chunk to and from the broker arrives late, in order"),
    fault("broker-memory", "broker", Resource, "#B0A890",
        "the broker is left with little more memory than it has"),
    fault("broker-pause", "broker", Process, "#A0B1E9",
        "every process of the broker stands still; connections stay open and nothing answers"),
    fault("broker-rebalance", "broker", Logical, "#A0D4E9",
        "another member joins the design's consumer group, takes partitions over, and leaves"),
    fault("broker-refuse", "broker", Network, "#E9CBA0",
        "the broker refuses connections, and existing ones are reset"),
    fault("broker-reset", "broker", Network, "#E9B4A0",
        "connections to the broker are reset"),
    fault("broker-reset-after", "broker", Network, "#E9B4A0",
        "each connection to the broker is reset once so many bytes have crossed, in the middle of a message"),
    fault("broker-restart", "broker", Process, "#E9C0A0",
        "the broker is stopped in order, and started again"),
    fault("broker-slice", "broker", Network, "#A0E8B4",
        "bytes to and from the broker arrive in small pieces"),
    fault("broker-slow-close", "broker", Network, "#C8E0A0",
        "the end of a connection to the broker is heard of late"),
    fault("cache-bandwidth", "cache", Network, "#B8E0A0",
        "the link to the cache carries few bytes a second"),
    fault("cache-cpu", "cache", Resource, "#C9B79C",
        "the cache is left with a small share of one processor"),
    fault("cache-crash", "cache", Process, "#E9A4A0",
        "the cache is killed without warning, and started again"),
    fault("cache-cut", "cache", Network, "#E9DCA0",
        "nothing crosses the link to the cache, in neither direction"),
    fault("cache-cut-replies", "cache", Network, "#F0E4B4",
        "requests reach the cache and take effect; no reply arrives"),
    fault("cache-cut-requests", "cache", Network, "#E0D088",
        "requests do not reach the cache; replies under way still arrive"),
    fault("cache-evict", "cache", Logical, "#D8A0E9",
        "the cache is full, and throws out any key for any other"),
    fault("cache-failover", "cache", Logical, "#E98AB4",
        "the cache is killed, and a replica that lags takes its place: acknowledged writes are gone"),
    fault("cache-flush", "cache", Logical, "#C8A0E9",
        "the cache drops all that it holds"),
    fault("cache-latency", "cache", Network, "#D1E8A0",
        "each chunk to and from the cache arrives late, in order"),
    fault("cache-memory", "cache", Resource, "#B0A890",
        "the cache is left with little more memory than it has"),
    fault("cache-pause", "cache", Process, "#A0B1E9",
        "every process of the cache stands still; connections stay open and nothing answers"),
    fault("cache-refuse", "cache", Network, "#E9CBA0",
        "the cache refuses connections, and existing ones are reset"),
    fault("cache-reset", "cache", Network, "#E9B4A0",
        "connections to the cache are reset"),
    fault("cache-reset-after", "cache", Network, "#E9B4A0",
        "each connection to the cache is reset once so many bytes have crossed, in the middle of a message"),
    fault("cache-restart", "cache", Process, "#E9C0A0",
        "the cache is stopped in order, and started again"),
    fault("cache-slice", "cache", Network, "#A0E8B4",
        "bytes to and from the cache arrive in small pieces"),
    fault("cache-slow-close", "cache", Network, "#C8E0A0",
        "the end of a connection to the cache is heard of late"),
    fault("db-async-crash", "db", Logical, "#E98A84",
        "commits of clients are acknowledged before they are on disk, and the database is killed"),
    fault("db-bandwidth", "db", Network, "#B8E0A0",
        "the link to the database carries few bytes a second"),
    fault("db-changefeed-pause", "db", Logical, "#A8D8D0",
        "the jobs of the database's changefeeds are paused, and go on from their last checkpoints"),
    fault("db-clock", "db", Resource, "#A0E0C8",
        "the database's clock is off (libfaketime); it is restarted for that"),
    fault("db-cpu", "db", Resource, "#C9B79C",
        "the database is left with a small share of one processor"),
    fault("db-crash", "db", Process, "#E9A4A0",
        "the database is killed without warning, and started again"),
    fault("db-cut", "db", Network, "#E9DCA0",
        "nothing crosses the link to the database, in neither direction"),
    fault("db-cut-replies", "db", Network, "#F0E4B4",
        "requests reach the database and take effect; no reply arrives"),
    fault("db-cut-requests", "db", Network, "#E0D088",
        "requests do not reach the database; replies under way still arrive"),
    fault("db-disk-full", "db", Resource, "#A89888",
        "the database runs on a small disk, and somebody else fills it"),
    fault("db-latency", "db", Network, "#D1E8A0",
        "each chunk to and from the database arrives late, in order"),
    fault("db-lock", "db", Logical, "#A0C4E9",
        "somebody holds a table locked, and whoever needs it waits"),
    fault("db-memory", "db", Resource, "#B0A890",
        "the database is left with little more memory than it has"),
    fault("db-pause", "db", Process, "#A0B1E9",
        "every process of the database stands still; connections stay open and nothing answers"),
    fault("db-refuse", "db", Network, "#E9CBA0",
        "the database refuses connections, and existing ones are reset"),
    fault("db-reset", "db", Network, "#E9B4A0",
        "connections to the database are reset"),
    fault("db-reset-after", "db", Network, "#E9B4A0",
        "each connection to the database is reset once so many bytes have crossed, in the middle of a message"),
    fault("db-restart", "db", Process, "#E9C0A0",
        "the database is stopped in order, and started again"),
    fault("db-slice", "db", Network, "#A0E8B4",
        "bytes to and from the database arrive in small pieces"),
    fault("db-slot-drop", "db", Logical, "#E0A0B8",
        "logical slots of the design are dropped, and made again from where the log is by then"),
    fault("db-slow-close", "db", Network, "#C8E0A0",
        "the end of a connection to the database is heard of late"),
    fault("db-sync-wait", "db", Logical, "#A0E9E3",
        "commits are flushed and wait for a synchronous standby: durable, and not visible yet"),
    fault("db-terminate", "db", Logical, "#E9A8D0",
        "the database ends sessions of the design"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_sorted_and_found() {
        assert!(FAULTS.is_sorted_by(|one, next| one.id < next.id));
        assert!(FAULTS.iter().all(|fault| find(fault.id) == Some(fault)));
        assert_eq!(find("db-melt"), None);
    }

    #[test]
    fn every_fault_can_be_shown() {
        for fault in FAULTS {
            let digits = fault.colour.strip_prefix('#').unwrap_or_default();
            assert!(digits.len() == 6 && digits.bytes().all(|digit| digit.is_ascii_hexdigit()), "{fault:?}");
            assert!(["db", "cache", "broker", "app"].contains(&fault.system), "{fault:?}");
            assert!(!fault.about.is_empty() && fault.about.len() <= 100, "{fault:?}");
        }
    }

    #[test]
    fn the_proxy_knows_every_fault_of_a_link_by_its_kind() {
        for fault in FAULTS {
            let known = fault.on_link(&FaultOn::new(fault.id, None)).map(|on_link| on_link.id());
            assert_eq!(known, (fault.class == FaultClass::Network).then(|| fault.kind()), "{}", fault.id);
        }
    }
}
