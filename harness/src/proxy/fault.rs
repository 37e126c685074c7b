//! The faults of a link, as data, and what they add up to in one direction.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One of the two ways bytes go through a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Direction {
    /// From the client to the server.
    Requests,
    /// From the server to the client.
    Replies,
}

impl Direction {
    /// Both, in the order in which per-direction arrays are laid out.
    pub const ALL: [Direction; 2] = [Direction::Requests, Direction::Replies];

    /// The way back.
    pub fn opposite(self) -> Direction {
        match self {
            Direction::Requests => Direction::Replies,
            Direction::Replies => Direction::Requests,
        }
    }

    pub(super) fn index(self) -> usize {
        match self {
            Direction::Requests => 0,
            Direction::Replies => 1,
        }
    }
}

/// The directions a shaping fault applies to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Way {
    /// From the client to the server only.
    Requests,
    /// From the server to the client only.
    Replies,
    /// Each direction by itself.
    Both,
}

impl Way {
    /// Whether `direction` is one of these.
    pub fn covers(self, direction: Direction) -> bool {
        match self {
            Way::Requests => direction == Direction::Requests,
            Way::Replies => direction == Direction::Replies,
            Way::Both => true,
        }
    }
}

/// How delays scatter. What they are is settled by a seed, connection by connection.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distribution {
    /// Evenly between the delay less the jitter and the delay plus the jitter.
    #[default]
    Uniform,
    /// Bell-shaped around the delay and within the jitter: the mean of four even draws (Irwin and Hall).
    Normal,
    /// Never less than the delay, mostly little more, and now and then much more: a Pareto tail whose scale is
    /// the jitter, with shape 2 and an end at twenty times the jitter.
    Pareto,
}

/// A fault of a link. Several may be in force at once: a link is cut when any of them cuts it.
///
/// Every limit is per connection and direction. Times are whole milliseconds, the resolution of the timer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum NetFault {
    /// Nothing crosses in either direction: no byte, no close, no reset. New connections are accepted by the
    /// kernel, as they are when a route is black-holed behind a load balancer, and reach nobody.
    #[serde(rename = "cut")]
    CutBoth,
    /// Nothing crosses from client to server; replies that were under way still arrive.
    CutRequests,
    /// Requests arrive and take effect, and nobody hears of it. New connections reach the server too.
    CutReplies,
    /// New connections are refused, and existing ones are reset.
    Refuse,
    /// Existing connections are reset; new ones are accepted and reset at once, until healed.
    Reset,
    /// Each connection is reset as soon as exactly this many bytes, counted from the injection or from its
    /// start, were handed to the receiving socket in this direction.
    ResetAfter {
        /// How many bytes still cross.
        bytes: u64,
        /// In which direction they are counted.
        direction: Direction,
    },
    /// Each chunk is released `delay_ms` (plus or minus up to `jitter_ms`) after it was read. Order is kept,
    /// and delays do not add up.
    Latency {
        /// The delay from receipt to release.
        delay_ms: u64,
        /// How far the delays scatter.
        jitter_ms: u64,
        /// How they scatter.
        #[serde(default)]
        distribution: Distribution,
        /// Which directions are slowed.
        way: Way,
    },
    /// At most this many bytes a second.
    Bandwidth {
        /// The rate; 0 lets one byte a second through.
        bytes_per_s: u64,
        /// Which directions are limited.
        way: Way,
    },
    /// Writes of at most `max_bytes`, each `gap_ms` after the one before.
    Slice {
        /// The largest write; 0 counts as 1.
        max_bytes: usize,
        /// The pause between two writes.
        gap_ms: u64,
        /// Which directions are sliced.
        way: Way,
    },
    /// The end of a connection (a close or a reset by a peer) is passed on so much later. Bytes are not slowed.
    SlowClose {
        /// How much later.
        delay_ms: u64,
        /// The direction of the close.
        way: Way,
    },
}

impl NetFault {
    /// The stable name, which after the link's name and a dash is an id in the fault registry (`db-cut-replies`).
    pub fn id(&self) -> &'static str {
        match self {
            NetFault::CutBoth => "cut",
            NetFault::CutRequests => "cut-requests",
            NetFault::CutReplies => "cut-replies",
            NetFault::Refuse => "refuse",
            NetFault::Reset => "reset",
            NetFault::ResetAfter { .. } => "reset-after",
            NetFault::Latency { .. } => "latency",
            NetFault::Bandwidth { .. } => "bandwidth",
            NetFault::Slice { .. } => "slice",
            NetFault::SlowClose { .. } => "slow-close",
        }
    }

    /// Whether this fault cuts `direction`.
    pub fn cuts(&self, direction: Direction) -> bool {
        match self {
            NetFault::CutBoth => true,
            NetFault::CutRequests => direction == Direction::Requests,
            NetFault::CutReplies => direction == Direction::Replies,
            NetFault::Refuse
            | NetFault::Reset
            | NetFault::ResetAfter { .. }
            | NetFault::Latency { .. }
            | NetFault::Bandwidth { .. }
            | NetFault::Slice { .. }
            | NetFault::SlowClose { .. } => false,
        }
    }

    /// Whether a new connection has no chance while this is in force.
    pub(super) fn turns_away(&self) -> bool {
        matches!(self, NetFault::Refuse | NetFault::Reset)
    }
}

/// What happens at heal to what a cut held back. They are two different faults.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HealMode {
    /// A connection from which the cut held anything (a byte, a close or a reset) is reset on both sides, and
    /// what was held never arrives. Connections that were silent during the cut live on.
    #[default]
    Reset,
    /// What was held is delivered now: a late, legitimate write that a checker must allow as `info`.
    Flush,
}

/// A delay that scatters. Of two the one with the longer delay is the stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Latency {
    pub(super) delay: Duration,
    pub(super) jitter: Duration,
    pub(super) distribution: Distribution,
}

impl Latency {
    /// No chunk is delayed less.
    pub(super) fn least(&self) -> Duration {
        match self.distribution {
            Distribution::Uniform | Distribution::Normal => self.delay.saturating_sub(self.jitter),
            Distribution::Pareto => self.delay,
        }
    }

    /// No chunk is delayed more.
    pub(super) fn most(&self) -> Duration {
        match self.distribution {
            Distribution::Uniform | Distribution::Normal => self.delay + self.jitter,
            Distribution::Pareto => self.delay + self.jitter * PARETO_MOST,
        }
    }
}

/// Where the tail of a Pareto distribution ends, in jitters.
pub(super) const PARETO_MOST: u32 = 20;

/// How one direction treats the bytes that it does pass. Of several faults of a kind the strictest counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) latency: Option<Latency>,
    pub(super) bytes_per_s: Option<u64>,
    /// Largest write and pause after it.
    pub(super) slice: Option<(usize, Duration)>,
}

impl Shape {
    /// Whether bytes pass as they come.
    pub(super) fn is_plain(&self) -> bool {
        *self == Shape::default()
    }

    fn add(&mut self, fault: &NetFault, direction: Direction) {
        match *fault {
            NetFault::Latency { delay_ms, jitter_ms, distribution, way } if way.covers(direction) => {
                let (delay, jitter) = (Duration::from_millis(delay_ms), Duration::from_millis(jitter_ms));
                let new = Latency { delay, jitter, distribution };
                self.latency = Some(self.latency.map_or(new, |old| old.max(new)));
            }
            NetFault::Bandwidth { bytes_per_s, way } if way.covers(direction) => {
                let new = bytes_per_s.max(1);
                self.bytes_per_s = Some(self.bytes_per_s.map_or(new, |old| old.min(new)));
            }
            NetFault::Slice { max_bytes, gap_ms, way } if way.covers(direction) => {
                let new = (max_bytes.max(1), Duration::from_millis(gap_ms));
                self.slice = Some(self.slice.map_or(new, |(size, gap)| (size.min(new.0), gap.max(new.1))));
            }
            NetFault::Latency { .. }
            | NetFault::Bandwidth { .. }
            | NetFault::Slice { .. }
            | NetFault::SlowClose { .. }
            | NetFault::CutBoth
            | NetFault::CutRequests
            | NetFault::CutReplies
            | NetFault::Refuse
            | NetFault::Reset
            | NetFault::ResetAfter { .. } => {}
        }
    }
}

/// What the faults in force add up to in one direction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rules {
    pub(super) cut: bool,
    pub(super) shape: Shape,
    /// The byte count of the strictest `ResetAfter`.
    pub(super) reset_after: Option<u64>,
    /// By how much the end of a connection is late.
    pub(super) slow_close: Duration,
}

impl Rules {
    pub(super) fn of(active: &[NetFault], direction: Direction) -> Rules {
        let mut rules = Rules::default();
        for fault in active {
            rules.cut |= fault.cuts(direction);
            rules.shape.add(fault, direction);
            if let NetFault::ResetAfter { bytes, direction: counted } = *fault
                && counted == direction
            {
                rules.reset_after = Some(rules.reset_after.map_or(bytes, |old| old.min(bytes)));
            }
            if let NetFault::SlowClose { delay_ms, way } = *fault
                && way.covers(direction)
            {
                rules.slow_close = rules.slow_close.max(Duration::from_millis(delay_ms));
            }
        }
        rules
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_read_and_write_with_their_names() {
        let faults = [
            (NetFault::CutBoth, r#"{"kind":"cut"}"#),
            (NetFault::CutReplies, r#"{"kind":"cut-replies"}"#),
            (
                NetFault::ResetAfter { bytes: 7, direction: Direction::Replies },
                r#"{"kind":"reset-after","bytes":7,"direction":"replies"}"#,
            ),
            (
                NetFault::Latency {
                    delay_ms: 20,
                    jitter_ms: 5,
                    distribution: Distribution::Pareto,
                    way: Way::Both,
                },
                r#"{"kind":"latency","delay_ms":20,"jitter_ms":5,"distribution":"pareto","way":"both"}"#,
            ),
        ];
        for (fault, json) in faults {
            assert_eq!(serde_json::to_string(&fault).ok().as_deref(), Some(json));
            assert_eq!(serde_json::from_str::<NetFault>(json).ok(), Some(fault));
        }
    }

    #[test]
    fn the_strictest_of_several_faults_counts() {
        let active = [
            NetFault::CutReplies,
            NetFault::Bandwidth { bytes_per_s: 900, way: Way::Both },
            NetFault::Bandwidth { bytes_per_s: 100, way: Way::Requests },
            NetFault::Slice { max_bytes: 0, gap_ms: 2, way: Way::Replies },
        ];
        let requests = Rules::of(&active, Direction::Requests);
        let replies = Rules::of(&active, Direction::Replies);
        assert!(!requests.cut && replies.cut);
        assert_eq!(requests.shape.bytes_per_s, Some(100));
        assert_eq!(replies.shape.bytes_per_s, Some(900));
        assert_eq!(requests.shape.slice, None);
        assert_eq!(replies.shape.slice, Some((1, Duration::from_millis(2))));
    }
}
