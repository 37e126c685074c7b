//! `sot-pg-read-committed-rmw`: one database, read-modify-write at READ COMMITTED, the isolation level that
//! PostgreSQL has if nobody asks for another. Two clients read the same version, and the second overwrites
//! what the first made of it, without an error.

use async_trait::async_trait;
use crosscheck_harness::context::Ctx;
use crosscheck_harness::database::Feature;
use crosscheck_harness::design::{Design, Done, Failure, Layout, Needs};
use crosscheck_harness::operation::{Operation, OperationKind, Workload};
use crosscheck_harness::schedule::Schedule;
use crosscheck_models::property::Property;

use crate::parts::contention::Waits;
use crate::parts::{contention, counter, stock};

/// The design.
#[derive(Debug)]
pub struct SotPgReadCommittedRmw;

#[async_trait]
impl Design for SotPgReadCommittedRmw {
    fn id(&self) -> String {
        "sot-pg-read-committed-rmw".to_owned()
    }

    fn about(&self) -> String {
        "one database, read-modify-write at READ COMMITTED".to_owned()
    }

    fn needs(&self) -> Needs {
        Needs { db: true, ..Needs::default() }
    }

    fn database_features(&self) -> Vec<Feature> {
        vec![Feature::ReadCommitted]
    }

    fn claims(&self) -> Vec<Property> {
        counter::claims()
    }

    fn faults(&self) -> Vec<&'static str> {
        Vec::new()
    }

    fn layout(&self) -> Layout {
        stock::layout()
    }

    fn workload(&self) -> Workload {
        counter::workload()
    }

    fn staleness_bound_ms(&self) -> Option<u64> {
        Some(0)
    }

    fn schedules(&self) -> Vec<Schedule> {
        let mut schedules = vec![counter::both_read_then_both_write(&self.id())];
        schedules.extend(contention::schedules(self, Waits::ForLock));
        schedules
    }

    async fn operate(&self, ctx: &mut Ctx, operation: &Operation) -> Result<Done, Failure> {
        if operation.f == OperationKind::Read {
            return Ok(stock::read(ctx, &operation.key).await?);
        }
        ctx.db.execute("BEGIN ISOLATION LEVEL READ COMMITTED", &[]).await?;
        let done = counter::read_then_write(ctx, operation).await?;
        ctx.db.execute("COMMIT", &[]).await?;
        Ok(done)
    }
}
