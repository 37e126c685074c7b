//! What can be marked as read: a relation, a page of it, a row of a table.

use crate::model::database::store::id::{IndexId, RowId, TableId};

/// A table or an index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Relation {
    Table(TableId),
    Index(IndexId),
}

/// A relation, a page of it, or a version of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Target {
    pub(super) relation: Relation,
    page: Option<u32>,
    place: Option<u32>,
}

impl Target {
    pub(super) fn all(relation: Relation) -> Self {
        Target { relation, page: None, place: None }
    }

    pub(super) fn page(relation: Relation, page: u32) -> Self {
        Target { relation, page: Some(page), place: None }
    }

    pub(super) fn row(table: TableId, row: RowId) -> Self {
        let (page, place) = (Some(row.page()), Some(row.place()));
        Target { relation: Relation::Table(table), page, place }
    }

    pub(super) fn is_row(&self) -> bool {
        self.place.is_some()
    }

    pub(super) fn is_relation(&self) -> bool {
        self.page.is_none()
    }

    /// The next coarser one.
    pub(super) fn parent(&self) -> Option<Target> {
        match (self.page, self.place) {
            (None, _) => None,
            (Some(_), None) => Some(Target { page: None, ..*self }),
            (Some(_), Some(_)) => Some(Target { place: None, ..*self }),
        }
    }

    /// All coarser ones, the finest first.
    pub(super) fn coarser(&self) -> impl Iterator<Item = Target> {
        std::iter::successors(self.parent(), Target::parent)
    }

    /// Whether a mark there says all that one on `other` would, and `other` is a finer one.
    pub(super) fn covers(&self, other: &Target) -> bool {
        other.coarser().any(|coarser| coarser == *self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_coarser_target_covers_the_finer_ones_within_it() {
        let table = Relation::Table(TableId(1));
        let (all, page) = (Target::all(table), Target::page(table, 3));
        let row = Target::row(TableId(1), RowId::new(3, 7));
        assert_eq!(row.coarser().collect::<Vec<_>>(), [page, all]);
        assert!(all.covers(&row) && page.covers(&row) && all.covers(&page));
        assert!(!page.covers(&page) && !page.covers(&all) && !Target::page(table, 4).covers(&row));
        assert!(!Target::all(Relation::Table(TableId(2))).covers(&row));
    }
}
