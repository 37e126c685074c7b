//! What can be done to the cluster.

use std::time::Duration;

use super::ModelBroker;
use super::cluster::{Cluster, FOLLOWERS, PartitionId};
use super::failure;
use super::produce::Stage;
use crate::port::PortError;

impl ModelBroker {
    /// The followers of a topic stop following. What is appended from now on is acknowledged to producers that
    /// wait for the leader alone, is seen by no consumer, and is lost if the leader goes. After
    /// [`replica_lag_max`](super::Settings::replica_lag_max) the followers are out of sync.
    ///
    /// # Errors
    /// If there is no such topic.
    pub fn hold_replication(&self, topic: &str) -> Result<(), PortError> {
        self.follow(topic, 0)
    }

    /// Of the followers that were held, the one next in line to lead follows again.
    ///
    /// # Errors
    /// If there is no such topic.
    pub fn release_one_follower(&self, topic: &str) -> Result<(), PortError> {
        self.follow(topic, 1)
    }

    /// All followers follow again.
    ///
    /// # Errors
    /// If there is no such topic.
    pub fn release_replication(&self, topic: &str) -> Result<(), PortError> {
        self.follow(topic, FOLLOWERS)
    }

    /// The leader of every partition goes, and comes back as a follower of one that is in sync. What that one
    /// lacks is lost; requests that were not answered are sent again.
    pub fn fail_over(&self) {
        self.elect(false);
    }

    /// The same with an unclean election: the follower that lacks most leads, also if it is out of sync.
    pub fn fail_over_unclean(&self) {
        self.elect(true);
    }

    /// All brokers are killed. What was appended survives; requests without an answer may have been lost or not.
    pub fn crash(&self) {
        self.shared.with(|cluster, _now| {
            cluster.notes.health(true);
            cluster.up = false;
            cluster.change();
        });
    }

    /// All brokers start again, and count the silence of members and transactions from now on.
    pub fn restart(&self) {
        self.shared.with(|cluster, now| {
            cluster.notes.health(true);
            cluster.up = true;
            cluster.forgive(now);
            cluster.send_again(now + cluster.settings.retry_backoff, |_| true);
        });
    }

    /// The next `count` requests to produce to a topic get lost on their way.
    ///
    /// # Errors
    /// If there is no such topic.
    pub fn lose_requests(&self, topic: &str, count: usize) -> Result<(), PortError> {
        self.on_topic(topic, |cluster, number| cluster.topics[number].lose_requests = count)
    }

    /// The next `count` acknowledgements of messages to a topic get lost on their way back.
    ///
    /// # Errors
    /// If there is no such topic.
    pub fn lose_replies(&self, topic: &str, count: usize) -> Result<(), PortError> {
        self.on_topic(topic, |cluster, number| cluster.topics[number].lose_replies = count)
    }

    fn on_topic(&self, topic: &str, act: impl FnOnce(&mut Cluster, usize)) -> Result<(), PortError> {
        self.shared.with(|cluster, _now| {
            cluster.notes.health(true);
            let number = cluster.topic(topic).ok_or_else(|| failure::unknown_topic(topic))?;
            act(cluster, number);
            Ok(())
        })
    }

    fn follow(&self, topic: &str, followers: usize) -> Result<(), PortError> {
        self.shared.with(|cluster, now| {
            cluster.notes.health(true);
            let number = cluster.topic(topic).ok_or_else(|| failure::unknown_topic(topic))?;
            cluster.topics[number].followers = followers;
            for id in cluster.partitions_of(number) {
                cluster.note_partition(id, true);
                if followers > 0 {
                    cluster.replicate(id, now);
                }
            }
            cluster.send_parked(number, now);
            Ok(())
        })
    }

    fn elect(&self, unclean: bool) {
        self.shared.with(|cluster, now| {
            cluster.notes.health(true);
            cluster.notes.all_partitions();
            // First: whoever waits for the old leader hears nothing more from it.
            cluster.send_again(now + cluster.settings.retry_backoff, |_| true);
            for topic in 0..cluster.topics.len() {
                for id in cluster.partitions_of(topic) {
                    cluster.partition_mut(id).fail_over(unclean);
                    if cluster.topics[topic].followers > 0 {
                        cluster.replicate(id, now);
                    }
                }
            }
        });
    }
}

impl Cluster {
    /// Requests that waited for replicas in sync are sent, in the order in which they came.
    fn send_parked(&mut self, topic: usize, now: Duration) {
        for request in self.requests.values_mut().filter(|request| request.partition.topic == topic) {
            if let Stage::Parked = request.stage {
                request.stage = Stage::Due(now);
            }
        }
        self.change();
    }

    /// After a restart everybody's silence begins anew.
    fn forgive(&mut self, now: Duration) {
        for reader in self.readers.values_mut() {
            reader.last_poll = reader.last_poll.max(now);
            reader.show_life(now);
        }
        for group in self.groups.values_mut().filter(|group| group.preparing.is_some()) {
            group.preparing = Some(now);
        }
        for open in self.transactions.values_mut().filter_map(|entry| entry.open.as_mut()) {
            open.since = now;
        }
    }

    fn partitions_of(&self, topic: usize) -> Vec<PartitionId> {
        (0..self.topics[topic].partitions.len()).map(|partition| PartitionId { topic, partition }).collect()
    }
}
