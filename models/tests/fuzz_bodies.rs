//! The bodies of the fuzz targets on their seeds, and on seeds that were damaged: so that they keep building and
//! holding between the nights in which they are fuzzed.

use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};

#[path = "../fuzz/src/bodies.rs"]
mod bodies;

const DAMAGED_PER_TARGET: u64 = 300;

/// Numbers that are the same on every machine (Steele, Lea and Flood, "Fast Splittable Pseudorandom Number
/// Generators", 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((mixed ^ (mixed >> 31)) % bound.max(1) as u64) as usize
    }
}

fn seeds(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/seeds").join(target);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.expect("a file of the folder").path()).collect();
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), fs::read(path).expect("a seed"))).collect()
}

/// Changes a few bytes, mostly to what the format holds elsewhere, so that much of it still parses.
fn damage(bytes: &[u8], random: &mut Random) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    for _ in 0..=random.below(3) {
        let (at, other) = (random.below(bytes.len()), random.below(bytes.len()));
        let length = random.below(40).min(bytes.len() - at).min(bytes.len() - other);
        match random.below(6) {
            0 => bytes.truncate(at),
            1 => drop(bytes.drain(at..at + length)),
            2 => {
                let part = bytes[other..other + length].to_vec();
                drop(bytes.splice(at..at, part));
            }
            3 => bytes.copy_within(other..other + length, at),
            4 if !bytes.is_empty() => bytes[at] = random.below(256) as u8,
            _ => {
                // Another digit: another key, value, process or time.
                let digits: Vec<usize> = (0..bytes.len()).filter(|at| bytes[*at].is_ascii_digit()).collect();
                if let Some(at) = digits.get(random.below(digits.len())) {
                    bytes[*at] = b'0' + random.below(10) as u8;
                }
            }
        }
    }
    bytes
}

fn holds(target: &str, bytes: &[u8]) {
    if catch_unwind(|| bodies::run(target, bytes)).is_err() {
        panic!("{target} fails on\n{}", String::from_utf8_lossy(bytes));
    }
}

#[test]
fn every_target_holds_on_its_seeds() {
    for (target, _) in bodies::TARGETS {
        let seeds = seeds(target);
        assert!(!seeds.is_empty(), "{target} has seeds");
        seeds.iter().for_each(|(_, bytes)| holds(target, bytes));
    }
}

#[test]
fn every_target_holds_on_damaged_seeds() {
    for (target, _) in bodies::TARGETS {
        let seeds = seeds(target);
        let mut random = Random(7);
        for at in 0..DAMAGED_PER_TARGET {
            let (_, seed) = &seeds[at as usize % seeds.len()];
            holds(target, &damage(seed, &mut random));
        }
    }
}

#[test]
fn every_target_is_built_for_the_fuzzer() {
    let manifest = include_str!("../fuzz/Cargo.toml");
    for (target, _) in bodies::TARGETS {
        assert!(manifest.contains(&format!("name = \"{target}\"")), "{target}");
    }
}
