//! The names of things in the store.

use std::fmt;

/// A transaction id, of a transaction or a subtransaction, with its epoch: it never wraps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Xid(pub(crate) u64);

impl Xid {
    /// Of no transaction.
    pub(crate) const NONE: Xid = Xid(0);

    /// Whether it is that of no transaction.
    pub(crate) fn is_none(self) -> bool {
        self == Xid::NONE
    }
}

impl fmt::Display for Xid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// A table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct TableId(pub(crate) u32);

/// An index: the table and its number there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct IndexId {
    pub(crate) table: TableId,
    pub(crate) slot: u32,
}

/// A sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SequenceId(pub(crate) u32);

/// A connection: PostgreSQL's process id of its backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SessionId(pub(crate) u32);

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Where a version of a row lies: PostgreSQL's `ctid`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RowId(u64);

impl RowId {
    /// The place on a page; places count from one.
    pub(crate) fn new(page: u32, place: u32) -> Self {
        RowId(u64::from(page) << 32 | u64::from(place))
    }

    /// The page.
    pub(crate) fn page(self) -> u32 {
        u32::try_from(self.0 >> 32).expect("the upper half of 64 bits has 32")
    }

    /// The place on the page.
    pub(crate) fn place(self) -> u32 {
        u32::try_from(self.0 & u64::from(u32::MAX)).expect("the lower half of 64 bits has 32")
    }
}

impl fmt::Display for RowId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "({},{})", self.page(), self.place())
    }
}

/// A place in the write-ahead log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub(crate) struct Lsn(pub(crate) u64);

impl fmt::Display for Lsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:X}/{:X}", self.0 >> 32, self.0 & 0xFFFF_FFFF)
    }
}

/// The number of a session's entry in the table of sessions, which is used again after the session's end.
pub(super) type Slot = usize;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_ordered_and_printed_as_ctids() {
        assert!(RowId::new(0, 9) < RowId::new(1, 1));
        assert_eq!(RowId::new(3, 7).to_string(), "(3,7)");
        assert_eq!(Lsn(0x1_0000_00A8).to_string(), "1/A8");
    }
}
