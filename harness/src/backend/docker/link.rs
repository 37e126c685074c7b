//! A network between containers, apart from the one by which clients come: disconnecting a container from it cuts
//! the servers from one another, and nothing else.

use testcontainers::bollard::Docker;
use testcontainers::bollard::models::{
    EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkDisconnectRequest,
};

use super::container::Container;
use super::daemon::{Engine, failed};
use super::run::Run;
use crate::backend::HarnessError;

/// How long a connection may take between containers that are linked.
const CONNECT_S: &str = "2";

/// The network between the servers of a run.
#[derive(Debug)]
pub struct ServerLink {
    docker: Docker,
    name: String,
}

impl ServerLink {
    /// Makes it. Nothing outside is reached by it.
    pub(super) async fn make(engine: &Engine, run: &Run) -> Result<ServerLink, HarnessError> {
        let name = format!("crosscheck-{}", run.id());
        let request = NetworkCreateRequest {
            name: name.clone(),
            internal: Some(true),
            labels: Some(run.labels().clone()),
            ..NetworkCreateRequest::default()
        };
        let made = engine.docker().create_network(request).await;
        made.map_err(|error| failed("make a network between the servers", &error))?;
        Ok(ServerLink { docker: engine.docker().clone(), name })
    }

    /// Lets the others reach a container by this name.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn connect(&self, container: &Container, alias: &str) -> Result<(), HarnessError> {
        let endpoint =
            EndpointSettings { aliases: Some(vec![alias.to_owned()]), ..EndpointSettings::default() };
        let request =
            NetworkConnectRequest { container: container.id().to_owned(), endpoint_config: Some(endpoint) };
        let connected = self.docker.connect_network(&self.name, request).await;
        connected.map_err(|error| failed("connect a server to the others", &error))
    }

    /// Cuts a container from the others. Its clients do not notice.
    ///
    /// # Errors
    /// The engine refuses.
    pub async fn disconnect(&self, container: &Container) -> Result<(), HarnessError> {
        let request = NetworkDisconnectRequest { container: container.id().to_owned(), force: Some(true) };
        let cut = self.docker.disconnect_network(&self.name, request).await;
        cut.map_err(|error| failed("cut a server from the others", &error))
    }

    /// Whether one container reaches another's port, tried from inside. Its image must have `bash`.
    ///
    /// # Errors
    /// It does not run, or cannot try.
    pub async fn reaches(&self, from: &Container, alias: &str, port: u16) -> Result<bool, HarnessError> {
        let connect = format!("exec 3<>/dev/tcp/{alias}/{port}");
        Ok(from.exec(&["timeout", CONNECT_S, "bash", "-c", &connect]).await? == 0)
    }
}
