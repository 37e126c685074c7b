//! On which way a read had to see a version: from its write, by what sessions did and read, to the read.

use std::collections::VecDeque;
use std::collections::hash_map::Entry;

use super::Guarantee;
use super::ops::Deeds;
use crate::hash::HashMap;

/// Deeds from a write to a read that had to see it. From a write to a read of it, or along a session.
pub(super) fn path(deeds: &Deeds<'_>, guarantee: Guarantee, from: u32, reader: u32) -> Vec<u32> {
    let read = deeds.deeds[reader as usize];
    let write = deeds.deeds[from as usize];
    let earlier = || {
        let session = &deeds.sessions[read.session as usize][..read.place as usize];
        session.iter().copied().filter(|at| !deeds.deeds[*at as usize].is_write)
    };
    let of_source = || earlier().find(|at| deeds.deeds[*at as usize].source == from);
    // What a later write of the same session shows.
    let through = |at: u32| {
        let source = deeds.deeds.get(deeds.deeds[at as usize].source as usize)?;
        let is_later = source.session == write.session && source.place > write.place;
        is_later.then(|| vec![from, deeds.deeds[at as usize].source, at, reader])
    };
    let is_own = write.session == read.session && write.place < read.place && deeds.is_acked(from);
    let found = match guarantee {
        Guarantee::ReadYourWrites => Some(vec![from, reader]),
        Guarantee::MonotonicReads => of_source().map(|at| vec![from, at, reader]),
        Guarantee::MonotonicWrites => {
            let in_call = earlier().filter(|at| deeds.deeds[*at as usize].call == read.call);
            in_call.filter_map(through).next()
        }
        Guarantee::Pram if is_own => Some(vec![from, reader]),
        Guarantee::Pram => {
            of_source().map(|at| vec![from, at, reader]).or_else(|| earlier().filter_map(through).next())
        }
        Guarantee::WritesFollowReads => behind_reads(deeds, from, reader),
    };
    found.unwrap_or_default()
}

/// Goes back from what the reader's transaction had read: what its writer had read before, and so on.
fn behind_reads(deeds: &Deeds<'_>, from: u32, reader: u32) -> Option<Vec<u32>> {
    let read = deeds.deeds[reader as usize];
    let mut came: HashMap<u32, Vec<u32>> = HashMap::default();
    let mut queue = VecDeque::new();
    let shown = deeds.sessions[read.session as usize][..=read.place as usize].iter().rev();
    for at in shown.copied().take_while(|at| deeds.deeds[*at as usize].call == read.call) {
        let deed = deeds.deeds[at as usize];
        if !deed.is_write && (deed.source as usize) < deeds.deeds.len() && !came.contains_key(&deed.source) {
            came.insert(deed.source, if at == reader { vec![reader] } else { vec![at, reader] });
            queue.push_back(deed.source);
        }
    }
    // By session, how many of its first deeds have been looked at.
    let mut done: HashMap<u32, u32> = HashMap::default();
    while let Some(write) = queue.pop_front() {
        let deed = deeds.deeds[write as usize];
        let begin = done.get(&deed.session).copied().unwrap_or(0);
        for at in deeds.sessions[deed.session as usize].iter().take(deed.place as usize).skip(begin as usize)
        {
            let earlier = deeds.deeds[*at as usize];
            if earlier.is_write || earlier.source as usize >= deeds.deeds.len() {
                continue;
            }
            let way: Vec<u32> = [*at, write].into_iter().chain(came[&write].iter().copied()).collect();
            if earlier.source == from {
                return Some([from].into_iter().chain(way).collect());
            }
            if let Entry::Vacant(first) = came.entry(earlier.source) {
                first.insert(way);
                queue.push_back(earlier.source);
            }
        }
        done.insert(deed.session, begin.max(deed.place));
    }
    None
}
