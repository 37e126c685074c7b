//! The designs: one a file, each with its variants.

pub mod cache_aside_del_after_write;
pub mod cache_versioned_cas;
pub mod cdc_crdb_changefeed;
pub mod dual_write_db_then_queue;
pub mod dual_write_publish_in_txn;
pub mod outbox_poll_flag_single;
pub mod outbox_poll_id_cursor;
pub mod outbox_wal_relay;
pub mod sot_pg_read_committed_rmw;
pub mod sot_serializable;

use std::sync::Arc;

use crosscheck_harness::design::Design;

/// Every design and variant, in the order of the ground-truth table.
pub fn all() -> Vec<Arc<dyn Design>> {
    use crate::parts::consumer::Applies;
    use cache_aside_del_after_write::{Access, CacheAsideDelAfterWrite};
    use cache_versioned_cas::{CacheVersionedCas, Leaves};
    use cdc_crdb_changefeed::CdcCrdbChangefeed;
    use dual_write_db_then_queue::{DualWriteDbThenQueue, Writers};
    use outbox_poll_flag_single::{Marks, OutboxPollFlagSingle};
    use outbox_wal_relay::{Acknowledges, OutboxWalRelay};
    vec![
        Arc::new(DualWriteDbThenQueue { writers: Writers::Many }),
        Arc::new(DualWriteDbThenQueue { writers: Writers::One }),
        Arc::new(dual_write_publish_in_txn::DualWritePublishInTxn),
        Arc::new(CacheAsideDelAfterWrite { access: Access::Concurrent }),
        Arc::new(CacheAsideDelAfterWrite { access: Access::OneAtATime }),
        Arc::new(CacheVersionedCas { leaves: Leaves::Tombstone }),
        Arc::new(CacheVersionedCas { leaves: Leaves::Nothing }),
        Arc::new(sot_serializable::SotSerializable),
        Arc::new(sot_pg_read_committed_rmw::SotPgReadCommittedRmw),
        Arc::new(outbox_poll_id_cursor::OutboxPollIdCursor),
        Arc::new(OutboxPollFlagSingle { marks: Marks::AfterPublish }),
        Arc::new(OutboxPollFlagSingle { marks: Marks::BeforePublish }),
        Arc::new(OutboxWalRelay { acknowledges: Acknowledges::AfterPublish }),
        Arc::new(OutboxWalRelay { acknowledges: Acknowledges::BeforePublish }),
        Arc::new(CdcCrdbChangefeed { applies: Applies::NewestVersion }),
        Arc::new(CdcCrdbChangefeed { applies: Applies::LastArrival }),
    ]
}
