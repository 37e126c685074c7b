//! Checks a circle against the definitions, without any graph.

use super::circle::{Circle, Link, Point, Reason, Version};
use super::ops::{Deed, Deeds};
use super::{Assumed, Guarantee};
use crate::foreign::{OpHistory, Outcome};

struct Claims<'a> {
    deeds: Deeds<'a>,
    guarantee: Guarantee,
    assumed: Assumed,
    circle: &'a Circle,
}

/// Checks that the history shows every link, and that they make a circle.
pub fn verify_circle(
    history: &OpHistory,
    guarantee: Guarantee,
    assumed: Assumed,
    circle: &Circle,
) -> Result<(), String> {
    let deeds = Deeds::of(history).map_err(|error| error.to_string())?;
    let claims = Claims { deeds, guarantee, assumed, circle };
    let links = &circle.links;
    // What sessions read is of their own orders; what is forced by none of them holds in all.
    let has_reader = links.iter().any(|link| matches!(link.reason, Reason::Seen { .. }));
    let is_of_one = circle.session.is_some();
    if links.is_empty() || is_of_one && assumed.is_shared || !is_of_one && !assumed.is_shared && has_reader {
        return Err("it is no circle of the order that it is said to be of".to_owned());
    }
    for (at, link) in links.iter().enumerate() {
        let follows = link.to == links[(at + 1) % links.len()].from;
        if !follows || claims.holds(link).is_none() {
            return Err(format!("the history does not show link {}", at + 1));
        }
    }
    Ok(())
}

impl Claims<'_> {
    fn deed(&self, point: Point) -> Option<&Deed> {
        self.deeds.deeds.iter().find(|deed| (deed.call, deed.mop) == (point.call, point.mop))
    }

    /// The write of a version; none where it is no version of the key.
    fn write(&self, version: &Version) -> Option<&Deed> {
        let deed = self.deed(version.write?)?;
        let value = self.deeds.history.store().show(deed.value);
        let is_it =
            deed.is_write && Some(value) == version.value && self.deeds.key_name(deed.key) == self.circle.key;
        is_it.then_some(deed)
    }

    fn outcome(&self, deed: &Deed) -> Outcome {
        self.deeds.history.calls()[deed.call as usize].outcome
    }

    fn holds(&self, link: &Link) -> Option<()> {
        let is_initial = |version: &Version| version.value.is_none() && version.write.is_none();
        if link.from == link.to {
            return None;
        }
        let so = match &link.reason {
            Reason::Initial => is_initial(&link.from) && self.write(&link.to).is_some(),
            Reason::Session => {
                let (from, to) = (self.write(&link.from)?, self.write(&link.to)?);
                let is_given = self.assumed.has_session_order
                    || match self.guarantee {
                        Guarantee::MonotonicWrites | Guarantee::Pram => true,
                        Guarantee::ReadYourWrites => self.is_of_view(from),
                        Guarantee::MonotonicReads | Guarantee::WritesFollowReads => false,
                    };
                is_given && self.outcome(from) == Outcome::Ok && is_before(from, to)
            }
            Reason::Realtime => {
                let (from, to) = (self.write(&link.from)?, self.write(&link.to)?);
                let calls = self.deeds.history.calls();
                let is_later = calls[from.call as usize].end < calls[to.call as usize].begin;
                self.assumed.has_realtime && self.outcome(from) == Outcome::Ok && is_later
            }
            Reason::Update { read } => {
                let (from, to, read) = (self.write(&link.from)?, self.write(&link.to)?, self.deed(*read)?);
                let is_given = self.guarantee == Guarantee::WritesFollowReads
                    || self.assumed.has_updates && read.call == to.call;
                is_given && self.returned(read, from) && is_before(read, to)
            }
            Reason::Seen { path } => {
                let deeds: Option<Vec<&Deed>> = path.iter().map(|point| self.deed(*point)).collect();
                let deeds = deeds?;
                let (first, reader) = (*deeds.first()?, *deeds.last()?);
                let returned = match &link.to {
                    to if is_initial(to) => self.deeds.history.store().show(reader.value) == "nil",
                    to => self.returned(reader, self.write(to)?),
                };
                let from = self.write(&link.from)?;
                let is_way = (first.call, first.mop) == (from.call, from.mop) && first.key == reader.key;
                !reader.is_write && returned && is_way && self.is_of_view(reader) && self.had_to_see(&deeds)
            }
        };
        so.then_some(())
    }

    fn is_of_view(&self, deed: &Deed) -> bool {
        let name = self.deeds.session_name(deed.session);
        self.circle.session.as_ref().is_none_or(|session| *session == name)
    }

    fn returned(&self, read: &Deed, write: &Deed) -> bool {
        !read.is_write && write.is_write && (read.key, read.value) == (write.key, write.value)
    }

    /// Whether a way from a write to a read is one that the guarantee speaks of. `w` is a step from a write to a
    /// read of it, `s` one along a session, `t` one along a session within a transaction.
    fn had_to_see(&self, way: &[&Deed]) -> bool {
        let step = |pair: &[&Deed]| match (pair[0], pair[1]) {
            (one, other) if self.returned(other, one) && one.is_write => Some('w'),
            (one, other) if is_before(one, other) && one.call == other.call => Some('t'),
            (one, other) if is_before(one, other) => Some('s'),
            _ => None,
        };
        let Some(steps) = way.windows(2).map(step).collect::<Option<String>>() else { return false };
        // Along a session, it matters little whether a step is within a transaction.
        let plain = steps.replace('t', "s");
        let has_happened = self.outcome(way[0]) == Outcome::Ok;
        match self.guarantee {
            Guarantee::ReadYourWrites => plain == "s" && has_happened,
            Guarantee::MonotonicReads => plain == "ws",
            Guarantee::MonotonicWrites => plain == "sws" && steps.ends_with('t') && has_happened,
            Guarantee::Pram => plain == "ws" || (plain == "s" || plain == "sws") && has_happened,
            Guarantee::WritesFollowReads => {
                let rest = plain.trim_end_matches('s');
                let is_within = rest.len() == steps.len() || steps.ends_with('t');
                let turns = rest.strip_prefix('w').unwrap_or_default();
                is_within && !turns.is_empty() && turns == "sw".repeat(turns.len() / 2)
            }
        }
    }
}

fn is_before(one: &Deed, other: &Deed) -> bool {
    one.session == other.session && (one.call, one.mop) < (other.call, other.mop)
}
