//! A database with an outbox, a relay that publishes in the order of commits, and a consumer that keeps a
//! projection: a history in Crosscheck's own format.
//!
//! It is correct, unless it is made weaker. Then now and then: with `snapshot-isolation` two events of a key change
//! places; with `read-committed` an event is published twice; with `read-uncommitted` one is of a write that
//! failed; with `lost-update` one is lost.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};

use super::random::Random;
use super::{Isolation, Spec};

/// Of so many events, one goes wrong where the pipeline is weak.
const BUG_ONE_IN: u64 = 40;
/// More events than these do not wait for the relay.
const BACKLOG_MAX: usize = 8;
const NS_PER_EVENT: u64 = 1000;

/// A committed write.
#[derive(Clone)]
struct Row {
    op: u64,
    key: usize,
    ver: u64,
    commit: u64,
}

enum Client {
    Idle,
    Writing {
        op: u64,
        key: usize,
        ver: Option<u64>,
    },
    /// With the version that was found, and who wrote it.
    Reading {
        key: usize,
        seen: Option<(u64, u64)>,
    },
}

struct World<'a> {
    spec: &'a Spec,
    out: &'a mut dyn Write,
    random: Random,
    index: u64,
    clients: Vec<Client>,
    processes: Vec<u64>,
    /// By key: the newest version, and what wrote it.
    rows: Vec<(u64, u64)>,
    ledger: Vec<Row>,
    /// What the relay has still to publish.
    backlog: VecDeque<Row>,
    /// Held back until the next one of its key is published.
    held: Option<Row>,
    log: Vec<Row>,
    /// By key, what the consumer has applied.
    projection: Vec<Option<Row>>,
    ops: u64,
}

pub(super) fn generate(spec: &Spec, out: &mut dyn Write) -> io::Result<()> {
    let (clients, keys) = (spec.clients.max(1) as usize, spec.keys.max(1) as usize);
    writeln!(out, "{{\"crosscheck\":1,\"seed\":{}}}", spec.seed)?;
    let mut world = World {
        spec,
        out,
        random: Random::new(spec.seed),
        index: 0,
        clients: (0..clients).map(|_| Client::Idle).collect(),
        processes: (0..clients as u64).collect(),
        rows: vec![(0, 0); keys],
        ledger: Vec::new(),
        backlog: VecDeque::new(),
        held: None,
        log: Vec::new(),
        projection: vec![None; keys],
        ops: 0,
    };
    let is_open = |client: &Client| !matches!(client, Client::Idle);
    while world.ops < spec.txns || world.clients.iter().any(is_open) {
        let at = world.random.below(clients as u64 + 1) as usize;
        if at == clients || world.backlog.len() > BACKLOG_MAX {
            world.relay()?;
        } else {
            world.turn(at)?;
        }
    }
    while !world.backlog.is_empty() {
        world.relay()?;
    }
    if let Some(row) = world.held.take() {
        world.publish(row)?;
    }
    world.finals()
}

impl World<'_> {
    fn line(
        &mut self,
        process: fmt::Arguments<'_>,
        kind: &str,
        f: &str,
        value: fmt::Arguments<'_>,
    ) -> io::Result<()> {
        let (index, time) = (self.index, self.index * NS_PER_EVENT);
        self.index += 1;
        writeln!(
            self.out,
            "{{\"index\":{index},\"time\":{time},\"process\":{process},\"type\":\"{kind}\",\"f\":\"{f}\",\"value\":{value}}}"
        )
    }

    fn turn(&mut self, at: usize) -> io::Result<()> {
        let process = self.processes[at];
        match std::mem::replace(&mut self.clients[at], Client::Idle) {
            Client::Idle if self.ops >= self.spec.txns => Ok(()),
            Client::Idle => {
                let key = self.random.below(self.rows.len() as u64) as usize;
                let op = self.ops;
                self.ops += 1;
                if self.random.below(3) == 0 {
                    self.clients[at] = Client::Reading { key, seen: None };
                    return self.line(
                        format_args!("{process}"),
                        "invoke",
                        "read",
                        format_args!("{{\"key\":\"k{key}\"}}"),
                    );
                }
                self.clients[at] = Client::Writing { op, key, ver: None };
                self.line(
                    format_args!("{process}"),
                    "invoke",
                    "write",
                    format_args!("{}", Asked { op, key, ver: None }),
                )
            }
            Client::Writing { op, key, ver: None } => self.commit(at, op, key),
            Client::Writing { op, key, ver } => {
                if self.random.chance(self.spec.info_per_mille) {
                    self.processes[at] += self.clients.len() as u64;
                    return self.line(
                        format_args!("{process}"),
                        "info",
                        "write",
                        format_args!("{}", Asked { op, key, ver: None }),
                    );
                }
                self.line(
                    format_args!("{process}"),
                    "ok",
                    "write",
                    format_args!("{}", Asked { op, key, ver }),
                )
            }
            Client::Reading { key, seen: None } => {
                self.clients[at] = Client::Reading { key, seen: Some(self.rows[key]) };
                Ok(())
            }
            Client::Reading { key, seen: Some((0, _)) } => self.line(
                format_args!("{process}"),
                "ok",
                "read",
                format_args!("{{\"key\":\"k{key}\",\"source\":\"db\"}}"),
            ),
            Client::Reading { key, seen: Some((ver, op)) } => self.line(
                format_args!("{process}"),
                "ok",
                "read",
                format_args!("{{\"key\":\"k{key}\",\"ver\":{ver},\"value\":{op},\"source\":\"db\"}}"),
            ),
        }
    }

    fn commit(&mut self, at: usize, op: u64, key: usize) -> io::Result<()> {
        let process = self.processes[at];
        let ver = self.rows[key].0 + 1;
        let row = Row { op, key, ver, commit: self.ledger.len() as u64 };
        if self.random.chance(self.spec.fail_per_mille) {
            if self.is_weak(Isolation::ReadUncommitted) {
                self.backlog.push_back(row);
            }
            return self.line(
                format_args!("{process}"),
                "fail",
                "write",
                format_args!("{}", Asked { op, key, ver: None }),
            );
        }
        self.rows[key] = (ver, op);
        self.ledger.push(row.clone());
        self.backlog.push_back(row);
        self.clients[at] = Client::Writing { op, key, ver: Some(ver) };
        Ok(())
    }

    fn is_weak(&mut self, isolation: Isolation) -> bool {
        self.spec.isolation == isolation && self.random.below(BUG_ONE_IN) == 0
    }

    fn relay(&mut self) -> io::Result<()> {
        let Some(row) = self.backlog.pop_front() else { return Ok(()) };
        if self.is_weak(Isolation::LostUpdate) {
            return Ok(());
        }
        if self.held.is_none() && self.is_weak(Isolation::SnapshotIsolation) {
            self.held = Some(row);
            return Ok(());
        }
        let is_twice = self.is_weak(Isolation::ReadCommitted);
        let key = row.key;
        if is_twice {
            self.publish(row.clone())?;
        }
        self.publish(row)?;
        match self.held.take_if(|held| held.key == key) {
            Some(held) => self.publish(held),
            None => Ok(()),
        }
    }

    fn publish(&mut self, row: Row) -> io::Result<()> {
        let offset = self.log.len();
        self.line(
            format_args!("\"consumer\""),
            "ok",
            "deliver",
            format_args!("{}", Event { row: &row, offset }),
        )?;
        let (op, key, ver) = (row.op, row.key, row.ver);
        self.line(
            format_args!("\"consumer\""),
            "ok",
            "effect",
            format_args!("{{\"store\":\"projection\",\"key\":\"k{key}\",\"ver\":{ver},\"op_id\":\"w{op}\"}}"),
        )?;
        self.log.push(row.clone());
        self.projection[key] = Some(row);
        Ok(())
    }

    fn finals(&mut self) -> io::Result<()> {
        let sot: Vec<String> = self
            .rows
            .iter()
            .enumerate()
            .filter(|(_, (ver, _))| *ver > 0)
            .map(|(key, (ver, op))| format!("{{\"key\":\"k{key}\",\"ver\":{ver},\"value\":{op}}}"))
            .collect();
        let copies: Vec<String> = self
            .projection
            .iter()
            .flatten()
            .map(|Row { op, key, ver, .. }| {
                format!("{{\"store\":\"projection\",\"key\":\"k{key}\",\"ver\":{ver},\"value\":{op}}}")
            })
            .collect();
        let ledger: Vec<String> = self.ledger.iter().map(|Row { op, key, ver, commit }| {
            let base = ver - 1;
            format!("{{\"key\":\"k{key}\",\"ver\":{ver},\"op_id\":\"w{op}\",\"value\":{op},\"base_ver\":{base},\"commit\":{commit}}}")
        }).collect();
        let log: Vec<String> =
            self.log.iter().enumerate().map(|(offset, row)| Event { row, offset }.to_string()).collect();
        for (f, rows) in
            [("final_sot", sot), ("final_ledger", ledger), ("final_log", log), ("final_cache", copies)]
        {
            self.line(format_args!("\"harness\""), "ok", f, format_args!("[{}]", rows.join(",")))?;
        }
        Ok(())
    }
}

/// What a client asked for, or heard.
struct Asked {
    op: u64,
    key: usize,
    ver: Option<u64>,
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Asked { op, key, ver } = self;
        write!(f, "{{\"op_id\":\"w{op}\",\"key\":\"k{key}\",\"value\":{op}")?;
        ver.iter().try_for_each(|ver| write!(f, ",\"ver\":{ver}"))?;
        f.write_str("}")
    }
}

/// An event of the log.
struct Event<'a> {
    row: &'a Row,
    offset: usize,
}

impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Row { op, key, ver, .. }, offset) = (self.row, self.offset);
        write!(
            f,
            "{{\"topic\":\"events\",\"partition\":0,\"offset\":{offset},\"key\":\"k{key}\",\"ver\":{ver},\"value\":{op},\"op_id\":\"w{op}\"}}"
        )
    }
}
