//! The marks on what was read (SIREAD locks), and how many fine ones become a coarse one.

use super::target::{Relation, Target};
use super::{Ssi, SsiId};
use crate::model::database::store::id::{IndexId, TableId};
use crate::model::database::store::index::Split;
use crate::model::database::store::state::State;
use crate::model::footprint::{Footprints, Resource};

/// `max_pred_locks_per_page`: with more rows of a page marked, the page is.
const PER_PAGE_MAX: usize = 2;
/// With more pages and rows of a relation marked, the relation is: `max_pred_locks_per_relation` is -2, which
/// stands for half of `max_pred_locks_per_transaction`, 64, less one.
const PER_RELATION_MAX: usize = 64 / 2 - 1;

/// The space of the marks on a relation.
fn marks_space(relation: Relation) -> String {
    match relation {
        Relation::Table(table) => format!("db ssi marks {}", table.0),
        Relation::Index(index) => format!("db ssi marks {} {}", index.table.0, index.slot),
    }
}

impl Ssi {
    /// Marks what the transaction reads (`PredicateLockAcquire`).
    pub(super) fn mark(&mut self, footprints: &Footprints, id: SsiId, target: Target) {
        let xact = self.get_mut(id);
        let held = |target: &Target| xact.local.get(target).is_some_and(|mark| mark.held);
        if held(&target) || target.coarser().any(|coarser| held(&coarser)) {
            return;
        }
        xact.local.entry(target).or_default().held = true;
        let pid = xact.pid;
        footprints.write(|| Resource::one(&marks_space(target.relation), pid));
        self.add_mark(id, target);
        match self.count(id, &target) {
            Some(coarser) => self.mark(footprints, id, coarser),
            None if !target.is_row() => self.drop_finer(id, &target),
            None => {}
        }
    }

    fn add_mark(&mut self, id: SsiId, target: Target) {
        self.get_mut(id).marks.insert(target);
        let holders = self.marked.entry(target).or_default();
        if !holders.contains(&id) {
            holders.push(id);
        }
    }

    pub(super) fn remove_mark(&mut self, id: SsiId, target: &Target) {
        self.get_mut(id).marks.remove(target);
        if let Some(holders) = self.marked.get_mut(target) {
            holders.retain(|holder| *holder != id);
            if holders.is_empty() {
                self.marked.remove(target);
            }
        }
    }

    /// Counts a new mark in all coarser ones; the coarsest that has too many below is to be marked instead.
    fn count(&mut self, id: SsiId, target: &Target) -> Option<Target> {
        let xact = self.get_mut(id);
        let mut promoted = None;
        for coarser in target.coarser() {
            let mark = xact.local.entry(coarser).or_default();
            mark.finer += 1;
            let most = if coarser.is_relation() { PER_RELATION_MAX } else { PER_PAGE_MAX };
            if mark.finer > most {
                promoted = Some(coarser);
            }
        }
        promoted
    }

    /// Drops the marks that a coarser one has made needless.
    fn drop_finer(&mut self, id: SsiId, target: &Target) {
        let marks = &self.get(id).marks;
        let finer: Vec<Target> = marks.iter().filter(|finer| target.covers(finer)).copied().collect();
        for finer in &finer {
            self.drop_mark(id, finer);
        }
    }

    /// Drops a mark that the transaction itself needs no more.
    pub(super) fn drop_mark(&mut self, id: SsiId, target: &Target) {
        self.remove_mark(id, target);
        let xact = self.get_mut(id);
        xact.local.remove(target);
        for coarser in target.coarser() {
            if let Some(mark) = xact.local.get_mut(&coarser) {
                mark.finer = mark.finer.saturating_sub(1);
                if mark.finer == 0 && !mark.held {
                    xact.local.remove(&coarser);
                }
            }
        }
    }

    /// Those that have marked the target.
    pub(super) fn holders(&self, footprints: &Footprints, target: &Target) -> Vec<SsiId> {
        footprints.read(|| Resource::all(&marks_space(target.relation)));
        self.marked.get(target).cloned().unwrap_or_default()
    }

    /// Those that have marked anything of the relation.
    pub(super) fn readers(&self, footprints: &Footprints, relation: Relation) -> Vec<SsiId> {
        footprints.read(|| Resource::all(&marks_space(relation)));
        let within = self.marked.range(Target::all(relation)..);
        let within = within.take_while(|(target, _)| target.relation == relation);
        let mut readers: Vec<SsiId> = within.flat_map(|(_, holders)| holders.iter().copied()).collect();
        readers.sort_unstable();
        readers.dedup();
        readers
    }

    fn split(&mut self, footprints: &Footprints, index: Relation, split: Split) {
        footprints.write(|| Resource::all(&marks_space(index)));
        for id in self.holders(footprints, &Target::page(index, split.old)) {
            self.add_mark(id, Target::page(index, split.new));
        }
    }

    /// All marks on the relation become marks on the whole table (`TransferPredicateLocksToHeapRelation`).
    fn lift(&mut self, footprints: &Footprints, relation: Relation, table: TableId) {
        footprints.write(|| Resource::all(&marks_space(relation)));
        footprints.write(|| Resource::all(&marks_space(Relation::Table(table))));
        let whole = Target::all(Relation::Table(table));
        for id in self.readers(footprints, relation) {
            let marks = self.get(id).marks.iter().filter(|mark| mark.relation == relation);
            for mark in marks.copied().collect::<Vec<_>>() {
                self.remove_mark(id, &mark);
            }
            self.add_mark(id, whole);
        }
    }
}

impl State {
    /// What was read on a page that is split was read on both.
    pub(in super::super) fn ssi_split(&mut self, index: IndexId, split: Split) {
        self.ssi.split(&self.footprints, Relation::Index(index), split);
    }

    /// An index gets its first page: until then its readers have marked all of it.
    pub(in super::super) fn ssi_first_page(&self, index: IndexId) {
        self.footprints.write(|| Resource::all(&marks_space(Relation::Index(index))));
    }

    /// An index is dropped: what was read by it was read of the table.
    pub(in super::super) fn ssi_drop_index(&mut self, index: IndexId) {
        self.ssi.lift(&self.footprints, Relation::Index(index), index.table);
    }

    /// The rows get new places: what was read of the old ones was read of the whole table.
    pub(in super::super) fn ssi_rewrite(&mut self, table: TableId) {
        let count = u32::try_from(self.table(table).indexes.len()).expect("a table has a few indexes");
        let State { ssi, footprints, .. } = self;
        ssi.lift(footprints, Relation::Table(table), table);
        for slot in 0..count {
            ssi.lift(footprints, Relation::Index(IndexId { table, slot }), table);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Sxact;
    use super::*;
    use crate::model::database::store::id::{RowId, SessionId, Xid};

    const TABLE: TableId = TableId(7);

    fn marked(rows: impl IntoIterator<Item = RowId>) -> Vec<Target> {
        let (mut ssi, footprints) = (Ssi::default(), Footprints::default());
        let id = ssi.begin(Sxact::new(0, SessionId(1), Xid(800), Xid(700), false)).expect("it may write");
        for row in rows {
            ssi.mark(&footprints, id, Target::row(TABLE, row));
        }
        assert!(ssi.marked.keys().eq(&ssi.get(id).marks), "both sides say the same");
        ssi.get(id).marks.iter().copied().collect()
    }

    #[test]
    fn rows_of_a_page_are_marked_up_to_two_and_then_the_page() {
        let rows = |count| (1..=count).map(|place| RowId::new(4, place));
        assert_eq!(marked(rows(2)), [1, 2].map(|place| Target::row(TABLE, RowId::new(4, place))));
        assert_eq!(marked(rows(3)), [Target::page(Relation::Table(TABLE), 4)]);
        assert_eq!(marked(rows(9)), [Target::page(Relation::Table(TABLE), 4)]);
    }

    #[test]
    fn pages_and_rows_are_marked_up_to_31_and_then_the_table() {
        let rows = |count| (0..count).map(|page| RowId::new(page, 1));
        assert_eq!(marked(rows(31)).len(), 31);
        assert_eq!(marked(rows(32)), [Target::all(Relation::Table(TABLE))]);
        let pages = |count| (0..count).flat_map(|page| (1..=3).map(move |place| RowId::new(page, place)));
        assert_eq!(marked(pages(28)).len(), 28);
        // While rows become a page, both count.
        assert_eq!(marked(pages(29)), [Target::all(Relation::Table(TABLE))]);
    }

    #[test]
    fn what_was_read_of_a_page_that_is_split_was_read_of_both() {
        let (mut ssi, footprints) = (Ssi::default(), Footprints::default());
        let id = ssi.begin(Sxact::new(0, SessionId(1), Xid(800), Xid(700), false)).expect("it may write");
        let index = Relation::Index(IndexId { table: TABLE, slot: 0 });
        ssi.mark(&footprints, id, Target::page(index, 1));
        ssi.split(&footprints, index, Split { old: 1, new: 2 });
        assert_eq!(ssi.holders(&footprints, &Target::page(index, 2)), [id]);
        ssi.lift(&footprints, index, TABLE);
        assert!(ssi.readers(&footprints, index).is_empty());
        assert_eq!(ssi.holders(&footprints, &Target::all(Relation::Table(TABLE))), [id]);
    }
}
