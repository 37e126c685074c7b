//! How each kind of container is started: command line, environment, ports.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::image::ImageKind;
use crate::backend::hosted::settings;
use crate::design::Role;
use crate::system::ping::{self, POSTGRES_USER};

/// What a container is started with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Recipe {
    pub(super) kind: ImageKind,
    pub(super) command: Vec<String>,
    pub(super) environment: BTreeMap<String, String>,
    /// The port inside on which each role is served; `None` is the harness.
    pub(super) ports: BTreeMap<Option<Role>, u16>,
}

/// By what name and port other servers reach Redpanda, once both are linked.
pub const REDPANDA_ALIAS: &str = "redpanda";
/// See [`REDPANDA_ALIAS`].
pub const REDPANDA_PORT: u16 = 29_092;

/// Where clients are told to go: the proxies of a broker's links.
pub type Advertised = BTreeMap<Option<Role>, SocketAddr>;

impl Recipe {
    /// PostgreSQL, which trusts everybody: it is reached on the loopback address only.
    pub(super) fn postgres() -> Recipe {
        let mut command = vec!["postgres".to_owned()];
        for setting in settings::POSTGRES {
            command.extend(["-c".to_owned(), setting.to_owned()]);
        }
        let environment = [
            ("POSTGRES_USER", POSTGRES_USER),
            ("POSTGRES_HOST_AUTH_METHOD", "trust"),
            // The data of a container begin and end with it.
            ("POSTGRES_INITDB_ARGS", "--encoding=UTF8 --no-locale --no-sync"),
        ];
        Recipe {
            kind: ImageKind::Postgres,
            command,
            environment: owned(environment),
            ports: everybody_on(5432),
        }
    }

    /// Redis as a cache.
    pub(super) fn redis() -> Recipe {
        let own = ["redis-server", "--protected-mode", "no"];
        let command = own.into_iter().chain(settings::REDIS_CACHE).map(str::to_owned).collect();
        Recipe { kind: ImageKind::Redis, command, environment: BTreeMap::new(), ports: everybody_on(6379) }
    }

    /// Kafka, with a listener for each role and one for the harness, which advertise the proxies, and one for the
    /// broker itself, which writes markers of transactions through it.
    pub(super) fn kafka(advertised: &Advertised) -> Recipe {
        let mut ports = BTreeMap::new();
        let mut listeners = "CONTROLLER://127.0.0.1:9093,BROKER://127.0.0.1:9094".to_owned();
        let mut shown = "BROKER://127.0.0.1:9094".to_owned();
        let mut protocols = "CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT".to_owned();
        for ((role, addr), port) in advertised.iter().zip(19_090..) {
            let name = listener(*role);
            listeners += &format!(",{name}://0.0.0.0:{port}");
            shown += &format!(",{name}://{addr}");
            protocols += &format!(",{name}:PLAINTEXT");
            ports.insert(*role, port);
        }
        let mut environment: BTreeMap<String, String> =
            settings::KAFKA.iter().map(|(name, value)| (variable(name), (*value).to_owned())).collect();
        environment.extend(owned([
            ("KAFKA_CONTROLLER_QUORUM_VOTERS", "1@127.0.0.1:9093"),
            ("KAFKA_INTER_BROKER_LISTENER_NAME", "BROKER"),
            ("KAFKA_LISTENERS", &listeners),
            ("KAFKA_ADVERTISED_LISTENERS", &shown),
            ("KAFKA_LISTENER_SECURITY_PROTOCOL_MAP", &protocols),
            ("KAFKA_LOG_DIRS", "/var/lib/kafka/data"),
            ("KAFKA_HEAP_OPTS", &settings::KAFKA_JAVA[..2].join(" ")),
            ("KAFKA_JVM_PERFORMANCE_OPTS", &settings::KAFKA_JAVA[2..].join(" ")),
        ]));
        Recipe { kind: ImageKind::Kafka, command: Vec::new(), environment, ports }
    }

    /// CockroachDB, one node whose store is on disk. A development cluster of one node needs no licence key from
    /// version 24.3 on (<https://www.cockroachlabs.com/docs/v24.3/licensing-faqs>); the flags are of
    /// <https://www.cockroachlabs.com/docs/v24.3/cockroach-start-single-node>.
    pub(super) fn cockroach() -> Recipe {
        let own = ["start-single-node", "--insecure", "--store=/cockroach/cockroach-data"];
        let command = own.into_iter().chain(settings::COCKROACH).map(str::to_owned);
        Recipe {
            kind: ImageKind::Cockroach,
            command: command.collect(),
            environment: BTreeMap::new(),
            ports: everybody_on(26_257),
        }
    }

    /// Redpanda, one node that is not in developer mode: there, what is acknowledged is not on disk. The flags are
    /// of <https://docs.redpanda.com/24.3/reference/rpk/rpk-redpanda/rpk-redpanda-start/>, the cluster's properties of
    /// <https://docs.redpanda.com/24.3/reference/properties/cluster-properties/>. One more listener than roles is
    /// for other servers, by [`REDPANDA_ALIAS`].
    pub(super) fn redpanda(advertised: &Advertised) -> Recipe {
        let mut ports = BTreeMap::new();
        let mut listeners = format!("servers://0.0.0.0:{REDPANDA_PORT}");
        let mut shown = format!("servers://{REDPANDA_ALIAS}:{REDPANDA_PORT}");
        for ((role, addr), port) in advertised.iter().zip(19_090..) {
            let name = listener(*role).to_ascii_lowercase();
            listeners += &format!(",{name}://0.0.0.0:{port}");
            shown += &format!(",{name}://{addr}");
            ports.insert(*role, port);
        }
        let mut command: Vec<String> = ["redpanda", "start"]
            .into_iter()
            .chain(settings::REDPANDA_MACHINE)
            .chain(["--node-id=0", "--check=false"])
            .map(str::to_owned)
            .collect();
        command.extend([format!("--kafka-addr={listeners}"), format!("--advertise-kafka-addr={shown}")]);
        for (name, value) in settings::REDPANDA {
            command.extend(["--set".to_owned(), format!("redpanda.{name}={value}")]);
        }
        Recipe { kind: ImageKind::Redpanda, command, environment: BTreeMap::new(), ports }
    }

    /// How long the first start may take.
    pub(super) fn ready_bound(&self) -> Duration {
        match self.kind {
            ImageKind::Redis => Duration::from_secs(30),
            ImageKind::Postgres | ImageKind::Kafka | ImageKind::Cockroach | ImageKind::Redpanda => {
                Duration::from_secs(90)
            }
        }
    }

    /// One protocol round trip: an open port proves nothing, as Docker's own proxy holds it. The version, where
    /// the server tells it.
    pub(super) async fn ping(
        &self,
        addr: SocketAddr,
        timeout: Duration,
    ) -> Result<Option<String>, ping::PingError> {
        match self.kind {
            ImageKind::Postgres => ping::postgres(addr, timeout).await.map(Some),
            ImageKind::Cockroach => ping::cockroach(addr, timeout).await.map(Some),
            ImageKind::Redis => ping::redis(addr, timeout).await.map(Some),
            ImageKind::Kafka | ImageKind::Redpanda => ping::kafka(addr, timeout).await.map(|()| None),
        }
    }
}

fn everybody_on(port: u16) -> BTreeMap<Option<Role>, u16> {
    Role::ALL.into_iter().map(Some).chain([None]).map(|role| (role, port)).collect()
}

fn listener(role: Option<Role>) -> String {
    role.map_or("HARNESS".to_owned(), |role| role.id().to_ascii_uppercase())
}

/// The variable by which the Kafka images take a setting (their page "Docker image usage guide": upper case,
/// dots become underscores).
fn variable(setting: &str) -> String {
    format!("KAFKA_{}", setting.to_ascii_uppercase().replace('.', "_"))
}

fn owned<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_tells_each_role_to_come_through_its_own_proxy() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let advertised = BTreeMap::from([(None, addr(1)), (Some(Role::Client), addr(2))]);
        let recipe = Recipe::kafka(&advertised);
        assert_eq!(recipe.ports, BTreeMap::from([(None, 19_090), (Some(Role::Client), 19_091)]));
        let said = ["LISTENERS", "ADVERTISED_LISTENERS", "LISTENER_SECURITY_PROTOCOL_MAP", "HEAP_OPTS"]
            .map(|name| recipe.environment[&format!("KAFKA_{name}")].clone());
        insta::assert_snapshot!(said.join("\n"), @"
        CONTROLLER://127.0.0.1:9093,BROKER://127.0.0.1:9094,HARNESS://0.0.0.0:19090,CLIENT://0.0.0.0:19091
        BROKER://127.0.0.1:9094,HARNESS://127.0.0.1:1,CLIENT://127.0.0.1:2
        CONTROLLER:PLAINTEXT,BROKER:PLAINTEXT,HARNESS:PLAINTEXT,CLIENT:PLAINTEXT
        -Xms64m -Xmx256m
        ");
        assert_eq!(recipe.environment["KAFKA_GROUP_MIN_SESSION_TIMEOUT_MS"], "500");
    }

    #[test]
    fn cockroach_and_redpanda_are_started_as_their_documentation_says() {
        let advertised = BTreeMap::from([
            (None, SocketAddr::from(([127, 0, 0, 1], 1))),
            (Some(Role::Relay), SocketAddr::from(([127, 0, 0, 1], 2))),
        ]);
        let redpanda = Recipe::redpanda(&advertised);
        let commands = [Recipe::cockroach().command.join("\n"), redpanda.command.join("\n")];
        insta::assert_snapshot!(commands.join("\n\n"), @"
        start-single-node
        --insecure
        --store=/cockroach/cockroach-data
        --cache=128MiB
        --max-sql-memory=256MiB

        redpanda
        start
        --smp=1
        --memory=1G
        --reserve-memory=0M
        --overprovisioned
        --node-id=0
        --check=false
        --kafka-addr=servers://0.0.0.0:29092,harness://0.0.0.0:19090,relay://0.0.0.0:19091
        --advertise-kafka-addr=servers://redpanda:29092,harness://127.0.0.1:1,relay://127.0.0.1:2
        --set
        redpanda.auto_create_topics_enabled=false
        --set
        redpanda.group_initial_rebalance_delay=0
        --set
        redpanda.enable_transactions=true
        ");
        assert!(!commands[1].contains("dev-container"));
    }

    #[test]
    fn postgres_keeps_what_it_has_acknowledged() {
        let recipe = Recipe::postgres();
        for setting in ["fsync=on", "wal_level=logical"] {
            assert!(recipe.command.iter().any(|word| word == setting), "{setting}");
        }
        // It is on by itself; what a command line sets, no fault could turn off.
        assert!(!recipe.command.iter().any(|word| word.starts_with("synchronous_commit")));
    }
}
