//! The state of the store: all that a fork copies.

use std::sync::{Arc, Mutex, MutexGuard};

use super::catalog::{IndexDef, Names, TableDef, Versioned};
use super::heap::Heap;
use super::id::{IndexId, RowId, SessionId, Slot, TableId, Xid};
use super::lock::LockTable;
use super::proc::{Proc, Tx};
use super::sequence::Sequences;
use super::ssi::Ssi;
use super::version::Version;
use super::wal::Wal;
use super::xact::{Snapshot, Xacts};
use crate::model::cases::Planted;
use crate::model::database::error::SqlError;
use crate::model::footprint::{Footprints, Resource};

/// The first transaction id that is given out, as in a fresh cluster of PostgreSQL 15.
const FIRST_XID: Xid = Xid(731);
/// The first process id.
const FIRST_PID: u32 = 1001;

/// A table with its definition, rows and indexes.
#[derive(Debug, Clone)]
pub(super) struct Table {
    pub(super) def: Versioned<Arc<TableDef>>,
    pub(super) heap: Versioned<Heap>,
    pub(super) indexes: Vec<Versioned<Arc<IndexDef>>>,
}

/// The state of the store.
#[derive(Debug, Clone)]
pub(super) struct State {
    pub(super) xacts: Xacts,
    pub(super) tables: Vec<Arc<Table>>,
    pub(super) names: Names,
    /// Rises with every change of a definition, and with every end of a transaction that made one.
    pub(super) catalog_version: u64,
    pub(super) sequences: Sequences,
    pub(super) procs: Vec<Option<Box<Proc>>>,
    pub(super) next_pid: u32,
    pub(super) locks: LockTable,
    pub(super) ssi: Ssi,
    pub(super) wal: Wal,
    pub(super) footprints: Footprints,
    pub(super) planted: Option<Planted>,
}

/// What all clones of a store and its sessions share.
#[derive(Debug)]
pub(super) struct Shared {
    state: Mutex<State>,
}

impl Shared {
    pub(super) fn new(state: State) -> Arc<Self> {
        Arc::new(Shared { state: Mutex::new(state) })
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no code panics while it holds the store")
    }
}

impl State {
    pub(super) fn new(footprints: Footprints, planted: Option<Planted>) -> Self {
        State {
            xacts: Xacts::new(FIRST_XID),
            tables: Vec::new(),
            names: Names::default(),
            catalog_version: 0,
            sequences: Sequences::default(),
            procs: Vec::new(),
            next_pid: FIRST_PID,
            locks: LockTable::default(),
            ssi: Ssi::default(),
            wal: Wal::default(),
            footprints,
            planted,
        }
    }

    /// A new session or prepared transaction.
    pub(super) fn add_proc(&mut self) -> Slot {
        let pid = SessionId(self.next_pid);
        self.next_pid += 1;
        let proc = Some(Box::new(Proc::new(pid)));
        match self.procs.iter().position(Option::is_none) {
            Some(slot) => {
                self.procs[slot] = proc;
                slot
            }
            None => {
                self.procs.push(proc);
                self.procs.len() - 1
            }
        }
    }

    pub(super) fn proc(&self, slot: Slot) -> &Proc {
        self.procs[slot].as_ref().expect("a session's entry stays until the session ends")
    }

    pub(super) fn proc_mut(&mut self, slot: Slot) -> &mut Proc {
        self.procs[slot].as_mut().expect("a session's entry stays until the session ends")
    }

    /// The transaction of the session; statements begin one where there is none.
    pub(super) fn tx(&self, slot: Slot) -> &Tx {
        self.proc(slot).tx.as_ref().expect("a statement runs in a transaction")
    }

    pub(super) fn tx_mut(&mut self, slot: Slot) -> &mut Tx {
        self.proc_mut(slot).tx.as_mut().expect("a statement runs in a transaction")
    }

    /// The slot of a session by its process id.
    pub(super) fn slot_of(&self, pid: SessionId) -> Option<Slot> {
        self.procs.iter().position(|proc| proc.as_ref().is_some_and(|proc| proc.pid == pid))
    }

    /// The id of the innermost subtransaction; it and those around it get theirs now where they have none.
    pub(super) fn xid(&mut self, slot: Slot) -> Xid {
        let tx = self.tx(slot);
        let innermost = tx.levels.len() - 1;
        let own = tx.levels[innermost].xid;
        if !own.is_none() {
            return own;
        }
        self.footprints.write(|| Resource::all("db xid"));
        let mut parent = Xid::NONE;
        for number in 0..=innermost {
            let mut xid = self.tx(slot).levels[number].xid;
            if xid.is_none() {
                xid = self.xacts.start(slot, parent);
                self.tx_mut(slot).levels[number].xid = xid;
                if number == 0 {
                    self.ssi_register_xid(slot, xid);
                }
            }
            parent = xid;
        }
        parent
    }

    pub(super) fn table(&self, id: TableId) -> &Table {
        &self.tables[id.0 as usize]
    }

    pub(super) fn table_mut(&mut self, id: TableId) -> &mut Table {
        Arc::make_mut(&mut self.tables[id.0 as usize])
    }

    /// The definition that holds for the session now.
    pub(super) fn def(&self, slot: Slot, id: TableId) -> Result<&Arc<TableDef>, SqlError> {
        let table = self.tables.get(id.0 as usize);
        let def = table.and_then(|table| table.def.current(&self.xacts, self.proc(slot).top()));
        def.ok_or_else(|| SqlError::no_relation(&format!("{}", id.0)))
    }

    pub(super) fn index_def(&self, slot: Slot, id: IndexId) -> Result<&Arc<IndexDef>, SqlError> {
        let index = self.table(id.table).indexes.get(id.slot as usize);
        let def = index.and_then(|index| index.current(&self.xacts, self.proc(slot).top()));
        def.ok_or_else(|| SqlError::no_relation(&format!("index {}", id.slot)))
    }

    /// The rows that hold for the session now.
    pub(super) fn heap(&self, slot: Slot, id: TableId) -> Result<&Heap, SqlError> {
        let me = self.proc(slot).top();
        let heap = self.table(id).heap.current(&self.xacts, me);
        heap.ok_or_else(|| SqlError::no_relation(&format!("{}", id.0)))
    }

    pub(super) fn heap_mut(&mut self, slot: Slot, id: TableId) -> Result<&mut Heap, SqlError> {
        let me = self.proc(slot).top();
        let table = Arc::make_mut(&mut self.tables[id.0 as usize]);
        let heap = table.heap.current_mut(&self.xacts, me);
        heap.ok_or_else(|| SqlError::no_relation(&format!("{}", id.0)))
    }

    pub(super) fn version(&self, slot: Slot, table: TableId, row: RowId) -> Option<&Version> {
        self.heap(slot, table).ok()?.get(row)
    }

    pub(super) fn version_mut(&mut self, slot: Slot, table: TableId, row: RowId) -> Option<&mut Version> {
        self.heap_mut(slot, table).ok()?.get_mut(row)
    }

    /// The oldest end that some snapshot does not see yet: what was dead before nobody can see.
    pub(super) fn horizon(&self) -> u64 {
        let snapshots = self.procs.iter().flatten().filter_map(|proc| proc.tx.as_ref()?.oldest);
        snapshots.min().unwrap_or(u64::MAX).min(self.xacts.ends()).min(self.wal.horizon())
    }

    /// Whether the snapshot of the session sees the version.
    pub(super) fn is_visible(&self, slot: Slot, version: &Version, snapshot: &Snapshot) -> bool {
        version.is_visible(&self.xacts, snapshot, self.proc(slot).top())
    }

    pub(super) fn note_row_read(&self, table: TableId, row: RowId) {
        self.footprints.read(|| Resource::one(&format!("db rows {}", table.0), row));
    }

    pub(super) fn note_row_write(&self, table: TableId, row: RowId) {
        self.footprints.write(|| Resource::one(&format!("db rows {}", table.0), row));
    }
}
