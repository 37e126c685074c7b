//! A stream: entries in the order of their ids, and the groups that read them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use bytes::Bytes;

use super::answer::{Answer, Stop, error};

/// The id of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Id {
    pub(crate) ms: u64,
    pub(crate) seq: u64,
}

pub(crate) const BAD_ID: Stop = error("ERR Invalid stream ID specified as stream command argument");

impl Id {
    pub(crate) const MIN: Id = Id { ms: 0, seq: 0 };
    pub(crate) const MAX: Id = Id { ms: u64::MAX, seq: u64::MAX };

    /// `ms-seq`, or `ms` with that sequence number.
    pub(crate) fn read(bytes: &[u8], missing_seq: u64) -> Result<Self, Stop> {
        let text = std::str::from_utf8(bytes).map_err(|_| BAD_ID)?;
        let (ms, seq) = match text.split_once('-') {
            Some((ms, seq)) => (ms, Some(seq)),
            None => (text, None),
        };
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().ok()).flatten().ok_or(BAD_ID)
        };
        Ok(Id { ms: number(ms)?, seq: seq.map_or(Ok(missing_seq), number)? })
    }

    pub(crate) fn next(self) -> Option<Self> {
        match self.seq.checked_add(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => self.ms.checked_add(1).map(|ms| Id { ms, seq: 0 }),
        }
    }

    pub(crate) fn before(self) -> Option<Self> {
        match self.seq.checked_sub(1) {
            Some(seq) => Some(Id { seq, ..self }),
            None => self.ms.checked_sub(1).map(|ms| Id { ms, seq: u64::MAX }),
        }
    }

    pub(crate) fn answer(self) -> Answer {
        Answer::Bulk(Bytes::from(self.to_string()))
    }
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.ms, self.seq)
    }
}

/// An entry: fields and values in turn.
pub(crate) type Fields = Vec<Bytes>;

#[derive(Debug, Clone, Default)]
pub(crate) struct Stream {
    pub(crate) entries: BTreeMap<Id, Fields>,
    pub(crate) last: Id,
    pub(crate) groups: BTreeMap<Bytes, Group>,
}

/// Consumers that share a stream.
#[derive(Debug, Clone, Default)]
pub(crate) struct Group {
    /// The last entry that was delivered to anybody.
    pub(crate) last: Id,
    /// What was delivered and is not acknowledged.
    pub(crate) pending: BTreeMap<Id, Pending>,
    pub(crate) consumers: BTreeSet<Bytes>,
}

/// An entry that was delivered and is not acknowledged.
#[derive(Debug, Clone)]
pub(crate) struct Pending {
    pub(crate) consumer: Bytes,
    pub(crate) delivered_ms: i64,
    pub(crate) deliveries: i64,
}

impl Stream {
    /// The entries of a range, which may be turned round, `count` at most.
    pub(crate) fn range(&self, low: Id, high: Id, reverse: bool, count: usize) -> Vec<Answer> {
        if low > high {
            return Vec::new();
        }
        let told = |(id, fields): (&Id, &Fields)| entry_answer(*id, Some(fields));
        let range = self.entries.range(low..=high);
        if reverse {
            range.rev().take(count).map(told).collect()
        } else {
            range.take(count).map(told).collect()
        }
    }

    /// Removes the oldest until `length` are left, and says how many went.
    pub(crate) fn trim_to_length(&mut self, length: usize) -> usize {
        let gone = self.entries.len().saturating_sub(length);
        for _ in 0..gone {
            self.entries.pop_first();
        }
        gone
    }

    /// Removes those older than that, and says how many went.
    pub(crate) fn trim_below(&mut self, first: Id) -> usize {
        let kept = self.entries.split_off(&first);
        std::mem::replace(&mut self.entries, kept).len()
    }
}

/// An entry as commands tell it; one that was deleted has no fields.
pub(crate) fn entry_answer(id: Id, fields: Option<&Fields>) -> Answer {
    let fields = fields.map_or(Answer::NilArray, Answer::bulks);
    Answer::Array(vec![id.answer(), fields])
}
