//! What read committed and read atomic force: of each transaction by what it reads itself.

use super::Model;
use crate::hash::HashMap;

/// An edge: the first must be committed before the second.
pub(super) type Edge = (u32, u32);

/// Whom a transaction has read from shows itself in the later reads: whoever else is read then is later.
pub(super) fn read_committed(model: &Model<'_>) -> Vec<Edge> {
    let mut forced = Vec::new();
    let mut later: HashMap<u32, Vec<u32>> = HashMap::default();
    for reads in &model.reads {
        later.clear();
        let mut met: Vec<(u32, usize)> = Vec::new();
        for (at, (key, source)) in reads.iter().enumerate() {
            if !met.iter().any(|(other, _)| other == source) {
                met.push((*source, at));
            }
            later.entry(*key).or_default().push(at as u32);
        }
        for (source, first) in met {
            let mut force = |key: u32, at: usize| {
                let read_from = reads[at].1;
                if at > first && read_from != source && model.does_write(source, key) {
                    forced.push((source, read_from));
                }
            };
            // Whichever is less: the keys that were written there, or those that are read here.
            let written = model.sources.keys_of(source);
            if written.len() < reads.len() - first {
                for key in written {
                    later.get(&key).into_iter().flatten().for_each(|at| force(key, *at as usize));
                }
            } else {
                (first + 1..reads.len()).for_each(|at| force(reads[at].0, at));
            }
        }
    }
    forced.sort_unstable();
    forced.dedup();
    forced
}

/// Whom a transaction reads from, and its session's past, shows itself in all its reads.
pub(super) fn read_atomic(model: &Model<'_>) -> Vec<Edge> {
    let mut forced = Vec::new();
    for (reader, reads) in model.reads.iter().enumerate() {
        let mut met: Vec<u32> = reads.iter().map(|(_, source)| *source).collect();
        met.sort_unstable();
        met.dedup();
        let by_key: HashMap<u32, Vec<u32>> =
            reads.iter().fold(HashMap::default(), |mut by_key: HashMap<u32, Vec<u32>>, (key, source)| {
                by_key.entry(*key).or_default().push(*source);
                by_key
            });
        for source in met.into_iter().filter(|source| *source != reader as u32) {
            let mut force = |key: u32, read_from: u32| {
                if read_from != source && model.does_write(source, key) {
                    forced.push((source, read_from));
                }
            };
            let written = model.sources.keys_of(source);
            if written.len() < reads.len() {
                for key in written {
                    by_key.get(&key).into_iter().flatten().for_each(|read_from| force(key, *read_from));
                }
            } else {
                reads.iter().for_each(|(key, read_from)| force(*key, *read_from));
            }
        }
    }
    // The last writer of each key in the session stands for all before it.
    for session in &model.sessions {
        let mut last: HashMap<u32, u32> = HashMap::default();
        for txn in session {
            for (key, read_from) in &model.reads[*txn as usize] {
                if let Some(writer) = last.get(key).filter(|writer| *writer != read_from) {
                    forced.push((*writer, *read_from));
                }
            }
            for key in model.sources.keys_of(*txn) {
                last.insert(key, *txn);
            }
        }
    }
    forced.sort_unstable();
    forced.dedup();
    forced
}
