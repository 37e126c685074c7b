//! A consumer group: its members, their shares of the topics, and its offsets.
//!
//! Rebalances are eager, as with librdkafka's range assignor: once somebody joins or leaves, every member gives
//! up its partitions and joins again, which it does when it polls. When the last one has, a new generation
//! begins. Until then those that have joined again have nothing to read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::{ClientId, PartitionId};
use super::partition::ProducerId;

/// A member's name. Kafka draws it at random, and members are sorted by it when partitions are shared out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct MemberId(u64, u64);

#[derive(Debug, Clone)]
pub(super) struct Member {
    pub(super) client: ClientId,
    pub(super) topics: Vec<Arc<str>>,
    /// Whether it has joined again for the next generation.
    pub(super) rejoined: bool,
    pub(super) share: Vec<PartitionId>,
}

#[derive(Debug, Clone, Default)]
pub(super) struct Group {
    pub(super) members: BTreeMap<MemberId, Member>,
    pub(super) generation: u64,
    /// Since when members are awaited; none while the group is stable or empty.
    pub(super) preparing: Option<Duration>,
    pub(super) offsets: BTreeMap<PartitionId, i64>,
    /// Offsets of transactions that are open.
    pub(super) pending: BTreeMap<ProducerId, BTreeMap<PartitionId, i64>>,
    /// How many members there have ever been.
    joined: u64,
}

/// A topic to be shared out, with its number of partitions.
pub(super) type Sized<'a> = (&'a str, usize, usize);

impl Group {
    /// Lets a new member in, which starts a rebalance.
    pub(super) fn join(
        &mut self,
        seed: u64,
        client: ClientId,
        topics: Vec<Arc<str>>,
        now: Duration,
    ) -> MemberId {
        self.joined += 1;
        let id = MemberId(mixed(seed ^ self.joined), self.joined);
        self.members.insert(id, Member { client, topics, rejoined: true, share: Vec::new() });
        self.preparing.get_or_insert(now);
        id
    }

    /// Removes a member, which starts a rebalance of those that are left.
    pub(super) fn leave(&mut self, id: MemberId, now: Duration) {
        if self.members.remove(&id).is_some() {
            self.preparing.get_or_insert(now);
        }
    }

    /// Starts a rebalance for a cause other than its members.
    pub(super) fn prepare(&mut self, now: Duration) {
        self.preparing.get_or_insert(now);
    }

    /// Removes the members that have not joined again in time.
    pub(super) fn drop_missing(&mut self) {
        self.members.retain(|_, member| member.rejoined);
    }

    /// Begins the next generation, if every member is there. Each topic is cut into as many ranges as there are
    /// members that subscribe to it; the first ones get one more where that does not come out even.
    pub(super) fn form(&mut self, topics: &[Sized<'_>]) -> bool {
        if self.preparing.is_none() || self.members.values().any(|member| !member.rejoined) {
            return false;
        }
        self.preparing = None;
        self.generation += 1;
        for member in self.members.values_mut() {
            member.rejoined = false;
            member.share.clear();
        }
        for (name, topic, partitions) in topics {
            let wants = |member: &&mut Member| member.topics.iter().any(|wanted| &**wanted == *name);
            let count = self.members.values_mut().filter(wants).count();
            let mut next = 0;
            for (index, member) in self.members.values_mut().filter(wants).enumerate() {
                let share = partitions / count + usize::from(index < partitions % count);
                let range = next..next + share;
                member.share.extend(range.map(|partition| PartitionId { topic: *topic, partition }));
                next += share;
            }
        }
        true
    }

    pub(super) fn forget_members(&mut self) {
        self.members.clear();
        self.preparing = None;
    }

    /// Whether a transaction that is open has an offset of the partition.
    pub(super) fn is_unstable(&self, id: PartitionId) -> bool {
        self.pending.values().any(|offsets| offsets.contains_key(&id))
    }
}

/// SplitMix64's output function.
fn mixed(seed: u64) -> u64 {
    let mut word = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    word ^ (word >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shares(group: &Group) -> Vec<Vec<usize>> {
        let partitions = |member: &Member| member.share.iter().map(|id| id.partition).collect();
        group.members.values().map(partitions).collect()
    }

    #[test]
    fn ranges_are_contiguous_and_the_first_members_have_one_more() {
        let mut group = Group::default();
        for client in 0..3 {
            group.join(7, client, vec!["t".into()], Duration::ZERO);
        }
        assert!(group.form(&[("t", 0, 5)]));
        assert_eq!(shares(&group), [vec![0, 1], vec![2, 3], vec![4]]);
        assert!(!group.form(&[("t", 0, 5)]), "a stable group forms no new generation");
    }

    #[test]
    fn a_generation_waits_for_every_member() {
        let mut group = Group::default();
        let first = group.join(7, 1, vec!["t".into()], Duration::ZERO);
        assert!(group.form(&[("t", 0, 2)]));
        group.join(7, 2, vec!["t".into()], Duration::ZERO);
        assert!(!group.form(&[("t", 0, 2)]), "the first has not joined again");
        group.members.get_mut(&first).expect("it is there").rejoined = true;
        assert!(group.form(&[("t", 0, 2)]));
        assert_eq!((group.generation, shares(&group)), (2, vec![vec![0], vec![1]]));
    }
}
