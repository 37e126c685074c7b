//! Consumers as members of groups: joining, leaving, being expelled, and committing offsets.

use std::sync::Arc;
use std::time::Duration;

use super::cluster::{ClientId, Cluster, PartitionId};
use super::failure;
use super::fetch::{Place, Reader};
use super::group::{Group, MemberId};
use super::settings::Heartbeats;
use crate::port::PortError;

/// Which member of which generation a consumer takes itself for.
#[derive(Debug, Clone)]
pub(super) struct Membership {
    pub(super) group: Arc<str>,
    /// None for a consumer that has not joined.
    pub(super) member: Option<MemberId>,
    pub(super) generation: u64,
}

/// Why the coordinator does not know a member: a code, and what librdkafka says.
type Refusal = (&'static str, &'static str);

const UNKNOWN_MEMBER: Refusal = ("UnknownMemberId", "UnknownMemberId (Broker: Unknown member)");
const ILLEGAL_GENERATION: Refusal =
    ("IllegalGeneration", "IllegalGeneration (Broker: Specified group generation id is not valid)");
const WHAT: &str = "failed to commit an offset";

impl Cluster {
    /// Joins the group, or joins it again with other topics.
    pub(super) fn subscribe(&mut self, client: ClientId, topics: Vec<Arc<str>>, now: Duration) {
        let Some(reader) = self.readers.get_mut(&client) else { return };
        reader.topics = topics;
        reader.by_hand.clear();
        self.leave(client, now);
        if self.up {
            self.join(client, now);
        }
    }

    /// Makes the reader what the group wants it to be: a member, of the current generation. True if it may read.
    pub(super) fn follow_group(&mut self, client: ClientId, now: Duration) -> bool {
        let Some(reader) = self.readers.get(&client).filter(|reader| !reader.topics.is_empty()) else {
            return true;
        };
        let Some(name) = reader.options.group.clone() else { return true };
        let auto_commit = reader.options.auto_commit;
        self.notes.group(&name, self.settings.heartbeats == Heartbeats::Calls);
        if !self.is_member(client) {
            self.give_up_partitions(client);
            self.join(client, now);
        }
        let Some(member) = self.readers[&client].member else { return false };
        let awaited = |group: &Group| {
            group.preparing.is_some() && group.members.get(&member).is_some_and(|member| !member.rejoined)
        };
        if awaited(&self.groups[&name]) {
            if auto_commit {
                self.commit_stored(client);
            }
            self.give_up_partitions(client);
            if let Some(member) = self.groups.get_mut(&name).and_then(|group| group.members.get_mut(&member))
            {
                member.rejoined = true;
            }
            self.form(&name);
        }
        let group = &self.groups[&name];
        if group.preparing.is_some() {
            return false;
        }
        let (generation, share) = (group.generation, group.members[&member].share.clone());
        if let Some(reader) = self.readers.get_mut(&client).filter(|reader| reader.applied != generation) {
            reader.applied = generation;
            reader.known = generation;
            reader.places = share.into_iter().map(|id| (id, Place::Unresolved)).collect();
        }
        true
    }

    /// Leaves the group, as whoever is dropped does.
    pub(super) fn leave(&mut self, client: ClientId, now: Duration) {
        let Some(reader) = self.readers.get_mut(&client) else { return };
        let (Some(member), Some(name)) = (reader.member.take(), reader.options.group.clone()) else { return };
        self.give_up_partitions(client);
        self.remove_member(&name, member, now);
    }

    /// A member has been silent for too long. One that does not poll leaves by itself and knows it; one whose
    /// process stands still is thrown out and does not.
    pub(super) fn expel(&mut self, client: ClientId, now: Duration) {
        let Some(reader) = self.readers.get_mut(&client) else { return };
        let (Some(member), Some(name)) = (reader.member, reader.options.group.clone()) else { return };
        match self.settings.heartbeats {
            Heartbeats::Background => {
                reader.poll_exceeded = true;
                self.leave(client, now);
            }
            Heartbeats::Calls => {
                reader.is_expelled = true;
                self.remove_member(&name, member, now);
            }
        }
    }

    /// The group goes on without those that have not joined again.
    pub(super) fn stop_waiting(&mut self, name: &Arc<str>, now: Duration) {
        self.notes.group(name, true);
        let Some(group) = self.groups.get_mut(name) else { return };
        let missing: Vec<_> = group.members.values().filter(|member| !member.rejoined).collect();
        let missing: Vec<ClientId> = missing.into_iter().map(|member| member.client).collect();
        group.drop_missing();
        group.preparing = Some(now);
        for client in missing {
            if let Some(reader) = self.readers.get_mut(&client) {
                reader.is_expelled = true;
            }
        }
        self.form(name);
    }

    /// A topic that somebody waits for has come.
    pub(super) fn rebalance_subscribers(&mut self, topic: &str, now: Duration) {
        let wanted = |group: &Group| {
            group.members.values().any(|member| member.topics.iter().any(|wanted| &**wanted == topic))
        };
        let names = self.groups.iter().filter(|(_, group)| wanted(group)).map(|(name, _)| Arc::clone(name));
        for name in names.collect::<Vec<_>>() {
            self.notes.group(&name, true);
            if let Some(group) = self.groups.get_mut(&name) {
                group.prepare(now);
            }
            self.change();
        }
    }

    /// Commits an offset at the application's wish.
    pub(super) fn commit(&mut self, client: ClientId, id: PartitionId, offset: i64) -> Result<(), PortError> {
        let Some(membership) = self.membership(client) else {
            return Err(failure::no_group("commit offsets"));
        };
        self.check_member(&membership).map_err(|(code, said)| {
            failure::refused(WHAT, code, &format!("Consumer commit error: {said}"))
        })?;
        self.note_offset(&membership.group, id, true);
        self.groups.entry(membership.group).or_default().offsets.insert(id, offset);
        if let Some(reader) = self.readers.get_mut(&client) {
            reader.committed.insert(id, offset);
        }
        Ok(())
    }

    /// Commits what the application has polled, without its knowing.
    pub(super) fn commit_stored(&mut self, client: ClientId) {
        let Some(membership) = self.membership(client) else { return };
        let is_known = self.check_member(&membership).is_ok();
        let Some(reader) = self.readers.get_mut(&client) else { return };
        reader.next_commit = None;
        let stored = std::mem::take(&mut reader.stored);
        if !is_known {
            return;
        }
        for (id, offset) in stored {
            let Some(reader) = self.readers.get_mut(&client) else { return };
            if reader.committed.insert(id, offset) != Some(offset) {
                self.note_offset(&membership.group, id, true);
                let group = self.groups.entry(Arc::clone(&membership.group)).or_default();
                group.offsets.insert(id, offset);
            }
        }
        self.change();
    }

    pub(super) fn note_offset(&self, group: &str, id: PartitionId, write: bool) {
        self.notes.offset(group, &self.topics[id.topic].name, id.partition, write);
    }

    /// Which member the consumer takes itself for; none without a group.
    pub(super) fn membership(&self, client: ClientId) -> Option<Membership> {
        let reader = self.readers.get(&client)?;
        let group = Arc::clone(reader.options.group.as_ref()?);
        let learns = self.settings.heartbeats == Heartbeats::Background && self.is_member(client);
        let current = self.groups.get(&group).map(|group| group.generation);
        let generation = current.filter(|_| learns).unwrap_or(reader.known);
        Some(Membership { group, member: reader.member, generation })
    }

    /// Whether the coordinator takes offsets from that member.
    pub(super) fn check_member(&self, membership: &Membership) -> Result<(), Refusal> {
        self.notes.group(&membership.group, false);
        let Some(group) = self.groups.get(&membership.group) else { return Ok(()) };
        match membership.member {
            // Whoever is no member may commit as long as nobody is.
            None if group.members.is_empty() => Ok(()),
            None => Err(UNKNOWN_MEMBER),
            Some(member) if !group.members.contains_key(&member) => Err(UNKNOWN_MEMBER),
            Some(_) if membership.generation != group.generation => Err(ILLEGAL_GENERATION),
            Some(_) => Ok(()),
        }
    }

    fn join(&mut self, client: ClientId, now: Duration) {
        let seed = self.seed;
        let Some(reader) = self.readers.get_mut(&client) else { return };
        let Some(name) = reader.options.group.clone() else { return };
        self.notes.group(&name, true);
        let group = self.groups.entry(Arc::clone(&name)).or_default();
        reader.member = Some(group.join(seed, client, reader.topics.clone(), now));
        reader.is_expelled = false;
        reader.last_poll = now;
        self.form(&name);
        self.change();
    }

    fn is_member(&self, client: ClientId) -> bool {
        let Some(reader) = self.readers.get(&client) else { return false };
        let group = reader.options.group.as_ref().and_then(|group| self.groups.get(group));
        let (Some(member), Some(group)) = (reader.member, group) else { return false };
        group.members.contains_key(&member)
    }

    fn remove_member(&mut self, name: &Arc<str>, member: MemberId, now: Duration) {
        self.notes.group(name, true);
        if let Some(group) = self.groups.get_mut(name) {
            group.leave(member, now);
        }
        self.form(name);
        self.change();
    }

    fn form(&mut self, name: &Arc<str>) {
        let topics: Vec<_> = self
            .topics
            .iter()
            .enumerate()
            .map(|(number, topic)| (&*topic.name, number, topic.partitions.len()))
            .collect();
        self.notes.topics(false);
        self.notes.group(name, true);
        if self.groups.get_mut(name).is_some_and(|group| group.form(&topics)) {
            self.change();
        }
    }

    fn give_up_partitions(&mut self, client: ClientId) {
        if let Some(reader) = self.readers.get_mut(&client) {
            reader.forget_places();
        }
    }
}

impl Reader {
    fn forget_places(&mut self) {
        self.places.clear();
        self.stored.clear();
        self.committed.clear();
        self.next_commit = None;
    }
}
