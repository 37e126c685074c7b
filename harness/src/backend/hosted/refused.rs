//! Clients that tell their link when it refuses them. The kernel turns such a connection away before the proxy sees
//! it, so that a fault that refused somebody would otherwise pass for one that hit nobody.

use std::sync::Arc;

use async_trait::async_trait;

use crate::port::{Broker, Cache, CacheConnection, Database, DatabaseConnection, PortError};
use crate::proxy::Proxy;
use crate::system::kafka::KafkaBroker;
use crate::system::postgres::PostgresDatabase;
use crate::system::redis::RedisCache;

/// A system behind a link.
struct Behind<S> {
    link: Proxy,
    system: S,
}

impl<S> Behind<S> {
    fn told<T>(&self, opened: Result<T, PortError>) -> Result<T, PortError> {
        opened.inspect_err(|_| self.link.was_refused())
    }
}

#[async_trait]
impl Database for Behind<PostgresDatabase> {
    async fn connect(&self) -> Result<Box<dyn DatabaseConnection>, PortError> {
        self.told(self.system.connect().await)
    }
}

#[async_trait]
impl Cache for Behind<RedisCache> {
    async fn connect(&self) -> Result<Box<dyn CacheConnection>, PortError> {
        self.told(self.system.connect().await)
    }
}

/// A database behind that link.
pub(super) fn database(link: &Proxy, database: PostgresDatabase) -> Arc<dyn Database> {
    Arc::new(Behind { link: link.clone(), system: database })
}

/// A cache behind that link.
pub(super) fn cache(link: &Proxy, cache: RedisCache) -> Arc<dyn Cache> {
    Arc::new(Behind { link: link.clone(), system: cache })
}

/// A broker behind that link. Its clients connect by themselves, and tell as they fail to.
pub(super) fn broker(link: &Proxy, broker: KafkaBroker) -> Arc<dyn Broker> {
    let link = link.clone();
    Arc::new(broker.telling(Arc::new(move || link.was_refused())))
}
