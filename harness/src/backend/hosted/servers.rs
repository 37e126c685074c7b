//! What faults do to servers as a whole, whatever they run in.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::Hosted;
use crate::backend::HarnessError;
use crate::backend::effect::Servers;
use crate::port::System;

/// How long an answer to a ping is waited for.
const PING: Duration = Duration::from_secs(2);

/// The servers behind links.
pub(in crate::backend) struct HostedServers(pub(in crate::backend) Arc<Hosted>);

#[async_trait]
impl Servers for HostedServers {
    async fn kill(&self, system: System) -> Result<(), HarnessError> {
        self.0.server(system)?.kill().await
    }

    async fn stop(&self, system: System) -> Result<(), HarnessError> {
        self.0.server(system)?.stop().await
    }

    async fn start(&self, system: System) -> Result<(), HarnessError> {
        self.0.start_again(system).await
    }

    async fn answers(&self, system: System) -> bool {
        match self.0.server(system) {
            Ok(server) => server.ping(PING).await.is_ok(),
            Err(_) => false,
        }
    }
}
