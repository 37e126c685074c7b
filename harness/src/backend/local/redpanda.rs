//! Redpanda: the configuration and the command line of one node that is not in developer mode, where what is
//! acknowledged is not on disk. The file is of <https://docs.redpanda.com/24.3/reference/properties/broker-properties/>;
//! the cluster's own settings are read from `.bootstrap.yaml` beside it, at the first start
//! (<https://docs.redpanda.com/24.3/reference/properties/cluster-properties/>).

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use rustix::process::Signal;

use super::process::Launch;
use super::set::KafkaListener;
use crate::backend::hosted::settings;

/// The addresses that a broker binds.
#[derive(Clone, Debug)]
pub(crate) struct Ports {
    /// For other nodes, of which there are none.
    pub(crate) rpc: SocketAddr,
    /// For `rpk`, which nobody calls.
    pub(crate) admin: SocketAddr,
    /// Ours, for pings and final reads.
    pub(crate) direct: SocketAddr,
    /// Each named listener with the address that it binds.
    pub(crate) named: Vec<(KafkaListener, SocketAddr)>,
}

/// Writes the configuration for these ports; gives the command line.
pub(crate) fn launch(program: &Path, dir: &Path, log: &Path, ports: &Ports) -> io::Result<Launch> {
    let config = dir.join("redpanda.yaml");
    fs::create_dir_all(data_dir(dir))?;
    fs::write(&config, configuration(dir, ports))?;
    fs::write(dir.join(".bootstrap.yaml"), bootstrap())?;
    let mut args = vec!["--redpanda-cfg".into(), config.into()];
    args.extend(settings::REDPANDA_MACHINE.map(Into::into));
    Ok(Launch {
        program: program.to_owned(),
        args,
        dir: dir.to_owned(),
        log: log.to_owned(),
        run_as: None,
        environment: Vec::new(),
        graceful: Signal::TERM,
    })
}

/// Clients follow the address that a listener advertises: that of the proxy in front of it.
fn configuration(dir: &Path, ports: &Ports) -> String {
    let of = |addr: SocketAddr| format!("{{address: {}, port: {}}}", addr.ip(), addr.port());
    let named = ports
        .named
        .iter()
        .map(|(listener, bind)| (listener.name.to_ascii_lowercase(), *bind, listener.advertised));
    let clients = std::iter::once(("direct".to_owned(), ports.direct, ports.direct)).chain(named);
    let (mut bound, mut shown) = (String::new(), String::new());
    for (name, bind, advertised) in clients {
        for (list, addr) in [(&mut bound, bind), (&mut shown, advertised)] {
            let (ip, port) = (addr.ip(), addr.port());
            writeln!(list, "    - {{name: {name}, address: {ip}, port: {port}}}")
                .expect("a string takes all");
        }
    }
    format!(
        "redpanda:\n  data_directory: {}\n  node_id: 0\n  empty_seed_starts_cluster: true\n  seed_servers: []\n  \
         developer_mode: false\n  rpc_server: {rpc}\n  advertised_rpc_api: {rpc}\n  admin:\n    - {}\n  \
         kafka_api:\n{bound}  advertised_kafka_api:\n{shown}",
        data_dir(dir).display(),
        of(ports.admin),
        rpc = of(ports.rpc),
    )
}

fn bootstrap() -> String {
    settings::REDPANDA.iter().map(|(name, value)| format!("{name}: {value}\n")).collect()
}

pub(crate) fn data_dir(dir: &Path) -> PathBuf {
    dir.join("data")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_listener_binds_its_own_port_and_nothing_is_in_developer_mode() {
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let listener = KafkaListener { name: "client".to_owned(), advertised: addr(9) };
        let ports = Ports { rpc: addr(1), admin: addr(2), direct: addr(3), named: vec![(listener, addr(4))] };
        insta::assert_snapshot!(configuration(Path::new("/d"), &ports), @"
        redpanda:
          data_directory: /d/data
          node_id: 0
          empty_seed_starts_cluster: true
          seed_servers: []
          developer_mode: false
          rpc_server: {address: 127.0.0.1, port: 1}
          advertised_rpc_api: {address: 127.0.0.1, port: 1}
          admin:
            - {address: 127.0.0.1, port: 2}
          kafka_api:
            - {name: direct, address: 127.0.0.1, port: 3}
            - {name: client, address: 127.0.0.1, port: 4}
          advertised_kafka_api:
            - {name: direct, address: 127.0.0.1, port: 3}
            - {name: client, address: 127.0.0.1, port: 9}
        ");
        insta::assert_snapshot!(bootstrap(), @"
        auto_create_topics_enabled: false
        group_initial_rebalance_delay: 0
        enable_transactions: true
        ");
    }

    #[test]
    fn it_is_started_with_its_file_and_little_of_the_machine() {
        let dir = tempfile::tempdir().expect("a directory");
        let addr = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let ports = Ports { rpc: addr(1), admin: addr(2), direct: addr(3), named: Vec::new() };
        let log = dir.path().join("log");
        let launch = launch(Path::new("/bin/redpanda"), dir.path(), &log, &ports).expect("it is written");
        let args: Vec<&str> = launch.args.iter().filter_map(|arg| arg.to_str()).collect();
        let said = args.join("\n").replace(&dir.path().display().to_string(), "/d");
        insta::assert_snapshot!(said, @"
        --redpanda-cfg
        /d/redpanda.yaml
        --smp=1
        --memory=1G
        --reserve-memory=0M
        --overprovisioned
        ");
        assert!(dir.path().join("redpanda.yaml").is_file() && dir.path().join(".bootstrap.yaml").is_file());
    }
}
