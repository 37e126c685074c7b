//! The coordinator of transactions, and the producers that take part.
//!
//! A transactional id has one producer at a time: whoever initialises it next gets a higher epoch, and the one
//! before is fenced (KIP-98). The coordinator notices at its next request of the one before, and the leaders of
//! the partitions by the marks that end what it left open.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use super::cluster::{ClientId, Cluster, PartitionId};
use super::failure;
use super::membership::Membership;
use super::partition::ProducerId;
use super::producer::{Phase, Sending};
use crate::port::{GroupOffset, PortError};

/// What the coordinator knows of a transactional id.
#[derive(Debug, Clone)]
pub(super) struct Transactional {
    producer: ProducerId,
    pub(super) epoch: u32,
    pub(super) open: Option<Open>,
}

/// What belongs to a transaction that is open.
#[derive(Debug, Clone)]
pub(super) struct Open {
    pub(super) since: Duration,
    pub(super) partitions: BTreeSet<PartitionId>,
    pub(super) groups: BTreeSet<Arc<str>>,
}

const OLD_PRODUCER: &str = "Local: This instance has been fenced by a newer instance";

impl Cluster {
    /// Gives a transactional id to a new producer: aborts what is open, and fences the producer before.
    pub(super) fn init_transactions(&mut self, client: ClientId, id: &Arc<str>, now: Duration) {
        self.notes.transaction(id, true);
        self.end(id, false, true, now);
        let entry = self.transactions.entry(Arc::clone(id));
        let entry = entry.and_modify(|entry| entry.epoch += 1).or_insert(Transactional {
            producer: client,
            epoch: 0,
            open: None,
        });
        let (producer, epoch) = (Some(entry.producer), entry.epoch);
        let transactional = Some(Arc::clone(id));
        self.senders.insert(client, Sending { producer, epoch, transactional, ..Sending::default() });
    }

    /// Why a producer may not produce now, if so. Nothing is sent then.
    pub(super) fn turned_away(
        &self,
        client: ClientId,
        transactional: bool,
        topic: &str,
    ) -> Option<PortError> {
        let what = || failure::produce(topic);
        match &self.senders.get(&client)?.phase {
            Phase::Broken(_) => {
                let said = "Message production error: Fatal (Local: Fatal error)";
                Some(PortError { connection_lost: true, ..failure::refused(&what(), "Fatal", said) })
            }
            Phase::MustAbort(_) => Some(out_of_turn(&what())),
            Phase::Ready if transactional => Some(out_of_turn(&what())),
            Phase::Ready | Phase::Open => None,
        }
    }

    pub(super) fn begin_transaction(&mut self, client: ClientId) -> Result<(), PortError> {
        const WHAT: &str = "failed to begin a transaction";
        let sending = self.sending(client, WHAT)?;
        match &sending.phase {
            Phase::Ready => {
                sending.phase = Phase::Open;
                Ok(())
            }
            Phase::Open => Err(not_valid(WHAT, "InTransaction")),
            Phase::MustAbort(_) => Err(not_valid(WHAT, "AbortableError")),
            Phase::Broken(error) => Err(renamed(WHAT, error)),
        }
    }

    /// Whether the transaction may be committed or aborted now.
    pub(super) fn may_end(&mut self, client: ClientId, what: &str, commit: bool) -> Result<(), PortError> {
        match &self.sending(client, what)?.phase {
            Phase::Open => Ok(()),
            Phase::Ready => Err(not_valid(what, "Ready")),
            Phase::MustAbort(_) if !commit => Ok(()),
            Phase::MustAbort(error) => {
                Err(PortError { may_have_happened: false, connection_lost: false, ..renamed(what, error) })
            }
            Phase::Broken(error) => Err(renamed(what, error)),
        }
    }

    /// Whether offsets may be sent now.
    pub(super) fn may_send_offsets(&mut self, client: ClientId, what: &str) -> Result<(), PortError> {
        self.may_end(client, what, true)
    }

    /// Ends the producer's transaction. One without messages and offsets ends without the coordinator.
    pub(super) fn end_transaction(
        &mut self,
        client: ClientId,
        what: &str,
        commit: bool,
        now: Duration,
    ) -> Result<(), PortError> {
        // A message may have been given up meanwhile.
        self.may_end(client, what, commit)?;
        let sending = self.sending(client, what)?;
        let told = !sending.partitions.is_empty() || sending.has_offsets;
        let id = sending.transactional.clone();
        let id = id.expect("`sending` refuses producers without transactions");
        if told {
            self.notes.transaction(&id, true);
            let open = self.transactions.get(&id).is_some_and(|entry| entry.open.is_some());
            if !self.is_current(client, &id) || !open {
                return Err(renamed(what, &self.fence(client, "Failed to end transaction")));
            }
            self.end(&id, commit, false, now);
        }
        let sending = self.sending(client, what)?;
        sending.phase = Phase::Ready;
        sending.partitions.clear();
        sending.has_offsets = false;
        Ok(())
    }

    /// Makes offsets part of the transaction, if the group knows the member.
    pub(super) fn send_offsets(
        &mut self,
        client: ClientId,
        what: &str,
        offsets: &[GroupOffset<'_>],
        member: &Membership,
        now: Duration,
    ) -> Result<(), PortError> {
        self.may_send_offsets(client, what)?;
        let group = Arc::clone(&member.group);
        let added = self.add_to_transaction(client, now, |open| open.groups.insert(Arc::clone(&group)));
        if !added {
            return Err(renamed(what, &self.fence(client, "Failed to add offsets to transaction")));
        }
        let refusal = self.check_member(member).err();
        let mut placed = Vec::new();
        for GroupOffset { topic, partition, offset } in offsets {
            match self.find(topic, *partition) {
                Some(id) => placed.push((id, *offset)),
                None => return Err(failure::unknown_topic(topic)),
            }
        }
        let sending = self.sending(client, what)?;
        sending.has_offsets = true;
        if let Some((code, said)) = refusal {
            let error = failure::refused(what, code, &format!("Transaction error: {said}"));
            sending.phase = Phase::MustAbort(error.clone());
            return Err(error);
        }
        let producer = sending.producer.expect("a transactional producer is idempotent");
        for (id, offset) in placed {
            self.note_offset(&group, id, true);
            let pending = &mut self.groups.entry(Arc::clone(&group)).or_default().pending;
            pending.entry(producer).or_default().insert(id, offset);
        }
        Ok(())
    }

    /// Tells the coordinator of something that belongs to the producer's transaction. False if the producer has
    /// been fenced.
    pub(super) fn add_to_transaction<T>(
        &mut self,
        client: ClientId,
        now: Duration,
        add: impl FnOnce(&mut Open) -> T,
    ) -> bool {
        let id = self.senders.get(&client).and_then(|sending| sending.transactional.clone());
        let Some(id) = id.filter(|id| self.is_current(client, id)) else { return false };
        self.notes.transaction(&id, true);
        if let Some(entry) = self.transactions.get_mut(&id) {
            let fresh = || Open { since: now, partitions: BTreeSet::new(), groups: BTreeSet::new() };
            add(entry.open.get_or_insert_with(fresh));
        }
        true
    }

    /// A producer that learns that a newer one has its id is of no more use.
    pub(super) fn fence(&mut self, client: ClientId, doing: &str) -> PortError {
        let said = format!("Transaction error: {doing}: {OLD_PRODUCER}");
        let error = failure::fatal("the producer is fenced", "Fenced", &said);
        if let Some(sending) = self.senders.get_mut(&client) {
            sending.phase = Phase::Broken(error.clone());
        }
        error
    }

    /// The coordinator aborts what has been open for too long, and fences its producer.
    pub(super) fn time_out_transaction(&mut self, id: &Arc<str>, now: Duration) {
        self.notes.transaction(id, true);
        self.end(id, false, true, now);
    }

    fn is_current(&self, client: ClientId, id: &Arc<str>) -> bool {
        let epoch = self.senders.get(&client).map(|sending| sending.epoch);
        self.notes.transaction(id, false);
        epoch.is_some() && self.transactions.get(id).map(|entry| entry.epoch) == epoch
    }

    /// Ends what is open of an id: marks in its partitions, and the offsets of its groups. With `fence` in a
    /// higher epoch.
    fn end(&mut self, id: &Arc<str>, commit: bool, fence: bool, now: Duration) {
        let Some(entry) = self.transactions.get_mut(id) else { return };
        let Some(open) = entry.open.take() else { return };
        entry.epoch += u32::from(fence);
        let (producer, epoch) = (entry.producer, entry.epoch);
        for partition in open.partitions {
            self.note_partition(partition, true);
            self.partition_mut(partition).mark(producer, epoch, commit);
            self.replicate(partition, now);
        }
        for name in open.groups {
            let group = self.groups.entry(Arc::clone(&name)).or_default();
            let offsets = group.pending.remove(&producer).unwrap_or_default();
            if commit {
                group.offsets.extend(&offsets);
            }
            for partition in offsets.keys() {
                self.note_offset(&name, *partition, true);
            }
        }
        self.change();
    }

    /// The producer, if it has transactions.
    fn sending(&mut self, client: ClientId, what: &str) -> Result<&mut Sending, PortError> {
        let sending = self.senders.get_mut(&client).filter(|sending| sending.transactional.is_some());
        sending.ok_or_else(|| {
            let said = "Transaction error: The Transactional API requires transactional.id to be configured";
            failure::refused(what, "NotConfigured", said)
        })
    }
}

/// The error that broke a producer or its transaction, of another call.
fn renamed(what: &str, error: &PortError) -> PortError {
    let said = error.message.split_once(": ").map_or(error.message.as_str(), |(_, said)| said);
    PortError { message: format!("{what}: {said}"), ..error.clone() }
}

fn not_valid(what: &str, phase: &str) -> PortError {
    let said = format!("Transaction error: Operation not valid in state {phase}");
    failure::refused(what, "State", &said)
}

fn out_of_turn(what: &str) -> PortError {
    failure::refused(what, "State", "Message production error: State (Local: Erroneous state)")
}
