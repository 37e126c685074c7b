//! `broker-duplicate`: what was read and committed is delivered once more. A member joins the design's consumer
//! group, is assigned partitions, sets their committed offsets back to the beginning, and leaves.

use async_trait::async_trait;

use super::{Effect, Lasting, Site, rebalance, until};
use crate::backend::{HarnessError, Hits};
use crate::port::System;
use crate::schedule::FaultOn;

/// The effect.
pub(super) struct Duplicate;

struct Again {
    messages: u64,
}

#[async_trait]
impl Effect for Duplicate {
    fn can(&self, site: &Site, on: &FaultOn) -> Result<(), HarnessError> {
        site.has(System::Broker, on)
    }

    async fn begin(&self, site: &Site, _on: &FaultOn) -> Result<Box<dyn Lasting>, HarnessError> {
        let messages = tokio::sync::Mutex::new(0);
        // Until somebody has committed anything there is nothing to deliver again.
        until("no committed offset could be set back", || async {
            let mut set_back = 0;
            for guest in rebalance::join(site).await? {
                set_back += guest.set_back().await?;
                guest.leave().await?;
            }
            *messages.lock().await = set_back;
            Ok(set_back > 0)
        })
        .await?;
        Ok(Box::new(Again { messages: messages.into_inner() }))
    }
}

#[async_trait]
impl Lasting for Again {
    async fn heal(self: Box<Self>, _site: &Site) -> Result<Hits, HarnessError> {
        Ok(Hits { count: self.messages, detail: format!("{} messages are delivered again", self.messages) })
    }
}
