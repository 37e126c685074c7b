//! Replicas that pass writes on one by one, and clients that go to any of them. Each guarantee is kept by what a
//! replica waits for, and can be left out: a planted bug.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use crosscheck_models::checker::{Checker, Options, check};
use crosscheck_models::foreign::{Format, OpHistory, read};
use crosscheck_models::session::{Assumed, Guarantee};
use crosscheck_models::verdict::Verdict;

use crate::textbook::judged;

const REPLICAS: usize = 3;
const SESSIONS: usize = 4;
const KEYS: u64 = 10;

/// What replicas keep.
#[derive(Clone, Copy)]
struct Kept {
    own_writes: bool,
    own_reads: bool,
    order_of_writes: bool,
    order_behind_reads: bool,
}

const ALL: Kept = Kept { own_writes: true, own_reads: true, order_of_writes: true, order_behind_reads: true };

struct Write {
    key: u64,
    /// What has to be there before it.
    after: BTreeSet<usize>,
}

/// A small generator: the same seed gives the same history.
struct Chance(u64);

impl Chance {
    fn below(&mut self, count: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % count
    }
}

struct World {
    writes: Vec<Write>,
    replicas: Vec<BTreeSet<usize>>,
    wrote: Vec<BTreeSet<usize>>,
    saw: Vec<BTreeSet<usize>>,
}

impl World {
    fn apply(&mut self, replica: usize, write: usize) {
        if self.replicas[replica].contains(&write) {
            return;
        }
        for before in self.writes[write].after.clone() {
            self.apply(replica, before);
        }
        self.replicas[replica].insert(write);
    }

    /// Versions are ordered as they were written: the last one that is there.
    fn newest(&self, replica: usize, key: u64) -> Option<usize> {
        self.replicas[replica].iter().rev().copied().find(|write| self.writes[*write].key == key)
    }
}

fn simulated(kept: Kept, seed: u64) -> String {
    let mut chance = Chance(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) + 1);
    let nothing = || vec![BTreeSet::new(); SESSIONS];
    let mut world = World {
        writes: Vec::new(),
        replicas: vec![BTreeSet::new(); REPLICAS],
        wrote: nothing(),
        saw: nothing(),
    };
    let mut text = String::new();
    for _ in 0..150 {
        let (session, replica) =
            (chance.below(SESSIONS as u64) as usize, chance.below(REPLICAS as u64) as usize);
        if !world.writes.is_empty() && chance.below(3) == 0 {
            let write = chance.below(world.writes.len() as u64) as usize;
            world.apply(replica, write);
        }
        let value = if chance.below(2) == 0 {
            let key = chance.below(KEYS);
            let (write, mut after) = (world.writes.len(), BTreeSet::new());
            after.extend(world.wrote[session].iter().copied().filter(|_| kept.order_of_writes));
            after.extend(world.saw[session].iter().copied().filter(|_| kept.order_behind_reads));
            world.writes.push(Write { key, after });
            world.wrote[session].insert(write);
            world.apply(replica, write);
            format!("[[:w {key} {}]]", write + 1)
        } else {
            let own: Vec<usize> = world.wrote[session].iter().copied().filter(|_| kept.own_writes).collect();
            let seen: Vec<usize> = world.saw[session].iter().copied().filter(|_| kept.own_reads).collect();
            own.into_iter().chain(seen).for_each(|write| world.apply(replica, write));
            let mut shown = String::new();
            for _ in 0..4 {
                let key = chance.below(KEYS);
                let found = world.newest(replica, key);
                world.saw[session].extend(found);
                let found = found.map_or("nil".to_owned(), |write| (write + 1).to_string());
                write!(shown, "[:r {key} {found}]").expect("text");
            }
            format!("[{shown}]")
        };
        writeln!(text, "{{:process {session} :type :ok :f :txn :value {value}}}").expect("text");
    }
    text
}

fn history(kept: Kept, seed: u64) -> OpHistory {
    read(&mut simulated(kept, seed).as_bytes(), Format::Edn).expect("a history")
}

const SEEDS: u64 = 40;

/// By guarantee, in how many of the runs it is broken.
fn broken(kept: Kept) -> BTreeMap<Guarantee, u64> {
    let mut broken = BTreeMap::new();
    for seed in 0..SEEDS {
        let history = history(kept, seed);
        for guarantee in Guarantee::ALL {
            let is_broken = judged(&history, guarantee, Assumed::default()).verdict == Verdict::Violated;
            *broken.entry(guarantee).or_default() += u64::from(is_broken);
        }
    }
    broken
}

#[test]
fn replicas_that_keep_all_guarantees_are_accused_of_nothing() {
    assert!(broken(ALL).values().all(|count| *count == 0));
}

#[test]
fn each_planted_bug_is_found_and_nothing_else_is_accused() {
    let cases = [
        (Guarantee::ReadYourWrites, Kept { own_writes: false, ..ALL }),
        (Guarantee::MonotonicReads, Kept { own_reads: false, ..ALL }),
        (Guarantee::MonotonicWrites, Kept { order_of_writes: false, ..ALL }),
        (Guarantee::WritesFollowReads, Kept { order_behind_reads: false, ..ALL }),
    ];
    for (planted, kept) in cases {
        let broken = broken(kept);
        for (guarantee, count) in &broken {
            let is_planted = *guarantee == planted;
            let is_whole = *guarantee == Guarantee::Pram && planted != Guarantee::WritesFollowReads;
            match is_planted || is_whole {
                true => assert!(*count >= SEEDS / 20, "{planted:?}: {broken:?}"),
                false => assert_eq!(*count, 0, "{planted:?}: {broken:?}"),
            }
        }
    }
}

#[test]
fn by_name_with_evidence() {
    let cases = [
        (Checker::ReadYourWrites, Kept { own_writes: false, ..ALL }),
        (Checker::MonotonicReads, Kept { own_reads: false, ..ALL }),
        (Checker::MonotonicWrites, Kept { order_of_writes: false, ..ALL }),
        (Checker::WritesFollowReads, Kept { order_behind_reads: false, ..ALL }),
        (Checker::Pram, Kept { order_of_writes: false, ..ALL }),
    ];
    for (checker, kept) in cases {
        let found = (0..SEEDS).map(|seed| {
            check(&history(kept, seed), checker, &Options::default(), &mut || true).expect("registers")
        });
        let found =
            found.into_iter().find(|found| found.verdict == Verdict::Violated).expect("it is planted");
        let model = if checker == Checker::Pram { "PRAM" } else { checker.name() };
        assert_eq!((found.level, &found.not[..]), (Some(model), &[model][..]));
        let seen = &found.anomalies[0];
        assert_eq!(seen.kind, checker.name());
        assert!(seen.count > 0 && seen.text.len() > 2 && seen.witness["links"].is_array(), "{seen:#?}");
        let strong = check(&history(ALL, 1), checker, &Options::default(), &mut || true).expect("registers");
        assert_eq!(strong.verdict, Verdict::Valid);
        assert!(strong.exercised["reads that had something to see"] > 0);
    }
}
