//! What faults do to our servers as a whole.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use super::server::blocking;
use super::{Server, ServerSet, small_disk};
use crate::backend::HarnessError;
use crate::backend::effect::Servers;
use crate::backend::hosted::Hosted;
use crate::port::System;

/// How long an answer to a ping is waited for.
const PING: Duration = Duration::from_secs(2);

/// The servers of a set, and the links to them.
pub(super) struct LocalServers {
    pub(super) set: Arc<ServerSet>,
    pub(super) hosted: Arc<Hosted>,
}

impl LocalServers {
    fn server(&self, system: System) -> Result<&Server, HarnessError> {
        let server = match system {
            System::Db => self.set.database(),
            System::Cache => self.set.redis_cache(),
            System::Broker => self.set.broker(),
            System::App => None,
        };
        server.ok_or_else(|| HarnessError::failed(format!("this run has no {system}")))
    }

    fn data_dir(&self, system: System) -> Result<PathBuf, HarnessError> {
        let dir = self.server(system)?.data_dir();
        dir.ok_or_else(|| HarnessError::failed(format!("the {system} keeps nothing on disk")))
    }
}

#[async_trait]
impl Servers for LocalServers {
    async fn kill(&self, system: System) -> Result<(), HarnessError> {
        self.server(system)?.kill().await.map_err(failed)
    }

    async fn stop(&self, system: System) -> Result<(), HarnessError> {
        self.server(system)?.stop().await.map_err(failed)
    }

    async fn start(&self, system: System) -> Result<(), HarnessError> {
        self.server(system)?.start().await.map_err(failed)
    }

    async fn answers(&self, system: System) -> bool {
        match self.server(system) {
            Ok(server) => server.is_running() && server.ping(PING).await.is_ok(),
            Err(_) => false,
        }
    }

    fn processes(&self, system: System) -> Result<Vec<i32>, HarnessError> {
        Ok(self.server(system)?.processes())
    }

    fn can_start_with_environment(&self, system: System) -> Result<(), HarnessError> {
        self.server(system).map(drop)
    }

    async fn start_with(
        &self,
        system: System,
        environment: Vec<(OsString, OsString)>,
    ) -> Result<(), HarnessError> {
        self.server(system)?.start_with(environment).await.map_err(failed)
    }

    fn disk(&self, system: System) -> Result<(PathBuf, PathBuf), HarnessError> {
        let data = self.data_dir(system)?;
        small_disk::can(self.set.dir()).map_err(|error| HarnessError::Missing {
            what: format!("this machine cannot mount a small disk ({error})"),
            advice: "run as root where tmpfs can be mounted, or leave the fault out".to_owned(),
        })?;
        Ok((data, self.server(system)?.log_path().to_owned()))
    }

    async fn move_to_small_disk(&self, system: System, room_bytes: u64) -> Result<(), HarnessError> {
        let (server, data) = (self.server(system)?, self.data_dir(system)?);
        let owner = server.run_as();
        server.stop().await.map_err(failed)?;
        blocking(move || small_disk::move_to(&data, owner, room_bytes)).await.map_err(failed)?;
        server.start().await.map_err(failed)
    }

    async fn move_back(&self, system: System) -> Result<(), HarnessError> {
        let (server, data) = (self.server(system)?, self.data_dir(system)?);
        let owner = server.run_as();
        server.stop().await.map_err(failed)?;
        blocking(move || small_disk::move_back(&data, owner)).await.map_err(failed)?;
        server.start().await.map_err(failed)
    }

    fn can_replicate(&self) -> Result<(), HarnessError> {
        self.server(System::Cache).map(drop)
    }

    async fn start_replica(&self) -> Result<SocketAddr, HarnessError> {
        Ok(self.set.replica().await.map_err(failed)?.addr())
    }

    async fn stop_replica(&self) -> Result<(), HarnessError> {
        self.set.end_replica().await.map_err(failed)
    }

    fn lead_cache_to(&self, addr: SocketAddr) -> Result<(), HarnessError> {
        let links = self.hosted.proxies().iter().filter(|((system, _), _)| *system == System::Cache);
        links.for_each(|(_, proxy)| proxy.set_upstream(addr));
        Ok(())
    }
}

fn failed(error: impl std::fmt::Display) -> HarnessError {
    HarnessError::failed(error.to_string())
}
