//! What was committed: the rows of the final ledger, or where there is none, the acknowledged writes.

use super::finding::Evidence;
use super::index::Names;
use crate::hash::HashMap;
use crate::history::{Final, History, LedgerRow, Operation, Scalar, Text, WriteItem};

/// All commits, and those of each operation.
pub(super) struct Commits<'h> {
    all: Vec<Commit<'h>>,
    first_of_op: ByText,
}

/// A committed write of one key.
pub(super) struct Commit<'h> {
    pub(super) key: u32,
    /// The next commit of the same operation.
    next_of_op: Option<u32>,
    source: Source<'h>,
}

#[derive(Clone, Copy)]
enum Source<'h> {
    /// A row of the ledger: the event of the ledger, the row and its place.
    Ledger(u64, &'h LedgerRow, u32),
    Acknowledged(&'h Operation, &'h WriteItem),
}

impl Commit<'_> {
    pub(super) fn op_id(&self) -> Text {
        match self.source {
            Source::Ledger(_, row, _) => row.op_id,
            Source::Acknowledged(op, _) => op.op_id.unwrap_or_default(),
        }
    }

    pub(super) fn ver(&self) -> Option<u64> {
        match self.source {
            Source::Ledger(_, row, _) => Some(row.ver),
            Source::Acknowledged(_, item) => item.ver,
        }
    }

    pub(super) fn value(&self) -> Scalar {
        match self.source {
            Source::Ledger(_, row, _) => row.value,
            Source::Acknowledged(_, item) => item.value,
        }
    }

    pub(super) fn base_ver(&self) -> Option<u64> {
        match self.source {
            Source::Ledger(_, row, _) => row.base_ver,
            Source::Acknowledged(_, item) => item.base_ver,
        }
    }

    pub(super) fn delta(&self) -> Option<i64> {
        match self.source {
            Source::Ledger(_, row, _) => row.delta,
            Source::Acknowledged(_, item) => item.delta,
        }
    }

    /// Its place in the commit order of the source of truth.
    pub(super) fn position(&self) -> Option<u64> {
        match self.source {
            Source::Ledger(_, row, _) => row.commit,
            Source::Acknowledged(..) => None,
        }
    }

    pub(super) fn evidence(&self) -> Evidence {
        match self.source {
            Source::Ledger(event, _, at) => Evidence::Row(event, at as usize),
            Source::Acknowledged(op, _) => Evidence::op(op),
        }
    }
}

impl<'h> Commits<'h> {
    pub(super) fn of_ledger(ledger: Final<'h, LedgerRow>, keys: &mut Names) -> Commits<'h> {
        let event = ledger.event.index;
        let commit = |(at, row): (usize, &'h LedgerRow)| Commit {
            key: keys.number(row.key),
            next_of_op: None,
            source: Source::Ledger(event, row, at as u32),
        };
        Commits::chained(ledger.rows.iter().enumerate().map(commit).collect())
    }

    pub(super) fn acknowledged(history: &'h History, keys: &mut Names) -> Commits<'h> {
        let mut all = Vec::new();
        for op in history.ops().iter().filter(|op| op.is_ok()) {
            for item in op.writes() {
                let source = Source::Acknowledged(op, item);
                all.push(Commit { key: keys.number(item.key), next_of_op: None, source });
            }
        }
        Commits::chained(all)
    }

    /// Links the commits of each operation.
    fn chained(mut all: Vec<Commit<'h>>) -> Commits<'h> {
        let mut first_of_op = ByText::of(all.iter().map(Commit::op_id));
        for at in (0..all.len()).rev() {
            let commit = &mut all[at];
            commit.next_of_op = first_of_op.insert(commit.op_id(), at as u32);
        }
        Commits { all, first_of_op }
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Commit<'h>> {
        self.all.iter()
    }

    pub(super) fn at(&self, at: u32) -> &Commit<'h> {
        &self.all[at as usize]
    }

    /// The commits of an operation on a key, as places among all.
    pub(super) fn of(&self, op_id: Text, key: u32) -> impl Iterator<Item = u32> + '_ {
        std::iter::successors(self.first_of_op.get(op_id), |at| self.at(*at).next_of_op)
            .filter(move |at| self.at(*at).key == key)
    }
}

/// A number for each text: a table where the texts were met close together, as those of one history are, and else
/// a map.
enum ByText {
    /// The number of the first text, and for each from there on what it has, from 1.
    Table(usize, Vec<u32>),
    Map(HashMap<Text, u32>),
}

/// A table has at most so many places for each text.
const SPARSE: usize = 16;

impl ByText {
    fn of(texts: impl ExactSizeIterator<Item = Text> + Clone) -> ByText {
        let count = texts.len();
        let first = texts.clone().map(Text::number).min().unwrap_or_default();
        let last = texts.map(Text::number).max().unwrap_or_default();
        if last - first < count.saturating_mul(SPARSE) {
            ByText::Table(first, vec![0; last - first + 1])
        } else {
            ByText::Map(HashMap::with_capacity_and_hasher(count, Default::default()))
        }
    }

    fn get(&self, text: Text) -> Option<u32> {
        match self {
            ByText::Table(first, table) => {
                let place = text.number().checked_sub(*first)?;
                table.get(place)?.checked_sub(1)
            }
            ByText::Map(map) => map.get(&text).copied(),
        }
    }

    /// Of one of the texts that it was made for: gives it a number, and says which it had.
    fn insert(&mut self, text: Text, number: u32) -> Option<u32> {
        match self {
            ByText::Table(first, table) => {
                std::mem::replace(&mut table[text.number() - *first], number + 1).checked_sub(1)
            }
            ByText::Map(map) => map.insert(text, number),
        }
    }
}
