//! `list-append`: every read of a list tells the whole order of what was appended before.
//!
//! The longest committed read of a key is the order of its versions, all others must be its beginnings (Kingsbury
//! and Alvaro, "Elle", VLDB 2020). An append that nobody read came after all that was read.

use super::graph::{Edges, RW, WR, WW};
use super::txns::{Act, Mop, Txns};
use super::versions::{ELSEWHERE, NONE, Versions};
use super::witness::Why;

/// Adds the dependencies that the versions tell.
pub(super) fn add_dependencies(txns: &Txns<'_>, versions: &Versions, edges: &mut Edges) {
    let mut ends = Ends { last_writer: vec![NONE; txns.keys.len()], readers: Vec::new() };
    let mut next_writer = vec![NONE; versions.writers.len()];
    for key in 0..txns.keys.len() as u32 {
        let longest = versions.longest[key as usize];
        let mut before = NONE;
        for position in 0..longest.count {
            let Some(writer) = versions.writer_at(txns, key, position) else { continue };
            if before != NONE {
                edges.add(before, writer, WW);
            }
            before = writer;
        }
        ends.last_writer[key as usize] = before;
        let mut next = NONE;
        for position in (0..longest.count).rev() {
            next = versions.writer_at(txns, key, position).unwrap_or(next);
            next_writer[(longest.first + position) as usize] = next;
        }
    }
    for (_, mop) in txns.mops.iter().enumerate().filter(|(at, _)| versions.is_external[*at]) {
        let Act::ReadList { count, .. } = mop.act else { continue };
        let longest = versions.longest[mop.key as usize];
        if let Some(writer) = count.checked_sub(1).and_then(|last| versions.writer_at(txns, mop.key, last)) {
            edges.add(writer, mop.txn, WR);
        }
        let next = if count < longest.count { next_writer[(longest.first + count) as usize] } else { NONE };
        if next == NONE {
            ends.readers.push((mop.key, mop.txn));
        } else {
            edges.add(mop.txn, next, RW);
        }
    }
    ends.add_unread(txns, versions, edges);
}

/// Who wrote and who read the newest version of each key that anybody read.
struct Ends {
    last_writer: Vec<u32>,
    readers: Vec<(u32, u32)>,
}

impl Ends {
    /// Appends that nobody read come behind all that was read, in an order that nobody knows.
    fn add_unread(mut self, txns: &Txns<'_>, versions: &Versions, edges: &mut Edges) {
        let mut unread = unread(txns, versions);
        unread.retain(|(key, _)| versions.longest[*key as usize].reader != NONE);
        self.readers.sort_unstable();
        self.readers.dedup();
        for writers in unread.chunk_by(|one, other| one.0 == other.0) {
            let key = writers[0].0;
            let fan = Fan::new(writers, edges);
            let last = self.last_writer[key as usize];
            if last != NONE {
                fan.add_before(last, WW, edges);
            }
            let first = self.readers.partition_point(|(other, _)| *other < key);
            let readers = self.readers[first..].iter().take_while(|(other, _)| *other == key);
            readers.for_each(|(_, reader)| fan.add_before(*reader, RW, edges));
        }
    }
}

/// Keys with the transactions that appended what nobody read.
fn unread(txns: &Txns<'_>, versions: &Versions) -> Vec<(u32, u32)> {
    let is_unread = |(at, mop): &(usize, &Mop)| {
        matches!(mop.act, Act::Write(_))
            && versions.position[*at] == NONE
            && versions.committed[mop.txn as usize]
    };
    let mut unread: Vec<(u32, u32)> =
        txns.mops.iter().enumerate().filter(is_unread).map(|(_, mop)| (mop.key, mop.txn)).collect();
    unread.sort_unstable();
    unread.dedup();
    unread
}

/// Of each key the transactions whose appends nobody read, in no order.
pub(super) fn unordered(txns: &Txns<'_>, versions: &Versions) -> Vec<Vec<u32>> {
    let unread = unread(txns, versions);
    unread
        .chunk_by(|one, other| one.0 == other.0)
        .map(|of| of.iter().map(|(_, txn)| *txn).collect())
        .collect()
}

/// Nodes that lead on to the writers of a key: one to all up to some writer, one to all from some writer on. So
/// an edge to all but one takes two edges, and no transaction comes before itself.
pub(super) struct Fan<'a> {
    writers: &'a [(u32, u32)],
    up_to: Vec<u32>,
    from: Vec<u32>,
}

impl<'a> Fan<'a> {
    pub(super) fn new(writers: &'a [(u32, u32)], edges: &mut Edges) -> Fan<'a> {
        let mut fan = Fan { writers, up_to: Vec::new(), from: vec![0; writers.len()] };
        for (_, writer) in writers {
            let node = fan.link(*writer, fan.up_to.last().copied(), edges);
            fan.up_to.push(node);
        }
        let mut before = None;
        for (at, (_, writer)) in writers.iter().enumerate().rev() {
            let node = fan.link(*writer, before, edges);
            fan.from[at] = node;
            before = Some(node);
        }
        fan
    }

    fn link(&self, writer: u32, further: Option<u32>, edges: &mut Edges) -> u32 {
        let node = edges.node();
        edges.add(node, writer, super::graph::LINK);
        if let Some(further) = further {
            edges.add(node, further, super::graph::LINK);
        }
        node
    }

    pub(super) fn add_before(&self, txn: u32, kind: u8, edges: &mut Edges) {
        match self.writers.binary_search_by_key(&txn, |(_, writer)| *writer) {
            Err(_) => edges.add(txn, self.up_to[self.up_to.len() - 1], kind),
            Ok(own) => {
                if own > 0 {
                    edges.add(txn, self.up_to[own - 1], kind);
                }
                if let Some(node) = self.from.get(own + 1) {
                    edges.add(txn, *node, kind);
                }
            }
        }
    }
}

/// Finds why an edge holds, and whose read shows it.
pub(super) fn explain(
    txns: &Txns<'_>,
    versions: &Versions,
    from: u32,
    to: u32,
    kind: u8,
) -> Option<(Why, Option<u32>)> {
    match kind {
        WW => explain_ww(txns, versions, from, to),
        WR => explain_wr(txns, versions, from, to),
        RW => explain_rw(txns, versions, from, to),
        _ => None,
    }
}

fn explain_ww(txns: &Txns<'_>, versions: &Versions, from: u32, to: u32) -> Option<(Why, Option<u32>)> {
    let first = txns.txns[from as usize].first_mop;
    for (at, mop) in txns.mops_of(from).iter().enumerate() {
        let (Act::Write(value), position) = (mop.act, versions.position[first as usize + at]) else {
            continue;
        };
        if position >= ELSEWHERE {
            continue;
        }
        if let Some(next) = written_after(txns, versions, mop.key, position + 1, to) {
            let (key, value, next) = (txns.key_name(mop.key), txns.show(value), txns.show(next));
            return Some((Why::Ww { key, value, next }, longest_reader(txns, versions, mop.key)));
        }
    }
    None
}

fn explain_wr(txns: &Txns<'_>, versions: &Versions, from: u32, to: u32) -> Option<(Why, Option<u32>)> {
    let first = txns.txns[to as usize].first_mop;
    let reads =
        txns.mops_of(to).iter().enumerate().filter(|(at, _)| versions.is_external[first as usize + at]);
    for (_, mop) in reads {
        let Act::ReadList { count, .. } = mop.act else { continue };
        let Some(last) = count.checked_sub(1) else { continue };
        if versions.writer_at(txns, mop.key, last) == Some(from) {
            let value = txns.show(versions.order(txns, mop.key)[last as usize]);
            return Some((Why::Wr { key: txns.key_name(mop.key), value }, None));
        }
    }
    None
}

fn explain_rw(txns: &Txns<'_>, versions: &Versions, from: u32, to: u32) -> Option<(Why, Option<u32>)> {
    let first = txns.txns[from as usize].first_mop;
    let reads =
        txns.mops_of(from).iter().enumerate().filter(|(at, _)| versions.is_external[first as usize + at]);
    for (_, mop) in reads {
        let Act::ReadList { count, .. } = mop.act else { continue };
        if let Some(next) = written_after(txns, versions, mop.key, count, to) {
            let order = versions.order(txns, mop.key);
            let value = count.checked_sub(1).map(|last| txns.show(order[last as usize]));
            let why = Why::Rw { key: txns.key_name(mop.key), value, next: txns.show(next) };
            return Some((why, longest_reader(txns, versions, mop.key)));
        }
    }
    None
}

/// What `writer` wrote next to a key after so many elements: the next committed one, or one that nobody read.
fn written_after(
    txns: &Txns<'_>,
    versions: &Versions,
    key: u32,
    position: u32,
    writer: u32,
) -> Option<crate::foreign::Word> {
    let count = versions.longest[key as usize].count;
    let next = (position..count).find(|at| versions.writer_at(txns, key, *at).is_some());
    let first = txns.txns[writer as usize].first_mop;
    txns.mops_of(writer).iter().enumerate().find_map(|(at, mop)| {
        let is_next = match next {
            Some(next) => versions.position[first as usize + at] == next,
            None => versions.position[first as usize + at] == NONE,
        };
        match mop.act {
            Act::Write(value) if mop.key == key && is_next => Some(value),
            _ => None,
        }
    })
}

fn longest_reader(txns: &Txns<'_>, versions: &Versions, key: u32) -> Option<u32> {
    let reader = versions.longest[key as usize].reader;
    txns.txns.get(reader as usize).map(|txn| txn.call)
}
