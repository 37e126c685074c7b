//! Transactions of several clients against the simulated database, their steps interleaved at random.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};
use std::io::{self, Write};

use super::database::{Database, Work};
use super::random::Random;
use super::{Isolation, Kind, Log, Spec};

const MOPS_MAX: u64 = 4;

#[derive(Clone)]
struct Mop {
    key: u64,
    write: Option<i64>,
    read: Vec<i64>,
    /// What was read, or has become of what was written.
    version: Option<u64>,
}

/// How a transaction ended, and its timestamps if it committed.
struct Ended {
    kind: &'static str,
    stamps: Option<(u64, u64)>,
}

/// What a client is at.
enum Client {
    Idle,
    Running { process: u64, mops: Vec<Mop>, work: Work, next: usize },
}

/// Keys in use, and how often each was written.
struct Keys {
    active: Vec<u64>,
    written: BTreeMap<u64, u64>,
    next: u64,
    /// Given up, and still in the hands of transactions that began before: forgotten a while later.
    retired: std::collections::VecDeque<u64>,
}

pub(super) fn generate(spec: &Spec, out: &mut dyn Write) -> io::Result<()> {
    let mut log = Log { out, index: 0 };
    let mut random = Random::new(spec.seed);
    let mut database = Database::default();
    let keys = spec.keys.max(1);
    let mut keys = Keys {
        active: (0..keys).collect(),
        written: BTreeMap::new(),
        next: keys,
        retired: std::collections::VecDeque::new(),
    };
    let mut clients: Vec<Client> = (0..spec.clients.max(1)).map(|_| Client::Idle).collect();
    let mut processes: Vec<u64> = (0..clients.len() as u64).collect();
    let (mut invoked, mut running) = (0, 0);
    'clients: while invoked < spec.txns || running > 0 {
        let at = random.below(clients.len() as u64) as usize;
        match &mut clients[at] {
            Client::Idle if invoked < spec.txns => {
                let mops = plan(spec, &mut keys, &mut random, &mut database);
                log.line(processes[at], "invoke", "txn", format_args!("{}", Shown(spec.kind, &mops, false)))?;
                clients[at] =
                    Client::Running { process: processes[at], mops, work: database.begin(), next: 0 };
                invoked += 1;
                running += 1;
            }
            Client::Idle => {}
            Client::Running { process, mops, work, next } => {
                // A snapshot is taken by the first step, not by the invocation.
                if *next == 0 {
                    *work = database.begin();
                }
                let is_atomic = spec.isolation == Isolation::Serializable;
                while *next < mops.len() {
                    step(spec, &mut database, work, &mut mops[*next]);
                    *next += 1;
                    if !is_atomic {
                        continue 'clients;
                    }
                }
                let ended = end(spec, &mut database, work, mops, &mut random);
                complete(&mut log, spec, *process, mops, &ended)?;
                retire(ended.kind, &mut processes[at], clients.len() as u64);
                clients[at] = Client::Idle;
                running -= 1;
            }
        }
    }
    Ok(())
}

fn plan(spec: &Spec, keys: &mut Keys, random: &mut Random, database: &mut Database) -> Vec<Mop> {
    let count = 1 + random.below(MOPS_MAX);
    (0..count)
        .map(|_| {
            let at = random.below(keys.active.len() as u64) as usize;
            let key = keys.active[at];
            if random.below(2) == 0 {
                return Mop { key, write: None, read: Vec::new(), version: None };
            }
            let written = keys.written.entry(key).or_insert(0);
            *written += 1;
            let value = *written;
            if value >= spec.writes_per_key {
                keys.active[at] = keys.next;
                keys.next += 1;
                keys.written.remove(&key);
                keys.retired.push_back(key);
                if keys.retired.len() as u64 > 64 + 8 * spec.clients {
                    keys.retired.pop_front().into_iter().for_each(|key| database.forget(key));
                }
            }
            Mop { key, write: Some(value as i64), read: Vec::new(), version: None }
        })
        .collect()
}

fn step(spec: &Spec, database: &mut Database, work: &mut Work, mop: &mut Mop) {
    match mop.write {
        None => {
            mop.read = database.read(spec.isolation, work, mop.key);
            if spec.versions {
                mop.version = database.version_read(spec.isolation, work, mop.key);
            }
        }
        Some(value) => database.write(spec.isolation, work, mop.key, value),
    }
}

/// Commits, or not; what the client hears of it. The timestamps are from the log of the database, which knows more.
fn end(spec: &Spec, database: &mut Database, work: &Work, mops: &mut [Mop], random: &mut Random) -> Ended {
    if random.chance(spec.fail_per_mille) {
        return Ended { kind: "fail", stamps: None };
    }
    let is_heard = !random.chance(spec.info_per_mille);
    let commits = (is_heard || random.below(2) == 0) && database.commit(spec.isolation, work);
    let stamps = (commits && spec.timestamps).then(|| database.stamps(work));
    if commits && is_heard && spec.versions {
        for mop in mops {
            mop.version = match mop.write {
                Some(value) => database.version_of(mop.key, value),
                None => mop.version,
            };
        }
    }
    let kind = match (is_heard, commits) {
        (false, _) => "info",
        (true, true) => "ok",
        (true, false) => "fail",
    };
    Ended { kind, stamps }
}

fn complete(log: &mut Log<'_>, spec: &Spec, process: u64, mops: &[Mop], ended: &Ended) -> io::Result<()> {
    let shown = Shown(spec.kind, mops, ended.kind == "ok");
    match ended.stamps {
        None => log.line(process, ended.kind, "txn", format_args!("{shown}")),
        Some((start, commit)) => log.line_with(
            process,
            ended.kind,
            "txn",
            format_args!("{shown}"),
            format_args!(",\"start_ts\":{start},\"commit_ts\":{commit}"),
        ),
    }
}

/// A process whose operation is undecided does nothing more; its client goes on as another.
fn retire(ended: &str, process: &mut u64, clients: u64) {
    if ended == "info" {
        *process += clients;
    }
}

/// Micro-operations in JSON; with what was read, or without.
struct Shown<'a>(Kind, &'a [Mop], bool);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shown(kind, mops, is_known) = self;
        f.write_char('[')?;
        for (at, mop) in mops.iter().enumerate() {
            f.write_str(if at > 0 { "," } else { "" })?;
            let version = mop.version.filter(|_| *kind == Kind::RwRegister && *is_known);
            match (mop.write, kind) {
                (Some(value), Kind::ListAppend) => write!(f, "[\"append\",{},{value}]", mop.key)?,
                (Some(value), _) => write!(f, "[\"w\",{},{value}{}]", mop.key, Behind(version))?,
                (None, _) if !is_known => write!(f, "[\"r\",{},null]", mop.key)?,
                (None, Kind::ListAppend) => {
                    write!(f, "[\"r\",{},[", mop.key)?;
                    for (at, value) in mop.read.iter().enumerate() {
                        write!(f, "{}{value}", if at > 0 { "," } else { "" })?;
                    }
                    f.write_str("]]")?;
                }
                (None, _) => match mop.read.last() {
                    Some(value) => write!(f, "[\"r\",{},{value}{}]", mop.key, Behind(version))?,
                    None => write!(f, "[\"r\",{},null]", mop.key)?,
                },
            }
        }
        f.write_char(']')
    }
}

/// A version, behind a comma.
struct Behind(Option<u64>);

impl fmt::Display for Behind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |version| write!(f, ",{version}"))
    }
}
