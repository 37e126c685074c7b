//! Transactions that send to partitions of a log and poll from them, as Jepsen's workload for Kafka has them.
//!
//! Transactions are kept apart, unless the log is made weaker: with `read-committed` their records lie between each
//! other's, and are polled once they are committed, as Kafka has it; with `read-uncommitted` they are polled at
//! once, and stay where their transaction fails; with `lost-update` records that were acknowledged are not there,
//! and consumers go back now and then.

use std::fmt::{self, Write as _};
use std::io::{self, Write};

use super::random::Random;
use super::{Isolation, Log, Spec};

const MOPS_MAX: u64 = 4;
/// A poll gives no more of a key at once.
const BATCH_MAX: usize = 8;
const FINAL_BATCH: usize = 64;
/// Of so many records or polls, one goes wrong where the log loses things.
const BUG_ONE_IN: u64 = 40;

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Pending,
    Committed,
    Aborted,
}

#[derive(Clone, Copy)]
struct Record {
    offset: u64,
    value: u64,
    fate: Fate,
    txn: u64,
}

#[derive(Default)]
struct Partition {
    records: Vec<Record>,
    next_offset: u64,
    next_value: u64,
}

/// A micro-operation, and what came of it.
enum Mop {
    Send {
        key: usize,
        value: u64,
        offset: Option<u64>,
    },
    /// By key, what was polled.
    Poll(Vec<(usize, Vec<Record>)>),
}

enum Client {
    New,
    Assigning,
    Idle,
    Running { mops: Vec<Mop>, next: usize, txn: u64 },
}

struct World<'a> {
    spec: &'a Spec,
    random: Random,
    partitions: Vec<Partition>,
    clients: Vec<Client>,
    processes: Vec<u64>,
    /// By client and key, the place of the next record.
    positions: Vec<Vec<usize>>,
    txns: u64,
}

pub(super) fn generate(spec: &Spec, out: &mut dyn Write) -> io::Result<()> {
    let mut log = Log { out, index: 0 };
    let (clients, keys) = (spec.clients.max(1) as usize, spec.keys.max(1) as usize);
    let mut world = World {
        spec,
        random: Random::new(spec.seed),
        partitions: (0..keys).map(|_| Partition::default()).collect(),
        clients: (0..clients).map(|_| Client::New).collect(),
        processes: (0..clients as u64).collect(),
        positions: vec![vec![0; keys]; clients],
        txns: 0,
    };
    let is_open = |client: &Client| matches!(client, Client::Running { .. } | Client::Assigning);
    while world.txns < spec.txns || world.clients.iter().any(is_open) {
        let at = world.random.below(clients as u64) as usize;
        world.turn(&mut log, at)?;
    }
    world.final_polls(&mut log)
}

impl World<'_> {
    fn turn(&mut self, log: &mut Log<'_>, at: usize) -> io::Result<()> {
        let process = self.processes[at];
        let is_atomic = !matches!(self.spec.isolation, Isolation::ReadCommitted | Isolation::ReadUncommitted);
        match std::mem::replace(&mut self.clients[at], Client::Idle) {
            Client::New | Client::Idle if self.txns >= self.spec.txns => {}
            Client::New => {
                self.clients[at] = Client::Assigning;
                log.line(process, "invoke", "assign", format_args!("{}", Keys(self.partitions.len())))?;
            }
            Client::Assigning => {
                log.line(process, "ok", "assign", format_args!("{}", Keys(self.partitions.len())))?;
            }
            Client::Idle => {
                let mops = self.plan();
                log.line(process, "invoke", "txn", format_args!("{}", Shown(&mops, false)))?;
                self.clients[at] = Client::Running { mops, next: 0, txn: self.txns };
                self.txns += 1;
            }
            Client::Running { mut mops, mut next, txn } => {
                while next < mops.len() {
                    self.step(at, txn, &mut mops[next]);
                    next += 1;
                    if !is_atomic {
                        break;
                    }
                }
                if next < mops.len() || !is_atomic && self.random.below(2) == 0 {
                    self.clients[at] = Client::Running { mops, next, txn };
                } else {
                    self.end(log, at, txn, &mut mops)?;
                }
            }
        }
        Ok(())
    }

    fn plan(&mut self) -> Vec<Mop> {
        let count = 1 + self.random.below(MOPS_MAX);
        let keys = self.partitions.len() as u64;
        (0..count)
            .map(|_| {
                if self.random.below(3) == 0 {
                    return Mop::Poll(Vec::new());
                }
                let key = self.random.below(keys) as usize;
                self.partitions[key].next_value += 1;
                Mop::Send { key, value: self.partitions[key].next_value, offset: None }
            })
            .collect()
    }

    fn step(&mut self, client: usize, txn: u64, mop: &mut Mop) {
        match mop {
            Mop::Send { key, value, offset } => {
                let is_lost =
                    self.spec.isolation == Isolation::LostUpdate && self.random.below(BUG_ONE_IN) == 0;
                let partition = &mut self.partitions[*key];
                let record =
                    Record { offset: partition.next_offset, value: *value, fate: Fate::Pending, txn };
                *offset = Some(record.offset);
                partition.next_offset += 1;
                if !is_lost {
                    partition.records.push(record);
                }
            }
            Mop::Poll(polled) => {
                if self.spec.isolation == Isolation::LostUpdate && self.random.below(BUG_ONE_IN) == 0 {
                    self.positions[client].iter_mut().for_each(|place| *place = place.saturating_sub(3));
                }
                for key in 0..self.partitions.len() {
                    let records = self.polled(client, key, BATCH_MAX);
                    if !records.is_empty() {
                        polled.push((key, records));
                    }
                }
            }
        }
    }

    /// What a client polls of a key next: up to the first record that is undecided, without those that failed.
    fn polled(&mut self, client: usize, key: usize, count: usize) -> Vec<Record> {
        let is_dirty = self.spec.isolation == Isolation::ReadUncommitted;
        let place = &mut self.positions[client][key];
        let mut found = Vec::new();
        while let Some(record) = self.partitions[key].records.get(*place).filter(|_| found.len() < count) {
            if record.fate == Fate::Pending && !is_dirty {
                break;
            }
            if record.fate == Fate::Committed || is_dirty {
                found.push(*record);
            }
            *place += 1;
        }
        found
    }

    fn end(&mut self, log: &mut Log<'_>, at: usize, txn: u64, mops: &mut [Mop]) -> io::Result<()> {
        let process = self.processes[at];
        let is_info = self.random.chance(self.spec.info_per_mille);
        let is_fail = !is_info && self.random.chance(self.spec.fail_per_mille);
        let has_happened = !is_fail && (!is_info || self.random.below(2) == 0);
        let fate = if has_happened { Fate::Committed } else { Fate::Aborted };
        for mop in mops.iter() {
            let Mop::Send { key, offset: Some(offset), .. } = mop else { continue };
            let partition = &mut self.partitions[*key];
            let mut records = partition.records.iter_mut().rev();
            if let Some(record) = records.find(|record| record.offset == *offset && record.txn == txn) {
                record.fate = fate;
            }
            // The end of a transaction takes an offset too.
            partition.next_offset += 1;
        }
        if is_info {
            self.processes[at] += self.clients.len() as u64;
            self.clients[at] = Client::New;
            return log.line(process, "info", "txn", format_args!("{}", Shown(mops, false)));
        }
        let kind = if is_fail { "fail" } else { "ok" };
        if is_fail {
            // The consumer goes on where it was given its partitions anew.
            self.clients[at] = Client::New;
        }
        log.line(process, kind, "txn", format_args!("{}", Shown(mops, !is_fail)))
    }

    /// Somebody polls all that there is, from the start.
    fn final_polls(&mut self, log: &mut Log<'_>) -> io::Result<()> {
        let process = self.processes.iter().max().copied().unwrap_or(0) + 1;
        let keys = self.partitions.len();
        for kind in ["invoke", "ok"] {
            log.line(process, kind, "assign", format_args!("{}", Keys(keys)))?;
        }
        self.positions.push(vec![0; keys]);
        let client = self.positions.len() - 1;
        for key in 0..keys {
            loop {
                let records = self.polled(client, key, FINAL_BATCH);
                if records.is_empty() {
                    break;
                }
                let mops = [Mop::Poll(vec![(key, records)])];
                log.line(process, "invoke", "txn", format_args!("[[\"poll\"]]"))?;
                log.line(process, "ok", "txn", format_args!("{}", Shown(&mops, true)))?;
            }
        }
        Ok(())
    }
}

struct Keys(usize);

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for key in 0..self.0 {
            write!(f, "{}\"k{key}\"", if key > 0 { "," } else { "" })?;
        }
        f.write_char(']')
    }
}

/// Micro-operations in JSON; with what came of them, or without.
struct Shown<'a>(&'a [Mop], bool);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (at, mop) in self.0.iter().enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            match mop {
                Mop::Send { key, value, offset: Some(offset) } if self.1 => {
                    write!(f, "[\"send\",\"k{key}\",[{offset},{value}]]")?;
                }
                Mop::Send { key, value, .. } => write!(f, "[\"send\",\"k{key}\",{value}]")?,
                Mop::Poll(polled) if self.1 => {
                    f.write_str("[\"poll\",{")?;
                    for (at, (key, records)) in polled.iter().enumerate() {
                        write!(f, "{}\"k{key}\":[", if at > 0 { "," } else { "" })?;
                        for (at, record) in records.iter().enumerate() {
                            let comma = if at > 0 { "," } else { "" };
                            write!(f, "{comma}[{},{}]", record.offset, record.value)?;
                        }
                        f.write_char(']')?;
                    }
                    f.write_str("}]")?;
                }
                Mop::Poll(_) => f.write_str("[\"poll\"]")?,
            }
        }
        f.write_char(']')
    }
}
