//! Who read from whom, for levels that need no order of versions.

use serde::Serialize;

use super::anomaly::Anomaly;
use super::found::Findings;
use super::rw_register::Registers;
use super::txns::{Act, Kind, ShapeError, Txns};
use super::versions::direct;
use super::witness::Witness;
use crate::foreign::{OpHistory, Outcome, Word};

/// Transactions on registers, with the source of each read.
pub(crate) struct Sources<'a> {
    txns: Txns<'a>,
    registers: Registers,
}

/// Reads that no order of commits explains.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ReadAnomaly {
    /// What is wrong with them.
    pub kind: &'static str,
    /// How many there are.
    pub count: u64,
    /// The first of them.
    pub witness: Witness,
}

impl<'a> Sources<'a> {
    /// Reads from nowhere, from failed and from intermediate writes are told apart.
    pub(crate) fn of(history: &'a OpHistory) -> Result<(Sources<'a>, Vec<ReadAnomaly>), ShapeError> {
        let txns = Txns::of(history, Kind::Register)?;
        let mut findings = Findings::default();
        let registers = Registers::of(&txns, &mut findings);
        let (found, _) = findings.into_found();
        // That reads change, or that an update is lost, is for the level to say.
        let found =
            found.into_iter().filter(|(kind, ..)| !matches!(kind, Anomaly::Internal | Anomaly::LostUpdate));
        let mut found: Vec<ReadAnomaly> = found
            .map(|(anomaly, count, witness)| ReadAnomaly { kind: anomaly.name(), count, witness })
            .collect();
        if let Some((key, value, txn)) = registers.contradictions.first() {
            let witness = direct(&txns, Anomaly::Internal, &[*txn], *key, Some(*value));
            let count = registers.contradictions.len() as u64;
            found.push(ReadAnomaly { kind: Anomaly::Internal.name(), count, witness });
        }
        Ok((Sources { txns, registers }, found))
    }

    pub(crate) fn count(&self) -> u32 {
        self.txns.txns.len() as u32
    }

    pub(crate) fn call(&self, txn: u32) -> u32 {
        self.txns.txns[txn as usize].call
    }

    pub(crate) fn process(&self, txn: u32) -> Word {
        self.txns.txns[txn as usize].process
    }

    pub(crate) fn outcome(&self, txn: u32) -> Outcome {
        self.txns.txns[txn as usize].outcome
    }

    pub(crate) fn is_committed(&self, txn: u32) -> bool {
        self.registers.committed[txn as usize]
    }

    pub(crate) fn key_name(&self, key: u32) -> String {
        self.txns.key_name(key)
    }

    /// Key, source and reader of each external read, in the order of the history; no source for initial versions.
    pub(crate) fn reads(&self) -> impl Iterator<Item = (u32, Option<u32>, u32)> {
        self.registers.reads.iter().map(|(key, value, reader)| {
            let writer = self.txns.writers.get(&(*key, *value)).map(|mop| self.txns.mops[*mop as usize].txn);
            (*key, writer, *reader)
        })
    }

    /// Key and writer of each write that was installed.
    pub(crate) fn writes(&self) -> impl Iterator<Item = (u32, u32)> {
        self.registers.writes.iter().map(|(key, _, txn)| (*key, *txn))
    }

    /// The keys that a transaction wrote, each once.
    pub(crate) fn keys_of(&self, txn: u32) -> Vec<u32> {
        if txn >= self.count() {
            return Vec::new();
        }
        let written = self.txns.mops_of(txn).iter().filter(|mop| matches!(mop.act, Act::Write(_)));
        let mut keys: Vec<u32> = written.map(|mop| mop.key).collect();
        keys.sort_unstable();
        keys.dedup();
        keys
    }
}
