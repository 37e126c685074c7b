//! `broker-rebalance`: another member joins the design's consumer group and leaves it again. What it is assigned
//! meanwhile nobody reads, and whoever gets it back begins at the committed offset.

use async_trait::async_trait;

use super::{Effect, Lasting, Site};
use crate::backend::{HarnessError, Hits};
use crate::port::System;
use crate::schedule::FaultOn;
use crate::system::kafka::{Guest, groups_of};

/// The effect.
pub(super) struct Rebalance;

struct Joined {
    guests: Vec<Guest>,
}

#[async_trait]
impl Effect for Rebalance {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(System::Broker, on)
    }

    async fn begin(&self, site: &Site, _on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        Ok(Box::new(Joined { guests: join(site).await? }))
    }
}

/// Joins every group of the run that has members.
pub(super) async fn join(site: &Site) -> Result<Vec<Guest>, HarnessError> {
    let broker = site.broker_addr()?;
    let groups = groups_of(broker, &site.prefix).await?;
    if groups.is_empty() {
        return Err(HarnessError::failed("the design has no consumer group with a member in it"));
    }
    let mut guests = Vec::new();
    for group in groups {
        guests.push(Guest::join(broker, &group, &site.topics).await?);
    }
    Ok(guests)
}

#[async_trait]
impl Lasting for Joined {
    async fn heal(self: Box<Self>, _site: &Site) -> Result<Hits, HarnessError> {
        let mut details = Vec::new();
        for guest in self.guests {
            let (group, partitions) = (guest.group().to_owned(), guest.partitions());
            guest.leave().await?;
            details.push(format!("{group} was rebalanced twice, {partitions} partitions changed hands"));
        }
        Ok(Hits { count: 2 * details.len() as u64, detail: details.join("; ") })
    }
}
